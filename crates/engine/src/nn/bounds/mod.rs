//! Bounds of a network over a set of images, read from its program: interval bound propagation
//! (IBP; Gowal et al., "On the effectiveness of interval bound propagation", 2018) and backward
//! linear relaxation (Fast-Lin: Weng et al., ICML 2018; CROWN: Zhang et al., NeurIPS 2018).
//! The certificates of the methods, above, are made of them.
//!
//! `interval` walks the program's steps forwards with a box, `substitute` backwards with a linear function of some
//! value, replacing each affine step by its transpose and each relu or max pool by the line on the right side of
//! it (`relax`), until the function is one of the image, whose minimum a [`Region`] knows. A value that is read
//! several times has coefficients from each of its readers, which are added.
//!
//! # What is bounded, and rounding
//! The bounds hold for the values that the f32 engine *computes*, not only for the real function
//! behind them, and our own f64 arithmetic is accounted for as well. Let u = 2^-24 and v = 2^-53 be
//! the unit roundoffs, g(n, u) = n u / (1 - n u) (Higham, "Accuracy and stability of numerical
//! algorithms", lemma 3.1), x an activation with |x| <= m element by element, and M = |W| m + |b|.
//!
//! 1. The engine computes y = W x + b + e. One value of y is a sum of k products (`terms`) and a bias,
//!    added in any order, with or without fused multiply-adds, so |e| <= g(k + 2, u) M + k 2^-126;
//!    the last summand covers results that underflow, even if they are flushed to zero, and the one
//!    spare rounding the reciprocal by which a mean is divided. relu, maxima and moves are exact. A
//!    layer whose M could overflow f32 has infinite bounds.
//! 2. Intervals: W c + b and |W| r are f64 sums of at most k + 1 terms, |c| <= m, r <= 2 m, so together
//!    they are off by at most 3 g(k + 3, v) M.
//! 3. Substitution: with coefficients A of y, the computed coefficients A' of x satisfy
//!    |A' - A W| <= g(n, v) |A| |W|, n being the length of the sums, hence
//!    |(A' - A W) x| <= g(n, v) |A| M: no second matrix product is needed. The constant A b is off by
//!    at most g(n, v) |A| M, the product of A with a slope of at most 1 by v |A| m, and the sum of two
//!    coefficients by v |A'| m.
//! 4. M itself, and the dot products with |A|, are off by a relative g(n, v).
//! 5. A convolution by minimal filtering F(2x2, 3x3) adds other products than those of the definition.
//!    Written out, the absolute values of its summands come to at most 4 per axis and weight, so to
//!    16 max(m) sum |w| + |b|, which takes the place of M in 1.; a summand is rounded at most I + 10 <=
//!    k + 2 times, I being the input channels and k = 9 I. Transformed weights that underflow cost
//!    another k 2^-126 4 max(m).
//! 6. The engine runs the program as [`Program::fused`] rewrites it. A relu is exact wherever it stands. Of
//!    a convolution and an affine layer y s + t it computes W' x + b' at once, with W' = W s and b' =
//!    b s + t rounded to f32, so |e| <= g(k + 3, u) (|s| M + |t|). With k + 1 for k in both
//!    steps of the program, the slack of the first, times |s|, and that of the second cover this; each further affine
//!    layer adds one to k.
//!
//! No sum has more than 2^20 terms ([`Bounder::new`] refuses wider layers), so g(n, v) < 2^-32.9 and
//! 2. and 3. stay below 2^-30 M, 4. below a relative 2^-20. Each layer therefore has a *slack*,
//! ((g(k + 2, u) + 2^-30) M + k 2^-126) (1 + 2^-20), by which its interval is widened and which
//! |A| carries into the constant; constants are added with [`f64::next_down`]. f64 underflow costs
//! less than 2^-800 in all (fewer than 2^60 products of at most 2^-1074 times values below 2^128),
//! which is taken off at the end.
//!
//! Not covered: other products (larger Winograd tiles, TF32), and folded weights outside of f32's normal
//! range.

mod affine_map;
mod interval;
pub mod region;
mod relax;
mod substitute;
#[cfg(test)]
mod tests;

pub use region::Region;

use super::operation::Op;
use super::program::{IMAGE, Program, Step, Value};
use crate::error::{Error, Result};
use affine_map::AffineMap;
use interval::Bound;
use substitute::Depth;

/// f64 rounding per layer, relative to its magnitude M: see the module's text.
const F64_SLACK: f64 = 1.0 / (1u64 << 30) as f64;

/// Longest sum for which [`F64_SLACK`] is derived.
const MOST_TERMS: usize = 1 << 20;

/// f64 underflow in all.
const UNDERFLOW: f64 = 1e-240;

/// How bounds are found. All but IBP are intersected with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Intervals.
    Ibp,
    /// Intervals up to the last layers, then CROWN for the margins (Zhang et al., ICLR 2020, without
    /// the training).
    CrownIbp,
    /// Backward substitution for every ambiguous relu; lower line parallel to the upper one.
    FastLin,
    /// Backward substitution for every ambiguous relu; lower line 0 or x, whichever leaves less area
    /// (Zhang et al. 2018, section 3.3).
    Crown,
}

impl Method {
    /// All methods, the cheapest first.
    pub const ALL: [Self; 4] = [Self::Ibp, Self::CrownIbp, Self::FastLin, Self::Crown];

