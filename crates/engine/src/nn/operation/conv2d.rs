//! Convolution with fixed weights. Weights are kept as published and packed for the engine when the
//! forward pass or the pullback first needs them: a network that is only certified never pays for
//! the packing of the pullback.

use std::sync::OnceLock;

use candle_core::{DType, Tensor};

use super::affine_form::wide;
use super::on_gpu::numbers;
use super::{Affine, AffineForm, Convolution, OnGpu, PadPixels, Saved, Unary, foreign};
use crate::error::Result;
use crate::nn::shape::{Shape, misfit};
use crate::ops::activation;
use crate::ops::bf16::Unit;
use crate::ops::conv2d::{self, End, Geometry, Packed, Padding};

/// See [`super::Op::Conv2d`].
#[derive(Debug, Clone)]
pub struct Conv2d {
    weight: Tensor,
    bias: Option<Tensor>,
    geometry: Geometry,
    relu: bool,
    /// What multiplies in bf16; `None` in f32.
    unit: Option<Unit>,
    /// Whether what it makes, and the gradient that it pulls back, are stored in bf16.
    narrow: [bool; 2],
    forward: OnceLock<Packed>,
    backward: OnceLock<Packed>,
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
        let (forward, backward) = (OnceLock::new(), OnceLock::new());
        Ok(Self {
            weight,
            bias,
            geometry,
            relu: false,
            unit: None,
            narrow: [false; 2],
            forward,
            backward,
        })
    }

    /// Steps of `stride` pixels.
    #[must_use]
    pub fn stride(mut self, stride: usize) -> Self {
        self.geometry.stride = [stride, stride];
        self
    }

    /// Steps that differ by axis: down and across.
    #[must_use]
    pub fn strides(mut self, strides: [usize; 2]) -> Self {
        self.geometry.stride = strides;
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

    /// Distances of kernel taps that differ by axis: down and across.
    #[must_use]
    pub fn dilations(mut self, pixels: [usize; 2]) -> Self {
        self.geometry.dilation = pixels;
        self
    }

    /// Groups of channels that do not see each other; the weight is `[O, I / groups, kh, kw]`.
    #[must_use]
    pub fn groups(mut self, groups: usize) -> Self {
        self.geometry.inputs = self.geometry.inputs / self.geometry.groups * groups;
        self.geometry.groups = groups;
        self
    }

    /// This convolution and the [`Affine`] after it as one: the weights of every output are scaled,
    /// in f64.
    ///
    /// # Errors
    /// If the shapes differ.
    pub(in crate::nn) fn followed_by(&self, affine: &Affine) -> Result<Self> {
        let kind = self.weight.dtype();
        let double = |t: &Tensor| t.to_dtype(DType::F64);
        let (scale, shift) = (double(affine.scale())?, double(affine.shift())?);
        let weight = double(&self.weight)?.broadcast_mul(&scale.reshape(((), 1, 1, 1))?)?;
        let bias = match &self.bias {
            Some(bias) => ((double(bias)? * scale)? + shift)?,
            None => shift,
        };
        let bias = Some(bias.to_dtype(kind)?);
        let mut folded = Self::new(weight.to_dtype(kind)?, bias)?;
        folded.geometry = self.geometry;
        folded.relu = affine.cuts();
        Ok(folded)
    }

    /// This convolution with images and weights rounded to bf16 where they are multiplied, by `unit`. `narrow`
    /// says whether what it makes, and the gradient that it pulls back, are stored in bf16.
    pub(in crate::nn) fn rounded(&self, unit: Unit, narrow: [bool; 2]) -> Self {
        let (forward, backward) = (OnceLock::new(), OnceLock::new());
        Self { unit: Some(unit), narrow, forward, backward, ..self.clone() }
    }

    /// Whether factors are rounded if the network's are to be: it may not pay.
    pub(in crate::nn) fn rounds(&self) -> bool {
        self.weight.dtype() == DType::F32 && self.geometry.rounds()
    }

    /// This convolution and a ReLU after it as one.
    pub(in crate::nn) fn cut(&self) -> Self {
        Self { relu: true, ..self.clone() }
    }

    /// This convolution without the ReLU that is part of it; `None` if there is none.
    pub(in crate::nn) fn uncut(&self) -> Option<Self> {
        self.relu.then(|| Self { relu: false, ..self.clone() })
    }

    /// Whether a ReLU is part of it.
    pub(in crate::nn) fn cuts(&self) -> bool {
        self.relu
    }

    /// The padding and the convolution without it, if it differs by side, which cuDNN cannot do.
    pub(in crate::nn) fn padded_before(&self) -> Option<(PadPixels, Self)> {
        let p = self.geometry.padding;
        let even = p.top == p.bottom && p.left == p.right;
        (!even).then(|| (PadPixels(p), self.clone().padding_sides(Padding::default())))
    }

    /// What it makes of `x`, with `onto` added before the ReLU that may be part of it, and what [`Conv2d::before`]
    /// needs.
    pub(super) fn save_onto(&self, x: &Tensor, onto: Option<&Tensor>) -> Result<(Tensor, Saved)> {
        let y = self.forward_onto(x, onto)?;
        let saved = if self.relu { Saved::Bits(activation::positive(&y)?) } else { Saved::Nothing };
        Ok((y, saved))
    }

    /// What it makes of `x`, likewise.
    pub(super) fn forward_onto(&self, x: &Tensor, onto: Option<&Tensor>) -> Result<Tensor> {
        let [narrow, _] = self.narrow;
        let end = End { bias: self.bias.as_ref(), onto, relu: self.relu, narrow };
        conv2d::forward(x, self.packed_forward()?, end, &self.geometry)
    }

    /// The cotangent of what comes before the ReLU, of that of what it makes.
    pub(super) fn before(&self, saved: &Saved, g: &Tensor) -> Result<Tensor> {
        match saved {
            Saved::Bits(positive) if self.relu => activation::relu_pullback(g, positive),
            Saved::Nothing if !self.relu => Ok(g.clone()),
            _ => Err(foreign("conv")),
        }
    }

    /// The cotangent of its input, for that of what comes before the ReLU; added to `onto`.
    pub(super) fn pull(&self, g: &Tensor, input: Shape, onto: Option<&Tensor>) -> Result<Tensor> {
        let [height, width, _] = input.image("conv")?;
        let [_, narrow] = self.narrow;
        conv2d::pullback(g, self.packed_backward()?, [height, width], &self.geometry, onto, narrow)
    }

    /// Whether it is one of single pixels in f32, as [`conv2d::gelu`] wants it.
    pub(in crate::nn) fn is_per_pixel(&self) -> bool {
        self.unit.is_none() && conv2d::gelu::fits(&self.geometry)
    }

    /// Its bias.
    pub(super) fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// Everything else but its weights.
    pub(super) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    pub(super) fn packed_forward(&self) -> Result<&Packed> {
        fill(&self.forward, || conv2d::pack_forward(&self.weight, &self.geometry, self.unit))
    }

    pub(super) fn packed_backward(&self) -> Result<&Packed> {
        fill(&self.backward, || conv2d::pack_backward(&self.weight, &self.geometry, self.unit))
    }
}

