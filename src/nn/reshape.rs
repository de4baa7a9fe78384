//! Layers that only move values: the identity, flattening, and the two halves of the option-A
//! shortcut of CIFAR ResNets (He et al. 2016, section 3.3).

use candle_core::Tensor;

use super::bounds::AffineForm;
use super::lower::{Lowered, Op, Value};
use super::{Layer, Node, Saved, Shape, foreign};
use crate::error::Result;
use crate::ops::conv2d::Padding;
use crate::ops::layout;

/// See [`Layer::Identity`].
pub(super) struct Identity;

impl Node for Identity {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.clone())
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((x.clone(), Saved::Nothing))
    }

    fn pullback(&self, _: &Saved, g: &Tensor) -> Result<Tensor> {
        Ok(g.clone())
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.clone())
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        Ok(input)
    }

    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        let _ = to;
        Ok(x)
    }

    fn describe(&self) -> String {
        "identity".into()
    }
}

/// See [`Layer::Flatten`].
#[derive(Debug, Clone, Copy)]
pub struct Flatten;

impl Node for Flatten {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(layout::nhwc_to_nchw(x)?.flatten_from(1)?)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((self.forward(x)?, Saved::Shape(x.dims().to_vec())))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor) -> Result<Tensor> {
        let Saved::Shape(shape) = saved else { return Err(foreign("flatten")) };
        layout::nchw_to_nhwc(&g.reshape((shape[0], shape[3], shape[1], shape[2]))?)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.flatten_from(1)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        Ok(Shape::Flat(input.len()))
    }

    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        Ok(Some(AffineForm::moving(Layer::Flatten(*self))))
    }

    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        to.apply(self, Op::Flatten, x)
    }

    fn describe(&self) -> String {
        "flatten".into()
    }
}

/// See [`Layer::Subsample`]: `x[:, ::step, ::step, :]`.
#[derive(Debug, Clone, Copy)]
pub struct Subsample(pub usize);

impl Subsample {
    /// As a [`Layer`].
    pub fn layer(self) -> Layer {
        Layer::Subsample(self)
    }

    fn indices(self, size: usize, like: &Tensor) -> Result<Tensor> {
        let kept: Vec<u32> = (0..size as u32).step_by(self.0).collect();
        Ok(Tensor::new(kept, like.device())?)
    }
}

impl Node for Subsample {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (_, h, w, _) = x.dims4()?;
        Ok(x.index_select(&self.indices(h, x)?, 1)?.index_select(&self.indices(w, x)?, 2)?)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((self.forward(x)?, Saved::Shape(x.dims().to_vec())))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor) -> Result<Tensor> {
        let Saved::Shape(shape) = saved else { return Err(foreign("subsample")) };
        let (n, h, w, c) = (shape[0], shape[1], shape[2], shape[3]);
        let wide = Tensor::zeros((n, g.dim(1)?, w, c), g.dtype(), g.device())?;
        let wide = wide.index_add(&self.indices(w, g)?, g, 2)?;
        let full = Tensor::zeros((n, h, w, c), g.dtype(), g.device())?;
        Ok(full.index_add(&self.indices(h, g)?, &wide, 1)?)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let (_, _, h, w) = x.dims4()?;
        Ok(x.index_select(&self.indices(h, x)?, 2)?.index_select(&self.indices(w, x)?, 3)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let [height, width, channels] = input.image("subsample")?;
        Ok(Shape::of_image([height.div_ceil(self.0), width.div_ceil(self.0)], channels))
    }

    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        Ok(Some(AffineForm::moving(self.layer())))
    }

    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        to.apply(self, Op::Subsample(self.0), x)
    }

    fn describe(&self) -> String {
        format!("subsample {}", self.0)
    }
}

/// See [`Layer::PadChannels`].
#[derive(Debug, Clone, Copy)]
pub struct PadChannels {
    /// Zero channels in front.
    pub before: usize,
    /// Zero channels behind.
    pub after: usize,
}

impl PadChannels {
    /// As a [`Layer`].
    pub fn layer(self) -> Layer {
        Layer::PadChannels(self)
    }
}

impl Node for PadChannels {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.pad_with_zeros(3, self.before, self.after)?)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((self.forward(x)?, Saved::Nothing))
    }

    fn pullback(&self, _: &Saved, g: &Tensor) -> Result<Tensor> {
        let channels = g.dim(3)? - self.before - self.after;
        Ok(g.narrow(3, self.before, channels)?.contiguous()?)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.pad_with_zeros(1, self.before, self.after)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let [height, width, channels] = input.image("pad channels")?;
        Ok(Shape::of_image([height, width], channels + self.before + self.after))
    }

    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        Ok(Some(AffineForm::moving(self.layer())))
    }

    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        let channels = [self.before, self.after];
        to.apply(self, Op::Pad { pixels: Padding::default(), channels }, x)
    }

    fn describe(&self) -> String {
        format!("pad channels {} + {}", self.before, self.after)
    }
}
