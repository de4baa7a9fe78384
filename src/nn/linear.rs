//! A fully connected layer with fixed weights.

use std::sync::OnceLock;

use candle_core::{Device, Tensor};

use super::bounds::{AffineForm, wide};
use super::conv2d::fill;
use super::shape::misfit;
use super::{Layer, Node, Saved, Shape};
use crate::error::Result;
use crate::ops::gemm::matmul;
use crate::ops::{Real, for_real, with_slice};

/// See [`Layer::Linear`].
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    transposed: OnceLock<Tensor>,
}

impl Linear {
    /// `x W^T + b` with weights `[O, I]` and bias `[O]`.
    pub fn new(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self { weight, bias, transposed: OnceLock::new() }
    }

    /// As a [`Layer`].
    pub fn layer(self) -> Layer {
        Layer::Linear(self)
    }
}

/// `x` `[N, I]` times a row-major right factor `[I, O]`, plus `bias` `[O]`.
fn product<T: Real>(x: &Tensor, right: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (n, inputs) = x.dims2()?;
    let outputs = right.dim(1)?;
    if right.dim(0)? != inputs {
        let problem = format!("takes {} values, gets {inputs}", right.dim(0)?);
        return Err(misfit("linear", problem));
    }
    let bias = bias.map(Tensor::to_vec1::<T>).transpose()?;
    let out = with_slice::<T, _>(x, |x| {
        with_slice::<T, _>(right, |right| {
            let mut out = vec![T::zero(); n * outputs];
            matmul(n, outputs, inputs, x, right, &mut out);
            if let Some(bias) = &bias {
                for row in out.chunks_exact_mut(outputs) {
                    row.iter_mut().zip(bias).for_each(|(o, b)| *o += *b);
                }
            }
            Ok(out)
        })
    })?;
    Ok(Tensor::from_vec(out, (n, outputs), &Device::Cpu)?)
}

impl Node for Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let right = fill(&self.transposed, || Ok(self.weight.t()?.contiguous()?))?;
        for_real!(x, product(x, right, self.bias.as_ref()))
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((self.forward(x)?, Saved::Nothing))
    }

    fn pullback(&self, _: &Saved, g: &Tensor) -> Result<Tensor> {
        for_real!(g, product(g, &self.weight, None))
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
        Ok(Some(AffineForm {
            absolute: Self::new(weight.abs()?, None).layer(),
            terms: weight.dim(1)?,
            layer: Self::new(weight, bias).layer(),
        }))
    }

    fn describe(&self) -> String {
        let dims = self.weight.dims();
        format!("linear {} -> {}", dims[1], dims[0])
    }
}