    /// Name in suites and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ibp => "ibp",
            Self::CrownIbp => "crown-ibp",
            Self::FastLin => "fast-lin",
            Self::Crown => "crown",
        }
    }

    /// Whether the inputs of every relu are bounded by substitution, too.
    fn refines(self) -> bool {
        matches!(self, Self::FastLin | Self::Crown)
    }
}

impl std::str::FromStr for Method {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|method| method.name() == name)
            .ok_or_else(|| Error::unknown("bound", name, Self::ALL.map(Self::name)))
    }
}

/// A network, ready to be bounded.
#[derive(Debug)]
pub struct Bounder {
    /// With every relu as a step of its own.
    program: Program,
    /// Of every value: the affine map that makes it, if it is one.
    maps: Vec<Option<AffineMap>>,
    /// Of every value: whether a relu or a max pool reads it.
    feeds: Vec<Option<Feeds>>,
    /// Of every value: no relu or max pool comes before it.
    linear: Vec<bool>,
}

/// What reads a value, of the operations that are relaxed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Feeds {
    Relu,
    MaxPool,
}

impl Bounder {
    /// Prepares the steps of `program`.
    ///
    /// # Errors
    /// If an operation has no bounds (the error names it) or is too wide.
    pub fn new(program: &Program) -> Result<Self> {
        let program = program.relus_apart()?;
        let values = program.shapes().len();
        let mut bounder =
            Self { program, maps: vec![None], feeds: vec![None; values], linear: vec![true] };
        for i in 0..bounder.program.steps().len() {
            bounder.prepare(i)?;
        }
        Ok(bounder)
    }

    fn prepare(&mut self, i: usize) -> Result<()> {
        let step = self.program.steps()[i].clone();
        let mut map = None;
        match &*step.op {
            Op::Relu(_) => {
                self.feeds[step.inputs[0]].get_or_insert(Feeds::Relu);
            }
            Op::MaxPool(_) => self.feeds[step.inputs[0]] = Some(Feeds::MaxPool),
            Op::Sum(_) | Op::Concat(_) => {}
            op => {
                let inputs = self.program.inputs_of(&step);
                let Some(mut form) = op.affine_form(&inputs)? else {
                    return Err(without_bounds(&op.describe()));
                };
                if let Op::Affine(_) = op {
                    form.terms += self.fold(step.inputs[0]);
                }
                map = Some(AffineMap::new(form, inputs[0], &op.describe())?);
            }
        }
        let relaxed = matches!(&*step.op, Op::Relu(_) | Op::MaxPool(_));
        self.linear.push(!relaxed && step.inputs.iter().all(|input| self.linear[*input]));
        self.maps.push(map);
        Ok(())
    }

    /// The value `at` goes into an affine step, into which the engine may fold the one that makes it: the
    /// steps of such a chain round once more each. Returns the most terms of one of them.
    fn fold(&mut self, mut at: Value) -> usize {
        let mut most = 0;
        while let Some(map) = &mut self.maps[at]
            && map.terms() > 0
        {
            map.round_once_more();
            most = most.max(map.terms());
            at = self.program.steps()[at - 1].inputs[0];
        }
        most
    }

    /// The step that makes a value; none makes the image.
    fn step(&self, at: Value) -> Option<&Step> {
        (at != IMAGE).then(|| &self.program.steps()[at - 1])
    }
}

/// The error of an operation that cannot be bounded.
fn without_bounds(operation: &str) -> Error {
    Error::setting(
        format!("layer {operation}"),
        "has no deterministic bounds",
        "certify the network by smoothing, which asks nothing of its layers",
    )
}

impl Bounder {
    /// Lower bounds of `z_class - z_j` over the region for every other class j, ascending, z being
    /// the logits as the f32 engine computes them. If all are above 0, the network answers `class`
    /// everywhere in the region. NaN says nothing.
    ///
    /// # Errors
    /// If the region is not of the network's input shape or there is no such class.
    pub fn margins(&self, region: &dyn Region, class: usize, method: Method) -> Result<Vec<f64>> {
        let bounds = self.bounds(region, method)?;
        let classes = self.program.output_shape().len();
        if class >= classes {
            return Err(Error::setting(
                "class",
                format!("{class} is not one of {classes}"),
                "check the labels of the data set",
            ));
        }
        let mut rows = vec![0.0; (classes - 1) * classes];
        for (other, row) in (0..classes).filter(|j| *j != class).zip(rows.chunks_mut(classes)) {
            (row[class], row[other]) = (1.0, -1.0);
        }
        let minima =
            |depth| self.minima(self.program.output(), rows.clone(), &bounds, region, depth);
        let mut margins = minima(Depth::Interval)?;
        if method != Method::Ibp {
            let whole = minima(Depth::Image)?;
            margins.iter_mut().zip(whole).for_each(|(m, w)| *m = m.max(w));
        }
        Ok(margins)
    }

    /// Lower and upper bounds of every logit over the region.
    ///
    /// # Errors
    /// As [`Bounder::margins`].
    pub fn logits(&self, region: &dyn Region, method: Method) -> Result<(Vec<f64>, Vec<f64>)> {
        let mut bounds = self.bounds(region, method)?;
        let all: Vec<usize> = (0..self.program.output_shape().len()).collect();
        self.refine(self.program.output(), &all, &mut bounds, region, Depth::Interval)?;
        if method != Method::Ibp {
            self.refine(self.program.output(), &all, &mut bounds, region, Depth::Image)?;
        }
        let Bound { lower, upper, .. } = bounds.swap_remove(self.program.output());
        Ok((lower, upper))
    }
}
