//! Functions of one number, at every place, as ONNX and PyTorch define them; where a function has no derivative
//! it is the one that PyTorch's autograd gives. (Those that many networks share have files of their own.)

use std::f64::consts::FRAC_2_SQRT_PI;

use candle_core::Tensor;

use super::{Kernels, OnGpu, Saved, Unary, foreign};
use crate::error::Result;
use crate::nn::shape::Shape;
use crate::ops::elementwise;

/// See [`super::Op::Pointwise`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pointwise(pub Function);

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Function {
    /// `|x|`.
    Abs,
    /// `-x`.
    Neg,
    /// `e^x`.
    Exp,
    /// The natural logarithm.
    Log,
    /// The square root.
    Sqrt,
    /// `1 / x`.
    Reciprocal,
    /// The hyperbolic tangent.
    Tanh,
    /// The error function.
    Erf,
    /// -1, 0 or 1.
    Sign,
    /// The next whole number below.
    Floor,
    /// The next whole number above.
    Ceil,
    /// The nearest whole number, of two the even one.
    Round,
    /// The sine.
    Sin,
    /// The cosine.
    Cos,
    /// `ln(1 + e^x)`.
    Softplus,
    /// `x / (1 + |x|)`.
    Softsign,
    /// `x tanh(ln(1 + e^x))`.
    Mish,
    /// `x min(max(x / 6 + 1/2, 0), 1)`.
    HardSwish,
    /// GELU by its approximation with a hyperbolic tangent.
    GeluTanh,
    /// `min(max(x, least), most)`.
    Clip {
        /// The smallest result; `-inf` for none.
        least: f64,
        /// The largest result; `inf` for none.
        most: f64,
    },
    /// `x` above 0, this many times `x` elsewhere.
    LeakyRelu(f64),
    /// `x` above 0, this many times `e^x - 1` elsewhere.
    Elu(f64),
    /// `x` above 0, `a (e^(x / a) - 1)` elsewhere.
    Celu(f64),
    /// `gamma x` above 0, `gamma alpha (e^x - 1)` elsewhere.
    Selu {
        /// The factor of the exponential.
        alpha: f64,
        /// The factor of all.
        gamma: f64,
    },
    /// `min(max(alpha x + beta, 0), 1)`.
    HardSigmoid {
        /// The slope.
        alpha: f64,
        /// The value at 0.
        beta: f64,
    },
    /// `x` to this power.
    Power(f64),
    /// `x` above this number, 0 elsewhere.
    ThresholdedRelu(f64),
    /// `x sigmoid(a x)`.
    Swish(f64),
}

use Function::{
    Abs, Ceil, Celu, Clip, Cos, Elu, Erf, Exp, Floor, GeluTanh, HardSigmoid, HardSwish, LeakyRelu,
    Log, Mish, Neg, Power, Reciprocal, Round, Selu, Sign, Sin, Softplus, Softsign, Sqrt, Swish,
    Tanh, ThresholdedRelu,
};

/// Of the approximation of GELU: `sqrt(2 / pi)` and the factor of the cube (Hendrycks and Gimpel 2016).
const GELU: [f64; 2] = [0.797_884_560_802_865_4, 0.044_715];

