//! What a person has to know about a GPU before anything runs on it, and to write into a report of a fault.
#![allow(unsafe_code)]

use cudarc::driver::sys;

use super::GpuFacts;
use super::dnn::Dnn;
use super::gpu::{Gpu, count};
use crate::error::Result;

/// The newest version of CUDA that the driver can run, as `13.0`; none without a driver.
pub fn driver() -> Option<String> {
    if count() == 0 {
        return None;
    }
    let mut version = 0;
    // SAFETY: the library is there, or there would be no GPU; the call writes one number.
    let status = unsafe { sys::cuDriverGetVersion(&raw mut version) };
    (status == sys::CUresult::CUDA_SUCCESS)
        .then(|| format!("{}.{}", version / 1000, version % 1000 / 10))
}

/// Every GPU that this process sees, opened: its kernels are loaded and cuDNN is started.
pub fn survey() -> Vec<Result<GpuFacts>> {
    (0..count()).map(|ordinal| Gpu::shared(ordinal)?.facts()).collect()
}

impl Gpu {
    fn facts(&self) -> Result<GpuFacts> {
        let (major, minor) = self.capability()?;
        Ok(GpuFacts {
            name: self.name()?,
            capability: format!("{major}.{minor}"),
            free_memory: self.free_memory()?,
            memory: self.memory(),
            cudnn: self.dnn().map(|_| Dnn::version()),
        })
    }
}
