//! One run of FAB: from a starting point, n_iter times past the boundary of the linearised network
//! and back towards the clean image (Croce and Hein, ICML 2020, algorithm 1).

use super::projection::{dot, length, project};
use super::{Fab, Images, Keep, boundary};
use crate::attack::Search;
use crate::attack::search::image_state;
use crate::error::Result;
use crate::rows::{self, Rows, kernel};

pub(super) struct RunState<'a> {
    fab: &'a Fab,
    images: &'a mut Images,
    /// The class of every row to run towards; none for the nearest one.
    towards: Option<Rows>,
    x: Rows,
    /// Closest adversarial image of the run and its distance, `[N]`, for [`Keep::Run`].
    best: Rows,
    distances: Rows,
}

image_state!(RunState<'_> { images, towards, x, best, distances; fab });

impl<'a> RunState<'a> {
    /// A run from `x` towards the class of rank `rank`, or the nearest one for images without ranks.
    pub(super) fn new(
        fab: &'a Fab,
        search: &Search<'_>,
        images: &'a mut Images,
        rank: usize,
        x: Rows,
    ) -> Result<Self> {
        let (best, place) = (search.clean().clone(), search.location());
        let distances = Rows::numbers(place, vec![f32::INFINITY; search.len()])?;
        let ranked: Option<Vec<u32>> =
            images.classes.iter().map(|classes| classes.get(rank).copied()).collect();
        let towards = ranked.map(|of| Rows::classes(place, &of)).transpose()?;
        Ok(Self { fab, images, towards, x, best, distances })
    }

    pub(super) fn run(mut self, search: &mut Search<'_>) -> Result<()> {
        for _ in 0..self.fab.n_iter {
            self.advance(search)?;
            self.judge(search)?;
            if search.is_empty() {
                return Ok(());
            }
        }
        if self.fab.keep == Keep::Run { self.propose_best(search) } else { Ok(()) }
    }

    fn advance(&mut self, search: &mut Search<'_>) -> Result<()> {
        let Fab { norm, alpha_max, eta, .. } = *self.fab;
        let at = search.linearise(&self.x)?;
        let boundary = match &self.towards {
            None => boundary::nearest(search, &at, norm)?,
            Some(class) => boundary::with_class(search, &at, class)?,
        };
        let inputs = [&self.x, &boundary.w, &boundary.df, search.clean()];
        let kernel = kernel!("fab_step", norm.number(), alpha_max, eta);
        self.x = rows::map(kernel, inputs, |_, [x, w, df, x0], next| {
            self.fab.step(x, w, df[0], x0, next);
        })?;
        Ok(())
    }

    /// Steps back from what is adversarial, after proposing or remembering it.
    fn judge(&mut self, search: &mut Search<'_>) -> Result<()> {
        let Fab { norm, beta, keep, eps, .. } = *self.fab;
        let logits = search.logits(&self.x)?;
        let adversarial = search.succeeded(&logits)?;
        let (geometry, reached) = (norm.geometry(), self.x.clone());
        let mut counts = adversarial.clone();
        rows::update(
            kernel!("fab_judge", norm.number(), beta, keep as usize, eps),
            [
                &mut self.x,
                &mut self.best,
                &mut self.distances,
                &mut self.images.closest,
                &mut counts,
            ],
            [&reached, search.clean(), &adversarial],
            |_, [next, best, least, closest, counts], [x, x0, adversarial]| {
                if adversarial[0] == 0.0 {
                    return;
                }
                let distance = geometry.distance(x, x0) as f32;
                closest[0] = closest[0].min(distance);
                if keep == Keep::Run && distance < least[0] {
                    least[0] = distance;
                    best.copy_from_slice(x);
                }
                counts[0] = f32::from(u8::from(self.fab.counts(distance)));
                // x0 + beta (x - x0)
                for ((next, x), x0) in next.iter_mut().zip(x).zip(x0) {
                    *next = x0 + (x - x0) * beta;
                }
            },
        )?;
        if keep == Keep::Run {
            return Ok(());
        }
        let all: Vec<usize> = (0..search.len()).collect();
        search.propose_where(&all, &counts, &reached, &logits, self)
    }

    fn propose_best(mut self, search: &mut Search<'_>) -> Result<()> {
        let distances = self.distances.values()?;
        let of: Vec<usize> =
            (0..search.len()).filter(|row| self.fab.counts(distances[*row])).collect();
        if of.is_empty() {
            return Ok(());
        }
        let x = self.best.select(&of)?;
        let logits = search.logits_of(&of, &x)?;
        search.propose_for(&of, &x, &logits, &mut self)
    }
}

impl Fab {
    /// Whether an adversarial image at this distance is a success, in f32 and without slack, as in
    /// the published code.
    fn counts(&self, distance: f32) -> bool {
        distance.is_finite() && (self.keep == Keep::Closest || distance <= self.eps)
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
