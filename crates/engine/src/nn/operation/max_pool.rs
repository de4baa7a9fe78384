//! Maximum over windows. The pullback keeps where each maximum came from.

use candle_core::Tensor;

use super::avg_pool::windows;
use super::on_gpu::slots;
use super::{Keeps, Kernels, Launch, OnGpu, Saved, Slot, Unary, foreign};
use crate::error::Result;
use crate::nn::shape::Shape;
use crate::ops::layout::nchw_to_nhwc;
use crate::ops::pool::{self, Window};

/// See [`super::Op::MaxPool`].
#[derive(Debug, Clone, Copy)]
pub struct MaxPool(pub Window);

impl Unary for MaxPool {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        pool::maximum_only(x, self.0)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        let (y, origin) = pool::maximum(x, self.0)?;
        Ok((y, Saved::Origin(origin)))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor, input: Shape) -> Result<Tensor> {
        let Saved::Origin(origin) = saved else { return Err(foreign("max pool")) };
        let [height, width, channels] = input.image("max pool")?;
        pool::maximum_pullback(g, origin, [g.dim(0)?, height, width, channels])
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

    fn on_gpu(&self, from: Shape, to: Shape) -> Result<OnGpu> {
        let ([h, w, c], [oh, ow, _], Window { size, stride }) = (from.sides(), to.sides(), self.0);
        let (count, all, kept) = (Slot::Count(to.len()), Slot::Count(from.len()), Slot::Kept(0));
        let forward = slots![Slot::X(0), Slot::Y, kept, count, h, w, c, oh, ow, size, stride];
        let back = slots![Slot::G, kept, Slot::Gx, all, h, w, c, oh, ow, size, stride, Slot::Add];
        let forward = Launch::new("max_pool", to.len(), forward);
        let kernels = Kernels::new(forward, Launch::new("max_pool_pullback", from.len(), back));
        Ok(kernels.keeping(Keeps::Origins).into())
    }

    fn describe(&self) -> String {
        format!("max pool {} stride {}", self.0.size, self.0.stride)
    }
}
