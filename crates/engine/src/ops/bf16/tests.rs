//! Every unit of this machine against sums in f64, against the others, and its bits among other rows.

use super::*;
use crate::rng::Stream;

/// The units that are here; the others are named on stderr.
#[allow(clippy::print_stderr, reason = "a test that is left out is named")]
pub(crate) fn units() -> Vec<Unit> {
    let (here, absent): (Vec<_>, Vec<_>) = Unit::ALL.into_iter().partition(|unit| unit.is_here());
    for unit in absent {
        eprintln!("not tested: this machine has no {unit}");
    }
    here
}

fn random(len: usize, draw: u32) -> Vec<f32> {
    let mut values = vec![0.0; len];
    Stream::new(0, "bf16 test").draw(0, draw).normal(&mut values);
    values
}

fn wide(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Overlapping rows of two runs of `run` lines, in tiles of these numbers of rows.
struct Case {
    values: Vec<Line>,
    tiles: Vec<Tile>,
    offsets: [usize; 2],
    run: usize,
    places: Vec<usize>,
    factor: Vec<f32>,
    bias: Vec<f32>,
    outputs: usize,
}

impl Case {
    fn new(tiles: &[usize], run: usize, outputs: usize) -> Self {
        let (offsets, pitch) = ([3, 0], 2);
        let starts: Vec<usize> = (0..tiles.len()).map(|tile| 5 * tile).collect();
        let firsts = tiles.iter().scan(0, |next, rows| Some(std::mem::replace(next, *next + rows)));
        let firsts: Vec<usize> = firsts.collect();
        let total: usize = tiles.iter().sum();
        let lines = 5 * tiles.len() + SIDE * pitch + 3 + run;
        let mut values = vec![Line::default(); lines];
        round_into(&random(lines * LINE, 0), LINE, 1, &mut values, 1);
        let tile = |i: usize| Tile { start: starts[i], pitch, rows: tiles[i], first: firsts[i] };
        Self {
            values,
            tiles: (0..tiles.len()).map(tile).collect(),
            offsets,
            run,
            // The last row comes first.
            places: (0..total).rev().collect(),
            factor: random(2 * run * LINE * outputs, 1),
            bias: random(outputs, 2),
            outputs,
        }
    }

    fn steps(&self) -> usize {
        2 * self.run
    }

    fn run(&self, unit: Unit, relu: bool, tiles: &[Tile]) -> Vec<f32> {
        let stride = self.outputs + 3;
        let mut out = vec![MaybeUninit::new(7.0); self.places.len() * stride];
        let at = |step, k, o| self.factor[(step * LINE + k) * self.outputs + o];
        let weights = Weights::pack(self.steps(), self.outputs, at);
        let Self { values, offsets, run, places, .. } = self;
        let rows = Rows { values, tiles, offsets, run: *run, places };
        let finish = Finish { bias: Some(&self.bias), onto: None, relu };
        product_into(unit, rows, &weights, finish, &mut out, stride);
        #[allow(unsafe_code)]
        // SAFETY: written above.
        out.into_iter().map(|value| unsafe { value.assume_init() }).collect()
    }

    /// The sum of row `row` of a tile and column `o`, and that of the sizes of its terms.
    fn sum(&self, tile: &Tile, row: usize, o: usize) -> [f64; 2] {
        let (mut sum, mut size) = (f64::from(self.bias[o]), f64::from(self.bias[o]).abs());
        for step in 0..self.steps() {
            let line =
                tile.start + row * tile.pitch + self.offsets[step / self.run] + step % self.run;
            for k in 0..LINE {
                let factor = wide(round(self.factor[(step * LINE + k) * self.outputs + o]));
                let term = f64::from(wide(self.values[line].0[k])) * f64::from(factor);
                sum += term;
                size += term.abs();
            }
        }
        [sum, size]
    }
}

fn cases() -> Vec<Case> {
    [
        (&[1_usize][..], 1, 1),
        (&[16], 1, 16),
        (&[16, 3], 2, 32),
        (&[7, 16, 12], 1, 33),
        (&[16, 16, 16, 16], 3, 40),
        (&[9, 16], 2, 100),
    ]
    .into_iter()
    .map(|(tiles, run, outputs)| Case::new(tiles, run, outputs))
    .collect()
}

#[test]
fn rounds_to_the_nearest_and_of_two_to_the_even_one() {
    for upper in 0..=u16::MAX {
        for lower in [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff] {
            let x = f32::from_bits(u32::from(upper) << 16 | lower);
            let want = half::bf16::from_f32(x);
            assert_eq!(round(x), want.to_bits(), "{x:e}");
        }
    }
}

#[test]
fn equals_the_definition() {
    for unit in units() {
        for case in cases() {
            for relu in [false, true] {
                let (out, stride) = (case.run(unit, relu, &case.tiles), case.outputs + 3);
                for tile in &case.tiles {
                    for row in 0..tile.rows {
                        let out = &out[case.places[tile.first + row] * stride..][..stride];
                        for (o, got) in out[..case.outputs].iter().enumerate() {
                            let [sum, size] = case.sum(tile, row, o);
                            let want = if relu { sum.max(0.0) } else { sum };
                            // Products are exact in f32, every addition errs by 2^-24.
                            let bound = (case.steps() * LINE + 1) as f64 * size * 2_f64.powi(-24);
                            let error = (f64::from(*got) - want).abs();
                            assert!(error <= bound, "{unit}: {error:e}, not {bound:e}");
                        }
                        assert_eq!(out[case.outputs..], [7.0; 3], "{unit}");
                    }
                }
            }
        }
    }
}

/// A case with many factors and products that are denormal or nearly so.
fn tiny() -> Case {
    let mut case = Case::new(&[16, 5], 2, 33);
    let lines = case.values.len();
    let small: Vec<f32> = random(lines * LINE, 3).iter().map(|v| v * 2_f32.powi(-118)).collect();
    round_into(&small, LINE, 1, &mut case.values, 1);
    for (i, factor) in case.factor.iter_mut().enumerate() {
        *factor *= 2_f32.powi([-130, -10, 4][i % 3]);
    }
    case.bias.fill(0.0);
    case
}

#[test]
fn vectors_and_the_f32_form_give_the_same_bits() {
    if units().contains(&Unit::Avx512) {
        for case in cases().into_iter().chain([tiny()]) {
            let [a, b] =
                [Unit::Avx512, Unit::Emulated].map(|unit| case.run(unit, false, &case.tiles));
            assert_eq!(a, b);
        }
    }
}

#[test]
fn a_row_has_the_same_bits_in_any_tile() {
    for unit in units() {
        for case in cases() {
            let together = case.run(unit, false, &case.tiles);
            let apart = case.tiles.iter().flat_map(|tile| {
                (0..tile.rows).map(|row| Tile {
                    start: tile.start + row * tile.pitch,
                    pitch: 0,
                    rows: 1,
                    first: tile.first + row,
                })
            });
            let apart: Vec<Tile> = apart.collect();
            assert_eq!(case.run(unit, false, &apart), together, "{unit}");
        }
    }
}

#[test]
fn nan_and_infinity_come_through() {
    for unit in units() {
        for (value, want) in [(f32::NAN, f32::NAN), (f32::INFINITY, f32::INFINITY)] {
            let mut case = Case::new(&[2], 1, 1);
            case.factor.fill(1.0);
            case.values[case.offsets[0]].0[5] = round(value);
            let out = case.run(unit, true, &case.tiles[..1]);
            // Row 0 is written last; row 1 does not read this line.
            let [first, second] = [out[case.outputs + 3], out[0]];
            assert_eq!(first.to_bits(), want.to_bits(), "{unit}");
            assert!(second.is_finite(), "{unit}");
        }
    }
}
