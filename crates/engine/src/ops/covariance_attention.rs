//! Cross-covariance attention (El-Nouby et al., NeurIPS 2021): channels attend to channels. Within a
//! head, queries and keys are divided by their lengths over the pixels, so a score is a cosine times
//! the head's temperature. The pullback computes the probabilities again instead of keeping them.

use candle_core::{Device, Tensor};

use super::multiply::{Lines, Multiply, rows, softmax, softmax_pullback, transpose};
use crate::error::Result;
use crate::ops::{for_real, with_slice};

/// Shorter vectors are divided by this, as in published frameworks.
pub const SHORTEST: f64 = 1e-12;

/// `softmax(temperature q^T k) v` of each head with normalised q and k, for `qkv` `[N, H, W, 3 C]`;
/// gives `[N, H, W, C]`. There is a head for every temperature.
///
/// # Errors
/// If the tensor is not on the CPU.
pub fn forward(qkv: &Tensor, temperatures: &[f64]) -> Result<Tensor> {
    for_real!(qkv, forward_cpu(qkv, temperatures))
}

/// Pullback of [`forward`] at `qkv`: `[N, H, W, 3 C]`.
///
/// # Errors
/// If a tensor is not on the CPU.
pub fn pullback(g: &Tensor, qkv: &Tensor, temperatures: &[f64]) -> Result<Tensor> {
    for_real!(qkv, pullback_cpu(g, qkv, temperatures))
}

/// One head of one image, and where its numbers are.
struct Head<'a, T> {
    qkv: &'a [T],
    temperature: f64,
    pixels: usize,
    channels: usize,
    /// Its first channel and how many it has.
    first: usize,
    depth: usize,
}

/// What the pullback needs of the scores.
struct Scores<T> {
    /// Lengths of the queries and of the keys.
    lengths: [Vec<f64>; 2],
    /// Scores and probabilities, `[depth, depth]`.
    scores: Vec<T>,
    probabilities: Vec<T>,
}

impl<T: Multiply> Head<'_, T> {
    /// Where queries (0), keys (1) or values (2) of a pixel begin.
    fn at(&self, part: usize, pixel: usize) -> usize {
        (3 * pixel + part) * self.channels + self.first
    }

    fn starts(&self, part: usize) -> Vec<usize> {
        (0..self.pixels).map(|pixel| self.at(part, pixel)).collect()
    }

    /// The lengths of a part's channels over the pixels, at least [`SHORTEST`].
    fn lengths(&self, part: usize) -> Vec<f64> {
        let mut squares = vec![0.0; self.depth];
        for pixel in 0..self.pixels {
            let values = &self.qkv[self.at(part, pixel)..];
            for (square, value) in squares.iter_mut().zip(values) {
                *square += (*value).to_f64().powi(2);
            }
        }
        squares.into_iter().map(|square| square.sqrt().max(SHORTEST)).collect()
    }

    /// Rows of channels over the pixels, of numbers that begin at `starts`.
    fn turned(&self, values: &[T], starts: &[usize]) -> Vec<T> {
        let channel = |c: usize| starts.iter().map(move |start| values[start + c]);
        (0..self.depth).flat_map(channel).collect()
    }

    fn scores(&self) -> Scores<T> {
        let depth = self.depth;
        let lengths = [self.lengths(0), self.lengths(1)];
        let queries = self.turned(self.qkv, &self.starts(0));
        let lines =
            Lines { values: &queries, starts: &rows(depth, self.pixels), depth: self.pixels };
        let mut scores = vec![T::zero(); depth * depth];
        T::multiply(lines, |k, o| self.qkv[self.at(1, k) + o], depth, &mut scores, depth);
        for (row, query) in scores.chunks_exact_mut(depth).zip(&lengths[0]) {
            for (score, key) in row.iter_mut().zip(&lengths[1]) {
                *score *= T::from_f64(self.temperature / (query * key));
            }
        }
        let mut probabilities = scores.clone();
        probabilities.chunks_exact_mut(depth).for_each(softmax);
        Scores { lengths, scores, probabilities }
    }
}

