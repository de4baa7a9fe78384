//! Scaled dot-product attention (Vaswani et al., NeurIPS 2017) among the pixels of an image: of all of
//! them, or of windows that may be shifted across its edges (Liu et al., ICCV 2021). A pixel holds its
//! queries, keys and values side by side, each in heads. The pullback computes the probabilities again
//! instead of keeping them.

use candle_core::{Device, Tensor};

use super::multiply::{Lines, Multiply, rows, softmax, softmax_pullback, transpose};
use crate::error::Result;
use crate::ops::{for_real, with_slice};

/// Added to the score of two pixels of a window that do not lie together in the image, as in
/// published networks.
pub const APART: f64 = -100.0;

/// Which pixels of an image attend to which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// Pixels of group after group; each pixel of the image is in one of them.
    pub pixels: Vec<usize>,
    /// For each entry of `pixels` the part of the image it comes from.
    pub regions: Vec<u8>,
    /// Pixels per group.
    pub length: usize,
    /// How many pixels of a group ask, its first ones; fewer than all only in an only group.
    pub queries: usize,
}

impl Groups {
    /// All pixels in one group, of which the first `queries` ask.
    pub fn whole(pixels: usize, queries: usize) -> Self {
        Self { pixels: (0..pixels).collect(), regions: vec![0; pixels], length: pixels, queries }
    }

    /// Windows of `size` x `size` pixels of the image moved by `shift` pixels to the left and upwards,
    /// around its edges; an axis as long as the window is not moved. `None` if the windows do not tile
    /// the image.
    pub fn windows([height, width]: [usize; 2], size: usize, shift: usize) -> Option<Self> {
        let tile = |side: usize| size > 0 && side > 0 && side.is_multiple_of(size);
        if !tile(height) || !tile(width) {
            return None;
        }
        let axis = |side: usize| Axis { side, size, shift: if side == size { 0 } else { shift } };
        let (down, across) = (axis(height), axis(width));
        let mut pixels = Vec::with_capacity(height * width);
        let mut regions = Vec::with_capacity(height * width);
        for window in 0..height / size * (width / size) {
            let (top, left) = (window / (width / size) * size, window % (width / size) * size);
            for place in 0..size * size {
                let (y, x) = (top + place / size, left + place % size);
                pixels.push(down.origin(y) * width + across.origin(x));
                regions.push(3 * down.region(y) + across.region(x));
            }
        }
        Some(Self { pixels, regions, length: size * size, queries: size * size })
    }

    /// Pixels of the output.
    pub(crate) fn outputs(&self) -> usize {
        self.pixels.len() / self.length.max(1) * self.queries
    }

    /// Where the output of entry `place` of group `group` is.
    fn output(&self, group: usize, place: usize) -> usize {
        if self.queries == self.length { self.pixels[group * self.length + place] } else { place }
    }
}

/// One side of an image that is moved.
#[derive(Clone, Copy)]
struct Axis {
    side: usize,
    size: usize,
    shift: usize,
}

impl Axis {
    /// Where the line now at `at` was.
    fn origin(self, at: usize) -> usize {
        (at + self.shift) % self.side
    }

    /// Lines of the last window that came around the edge have a number of their own.
    fn region(self, at: usize) -> u8 {
        match self.side - at {
            _ if self.shift == 0 => 0,
            rest if rest <= self.shift => 2,
            rest if rest <= self.size => 1,
            _ => 0,
        }
    }
}

/// Everything about attention but its input.
#[derive(Debug, Clone, Copy)]
pub struct AttentionShape<'a> {
    /// Number of heads, which share out the channels.
    pub heads: usize,
    /// Who attends to whom.
    pub groups: &'a Groups,
    /// Added to the scores, `[heads, length, length]`: rows are queries, columns are keys.
    pub bias: Option<&'a Tensor>,
}