/// The value of a cell, made on first use; two threads may both make it, one of them wins.
pub(super) fn fill<T>(cell: &OnceLock<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
    match cell.get() {
        Some(value) => Ok(value),
        None => {
            let value = make()?;
            Ok(cell.get_or_init(|| value))
        }
    }
}

impl Unary for Conv2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_onto(x, None)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        self.save_onto(x, None)
    }

    fn pullback(&self, saved: &Saved, g: &Tensor, input: Shape) -> Result<Tensor> {
        self.pull(&self.before(saved, g)?, input, None)
    }

    fn pullback_onto(
        &self,
        saved: &Saved,
        g: &Tensor,
        input: Shape,
        onto: &Tensor,
    ) -> Result<Tensor> {
        self.pull(&self.before(saved, g)?, input, Some(onto))
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let (geo, p) = (&self.geometry, self.geometry.padding);
        let x = x.pad_with_zeros(2, p.top, p.bottom)?.pad_with_zeros(3, p.left, p.right)?;
        let y = convolve(&x, &self.weight, geo)?;
        let y = match &self.bias {
            Some(bias) => y.broadcast_add(&bias.reshape((1, (), 1, 1))?)?,
            None => y,
        };
        Ok(if self.relu { y.relu()? } else { y })
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
            let geometry = self.geometry;
            Self {
                weight,
                bias,
                geometry,
                relu: false,
                unit: None,
                narrow: [false; 2],
                forward,
                backward,
            }
        };
        let minimal = match self.geometry.filters_minimally() {
            true => Some(weight.abs()?.flatten_from(1)?.sum(1)?.to_vec1()?),
            false => None,
        };
        Ok(Some(AffineForm {
            absolute: with(weight.abs()?, None).into(),
            op: with(weight, bias).into(),
            terms: self.geometry.depth(),
            minimal,
        }))
    }

    fn on_gpu(&self, _: Shape, _: Shape) -> Result<OnGpu> {
        // [O, I, kh, kw] to [O, kh, kw, I]: the order in which NHWC images are read.
        let weight = numbers(&self.weight.permute((0, 2, 3, 1))?)?;
        let bias = self.bias.as_ref().map(numbers).transpose()?;
        let (relu, geometry) = (self.relu, self.geometry);
        Ok(OnGpu::Convolution(Box::new(Convolution { weight, bias, relu, geometry })))
    }

    fn describe(&self) -> String {
        let Geometry { kernel: [kh, kw], stride, padding: p, dilation, groups, inputs, outputs } =
            self.geometry;
        let mut text = format!("conv {kh}x{kw} {inputs} -> {outputs}");
        if stride != [1, 1] {
            text += &format!(" stride {}", one_or_two(stride));
        }
        if p == Padding::all(p.top) {
            if p.top > 0 {
                text += &format!(" padding {}", p.top);
            }
        } else {
            text += &format!(" padding {},{},{},{}", p.top, p.bottom, p.left, p.right);
        }
        if dilation != [1, 1] {
            text += &format!(" dilation {}", one_or_two(dilation));
        }
        if groups > 1 {
            text += &format!(" groups {groups}");
        }
        if self.relu {
            text += ", relu";
        }
        text
    }
}

