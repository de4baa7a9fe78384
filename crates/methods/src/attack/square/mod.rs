//! Square (Andriushchenko et al., ECCV 2020), the attack of AutoAttack that asks for no gradient:
//! random search over changes inside one square at a time, whose side shrinks on a schedule, each
//! kept when the margin of the network falls. With PyTorch's random numbers its course is that of
//! the published code; otherwise every image has squares of its own.
//!
//! The published code needs square images of at least five pixels a side. Here no side is longer
//! than the shorter side of the image, and the bumps that the L2 and L1 search begins with are at
//! least a pixel wide and cut at the border.

mod bump;
mod redistribute;
mod stripes;

use super::gradient::{CONVEX, ball};
use super::{Attack, Entry, HyperParameters, Search};
use crate::error::Result;
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::rng::Randomness;
use crate::rows::{self, Rows, kernel};
use crate::threat::{Norm, Threat};

pub(super) const SQUARE: Entry = Entry {
    name: "square",
    about: "black-box random search over squares (Andriushchenko et al. 2020, in AutoAttack)",
    threats: CONVEX,
    is_control: false,
    fields: &[Square::FIELDS],
    build: |parameters, threat| {
        let (norm, eps) = ball(threat);
        Square::new(norm, eps).build(parameters)
    },
};

documented! {
    /// `square`: random search without gradients (Andriushchenko et al., ECCV 2020).
    #[derive(Debug, Clone, PartialEq)]
    pub struct Square {
        /// Norm of the ball.
        pub norm: Norm,
        /// Radius of the ball, in pixel units.
        pub eps: f32,
        /// Candidates of a restart after the first one, at least 1.
        pub n_queries: usize,
        /// Number of restarts, at least 1.
        pub n_restarts: usize,
        /// Share of the pixels that the first squares cover, above 0.
        pub p_init: f64,
        /// The sizes of the squares follow the share of the queries that are done, not their number.
        pub resc_schedule: bool,
    }
}

impl Square {
    /// AutoAttack's values: one restart of 5000 queries.
    pub fn new(norm: Norm, eps: f32) -> Self {
        Self { norm, eps, n_queries: 5000, n_restarts: 1, p_init: 0.8, resc_schedule: false }
    }
}

impl HyperParameters for Square {
    fn entry(&self) -> &'static Entry {
        &SQUARE
    }

    fn threat(&self) -> Threat {
        Threat::ball(self.norm, self.eps)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.n_queries = parameters.count("n_queries", self.n_queries)?;
        self.n_restarts = parameters.count("n_restarts", self.n_restarts)?;
        self.p_init = parameters.positive("p_init", self.p_init)?;
        self.resc_schedule = parameters.take("resc_schedule", self.resc_schedule)?;
        Ok(Box::new(self))
    }
}

impl Attack for Square {
    fn most_passes(&self, _: [usize; 3], _: usize) -> Option<f64> {
        Some(self.n_restarts as f64 * (self.n_queries as f64 + 1.0))
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        // With a target the published code climbs the cross-entropy.
        let loss = if search.targets().is_some() { Loss::CrossEntropy } else { Loss::Margin };
        for restart in 0..self.n_restarts as u32 {
            let mut draws = Draws { restart, next: 0 };
            let mut best = match self.norm {
                Norm::Linf => stripes::start(self, search, &mut draws)?,
                _ => redistribute::start(self, search, &mut draws)?,
            };
            let logits = search.logits(&best)?;
            let mut losses = search.losses(&logits, loss)?;
            search.propose(&best.clone(), &logits, (&mut best, &mut losses))?;
            let mut shape = None;
            for query in 0..self.n_queries {
                if search.is_empty() {
                    return Ok(());
                }
                let candidate = match self.norm {
                    Norm::Linf => stripes::change(self, search, &mut draws, query, &best)?,
                    _ => redistribute::change(self, search, &mut draws, query, &best, &mut shape)?,
                };
                let logits = search.logits(&candidate)?;
                let reached = search.losses(&logits, loss)?;
                rows::update(
                    kernel!("keep_larger"),
                    [&mut best, &mut losses],
                    [&candidate, &reached],
                    |_, [best, loss], [candidate, reached]| {
                        if reached[0] > loss[0] {
                            best.copy_from_slice(candidate);
                            loss[0] = reached[0];
                        }
                    },
                )?;
                search.propose(&candidate, &logits, (&mut best, &mut losses))?;
            }
        }
        Ok(())
    }
}

impl Square {
    /// Side of the square whose area is the scheduled share of an `[C, H, W]` image, before it is
    /// fitted to the image; halves are rounded to the even side.
    fn side(&self, query: usize, [_, height, width]: [usize; 3]) -> usize {
        (self.share(query) * (height * width) as f64).sqrt().round_ties_even() as usize
    }

    /// The share p of the pixels that a query changes, on the published schedule for 10,000 queries;
    /// `resc_schedule` stretches it to the number of queries.
    fn share(&self, query: usize) -> f64 {
        const HALVED_AFTER: [usize; 9] = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000];
        let query = if self.resc_schedule {
            (query as f64 / self.n_queries as f64 * 10_000.0) as usize
        } else {
            query
        };
        let halvings = HALVED_AFTER.iter().filter(|after| query > **after).count();
        self.p_init / f64::from(1_u32 << halvings)
    }
}

/// The numbers of one restart, in order: the same ones for an image whatever the batch, or the next
/// ones of the batch's sequence.
struct Draws {
    restart: u32,
    next: u32,
}

impl Draws {
    /// `count` numbers in [0, 1) for each image, `[N, count]`; one set for all where the published
    /// attack has one.
    fn shared(&mut self, search: &mut Search<'_>, count: usize) -> Result<Rows> {
        self.next += 1;
        search.uniform_shared(self.restart, self.next, count)
    }

    /// A sign for each image and each element of `shape`.
    fn signs(&mut self, search: &mut Search<'_>, shape: &[usize]) -> Result<Rows> {
        self.next += 1;
        let uniform = search.uniform_batch(self.restart, self.next, shape)?;
        rows::map(kernel!("square_signs"), [&uniform], |_, [u], signs| {
            signs.iter_mut().zip(u).for_each(|(s, u)| *s = sign(*u));
        })
    }
}

/// 1 or -1 by a number in [0, 1), and 0 for its exact middle, as published.
fn sign(uniform: f32) -> f32 {
    let centred = 2.0 * uniform - 1.0;
    if centred == 0.0 { 0.0 } else { centred.signum() }
}

/// Where a window of `side` begins along an axis of `length`, by a number in [0, 1). The published
/// draw never returns the last place; with per-image randomness all places are equally likely.
fn place(uniform: f32, side: usize, length: usize, randomness: Randomness) -> usize {
    let places = match randomness {
        Randomness::PerImage => length - side + 1,
        Randomness::Torch => length - side,
    };
    ((uniform * places as f32) as usize).min(length - side)
}

#[cfg(test)]
mod tests;
