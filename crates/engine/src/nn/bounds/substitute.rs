//! Backwards: the minimum of linear functions of a value, by substituting the steps before it one after the
//! other until only the image is left.

use std::collections::BTreeMap;

use super::interval::Bound;
use super::{Bounder, F64_SLACK, Region, UNDERFLOW, without_bounds};
use crate::error::Result;
use crate::nn::operation::Op;
use crate::nn::program::Value;

/// How far back a function is taken before its minimum is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Depth {
    /// To the boxes of the nearest relus and max pools: interval arithmetic in which the last affine
    /// layers and the function are one.
    Interval,
    /// To the image.
    Image,
}

/// Linear functions on their way back: rows of coefficients by value, and what is known already of
/// each function's minimum.
struct Functions<'a> {
    bounds: &'a [Bound],
    rows: BTreeMap<Value, Vec<f64>>,
    minima: Vec<f64>,
}

impl Bounder {
    /// Lower bounds over the region of the functions of value `at` whose coefficients are `rows`.
    pub(super) fn minima(
        &self,
        at: Value,
        rows: Vec<f64>,
        bounds: &[Bound],
        region: &dyn Region,
        depth: Depth,
    ) -> Result<Vec<f64>> {
        let shapes = self.program.shapes();
        let count = rows.len() / shapes[at].len().max(1);
        let mut functions =
            Functions { bounds, rows: BTreeMap::from([(at, rows)]), minima: vec![0.0; count] };
        while let Some((at, rows)) = functions.rows.pop_last() {
            let (bound, width) = (&bounds[at], shapes[at].len());
            functions.charge(&rows, &bound.slack, 1.0);
            let Some(step) = self.step(at) else {
                functions.add(&rows, width, |row| region.minimum(row));
                continue;
            };
            match (&*step.op, &self.maps[at]) {
                (_, Some(map)) => {
                    functions.add(&rows, width, |row| dot(row, &map.bias));
                    functions.pass(step.inputs[0], map.transposed(rows, count)?);
                }
                (Op::Relu(_) | Op::MaxPool(_), _) if depth == Depth::Interval => {
                    functions.add(&rows, width, |row| smallest(row, bound));
                }
                (Op::Relu(_) | Op::MaxPool(_), _) => {
                    let Some(relaxation) = &bound.relaxation else { continue };
                    let input = step.inputs[0];
                    let width_in = shapes[input].len();
                    let mut into = vec![0.0; count * width_in];
                    let mut parts = into.chunks_mut(width_in.max(1));
                    functions.add(&rows, width, |row| {
                        parts.next().map_or(f64::NAN, |into| relaxation.substitute(row, into))
                    });
                    functions.pass(input, into);
                }
                (Op::Sum(_), _) => {
                    step.inputs.iter().for_each(|i| functions.pass(*i, rows.clone()));
                }
                (Op::Concat(_), _) => {
                    let mut start = 0;
                    for input in &step.inputs {
                        let channels = shapes[*input].channels();
                        let pixels = rows.chunks_exact(shapes[at].channels().max(1));
                        let part = pixels.flat_map(|pixel| &pixel[start..start + channels]);
                        functions.pass(*input, part.copied().collect());
                        start += channels;
                    }
                }
                (other, None) => return Err(without_bounds(&other.describe())),
            }
        }
        Ok(functions.minima.into_iter().map(|m| (m - UNDERFLOW).next_down()).collect())
    }
}

impl Functions<'_> {
    /// Adds a constant to each function: `of(row)` for its row.
    fn add(&mut self, rows: &[f64], width: usize, mut of: impl FnMut(&[f64]) -> f64) {
        for (minimum, row) in self.minima.iter_mut().zip(rows.chunks(width.max(1))) {
            *minimum = (*minimum + of(row)).next_down();
        }
    }

    /// Takes off `share * sum |a| losses`.
    fn charge(&mut self, rows: &[f64], losses: &[f64], share: f64) {
        self.add(rows, losses.len(), |row| -share * sum(row, losses, |a, loss| a.abs() * loss));
    }

    /// Hands coefficients to an earlier value, where others of the same functions may be waiting.
    fn pass(&mut self, to: Value, rows: Vec<f64>) {
        let Some(mut waiting) = self.rows.remove(&to) else {
            self.rows.insert(to, rows);
            return;
        };
        waiting.iter_mut().zip(&rows).for_each(|(w, r)| *w += r);
        self.charge(&waiting, &self.bounds[to].magnitude(), F64_SLACK);
        self.rows.insert(to, waiting);
    }
}

/// The minimum of `sum a_i y_i` over a box.
fn smallest(a: &[f64], bound: &Bound) -> f64 {
    let ends = bound.lower.iter().zip(&bound.upper);
    a.iter().zip(ends).map(|(a, (l, u))| if *a >= 0.0 { a * l } else { a * u }).sum()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    sum(a, b, |a, b| a * b)
}

/// `sum of(a_i, b_i)`, in lanes: one addition after the other would take most of the time.
fn sum(a: &[f64], b: &[f64], of: impl Fn(f64, f64) -> f64) -> f64 {
    const LANES: usize = 16;
    let mut lanes = [0.0; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f64 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| of(*a, *b)).sum();
    for (a, b) in a.zip(b) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += of(*a, *b);
        }
    }
    lanes.iter().sum::<f64>() + rest
}