/// `softmax(Q K^T / sqrt(d) + bias) V` of each head and group, for `qkv` `[N, H, W, 3 C]`; gives
/// `[N, H, W, C]`, or `[N, queries, 1, C]` if not all pixels ask.
///
/// # Errors
/// If a tensor is not on the CPU.
pub fn forward(qkv: &Tensor, form: AttentionShape<'_>) -> Result<Tensor> {
    for_real!(qkv, forward_cpu(qkv, form))
}

/// Pullback of [`forward`] at `qkv`: `[N, H, W, 3 C]`.
///
/// # Errors
/// If a tensor is not on the CPU.
pub fn pullback(g: &Tensor, qkv: &Tensor, form: AttentionShape<'_>) -> Result<Tensor> {
    for_real!(qkv, pullback_cpu(g, qkv, form))
}

/// One head of one group of one image, and where its numbers are.
struct Head<'a, T> {
    /// The image.
    qkv: &'a [T],
    /// The group's pixels and their regions.
    pixels: &'a [usize],
    regions: &'a [u8],
    queries: usize,
    /// The bias of this head, if there is any.
    bias: &'a [T],
    /// Channels of the output, and of this head the first one and how many.
    channels: usize,
    first: usize,
    depth: usize,
}

impl<T: Multiply> Head<'_, T> {
    /// Where queries (0), keys (1) or values (2) of a pixel of the group begin.
    fn at(&self, part: usize, place: usize) -> usize {
        (3 * self.pixels[place] + part) * self.channels + self.first
    }

    /// The starts of the first `count` pixels.
    fn starts(&self, part: usize, count: usize) -> Vec<usize> {
        (0..count).map(|place| self.at(part, place)).collect()
    }

    fn scale(&self) -> T {
        T::from_f64((self.depth as f64).sqrt().recip())
    }

    /// The probabilities `[queries, length]`.
    fn probabilities(&self, p: &mut [T]) {
        let (length, scale) = (self.pixels.len(), self.scale());
        let starts = self.starts(0, self.queries);
        let lines = Lines { values: self.qkv, starts: &starts, depth: self.depth };
        T::multiply(lines, |k, o| self.qkv[self.at(1, o) + k], length, p, length);
        let apart = T::from_f64(APART);
        for (place, row) in p.chunks_exact_mut(length).enumerate() {
            row.iter_mut().for_each(|score| *score *= scale);
            if let Some(bias) = self.bias.get(place * length..(place + 1) * length) {
                row.iter_mut().zip(bias).for_each(|(score, bias)| *score += *bias);
            }
            for (score, region) in row.iter_mut().zip(self.regions) {
                if *region != self.regions[place] {
                    *score += apart;
                }
            }
            softmax(row);
        }
    }
}

