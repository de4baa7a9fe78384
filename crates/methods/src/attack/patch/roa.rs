//! The rectangular occlusion attack (Wu, Tong and Vorobeychik, ICLR 2020, section 4): find the place
//! where a grey rectangle raises the loss most, then optimise the content there.

use super::{descend_inside, grey, paste, patch_of, windows_of};
use crate::attack::{Attack, Entry, Search, Threats};
use crate::error::Result;
use crate::loss::Loss;
use crate::rows::{self, Rows, twin};
use crate::threat::{Patch, Window};

/// The exhaustive search of the paper with a stride, which has to fit the image size.
pub(in crate::attack) const ROA: Entry = Entry {
    name: "roa",
    about: "place searched with a grey rectangle, then gradient steps (Wu et al. 2020)",
    threats: Threats::Patch,
    control: false,
    build: |parameters, threat| {
        Ok(Box::new(Roa {
            patch: patch_of(threat),
            stride: parameters.count("stride", 2)?,
            steps: parameters.count("steps", 100)?,
            alpha: parameters.positive("alpha", 0.05)? as f32,
        }))
    },
};

struct Roa {
    patch: Patch,
    stride: usize,
    steps: usize,
    alpha: f32,
}

impl Attack for Roa {
    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let grey = grey(search, self.patch)?;
        let n = search.len();
        let mut windows = windows_of(search.place(), &vec![Window { top: 0, left: 0 }; n])?;
        let mut best = Rows::numbers(search.place(), vec![f32::NEG_INFINITY; n])?;
        for window in self.patch.grid(search.shape(), self.stride) {
            let here = windows_of(search.place(), &vec![window; search.len()])?;
            let x = paste(search, self.patch, &here, &grey)?;
            let logits = search.logits(&x)?;
            let losses = search.losses(&logits, Loss::CrossEntropy)?;
            rows::update(
                twin!("keep_larger"),
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
