//! Attacks that see answers and no gradients. Such an attack is a sequence of questions about each image by itself, of
//! which the next one depends on the answers so far; here all images ask one question at a time, so that a budget of
//! queries is one for every image, bisections and starts included.

mod bandits;
mod bisection;
mod boundary;
mod hop_skip_jump;
mod nes;
mod rays;
mod sign_opt;
mod simba;
mod sparse_rs;
mod spsa;

pub(super) use bandits::BANDITS;
pub use bandits::Bandits;
pub(super) use boundary::BOUNDARY;
pub use boundary::Boundary;
pub(super) use hop_skip_jump::HOP_SKIP_JUMP;
pub use hop_skip_jump::HopSkipJump;
pub(super) use nes::NES;
pub use nes::Nes;
pub(super) use rays::RAYS;
pub use rays::Rays;
pub(super) use sign_opt::SIGN_OPT;
pub use sign_opt::SignOpt;
pub(super) use simba::SIMBA;
pub use simba::{Simba, SimbaBasis};
pub(super) use sparse_rs::SPARSE_RS;
pub use sparse_rs::SparseRs;
pub(super) use spsa::SPSA;
pub use spsa::Spsa;

use super::Search;
use crate::error::Result;
use crate::loss::Loss;
use crate::rng::Draw;
use crate::rows::Rows;

/// What the network says of an image that was asked about.
struct Answer<'a> {
    logits: &'a [f32],
    label: usize,
    target: Option<usize>,
    /// It is what the attacker wants.
    success: bool,
}

impl Answer<'_> {
    /// By how much another class is ahead of the label, or the target ahead of the others.
    fn margin(&self) -> f32 {
        self.loss(Loss::Margin)
    }

    fn loss(&self, loss: Loss) -> f32 {
        loss.of(self.logits, self.label, self.target, &mut vec![0.0; self.logits.len()])
    }
}

/// The sequence of questions about one image.
trait QuerySequence: Clone {
    /// The next image to ask about, given the answer to the last one; `None` if there is nothing left to ask. `draw`
    /// gives the image's random numbers, by the number of the draw.
    fn next(&mut self, answer: Option<&Answer<'_>>, draw: &dyn Fn(u32) -> Draw)
    -> Option<Vec<f32>>;
}

/// Asks the questions of every active image, `queries` of each at most; every image that is asked about is a candidate.
fn ask<C: QuerySequence>(
    search: &mut Search<'_>,
    mut sequences: Vec<C>,
    queries: usize,
) -> Result<()> {
    let mut questions: Vec<Option<Vec<f32>>> = Vec::with_capacity(sequences.len());
    for (row, sequence) in sequences.iter_mut().enumerate() {
        questions.push(sequence.next(None, &|number| search.draw(row, 0, number)));
    }
    let [channels, height, width] = search.shape();
    for _ in 0..queries {
        let of: Vec<usize> = (0..questions.len()).filter(|row| questions[*row].is_some()).collect();
        if of.is_empty() {
            return Ok(());
        }
        let numbers = of.iter().filter_map(|row| questions[*row].take()).flatten().collect();
        let x = Rows::new(search.location(), [of.len(), channels, height, width], numbers)?;
        let logits = search.logits_of(&of, &x)?;
        let (z, classes) = (logits.values()?, logits.width());
        for (row, z) in of.iter().zip(z.chunks_exact(classes.max(1))) {
            let answer = Answer {
                logits: z,
                label: search.labels()[*row] as usize,
                target: search.targets().map(|targets| targets[*row] as usize),
                success: search.active.criterion(*row).met_by_logits(z),
            };
            let draw = |number| search.draw(*row, 0, number);
            questions[*row] = sequences[*row].next(Some(&answer), &draw);
        }
        search.propose_for(&of, &x, &logits, (&mut sequences, &mut questions))?;
        if search.is_empty() {
            return Ok(());
        }
    }
    Ok(())
}

/// The clean images, one by one.
fn clean(search: &Search<'_>) -> Result<Vec<Vec<f32>>> {
    let width = search.clean().width();
    Ok(search.clean().values()?.chunks_exact(width).map(<[f32]>::to_vec).collect())
}
