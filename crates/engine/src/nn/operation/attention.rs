//! Attention among the pixels of an image, between the layer that makes queries, keys and values and
//! the one that mixes the heads: of vision transformers, where the pixels are tokens, and of Swin, in
//! windows with a bias for every relative position.

use std::sync::OnceLock;

use candle_core::{Device, Tensor};

use super::conv2d::fill;
use super::on_gpu::{numbers, slots};
use super::{Constants, Keeps, Kernels, Launch, OnGpu, Saved, Slot, Unary, absent, foreign};
use crate::error::Result;
use crate::nn::shape::{Shape, misfit};
use crate::ops::attention::{self, APART, AttentionShape, Groups};

/// Largest number of biases of a layer: published networks have a tenth of it.
const MOST_BIASES: usize = 1 << 24;

/// Channels of a head, at most, for attention on GPUs.
const MOST_DEPTH: usize = 128;

/// The kernels for heads of up to 32, 64 and 128 channels: forward, and of the two halves of the pullback.
const ATTENTION: [&str; 3] = ["attention_32", "attention_64", "attention_128"];
const OF_QUERIES: [&str; 3] = [
    "attention_pullback_queries_32",
    "attention_pullback_queries_64",
    "attention_pullback_queries_128",
];
const OF_KEYS: [&str; 3] =
    ["attention_pullback_keys_32", "attention_pullback_keys_64", "attention_pullback_keys_128"];

/// See [`super::Op::Attention`].
#[derive(Debug, Clone)]
pub struct Attention {
    heads: usize,
    scope: Scope,
    /// The biases of windows for every pair of their L pixels, `[heads, L, L]`, made on first use.
    bias: OnceLock<Tensor>,
}

/// Who attends to whom.
#[derive(Debug, Clone)]
enum Scope {
    All,
    First,
    /// With a table of biases by relative position and head.
    Windows {
        size: usize,
        shift: usize,
        table: Tensor,
    },
}

impl Attention {
    /// Every pixel to every pixel, in `heads` heads.
    pub fn new(heads: usize) -> Self {
        Self { heads, scope: Scope::All, bias: OnceLock::new() }
    }

    /// The first pixel to every pixel; the output is one pixel.
    pub fn of_first(heads: usize) -> Self {
        Self { scope: Scope::First, ..Self::new(heads) }
    }

    /// Within windows of `size` x `size` pixels of the image moved by `shift` to the left and upwards.
    /// `table` `[(2 size - 1)^2, heads]` holds the biases by relative position.
    ///
    /// # Errors
    /// If the table is of another shape.
    pub fn in_windows(heads: usize, size: usize, shift: usize, table: &Tensor) -> Result<Self> {
        let wrong = |problem: String| misfit("window attention", problem);
        let biases = size.checked_pow(4).and_then(|pairs| pairs.checked_mul(heads));
        if size == 0 || shift >= size || biases.is_none_or(|biases| biases > MOST_BIASES) {
            return Err(wrong(format!(
                "cannot have windows of {size} x {size} pixels moved by {shift} in {heads} heads"
            )));
        }
        let places = 2 * size - 1;
        if table.dims() != [places * places, heads] {
            return Err(wrong(format!("has biases {:?} for windows of {size}", table.dims())));
        }
        let scope = Scope::Windows { size, shift, table: table.clone() };
        Ok(Self { scope, ..Self::new(heads) })
    }

    /// `[heads, L, L]`: what the table says for every pair of pixels of a window.
    fn of_pairs(&self, table: &Tensor, size: usize) -> Result<Tensor> {
        let (places, pixels) = (2 * size - 1, size * size);
        let along = |asks: usize, asked: usize| asks + size - 1 - asked;
        let place = |pair: usize| {
            let (asks, asked) = (pair / pixels, pair % pixels);
            along(asks / size, asked / size) * places + along(asks % size, asked % size)
        };
        let of_pairs: Vec<u32> = (0..pixels * pixels).map(|pair| place(pair) as u32).collect();
        let of_pairs =
            table.contiguous()?.index_select(&Tensor::new(of_pairs, &Device::Cpu)?, 0)?;
        Ok(of_pairs.t()?.contiguous()?.reshape((self.heads, pixels, pixels))?)
    }

