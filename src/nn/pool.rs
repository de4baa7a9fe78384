//! Pooling layers.

use candle_core::Tensor;

use super::bounds::AffineForm;
use super::lower::{Lowered, Op, Value};
use super::shape::misfit;
use super::{Layer, Node, Saved, Shape, foreign};
use crate::error::Result;
use crate::ops::layout::nchw_to_nhwc;
use crate::ops::pool::{self, Window};

/// See [`super::Layer::AvgPool`].
#[derive(Debug, Clone, Copy)]
pub struct AvgPool(pub Window);

impl Node for AvgPool {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        pool::average(x, self.0)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((self.forward(x)?, Saved::Shape(x.dims().to_vec())))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor) -> Result<Tensor> {
        let Saved::Shape(shape) = saved else { return Err(foreign("average pool")) };
        pool::average_pullback(g, self.0, [shape[1], shape[2]])
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.avg_pool2d_with_stride(self.0.size, self.0.stride)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        windows(self.0, input)
    }

    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        let layer = || Layer::AvgPool(*self);
        let terms = self.0.size * self.0.size;
        Ok(Some(AffineForm::new(layer(), layer(), terms)))
    }

    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        to.apply(self, Op::AvgPool(self.0), x)
    }

    fn describe(&self) -> String {
        format!("average pool {} stride {}", self.0.size, self.0.stride)
    }
}

/// See [`super::Layer::MaxPool`].
#[derive(Debug, Clone, Copy)]
pub struct MaxPool(pub Window);

impl Node for MaxPool {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        pool::maximum_only(x, self.0)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        let (y, origin) = pool::maximum(x, self.0)?;
        let (n, h, w, c) = x.dims4()?;
        Ok((y, Saved::Origin(origin, [n, h, w, c])))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor) -> Result<Tensor> {
        let Saved::Origin(origin, shape) = saved else { return Err(foreign("max pool")) };
        pool::maximum_pullback(g, origin, *shape)
    }

    /// Picks the elements that the windows' maxima came from. candle 0.11 has a max pool, but its
    /// gradient is divided by the window's area and goes to every one of equal elements.
    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let (n, c, h, w) = x.dims4()?;
        let (y, origin) = pool::maximum(&nchw_to_nhwc(&x.detach())?, self.0)?;
        let (_, out_h, out_w, _) = y.dims4()?;
        let (pixels, image) = ((h * w) as u32, (h * w * c) as u32);
        let to_nchw = |i: u32| {
            let (batch, rest, channels) = (i / image, i % image, c as u32);
            batch * image + (rest % channels) * pixels + rest / channels
        };
        let origin: Vec<u32> = origin.into_iter().map(to_nchw).collect();
        let picked = x.flatten_all()?.index_select(&Tensor::new(origin, x.device())?, 0)?;
        Ok(picked.reshape((n, out_h, out_w, c))?.permute((0, 3, 1, 2))?.contiguous()?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        windows(self.0, input)
    }

    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        to.apply(self, Op::MaxPool(self.0), x)
    }

    fn describe(&self) -> String {
        format!("max pool {} stride {}", self.0.size, self.0.stride)
    }
}

fn windows(window: Window, input: Shape) -> Result<Shape> {
    let [height, width, channels] = input.image("pool")?;
    let out = window.output(height, width).ok_or_else(|| {
        misfit("pool", format!("a window of {} does not fit into {input}", window.size))
    })?;
    Ok(Shape::of_image(out, channels))
}

/// See [`super::Layer::GlobalAvgPool`].
#[derive(Debug, Clone, Copy)]
pub struct GlobalAvgPool;

impl Node for GlobalAvgPool {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.save(x)?.0)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        let (n, h, w, c) = x.dims4()?;
        // A sum along the middle axis by candle is one addition after the other, image by image.
        let mean = (x.reshape((n, h * w, c))?.sum(1)? / (h * w) as f64)?;
        Ok((mean, Saved::Shape(vec![n, h, w, c])))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor) -> Result<Tensor> {
        let Saved::Shape(shape) = saved else { return Err(foreign("global pool")) };
        let (n, h, w, c) = (shape[0], shape[1], shape[2], shape[3]);
        let share = (g / (h * w) as f64)?.reshape((n, 1, 1, c))?;
        Ok(share.broadcast_as((n, h, w, c))?.contiguous()?)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.mean((2, 3))?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        Ok(Shape::Flat(input.image("global pool")?[2]))
    }

    fn affine_form(&self, input: Shape) -> Result<Option<AffineForm>> {
        let layer = || Layer::GlobalAvgPool(*self);
        let [height, width, _] = input.image("global pool")?;
        Ok(Some(AffineForm::new(layer(), layer(), height * width)))
    }

    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        to.apply(self, Op::GlobalAvgPool, x)
    }

    fn describe(&self) -> String {
        "global average pool".into()
    }
}
