//! One run of FAB: from a starting point, n_iter times past the boundary of the linearised network
//! and back towards the clean image (Croce and Hein, ICML 2020, algorithm 1).

use candle_core::Tensor;

use super::projection::{dot, length, project};
use super::{Fab, Image, Keep, boundary};
use crate::attack::{Kept, Search};
use crate::error::Result;
use crate::ops::rows;

pub(super) struct Course<'f, 's, 'm> {
    fab: &'f Fab,
    search: &'s mut Search<'m>,
    images: &'s mut Vec<Image>,
    /// Place in [`Image::classes`] of the class to run towards.
    rank: usize,
    x: Tensor,
    /// Closest adversarial image of the run and its distance, for [`Keep::Run`].
    best: Tensor,
    distances: Vec<f64>,
}

impl<'f, 's, 'm> Course<'f, 's, 'm> {
    /// A run from `x` towards the class of rank `rank`, or the nearest one for images without ranks.
    pub(super) fn new(
        fab: &'f Fab,
        search: &'s mut Search<'m>,
        images: &'s mut Vec<Image>,
        rank: usize,
        x: Tensor,
    ) -> Self {
        let best = search.clean().clone();
        let distances = vec![f64::INFINITY; search.len()];
        Self { fab, search, images, rank, x, best, distances }
    }

    pub(super) fn run(mut self) -> Result<()> {
        for _ in 0..self.fab.n_iter {
            self.advance()?;
            self.judge()?;
            if self.search.is_empty() {
                return Ok(());
            }
        }
        if self.fab.keep == Keep::Run { self.propose_best() } else { Ok(()) }
    }

    fn advance(&mut self) -> Result<()> {
        let at = self.search.linearise(&self.x)?;
        let boundary = if self.images[0].classes.is_empty() {
            boundary::nearest(self.search, &at, self.fab.norm)?
        } else {
            let class: Vec<u32> = self.images.iter().map(|i| i.classes[self.rank]).collect();
            boundary::with_class(self.search, &at, &class)?
        };
        self.x =
            rows::map([&self.x, &boundary.w, self.search.clean()], |row, [x, w, x0], next| {
                self.fab.step(x, w, boundary.df[row], x0, next)
            })?;
        Ok(())
    }

    /// Steps back from what is adversarial, after proposing or remembering it.
    fn judge(&mut self) -> Result<()> {
        let logits = self.search.logits(&self.x)?;
        let all: Vec<usize> = (0..self.search.len()).collect();
        let adversarial = self.search.successes(&all, &logits)?;
        if !adversarial.contains(&true) {
            return Ok(());
        }
        let geometry = self.fab.norm.geometry();
        let distances = rows::reduce([&self.x, self.search.clean()], |row, [x, x0]| {
            if adversarial[row] { geometry.distance(x, x0) } else { f64::INFINITY }
        })?;
        for (image, distance) in self.images.iter_mut().zip(&distances) {
            image.closest = image.closest.min(*distance);
        }
        // x0 + beta (x - x0)
        let nearer = rows::map([&self.x, self.search.clean()], |row, [x, x0], next| {
            next.copy_from_slice(x);
            if adversarial[row] {
                next.iter_mut().zip(x0).for_each(|(x, x0)| *x = x0 + (*x - x0) * self.fab.beta);
            }
        })?;
        let x = std::mem::replace(&mut self.x, nearer);
        if self.fab.keep == Keep::Run {
            let closer = |row: usize| distances[row] < self.distances[row];
            self.best = rows::map([&self.best, &x], |row, [best, x], next| {
                next.copy_from_slice(if closer(row) { x } else { best });
            })?;
            for (best, distance) in self.distances.iter_mut().zip(distances) {
                *best = best.min(distance);
            }
            return Ok(());
        }
        let of: Vec<usize> =
            all.into_iter().filter(|row| self.fab.counts(distances[*row])).collect();
        let logits = rows::select(&logits, &of)?;
        let kept = self.search.propose_for(&of, &rows::select(&x, &of)?, &logits)?;
        self.follow(&kept)
    }

    fn propose_best(mut self) -> Result<()> {
        let of: Vec<usize> =
            (0..self.search.len()).filter(|row| self.fab.counts(self.distances[*row])).collect();
        if of.is_empty() {
            return Ok(());
        }
        let x = rows::select(&self.best, &of)?;
        let logits = self.search.logits_of(&of, &x)?;
        let kept = self.search.propose_for(&of, &x, &logits)?;
        self.follow(&kept)
    }

    fn follow(&mut self, kept: &Kept) -> Result<()> {
        kept.shrink(&mut self.x)?;
        kept.shrink(&mut self.best)?;
        kept.shrink_values(&mut self.distances);
        kept.shrink_values(self.images);
        Ok(())
    }
}

impl Fab {
    /// Whether an adversarial image at this distance is a success, in f32 and without slack, as in
    /// the published code.
    fn counts(&self, distance: f64) -> bool {
        distance.is_finite() && (self.keep == Keep::Closest || distance as f32 <= self.eps)
    }

    /// One step of one image: past the boundary from x and from x0, and between the two, the nearer
    /// to x0 the shorter the way from there.
    fn step(&self, x: &[f32], w: &[f32], df: f32, x0: &[f32], next: &mut [f32]) {
        // w . z - b at z = x and at z = x0.
        let at_x = f64::from(df);
        let at_x0 = at_x + dot(x0, w) - dot(x, w);
        let (d1, mut d2) = (next, vec![0.0; x0.len()]);
        project(self.norm, x, w, at_x, d1);
        project(self.norm, x0, w, at_x0, &mut d2);
        let (a1, a2) = (length(self.norm, d1).max(1e-8), length(self.norm, &d2).max(1e-8));
        let alpha = (a1 / (a1 + a2)).min(self.alpha_max) as f32;
        for (((d1, d2), x), x0) in d1.iter_mut().zip(&d2).zip(x).zip(x0) {
            let (from_x, from_x0) = (x + self.eta * *d1, x0 + self.eta * d2);
            *d1 = (from_x * (1.0 - alpha) + from_x0 * alpha).clamp(0.0, 1.0);
        }
    }
}
