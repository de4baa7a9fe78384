//! An operation as `y = W x + b` with what is computed once per network, and its slack. Products with W, |W| and
//! the transpose are the operation's own readings in f64.

use candle_core::{Device, Tensor};

use super::{F64_SLACK, MOST_TERMS};
use crate::error::{Error, Result};
use crate::nn::operation::{AffineForm, Saved};
use crate::nn::shape::Shape;
use crate::ops::with_slice;

/// See the module.
#[derive(Debug)]
pub(super) struct AffineMap {
    form: AffineForm,
    input: Shape,
    output: Shape,
    /// b, for every output value.
    pub(super) bias: Vec<f64>,
}

impl AffineMap {
    pub(super) fn new(form: AffineForm, input: Shape, name: &str) -> Result<Self> {
        let output = form.op.shape(&[input])?;
        if form.terms.max(input.len()).max(output.len()) > MOST_TERMS {
            return Err(Error::setting(
                format!("layer {name}"),
                format!("has more than {MOST_TERMS} values, for which bounds are not derived"),
                "certify it by smoothing",
            ));
        }
        let bias = values(&form.op.forward(&[&tensor(vec![0.0; input.len()], 1, input)?])?)?;
        Ok(Self { bias, form, input, output })
    }

    /// k.
    pub(super) fn terms(&self) -> usize {
        self.form.terms
    }

    /// The engine rounds the weights once more than this layer says.
    pub(super) fn round_once_more(&mut self) {
        self.form.terms += 1;
    }

    /// g(k + 2, u), the engine's relative error.
    fn relative(&self) -> f64 {
        let rounding = (self.form.terms + 2) as f64 / (1 << 24) as f64;
        if self.form.terms == 0 { 0.0 } else { rounding / (1.0 - rounding) }
    }

    /// `W x + b`.
    pub(super) fn forward(&self, x: Vec<f64>) -> Result<Vec<f64>> {
        values(&self.form.op.forward(&[&tensor(x, 1, self.input)?])?)
    }

    /// `|W| x`.
    pub(super) fn absolute(&self, x: Vec<f64>) -> Result<Vec<f64>> {
        values(&self.form.absolute.forward(&[&tensor(x, 1, self.input)?])?)
    }

    /// The slack of every output value for inputs of at most `m`: see the text of [`super`].
    pub(super) fn slack(&self, m: Vec<f64>) -> Result<Vec<f64>> {
        let relative = self.relative() + F64_SLACK;
        let mut tiny = self.form.terms as f64 * f64::from(f32::MIN_POSITIVE);
        let mut largest = 0.0;
        let mut slack = match &self.form.minimal {
            None => self.absolute(m)?,
            Some(sums) => {
                let known = m.into_iter().map(|m| if m.is_nan() { f64::INFINITY } else { m });
                largest = known.fold(0.0, f64::max);
                tiny *= 4.0 * largest.max(1.0);
                let per_channel = sums.iter().map(|sum| 16.0 * largest * sum);
                per_channel.cycle().take(self.output.len()).collect()
            }
        };
        for (slack, bias) in slack.iter_mut().zip(&self.bias) {
            let magnitude = *slack + bias.abs();
            *slack = match magnitude.max(4.0 * largest) < f64::from(f32::MAX) / 4.0 {
                true => (relative * magnitude + tiny) * (1.0 + 1.0 / (1 << 20) as f64),
                false => f64::INFINITY,
            };
        }
        Ok(slack)
    }

    /// `A W` for `count` rows of coefficients A.
    pub(super) fn transposed(&self, rows: Vec<f64>, count: usize) -> Result<Vec<f64>> {
        let g = tensor(rows, count, self.output)?;
        let parts = self.form.op.pullback(&Saved::Nothing, &g, &[self.input])?;
        parts.first().map_or_else(|| Ok(Vec::new()), values)
    }
}

fn tensor(values: Vec<f64>, count: usize, shape: Shape) -> Result<Tensor> {
    Ok(Tensor::from_vec(values, shape.batch(count), &Device::Cpu)?)
}

fn values(t: &Tensor) -> Result<Vec<f64>> {
    with_slice::<f64, _>(t, |t| Ok(t.to_vec()))
}
