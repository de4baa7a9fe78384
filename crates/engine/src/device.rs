//! Where networks are to run, and in which arithmetic, as the user writes it. What of it is there, `cuda/` says.

use std::fmt;
use std::str::FromStr;

/// A wish for a device: `auto`, `cpu`, `cuda`, `cuda:1`, `cuda:0,1`.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Device {
    /// The first GPU, or the CPU where there is none.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// These GPUs.
    Cuda(Vec<usize>),
}

impl FromStr for Device {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORMS: &str = "one of auto, cpu, cuda, cuda:1, cuda:0,1";
        match text {
            "auto" => return Ok(Self::Auto),
            "cpu" => return Ok(Self::Cpu),
            "cuda" => return Ok(Self::Cuda(vec![0])),
            _ => {}
        }
        let list = text.strip_prefix("cuda:").ok_or(FORMS)?;
        let mut numbers = Vec::new();
        for number in list.split(',') {
            let number = number.parse().map_err(|_| FORMS)?;
            if numbers.contains(&number) {
                return Err("GPUs that differ");
            }
            numbers.push(number);
        }
        Ok(Self::Cuda(numbers))
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
                write!(f, "cuda:{}", numbers.join(","))
            }
        }
    }
}

impl TryFrom<String> for Device {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Device> for String {
    fn from(device: Device) -> Self {
        device.to_string()
    }
}

/// The arithmetic of a network; sums are in f32 in all. There is no f16: small gradients would vanish in it,
/// unless every loss were scaled.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// f32.
    #[default]
    F32,
    /// Factors of convolutions and matrix products rounded to 10 bits behind the point, on tensor
    /// cores. Not on the CPU.
    Tf32,
    /// Images and the weights of their convolutions kept in 16 bits, 7 of them behind the point: half
    /// the memory to move. Vectors stay in f32, so the last layers, the logits and the loss do. On the CPU
    /// factors of convolutions are, and images that nothing else reads.
    Bf16,
}

impl FromStr for Precision {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "f32" => Ok(Self::F32),
            "tf32" => Ok(Self::Tf32),
            "bf16" => Ok(Self::Bf16),
            _ => Err("one of f32, tf32, bf16"),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_read_and_written() {
        for text in ["auto", "cpu", "cuda:0", "cuda:3", "cuda:0,2,1"] {
            assert_eq!(text.parse::<Device>().unwrap().to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(Device::Cuda(vec![0])));
        for text in ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:0,,1", "cuda:1,1", "CPU"] {
            assert!(text.parse::<Device>().is_err(), "{text}");
        }
    }

    #[test]
    fn precisions_are_read_and_written() {
        for precision in [Precision::F32, Precision::Tf32, Precision::Bf16] {
            assert_eq!(precision.to_string().parse(), Ok(precision));
        }
        for text in ["", "f16", "fp16", "BF16"] {
            assert_eq!(text.parse::<Precision>(), Err("one of f32, tf32, bf16"));
        }
    }
}
