//! Controls: patches that no search went into. What they break is the network's sensitivity to
//! occlusion, not the strength of an attack.

use super::pgd::{random_content, random_windows};
use super::{grey, paste, patch_of, windows_of};
use crate::attack::{Asks, Attack, Entry, HyperParameters, Search, Threats};
use crate::error::Result;
use crate::parameters::{Parameters, documented};
use crate::threat::{Patch, Threat};

pub(in crate::attack) const RANDOM_NOISE: Entry = Entry {
    name: "random-noise",
    about: "control: uniform noise in a patch at random places",
    threats: Threats::Patch,
    is_control: true,
    fields: &[RandomNoise::FIELDS],
    build: |parameters, threat| RandomNoise::new(patch_of(threat)).build(parameters),
};

pub(in crate::attack) const GREY: Entry = Entry {
    name: "grey",
    about: "control: a grey patch at every place of a grid",
    threats: Threats::Patch,
    is_control: true,
    fields: &[Grey::FIELDS],
    build: |parameters, threat| Grey::new(patch_of(threat)).build(parameters),
};

documented! {
    /// `random-noise`: a control, uniform noise in a patch at random places.
    #[derive(Debug, Clone, PartialEq)]
    pub struct RandomNoise {
        /// Size of the patch.
        pub patch: Patch,
        /// How often it is pasted, at least 1.
        pub restarts: usize,
    }
}

impl RandomNoise {
    /// Ten times.
    pub fn new(patch: Patch) -> Self {
        Self { patch, restarts: 10 }
    }
}

impl HyperParameters for RandomNoise {
    fn entry(&self) -> &'static Entry {
        &RANDOM_NOISE
    }

    fn threat(&self) -> Threat {
        Threat::Patch(self.patch)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.restarts = parameters.count("restarts", self.restarts)?;
        Ok(Box::new(self))
    }
}

impl Attack for RandomNoise {
    fn asks(&self) -> Asks {
        Asks::Classes
    }

    fn most_passes(&self, _: [usize; 3], _: usize) -> Option<f64> {
        Some(self.restarts as f64)
    }

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

documented! {
    /// `grey`: a control, a grey patch at every place of a grid.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Grey {
        /// Size of the patch.
        pub patch: Patch,
        /// Pixels between two places of the grid, at least 1.
        pub stride: usize,
    }
}

impl Grey {
    /// At every second place, of a patch one pixel high or wide at every one.
    pub fn new(patch: Patch) -> Self {
        Self { patch, stride: patch.usual_stride() }
    }
}

impl HyperParameters for Grey {
    fn entry(&self) -> &'static Entry {
        &GREY
    }

    fn threat(&self) -> Threat {
        Threat::Patch(self.patch)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.stride = parameters.count("stride", self.stride)?;
        Ok(Box::new(self))
    }
}

impl Attack for Grey {
    fn asks(&self) -> Asks {
        Asks::Classes
    }

    fn most_passes(&self, shape: [usize; 3], _: usize) -> Option<f64> {
        Some(self.patch.grid(shape, self.stride).len() as f64)
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let (grid, count) = (self.patch.grid(search.shape(), self.stride), self.patch.count);
        for first in 0..grid.len() {
            // Several patches are a part of the grid apart.
            let place = |number: usize| grid[(first + number * grid.len() / count) % grid.len()];
            let own: Vec<_> = (0..count).map(place).collect();
            let windows = windows_of(search.location(), count, &own.repeat(search.len()))?;
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
