//! Matrix products of numbers in bf16 (8 bits of precision) with sums in f32: on the tiles of a processor
//! that has them (AMX), by its vectors (AVX512-BF16), and anywhere else by rounding to bf16 and
//! multiplying in f32. What a convolution does with them is in `conv2d/rounded.rs`.
//!
//! A result depends on its row and its column of weights only, and on the unit that multiplies: the
//! vectors and the f32 form add in the same order and give the same bits, tiles add the even and the odd
//! terms of a step apart. Denormal numbers count as 0 in all three.

mod amx;
mod avx512;
mod emulated;
mod round;
#[cfg(test)]
mod tests;

use std::fmt;
use std::mem::MaybeUninit;
use std::sync::OnceLock;

#[cfg(test)]
pub(crate) use tests::units;

pub(crate) use round::{LINE, Line, Stored, round, round_into};

use super::product::Finish;

/// Rows of a tile of rows, and columns of a tile of weights.
pub(crate) const SIDE: usize = 16;

/// Tiles of weights that are multiplied at a time.
const ACROSS: usize = 2;

/// What multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// The tile registers of AMX.
    Amx,
    /// The vector instructions of AVX512-BF16.
    Avx512,
    /// f32, of numbers rounded to bf16.
    Emulated,
}

impl Unit {
    /// All of them, the fastest one first.
    pub const ALL: [Self; 3] = [Self::Amx, Self::Avx512, Self::Emulated];

    /// Whether this process can use it. For tiles the operating system has to be asked, once.
    pub fn is_here(self) -> bool {
        match self {
            Self::Amx => amx::is_here(),
            Self::Avx512 => avx512::is_here(),
            Self::Emulated => true,
        }
    }

    /// The fastest unit of this machine.
    pub fn here() -> Self {
        static HERE: OnceLock<Unit> = OnceLock::new();
        let find = || Self::ALL.into_iter().find(|unit| unit.is_here()).unwrap_or(Self::Emulated);
        *HERE.get_or_init(find)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Amx => "AMX",
            Self::Avx512 => "AVX512-BF16",
            Self::Emulated => "f32 vectors",
        })
    }
}

/// A right factor of `steps` lines of numbers by `outputs`, packed in tiles: a line holds two neighbouring
/// rows of 16 columns, pair by pair, a tile the 16 such lines of one step.
#[derive(Debug, Clone)]
pub(crate) struct Weights {
    lines: Vec<Line>,
    steps: usize,
    outputs: usize,
}

impl Weights {
    /// Packs the factor whose element in row `LINE * step + k`, column `o` is `at(step, k, o)`.
    pub(crate) fn pack(
        steps: usize,
        outputs: usize,
        at: impl Fn(usize, usize, usize) -> f32,
    ) -> Self {
        let mut lines = Vec::with_capacity(steps * outputs.next_multiple_of(SIDE));
        for first in (0..outputs).step_by(ACROSS * SIDE) {
            for step in 0..steps {
                for first in (first..outputs.min(first + ACROSS * SIDE)).step_by(SIDE) {
                    for pair in 0..LINE / 2 {
                        let mut line = Line::default();
                        for (column, two) in line.0.chunks_exact_mut(2).enumerate() {
                            let o = first + column;
                            if o < outputs {
                                two[0] = round(at(step, 2 * pair, o));
                                two[1] = round(at(step, 2 * pair + 1, o));
                            }
                        }
                        lines.push(line);
                    }
                }
            }
        }
        Self { lines, steps, outputs }
    }

    /// The lines of the columns from `first` on, and how many tiles lie side by side.
    fn panel(&self, first: usize) -> (&[Line], usize) {
        let across = (self.outputs - first).div_ceil(SIDE).min(ACROSS);
        (&self.lines[first * self.steps..][..across * SIDE * self.steps], across)
    }
}

/// Up to 16 rows at the same distance from each other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tile {
    /// The line where the first of them starts.
    pub(crate) start: usize,
    /// Lines from a row to the next.
    pub(crate) pitch: usize,
    /// How many there are.
    pub(crate) rows: usize,
    /// The entry of `places` of the first one.
    pub(crate) first: usize,
}

/// The left factor: a row is made of the runs of `run` lines at `offsets`, one behind the other, counted
/// from where it starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// Where the numbers are. Tiles read 16 rows, also where they have fewer.
    pub(crate) values: &'a [Line],
    /// Where the rows are.
    pub(crate) tiles: &'a [Tile],
    /// Where their runs are, from there.
    pub(crate) offsets: &'a [usize],
    /// Lines of a run.
    pub(crate) run: usize,
    /// The row of the result that each row makes.
    pub(crate) places: &'a [usize],
}