/// Calls `visit` with every image's number and each of its heads.
fn for_each_head<T: Multiply>(
    qkv: &[T],
    pixels: usize,
    channels: usize,
    temperatures: &[f64],
    mut visit: impl FnMut(usize, Head<'_, T>),
) {
    let depth = channels / temperatures.len().max(1);
    for (image, qkv) in qkv.chunks_exact((3 * channels * pixels).max(1)).enumerate() {
        for (head, temperature) in temperatures.iter().enumerate() {
            let (temperature, first) = (*temperature, head * depth);
            visit(image, Head { qkv, temperature, pixels, channels, first, depth });
        }
    }
}

fn forward_cpu<T: Multiply>(qkv: &Tensor, temperatures: &[f64]) -> Result<Tensor> {
    let (n, height, width, all) = qkv.dims4()?;
    let (pixels, channels) = (height * width, all / 3);
    let mut out = vec![T::zero(); n * pixels * channels];
    with_slice::<T, _>(qkv, |qkv| {
        for_each_head(qkv, pixels, channels, temperatures, |image, head| {
            let depth = head.depth;
            let p = head.scores().probabilities;
            let lines = Lines { values: head.qkv, starts: &head.starts(2), depth };
            let out = &mut out[image * pixels * channels + head.first..];
            T::multiply(lines, |k, o| p[o * depth + k], depth, out, channels);
        });
        Ok(())
    })?;
    Ok(Tensor::from_vec(out, (n, height, width, channels), &Device::Cpu)?)
}

fn pullback_cpu<T: Multiply>(g: &Tensor, qkv: &Tensor, temperatures: &[f64]) -> Result<Tensor> {
    let (_, height, width, all) = qkv.dims4()?;
    let (pixels, channels) = (height * width, all / 3);
    let mut grad = vec![T::zero(); qkv.elem_count()];
    with_slice::<T, _>(g, |g| {
        with_slice::<T, _>(qkv, |qkv| {
            for_each_head(qkv, pixels, channels, temperatures, |image, head| {
                let g = &g[image * pixels * channels..][..pixels * channels];
                let grad = &mut grad[image * pixels * all..][..pixels * all];
                head.pullback(g, grad);
            });
            Ok(())
        })
    })?;
    Ok(Tensor::from_vec(grad, qkv.dims(), &Device::Cpu)?)
}

impl<T: Multiply> Head<'_, T> {
    /// Writes the gradients of this head's queries, keys and values to `grad`, for the cotangent `g`
    /// of the image's output.
    fn pullback(&self, g: &[T], grad: &mut [T]) {
        let (depth, stride) = (self.depth, 3 * self.channels);
        let Scores { lengths: [queries, keys], scores, probabilities: p } = self.scores();
        let from: Vec<usize> = (0..self.pixels).map(|i| i * self.channels + self.first).collect();
        let lines = Lines { values: g, starts: &from, depth };
        T::multiply(lines, |k, o| p[k * depth + o], depth, &mut grad[self.at(2, 0)..], stride);

        // Of the scores, from the products of the cotangent with the values over the pixels.
        let turned = self.turned(g, &from);
        let by_pixel = rows(depth, self.pixels);
        let lines = Lines { values: &turned, starts: &by_pixel, depth: self.pixels };
        let mut of_p = vec![T::zero(); depth * depth];
        T::multiply(lines, |k, o| self.qkv[self.at(2, k) + o], depth, &mut of_p, depth);
        for (p, of_p) in p.chunks_exact(depth).zip(of_p.chunks_exact_mut(depth)) {
            softmax_pullback(p, of_p);
        }

        // A score is temperature q k / (|q| |k|). What the lengths contribute is, for each query, its
        // scores times their gradients, for a vector that is not of the shortest length.
        let (mut of_queries, mut of_keys) = (vec![0.0; depth], vec![0.0; depth]);
        for (place, of_p) in of_p.iter_mut().enumerate() {
            let (query, key) = (place / depth, place % depth);
            let along = (*of_p).to_f64() * scores[place].to_f64();
            of_queries[query] += along / queries[query].powi(2);
            of_keys[key] += along / keys[key].powi(2);
            *of_p *= T::from_f64(self.temperature / (queries[query] * keys[key]));
        }
        let mut turned = Vec::new();
        transpose(&of_p, depth, &mut turned);
        for (part, other, factor, along, lengths) in
            [(0, 1, &turned, of_queries, queries), (1, 0, &of_p, of_keys, keys)]
        {
            let lines = Lines { values: self.qkv, starts: &self.starts(other), depth };
            let to = &mut grad[self.at(part, 0)..];
            T::multiply(lines, |k, o| factor[k * depth + o], depth, to, stride);
            let shortened = |(along, length): (f64, f64)| {
                T::from_f64(if length > SHORTEST { along } else { 0.0 })
            };
            let along: Vec<T> = along.into_iter().zip(lengths).map(shortened).collect();
            for pixel in 0..self.pixels {
                let at = self.at(part, pixel);
                for (c, along) in along.iter().enumerate() {
                    grad[at + c] -= self.qkv[at + c] * *along;
                }
            }
        }
    }
}
