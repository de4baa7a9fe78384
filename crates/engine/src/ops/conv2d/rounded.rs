//! Convolution and its pullback with factors in bf16, for any kernel, stride, dilation and groups. Either
//! direction is a few correlations: the forward pass is one, the pullback of stride s is s * s of them, one
//! for each place that a pixel can have in a step, so every pixel of a result is written once and nothing is
//! added up in memory.
//!
//! Images are rounded while they are copied into a buffer with a border of zeros, in which the rows of a
//! product are at equal distances, as tiles want them: pixels of a line if there are 16 or a multiple,
//! otherwise pixels of all images of the buffer in turn.

use std::mem::MaybeUninit;

use candle_core::{DType, Device, Tensor, WithDType};
use half::bf16;

use super::{Geometry, View};
use crate::error::Result;
use crate::ops::bf16::{
    LINE, Line, Rows, SIDE, Stored, Tile, Unit, Weights, product_into, round_into,
};
use crate::ops::product::Finish;
use crate::ops::scratch::{self, Scratch};
use crate::ops::{fresh, with_slice};

/// Lines of the buffer: half of an L2 cache.
const BLOCK: usize = 1 << 14;

/// Numbers that a group's channels may take in the buffer for each of their own.
const PADDED: usize = 8;

/// Whether tiles are worth their price: not for a few channels, each of which takes a whole line.
pub(super) fn pays(geo: &Geometry) -> bool {
    let waste = |channels: usize| channels.next_multiple_of(LINE) <= PADDED * channels;
    waste(geo.group_inputs()) && waste(geo.group_outputs())
}

/// The correlations of one direction.
#[derive(Debug, Clone)]
pub(super) struct Correlations {
    unit: Unit,
    groups: usize,
    /// Channels of a group that are read, and that are made.
    inputs: usize,
    outputs: usize,
    parts: Vec<Part>,
}

/// A correlation that makes the pixels `from + every * t`, of what is read at `step * t` and the taps around
/// it.
#[derive(Debug, Clone)]
struct Part {
    from: [usize; 2],
    every: [usize; 2],
    step: [usize; 2],
    taps: Vec<[isize; 2]>,
    /// One factor per group.
    weights: Vec<Weights>,
}

impl Part {
    /// The smallest of the taps' distances along an axis, and the largest.
    fn reach(&self, axis: usize) -> [isize; 2] {
        let along = self.taps.iter().map(|tap| tap[axis]);
        [along.clone().min().unwrap_or_default(), along.max().unwrap_or_default()]
    }

    /// How many pixels it makes along an axis of this size.
    fn count(&self, size: usize, axis: usize) -> usize {
        size.saturating_sub(self.from[axis]).div_ceil(self.every[axis])
    }
}

/// Calls `visit(tap number, [ky, kx])` for the taps of a kernel.
fn taps(geo: &Geometry) -> impl Iterator<Item = (usize, [usize; 2])> {
    let [height, width] = geo.kernel;
    (0..height * width).map(move |tap| (tap, [tap / width, tap % width]))
}

/// The forward pass, from weights given by `at(group, tap, input, output)`.
pub(super) fn pack(
    geo: &Geometry,
    unit: Unit,
    at: impl Fn(usize, usize, usize, usize) -> f32,
) -> Correlations {
    let before = [geo.padding.top, geo.padding.left];
    let place = |tap: [usize; 2]| {
        [0, 1].map(|axis| (tap[axis] * geo.dilation[axis]) as isize - before[axis] as isize)
    };
    let all: Vec<usize> = taps(geo).map(|(tap, _)| tap).collect();
    let (inputs, outputs) = (geo.group_inputs(), geo.group_outputs());
    let part = Part {
        from: [0, 0],
        every: [1, 1],
        step: geo.stride,
        taps: taps(geo).map(|(_, tap)| place(tap)).collect(),
        weights: factors(geo.groups, &all, inputs, outputs, at),
    };
    Correlations { unit, groups: geo.groups, inputs, outputs, parts: vec![part] }
}

