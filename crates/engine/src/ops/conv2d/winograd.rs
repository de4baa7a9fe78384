//! Convolution with a 3x3 kernel at stride 1 by minimal filtering F(2x2, 3x3) (Winograd 1980; Lavin
//! and Gray, CVPR 2016): 16 multiplications make four results that take 36 by the definition. The
//! transforms of images and results only add and subtract and that of the kernel halves, so results
//! are as exact as by the definition; the larger tiles of the same family are faster still and are
//! not, and stay out of a program whose numbers are compared image by image.

use std::mem::MaybeUninit;

use pulp::{Arch, Simd, WithSimd};

use super::{Geometry, View};
use crate::ops::activation;
use crate::ops::product::{Finish, Rows, Weights, product};
use crate::ops::scratch::Scratch;

/// Numbers that the transformed tiles of one block take: a part of an L2 cache.
const BLOCK: usize = 1 << 17;
/// Numbers between what two places of a tile have in a block: a line of a cache. All places are read and written
/// together, and without it they would often lie in the same few lines of it.
const GAP: usize = 16;
/// Fewest tiles of a block, so that many channels' weights are not fetched for a few rows.
const FEWEST: usize = 32;

/// Whether the transforms are worth their price: from about 32 x 64 channels on, whole vectors only.
pub(super) fn pays(geo: &Geometry) -> bool {
    geo.kernel == [3, 3]
        && geo.stride == [1, 1]
        && geo.dilation == [1, 1]
        && geo.groups == 1
        && geo.inputs.is_multiple_of(16)
        && geo.outputs.is_multiple_of(16)
        && geo.inputs * geo.outputs > 1024
}

/// The 16 factors `[I, O]`, one per place of a transformed tile, from weights given by
/// `at(tap, input, output)`.
pub(super) fn pack(geo: &Geometry, at: impl Fn(usize, usize, usize) -> f32) -> Vec<Weights> {
    const G: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
    let factor = |place: usize| {
        let (rows, columns) = (G[place / 4], G[place % 4]);
        Weights::pack(geo.inputs, geo.outputs, |i, o| {
            let terms =
                (0..9).map(|tap| rows[tap / 3] * columns[tap % 3] * f64::from(at(tap, i, o)));
            terms.sum::<f64>() as f32
        })
    };
    (0..16).map(factor).collect()
}

/// The convolution of the images `x` `[N, H, W, I]` into `out` `[N, H', W', O]`.
pub(super) fn convolve(
    x: &[f32],
    weights: &[Weights],
    finish: Finish<'_>,
    geo: &Geometry,
    view: View,
    scratch: &mut Scratch,
    out: &mut [MaybeUninit<f32>],
) {
    let (inputs, outputs) = (geo.inputs, geo.outputs);
    let grid = Grid {
        view,
        top: geo.padding.top as isize,
        left: geo.padding.left as isize,
        lines: view.out_height.div_ceil(2),
        tiles: view.out_width.div_ceil(2),
    };
    let images = out.len() / (view.out_height * view.out_width * outputs).max(1);
    let total = images * grid.lines * grid.tiles;
    let block = (BLOCK / (16 * (inputs + outputs))).clamp(FEWEST, 512).min(total);
    let (of_fields, of_sums) = (block * inputs + GAP, block * outputs + GAP);
    let (numbers, starts) = scratch.lend(16 * (of_fields + of_sums), block);
    let (fields, sums) = numbers.split_at_mut(16 * of_fields);
    for (tile, start) in starts.iter_mut().enumerate() {
        *start = tile * inputs;
    }
    let arch = Arch::new();
    for first in (0..total).step_by(block.max(1)) {
        let count = block.min(total - first);
        arch.dispatch(Spread {
            grid,
            x,
            channels: inputs,
            fields,
            of_place: of_fields,
            first,
            count,
        });
        for (place, weights) in weights.iter().enumerate() {
            let rows = Rows {
                values: &fields[place * of_fields..][..count * inputs],
                starts: &starts[..count],
                offsets: &[0],
                run: inputs,
            };
            let sums = &mut sums[place * of_sums..][..count * outputs];
            product(rows, weights, Finish::default(), sums, outputs);
        }
        arch.dispatch(Gather {
            grid,
            sums,
            channels: outputs,
            finish,
            out,
            of_place: of_sums,
            first,
            count,
        });
    }
}

/// How the tiles of 2 x 2 results lie over the images.
#[derive(Clone, Copy)]
struct Grid {
    view: View,
    top: isize,
    left: isize,
    /// Tiles in a column and in a line.
    lines: usize,
    tiles: usize,
}

impl Grid {
    /// Image, line and column of a tile.
    fn place(&self, tile: usize) -> [usize; 3] {
        let (line, column) = (tile / self.tiles, tile % self.tiles);
        [line / self.lines, line % self.lines, column]
    }
}

