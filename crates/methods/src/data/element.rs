//! The number types that arrays on disk have, little-endian, and what they mean as pixels or labels.

use half::{bf16, f16};

/// Type of one number in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    BF16,
    F32,
    F64,
}

impl Element {
    /// Bytes of one number.
    pub(super) fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 | Self::BF16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// Whether pixels may have this type: bytes or floats.
    pub(super) fn is_pixel(self) -> bool {
        matches!(self, Self::U8 | Self::F16 | Self::BF16 | Self::F32 | Self::F64)
    }

    /// Writes the numbers in `bytes` to `out`, those of type `U8` divided by `white`.
    pub(super) fn pixels(self, bytes: &[u8], white: f32, out: &mut [f32]) {
        match self {
            Self::U8 => fill(bytes, out, |[b]| f32::from(b) / white),
            Self::F16 => fill(bytes, out, |b| f16::from_le_bytes(b).to_f32()),
            Self::BF16 => fill(bytes, out, |b| bf16::from_le_bytes(b).to_f32()),
            Self::F32 => fill(bytes, out, f32::from_le_bytes),
            Self::F64 => fill(bytes, out, |b| f64::from_le_bytes(b) as f32),
            // Never asked for (see `is_pixel`); NaN would be refused by the range check.
            _ => out.fill(f32::NAN),
        }
    }

    /// The numbers in `bytes`; `None` if the type is not an integer.
    pub(super) fn integers(self, bytes: &[u8]) -> Option<Vec<i128>> {
        Some(match self {
            Self::U8 => list(bytes, u8::from_le_bytes),
            Self::I8 => list(bytes, i8::from_le_bytes),
            Self::U16 => list(bytes, u16::from_le_bytes),
            Self::I16 => list(bytes, i16::from_le_bytes),
            Self::U32 => list(bytes, u32::from_le_bytes),
            Self::I32 => list(bytes, i32::from_le_bytes),
            Self::U64 => list(bytes, u64::from_le_bytes),
            Self::I64 => list(bytes, i64::from_le_bytes),
            Self::F16 | Self::BF16 | Self::F32 | Self::F64 => return None,
        })
    }
}

impl std::fmt::Display for Element {
    /// NumPy's name of the type.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::U8 => "uint8",
            Self::I8 => "int8",
            Self::U16 => "uint16",
            Self::I16 => "int16",
            Self::U32 => "uint32",
            Self::I32 => "int32",
            Self::U64 => "uint64",
            Self::I64 => "int64",
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
            Self::F32 => "float32",
            Self::F64 => "float64",
        })
    }
}

fn fill<const SIZE: usize>(bytes: &[u8], out: &mut [f32], number: impl Fn([u8; SIZE]) -> f32) {
    for (o, b) in out.iter_mut().zip(bytes.as_chunks().0) {
        *o = number(*b);
    }
}

fn list<const SIZE: usize, T: Into<i128>>(bytes: &[u8], number: fn([u8; SIZE]) -> T) -> Vec<i128> {
    bytes.as_chunks().0.iter().map(|b| number(*b).into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_float_type_reads_the_same_numbers() {
        let values = [0.0_f32, 0.25, 1.0];
        for (element, bytes) in [
            (Element::F16, values.map(|v| f16::from_f32(v).to_le_bytes().to_vec())),
            (Element::BF16, values.map(|v| bf16::from_f32(v).to_le_bytes().to_vec())),
            (Element::F32, values.map(|v| v.to_le_bytes().to_vec())),
            (Element::F64, values.map(|v| f64::from(v).to_le_bytes().to_vec())),
        ] {
            let mut out = [f32::NAN; 3];
            element.pixels(&bytes.concat(), 255.0, &mut out);
            assert_eq!(out, values, "{element}");
            assert_eq!(element.size() * 3, bytes.concat().len());
            assert_eq!(element.integers(&bytes.concat()), None);
        }
        let mut out = [f32::NAN; 3];
        Element::U8.pixels(&[0, 51, 255], 255.0, &mut out);
        assert_eq!(out, [0.0, 0.2, 1.0]);
    }

    #[test]
    fn every_integer_type_reads_its_extremes() {
        assert_eq!(Element::I8.integers(&[0x80, 0xff]), Some(vec![-128, -1]));
        assert_eq!(Element::I16.integers(&[0, 0x80]), Some(vec![-32768]));
        assert_eq!(Element::U16.integers(&[1, 2]), Some(vec![513]));
        assert_eq!(Element::I32.integers(&[7, 0, 0, 0x80]), Some(vec![7 - (1 << 31)]));
        assert_eq!(Element::U32.integers(&[255; 4]), Some(vec![u32::MAX.into()]));
        assert_eq!(Element::I64.integers(&[255; 8]), Some(vec![-1]));
        assert_eq!(Element::U64.integers(&[255; 8]), Some(vec![u64::MAX.into()]));
    }
}