/// The pullback, likewise.
pub(super) fn pack_pullback(
    geo: &Geometry,
    unit: Unit,
    at: impl Fn(usize, usize, usize, usize) -> f32,
) -> Correlations {
    let before = [geo.padding.top, geo.padding.left];
    let (inputs, outputs) = (geo.group_outputs(), geo.group_inputs());
    let [down, across] = geo.stride;
    let part = |from: [usize; 2]| {
        // A pixel is read through a tap by the output at (pixel + padding - tap) / stride, if that is whole.
        let reads = |tap: [usize; 2], axis: usize| {
            let distance =
                (from[axis] + before[axis]) as isize - (tap[axis] * geo.dilation[axis]) as isize;
            let stride = geo.stride[axis] as isize;
            (distance % stride == 0).then(|| distance / stride)
        };
        let (mut used, mut places) = (Vec::new(), Vec::new());
        for (number, tap) in taps(geo) {
            if let (Some(y), Some(x)) = (reads(tap, 0), reads(tap, 1)) {
                used.push(number);
                places.push([y, x]);
            }
        }
        let weights =
            factors(geo.groups, &used, inputs, outputs, |group, tap, o, i| at(group, tap, i, o));
        Part { from, every: geo.stride, step: [1, 1], taps: places, weights }
    };
    let parts = (0..down * across).map(|place| part([place / across, place % across])).collect();
    Correlations { unit, groups: geo.groups, inputs, outputs, parts }
}

fn factors(
    groups: usize,
    taps: &[usize],
    inputs: usize,
    outputs: usize,
    at: impl Fn(usize, usize, usize, usize) -> f32,
) -> Vec<Weights> {
    let lines = inputs.div_ceil(LINE);
    let factor = |group| {
        Weights::pack(taps.len() * lines, outputs, |step, k, o| {
            let channel = step % lines * LINE + k;
            if channel < inputs { at(group, taps[step / lines], channel, o) } else { 0.0 }
        })
    };
    (0..groups).map(factor).collect()
}

/// The correlations of the images `x` `[N, H, W, groups * inputs]`, f32 or bf16, as `[N, H', W', groups * outputs]`,
/// f32 or `narrow`, which is bf16.
pub(super) fn apply(
    x: &Tensor,
    correlations: &Correlations,
    finish: Finish<'_>,
    view: View,
    narrow: bool,
) -> Result<Tensor> {
    match (x.dtype() == DType::BF16, narrow) {
        (false, false) => made::<f32, f32>(x, correlations, finish, view),
        (false, true) => made::<f32, bf16>(x, correlations, finish, view),
        (true, false) => made::<bf16, f32>(x, correlations, finish, view),
        (true, true) => made::<bf16, bf16>(x, correlations, finish, view),
    }
}

#[allow(unsafe_code)]
fn made<X: Stored + WithDType, Y: Stored + WithDType>(
    x: &Tensor,
    correlations: &Correlations,
    finish: Finish<'_>,
    view: View,
) -> Result<Tensor> {
    let (n, outputs) = (x.dim(0)?, correlations.groups * correlations.outputs);
    let shape = (n, view.out_height, view.out_width, outputs);
    let made = with_slice::<X, _>(x, |x| {
        let convolve = |out: &mut [MaybeUninit<Y>]| {
            scratch::with(|s| convolve(x, correlations, finish, view, s, out));
            Ok(())
        };
        // SAFETY: `convolve` writes every element.
        unsafe { fresh::vector(n * view.pixels() * outputs, convolve) }
    })?;
    Ok(Tensor::from_vec(made, shape, &Device::Cpu)?)
}

