//! Numbers in 16 bits: the upper half of an f32, rounded to the nearest and of two as near to the even one.

use half::bf16;
use pulp::{Arch, Simd, WithSimd};

/// Numbers of a line.
pub(crate) const LINE: usize = 32;

/// Numbers in bf16, as many as a step of a sum takes of a row: a cache line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [u16; LINE]);

/// A number in bf16. NaN stays NaN.
#[inline(always)]
pub(crate) fn round(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    let nan = bits >> 16 | 0x40;
    (if bits & 0x7fff_ffff > 0x7f80_0000 { nan } else { rounded }) as u16
}

/// What an image is stored in.
pub(crate) trait Stored: Copy {
    /// From a result.
    fn store(x: f32) -> Self;

    /// As a number in bf16.
    fn bits(self) -> u16;
}

impl Stored for f32 {
    #[inline(always)]
    fn store(x: f32) -> Self {
        x
    }

    #[inline(always)]
    fn bits(self) -> u16 {
        round(self)
    }
}

impl Stored for bf16 {
    #[inline(always)]
    fn store(x: f32) -> Self {
        Self::from_bits(round(x))
    }

    #[inline(always)]
    fn bits(self) -> u16 {
        self.to_bits()
    }
}

/// Rounds the pixels of `x`, `groups` times `channels` numbers each, to lines `pitch` apart: every group starts
/// with a line, and what is left of its last one becomes 0.
///
/// # Panics
/// If `to` is shorter than that.
pub(crate) fn round_into<T: Stored>(
    x: &[T],
    channels: usize,
    groups: usize,
    to: &mut [Line],
    pitch: usize,
) {
    Arch::new().dispatch(Rounding { x, channels, groups, to, pitch });
}

struct Rounding<'a, T> {
    x: &'a [T],
    channels: usize,
    groups: usize,
    to: &'a mut [Line],
    pitch: usize,
}

impl<T: Stored> WithSimd for Rounding<'_, T> {
    type Output = ();

    /// Written for whole vectors; dispatching lets it use this machine's.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { x, channels, groups, to, pitch } = self;
        let lines = channels.div_ceil(LINE);
        for (pixel, x) in x.chunks_exact(groups * channels).enumerate() {
            let to = &mut to[pixel * pitch..][..groups * lines];
            for (x, to) in x.chunks_exact(channels).zip(to.chunks_exact_mut(lines)) {
                let (whole, rest) = x.as_chunks::<LINE>();
                for (to, x) in to.iter_mut().zip(whole) {
                    for (to, x) in to.0.iter_mut().zip(x) {
                        *to = x.bits();
                    }
                }
                if let (Some(to), false) = (to.last_mut(), rest.is_empty()) {
                    *to = Line::default();
                    for (to, x) in to.0.iter_mut().zip(rest) {
                        *to = x.bits();
                    }
                }
            }
        }
    }
}
