//! The matrix product behind convolutions and linear layers: rows that are read where they lie in an
//! image, times packed weights. A row is a list of runs of neighbouring numbers (for a convolution,
//! one per line of its kernel), so receptive fields are never copied into a matrix of their own, and
//! a result is finished (bias, ReLU) before it leaves the registers.
//!
//! Each result is one chain of fused multiply-adds along the row, in order, whatever the number of
//! rows: its bits depend on its row and its column of weights and on nothing else.

use std::mem::MaybeUninit;
use std::sync::OnceLock;

use pulp::{Arch, NullaryFnOnce, Simd, WithSimd};

use super::{activation, fresh};

/// Numbers of the left factor that all panels of weights pass by before the next ones come: a part of an L2 cache,
/// so that rows are fetched from memory once and not once for each panel.
const BLOCK: usize = 1 << 16;
/// Rows of a block, least: weights of many outputs are in no cache, and every block fetches them. Blocks are
/// multiples of it, which whole groups of rows fill.
const FEWEST: usize = 48;

/// A right factor `[depth, outputs]`, packed into panels of a few vector registers' width.
#[derive(Debug, Clone)]
pub struct Weights {
    panels: Vec<f32>,
    depth: usize,
    outputs: usize,
    /// `outputs`, rounded up to whole vectors.
    padded: usize,
}

impl Weights {
    /// Packs the factor whose element in row `k`, column `o` is `at(k, o)`.
    pub fn pack(depth: usize, outputs: usize, at: impl Fn(usize, usize) -> f32) -> Self {
        let Width { lanes, panel } = Width::here();
        let padded = outputs.next_multiple_of(lanes);
        let mut panels = Vec::with_capacity(depth * padded);
        for first in (0..padded).step_by(panel) {
            let columns = first..padded.min(first + panel);
            for k in 0..depth {
                panels.extend(columns.clone().map(|o| if o < outputs { at(k, o) } else { 0.0 }));
            }
        }
        Self { panels, depth, outputs, padded }
    }

    /// Length of a row.
    pub fn depth(&self) -> usize {
        self.depth
    }
}

/// The left factor: row `r` is made of the runs `values[starts[r] + offset..][..run]` of all
/// `offsets`, one behind the other.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Where the numbers are.
    pub values: &'a [f32],
    /// Where each row starts.
    pub starts: &'a [usize],
    /// Where its runs are, from there.
    pub offsets: &'a [usize],
    /// Length of a run.
    pub run: usize,
}

/// What happens to a sum before it is stored.
#[derive(Debug, Clone, Copy, Default)]
pub struct Finish<'a> {
    /// Added to each row, `[outputs]`.
    pub bias: Option<&'a [f32]>,
    /// Added after it: numbers that lie as the results do.
    pub onto: Option<&'a [f32]>,
    /// Negative sums become 0.
    pub relu: bool,
}

/// Writes row `r` of the product to `out[r * stride..][..outputs]`.
///
/// # Panics
/// If a row reaches beyond `values`, or a slice is shorter than its shape (an error in this crate,
/// not in its input).
#[allow(unsafe_code)]
pub fn product(
    rows: Rows<'_>,
    weights: &Weights,
    finish: Finish<'_>,
    out: &mut [f32],
    stride: usize,
) {
    // SAFETY: `product_into` writes numbers.
    product_into(rows, weights, finish, unsafe { fresh::overwrite(out) }, stride);
}

