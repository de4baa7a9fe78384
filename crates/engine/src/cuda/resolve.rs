//! From the device that a user wishes for to the one that is there.

use super::{BUILT, count};
use crate::device::Device;
use crate::error::{Error, Result};

impl Device {
    /// The device that there is: the CPU or GPUs that this process sees. [`Device::Auto`] becomes the
    /// CPU with a warning if this program could use a GPU and sees none.
    ///
    /// # Errors
    /// If a GPU that was asked for is not there or this program was built without CUDA.
    pub fn resolve(&self) -> Result<Self> {
        let count = count();
        match self {
            Self::Cpu => Ok(Self::Cpu),
            Self::Auto if count > 0 => Ok(Self::Cuda(vec![0])),
            Self::Auto => {
                if BUILT {
                    tracing::warn!("no GPU is visible: networks run on the CPU");
                }
                Ok(Self::Cpu)
            }
            Self::Cuda(_) if !BUILT => Err(Error::setting(
                format!("device {self}"),
                "this epsball was built without CUDA",
                "build it with `cargo install epsball --features cuda`, or leave --device out",
            )),
            Self::Cuda(numbers) => match numbers.iter().find(|number| **number >= count) {
                None => Ok(self.clone()),
                Some(number) => Err(Error::setting(
                    format!("device cuda:{number}"),
                    match count {
                        0 => "no GPU is visible".to_owned(),
                        1 => "there is one GPU, cuda:0".to_owned(),
                        _ => format!("there are {count} GPUs, cuda:0 to cuda:{}", count - 1),
                    },
                    "see what `nvidia-smi -L` and CUDA_VISIBLE_DEVICES say, or leave --device out",
                )),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there() {
        assert_eq!(Device::Cpu.resolve().unwrap(), Device::Cpu);
        let error = Device::Cuda(vec![900]).resolve().unwrap_err();
        assert!(error.to_string().starts_with("device cuda:900: "), "{error}");
        assert!(error.hint().is_some());
    }
}
