//! Forwards: a box around every value, tightened by substitution where the method asks
//! for it.

use super::relax::Relaxation;
use super::substitute::Depth;
use super::{Bounder, F64_SLACK, Feeds, Method, Region, without_bounds};
use crate::error::{Error, Result};
use crate::nn::operation::{MaxPool, Op};
use crate::nn::program::{IMAGE, Value};

/// What is known about a value of the program.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    pub(super) lower: Vec<f64>,
    pub(super) upper: Vec<f64>,
    /// What coefficients lose when they pass: see the text of [`super`].
    pub(super) slack: Vec<f64>,
    /// The lines around a relu or a max pool.
    pub(super) relaxation: Option<Relaxation>,
}

impl Bound {
    /// A box.
    pub(super) fn of(lower: Vec<f64>, upper: Vec<f64>) -> Self {
        Self { lower, upper, slack: Vec::new(), relaxation: None }
    }

    fn widen(&mut self, by: &[f64]) {
        self.lower.iter_mut().zip(by).for_each(|(l, by)| *l -= by);
        self.upper.iter_mut().zip(by).for_each(|(u, by)| *u += by);
    }

    fn widen_by_slack(mut self) -> Self {
        let slack = std::mem::take(&mut self.slack);
        self.widen(&slack);
        Self { slack, ..self }
    }

    /// The largest absolute value of each element.
    pub(super) fn magnitude(&self) -> Vec<f64> {
        self.lower.iter().zip(&self.upper).map(|(l, u)| l.abs().max(u.abs())).collect()
    }
}

impl Bounder {
    /// Bounds of all values.
    pub(super) fn bounds(&self, region: &dyn Region, method: Method) -> Result<Vec<Bound>> {
        let (lower, upper) = region.hull();
        let input = self.program.input();
        if lower.len() != input.len() || upper.len() != lower.len() {
            return Err(Error::setting(
                "image",
                format!("has {} pixels, the network takes {input}", lower.len()),
                "choose a data set of the network's input shape",
            ));
        }
        let mut image = Bound::of(lower.to_vec(), upper.to_vec());
        image.slack = scaled(&image.magnitude(), F64_SLACK);
        let mut bounds = vec![image];
        for (at, shape) in self.program.shapes().iter().enumerate() {
            if at != IMAGE {
                bounds.push(self.interval(at, &bounds, method)?);
            }
            let Some(feeds) = self.feeds[at] else { continue };
            // What comes out of a relu is as well known as what went in.
            let is_relu = self.step(at).is_some_and(|step| matches!(*step.op, Op::Relu(_)));
            let all = 0..if is_relu { 0 } else { shape.len() };
            let elements: Vec<usize> = if self.linear[at] && !region.is_box() {
                all.collect()
            } else if method.refines() {
                let Bound { lower, upper, .. } = &bounds[at];
                let ambiguous = |i: &usize| !(lower[*i] >= 0.0 || upper[*i] <= 0.0);
                all.filter(|i| feeds == Feeds::MaxPool || ambiguous(i)).collect()
            } else {
                continue;
            };
            self.refine(at, &elements, &mut bounds, region, Depth::Image)?;
        }
        Ok(bounds)
    }

    /// Tightens the bounds of some elements of a value by substitution.
    pub(super) fn refine(
        &self,
        at: Value,
        elements: &[usize],
        bounds: &mut [Bound],
        region: &dyn Region,
        depth: Depth,
    ) -> Result<()> {
        let width = self.program.shapes()[at].len();
        for part in elements.chunks(ROWS / 2) {
            let mut rows = vec![0.0; 2 * part.len() * width];
            for (pair, element) in rows.chunks_mut(2 * width).zip(part) {
                (pair[*element], pair[width + element]) = (1.0, -1.0);
            }
            let minima = self.minima(at, rows, bounds, region, depth)?;
            for (pair, element) in minima.chunks(2).zip(part) {
                let Bound { lower, upper, .. } = &mut bounds[at];
                // NaN is never taken.
                lower[*element] = lower[*element].max(pair[0]);
                upper[*element] = upper[*element].min(-pair[1]);
            }
        }
        Ok(())
    }
}

/// Rows of coefficients that are substituted together.
const ROWS: usize = 256;

