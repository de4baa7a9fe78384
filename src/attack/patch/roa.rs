//! The rectangular occlusion attack (Wu, Tong and Vorobeychik, ICLR 2020, section 4): find the place
//! where a grey rectangle raises the loss most, then optimise the content there.

use super::{GREY_VALUE, descend_inside, paste, patch_of};
use crate::attack::{Attack, Entry, Search, Threats};
use crate::error::Result;
use crate::loss::Loss;
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
        let start = Window { top: 0, left: 0 };
        let mut best: Vec<(f32, Window)> = vec![(f32::NEG_INFINITY, start); search.len()];
        for window in self.patch.grid(search.shape(), self.stride) {
            let windows = vec![window; search.len()];
            let x = paste(search, self.patch, &windows, |_, content| content.fill(GREY_VALUE))?;
            let logits = search.logits(&x)?;
            let losses = Loss::CrossEntropy.evaluate(&logits, search.labels(), search.targets())?;
            for (best, loss) in best.iter_mut().zip(losses.values) {
                if loss > best.0 {
                    *best = (loss, window);
                }
            }
            search.propose(&x, &logits)?.shrink_values(&mut best);
            if search.is_empty() {
                return Ok(());
            }
        }
        let mut windows: Vec<Window> = best.into_iter().map(|(_, window)| window).collect();
        let x = paste(search, self.patch, &windows, |_, content| content.fill(GREY_VALUE))?;
        descend_inside(search, self.patch, &mut windows, x, self.steps, self.alpha)
    }
}
