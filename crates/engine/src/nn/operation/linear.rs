//! A fully connected layer with fixed weights.

use std::sync::OnceLock;

use candle_core::{DType, Device, Tensor};

use super::affine_form::wide;
use super::conv2d::fill;
use super::on_gpu::numbers;
use super::{AffineForm, Convolution, OnGpu, Saved, Unary};
use crate::error::Result;
use crate::nn::shape::{Shape, misfit};
use crate::ops::conv2d::{Geometry, Padding};
use crate::ops::product::{Finish, Rows, Weights, product};
use crate::ops::with_slice;

/// See [`super::Op::Linear`].
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    forward: OnceLock<Factor>,
    backward: OnceLock<Factor>,
}

impl Linear {
    /// `x W^T + b` with weights `[O, I]` and bias `[O]`.
    pub fn new(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self { weight, bias, forward: OnceLock::new(), backward: OnceLock::new() }
    }
}

/// The right factor of one direction, packed on first use.
#[derive(Debug, Clone)]
enum Factor {
    Packed(Weights),
    Plain(Vec<f64>),
}

impl Factor {
    /// From weights `[O, I]`; for the pullback `transposed`.
    fn new(weight: &Tensor, transposed: bool) -> Result<Self> {
        let (outputs, inputs) = weight.dims2()?;
        if weight.dtype() == DType::F64 {
            let factor = if transposed { weight.clone() } else { weight.t()? };
            return Ok(Self::Plain(factor.flatten_all()?.to_vec1()?));
        }
        with_slice::<f32, _>(weight, |w| {
            Ok(Self::Packed(if transposed {
                Weights::pack(outputs, inputs, |o, i| w[o * inputs + i])
            } else {
                Weights::pack(inputs, outputs, |i, o| w[o * inputs + i])
            }))
        })
    }

    /// `x` `[N, from]` times this factor, plus `bias` `[to]`; gives `[N, to]`.
    fn product(&self, x: &Tensor, to: usize, bias: Option<&Tensor>) -> Result<Tensor> {
        let (n, from) = x.dims2()?;
        match self {
            Self::Packed(weights) => {
                if weights.depth() != from {
                    return Err(takes(weights.depth(), from));
                }
                let bias = bias.map(Tensor::to_vec1::<f32>).transpose()?;
                let finish = Finish { bias: bias.as_deref(), ..Finish::default() };
                let starts: Vec<usize> = (0..n).map(|row| row * from).collect();
                let mut out = vec![0.0; n * to];
                with_slice::<f32, _>(x, |values| {
                    let rows = Rows { values, starts: &starts, offsets: &[0], run: from };
                    product(rows, weights, finish, &mut out, to);
                    Ok(())
                })?;
                Ok(Tensor::from_vec(out, (n, to), &Device::Cpu)?)
            }
            Self::Plain(factor) => {
                if factor.len() != from * to {
                    return Err(takes(factor.len() / to.max(1), from));
                }
                let y = x.matmul(&Tensor::from_slice(factor, (from, to), &Device::Cpu)?)?;
                Ok(match bias {
                    Some(bias) => y.broadcast_add(bias)?,
                    None => y,
                })
            }
        }
    }
}

fn takes(inputs: usize, got: usize) -> crate::Error {
    misfit("linear", format!("takes {inputs} values, gets {got}"))
}

impl Unary for Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let factor = fill(&self.forward, || Factor::new(&self.weight, false))?;
        factor.product(x, self.weight.dim(0)?, self.bias.as_ref())
    }

    fn pullback(&self, _: &Saved, g: &Tensor, _: Shape) -> Result<Tensor> {
        let factor = fill(&self.backward, || Factor::new(&self.weight, true))?;
        factor.product(g, self.weight.dim(1)?, None)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let y = x.matmul(&self.weight.t()?)?;
        match &self.bias {
            Some(bias) => Ok(y.broadcast_add(bias)?),
            None => Ok(y),
        }
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let (outputs, inputs) = self.weight.dims2()?;
        match input {
            Shape::Flat(len) if len == inputs => Ok(Shape::Flat(outputs)),
            other => Err(misfit("linear", format!("takes {inputs} values, gets {other}"))),
        }
    }

    fn multiply_adds(&self, _: Shape) -> u64 {
        self.weight.elem_count() as u64
    }

    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        let weight = wide(&self.weight)?;
        let bias = self.bias.as_ref().map(wide).transpose()?;
        let (absolute, terms) = (Self::new(weight.abs()?, None), weight.dim(1)?);
        Ok(Some(AffineForm::new(Self::new(weight, bias), absolute, terms)))
    }

    fn on_gpu(&self, _: Shape, _: Shape) -> Result<OnGpu> {
        // A convolution of an image of one pixel.
        let (outputs, inputs) = self.weight.dims2()?;
        let geometry = Geometry {
            kernel: [1, 1],
            stride: [1, 1],
            padding: Padding::default(),
            dilation: [1, 1],
            groups: 1,
            inputs,
            outputs,
        };
        let bias = self.bias.as_ref().map(numbers).transpose()?;
        let weight = numbers(&self.weight)?;
        Ok(OnGpu::Convolution(Box::new(Convolution { weight, bias, relu: false, geometry })))
    }

    fn describe(&self) -> String {
        let dims = self.weight.dims();
        format!("linear {} -> {}", dims[1], dims[0])
    }
}