/// Writes every element of `out`.
fn convolve<X: Stored, Y: Stored>(
    x: &[X],
    correlations: &Correlations,
    finish: Finish<'_>,
    view: View,
    scratch: &mut Scratch,
    out: &mut [MaybeUninit<Y>],
) {
    let Correlations { groups, inputs, outputs, .. } = *correlations;
    let (image_in, image_out) =
        (view.height * view.width * groups * inputs, view.pixels() * groups * outputs);
    if image_in == 0 || image_out == 0 {
        fresh::filled(out, Y::store(0.0));
        return;
    }
    let images = out.len() / image_out;
    assert!(
        x.len() == images * image_in && !correlations.parts.is_empty(),
        "bf16: weights of another convolution or direction"
    );
    let border = Border::of(correlations, view);
    let at_once = (BLOCK / border.lines(correlations)).clamp(1, images.max(1));
    // Whole tiles of the pixels of all images.
    let at_once = if at_once > SIDE { at_once / SIDE * SIDE } else { at_once };
    for (x, out) in x.chunks(at_once * image_in).zip(out.chunks_mut(at_once * image_out)) {
        let images = out.len() / image_out;
        let buffer = Buffer::new(correlations, view, border, images);
        let lines = scratch.lend_lines(buffer.lines());
        buffer.fill(x, correlations, view, lines);
        for part in &correlations.parts {
            let (tiles, places) = buffer.tiles(part, view);
            let offsets = buffer.offsets(part);
            for (group, weights) in part.weights.iter().enumerate() {
                let rows = Rows {
                    values: &lines[group * buffer.group_lines..],
                    tiles: &tiles,
                    offsets: &offsets,
                    run: buffer.group_lines,
                    places: &places,
                };
                let columns = group * outputs..(group + 1) * outputs;
                let finish = Finish { bias: finish.bias.map(|b| &b[columns.clone()]), ..finish };
                let out = &mut out[columns.start..];
                product_into(correlations.unit, rows, weights, finish, out, groups * outputs);
            }
        }
    }
}

/// Images with a border of zeros that holds all that is read.
#[derive(Clone, Copy)]
struct Border {
    top: usize,
    left: usize,
    height: usize,
    width: usize,
}

impl Border {
    fn of(correlations: &Correlations, view: View) -> Self {
        let along = |axis: usize, size: usize, made: usize| {
            let (mut before, mut end) = (0, size as isize);
            for part in &correlations.parts {
                let [least, most] = part.reach(axis);
                let last = part.step[axis] * part.count(made, axis).saturating_sub(1);
                before = before.max(-least);
                end = end.max(last as isize + most + 1);
            }
            [before as usize, (before + end) as usize]
        };
        let [top, height] = along(0, view.height, view.out_height);
        let [left, width] = along(1, view.width, view.out_width);
        Self { top, left, height, width }
    }

    /// Lines of one image.
    fn lines(&self, correlations: &Correlations) -> usize {
        self.height * self.width * correlations.groups * correlations.inputs.div_ceil(LINE)
    }
}

/// Where the pixels of a block of images are: `[images / lanes, height, width, lanes]` pixels.
struct Buffer {
    border: Border,
    images: usize,
    /// Images whose pixels take turns: one, or all.
    lanes: usize,
    group_lines: usize,
    pixel_lines: usize,
    /// Lines from a row to the next, at most.
    widest: usize,
}

impl Buffer {
    fn new(correlations: &Correlations, view: View, border: Border, images: usize) -> Self {
        let group_lines = correlations.inputs.div_ceil(LINE);
        let pixel_lines = correlations.groups * group_lines;
        let whole = |part: &Part| part.count(view.out_width, 1).is_multiple_of(SIDE);
        let lanes = if correlations.parts.iter().all(whole) { 1 } else { images };
        let step = correlations.parts.iter().map(|part| part.step[1]).max().unwrap_or(1);
        let widest = step * lanes * pixel_lines;
        Self { border, images, lanes, group_lines, pixel_lines, widest }
    }

    /// Lines of all, and those that the rows of a tile that are not there would lie in.
    fn lines(&self) -> usize {
        self.line([self.images, 0, 0]) + (SIDE - 1) * self.widest
    }

    /// Lines from a pixel of an image to the next.
    fn pitch(&self) -> usize {
        self.lanes * self.pixel_lines
    }

