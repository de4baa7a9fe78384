//! What this machine can do for epsball: processors, GPUs and libraries, whether every device computes what the CPU
//! computes in f32, and how fast. It is the first thing to look at where something does not work, and the first thing
//! to send with a report of a fault.

mod devices;
mod facts;

use serde::Serialize;

pub use devices::Trial;

use crate::cuda;
use crate::device::Device;
use crate::error::Result;

/// What was found.
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    /// The machine and the program: names and values, in the order in which they are read.
    pub facts: Vec<(String, String)>,
    /// Every device in every arithmetic that it has.
    pub trials: Vec<Trial>,
    /// What is missing, and how to get it.
    pub advice: Vec<String>,
}

impl Diagnosis {
    /// Whether every device computes what it should.
    pub fn is_well(&self) -> bool {
        self.trials.iter().all(Trial::passed)
    }
}

/// Looks at the machine and tries the CPU and every GPU, or `only` this device; seconds.
///
/// # Errors
/// If the device that was asked for is not there.
pub fn examine(only: Option<&Device>) -> Result<Diagnosis> {
    let gpus = cuda::survey();
    let (facts, advice) = (facts::of_machine(&gpus), facts::advice(&gpus));
    let mut diagnosis = Diagnosis { facts, trials: Vec::new(), advice };
    let devices = match only {
        Some(wish) => vec![wish.resolve()?],
        None => devices::all(),
    };
    for device in devices {
        diagnosis.trials.extend(devices::trials(&device));
    }
    Ok(diagnosis)
}
