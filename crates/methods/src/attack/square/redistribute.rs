//! The L2 and the L1 search: bumps all over the image to begin with, then the budget of two windows,
//! and what is left of the whole, goes into a bump in one of them (Andriushchenko et al. 2020,
//! section 3.4 and algorithm 3; for L1 as in AutoAttack).

use std::sync::Arc;

use super::bump::{Bump, length};
use super::{Draws, Square, place};
use crate::attack::Search;
use crate::error::Result;
use crate::rng::Randomness;
use crate::rows::{self, Kernel, Rows, kernel};
use crate::threat::{Norm, project_on_l1_ball_and_box};

/// Keeps divisions by a length finite, as published.
const TINY: f32 = 1e-12;

/// One bump of the first perturbation.
struct Tile {
    top: usize,
    left: usize,
    /// Per image.
    turned: Arc<Vec<f32>>,
    /// Per image and channel.
    signs: Arc<Vec<f32>>,
}

/// The clean images with bumps of a fifth of the image side by side, one sign per image, channel and
/// bump.
pub(super) fn start(square: &Square, search: &mut Search<'_>, draws: &mut Draws) -> Result<Rows> {
    let [channels, height, width] = search.shape();
    let shorter = height.min(width);
    let side = (shorter / 5).max(1);
    let bump = Bump::new(square.norm, side);
    let begin = shorter.saturating_sub(5 * side) / 2;
    let places = |length: usize| (begin..begin + length / side * side).step_by(side);
    let mut tiles = Vec::new();
    for top in places(height) {
        for left in places(width) {
            let turned = draws.shared(search, 1)?.values()?;
            let signs = draws.signs(search, &[channels])?.values()?;
            tiles.push(Tile { top, left, turned, signs });
        }
    }
    rows::map(Kernel::NONE, [search.clean()], |row, [x0], x| {
        x.fill(0.0);
        for tile in &tiles {
            for channel in 0..channels {
                let sign = tile.signs[row * channels + channel];
                for i in tile.top..(tile.top + side).min(height) {
                    for j in tile.left..(tile.left + side).min(width) {
                        let value = bump.at(i - tile.top, j - tile.left, tile.turned[row] > 0.5);
                        x[(channel * height + i) * width + j] = sign * value;
                    }
                }
            }
        }
        square.fit(x, x0);
    })
}

/// The bump of the queries at hand, and its values where the search is.
pub(super) struct Shape {
    bump: Bump,
    values: Rows,
}

/// `best` with the perturbation of two windows gathered in the first; `shape` is kept from query to
/// query.
pub(super) fn change(
    square: &Square,
    search: &mut Search<'_>,
    draws: &mut Draws,
    query: usize,
    best: &Rows,
    shape: &mut Option<Shape>,
) -> Result<Rows> {
    let sides @ [channels, height, width] = search.shape();
    let side = (square.side(query, sides).max(3) | 1).min(height.min(width));
    if shape.as_ref().is_none_or(|shape| shape.bump.side != side) {
        let bump = Bump::new(square.norm, side);
        let values = Rows::for_all(search.location(), bump.values().to_vec())?;
        *shape = Some(Shape { bump, values });
    }
    let Some(Shape { bump, values }) = shape else { return Ok(best.clone()) };
    // Top and left of two windows, and which way the bump is turned.
    const COUNT: usize = 5;
    let numbers = draws.shared(search, COUNT)?;
    let signs = draws.signs(search, &[channels])?;
    let randomness = search.randomness();
    let kernel = kernel!(
        "square_gather",
        channels,
        height,
        width,
        side,
        randomness == Randomness::PerImage,
        square.norm.number(),
        square.eps,
    );
    let inputs = [best, search.clean(), &numbers, &signs, values];
    rows::map(kernel, inputs, |_, [best, x0, numbers, signs, _], x| {
        let window = |vertical: f32, horizontal: f32| Window {
            top: place(vertical, side, height, randomness),
            left: place(horizontal, side, width, randomness),
            side,
            width,
        };
        let (to, from) = (window(numbers[0], numbers[1]), window(numbers[2], numbers[3]));
        for ((x, best), x0) in x.iter_mut().zip(best).zip(x0) {
            *x = best - x0;
        }
        let left = square.left(x) / channels as f32;
        for (delta, sign) in x.chunks_exact_mut(height * width).zip(signs) {
            let turned = numbers[4] > 0.5;
            let shape = |i: usize, j: usize| sign * bump.at(i, j, turned);
            square.gather(delta, &to, &from, left, channels as f32, shape);
        }
        square.fit(x, x0);
    })
}

/// A square part of one channel.
struct Window {
    top: usize,
    left: usize,
    side: usize,
    /// Of the image.
    width: usize,
}

impl Window {
    /// Its elements, row by row.
    fn elements(&self) -> impl Iterator<Item = usize> {
        let Self { top, left, side, width } = *self;
        (top..top + side).flat_map(move |i| i * width + left..i * width + left + side)
    }

    fn contains(&self, element: usize) -> bool {
        let (i, j) = (element / self.width, element % self.width);
        (self.top..self.top + self.side).contains(&i)
            && (self.left..self.left + self.side).contains(&j)
    }
}

impl Square {
    /// What a perturbation leaves unused: of eps in L1, of its square in L2, where lengths add up in
    /// their squares.
    fn left(&self, delta: &[f32]) -> f32 {
        let used = length(self.norm, delta.iter().copied());
        match self.norm {
            Norm::L1 => (self.eps - used).max(0.0),
            _ => (self.eps * self.eps - used * used).max(0.0),
        }
    }

    /// Gathers the perturbation of one channel in two windows, with the share `left` of what is left
    /// unused, in the window `to`; its new form is the old one with `shape` added.
    fn gather(
        &self,
        delta: &mut [f32],
        to: &Window,
        from: &Window,
        left: f32,
        channels: f32,
        shape: impl Fn(usize, usize) -> f32,
    ) {
        let norm = self.norm;
        let old = length(norm, to.elements().map(|at| delta[at]));
        let both = to.elements().chain(from.elements().filter(|at| !to.contains(*at)));
        let budget = length(norm, both.map(|at| delta[at]));
        for (k, at) in to.elements().enumerate() {
            delta[at] = shape(k / to.side, k % to.side) + delta[at] / (TINY + old);
        }
        let new = length(norm, to.elements().map(|at| delta[at]));
        let scale = match norm {
            Norm::L1 => (left + budget) * channels,
            _ => (left + budget * budget).sqrt(),
        };
        for at in from.elements().filter(|at| !to.contains(*at)) {
            delta[at] = 0.0;
        }
        for at in to.elements() {
            delta[at] = delta[at] / (TINY + new) * scale;
        }
    }

    /// Turns a perturbation in `x` into an image in the ball around `x0`: on its surface, except
    /// where the box stops it.
    fn fit(&self, x: &mut [f32], x0: &[f32]) {
        if self.norm == Norm::L1 {
            let mut correction = vec![0.0; x.len()];
            // A little inside, as published.
            let eps = (f64::from(self.eps) * (1.0 - 1e-6)) as f32;
            project_on_l1_ball_and_box(x0, x, eps, &mut correction);
            for ((x, c), x0) in x.iter_mut().zip(&correction).zip(x0) {
                // Corrections first: those that take a change back leave no residue of it.
                *x = (x0 + (*x + c)).clamp(0.0, 1.0);
            }
            return;
        }
        let length = length(self.norm, x.iter().copied()) + TINY;
        for (x, x0) in x.iter_mut().zip(x0) {
            *x = (x0 + *x / length * self.eps).clamp(0.0, 1.0);
        }
    }
}
