//! The number formats in which weights are published, and their widening to the few in which they are
//! used: f32 for all floating-point formats, u8 for bytes and truth values, i64 for other integers.

use candle_core::{Device, Tensor, WithDType};
use half::{bf16, f16};

/// Number formats of storages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    F16,
    BF16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    Bool,
}

impl DType {
    /// Bytes per number.
    pub(crate) fn width(self) -> u64 {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F16 | Self::BF16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }

    /// The tensor `shape` of the little-endian numbers `bytes`.
    pub(crate) fn decode(self, bytes: &[u8], shape: &[usize]) -> candle_core::Result<Tensor> {
        fn tensor<const N: usize, T: WithDType>(
            bytes: &[u8],
            shape: &[usize],
            number: impl Fn([u8; N]) -> T,
        ) -> candle_core::Result<Tensor> {
            let numbers: Vec<T> = bytes.as_chunks::<N>().0.iter().map(|b| number(*b)).collect();
            Tensor::from_vec(numbers, shape, &Device::Cpu)
        }
        match self {
            Self::F16 => tensor(bytes, shape, |b| f16::from_le_bytes(b).to_f32()),
            Self::BF16 => tensor(bytes, shape, |b| bf16::from_le_bytes(b).to_f32()),
            Self::F32 => tensor(bytes, shape, f32::from_le_bytes),
            Self::F64 => tensor(bytes, shape, |b| f64::from_le_bytes(b) as f32),
            Self::I8 => tensor(bytes, shape, |b| i64::from(i8::from_le_bytes(b))),
            Self::I16 => tensor(bytes, shape, |b| i64::from(i16::from_le_bytes(b))),
            Self::I32 => tensor(bytes, shape, |b| i64::from(i32::from_le_bytes(b))),
            Self::I64 => tensor(bytes, shape, i64::from_le_bytes),
            Self::U8 => tensor(bytes, shape, u8::from_le_bytes),
            Self::U16 => tensor(bytes, shape, |b| i64::from(u16::from_le_bytes(b))),
            Self::U32 => tensor(bytes, shape, |b| i64::from(u32::from_le_bytes(b))),
            Self::Bool => tensor(bytes, shape, |[b]| u8::from(b != 0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_widened_exactly() {
        let decode = |dtype: DType, bytes: &[u8]| {
            let n = bytes.len() / dtype.width() as usize;
            dtype.decode(bytes, &[n]).unwrap()
        };
        let floats = |dtype, bytes: &[u8]| decode(dtype, bytes).to_vec1::<f32>().unwrap();
        let integers = |dtype, bytes: &[u8]| decode(dtype, bytes).to_vec1::<i64>().unwrap();
        let bytes = |dtype, bytes: &[u8]| decode(dtype, bytes).to_vec1::<u8>().unwrap();
        assert_eq!(floats(DType::F32, &1.5_f32.to_le_bytes()), [1.5]);
        assert_eq!(floats(DType::F64, &0.1_f64.to_le_bytes()), [0.1]);
        // The smallest subnormal of half precision is 2^-24.
        assert_eq!(floats(DType::F16, &[1, 0, 0, 0xc0]), [2_f32.powi(-24), -2.0]);
        assert_eq!(floats(DType::BF16, &[0x80, 0x3f]), [1.0]);
        assert_eq!(integers(DType::I64, &(-7_i64).to_le_bytes()), [-7]);
        assert_eq!(integers(DType::I32, &(-7_i32).to_le_bytes()), [-7]);
        assert_eq!(integers(DType::U32, &u32::MAX.to_le_bytes()), [4_294_967_295]);
        assert_eq!(integers(DType::I16, &[0xff, 0xff]), [-1]);
        assert_eq!(integers(DType::U16, &[0xff, 0xff]), [65_535]);
        assert_eq!(integers(DType::I8, &[0xff]), [-1]);
        assert_eq!(bytes(DType::U8, &[0xff]), [255]);
        assert_eq!(bytes(DType::Bool, &[0, 2]), [0, 1]);
    }
}