/// Calls `visit` with every image's number and each of its groups and heads.
fn for_each_head<T: Multiply>(
    qkv: &[T],
    channels: usize,
    form: AttentionShape<'_>,
    mut visit: impl FnMut(usize, usize, Head<'_, T>),
) -> Result<()> {
    let AttentionShape { heads, groups, bias } = form;
    let bias = match bias {
        Some(bias) => bias.flatten_all()?.to_vec1::<T>()?,
        None => Vec::new(),
    };
    let square = groups.length * groups.length;
    let depth = channels / heads.max(1);
    for (image, qkv) in qkv.chunks_exact((3 * channels * groups.pixels.len()).max(1)).enumerate() {
        for group in 0..groups.pixels.len() / groups.length {
            let here = group * groups.length..(group + 1) * groups.length;
            for head in 0..heads {
                let bias = bias.get(head * square..(head + 1) * square).unwrap_or_default();
                let (pixels, regions) =
                    (&groups.pixels[here.clone()], &groups.regions[here.clone()]);
                let (queries, first) = (groups.queries, head * depth);
                let head = Head { qkv, pixels, regions, queries, bias, channels, first, depth };
                visit(image, group, head);
            }
        }
    }
    Ok(())
}

fn forward_cpu<T: Multiply>(qkv: &Tensor, form: AttentionShape<'_>) -> Result<Tensor> {
    let (n, height, width, all) = qkv.dims4()?;
    let (channels, groups) = (all / 3, form.groups);
    let (length, queries, outputs) = (groups.length, groups.queries, groups.outputs());
    let shape = match queries == length {
        true => (n, height, width, channels),
        false => (n, queries, 1, channels),
    };
    let mut out = vec![T::zero(); n * outputs * channels];
    let mut p = vec![T::zero(); queries * length];
    let starts = rows(queries, length);
    let mut part = vec![T::zero(); queries * channels];
    with_slice::<T, _>(qkv, |qkv| {
        for_each_head(qkv, channels, form, |image, group, head| {
            head.probabilities(&mut p);
            let lines = Lines { values: &p, starts: &starts, depth: length };
            let depth = head.depth;
            T::multiply(lines, |k, o| head.qkv[head.at(2, k) + o], depth, &mut part, depth);
            for (place, part) in part.chunks_exact(depth).take(queries).enumerate() {
                let pixel = image * outputs + groups.output(group, place);
                out[pixel * channels + head.first..][..depth].copy_from_slice(part);
            }
        })
    })?;
    Ok(Tensor::from_vec(out, shape, &Device::Cpu)?)
}

fn pullback_cpu<T: Multiply>(g: &Tensor, qkv: &Tensor, form: AttentionShape<'_>) -> Result<Tensor> {
    let channels = qkv.dim(3)? / 3;
    let groups = form.groups;
    let (length, queries, outputs) = (groups.length, groups.queries, groups.outputs());
    let image_len = 3 * channels * groups.pixels.len();
    let mut grad = vec![T::zero(); qkv.elem_count()];
    let mut p = vec![T::zero(); queries * length];
    let mut of_p = p.clone();
    let mut turned = Vec::with_capacity(queries * length);
    let mut part = vec![T::zero(); length * channels];
    let (asked, asking) = (rows(length, queries), rows(queries, length));
    with_slice::<T, _>(g, |g| {
        with_slice::<T, _>(qkv, |qkv| {
            for_each_head(qkv, channels, form, |image, group, head| {
                let (depth, grad) = (head.depth, &mut grad[image * image_len..][..image_len]);
                let from = (0..queries).map(|place| {
                    (image * outputs + groups.output(group, place)) * channels + head.first
                });
                let from: Vec<usize> = from.collect();
                let mut put = |of: usize, part: &[T], count: usize| {
                    for (place, part) in part.chunks_exact(depth).take(count).enumerate() {
                        grad[head.at(of, place)..][..depth].copy_from_slice(part);
                    }
                };
                head.probabilities(&mut p);
                // Of the values: P^T G.
                transpose(&p, length, &mut turned);
                let lines = Lines { values: &turned, starts: &asked, depth: queries };
                T::multiply(lines, |k, o| g[from[k] + o], depth, &mut part, depth);
                put(2, &part, length);
                // Of the scores: through the softmax from G V^T.
                let lines = Lines { values: g, starts: &from, depth };
                let value = |k, o| head.qkv[head.at(2, o) + k];
                T::multiply(lines, value, length, &mut of_p, length);
                for (p, of_p) in p.chunks_exact(length).zip(of_p.chunks_exact_mut(length)) {
                    softmax_pullback(p, of_p);
                    of_p.iter_mut().for_each(|g| *g *= head.scale());
                }
                // Of the queries by the keys, and the other way round.
                let lines = Lines { values: &of_p, starts: &asking, depth: length };
                let key = |k, o| head.qkv[head.at(1, k) + o];
                T::multiply(lines, key, depth, &mut part, depth);
                put(0, &part, queries);
                transpose(&of_p, length, &mut turned);
                let lines = Lines { values: &turned, starts: &asked, depth: queries };
                let query = |k, o| head.qkv[head.at(0, k) + o];
                T::multiply(lines, query, depth, &mut part, depth);
                put(1, &part, length);
            })
        })
    })?;
    Ok(Tensor::from_vec(grad, qkv.dims(), &Device::Cpu)?)
}