fn one_or_two([down, across]: [usize; 2]) -> String {
    if down == across { down.to_string() } else { format!("{down},{across}") }
}

/// candle's convolution, which has one stride and one dilation for both axes: if the strides differ, pixels of
/// that of stride 1 are left out; if the dilations do, zeros are put between the taps.
fn convolve(x: &Tensor, weight: &Tensor, geo: &Geometry) -> Result<Tensor> {
    let [down, across] = geo.dilation;
    let (weight, dilation) = match down == across {
        true => (weight.clone(), down),
        false => (apart(weight, geo)?, 1),
    };
    if geo.stride[0] == geo.stride[1] {
        return Ok(x.conv2d(&weight, 0, geo.stride[0], dilation, geo.groups)?);
    }
    let mut y = x.conv2d(&weight, 0, 1, dilation, geo.groups)?;
    for (axis, stride) in [2, 3].into_iter().zip(geo.stride) {
        let kept = Tensor::arange_step(0, y.dim(axis)? as u32, stride as u32, y.device())?;
        y = y.index_select(&kept, axis)?;
    }
    Ok(y)
}

/// The weight with zeros between its taps.
fn apart(weight: &Tensor, geo: &Geometry) -> Result<Tensor> {
    let ((o, i, kh, kw), [down, across]) = (weight.dims4()?, geo.dilation);
    let taps = weight.reshape((o, i, kh, 1, kw, 1))?;
    let taps = taps.pad_with_zeros(3, 0, down.saturating_sub(1))?;
    let taps = taps.pad_with_zeros(5, 0, across.saturating_sub(1))?;
    let whole = taps.reshape((o, i, kh * down, kw * across))?;
    let [height, width] = [(kh, down), (kw, across)].map(|(k, apart)| apart * (k - 1) + 1);
    Ok(whole.narrow(2, 0, height)?.narrow(3, 0, width)?.contiguous()?)
}
