//! Modes: how many samples an image gets. A mode says at which numbers of samples the votes are looked
//! at and how sure a bound of pA is at each look. At a look where every radius that is asked for is
//! decided (proved, or out of reach) the sampling of the image ends; a bound has to hold although it
//! was the votes that chose the look. A new mode is a file with a [`Mode`] and a line in [`ALL`].
//!
//! One lower bound serves every radius, so asking for many costs no confidence. Giving a radius up is a
//! matter of samples and not of soundness: the level of *those* bounds, beta, is the chance that it was
//! true.

mod anytime;
mod cohen;
mod grid;
mod radius;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

/// The modes.
pub const ALL: [&Mode; 4] = [&cohen::MODE, &grid::MODE, &radius::MODE, &anytime::MODE];

/// A way to spend samples.
#[derive(Debug)]
pub struct Mode {
    /// Its name in suites.
    pub name: &'static str,
    /// What it does, in a few words.
    pub about: &'static str,
    /// Why a bound holds, and what a radius of this mode is, as the rest of a sentence.
    pub guarantee: &'static str,
    /// How many radii can be asked for.
    pub radii: RangeInclusive<usize>,
    /// The looks, ascending, the last at N.
    looks: fn(&Question) -> Vec<Look>,
    /// The bound of pA from `(nA, n, level)`.
    lower: fn(u64, u64, f64) -> f64,
    /// Whether `(nA, n, level)` prove that pA is at least the last argument.
    proves: fn(u64, u64, f64, f64) -> bool,
}

impl PartialEq for Mode {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Mode {
    /// Cohen et al.'s: N samples of every image.
    pub const COHEN: &'static Self = &cohen::MODE;

    /// The smallest level at which a look at `n_a` votes of `n` proves that pA is at least `target`; 1
    /// if none does.
    pub fn p_value(&self, n_a: u64, n: u64, target: f64) -> f64 {
        let proves = |log: f64| (self.proves)(n_a, n, log.exp(), target);
        let (mut fails, mut works) = (1e-300f64.ln(), -f64::EPSILON);
        if !proves(works) {
            return 1.0;
        }
        for _ in 0..60 {
            let middle = 0.5 * (fails + works);
            if proves(middle) { works = middle } else { fails = middle }
        }
        works.exp()
    }

    /// Whether an image can be done before its N-th sample.
    pub fn stops_early(&self) -> bool {
        *self.radii.start() > 0
    }
}

/// What a mode has to decide.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// N, the most samples of an image.
    pub n: u64,
    /// Chance that the bound of pA is ever too large.
    pub alpha: f64,
    /// Chance that a true radius is given up.
    pub beta: f64,
    /// The values of pA that prove the radii, ascending; infinity for a radius that none proves.
    pub targets: Vec<f64>,
}

/// A look at the votes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// Samples until then.
    pub samples: u64,
    /// Level of the lower bound of pA.
    pub alpha: f64,
    /// Level of the upper bound of pA.
    pub beta: f64,
}

/// A mode at work on one question; the same for every image.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    mode: &'static Mode,
    targets: Vec<f64>,
    looks: Vec<Look>,
}

impl Rule {
    /// The rule by which `mode` decides `question`.
    pub fn new(mode: &'static Mode, question: Question) -> Self {
        Self { mode, looks: (mode.looks)(&question), targets: question.targets }
    }

    /// The looks, ascending.
    pub fn looks(&self) -> &[Look] {
        &self.looks
    }

    /// The number of samples up to which the image is sampled next, of which `n_a` of `drawn` voted for
    /// its class; `None` once it is decided.
    pub fn next(&self, n_a: u64, drawn: u64) -> Option<u64> {
        let at = self.looks.partition_point(|look| look.samples < drawn);
        match self.looks.get(at)? {
            look if look.samples > drawn => Some(look.samples),
            look if self.decided(n_a, look) => None,
            _ => self.looks.get(at + 1).map(|look| look.samples),
        }
    }

    /// The level at which pA is bounded at the look at `drawn` samples; 0 if there is no such look.
    pub fn level(&self, drawn: u64) -> f64 {
        let look = self.looks.iter().find(|look| look.samples == drawn);
        look.map_or(0.0, |look| look.alpha)
    }

    /// The lower bound of pA at the look at `drawn` samples.
    pub fn lower(&self, n_a: u64, drawn: u64) -> f64 {
        (self.mode.lower)(n_a, drawn, self.level(drawn))
    }

    /// Whether every target is proved, refuted, or beyond what unanimous votes from here on can prove.
    fn decided(&self, n_a: u64, look: &Look) -> bool {
        let Some(last) = self.looks.last() else { return true };
        let (proves, n) = (self.mode.proves, look.samples);
        let others = n.saturating_sub(n_a);
        // What is proved for a target is proved for the lower ones, and likewise upwards.
        let open = self.targets.iter().find(|target| !proves(n_a, n, look.alpha, **target));
        open.is_none_or(|target| {
            proves(others, n, look.beta, 1.0 - target)
                || !proves(last.samples.saturating_sub(others), last.samples, last.alpha, *target)
        })
    }
}

/// The least probability from 1/2 on for which `proves` holds, which is false up to it and true from
/// there; infinity if there is none below 1.
pub fn threshold(proves: impl Fn(f64) -> bool) -> f64 {
    let (mut below, mut least) = (0.5, 1f64.next_down());
    if proves(below) {
        return below;
    }
    if !proves(least) {
        return f64::INFINITY;
    }
    loop {
        let middle = 0.5 * (below + least);
        if !(middle > below && middle < least) {
            return least;
        }
        if proves(middle) { least = middle } else { below = middle }
    }
}

/// The largest f64 of which `parts` together are at most `whole`, not a last digit more: a level that
/// is spent in parts (Bonferroni).
pub fn share(whole: f64, parts: u64) -> f64 {
    let (share, parts) = (whole / parts.max(1) as f64, parts.max(1) as f64);
    // A fused product is rounded once, so the sign of the difference is the true one.
    if share.mul_add(parts, -whole) > 0.0 { share.next_down() } else { share }
}

/// How many times as many samples there are at a look as at the one before, about.
const RATIO: f64 = 2.4;

/// Looks from `first` samples to N, both levels split evenly.
fn split(question: &Question, first: u64) -> Vec<Look> {
    let n = question.n as f64;
    let first = first.clamp(1, question.n.max(1)) as f64;
    let steps = ((n / first).ln() / RATIO.ln()).round();
    let at = |step: u32| match f64::from(step) {
        step if step >= steps => question.n,
        step => (n * (first / n).powf(1.0 - step / steps)).round() as u64,
    };
    let mut samples: Vec<u64> = (0..=steps as u32).map(at).collect();
    samples.dedup();
    let parts = samples.len() as u64;
    let (alpha, beta) = (share(question.alpha, parts), share(question.beta, parts));
    samples.into_iter().map(|samples| Look { samples, alpha, beta }).collect()
}
