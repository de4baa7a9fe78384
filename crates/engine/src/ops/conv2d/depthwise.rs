//! Convolution in which every channel sees itself only: no product of matrices, but a sum over the
//! kernel's taps in which the channels lie side by side. The sums of some neighbouring pixels stay in
//! registers while all taps pass by.
//!
//! A result is one chain of fused multiply-adds, the bias first and then the taps inside the image in order (with
//! zeros in place of those beside it): its bits depend on its receptive field and on nothing else.

use std::mem::MaybeUninit;

use pulp::{Arch, NullaryFnOnce, Simd, WithSimd};

use super::{Geometry, View};
use crate::ops::activation;
use crate::ops::product::Finish;
use crate::ops::scratch::Scratch;

/// Whether a convolution is of this kind.
pub(super) fn is(geo: &Geometry) -> bool {
    geo.group_inputs() == 1 && geo.group_outputs() == 1
}

/// Weights `[tap, channel]`, from weights given by `at(group, tap, input, output)`.
pub(super) fn pack(geo: &Geometry, at: impl Fn(usize, usize, usize, usize) -> f32) -> Vec<f32> {
    let taps = geo.kernel[0] * geo.kernel[1];
    (0..taps * geo.groups).map(|i| at(i % geo.groups, i / geo.groups, 0, 0)).collect()
}

/// The convolution of the images `x` `[N, H, W, C]` into `out` `[N, H', W', C]`, of which every element is
/// written.
pub(super) fn convolve(
    x: &[f32],
    weights: &[f32],
    finish: Finish<'_>,
    geo: &Geometry,
    view: View,
    scratch: &mut Scratch,
    out: &mut [MaybeUninit<f32>],
) {
    let channels = geo.groups;
    assert_eq!(weights.len(), geo.kernel[0] * geo.kernel[1] * channels, "depthwise: weights");
    assert!(finish.bias.is_none_or(|bias| bias.len() == channels), "depthwise: bias");
    assert!(finish.onto.is_none_or(|onto| onto.len() == out.len()), "depthwise: summands");
    let p = geo.padding;
    let padded = view.width + p.left + p.right;
    let bordered = p.left + p.right > 0;
    let (lines, _) = scratch.lend(if bordered { view.height * padded * channels } else { 0 }, 0);
    let pixels = view.height * view.width * channels;
    for (image, out) in out.chunks_exact_mut((view.pixels() * channels).max(1)).enumerate() {
        let x = &x[image * pixels..][..pixels];
        let onto = finish.onto.map(|onto| &onto[image * out.len()..][..out.len()]);
        let mut copied = 0;
        for (oy, out) in out.chunks_exact_mut(view.out_width * channels).enumerate() {
            // The line of the image under a line of the kernel, if there is one.
            let under = |ky: usize| {
                let line = (oy * geo.stride[0] + ky * geo.dilation[0]).checked_sub(p.top)?;
                (line < view.height).then_some(line)
            };
            let last = (0..geo.kernel[0]).filter_map(under).max().map_or(0, |line| line + 1);
            if bordered {
                let (from, to) = (view.width * channels, padded * channels);
                for line in copied..last {
                    let whole = &mut lines[line * to..][..to];
                    whole[..p.left * channels].fill(0.0);
                    whole[p.left * channels..][..from].copy_from_slice(&x[line * from..][..from]);
                    whole[p.left * channels + from..].fill(0.0);
                }
                copied = copied.max(last);
            }
            let taps = (0..geo.kernel[0])
                .filter_map(|ky| Some((ky, under(ky)?)))
                .flat_map(|(ky, line)| (0..geo.kernel[1]).map(move |kx| [ky, line, kx]))
                .map(|[ky, line, kx]| Tap {
                    from: (line * padded + kx * geo.dilation[1]) * channels,
                    weight: (ky * geo.kernel[1] + kx) * channels,
                })
                .collect::<Vec<_>>();
            let x = if bordered { &*lines } else { x };
            let step = geo.stride[1] * channels;
            let furthest = taps.iter().map(|tap| tap.from).max().unwrap_or_default();
            assert!(
                furthest + view.out_width.saturating_sub(1) * step + channels <= x.len()
                    || taps.is_empty()
            );
            let onto = onto.map(|onto| &onto[oy * out.len()..][..out.len()]);
            let finish = Finish { onto, ..finish };
            Arch::new().dispatch(Line { x, weights, taps: &taps, finish, channels, step, out });
        }
    }
}

/// Where the first pixel's number under a tap is, and the tap's weights, both of channel 0.
#[derive(Clone, Copy)]
struct Tap {
    from: usize,
    weight: usize,
}

/// One line of results.
struct Line<'a> {
    x: &'a [f32],
    weights: &'a [f32],
    taps: &'a [Tap],
    finish: Finish<'a>,
    channels: usize,
    /// Numbers from what one result sees to what the next one sees.
    step: usize,
    out: &'a mut [MaybeUninit<f32>],
}

