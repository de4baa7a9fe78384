//! The pullback of every step: from the cotangent of the value that it makes to those of the values that it
//! reads.

use super::Argument;
use super::form::{
    OF_KEYS, OF_QUERIES, Scores, by_depth, convolve, eights, form, halves, numbers, row_length,
};
use super::gpu::{Address, NONE, arguments, size};
use super::run::{Batch, Runner};
use crate::error::Result;
use crate::nn::lower::{Op, Row, Value, sides};

impl Runner {
    /// The cotangent of the first value that step `i` reads; `add` if it has been written to before.
    pub(super) fn step_back(&self, batch: &Batch<'_>, i: usize, add: bool) -> Result<()> {
        let step = &self.lowered.steps[i];
        let (gpu, n) = (batch.gpu, batch.images);
        let (from, to) = (self.lowered.shapes[step.x], self.lowered.shapes[step.y]);
        let ([h, w, c], [oh, ow, oc]) = (sides(from), sides(to));
        let (g, gx) = (self.cotangent_of(batch, step.y), self.cotangent_of(batch, step.x));
        let x = self.value(batch, step.x);
        let total = n * from.len();
        let weight = |which| self.weight(i, which);
        let kept = self.kept(batch, i);
        let number = self.numbers[step.x];
        let run = |name, threads, arguments: &[Argument]| {
            gpu.launch_for(number, name, threads, arguments)
        };
        match &step.op {
            Op::Normalise { .. } => run(
                "affine_pullback",
                eights(total),
                &arguments![g, weight(2), NONE, gx, size(total), c, add],
            ),
            Op::Affine { .. } => run(
                "affine_pullback",
                eights(total),
                &arguments![g, weight(0), kept, gx, size(total), c, add],
            ),
            Op::Conv { relu, geometry, .. } => {
                if *relu {
                    let outputs = n * to.len();
                    run(
                        "affine_pullback",
                        eights(outputs),
                        &arguments![g, NONE, kept, g, size(outputs), oc, false],
                    )?;
                }
                convolve(batch, number, geometry, (from, to), [g, weight(0), gx], Some(add))
            }
            Op::Map(map) => {
                let (kind, alpha, beta) = numbers(*map);
                run(
                    "map_pullback",
                    total,
                    &arguments![kind, x, g, gx, size(total), alpha, beta, add],
                )
            }
            Op::MeanSparse { .. } => run(
                "mean_sparse_pullback",
                total,
                &arguments![x, g, weight(0), weight(1), gx, size(total), c, add],
            ),
            Op::Scale(factor) => {
                run("scale", eights(total), &arguments![g, *factor, gx, size(total), add])
            }
            Op::AvgPool(window) => run(
                "avg_pool_pullback",
                total,
                &arguments![g, gx, size(total), h, w, c, oh, ow, window.size, window.stride, add],
            ),
            Op::MaxPool(window) => run(
                "max_pool_pullback",
                total,
                &arguments![
                    g,
                    kept,
                    gx,
                    size(total),
                    h,
                    w,
                    c,
                    oh,
                    ow,
                    window.size,
                    window.stride,
                    add
                ],
            ),
            Op::GlobalAvgPool => run(
                "global_avg_pool_pullback",
                total,
                &arguments![g, gx, size(total), c, h * w, add],
            ),
            Op::Flatten => run("to_nhwc", total, &arguments![g, gx, size(total), c, h * w, add]),
            Op::Subsample(pixels) => run(
                "subsample_pullback",
                total,
                &arguments![g, gx, size(total), h, w, c, oh, ow, *pixels, add],
            ),
            Op::Pad { pixels, channels } => run(
                "pad_pullback",
                total,
                &arguments![
                    g,
                    gx,
                    size(total),
                    h,
                    w,
                    c,
                    oh,
                    ow,
                    oc,
                    pixels.top,
                    pixels.left,
                    channels[0],
                    add
                ],
            ),
            Op::Row(row) => {
                let length = row_length(row, from);
                let rows = total / length.max(1);
                let rest = [Argument::from(gx), size(rows), length.into(), add.into()];
                let of = |name| run(name, rows, &[&arguments![x, g][..], &rest].concat());
                match row {
                    Row::LayerNorm { eps, .. } => run(
                        "layer_norm_pullback",
                        rows,
                        &arguments![x, g, weight(0), gx, size(rows), length, *eps, add],
                    ),
                    Row::Standardise => of("standardise_pullback"),
                    Row::UnitLength => of("unit_length_pullback"),
                    Row::Softmax => of("softmax_pullback"),
                }
            }
            Op::Add => run("scale", eights(total), &arguments![g, 1.0_f32, gx, size(total), add]),
            Op::Gate => {
                let gates = self.value(batch, step.with.unwrap_or(step.x));
                run("gate_pullback", total, &arguments![gates, g, gx, size(total), c, h * w, add])
            }
            Op::Attention { heads, groups, .. } => {
                let [pixels, regions, bias] = [weight(0), weight(1), weight(2)];
                let asked = n * groups.outputs() * heads;
                let (sums, deltas) = (kept, kept + 4 * asked as Address);
                let call = |name, threads: usize| {
                    let mut arguments =
                        arguments![x, pixels, regions, bias, g, sums, deltas, gx, size(threads)]
                            .to_vec();
                    arguments.extend(form(groups, *heads, oc));
                    arguments.push(add.into());
                    run(name, threads, &arguments)
                };
                call(by_depth(OF_QUERIES, oc / heads), asked)?;
                call(by_depth(OF_KEYS, oc / heads), n * groups.pixels.len() * heads)
            }
            Op::ChannelAttention(temperatures) => {
                let at = Scores::new(kept, n, oc, temperatures.len());
                let sizes = [h * w, at.heads, at.depth].map(Argument::from);
                let [scores, p, of_scores, lengths] = at.places;
                let first = arguments![x, g, p, of_scores, size(at.rows)];
                run("channel_scores_pullback", at.rows, &[&first[..], &sizes].concat())?;
                let threads = n * to.len();
                let second = arguments![
                    x,
                    g,
                    weight(0),
                    scores,
                    p,
                    of_scores,
                    lengths,
                    gx,
                    size(threads),
                    size(at.rows)
                ];
                let last = [Argument::from(add)];
                run("channel_mix_pullback", threads, &[&second[..], &sizes, &last].concat())
            }
            Op::Join { pixels } => {
                let other = self.lowered.shapes[step.with.unwrap_or(step.x)];
                let (la, lb) = halves(*pixels, [from, other]);
                run("part", total, &arguments![g, gx, size(total), la + lb, 0_usize, la, add])
            }
            Op::Before(numbers) => {
                let (whole, first) = (to.len(), numbers.len());
                run("part", total, &arguments![g, gx, size(total), whole, first, from.len(), add])
            }
            Op::Position(_) => {
                run("scale", eights(total), &arguments![g, 1.0_f32, gx, size(total), add])
            }
            Op::Part(first) => {
                let (whole, first) = (from.len(), first * c);
                let arguments = arguments![g, gx, size(total), whole, first, to.len(), add];
                run("part_pullback", total, &arguments)
            }
            Op::PatchMerge => {
                run("patch_merge_pullback", total, &arguments![g, gx, size(total), h, w, c, add])
            }
        }
    }

    /// The cotangent of the second value that step `i` reads.
    pub(super) fn step_back_with(
        &self,
        batch: &Batch<'_>,
        i: usize,
        with: Value,
        add: bool,
    ) -> Result<()> {
        let step = &self.lowered.steps[i];
        let (g, gx) = (self.cotangent_of(batch, step.y), self.cotangent_of(batch, with));
        let total = batch.images * self.lowered.shapes[with].len();
        let number = self.numbers[step.x];
        let run = |name, threads, arguments: &[Argument]| {
            batch.gpu.launch_for(number, name, threads, arguments)
        };
        if step.op == Op::Gate {
            let [h, w, c] = sides(self.lowered.shapes[step.x]);
            let x = self.value(batch, step.x);
            let arguments = arguments![x, g, gx, size(total), c, h * w, add];
            return run("gate_pullback_gates", total, &arguments);
        }
        if let Op::Join { pixels } = step.op {
            let (la, lb) = halves(pixels, [step.x, with].map(|value| self.lowered.shapes[value]));
            let arguments = arguments![g, gx, size(total), la + lb, la, lb, add];
            return run("part", total, &arguments);
        }
        run("scale", eights(total), &arguments![g, 1.0_f32, gx, size(total), add])
    }
}
