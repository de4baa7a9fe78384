//! What every step does on the way to the logits: one or two kernels, or a convolution of cuDNN.

use super::Argument;
use super::form::{
    ATTENTION, Scores, by_depth, convolve, convolve_with_bias, eights, form, halves, numbers,
    row_length,
};
use super::gpu::{Address, NONE, arguments, size};
use super::layout::Number;
use super::run::{Batch, Runner};
use crate::error::Result;
use crate::nn::lower::{Op, Row, sides};

impl Runner {
    /// Computes the value that step `i` makes.
    pub(super) fn step(&self, batch: &Batch<'_>, i: usize) -> Result<()> {
        let step = &self.lowered.steps[i];
        let (gpu, n) = (batch.gpu, batch.images);
        let (from, to) = (self.lowered.shapes[step.x], self.lowered.shapes[step.y]);
        let ([h, w, c], [oh, ow, oc]) = (sides(from), sides(to));
        let (x, y) = (self.value(batch, step.x), self.value(batch, step.y));
        let total = n * to.len();
        let weight = |which| self.weight(i, which);
        let kept = self.kept(batch, i);
        let number = self.numbers[step.x];
        let run = |name, threads, arguments: &[Argument]| {
            gpu.launch_for(number, name, threads, arguments)
        };
        // `[x, scale, shift, y, bits]`.
        let affine = |[x, scale, shift, y, bits]: [Address; 5], channels: usize, relu: bool| {
            let arguments = arguments![x, scale, shift, y, bits, size(total), channels, relu];
            run("affine", eights(total), &arguments)
        };
        match &step.op {
            Op::Normalise { .. } => {
                run("normalise", total, &arguments![x, weight(0), weight(1), y, size(total), c])
            }
            Op::Affine { relu, .. } => affine([x, weight(0), weight(1), y, kept], c, *relu),
            Op::Conv { bias, relu, geometry, .. } => {
                // cuDNN wants a bias of the same kind as the values.
                let copy = if number == Number::Bf16 { 2 } else { 1 };
                let places = [x, weight(0), weight(copy), y];
                if bias.is_some()
                    && convolve_with_bias(batch, number, geometry, (from, to), places, *relu)?
                {
                    // What is missing is the bits for a pullback.
                    let threads = if kept == NONE { 0 } else { eights(total) };
                    return run("positive", threads, &arguments![y, kept, size(total)]);
                }
                convolve(batch, number, geometry, (from, to), [x, weight(0), y], None)?;
                if bias.is_none() && !relu {
                    return Ok(());
                }
                affine([y, NONE, weight(1), y, kept], oc, *relu)
            }
            Op::Map(map) => {
                let (kind, alpha, beta) = numbers(*map);
                run("map", total, &arguments![kind, x, y, size(total), alpha, beta])
            }
            Op::MeanSparse { .. } => {
                run("mean_sparse", total, &arguments![x, weight(0), weight(1), y, size(total), c])
            }
            Op::Scale(factor) => {
                run("scale", eights(total), &arguments![x, *factor, y, size(total), false])
            }
            Op::AvgPool(window) => run(
                "avg_pool",
                total,
                &arguments![x, y, size(total), h, w, c, oh, ow, window.size, window.stride],
            ),
            Op::MaxPool(window) => run(
                "max_pool",
                total,
                &arguments![x, y, kept, size(total), h, w, c, oh, ow, window.size, window.stride],
            ),
            Op::GlobalAvgPool => {
                run("global_avg_pool", total, &arguments![x, y, size(total), c, h * w])
            }
            Op::Flatten => run("to_nchw", total, &arguments![x, y, size(total), c, h * w, false]),
            Op::Subsample(pixels) => {
                run("subsample", total, &arguments![x, y, size(total), h, w, c, oh, ow, *pixels])
            }
            Op::Pad { pixels, channels } => run(
                "pad",
                total,
                &arguments![
                    x,
                    y,
                    size(total),
                    h,
                    w,
                    c,
                    oh,
                    ow,
                    oc,
                    pixels.top,
                    pixels.left,
                    channels[0]
                ],
            ),
            Op::Row(row) => {
                let length = row_length(row, from);
                let rows = total / length.max(1);
                match row {
                    Row::LayerNorm { eps, .. } => run(
                        "layer_norm",
                        rows,
                        &arguments![x, weight(0), weight(1), y, size(rows), length, *eps],
                    ),
                    Row::Standardise => {
                        run("standardise", rows, &arguments![x, y, size(rows), length])
                    }
                    Row::UnitLength => {
                        run("unit_length", rows, &arguments![x, y, size(rows), length])
                    }
                    Row::Softmax => run("softmax", rows, &arguments![x, y, size(rows), length]),
                }
            }
            Op::Add => {
                let with = self.value(batch, step.with.unwrap_or(step.x));
                run("sum", eights(total), &arguments![x, with, y, size(total)])
            }
            Op::Gate => {
                let gates = self.value(batch, step.with.unwrap_or(step.x));
                run("gate", total, &arguments![x, gates, y, size(total), c, h * w])
            }
            Op::Attention { heads, groups, .. } => {
                let (threads, [pixels, regions, bias]) =
                    (n * groups.outputs() * heads, [weight(0), weight(1), weight(2)]);
                let mut arguments =
                    arguments![x, pixels, regions, bias, y, kept, size(threads)].to_vec();
                arguments.extend(form(groups, *heads, oc));
                run(by_depth(ATTENTION, oc / heads), threads, &arguments)
            }
            Op::ChannelAttention(temperatures) => {
                let at = Scores::new(kept, n, oc, temperatures.len());
                let sizes = [h * w, at.heads, at.depth].map(Argument::from);
                let [scores, p, _, lengths] = at.places;
                let first = arguments![x, weight(0), scores, p, lengths, size(at.rows)];
                run("channel_scores", at.rows, &[&first[..], &sizes].concat())?;
                let second = arguments![x, p, y, size(total)];
                run("channel_mix", total, &[&second[..], &sizes].concat())
            }
            Op::Join { pixels } => {
                let other = step.with.unwrap_or(step.x);
                let (la, lb) = halves(*pixels, [from, self.lowered.shapes[other]]);
                let other = self.value(batch, other);
                run("join", total, &arguments![x, other, y, size(total), la, lb])
            }
            Op::Before(numbers) => {
                let lengths = (numbers.len(), from.len());
                let arguments = arguments![weight(0), x, y, size(total), lengths.0, lengths.1];
                run("before", total, &arguments)
            }
            Op::Position(numbers) => {
                run("add_constant", total, &arguments![x, weight(0), y, size(total), numbers.len()])
            }
            Op::Part(first) => {
                let arguments =
                    arguments![x, y, size(total), from.len(), first * c, to.len(), false];
                run("part", total, &arguments)
            }
            Op::PatchMerge => run("patch_merge", total, &arguments![x, y, size(total), h, w, c]),
        }
    }
}