    /// The line of a pixel.
    fn line(&self, [image, y, x]: [usize; 3]) -> usize {
        let Border { height, width, .. } = self.border;
        let (turn, lane) = (image / self.lanes, image % self.lanes);
        (((turn * height + y) * width + x) * self.lanes + lane) * self.pixel_lines
    }

    /// Rounds the images into the buffer and sets the border to zero.
    fn fill<X: Stored>(&self, x: &[X], correlations: &Correlations, view: View, to: &mut [Line]) {
        let Border { top, left, height, width } = self.border;
        for turn in 0..self.images / self.lanes {
            for y in 0..height {
                let line = &mut to[self.line([turn * self.lanes, y, 0])..][..width * self.pitch()];
                if (top..top + view.height).contains(&y) {
                    line[..left * self.pitch()].fill(Line::default());
                    line[(left + view.width) * self.pitch()..].fill(Line::default());
                } else {
                    line.fill(Line::default());
                }
            }
        }
        let length = view.width * correlations.groups * correlations.inputs;
        for (line, x) in x.chunks_exact(length).enumerate() {
            let (image, y) = (line / view.height, line % view.height);
            let to = &mut to[self.line([image, top + y, left])..];
            round_into(x, correlations.inputs, correlations.groups, to, self.pitch());
        }
    }

    /// Where the taps of a part are, from the first of them.
    fn offsets(&self, part: &Part) -> Vec<usize> {
        let ([top, _], [left, _]) = (part.reach(0), part.reach(1));
        let place = |[y, x]: &[isize; 2]| {
            ((y - top) as usize * self.border.width + (x - left) as usize) * self.pitch()
        };
        part.taps.iter().map(place).collect()
    }

    /// The rows of a part, and the pixel that each of them makes.
    fn tiles(&self, part: &Part, view: View) -> (Vec<Tile>, Vec<usize>) {
        let ([first_y, _], [first_x, _]) = (part.reach(0), part.reach(1));
        let begin = |axis_before: usize, first: isize| (axis_before as isize + first) as usize;
        let (top, left) = (begin(self.border.top, first_y), begin(self.border.left, first_x));
        let [lines, columns] = [part.count(view.out_height, 0), part.count(view.out_width, 1)];
        let (mut tiles, mut places) = (Vec::new(), Vec::new());
        let start = |image: usize, line: usize, column: usize| {
            self.line([image, top + part.step[0] * line, left + part.step[1] * column])
        };
        let place = |image: usize, line: usize, column: usize| {
            let [y, x] = [(0, line), (1, column)].map(|(a, t)| part.from[a] + part.every[a] * t);
            (image * view.out_height + y) * view.out_width + x
        };
        // A run of rows at equal distances, cut into tiles.
        let mut run = |start: usize, pitch: usize, made: &mut dyn Iterator<Item = usize>| {
            let first = places.len();
            places.extend(made);
            for at in (first..places.len()).step_by(SIDE) {
                let rows = SIDE.min(places.len() - at);
                tiles.push(Tile { start: start + (at - first) * pitch, pitch, rows, first: at });
            }
        };
        let lanes = self.lanes;
        for image in (0..self.images).step_by(lanes) {
            for line in 0..lines {
                if part.step[1] == 1 {
                    let made =
                        (0..columns * lanes).map(|i| place(image + i % lanes, line, i / lanes));
                    run(start(image, line, 0), self.pixel_lines, &mut { made });
                } else if lanes > columns {
                    for column in 0..columns {
                        let made = (0..lanes).map(|lane| place(image + lane, line, column));
                        run(start(image, line, column), self.pixel_lines, &mut { made });
                    }
                } else {
                    for lane in 0..lanes {
                        let made = (0..columns).map(|column| place(image + lane, line, column));
                        let pitch = part.step[1] * self.pitch();
                        run(start(image + lane, line, 0), pitch, &mut { made });
                    }
                }
            }
        }
        (tiles, places)
    }
}
