//! Functions of two numbers at the same place of two values. (Sums of any number of values are a
//! [`super::Sum`], a number per channel is a [`super::Gate`].)

use candle_core::Tensor;

use super::on_gpu::slots;
use super::{Keeps, Kernels, Launch, OnGpu, Operation, Saved, Slot, foreign};
use crate::error::Result;
use crate::nn::shape::{Shape, misfit};
use crate::ops::elementwise;

/// See [`super::Op::Pairwise`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pairwise(pub Pairing);

/// A function of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pairing {
    /// `a b`.
    Product,
    /// `a / b`.
    Quotient,
    /// The larger one, whose cotangent equal numbers share.
    Larger,
    /// The smaller one, likewise.
    Smaller,
    /// `a` to the power `b`.
    Power,
    /// `a - b`.
    Difference,
    /// `a` where `b` is not 0, and 0 elsewhere, also if `a` is infinite or NaN there. `b` has no cotangent.
    Masked,
}

use Pairing::{Difference, Larger, Masked, Power, Product, Quotient, Smaller};

impl Pairing {
    /// The function.
    fn value(self, a: f64, b: f64) -> f64 {
        match self {
            Product => a * b,
            Quotient => a / b,
            // If one is NaN, so is the result.
            Larger => {
                if a > b || a.is_nan() {
                    a
                } else {
                    b
                }
            }
            Smaller => {
                if a < b || a.is_nan() {
                    a
                } else {
                    b
                }
            }
            Power => a.powf(b),
            Difference => a - b,
            Masked if b == 0.0 => 0.0,
            Masked => a,
        }
    }

    /// Its derivative by `a`.
    fn by_first(self, a: f64, b: f64) -> f64 {
        match self {
            Product => b,
            Quotient => b.recip(),
            Larger => share(a, b),
            Smaller => share(b, a),
            Power if b == 0.0 => 0.0,
            Power => b * a.powf(b - 1.0),
            Difference => 1.0,
            Masked => f64::from(b != 0.0),
        }
    }

    /// Its derivative by `b`.
    fn by_second(self, a: f64, b: f64) -> f64 {
        match self {
            Product => a,
            Quotient => -a / (b * b),
            Larger => share(b, a),
            Smaller => share(a, b),
            Power if a == 0.0 && b >= 0.0 => 0.0,
            Power => a.powf(b) * a.ln(),
            Difference => -1.0,
            Masked => 0.0,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Product => "product",
            Quotient => "quotient",
            Larger => "larger",
            Smaller => "smaller",
            Power => "power",
            Difference => "difference",
            Masked => "masked",
        }
    }
}

/// What part of the larger number's cotangent is `a`'s.
fn share(a: f64, b: f64) -> f64 {
    match a.partial_cmp(&b) {
        Some(std::cmp::Ordering::Greater) => 1.0,
        Some(std::cmp::Ordering::Equal) => 0.5,
        _ => 0.0,
    }
}

impl Pairwise {
    fn pair<T: Copy>(self, inputs: &[T]) -> Result<[T; 2]> {
        match inputs {
            [a, b] => Ok([*a, *b]),
            _ => {
                let problem = format!("reads two values, gets {}", inputs.len());
                Err(misfit(self.0.name(), problem))
            }
        }
    }
}

impl Operation for Pairwise {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let [a, b] = self.pair(inputs)?;
        if a != b {
            return Err(misfit(self.0.name(), format!("reads {a} and {b}")));
        }
        Ok(a)
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let [a, b] = self.pair(inputs)?;
        elementwise::zip(a, b, |a, b| self.0.value(a, b))
    }

    fn save(&self, inputs: &[&Tensor]) -> Result<(Tensor, Saved)> {
        let y = self.forward(inputs)?;
        if self.0 == Difference {
            return Ok((y, Saved::Nothing));
        }
        let [a, b] = self.pair(inputs)?;
        Ok((y, Saved::Pair(a.clone(), b.clone())))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor, _: &[Shape]) -> Result<Vec<Tensor>> {
        match (saved, self.0) {
            (Saved::Nothing, Difference) => Ok(vec![g.clone(), g.neg()?]),
            (Saved::Pair(a, b), _) => Ok(vec![
                elementwise::zip3(g, a, b, |g, a, b| g * self.0.by_first(a, b))?,
                elementwise::zip3(g, a, b, |g, a, b| g * self.0.by_second(a, b))?,
            ]),
            _ => Err(foreign(self.0.name())),
        }
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let [a, b] = self.pair(inputs)?;
        Ok(match self.0 {
            Product => (a * b)?,
            Quotient => (a / b)?,
            Larger => a.maximum(b)?,
            Smaller => a.minimum(b)?,
            Power => a.pow(b)?,
            Difference => (a - b)?,
            Masked => b.ne(0.0)?.where_cond(a, &a.zeros_like()?)?,
        })
    }

    fn on_gpu(&self, _: &[Shape], output: Shape) -> Result<OnGpu> {
        // Its number in `kernels/pair.cu`.
        let kind = match self.0 {
            Product => 0_usize,
            Quotient => 1,
            Larger => 2,
            Smaller => 3,
            Power => 4,
            Difference => 5,
            Masked => 6,
        };
        let (len, count, [a, b]) = (output.len(), Slot::Count(output.len()), [0, 1].map(Slot::X));
        let back = |second: bool| {
            let slots = slots![kind, second, a, b, Slot::G, Slot::Gx, count, Slot::Add];
            vec![Launch::new("pair_pullback", len, slots)]
        };
        Ok(OnGpu::Kernels(Kernels {
            constants: Vec::new(),
            keeps: Keeps::Inputs,
            forward: vec![Launch::new("pair", len, slots![kind, a, b, Slot::Y, count])],
            pullback: [false, true].map(back).into(),
        }))
    }

    fn describe(&self) -> String {
        self.0.name().into()
    }
}