    fn groups(&self, height: usize, width: usize) -> Result<Groups> {
        let pixels = height * width;
        match &self.scope {
            Scope::All => Ok(Groups::whole(pixels, pixels)),
            Scope::First => Ok(Groups::whole(pixels, 1)),
            Scope::Windows { size, shift, .. } => Groups::windows([height, width], *size, *shift)
                .ok_or_else(|| {
                    let problem = format!("{height}x{width} pixels are no whole windows of {size}");
                    misfit("window attention", problem)
                }),
        }
    }

    fn form<'a>(&'a self, groups: &'a Groups) -> Result<AttentionShape<'a>> {
        let bias = match &self.scope {
            Scope::Windows { size, table, .. } => {
                Some(fill(&self.bias, || self.of_pairs(table, *size))?)
            }
            _ => None,
        };
        Ok(AttentionShape { heads: self.heads, groups, bias })
    }
}

/// The softmax along the last axis in candle's operations.
pub(super) fn reference_softmax(scores: &Tensor) -> Result<Tensor> {
    let last = scores.rank() - 1;
    let powers = scores.broadcast_sub(&scores.max_keepdim(last)?)?.exp()?;
    Ok(powers.broadcast_div(&powers.sum_keepdim(last)?)?)
}

/// Channels of a head for an input of queries, keys and values.
pub(super) fn depth_of_heads(name: &str, heads: usize, input: Shape) -> Result<usize> {
    let [_, _, all] = input.image(name)?;
    if heads == 0 || input.is_empty() || !all.is_multiple_of(3 * heads) {
        return Err(misfit(name, format!("cannot share out {input} to {heads} heads")));
    }
    Ok(all / 3 / heads)
}