/// As [`product`], into memory that need not have been written before: every element of the rows is
/// written.
///
/// # Panics
/// As [`product`].
pub(super) fn product_into(
    rows: Rows<'_>,
    weights: &Weights,
    finish: Finish<'_>,
    out: &mut [MaybeUninit<f32>],
    stride: usize,
) {
    let Some(last) = rows.starts.iter().max() else { return };
    if let Some(offset) = rows.offsets.iter().max() {
        assert!(last + offset + rows.run <= rows.values.len(), "product: short rows");
    }
    assert_eq!(rows.offsets.len() * rows.run, weights.depth, "product: depth");
    assert!(
        weights.outputs <= stride
            && (rows.starts.len() - 1) * stride + weights.outputs <= out.len(),
        "product: short result"
    );
    assert!(finish.bias.is_none_or(|bias| bias.len() == weights.outputs), "product: bias");
    assert!(finish.onto.is_none_or(|onto| onto.len() == out.len()), "product: summands");
    Arch::new().dispatch(Product { rows, weights, finish, out, stride });
}

/// How wide the vectors and the panels of this machine are, in numbers.
#[derive(Clone, Copy)]
struct Width {
    lanes: usize,
    panel: usize,
}

impl Width {
    fn here() -> Self {
        static HERE: OnceLock<Width> = OnceLock::new();
        *HERE.get_or_init(|| Arch::new().dispatch(Measure))
    }

    const fn of<S: Simd>() -> Self {
        let vectors = if S::REGISTER_COUNT >= 32 { 4 } else { 2 };
        Self { lanes: S::F32_LANES, panel: vectors * S::F32_LANES }
    }
}

struct Measure;

impl WithSimd for Measure {
    type Output = Width;

    fn with_simd<S: Simd>(self, _: S) -> Width {
        Width::of::<S>()
    }
}

struct Product<'a> {
    rows: Rows<'a>,
    weights: &'a Weights,
    finish: Finish<'a>,
    out: &'a mut [MaybeUninit<f32>],
    stride: usize,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let Width { lanes, panel } = const { Width::of::<S>() };
        let block = self.rows.block();
        for first_row in (0..self.rows.starts.len()).step_by(block) {
            for first in (0..self.weights.padded).step_by(panel) {
                let vectors = panel.min(self.weights.padded - first) / lanes;
                let at = PanelStart { first, first_row, block };
                // As many rows at a time as leave registers for the weights and one broadcast.
                match (S::REGISTER_COUNT >= 32, vectors) {
                    (true, 4) => self.panel::<S, 4, 6>(simd, at),
                    (true, 3) => self.panel::<S, 3, 8>(simd, at),
                    (true, 2) => self.panel::<S, 2, 12>(simd, at),
                    (true, _) => self.panel::<S, 1, 24>(simd, at),
                    (false, 2) => self.panel::<S, 2, 6>(simd, at),
                    (false, _) => self.panel::<S, 1, 12>(simd, at),
                }
            }
        }
    }
}

/// A block of rows and the first column of a panel.
#[derive(Clone, Copy)]
struct PanelStart {
    first: usize,
    first_row: usize,
    block: usize,
}

impl Rows<'_> {
    /// How many rows go together.
    fn block(&self) -> usize {
        let (Some(first), Some(last)) = (self.starts.first(), self.starts.last()) else { return 1 };
        let depth = self.offsets.len() * self.run;
        // Neighbouring rows may overlap.
        let apart = last.abs_diff(*first).div_ceil(self.starts.len()).clamp(1, depth.max(1));
        (BLOCK / apart).max(FEWEST).next_multiple_of(FEWEST)
    }
}

impl Product<'_> {
    /// The columns `first..first + VECTORS * lanes` of a block of rows.
    #[inline(always)]
    fn panel<S: Simd, const VECTORS: usize, const ROWS: usize>(&mut self, simd: S, at: PanelStart) {
        simd.vectorize(Panel::<S, VECTORS, ROWS> { product: self, simd, at });
    }
}

struct Panel<'p, 'a, S, const VECTORS: usize, const ROWS: usize> {
    product: &'p mut Product<'a>,
    simd: S,
    at: PanelStart,
}