/// Transforms the 4 x 4 pixels under each tile: `B^T d B`.
struct Spread<'a> {
    grid: Grid,
    x: &'a [f32],
    channels: usize,
    fields: &'a mut [f32],
    /// Numbers from one place of a tile to the next.
    of_place: usize,
    first: usize,
    count: usize,
}

impl WithSimd for Spread<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // loops over registers
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { grid, x, channels, fields, of_place, first, count } = self;
        let View { height, width, .. } = grid.view;
        let (vectors, of_place) = (channels / S::F32_LANES, of_place / S::F32_LANES);
        let (x, _) = S::as_simd_f32s(x);
        let (fields, _) = S::as_mut_simd_f32s(fields);
        let zero = simd.splat_f32s(0.0);
        let combine = |d: [S::f32s; 4]| {
            [
                simd.sub_f32s(d[0], d[2]),
                simd.add_f32s(d[1], d[2]),
                simd.sub_f32s(d[2], d[1]),
                simd.sub_f32s(d[1], d[3]),
            ]
        };
        for tile in 0..count {
            let [image, line, column] = grid.place(first + tile);
            let y0 = 2 * line as isize - grid.top;
            let x0 = 2 * column as isize - grid.left;
            let inside = |y: usize, x: usize| {
                (0..height as isize).contains(&(y0 + y as isize))
                    && (0..width as isize).contains(&(x0 + x as isize))
            };
            let whole = inside(0, 0) && inside(3, 3);
            let corner = ((image * height) as isize + y0) * width as isize + x0;
            for vector in 0..vectors {
                let load = |dy: usize, dx: usize| {
                    if whole || inside(dy, dx) {
                        let pixel = (corner + (dy * width + dx) as isize) as usize;
                        x[pixel * vectors + vector]
                    } else {
                        zero
                    }
                };
                let mut half = [[zero; 4]; 4];
                for dx in 0..4 {
                    let column = combine([load(0, dx), load(1, dx), load(2, dx), load(3, dx)]);
                    for dy in 0..4 {
                        half[dy][dx] = column[dy];
                    }
                }
                for (dy, half) in half.into_iter().enumerate() {
                    for (dx, value) in combine(half).into_iter().enumerate() {
                        fields[(dy * 4 + dx) * of_place + tile * vectors + vector] = value;
                    }
                }
            }
        }
    }
}

/// Transforms sums back to the 2 x 2 results of each tile, `A^T m A`, and finishes them.
struct Gather<'a> {
    grid: Grid,
    sums: &'a [f32],
    channels: usize,
    finish: Finish<'a>,
    out: &'a mut [MaybeUninit<f32>],
    of_place: usize,
    first: usize,
    count: usize,
}

impl WithSimd for Gather<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // loops over registers
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { grid, sums, channels, finish, out, of_place, first, count } = self;
        let View { out_height, out_width, .. } = grid.view;
        let (vectors, of_place) = (channels / S::F32_LANES, of_place / S::F32_LANES);
        let (sums, _) = S::as_simd_f32s(sums);
        let (out, _) = S::as_uninit_mut_simd_f32s(out);
        let [bias, onto] =
            [finish.bias, finish.onto].map(|some| some.map(|values| S::as_simd_f32s(values).0));
        let zero = simd.splat_f32s(0.0);
        let combine = |m: [S::f32s; 4]| {
            [
                simd.add_f32s(simd.add_f32s(m[0], m[1]), m[2]),
                simd.sub_f32s(simd.sub_f32s(m[1], m[2]), m[3]),
            ]
        };
        for tile in 0..count {
            let [image, line, column] = grid.place(first + tile);
            for vector in 0..vectors {
                let load = |place: usize| sums[place * of_place + tile * vectors + vector];
                let mut half = [[zero; 4]; 2];
                for dx in 0..4 {
                    let column = combine([load(dx), load(4 + dx), load(8 + dx), load(12 + dx)]);
                    for dy in 0..2 {
                        half[dy][dx] = column[dy];
                    }
                }
                for (dy, half) in half.into_iter().enumerate() {
                    for (dx, mut value) in combine(half).into_iter().enumerate() {
                        let (y, x) = (2 * line + dy, 2 * column + dx);
                        if y >= out_height || x >= out_width {
                            continue;
                        }
                        let pixel = (image * out_height + y) * out_width + x;
                        if let Some(bias) = bias {
                            value = simd.add_f32s(value, bias[vector]);
                        }
                        if let Some(onto) = onto {
                            value = simd.add_f32s(value, onto[pixel * vectors + vector]);
                        }
                        if finish.relu {
                            value = activation::cut_vector(simd, value);
                        }
                        out[pixel * vectors + vector].write(value);
                    }
                }
            }
        }
    }
}
