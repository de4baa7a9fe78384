//! bf16 products by the vectors of AVX512-BF16: two products are added to each of 16 sums at a time.

#[cfg(not(target_arch = "x86_64"))]
pub(super) use absent::*;
#[cfg(target_arch = "x86_64")]
pub(super) use present::*;

#[cfg(not(target_arch = "x86_64"))]
mod absent {
    pub(in super::super) fn is_here() -> bool {
        false
    }

    pub(in super::super) fn run<T>(_: super::super::Product<'_, T>) {
        unreachable!("bf16: no AVX512-BF16 here")
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod present {
    use std::arch::x86_64::{
        __m512bh, _mm512_dpbf16_ps, _mm512_set1_epi32, _mm512_setzero_ps, _mm512_storeu_ps,
    };

    use super::super::{ACROSS, Line, Multiply, Product, Rows, SIDE, Stored, Sums, Tile};

    /// Rows at a time: with two vectors of weights their sums fill most of the registers.
    const ROWS: usize = 8;

    pub(in super::super) fn is_here() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512bf16")
    }

    pub(in super::super) fn run<T: Stored>(product: Product<'_, T>) {
        // SAFETY: `product_into` has asserted `is_here`.
        unsafe { with_features(product) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn with_features<T: Stored>(product: Product<'_, T>) {
        product.run(Avx512);
    }

    #[derive(Clone, Copy)]
    struct Avx512;

    impl Multiply for Avx512 {
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
                for first in (0..tile.rows).step_by(ROWS) {
                    // SAFETY: only `with_features` multiplies so; `Rows::check` has asserted that 16 rows of
                    // a tile lie inside `values`, and the panel has `across` tiles for each of their steps.
                    unsafe {
                        if across == ACROSS {
                            block::<ACROSS>(rows, tile, first, panel, sums);
                        } else {
                            block::<1>(rows, tile, first, panel, sums);
                        }
                    }
                }
            }
        }
    }

    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // loops over registers
    unsafe fn block<const N: usize>(
        rows: &Rows<'_>,
        tile: &Tile,
        first: usize,
        panel: &[Line],
        to: &mut [[[f32; SIDE]; SIDE]; ACROSS],
    ) {
        // SAFETY: see `multiply`.
        unsafe {
            let mut sums = [[_mm512_setzero_ps(); N]; ROWS];
            let mut weights = panel.as_ptr();
            let values = rows.values.as_ptr().add(tile.start + first * tile.pitch);
            for offset in rows.offsets {
                for at in 0..rows.run {
                    let line = values.add(offset + at).cast::<i32>();
                    for pair in 0..SIDE {
                        let mut column = [std::mem::zeroed::<__m512bh>(); N];
                        for (v, column) in column.iter_mut().enumerate() {
                            *column = weights.add(v * SIDE + pair).cast::<__m512bh>().read();
                        }
                        for r in 0..ROWS {
                            let two = line.add(r * tile.pitch * SIDE + pair).read();
                            let two: __m512bh = std::mem::transmute(_mm512_set1_epi32(two));
                            for v in 0..N {
                                sums[r][v] = _mm512_dpbf16_ps(sums[r][v], two, column[v]);
                            }
                        }
                    }
                    weights = weights.add(N * SIDE);
                }
            }
            for r in 0..ROWS {
                for v in 0..N {
                    _mm512_storeu_ps(to[v][first + r].as_mut_ptr(), sums[r][v]);
                }
            }
        }
    }
}
