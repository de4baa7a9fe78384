//! PGD inside a patch at a random place: the empirical attack of the certified-defence papers
//! (Xiang et al., USENIX Security 2021). Untargeted, whole range, signed steps, a new place and a new
//! random content per image and restart.

use super::{Descent, all_at, descend_inside, paste, patch_of, windows_of};
use crate::attack::{Attack, Entry, HyperParameters, Search, Threats};
use crate::error::Result;
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::rows::Rows;
use crate::threat::{Patch, Place, Threat};

pub(in crate::attack) const PATCH_PGD: Entry = Entry {
    name: "patch-pgd",
    about: "signed gradient steps in a patch at random places (Xiang et al. 2021)",
    threats: Threats::Patch,
    is_control: false,
    fields: &[PatchPgd::FIELDS],
    build: |parameters, threat| PatchPgd::new(patch_of(threat)).build(parameters),
};

documented! {
    /// `patch-pgd`: PGD in a patch at random places (Xiang et al., USENIX Security 2021).
    #[derive(Debug, Clone, PartialEq)]
    pub struct PatchPgd {
        /// Size of the patch.
        pub patch: Patch,
        /// Where it is pasted: row and column of its upper left pixel.
        pub place: Place,
        /// What the steps climb.
        pub loss: Loss,
        /// Steps of a restart, at least 1.
        pub steps: usize,
        /// Length of a step in every pixel, above 0.
        pub alpha: f32,
        /// Number of restarts, each with places and contents of its own; at least 1. No place comes twice before all
        /// were tried.
        pub restarts: usize,
    }
}

impl PatchPgd {
    /// The values of the paper's code: one restart of 500 steps on the cross-entropy.
    pub fn new(patch: Patch) -> Self {
        let (place, loss) = (Place::Any, Loss::CrossEntropy);
        Self { patch, place, loss, steps: 500, alpha: 0.05, restarts: 1 }
    }
}

impl HyperParameters for PatchPgd {
    fn entry(&self) -> &'static Entry {
        &PATCH_PGD
    }

    fn threat(&self) -> Threat {
        Threat::Patch(self.patch)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.place = parameters.take("place", self.place)?;
        self.loss = parameters.take("loss", self.loss)?;
        self.steps = parameters.count("steps", self.steps)?;
        self.alpha = parameters.positive("alpha", f64::from(self.alpha))? as f32;
        self.restarts = parameters.count("restarts", self.restarts)?;
        Ok(Box::new(self))
    }
}

impl Attack for PatchPgd {
    fn losses(&self) -> Vec<Loss> {
        vec![self.loss]
    }

    fn most_passes(&self, _: [usize; 3], _: usize) -> Option<f64> {
        Some(self.restarts as f64 * (2.0 * self.steps as f64 + 1.0))
    }

    fn check_shape(&self, shape: [usize; 3]) -> Result<()> {
        self.place.check(self.patch, shape)
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let descent = Descent { loss: self.loss, steps: self.steps, alpha: self.alpha };
        for restart in 0..self.restarts as u32 {
            let mut windows = match self.place {
                Place::Any => random_windows(search, self.patch, restart)?,
                Place::At(window) => all_at(search, self.patch, window)?,
            };
            let content = random_content(search, self.patch, restart)?;
            let x = paste(search, self.patch, &windows, &content)?;
            descend_inside(search, self.patch, &mut windows, x, descent)?;
            if search.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Places for every active row, `[N, 2 * count]`: uniformly drawn, and in each restart other ones until there are none
/// left. As many restarts as there are places try all of them, with each patch.
pub(super) fn random_windows(search: &Search<'_>, patch: Patch, restart: u32) -> Result<Rows> {
    let shape = search.shape();
    let places = patch.places(shape);
    let window = |number: usize| {
        let (row, patch_number) = (number / patch.count, number % patch.count);
        let first = search.draw(row, 0, 0).below(patch_number as u32, places);
        patch.place(place_after(first, restart as usize, places), shape)
    };
    let windows: Vec<_> = (0..search.len() * patch.count).map(window).collect();
    windows_of(search.location(), patch.count, &windows)
}

/// The place that is `steps` steps of the golden section away from `first`, around all `places`. It divides
/// them evenly, and its steps have no divisor in common with their number, so that none comes twice.
fn place_after(first: usize, steps: usize, places: usize) -> usize {
    let golden = (places as f64 * 0.618_033_988_749_894_9).round() as usize;
    let prime = |step: &usize| common_divisor(*step, places) == 1;
    let step = (golden.max(1)..).find(prime).unwrap_or(1);
    (first + steps % places * step) % places
}

fn common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

/// Uniformly drawn pixels for every active row, `[N, count * C, height, width]`.
pub(super) fn random_content(search: &Search<'_>, patch: Patch, restart: u32) -> Result<Rows> {
    search.uniform_of_images(
        restart,
        1,
        &[patch.count * search.shape()[0], patch.height, patch.width],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_restarts_as_places_try_every_place() {
        for places in [1, 2, 3, 4, 6, 30, 64, 576, 37_249] {
            let mut tried: Vec<usize> =
                (0..places).map(|restart| place_after(places / 3, restart, places)).collect();
            assert_eq!(tried[0], places / 3);
            tried.sort_unstable();
            assert!(tried.into_iter().eq(0..places), "{places}");
        }
    }
}