/// NaN stays NaN.
fn clip(x: f64, least: f64, most: f64) -> f64 {
    let x = if x < least { least } else { x };
    if x > most { most } else { x }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// -1, 0 or 1, or NaN.
pub(super) fn sign(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

/// `x` to a constant power.
fn power(x: f64, p: f64) -> f64 {
    match p {
        0.5 => x.sqrt(),
        1.0 => x,
        2.0 => x * x,
        3.0 => x * x * x,
        _ => x.powf(p),
    }
}

impl Function {
    /// The function at `x`.
    pub fn value(self, x: f64) -> f64 {
        let above = x > 0.0;
        match self {
            Abs => x.abs(),
            Neg => -x,
            Exp => x.exp(),
            Log => x.ln(),
            Sqrt => x.sqrt(),
            Reciprocal => x.recip(),
            Tanh => x.tanh(),
            Erf => libm::erf(x),
            Sign => sign(x),
            Floor => x.floor(),
            Ceil => x.ceil(),
            Round => x.round_ties_even(),
            Sin => x.sin(),
            Cos => x.cos(),
            Softplus => softplus(x),
            Softsign => x / (1.0 + x.abs()),
            Mish => x * softplus(x).tanh(),
            HardSwish => x * clip(x / 6.0 + 0.5, 0.0, 1.0),
            GeluTanh => 0.5 * x * (1.0 + (GELU[0] * (x + GELU[1] * x * x * x)).tanh()),
            Clip { least, most } => clip(x, least, most),
            LeakyRelu(alpha) => {
                if above {
                    x
                } else {
                    alpha * x
                }
            }
            Elu(alpha) => {
                if above {
                    x
                } else {
                    alpha * x.exp_m1()
                }
            }
            Celu(alpha) => {
                if above {
                    x
                } else {
                    alpha * (x / alpha).exp_m1()
                }
            }
            Selu { alpha, gamma } => gamma * Elu(alpha).value(x),
            HardSigmoid { alpha, beta } => clip(alpha * x + beta, 0.0, 1.0),
            Power(p) => power(x, p),
            ThresholdedRelu(alpha) => {
                if x > alpha {
                    x
                } else {
                    x * 0.0
                }
            }
            Swish(alpha) => x * sigmoid(alpha * x),
        }
    }

    /// Whether it has no finite slope at 0 though it has a value there.
    fn is_root(self) -> bool {
        match self {
            Sqrt => true,
            Power(power) => power > 0.0 && power < 1.0,
            _ => false,
        }
    }

    /// Its derivative at `x`. Where a root is vertical, at 0, it is 0 as for the L2 norm: an infinite slope times
    /// the 0 that often follows would be NaN, and stop an attack.
    pub fn slope(self, x: f64) -> f64 {
        let above = x > 0.0;
        let step = |yes: bool| f64::from(u8::from(yes));
        match self {
            Abs => sign(x),
            Neg => -1.0,
            Exp => x.exp(),
            Log => x.recip(),
            Sqrt | Power(_) if x == 0.0 && self.is_root() => 0.0,
            Sqrt => 0.5 / x.sqrt(),
            Reciprocal => -(x * x).recip(),
            Tanh => 1.0 - x.tanh().powi(2),
            Erf => FRAC_2_SQRT_PI * (-x * x).exp(),
            Sign | Floor | Ceil | Round => 0.0,
            Sin => x.cos(),
            Cos => -x.sin(),
            Softplus => sigmoid(x),
            Softsign => (1.0 + x.abs()).powi(-2),
            Mish => {
                let t = softplus(x).tanh();
                t + x * (1.0 - t * t) * sigmoid(x)
            }
            HardSwish => match x {
                _ if x <= -3.0 => 0.0,
                _ if x >= 3.0 => 1.0,
                _ => x / 3.0 + 0.5,
            },
            GeluTanh => {
                let t = (GELU[0] * (x + GELU[1] * x * x * x)).tanh();
                let inner = GELU[0] * (1.0 + 3.0 * GELU[1] * x * x);
                0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner
            }
            // PyTorch counts the bound as inside if there is but one.
            Clip { least, most } if least.is_infinite() || most.is_infinite() => {
                step(x >= least && x <= most)
            }
            Clip { least, most } => step(x > least && x < most),
            LeakyRelu(alpha) => {
                if above {
                    1.0
                } else {
                    alpha
                }
            }
            Elu(alpha) => {
                if above {
                    1.0
                } else {
                    alpha * x.exp()
                }
            }
            Celu(alpha) => {
                if above {
                    1.0
                } else {
                    (x / alpha).exp()
                }
            }
            Selu { alpha, gamma } => gamma * Elu(alpha).slope(x),
            HardSigmoid { alpha, beta } => {
                let inner = alpha * x + beta;
                alpha * step(inner > 0.0 && inner < 1.0)
            }
            Power(0.0) => 0.0,
            Power(p) => p * power(x, p - 1.0),
            ThresholdedRelu(alpha) => step(x > alpha),
            Swish(alpha) => {
                let s = sigmoid(alpha * x);
                s + alpha * x * s * (1.0 - s)
            }
        }
    }

    /// Its name and its constants, and its number in `kernels/map.cu`.
    fn facts(self) -> (&'static str, usize, Vec<f64>) {
        match self {
            Abs => ("abs", 4, vec![]),
            Neg => ("neg", 5, vec![]),
            Exp => ("exp", 6, vec![]),
            Log => ("log", 7, vec![]),
            Sqrt => ("sqrt", 8, vec![]),
            Reciprocal => ("reciprocal", 9, vec![]),
            Tanh => ("tanh", 10, vec![]),
            Erf => ("erf", 11, vec![]),
            Sign => ("sign", 12, vec![]),
            Floor => ("floor", 13, vec![]),
            Ceil => ("ceil", 14, vec![]),
            Round => ("round", 15, vec![]),
            Sin => ("sin", 16, vec![]),
            Cos => ("cos", 17, vec![]),
            Softplus => ("softplus", 18, vec![]),
            Softsign => ("softsign", 19, vec![]),
            Mish => ("mish", 20, vec![]),
            HardSwish => ("hard swish", 21, vec![]),
            GeluTanh => ("gelu tanh", 22, vec![]),
            Clip { least, most } => ("clip", 23, vec![least, most]),
            LeakyRelu(alpha) => ("leaky relu", 24, vec![alpha]),
            Elu(alpha) => ("elu", 25, vec![alpha]),
            Celu(alpha) => ("celu", 26, vec![alpha]),
            Selu { alpha, gamma } => ("selu", 27, vec![alpha, gamma]),
            HardSigmoid { alpha, beta } => ("hard sigmoid", 28, vec![alpha, beta]),
            Power(p) => ("power", 29, vec![p]),
            ThresholdedRelu(alpha) => ("thresholded relu", 30, vec![alpha]),
            Swish(alpha) => ("swish", 31, vec![alpha]),
        }
    }

    /// The function in candle's own operations.
    fn reference(self, x: &Tensor) -> Result<Tensor> {
        let softplus = || x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?;
        let sigmoid = |x: &Tensor| (x.neg()?.exp()? + 1.0)?.recip();
        // Of the numbers below 0 alone, so that none overflows.
        let elu = |scale: f64| (x.neg()?.relu()? * -scale)?.exp()? - 1.0;
        Ok(match self {
            Abs => x.abs()?,
            Neg => x.neg()?,
            Exp => x.exp()?,
            Log => x.log()?,
            Sqrt => x.sqrt()?,
            Reciprocal => x.recip()?,
            Tanh => x.tanh()?,
            Erf => x.erf()?,
            // candle has no gradient for these, and it rounds halves away from 0.
            Sign | Floor | Ceil | Round => {
                (x.zeros_like()? * x)?.add(&elementwise::map(&x.detach(), |x| self.value(x))?)?
            }
            Sin => x.sin()?,
            Cos => x.cos()?,
            Softplus => softplus()?,
            Softsign => (x / (x.abs()? + 1.0)?)?,
            Mish => (x * softplus()?.tanh()?)?,
            HardSwish => (x * x.affine(1.0 / 6.0, 0.5)?.clamp(0.0, 1.0)?)?,
            GeluTanh => {
                let inner = (x + (x.sqr()? * x)? * GELU[1])?;
                ((x * 0.5)? * ((inner * GELU[0])?.tanh()? + 1.0)?)?
            }
            Clip { least, most } => x.clamp(least, most)?,
            LeakyRelu(alpha) => (x.relu()? - (x.neg()?.relu()? * alpha)?)?,
            Elu(alpha) => (x.relu()? + (elu(1.0)? * alpha)?)?,
            Celu(alpha) => (x.relu()? + (elu(1.0 / alpha)? * alpha)?)?,
            Selu { alpha, gamma } => ((x.relu()? + (elu(1.0)? * alpha)?)? * gamma)?,
            HardSigmoid { alpha, beta } => x.affine(alpha, beta)?.clamp(0.0, 1.0)?,
            Power(p) => x.powf(p)?,
            ThresholdedRelu(alpha) => (x * x.gt(alpha)?.to_dtype(x.dtype())?)?,
            Swish(alpha) => (x * sigmoid(&(x * alpha)?)?)?,
        })
    }
}

impl Unary for Pointwise {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        elementwise::map(x, |x| self.0.value(x))
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((self.forward(x)?, Saved::Tensor(x.clone())))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor, _: Shape) -> Result<Tensor> {
        let Saved::Tensor(x) = saved else { return Err(foreign(self.0.facts().0)) };
        elementwise::zip(g, x, |g, x| g * self.0.slope(x))
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        self.0.reference(x)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        Ok(input)
    }

    fn on_gpu(&self, from: Shape, _: Shape) -> Result<OnGpu> {
        let (_, kind, constants) = self.0.facts();
        let constant = |i: usize| constants.get(i).map_or(0.0, |c| *c as f32);
        Ok(Kernels::map(kind, from.len(), [0, 1].map(constant)).into())
    }

    fn describe(&self) -> String {
        let (name, _, constants) = self.0.facts();
        constants.iter().fold(name.into(), |text: String, constant| text + &format!(" {constant}"))
    }
}