impl Rows<'_> {
    fn check(&self, weights: &Weights, len: usize, stride: usize) {
        let reach = self.offsets.iter().max().map_or(0, |offset| offset.saturating_add(self.run));
        for tile in self.tiles {
            let end = tile.pitch.saturating_mul(SIDE - 1).saturating_add(tile.start);
            assert!(end.saturating_add(reach) <= self.values.len(), "bf16: short rows");
            assert!(
                (1..=SIDE).contains(&tile.rows) && tile.first + tile.rows <= self.places.len(),
                "bf16: rows without places"
            );
        }
        assert_eq!(self.offsets.len() * self.run, weights.steps, "bf16: depth");
        let last = self.places.iter().max().copied().unwrap_or_default();
        assert!(
            weights.outputs <= stride
                && last.saturating_mul(stride).saturating_add(weights.outputs) <= len,
            "bf16: short result"
        );
    }
}

/// Writes the product's rows to `out[place * stride..][..outputs]`.
///
/// # Panics
/// If a tile reaches beyond `values`, a slice is shorter than its shape, or this machine does not have the
/// unit (an error in this crate, not in its input).
pub(crate) fn product_into<T: Stored>(
    unit: Unit,
    rows: Rows<'_>,
    weights: &Weights,
    finish: Finish<'_>,
    out: &mut [MaybeUninit<T>],
    stride: usize,
) {
    if rows.tiles.is_empty() {
        return;
    }
    rows.check(weights, out.len(), stride);
    assert!(finish.bias.is_none_or(|bias| bias.len() == weights.outputs), "bf16: bias");
    assert!(unit.is_here(), "bf16: no {unit} here");
    let product = Product { rows, weights, finish, out, stride };
    match unit {
        Unit::Amx => amx::run(product),
        Unit::Avx512 => avx512::run(product),
        Unit::Emulated => emulated::run(product),
    }
}

/// Sums of two tiles of rows by two of weights: `[tile of rows, tile of weights, row, column]`.
#[repr(C, align(64))]
struct Sums([[[[f32; SIDE]; SIDE]; ACROSS]; 2]);

/// What a unit does.
trait Multiply: Copy {
    /// The sums of one or two tiles of rows by the tiles of a panel, `across` side by side. Those of tiles that
    /// are not there may be anything.
    fn multiply(
        self,
        rows: &Rows<'_>,
        tiles: &[Tile],
        panel: &[Line],
        across: usize,
        sums: &mut Sums,
    );
}

struct Product<'a, T> {
    rows: Rows<'a>,
    weights: &'a Weights,
    finish: Finish<'a>,
    out: &'a mut [MaybeUninit<T>],
    stride: usize,
}

impl<T: Stored> Product<'_, T> {
    #[inline(always)]
    fn run(mut self, unit: impl Multiply) {
        let mut sums = Sums([[[[0.0; SIDE]; SIDE]; ACROSS]; 2]);
        for first in (0..self.weights.outputs).step_by(ACROSS * SIDE) {
            let (panel, across) = self.weights.panel(first);
            for tiles in self.rows.tiles.chunks(2) {
                unit.multiply(&self.rows, tiles, panel, across, &mut sums);
                for (tile, sums) in tiles.iter().zip(&sums.0) {
                    for (sums, first) in sums[..across].iter().zip((first..).step_by(SIDE)) {
                        self.store(tile, sums, first);
                    }
                }
            }
        }
    }

    /// Finishes the sums of a tile by the columns from `first` on.
    #[inline(always)]
    fn store(&mut self, tile: &Tile, sums: &[[f32; SIDE]; SIDE], first: usize) {
        let columns = SIDE.min(self.weights.outputs - first);
        let mut bias = [0.0; SIDE];
        if let Some(values) = self.finish.bias {
            bias[..columns].copy_from_slice(&values[first..][..columns]);
        }
        let floor = if self.finish.relu { 0.0 } else { f32::NEG_INFINITY };
        let places = &self.rows.places[tile.first..][..tile.rows];
        for (place, sums) in places.iter().zip(sums) {
            let mut finished = [0.0; SIDE];
            for ((finished, sum), bias) in finished.iter_mut().zip(sums).zip(&bias) {
                let sum = sum + bias;
                // NaN stays NaN.
                *finished = if sum < floor { floor } else { sum };
            }
            let to = &mut self.out[place * self.stride + first..][..columns];
            match to.as_chunks_mut::<SIDE>() {
                ([whole], _) => *whole = finished.map(|value| MaybeUninit::new(T::store(value))),
                (_, part) => {
                    for (to, value) in part.iter_mut().zip(finished) {
                        to.write(T::store(value));
                    }
                }
            }
        }
    }
}