impl WithSimd for Line<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let pixels = self.out.len() / self.channels;
        // Sums and a vector of weights fill the registers; the last tile of a line begins earlier instead of being
        // shorter, and computes some pixels a second time.
        match pixels {
            0 => {}
            1..4 => self.tiles::<S, 1>(simd, pixels),
            4..7 => self.tiles::<S, 4>(simd, pixels),
            7..14 => self.tiles::<S, 7>(simd, pixels),
            _ => self.tiles::<S, 14>(simd, pixels),
        }
    }
}

impl Line<'_> {
    #[inline(always)]
    fn tiles<S: Simd, const PIXELS: usize>(mut self, simd: S, pixels: usize) {
        let last = pixels - PIXELS;
        for first in (0..pixels).step_by(PIXELS).map(|first| first.min(last)) {
            simd.vectorize(Tile::<S, PIXELS> { line: &mut self, simd, first });
        }
    }
}

/// `PIXELS` neighbouring results of a line.
struct Tile<'l, 'a, S, const PIXELS: usize> {
    line: &'l mut Line<'a>,
    simd: S,
    first: usize,
}

impl<S: Simd, const PIXELS: usize> NullaryFnOnce for Tile<'_, '_, S, PIXELS> {
    type Output = ();

    #[inline(always)]
    fn call(mut self) {
        let lanes = S::F32_LANES;
        let whole = self.line.channels - self.line.channels % lanes;
        for channel in (0..whole).step_by(lanes) {
            self.vector::<true>(channel, lanes);
        }
        if whole < self.line.channels {
            self.vector::<false>(whole, self.line.channels - whole);
        }
    }
}

impl<S: Simd, const PIXELS: usize> Tile<'_, '_, S, PIXELS> {
    /// The channels `channel..channel + count`, as many as a vector has if it is `WHOLE`.
    #[inline(always)]
    #[allow(unsafe_code)]
    #[allow(clippy::needless_range_loop)] // loops over registers
    fn vector<const WHOLE: bool>(&mut self, channel: usize, count: usize) {
        let Self { line, simd, first } = self;
        let Line { x, weights, taps, finish, channels, step, out } = &mut **line;
        let simd = *simd;
        let load = |from: &[f32], at: usize| {
            if WHOLE {
                debug_assert!(at + S::F32_LANES <= from.len());
                // SAFETY: the numbers of a tap at `at` are those of a pixel of the line or of a weight,
                // from `channel` on; a whole vector of channels is there. `convolve` asserts that they are inside `x`,
                // and the lengths of weights and bias.
                unsafe { from.as_ptr().add(at).cast::<S::f32s>().read_unaligned() }
            } else {
                simd.partial_load_f32s(&from[at..at + count])
            }
        };
        let start = match finish.bias {
            Some(bias) => load(bias, channel),
            None => simd.splat_f32s(0.0),
        };
        let mut sums = [start; PIXELS];
        for tap in *taps {
            let weight = load(weights, tap.weight + channel);
            let from = tap.from + *first * *step + channel;
            for pixel in 0..PIXELS {
                sums[pixel] = simd.mul_add_f32s(load(x, from + pixel * *step), weight, sums[pixel]);
            }
        }
        if finish.relu && finish.onto.is_none() {
            for pixel in 0..PIXELS {
                sums[pixel] = activation::cut_vector(simd, sums[pixel]);
            }
        }
        let to = out[*first * *channels..][..PIXELS * *channels].as_mut_ptr().cast::<f32>();
        if WHOLE {
            for pixel in 0..PIXELS {
                // SAFETY: a whole vector of channels from `channel` on is there, of each of the pixels of
                // the slice taken above.
                unsafe {
                    let to = to.add(pixel * *channels + channel).cast::<S::f32s>();
                    to.write_unaligned(sums[pixel]);
                }
            }
        } else {
            // A copy, so that only it needs an address and `sums` stays in registers.
            let stored = sums;
            for (pixel, sum) in stored.iter().enumerate() {
                // SAFETY: a vector has `count` numbers or more, a pixel of the slice as many from `channel`
                // on; the two do not overlap.
                unsafe {
                    std::ptr::copy_nonoverlapping(
                        std::ptr::from_ref(sum).cast::<f32>(),
                        to.add(pixel * *channels + channel),
                        count,
                    );
                }
            }
        }
        // Only now, when the sums have left their registers.
        if let Some(onto) = finish.onto {
            for pixel in 0..PIXELS {
                let at = pixel * *channels + channel;
                // SAFETY: as above, and all of these numbers have just been written.
                let made = unsafe { std::slice::from_raw_parts_mut(to.add(at), count) };
                for (made, onto) in made.iter_mut().zip(&onto[*first * *channels + at..]) {
                    let sum = *made + onto;
                    *made = if finish.relu { activation::cut(sum) } else { sum };
                }
            }
        }
    }
}

/// The pullback for any stride; adds to `grad`.
pub(super) fn scatter(g: &[f32], weights: &[f32], geo: &Geometry, view: View, grad: &mut [f32]) {
    let channels = geo.groups;
    Arch::new().dispatch(|| {
        for (pixel, g) in g.chunks_exact(channels).enumerate() {
            view.for_taps(geo, pixel, |tap, to| {
                let terms = g.iter().zip(&weights[tap * channels..]);
                for (grad, (g, weight)) in grad[to * channels..].iter_mut().zip(terms) {
                    *grad += g * weight;
                }
            });
        }
    });
}
