//! Where a network runs, and in which arithmetic its searches do.

use std::sync::Arc;

use super::FrozenNetwork;
use crate::cuda;
use crate::device::{Device, Precision};
use crate::error::{Error, Result};
use crate::ops::bf16::Unit;

impl FrozenNetwork {
    /// Runs on `device`, which is resolved; searches compute in `precision`, results are judged in f32.
    ///
    /// # Errors
    /// If the CPU is to compute in tf32, an operation has no form for GPUs yet, or a GPU fails.
    pub fn place(&mut self, device: &Device, precision: Precision) -> Result<()> {
        match device {
            Device::Auto | Device::Cpu => {
                self.searched = match precision {
                    Precision::F32 => None,
                    Precision::Bf16 => Some(self.fused.rounded(Unit::here())),
                    Precision::Tf32 => {
                        let problem = "tf32 is for GPUs, and networks run on the CPU";
                        let remedy = "take bf16, or leave --precision out";
                        return Err(Error::setting("precision", problem, remedy));
                    }
                };
                self.gpu = None;
            }
            Device::Cuda(gpus) => {
                let network = cuda::Network::open(&self.fused, self.info.classes, gpus, precision)?;
                self.gpu = Some((Arc::new(network), precision));
                self.searched = None;
            }
        }
        Ok(())
    }

    /// Runs where `other` does and as it does, on its GPUs, which are open already.
    ///
    /// # Errors
    /// As [`FrozenNetwork::place`].
    pub fn place_beside(&mut self, other: &Self) -> Result<()> {
        let beside = |(network, precision): &(Arc<cuda::Network>, Precision)| -> Result<_> {
            let network = network.open_beside(&self.fused, self.info.classes, *precision)?;
            Ok((Arc::new(network), *precision))
        };
        self.gpu = other.gpu.as_ref().map(beside).transpose()?;
        self.searched = other.searched.as_ref().map(|_| self.fused.rounded(Unit::here()));
        Ok(())
    }
}