impl Bounder {
    /// The box of a value from those of the values that its step reads.
    fn interval(&self, at: Value, bounds: &[Bound], method: Method) -> Result<Bound> {
        let empty = || Bound::of(Vec::new(), Vec::new());
        let Some(step) = self.step(at) else { return Ok(empty()) };
        let (shapes, shape) = (self.program.shapes(), self.program.shapes()[at]);
        let inputs = || step.inputs.iter().map(|i| &bounds[*i]);
        let Some(input) = inputs().next() else { return Ok(empty()) };
        let zeros = || vec![0.0; shape.len()];
        let mut bound = match (&*step.op, &self.maps[at]) {
            (_, Some(map)) => {
                let ends = || input.lower.iter().zip(&input.upper);
                let centre: Vec<f64> = ends().map(|(l, u)| f64::midpoint(*l, *u)).collect();
                let radius =
                    ends().zip(&centre).map(|((l, u), c)| (u - c).max(c - l).next_up()).collect();
                let (centre, radius) = (map.forward(centre)?, map.absolute(radius)?);
                let mut bound = Bound::of(centre.clone(), centre);
                bound.widen(&radius);
                bound.slack = map.slack(input.magnitude())?;
                bound.widen_by_slack()
            }
            (Op::Relu(_), _) => {
                let positive = |v: &[f64]| v.iter().map(|v| v.max(0.0)).collect();
                let mut bound = Bound::of(positive(&input.lower), positive(&input.upper));
                bound.slack = scaled(&input.magnitude(), F64_SLACK);
                bound.relaxation = Some(Relaxation::relu(input, method));
                bound
            }
            (Op::MaxPool(MaxPool(window)), _) => {
                let from = shapes[step.inputs[0]].image("max pool")?;
                let [height, width, _] = shape.image("max pool")?;
                let (relaxation, mut bound) =
                    Relaxation::max_pool(input, *window, from, [height, width]);
                bound.slack = scaled(&bound.slack, F64_SLACK);
                bound.relaxation = Some(relaxation);
                bound
            }
            (Op::Sum(_), _) => {
                let (mut bound, mut total) = (Bound::of(zeros(), zeros()), zeros());
                for input in inputs() {
                    add(&mut bound.lower, &input.lower);
                    add(&mut bound.upper, &input.upper);
                    add(&mut total, &input.magnitude());
                }
                // b - 1 additions in the engine; b leaves one to spare.
                let rounding = step.inputs.len() as f64 / (1 << 24) as f64;
                bound.slack = scaled(&total, rounding / (1.0 - rounding) + F64_SLACK);
                bound.widen_by_slack()
            }
            (Op::Concat(_), _) => {
                let mut bound = Bound::of(zeros(), zeros());
                let mut start = 0;
                for (input, at) in inputs().zip(&step.inputs) {
                    let (channels, all) = (shapes[*at].channels(), shape.channels());
                    beside(&mut bound.lower, all, &input.lower, channels, start);
                    beside(&mut bound.upper, all, &input.upper, channels, start);
                    start += channels;
                }
                bound.slack = scaled(&bound.magnitude(), F64_SLACK);
                bound
            }
            (other, None) => return Err(without_bounds(&other.describe())),
        };
        // After an overflow nothing is known, and NaN would be mistaken for knowledge.
        let unknown = |v: &mut f64, instead: f64| *v = if v.is_nan() { instead } else { *v };
        bound.lower.iter_mut().for_each(|l| unknown(l, f64::NEG_INFINITY));
        bound.upper.iter_mut().for_each(|u| unknown(u, f64::INFINITY));
        Ok(bound)
    }
}

fn scaled(v: &[f64], by: f64) -> Vec<f64> {
    v.iter().map(|v| v * by).collect()
}

fn add(to: &mut [f64], v: &[f64]) {
    to.iter_mut().zip(v).for_each(|(to, v)| *to += v);
}

/// Copies pixels of `channels` values to place `start` of pixels of `all` values.
fn beside(to: &mut [f64], all: usize, from: &[f64], channels: usize, start: usize) {
    for (to, from) in to.chunks_mut(all.max(1)).zip(from.chunks(channels.max(1))) {
        to[start..start + channels].copy_from_slice(from);
    }
}
