//! Controls: patches that no search went into. What they break is the network's sensitivity to
//! occlusion, not the strength of an attack.

use super::pgd::{random_content, random_windows};
use super::{grey, paste, patch_of, windows_of};
use crate::attack::{Attack, Entry, Search, Threats};
use crate::error::Result;
use crate::threat::Patch;

/// Uniform noise at random places.
pub(in crate::attack) const RANDOM_NOISE: Entry = Entry {
    name: "random-noise",
    about: "control: uniform noise in a patch at random places",
    threats: Threats::Patch,
    control: true,
    build: |parameters, threat| {
        Ok(Box::new(RandomNoise {
            patch: patch_of(threat),
            restarts: parameters.count("restarts", 10)?,
        }))
    },
};

/// A grey rectangle at every place of a grid.
pub(in crate::attack) const GREY: Entry = Entry {
    name: "grey",
    about: "control: a grey patch at every place of a grid",
    threats: Threats::Patch,
    control: true,
    build: |parameters, threat| {
        Ok(Box::new(Grey { patch: patch_of(threat), stride: parameters.count("stride", 2)? }))
    },
};

struct RandomNoise {
    patch: Patch,
    restarts: usize,
}

impl Attack for RandomNoise {
    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        for restart in 0..self.restarts as u32 {
            let windows = random_windows(search, self.patch, restart)?;
            let content = random_content(search, self.patch, restart)?;
            let x = paste(search, self.patch, &windows, &content)?;
            let logits = search.logits(&x)?;
            search.propose(&x, &logits, ())?;
            if search.is_empty() {
                break;
            }
        }
        Ok(())
    }
}

struct Grey {
    patch: Patch,
    stride: usize,
}

impl Attack for Grey {
    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        for window in self.patch.grid(search.shape(), self.stride) {
            let windows = windows_of(search.place(), &vec![window; search.len()])?;
            let x = paste(search, self.patch, &windows, &grey(search, self.patch)?)?;
            let logits = search.logits(&x)?;
            search.propose(&x, &logits, ())?;
            if search.is_empty() {
                break;
            }
        }
        Ok(())
    }
}
