//! Mean-centred feature sparsification (Amini et al., 2024): values close to their channel's mean
//! become the mean. The output jumps where a value crosses the threshold; the derivative is 0 inside
//! and 1 outside of it.

use candle_core::{Device, Tensor};

use super::on_gpu::{numbers, slots};
use super::{Keeps, Kernels, Launch, OnGpu, Saved, Slot, Unary, foreign};
use crate::error::Result;
use crate::nn::shape::{Shape, misfit};
use crate::ops::{Real, for_real, with_slice};

/// See [`super::Op::MeanSparse`].
#[derive(Debug, Clone)]
pub struct MeanSparse {
    mean: Tensor,
    radius: Tensor,
}

impl MeanSparse {
    /// Values closer than `radius` to `mean`, both `[C]`, become `mean`; radius 0 changes nothing.
    pub fn new(mean: Tensor, radius: Tensor) -> Self {
        Self { mean, radius }
    }

    /// Calls `value(near, mean, here)` with the elements of `values`, `near` telling whether the
    /// element of `x` at the same place is close to the mean.
    fn map<T: Real>(
        &self,
        x: &Tensor,
        values: &Tensor,
        value: impl Fn(bool, T, T) -> T,
    ) -> Result<Tensor> {
        let (mean, radius) = (self.mean.to_vec1::<T>()?, self.radius.to_vec1::<T>()?);
        let channels = mean.len();
        let out = with_slice::<T, _>(x, |x| {
            with_slice::<T, _>(values, |values| {
                let mut out = Vec::with_capacity(x.len());
                for (x, values) in x.chunks_exact(channels).zip(values.chunks_exact(channels)) {
                    for ((x, here), (mean, radius)) in
                        x.iter().zip(values).zip(mean.iter().zip(&radius))
                    {
                        out.push(value((*x - *mean).abs() < *radius, *mean, *here));
                    }
                }
                Ok(out)
            })
        })?;
        Ok(Tensor::from_vec(out, x.dims(), &Device::Cpu)?)
    }

    fn forward_cpu<T: Real>(&self, x: &Tensor) -> Result<Tensor> {
        self.map::<T>(x, x, |near, mean, x| if near { mean } else { x })
    }

    fn pullback_cpu<T: Real>(&self, x: &Tensor, g: &Tensor) -> Result<Tensor> {
        self.map::<T>(x, g, |near, _, g| if near { T::zero() } else { g })
    }
}

fn forward_cpu<T: Real>(layer: &MeanSparse, x: &Tensor) -> Result<Tensor> {
    layer.forward_cpu::<T>(x)
}

fn pullback_cpu<T: Real>(layer: &MeanSparse, x: &Tensor, g: &Tensor) -> Result<Tensor> {
    layer.pullback_cpu::<T>(x, g)
}

impl Unary for MeanSparse {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        for_real!(x, forward_cpu(self, x))
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((self.forward(x)?, Saved::Tensor(x.clone())))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor, _: Shape) -> Result<Tensor> {
        let Saved::Tensor(x) = saved else { return Err(foreign("mean sparse")) };
        for_real!(x, pullback_cpu(self, x, g))
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let along = |t: &Tensor| t.reshape((1, (), 1, 1))?.broadcast_as(x.shape());
        let mean = along(&self.mean)?;
        let near = (x - &mean)?.abs()?.lt(&along(&self.radius)?)?;
        Ok(near.where_cond(&mean, x)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let channels = self.mean.elem_count();
        if input.image("mean sparse")?[2] != channels {
            return Err(misfit("mean sparse", format!("takes {channels} channels, gets {input}")));
        }
        Ok(input)
    }

    fn on_gpu(&self, from: Shape, _: Shape) -> Result<OnGpu> {
        let (len, channels, count) = (from.len(), from.channels(), Slot::Count(from.len()));
        let [mean, radius] = [0, 1].map(Slot::Constant);
        let forward = slots![Slot::X(0), mean, radius, Slot::Y, count, channels];
        let back = slots![Slot::X(0), Slot::G, mean, radius, Slot::Gx, count, channels, Slot::Add];
        let forward = Launch::new("mean_sparse", len, forward);
        let kernels = Kernels::new(forward, Launch::new("mean_sparse_pullback", len, back))
            .with([numbers(&self.mean)?, numbers(&self.radius)?]);
        Ok(kernels.keeping(Keeps::Inputs).into())
    }

    fn describe(&self) -> String {
        format!("mean sparse {}", self.mean.elem_count())
    }
}