impl Unary for Attention {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (_, height, width, _) = x.dims4()?;
        attention::forward(x, self.form(&self.groups(height, width)?)?)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((self.forward(x)?, Saved::Tensor(x.clone())))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor, _: Shape) -> Result<Tensor> {
        let Saved::Tensor(x) = saved else { return Err(foreign("attention")) };
        let (_, height, width, _) = x.dims4()?;
        attention::pullback(g, x, self.form(&self.groups(height, width)?)?)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let (n, all, height, width) = x.dims4()?;
        let groups = self.groups(height, width)?;
        let (length, queries) = (groups.length, groups.queries);
        let (count, depth) = (height * width / length, all / 3 / self.heads);
        let index = |places: Vec<u32>| Tensor::new(places, x.device());
        let order = index(groups.pixels.iter().map(|pixel| *pixel as u32).collect())?;
        let tokens = x.flatten_from(2)?.transpose(1, 2)?.contiguous()?.index_select(&order, 1)?;
        let parts = tokens
            .reshape((n * count, length, 3, self.heads, depth))?
            .permute((2, 0, 3, 1, 4))?
            .contiguous()?;
        let [q, k, v] = [0, 1, 2].map(|part| parts.get(part));
        let (q, k) = (q?.narrow(2, 0, queries)?.contiguous()?, k?.transpose(2, 3)?.contiguous()?);
        let mut scores = (q.matmul(&k)? * (depth as f64).sqrt().recip())?;
        if let Scope::Windows { size, table, .. } = &self.scope {
            scores = scores.broadcast_add(&self.of_pairs(table, *size)?.unsqueeze(0)?)?;
        }
        if groups.regions.iter().any(|region| *region != 0) {
            let pairs = groups.regions.chunks_exact(length).flat_map(|regions| {
                let apart = |a: u8, b: u8| if a == b { 0.0 } else { APART };
                regions.iter().flat_map(move |a| regions.iter().map(move |b| apart(*a, *b)))
            });
            let mask =
                Tensor::from_vec(pairs.collect(), (1, count, 1, length, length), x.device())?
                    .to_dtype(x.dtype())?;
            let shape = (n, count, self.heads, length, length);
            scores = scores.reshape(shape)?.broadcast_add(&mask)?.reshape(scores.shape())?;
        }
        let out = reference_softmax(&scores)?.matmul(&v?.contiguous()?)?;
        let out = out.transpose(1, 2)?.contiguous()?.reshape((n, count * queries, all / 3))?;
        if queries < length {
            return Ok(out.transpose(1, 2)?.contiguous()?.reshape((n, all / 3, queries, 1))?);
        }
        let mut back = vec![0; groups.pixels.len()];
        for (place, pixel) in groups.pixels.iter().enumerate() {
            back[*pixel] = place as u32;
        }
        let out = out.index_select(&index(back)?, 1)?.transpose(1, 2)?.contiguous()?;
        Ok(out.reshape((n, all / 3, height, width))?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let depth = depth_of_heads("attention", self.heads, input)?;
        let [height, width, _] = input.image("attention")?;
        let out = match &self.scope {
            Scope::First => [1, 1],
            _ => [height, width],
        };
        self.groups(height, width)?;
        Ok(Shape::of_image(out, self.heads * depth))
    }

    fn multiply_adds(&self, input: Shape) -> u64 {
        let Shape::Image { height, width, channels } = input else { return 0 };
        let pairs = match &self.scope {
            Scope::All => height * width * height * width,
            Scope::First => height * width,
            Scope::Windows { size, .. } => height * width * size * size,
        };
        (2 * pairs * (channels / 3)) as u64
    }

    fn on_gpu(&self, from: Shape, _: Shape) -> Result<OnGpu> {
        let [height, width, _] = from.image("attention")?;
        let depth = depth_of_heads("attention", self.heads, from)?;
        if depth > MOST_DEPTH {
            return Err(absent(&self.describe()));
        }
        let groups = self.groups(height, width)?;
        let bias = self.form(&groups)?.bias.map(numbers).transpose()?.unwrap_or_default();
        let pixels: Vec<i32> = groups.pixels.iter().map(|pixel| *pixel as i32).collect();
        let regions = groups.regions.iter().map(|region| i32::from(*region)).collect();
        let [of_pixels, of_regions, of_bias] = [0, 1, 2].map(Slot::Constant);
        // Two numbers for each head of each pixel that asks: one of the forward pass, one of the pullback.
        let asked = groups.outputs() * self.heads;
        let (sums, means) = (Slot::Kept(0), Slot::Kept(asked));
        let form = slots![pixels.len(), groups.length, groups.queries, self.heads, depth];
        let start = slots![Slot::X(0), of_pixels, of_regions, of_bias];
        let kernel = |kernels: [&'static str; 3], threads: usize, places: Vec<Slot>| {
            let slots = [&start[..], &places, &[Slot::Count(threads)], &form].concat();
            Launch::new(kernels[usize::from(depth > 32) + usize::from(depth > 64)], threads, slots)
        };
        let back = |kernels: [&'static str; 3], threads: usize| {
            let mut launch = kernel(kernels, threads, slots![Slot::G, sums, means, Slot::Gx]);
            launch.slots.push(Slot::Add);
            launch
        };
        let asking = self.heads * groups.pixels.len();
        Ok(OnGpu::Kernels(Kernels {
            forward: vec![kernel(ATTENTION, asked, slots![Slot::Y, sums])],
            pullback: vec![vec![back(OF_QUERIES, asked), back(OF_KEYS, asking)]],
            keeps: Keeps::Scores(2 * self.heads * groups.outputs()),
            constants: vec![
                Constants::Ints(pixels),
                Constants::Ints(regions),
                Constants::Floats(bias),
            ],
        }))
    }

    fn describe(&self) -> String {
        let heads = self.heads;
        match &self.scope {
            Scope::All => format!("attention heads {heads}"),
            Scope::First => format!("attention of the first pixel heads {heads}"),
            Scope::Windows { size, shift, .. } => {
                format!("attention in windows {size} moved {shift} heads {heads}")
            }
        }
    }
}
