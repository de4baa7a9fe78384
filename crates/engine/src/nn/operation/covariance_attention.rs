//! Attention among the channels of an image (El-Nouby et al., NeurIPS 2021), between the layer that
//! makes queries, keys and values and the one that mixes the heads.

use candle_core::{DType, Tensor};

use super::attention::{depth_of_heads, reference_softmax};
use super::on_gpu::slots;
use super::{Constants, Keeps, Kernels, Launch, OnGpu, Saved, Slot, Unary, foreign};
use crate::error::Result;
use crate::nn::shape::Shape;
use crate::ops::covariance_attention::{self, SHORTEST};

/// See [`super::Op::CovarianceAttention`].
#[derive(Debug, Clone)]
pub struct CovarianceAttention {
    /// One per head.
    temperatures: Vec<f64>,
}

impl CovarianceAttention {
    /// With as many heads as there are temperatures, in a tensor of any shape.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(temperatures: &Tensor) -> Result<Self> {
        let temperatures = temperatures.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?;
        Ok(Self { temperatures })
    }
}

impl Unary for CovarianceAttention {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        covariance_attention::forward(x, &self.temperatures)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((self.forward(x)?, Saved::Tensor(x.clone())))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor, _: Shape) -> Result<Tensor> {
        let Saved::Tensor(x) = saved else { return Err(foreign("covariance attention")) };
        covariance_attention::pullback(g, x, &self.temperatures)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let (n, all, height, width) = x.dims4()?;
        let heads = self.temperatures.len();
        let parts = x.reshape((n, 3, heads, all / 3 / heads, height * width))?;
        let part = |i: usize| parts.narrow(1, i, 1)?.squeeze(1)?.contiguous();
        let unit = |i: usize| -> Result<Tensor> {
            let part = part(i)?;
            let length = part.sqr()?.sum_keepdim(3)?.sqrt()?;
            let length = length.maximum(&(length.zeros_like()? + SHORTEST)?)?;
            Ok(part.broadcast_div(&length)?)
        };
        let temperatures = Tensor::new(self.temperatures.as_slice(), x.device())?;
        let temperatures = temperatures.to_dtype(x.dtype())?.reshape((1, heads, 1, 1))?;
        let scores = unit(0)?.matmul(&unit(1)?.transpose(2, 3)?.contiguous()?)?;
        let p = reference_softmax(&scores.broadcast_mul(&temperatures)?)?;
        Ok(p.matmul(&part(2)?)?.reshape((n, all / 3, height, width))?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let heads = self.temperatures.len();
        let depth = depth_of_heads("covariance attention", heads, input)?;
        let [height, width, _] = input.image("covariance attention")?;
        Ok(Shape::of_image([height, width], heads * depth))
    }

    fn multiply_adds(&self, input: Shape) -> u64 {
        let Shape::Image { height, width, channels } = input else { return 0 };
        let depth = channels / 3 / self.temperatures.len().max(1);
        (2 * height * width * (channels / 3) * depth) as u64
    }

    fn on_gpu(&self, from: Shape, to: Shape) -> Result<OnGpu> {
        let [height, width, _] = from.image("covariance attention")?;
        let (heads, rows, len) = (self.temperatures.len(), to.channels(), to.len());
        let depth = rows / heads.max(1);
        // Scores, probabilities, cotangents of scores, and the lengths of queries and keys.
        let [scores, p, of_scores, lengths] = [0, 1, 2, 3].map(|i| Slot::Kept(i * rows * depth));
        let (x, temperatures) = (Slot::X(0), Slot::Constant(0));
        let sizes = slots![height * width, heads, depth];
        let launch = |kernel, threads, places: Vec<Slot>, counts: Vec<Slot>| {
            Launch::new(kernel, threads, [places, counts, sizes.clone()].concat())
        };
        let (of_rows, of_all) = (Slot::Count(rows), Slot::Count(len));
        let forward = vec![
            launch(
                "channel_scores",
                rows,
                vec![x, temperatures, scores, p, lengths],
                vec![of_rows],
            ),
            launch("channel_mix", len, vec![x, p, Slot::Y], vec![of_all]),
        ];
        let mix = vec![x, Slot::G, temperatures, scores, p, of_scores, lengths, Slot::Gx];
        let mut mix = launch("channel_mix_pullback", len, mix, vec![of_all, of_rows]);
        mix.slots.push(Slot::Add);
        let pullback = vec![
            launch("channel_scores_pullback", rows, vec![x, Slot::G, p, of_scores], vec![of_rows]),
            mix,
        ];
        Ok(OnGpu::Kernels(Kernels {
            constants: vec![Constants::Floats(
                self.temperatures.iter().map(|t| *t as f32).collect(),
            )],
            keeps: Keeps::Scores(rows * (3 * depth + 2)),
            forward,
            pullback: vec![pullback],
        }))
    }

    fn describe(&self) -> String {
        format!("covariance attention heads {}", self.temperatures.len())
    }
}
