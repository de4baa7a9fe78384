//! bf16 products on machines without instructions for them: the same sums in f32.

use pulp::{Arch, Simd, WithSimd};

use super::{LINE, Line, Multiply, Product, Rows, SIDE, Stored, Sums, Tile};

/// Rows at a time: their sums stay in registers.
const ROWS: usize = 4;

pub(super) fn run<T: Stored>(product: Product<'_, T>) {
    Arch::new().dispatch(Vectorised(product));
}

struct Vectorised<'a, T>(Product<'a, T>);

impl<T: Stored> WithSimd for Vectorised<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.0.run(Emulated);
    }
}

#[derive(Clone, Copy)]
struct Emulated;

/// The number, or 0 of its sign if it is denormal: the instructions take these for 0 whatever mode the processor is
/// in, and make 0 of denormal sums too.
#[inline(always)]
fn normal(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { 0.0_f32.copysign(x) } else { x }
}

#[inline(always)]
fn wide(bits: u16) -> f32 {
    normal(f32::from_bits(u32::from(bits) << 16))
}

impl Multiply for Emulated {
    #[inline(always)]
    fn multiply(
        self,
        rows: &Rows<'_>,
        tiles: &[Tile],
        panel: &[Line],
        across: usize,
        sums: &mut Sums,
    ) {
        for (tile, sums) in tiles.iter().zip(&mut sums.0) {
            for (column, sums) in sums[..across].iter_mut().enumerate() {
                for (block, sums) in sums.chunks_exact_mut(ROWS).enumerate() {
                    if block * ROWS >= tile.rows {
                        break;
                    }
                    let start = tile.start + block * ROWS * tile.pitch;
                    let mut of_rows = [[0.0; SIDE]; ROWS];
                    let mut step = 0;
                    for offset in rows.offsets {
                        for at in 0..rows.run {
                            let weights = &panel[(step * across + column) * SIDE..][..LINE / 2];
                            for (pair, weights) in weights.iter().enumerate() {
                                for (row, sums) in of_rows.iter_mut().enumerate() {
                                    let line = &rows.values[start + row * tile.pitch + offset + at];
                                    let [first, second] =
                                        [0, 1].map(|i| wide(line.0[2 * pair + i]));
                                    // The order of AVX512-BF16: the second number of a pair, then the first.
                                    for (o, sum) in sums.iter_mut().enumerate() {
                                        let [w0, w1] = [0, 1].map(|i| wide(weights.0[2 * o + i]));
                                        *sum = normal(second.mul_add(w1, *sum));
                                        *sum = normal(first.mul_add(w0, *sum));
                                    }
                                }
                            }
                            step += 1;
                        }
                    }
                    sums.copy_from_slice(&of_rows);
                }
            }
        }
    }
}
