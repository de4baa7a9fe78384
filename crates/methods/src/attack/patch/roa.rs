//! The rectangular occlusion attack (Wu, Tong and Vorobeychik, ICLR 2020, section 4): find the place
//! where a grey rectangle raises the loss most, then optimise the content there.

use super::{descend_inside, grey, paste, patch_of, windows_of};
use crate::attack::{Attack, Entry, HyperParameters, Search, Threats};
use crate::error::Result;
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::rows::{self, Rows, kernel};
use crate::threat::{Patch, Threat, Window};

pub(in crate::attack) const ROA: Entry = Entry {
    name: "roa",
    about: "place searched with a grey rectangle, then gradient steps (Wu et al. 2020)",
    threats: Threats::Patch,
    is_control: false,
    fields: &[Roa::FIELDS],
    build: |parameters, threat| Roa::new(patch_of(threat)).build(parameters),
};

documented! {
    /// `roa`: the rectangular occlusion attack (Wu, Tong and Vorobeychik, ICLR 2020, section 4), with its exhaustive
    /// search for the place.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Roa {
        /// Size of the patch.
        pub patch: Patch,
        /// Pixels between two places that are tried, at least 1; it has to fit the size of the images.
        pub stride: usize,
        /// Steps on the content, at least 1.
        pub steps: usize,
        /// Length of a step in every pixel, above 0.
        pub alpha: f32,
    }
}

impl Roa {
    /// Every second place, of a patch one pixel high or wide every one, so that every pixel of the image is
    /// reached; 100 steps.
    pub fn new(patch: Patch) -> Self {
        Self { patch, stride: patch.usual_stride(), steps: 100, alpha: 0.05 }
    }
}

impl HyperParameters for Roa {
    fn entry(&self) -> &'static Entry {
        &ROA
    }

    fn threat(&self) -> Threat {
        Threat::Patch(self.patch)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.stride = parameters.count("stride", self.stride)?;
        self.steps = parameters.count("steps", self.steps)?;
        self.alpha = parameters.positive("alpha", f64::from(self.alpha))? as f32;
        Ok(Box::new(self))
    }
}

impl Attack for Roa {
    fn losses(&self) -> Vec<Loss> {
        vec![Loss::CrossEntropy]
    }

    fn most_passes(&self, shape: [usize; 3], _: usize) -> Option<f64> {
        Some(self.patch.grid(shape, self.stride).len() as f64 + 2.0 * self.steps as f64 + 1.0)
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let grey = grey(search, self.patch)?;
        let n = search.len();
        let mut windows = windows_of(search.location(), &vec![Window { top: 0, left: 0 }; n])?;
        let mut best = Rows::numbers(search.location(), vec![f32::NEG_INFINITY; n])?;
        for window in self.patch.grid(search.shape(), self.stride) {
            let here = windows_of(search.location(), &vec![window; search.len()])?;
            let x = paste(search, self.patch, &here, &grey)?;
            let logits = search.logits(&x)?;
            let losses = search.losses(&logits, Loss::CrossEntropy)?;
            rows::update(
                kernel!("keep_larger"),
                [&mut windows, &mut best],
                [&here, &losses],
                |_, [window, best], [here, loss]| {
                    if loss[0] > best[0] {
                        best[0] = loss[0];
                        window.copy_from_slice(here);
                    }
                },
            )?;
            search.propose(&x, &logits, (&mut windows, &mut best))?;
            if search.is_empty() {
                return Ok(());
            }
        }
        let x = paste(search, self.patch, &windows, &grey)?;
        descend_inside(search, self.patch, &mut windows, x, self.steps, self.alpha)
    }
}
