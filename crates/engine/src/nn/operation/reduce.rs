//! The channels of every pixel, or of a vector, as one number. Sums are taken in f64.

use candle_core::Tensor;

use super::on_gpu::slots;
use super::pointwise::sign;
use super::{AffineForm, Keeps, Kernels, Launch, OnGpu, Saved, Slot, Unary, foreign, per_image};
use crate::error::Result;
use crate::nn::shape::{Shape, misfit};

/// See [`super::Op::Reduce`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reduce(pub Reduction);

/// What becomes of a row of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// The largest one, whose cotangent equal numbers share.
    Max,
    /// The smallest one, likewise.
    Min,
    /// The sum of their absolute values.
    L1,
    /// The root of the sum of their squares.
    L2,
    /// The logarithm of the sum of their exponentials.
    LogSumExp,
    /// Their product.
    Product,
}

use Reduction::{L1, L2, LogSumExp, Max, Mean, Min, Product, Sum};

/// The largest number of a row; NaN if one is.
pub(super) fn largest(row: &[f64]) -> f64 {
    row.iter().fold(f64::NEG_INFINITY, |most, x| if *x > most || x.is_nan() { *x } else { most })
}

/// `ln(sum(e^x))` without overflow.
pub(super) fn log_sum_exp(row: &[f64]) -> f64 {
    let most = largest(row);
    // Infinite numbers have no differences.
    match most.is_finite() {
        true => most + row.iter().map(|x| (x - most).exp()).sum::<f64>().ln(),
        false => most,
    }
}

impl Reduction {
    /// Of the numbers of a row.
    fn value(self, row: &[f64]) -> f64 {
        match self {
            Sum => row.iter().sum(),
            Mean => row.iter().sum::<f64>() / row.len() as f64,
            Max => largest(row),
            Min => row
                .iter()
                .fold(f64::INFINITY, |least, x| if *x < least || x.is_nan() { *x } else { least }),
            L1 => row.iter().map(|x| x.abs()).sum(),
            L2 => row.iter().map(|x| x * x).sum::<f64>().sqrt(),
            LogSumExp => log_sum_exp(row),
            Product => row.iter().product(),
        }
    }

    /// Appends `g` times the derivative by each number of a row.
    fn pull(self, row: &[f64], g: f64, to: &mut Vec<f64>) {
        let value = self.value(row);
        match self {
            Sum => to.resize(to.len() + row.len(), g),
            Mean => to.resize(to.len() + row.len(), g / row.len() as f64),
            Max | Min => {
                let share = g / row.iter().filter(|x| **x == value).count() as f64;
                to.extend(row.iter().map(|x| if *x == value { share } else { 0.0 }));
            }
            L1 => to.extend(row.iter().map(|x| g * sign(*x))),
            L2 if value == 0.0 => to.resize(to.len() + row.len(), 0.0),
            L2 => to.extend(row.iter().map(|x| g * x / value)),
            LogSumExp => to.extend(row.iter().map(|x| g * (x - value).exp())),
            Product => {
                // The product of the others: of those before, then times those behind.
                let first = to.len();
                let mut before = g;
                for x in row {
                    to.push(before);
                    before *= x;
                }
                let mut behind = 1.0;
                for (to, x) in to[first..].iter_mut().zip(row).rev() {
                    *to *= behind;
                    behind *= x;
                }
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Sum => "sum",
            Mean => "mean",
            Max => "maximum",
            Min => "minimum",
            L1 => "L1 norm",
            L2 => "L2 norm",
            LogSumExp => "log of sum of exp",
            Product => "product",
        }
    }
}

impl Unary for Reduce {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut dims = x.dims().to_vec();
        if let Some(last) = dims.last_mut() {
            *last = 1;
        }
        per_image::rows([x], &dims, |[row], to| to.push(self.0.value(row)))
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        let saved = match self.0 {
            Sum | Mean => Saved::Nothing,
            _ => Saved::Tensor(x.clone()),
        };
        Ok((self.forward(x)?, saved))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor, input: Shape) -> Result<Tensor> {
        let dims = input.batch(g.dim(0)?);
        match (saved, self.0) {
            (Saved::Nothing, Sum) => Ok(g.broadcast_as(dims)?.contiguous()?),
            (Saved::Nothing, Mean) => {
                Ok((g / input.channels() as f64)?.broadcast_as(dims)?.contiguous()?)
            }
            (Saved::Tensor(x), _) => {
                per_image::rows([x, g], &dims, |[row, g], to| self.0.pull(row, g[0], to))
            }
            _ => Err(foreign(self.0.name())),
        }
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self.0 {
            Sum => x.sum_keepdim(1)?,
            Mean => x.mean_keepdim(1)?,
            Max => x.max_keepdim(1)?,
            Min => x.min_keepdim(1)?,
            L1 => x.abs()?.sum_keepdim(1)?,
            L2 => x.sqr()?.sum_keepdim(1)?.sqrt()?,
            LogSumExp => {
                let most = x.max_keepdim(1)?.detach();
                (x.broadcast_sub(&most)?.exp()?.sum_keepdim(1)?.log()? + most)?
            }
            Product => {
                let part = |i: usize| x.narrow(1, i, 1);
                (1..x.dim(1)?).try_fold(part(0)?, |product, i| product * part(i)?)?
            }
        })
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        if input.channels() == 0 {
            return Err(misfit(self.0.name(), format!("of {input} is of nothing")));
        }
        Ok(input.with_channels(1))
    }

    fn affine_form(&self, input: Shape) -> Result<Option<AffineForm>> {
        let affine = matches!(self.0, Sum | Mean);
        Ok(affine.then(|| AffineForm::new(*self, *self, input.channels())))
    }

    fn on_gpu(&self, from: Shape, to: Shape) -> Result<OnGpu> {
        // Its number in `kernels/row.cu`.
        let kind = match self.0 {
            Sum => 0_usize,
            Mean => 1,
            Max => 2,
            Min => 3,
            L1 => 4,
            L2 => 5,
            LogSumExp => 6,
            Product => 7,
        };
        let (rows, count, length) = (to.len(), Slot::Count(to.len()), from.channels());
        let forward = slots![kind, Slot::X(0), Slot::Y, count, length];
        let back = slots![kind, Slot::X(0), Slot::G, Slot::Gx, count, length, Slot::Add];
        let forward = Launch::new("reduce", rows, forward);
        let kernels = Kernels::new(forward, Launch::new("reduce_pullback", rows, back));
        Ok(kernels.keeping(Keeps::Inputs).into())
    }

    fn describe(&self) -> String {
        format!("{} of channels", self.0.name())
    }
}
