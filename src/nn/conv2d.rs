//! Convolution with fixed weights. Weights are kept as published and packed for the engine when the
//! forward pass or the pullback first needs them: a network that is only certified never pays for
//! the packing of the pullback.

use std::sync::OnceLock;

use candle_core::Tensor;

use super::bounds::{AffineForm, wide};
use super::shape::misfit;
use super::{Layer, Node, Saved, Shape, foreign};
use crate::error::Result;
use crate::ops::conv2d::{self, Geometry, Padding};

/// See [`Layer::Conv2d`].
#[derive(Debug, Clone)]
pub struct Conv2d {
    weight: Tensor,
    bias: Option<Tensor>,
    geometry: Geometry,
    forward: OnceLock<Tensor>,
    backward: OnceLock<Tensor>,
}

impl Conv2d {
    /// A convolution with weights `[O, I, kh, kw]` and bias `[O]`, stride 1, no padding.
    ///
    /// # Errors
    /// If the weight is not of rank 4.
    pub fn new(weight: Tensor, bias: Option<Tensor>) -> Result<Self> {
        let (outputs, inputs, kh, kw) = weight.dims4()?;
        let geometry = Geometry {
            kernel: [kh, kw],
            stride: [1, 1],
            padding: Padding::default(),
            dilation: [1, 1],
            groups: 1,
            inputs,
            outputs,
        };
        Ok(Self { weight, bias, geometry, forward: OnceLock::new(), backward: OnceLock::new() })
    }

    /// Steps of `stride` pixels.
    #[must_use]
    pub fn stride(mut self, stride: usize) -> Self {
        self.geometry.stride = [stride, stride];
        self
    }

    /// The same zero padding on all sides.
    #[must_use]
    pub fn padding(self, pixels: usize) -> Self {
        self.padding_sides(Padding::all(pixels))
    }

    /// Zero padding that differs by side.
    #[must_use]
    pub fn padding_sides(mut self, padding: Padding) -> Self {
        self.geometry.padding = padding;
        self
    }

    /// Kernel taps `pixels` apart.
    #[must_use]
    pub fn dilation(mut self, pixels: usize) -> Self {
        self.geometry.dilation = [pixels, pixels];
        self
    }

    /// Groups of channels that do not see each other; the weight is `[O, I / groups, kh, kw]`.
    #[must_use]
    pub fn groups(mut self, groups: usize) -> Self {
        self.geometry.inputs = self.geometry.inputs / self.geometry.groups * groups;
        self.geometry.groups = groups;
        self
    }

    /// As a [`Layer`].
    pub fn layer(self) -> Layer {
        Layer::Conv2d(self)
    }

    fn packed_forward(&self) -> Result<&Tensor> {
        fill(&self.forward, || conv2d::pack_forward(&self.weight, &self.geometry))
    }

    fn packed_backward(&self) -> Result<&Tensor> {
        fill(&self.backward, || conv2d::pack_backward(&self.weight, &self.geometry))
    }
}

/// The value of a cell, made on first use; two threads may both make it, one of them wins.
pub(super) fn fill(
    cell: &OnceLock<Tensor>,
    make: impl FnOnce() -> Result<Tensor>,
) -> Result<&Tensor> {
    match cell.get() {
        Some(value) => Ok(value),
        None => {
            let value = make()?;
            Ok(cell.get_or_init(|| value))
        }
    }
}

impl Node for Conv2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        conv2d::forward(x, self.packed_forward()?, self.bias.as_ref(), &self.geometry)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((self.forward(x)?, Saved::Shape(x.dims().to_vec())))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor) -> Result<Tensor> {
        let Saved::Shape(shape) = saved else { return Err(foreign("conv")) };
        conv2d::pullback(g, self.packed_backward()?, [shape[1], shape[2]], &self.geometry)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let (geo, p) = (&self.geometry, self.geometry.padding);
        let x = x.pad_with_zeros(2, p.top, p.bottom)?.pad_with_zeros(3, p.left, p.right)?;
        let y = x.conv2d(&self.weight, 0, geo.stride[0], geo.dilation[0], geo.groups)?;
        match &self.bias {
            Some(bias) => Ok(y.broadcast_add(&bias.reshape((1, (), 1, 1))?)?),
            None => Ok(y),
        }
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let [height, width, channels] = input.image("conv")?;
        let geo = &self.geometry;
        if channels != geo.inputs {
            return Err(misfit("conv", format!("takes {} channels, gets {channels}", geo.inputs)));
        }
        let out = geo.output(height, width).ok_or_else(|| {
            misfit("conv", format!("kernel {:?} does not fit into {input}", geo.kernel))
        })?;
        Ok(Shape::of_image(out, geo.outputs))
    }

    fn multiply_adds(&self, input: Shape) -> u64 {
        self.shape(input).map_or(0, |out| (out.len() * self.geometry.depth()) as u64)
    }

    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        let weight = wide(&self.weight)?;
        let bias = self.bias.as_ref().map(wide).transpose()?;
        let with = |weight: Tensor, bias| {
            let (forward, backward) = (OnceLock::new(), OnceLock::new());
            Self { weight, bias, geometry: self.geometry, forward, backward }.layer()
        };
        Ok(Some(AffineForm {
            absolute: with(weight.abs()?, None),
            layer: with(weight, bias),
            terms: self.geometry.depth(),
        }))
    }

    fn describe(&self) -> String {
        let Geometry { kernel: [kh, kw], stride, padding: p, dilation, groups, inputs, outputs } =
            self.geometry;
        let mut text = format!("conv {kh}x{kw} {inputs} -> {outputs}");
        if stride != [1, 1] {
            text += &format!(" stride {}", stride[0]);
        }
        if p == Padding::all(p.top) {
            if p.top > 0 {
                text += &format!(" padding {}", p.top);
            }
        } else {
            text += &format!(" padding {},{},{},{}", p.top, p.bottom, p.left, p.right);
        }
        if dilation != [1, 1] {
            text += &format!(" dilation {}", dilation[0]);
        }
        if groups > 1 {
            text += &format!(" groups {groups}");
        }
        text
    }
}
