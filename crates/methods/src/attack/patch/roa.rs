//! The rectangular occlusion attack (Wu, Tong and Vorobeychik, ICLR 2020, section 4): find the place
//! where a grey rectangle raises the loss most, then optimise the content there. Of several patches the places are
//! found one after the other, each beside the grey ones that are there already; the contents are optimised together.

use super::pgd::random_content;
use super::{Descent, all_at, descend_inside, grey, of_rectangles, paste, patch_of};
use crate::attack::{Attack, Entry, HyperParameters, Search, Threats};
use crate::error::Result;
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::rows::{self, Kernel, Rows, kernel};
use crate::threat::{Patch, Place, Threat, Window};

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
        /// Where it is, in place of the search for a place: row and column of its upper left pixel.
        pub place: Place,
        /// What the grey rectangle is to raise, and the steps climb.
        pub loss: Loss,
        /// Pixels between two places that are tried, at least 1; it has to fit the size of the images.
        pub stride: usize,
        /// Steps on the content, at least 1.
        pub steps: usize,
        /// Length of a step in every pixel, above 0.
        pub alpha: f32,
        /// How often the steps begin, at least 1: first from grey, then from random contents at the same place.
        pub restarts: usize,
    }
}

impl Roa {
    /// Every second place, of a patch one pixel high or wide every one, so that every pixel of the image is
    /// reached; 100 steps on the cross-entropy, once.
    pub fn new(patch: Patch) -> Self {
        let (place, loss, stride) = (Place::Any, Loss::CrossEntropy, patch.usual_stride());
        Self { patch, place, loss, stride, steps: 100, alpha: 0.05, restarts: 1 }
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
        self.place = parameters.take("place", self.place)?;
        self.loss = parameters.take("loss", self.loss)?;
        self.stride = parameters.count("stride", self.stride)?;
        self.steps = parameters.count("steps", self.steps)?;
        self.alpha = parameters.positive("alpha", f64::from(self.alpha))? as f32;
        self.restarts = parameters.count("restarts", self.restarts)?;
        Ok(Box::new(self))
    }
}

impl Attack for Roa {
    fn losses(&self) -> Vec<Loss> {
        vec![self.loss]
    }

    fn most_passes(&self, shape: [usize; 3], _: usize) -> Option<f64> {
        let places = self.place.grid(self.patch, shape, self.stride).len();
        Some(
            (self.patch.count * places) as f64
                + self.restarts as f64 * (2.0 * self.steps as f64 + 1.0),
        )
    }

    fn check_shape(&self, shape: [usize; 3]) -> Result<()> {
        self.place.check(self.patch, shape)
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let grey = grey(search, self.patch)?;
        let mut windows = all_at(search, self.patch, Window { top: 0, left: 0 })?;
        let grid = self.place.grid(self.patch, search.shape(), self.stride);
        for number in 0..self.patch.count {
            let least = vec![f32::NEG_INFINITY; search.len()];
            let mut best = Rows::numbers(search.location(), least)?;
            for window in &grid {
                let here = self.with_others(search, &windows, number, *window)?;
                let x = paste(search, self.patch, &here, &grey)?;
                let logits = search.logits(&x)?;
                let losses = search.losses(&logits, self.loss)?;
                rows::update(
                    of_rectangles(self.patch, kernel!("keep_larger")),
                    [&mut windows, &mut best],
                    [&here, &losses],
                    |_, [window, best], [here, loss]| {
                        let (others, own) = here[..2 * number + 2].split_at(2 * number);
                        let is_new = others.chunks_exact(2).all(|other| other != own);
                        if loss[0] > best[0] && is_new {
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
        }
        let descent = Descent { loss: self.loss, steps: self.steps, alpha: self.alpha };
        for restart in 0..self.restarts as u32 {
            let x = match restart {
                0 => paste(search, self.patch, &windows, &grey)?,
                _ => {
                    let content = random_content(search, self.patch, restart)?;
                    paste(search, self.patch, &windows, &content)?
                }
            };
            descend_inside(search, self.patch, &mut windows, x, descent)?;
            if search.is_empty() {
                break;
            }
        }
        Ok(())
    }
}

impl Roa {
    /// The windows of every row with those of the patches from `number` on at `window`.
    fn with_others(
        &self,
        search: &Search<'_>,
        windows: &Rows,
        number: usize,
        window: Window,
    ) -> Result<Rows> {
        if number == 0 {
            return all_at(search, self.patch, window);
        }
        rows::map(Kernel::NONE, [windows], |_, [windows], here| {
            here.copy_from_slice(windows);
            for at in here[2 * number..].chunks_exact_mut(2) {
                at.copy_from_slice(&[window.top as f32, window.left as f32]);
            }
        })
    }
}
