//! PGD inside a patch at a random place: the empirical attack of the certified-defence papers
//! (Xiang et al., USENIX Security 2021). Untargeted, whole range, signed steps, a new place and a new
//! random content per image and restart.

use super::{descend_inside, paste, patch_of, windows_of};
use crate::attack::{Attack, Entry, Search, Threats};
use crate::error::Result;
use crate::rows::Rows;
use crate::threat::Patch;

/// See the module's documentation; the defaults are those of the paper's code.
pub(in crate::attack) const PATCH_PGD: Entry = Entry {
    name: "patch-pgd",
    about: "signed gradient steps in a patch at random places (Xiang et al. 2021)",
    threats: Threats::Patch,
    control: false,
    build: |parameters, threat| {
        Ok(Box::new(PatchPgd {
            patch: patch_of(threat),
            steps: parameters.count("steps", 500)?,
            alpha: parameters.positive("alpha", 0.05)? as f32,
            restarts: parameters.count("restarts", 1)?,
        }))
    },
};

struct PatchPgd {
    patch: Patch,
    steps: usize,
    alpha: f32,
    restarts: usize,
}

impl Attack for PatchPgd {
    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        for restart in 0..self.restarts as u32 {
            let mut windows = random_windows(search, self.patch, restart)?;
            let content = random_content(search, self.patch, restart)?;
            let x = paste(search, self.patch, &windows, &content)?;
            descend_inside(search, self.patch, &mut windows, x, self.steps, self.alpha)?;
            if search.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// A uniformly drawn place for every active row, `[N, 2]`.
pub(super) fn random_windows(search: &Search<'_>, patch: Patch, restart: u32) -> Result<Rows> {
    let shape = search.shape();
    let window =
        |row| patch.place(search.draw(row, restart, 0).below(0, patch.places(shape)), shape);
    windows_of(search.place(), &(0..search.len()).map(window).collect::<Vec<_>>())
}

/// Uniformly drawn pixels for every active row, `[N, C, height, width]`.
pub(super) fn random_content(search: &Search<'_>, patch: Patch, restart: u32) -> Result<Rows> {
    search.uniform_of_images(restart, 1, &[search.shape()[0], patch.height, patch.width])
}