impl<S: Simd, const VECTORS: usize, const ROWS: usize> NullaryFnOnce
    for Panel<'_, '_, S, VECTORS, ROWS>
{
    type Output = ();

    #[inline(always)]
    #[allow(unsafe_code)]
    #[allow(clippy::needless_range_loop)] // loops over registers
    fn call(self) {
        let Self { product: Product { rows, weights, finish, out, stride }, simd, at } = self;
        let PanelStart { first, first_row, block } = at;
        let lanes = S::F32_LANES;
        let (panel, _) = S::as_simd_f32s(
            &weights.panels[first * weights.depth..][..VECTORS * lanes * weights.depth],
        );
        let zero = simd.splat_f32s(0.0);
        let columns = weights.outputs.min(first + VECTORS * lanes) - first;
        let mut bias = [zero; VECTORS];
        if let Some(values) = finish.bias {
            for (bias, values) in bias.iter_mut().zip(values[first..][..columns].chunks(lanes)) {
                *bias = simd.partial_load_f32s(values);
            }
        }
        let block = &rows.starts[first_row..rows.starts.len().min(first_row + block)];
        for (group, starts) in block.chunks(ROWS).enumerate() {
            // Missing rows of the last group are computed as its last row and not stored.
            let mut at = [0; ROWS];
            for (r, at) in at.iter_mut().enumerate() {
                *at = starts[r.min(starts.len() - 1)];
            }
            let mut sums = [[zero; VECTORS]; ROWS];
            let mut weight = panel.as_ptr();
            for offset in rows.offsets {
                for k in *offset..*offset + rows.run {
                    let mut column = [zero; VECTORS];
                    for column in &mut column {
                        // SAFETY: a panel holds VECTORS vectors for each of the `depth` numbers of a
                        // row, and the two loops around run `depth` times (asserted in `product_into`).
                        unsafe {
                            *column = *weight;
                            weight = weight.add(1);
                        }
                    }
                    for r in 0..ROWS {
                        // SAFETY: `product_into` has asserted that the furthest start, offset and run
                        // stay inside `values`.
                        let value =
                            simd.splat_f32s(unsafe { *rows.values.get_unchecked(at[r] + k) });
                        for v in 0..VECTORS {
                            sums[r][v] = simd.mul_add_f32s(value, column[v], sums[r][v]);
                        }
                    }
                }
            }
            let cut = finish.relu && finish.onto.is_none();
            for sums in &mut sums {
                for v in 0..VECTORS {
                    sums[v] = simd.add_f32s(sums[v], bias[v]);
                    if cut {
                        sums[v] = activation::cut_vector(simd, sums[v]);
                    }
                }
            }
            let begin = (first_row + group * ROWS) * *stride + first;
            let length = (starts.len() - 1) * *stride + columns;
            let to = out[begin..][..length].as_mut_ptr().cast::<f32>();
            if columns == VECTORS * lanes {
                for r in 0..ROWS {
                    if r < starts.len() {
                        for v in 0..VECTORS {
                            // SAFETY: row r < starts.len() and VECTORS * lanes = columns lie inside
                            // the slice taken above.
                            unsafe {
                                to.add(r * *stride + v * lanes)
                                    .cast::<S::f32s>()
                                    .write_unaligned(sums[r][v]);
                            }
                        }
                    }
                }
            } else {
                // A copy, so that only it needs an address and `sums` stays in registers.
                let stored = sums;
                for (r, sums) in stored[..starts.len()].iter().enumerate() {
                    // SAFETY: the row's VECTORS * lanes numbers are `columns` or more, and as many
                    // lie inside the slice taken above; the two do not overlap.
                    unsafe {
                        std::ptr::copy_nonoverlapping(
                            sums.as_ptr().cast::<f32>(),
                            to.add(r * *stride),
                            columns,
                        );
                    }
                }
            }
            // Summands come to what has just been written. With more work between, the sums would no longer be kept
            // in registers while they grow, and products would take twice as long.
            if let Some(onto) = finish.onto {
                for (r, onto) in onto[begin..][..length].chunks(*stride).enumerate() {
                    // SAFETY: `columns` numbers of each row lie inside the slice taken above and have just been
                    // written.
                    let made =
                        unsafe { std::slice::from_raw_parts_mut(to.add(r * *stride), columns) };
                    for (made, onto) in made.iter_mut().zip(onto) {
                        let sum = *made + onto;
                        *made = if finish.relu { activation::cut(sum) } else { sum };
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    fn random(len: usize, draw: u32) -> Vec<f32> {
        let mut v = vec![0.0; len];
        Stream::new(0, "product test").draw(0, draw).normal(&mut v);
        v
    }

    /// Rows of `count` overlapping pairs of runs.
    fn starts(count: usize) -> Vec<usize> {
        (0..count).map(|r| r * 3).collect()
    }

    #[test]
    fn equals_the_definition() {
        for (count, outputs, run) in
            [(1, 1, 1), (5, 7, 3), (6, 64, 4), (7, 33, 9), (13, 48, 5), (29, 16, 8), (40, 100, 2)]
        {
            let (starts, offsets) = (starts(count), [2, 17]);
            let values = random(3 * count + 30, 0);
            let (factor, bias) = (random(2 * run * outputs, 1), random(outputs, 2));
            let weights = Weights::pack(2 * run, outputs, |k, o| factor[k * outputs + o]);
            let stride = outputs + 3;
            let summands = random(count * stride, 3);
            for (relu, onto) in
                [(false, None), (true, None), (false, Some(&*summands)), (true, Some(&*summands))]
            {
                let mut out = vec![7.0; count * stride];
                let rows = Rows { values: &values, starts: &starts, offsets: &offsets, run };
                let finish = Finish { bias: Some(&bias), onto, relu };
                product(rows, &weights, finish, &mut out, stride);
                for r in 0..count {
                    for o in 0..outputs {
                        let terms = (0..2 * run).map(|k| {
                            let value = values[starts[r] + offsets[k / run] + k % run];
                            f64::from(value) * f64::from(factor[k * outputs + o])
                        });
                        let summand = onto.map_or(0.0, |onto| f64::from(onto[r * stride + o]));
                        let sum = terms.sum::<f64>() + f64::from(bias[o]) + summand;
                        let want = if relu { sum.max(0.0) } else { sum };
                        let error = (f64::from(out[r * stride + o]) - want).abs();
                        assert!(error < 1e-5, "{count}x{outputs}x{run} at {r},{o}: {error}");
                    }
                    assert!(out[r * stride + outputs..][..3].iter().all(|v| *v == 7.0));
                }
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bits_among_any_rows() {
        let (values, starts) = (random(600, 3), starts(131));
        for outputs in [1, 10, 16, 32, 48, 64, 100] {
            let factor = random(200 * outputs, 4);
            let weights = Weights::pack(200, outputs, |k, o| factor[k * outputs + o]);
            let run = |starts: &[usize]| {
                let mut out = vec![0.0; starts.len() * outputs];
                let rows = Rows { values: &values, starts, offsets: &[0], run: 200 };
                product(rows, &weights, Finish::default(), &mut out, outputs);
                out
            };
            let all = run(&starts);
            for (first, count) in [(0, 1), (5, 1), (7, 3), (1, 64), (66, 65)] {
                let part = run(&starts[first..first + count]);
                assert_eq!(part, all[first * outputs..(first + count) * outputs]);
            }
        }
    }

    #[test]
    fn no_rows_and_empty_rows() {
        let weights = Weights::pack(0, 5, |_, _| 0.0);
        let mut out = [1.0; 10];
        let rows = Rows { values: &[], starts: &[0, 0], offsets: &[0], run: 0 };
        product(rows, &weights, Finish { bias: Some(&[3.0; 5]), ..Finish::default() }, &mut out, 5);
        assert_eq!(out, [3.0; 10]);
        product(Rows { starts: &[], ..rows }, &weights, Finish::default(), &mut [], 5);
    }
}
