//! The Linf search: vertical stripes of plus and minus eps to begin with, then squares in which every
//! channel is pushed to one face of the ball (Andriushchenko et al. 2020, section 3.3).

use super::{Draws, Square, place, sign};
use crate::attack::Search;
use crate::error::Result;
use crate::rng::Randomness;
use crate::rows::{self, Rows, kernel};

/// The clean images with stripes: one sign per image, channel and column.
pub(super) fn start(square: &Square, search: &mut Search<'_>, draws: &mut Draws) -> Result<Rows> {
    let [channels, height, width] = search.shape();
    let signs = draws.signs(search, &[channels, 1, width])?;
    let kernel = kernel!("square_stripes", height * width, width, square.eps);
    rows::map(kernel, [search.clean(), &signs], |_, [x0, signs], x| {
        for (i, (x, x0)) in x.iter_mut().zip(x0).enumerate() {
            let (channel, column) = (i / (height * width), i % width);
            *x = (x0 + square.eps * signs[channel * width + column]).clamp(0.0, 1.0);
        }
    })
}

/// `best` with one square of every image changed.
pub(super) fn change(
    square: &Square,
    search: &mut Search<'_>,
    draws: &mut Draws,
    query: usize,
    best: &Rows,
) -> Result<Rows> {
    let shape @ [channels, height, width] = search.shape();
    let side = square.side(query, shape).clamp(1, height.min(width));
    // Top, left, and the sign of every channel.
    let count = 2 + channels;
    let numbers = draws.shared(search, count)?;
    let randomness = search.randomness();
    let eps = square.eps;
    let kernel = kernel!(
        "square_linf",
        channels,
        height,
        width,
        side,
        randomness == Randomness::PerImage,
        eps,
    );
    rows::map(kernel, [best, search.clean(), &numbers], |_, [best, x0, numbers], x| {
        x.copy_from_slice(best);
        let top = place(numbers[0], side, height, randomness);
        let left = place(numbers[1], side, width, randomness);
        for (channel, number) in numbers[2..].iter().enumerate() {
            let push = 2.0 * eps * sign(*number);
            for i in top..top + side {
                let from = (channel * height + i) * width + left;
                for (x, x0) in x[from..from + side].iter_mut().zip(&x0[from..]) {
                    *x = (*x + push).max(x0 - eps).min(x0 + eps).clamp(0.0, 1.0);
                }
            }
        }
    })
}
