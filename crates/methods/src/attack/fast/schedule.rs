//! How much is spent on whom. The numbers were chosen on half of the networks at hand and are stated for the
//! others in `results/fast`.

use super::descent::Start;

/// Which class a run aims at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Toward {
    /// The largest other one at every step.
    Any,
    /// The one of this rank in the order of distance, from 0.
    Rank(usize),
}

/// One run on the images that are near enough.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    /// For images whose outlook is at most this.
    pub(super) within: f32,
    pub(super) toward: Toward,
    pub(super) start: Start,
    /// Steps along a random direction first.
    pub(super) adi: usize,
    /// Steps down the margin.
    pub(super) steps: usize,
}

const fn round(within: f32, toward: Toward, adi: usize, steps: usize) -> Round {
    Round { within, toward, start: Start::Inside, adi, steps }
}

/// The descents, in order. The classes are ranked after the first.
pub(super) const ROUNDS: &[Round] = &[
    Round { start: Start::Corner, ..round(f32::INFINITY, Toward::Any, 0, 20) },
    round(f32::INFINITY, Toward::Rank(0), 5, 15),
    round(f32::INFINITY, Toward::Rank(1), 5, 15),
    round(f32::INFINITY, Toward::Rank(2), 5, 15),
    round(1.0, Toward::Rank(0), 7, 20),
    round(1.0, Toward::Any, 7, 25),
    round(0.3, Toward::Rank(1), 7, 30),
    round(0.2, Toward::Any, 7, 40),
    round(0.1, Toward::Rank(2), 7, 50),
    round(0.07, Toward::Rank(0), 7, 60),
    round(0.05, Toward::Any, 7, 80),
    round(0.04, Toward::Rank(0), 7, 100),
];

/// The excess up to which an image that is still open gets each attack of AutoAttack, in its order. After all rounds it
/// says more than the outlook does.
pub(super) const THOROUGH: &[f32] = &[0.06, 0.06, 0.02, 0.1];

/// Runs whose excesses differ by this factor have ended differently.
pub(super) const SPREAD: f32 = 1.9;
