//! Zero pixels around an image, for operations that do not pad themselves.

use candle_core::Tensor;

use super::on_gpu::slots;
use super::{AffineForm, Kernels, Launch, OnGpu, Saved, Slot, Unary};
use crate::error::Result;
use crate::nn::shape::Shape;
use crate::ops::conv2d::Padding;

/// See [`super::Op::PadPixels`].
#[derive(Debug, Clone, Copy)]
pub struct PadPixels(pub Padding);

impl PadPixels {
    /// The same number of pixels on all sides.
    pub fn all(pixels: usize) -> Self {
        Self(Padding::all(pixels))
    }
}

impl Unary for PadPixels {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let Padding { top, bottom, left, right } = self.0;
        Ok(x.pad_with_zeros(1, top, bottom)?.pad_with_zeros(2, left, right)?)
    }

    fn pullback(&self, _: &Saved, g: &Tensor, input: Shape) -> Result<Tensor> {
        let [height, width, _] = input.image("pad pixels")?;
        Ok(g.narrow(1, self.0.top, height)?.narrow(2, self.0.left, width)?.contiguous()?)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let Padding { top, bottom, left, right } = self.0;
        Ok(x.pad_with_zeros(2, top, bottom)?.pad_with_zeros(3, left, right)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let Padding { top, bottom, left, right } = self.0;
        let [height, width, channels] = input.image("pad pixels")?;
        Ok(Shape::of_image([height + top + bottom, width + left + right], channels))
    }

    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        Ok(Some(AffineForm::moving(*self)))
    }

    fn on_gpu(&self, from: Shape, to: Shape) -> Result<OnGpu> {
        Ok(padding(from, to, [self.0.top, self.0.left, 0]).into())
    }

    fn describe(&self) -> String {
        let Padding { top, bottom, left, right } = self.0;
        if self.0 == Padding::all(top) {
            format!("pad pixels {top}")
        } else {
            format!("pad pixels {top},{bottom},{left},{right}")
        }
    }
}

/// Zeros around an image: so many rows above it, columns on its left and channels in front.
pub(super) fn padding(from: Shape, to: Shape, [top, left, before]: [usize; 3]) -> Kernels {
    let ([h, w, c], [oh, ow, oc]) = (from.sides(), to.sides());
    let (count, all) = (Slot::Count(to.len()), Slot::Count(from.len()));
    let forward = slots![Slot::X(0), Slot::Y, count, h, w, c, oh, ow, oc, top, left, before];
    let back = slots![Slot::G, Slot::Gx, all, h, w, c, oh, ow, oc, top, left, before, Slot::Add];
    let forward = Launch::new("pad", to.len(), forward);
    Kernels::new(forward, Launch::new("pad_pullback", from.len(), back))
}
