//! The numbers of PyTorch's CPU generator, so that a run can be compared image by image with one of
//! a PyTorch library. A generator is a sequence: what a draw returns depends on all draws before it.

use super::mt19937::Mt19937;

/// `torch.manual_seed` and the draws that follow it, for f32 tensors on the CPU.
#[derive(Debug, Clone)]
pub struct Torch {
    words: Mt19937,
    /// The second number of the last pair of the short form of [`Torch::normal`].
    cached: Option<f64>,
}

impl Torch {
    /// The generator after `torch.manual_seed(seed)`; only the lower 32 bits of the seed count.
    pub fn new(seed: u64) -> Self {
        Self { words: Mt19937::new(seed as u32), cached: None }
    }

    /// `torch.rand` for a tensor of `out.len()` elements in row-major order: [0, 1), multiples of
    /// 2^-24. Two calls draw what one call for both would.
    pub fn uniform(&mut self, out: &mut [f32]) {
        for o in out {
            *o = (self.words.draw() & 0x00ff_ffff) as f32 * (1.0 / 16_777_216.0);
        }
    }

    /// `torch.randn` for a tensor of `out.len()` elements in row-major order. What is drawn depends
    /// on the size of the tensor, so a tensor has to be drawn in one call.
    ///
    /// From 16 elements on this is the vectorised Box-Muller transform of the x86 builds, whose
    /// elementary functions are those of the Cephes library. A build that contracts their products
    /// and sums into fused ones returns a number 1 or 2 units in the last place away in 1 % of the
    /// draws.
    pub fn normal(&mut self, out: &mut [f32]) {
        if out.len() < BLOCK {
            out.iter_mut().for_each(|o| *o = self.normal_f64() as f32);
            return;
        }
        self.uniform(out);
        out.chunks_exact_mut(BLOCK).for_each(box_muller);
        if !out.len().is_multiple_of(BLOCK) {
            // PyTorch draws the last 16 again, those of the block before included.
            let last = out.len() - BLOCK;
            self.uniform(&mut out[last..]);
            box_muller(&mut out[last..]);
        }
    }

    fn normal_f64(&mut self) -> f64 {
        if let Some(z) = self.cached.take() {
            return z;
        }
        let angle = std::f64::consts::TAU * self.uniform_f64();
        let radius = (-2.0 * libm::log1p(-self.uniform_f64())).sqrt();
        let (sin, cos) = libm::sincos(angle);
        self.cached = Some(radius * sin);
        radius * cos
    }

    /// 53 bits of two words, the upper one first.
    fn uniform_f64(&mut self) -> f64 {
        let word = u64::from(self.words.draw()) << 32 | u64::from(self.words.draw());
        (word & ((1 << 53) - 1)) as f64 * (1.0 / (1_u64 << 53) as f64)
    }
}

/// Numbers that are transformed together.
const BLOCK: usize = 16;

/// Turns 16 uniform numbers into normal ones: 8 radii, then 8 angles.
fn box_muller(block: &mut [f32]) {
    let (radii, angles) = block.split_at_mut(BLOCK / 2);
    for (a, b) in radii.iter_mut().zip(angles) {
        let radius = (-2.0 * ln(1.0 - *a)).sqrt();
        let (sin, cos) = sin_cos(std::f32::consts::TAU * *b);
        (*a, *b) = (radius * cos, radius * sin);
    }
}

/// The natural logarithm of a number in (0, 1], after `logf` of Cephes (Moshier 1992).
fn ln(x: f32) -> f32 {
    const P: [f32; 9] = [
        7.037_683_6e-2,
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_7e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ];
    // ln 2 in two parts, of which the first has few digits.
    const LN_2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];
    // x = mantissa * 2^exponent with the mantissa in [sqrt 1/2, sqrt 2).
    let bits = x.to_bits();
    let mut exponent = (bits >> 23) as f32 - 126.0;
    let mut mantissa = f32::from_bits(bits & 0x007f_ffff | 0x3f00_0000);
    if mantissa < std::f32::consts::FRAC_1_SQRT_2 {
        exponent -= 1.0;
        mantissa += mantissa;
    }
    let m = mantissa - 1.0;
    let square = m * m;
    let polynomial = P.iter().fold(0.0, |sum, p| sum * m + p) * m * square;
    let small = polynomial + exponent * LN_2[1] - 0.5 * square;
    (m + small) + exponent * LN_2[0]
}

/// Sine and cosine of an angle in [0, 2 pi], after `sinf` and `cosf` of Cephes (Moshier 1992).
fn sin_cos(x: f32) -> (f32, f32) {
    const SIN: [f32; 3] = [-1.951_529_6e-4, 8.332_161e-3, -1.666_665_5e-1];
    const COS: [f32; 3] = [2.443_315_7e-5, -1.388_731_6e-3, 4.166_664_6e-2];
    // pi / 4 in three parts.
    const QUARTER: [f32; 3] = [201.0 / 256.0, 2.418_756_5e-4, 3.774_895e-8];
    // The even multiple of pi / 4 that is nearest to x, and what remains.
    let octant = ((x * (4.0 / std::f32::consts::PI)) as i32 + 1) & !1;
    let r = QUARTER.iter().fold(x, |x, part| x - octant as f32 * part);
    let square = r * r;
    let sin = SIN.iter().fold(0.0, |sum, p| sum * square + p) * square * r + r;
    let cos =
        COS.iter().fold(0.0, |sum, p| sum * square + p) * square * square - 0.5 * square + 1.0;
    let (sin, cos) = if octant & 2 == 0 { (sin, cos) } else { (cos, sin) };
    let sin = if octant & 4 == 0 { sin } else { -sin };
    let cos = if (octant + 2) & 4 == 0 { cos } else { -cos };
    (sin, cos)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use candle_core::{Device, Tensor};

    use super::*;

    fn drawn(name: &str, draw: impl Fn(&mut Torch, &mut [f32])) {
        let recorded = include_bytes!("../../../../tests/fixtures/aa_ref_small.safetensors");
        let file: HashMap<String, Tensor> =
            candle_core::safetensors::load_buffer(recorded, &Device::Cpu).unwrap();
        let want: Vec<f32> = file[name].to_vec1().unwrap();
        let mut got = vec![0.0; want.len()];
        draw(&mut Torch::new(0), &mut got);
        let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&got), bits(&want), "{name}: {got:?} instead of {want:?}");
    }

    #[test]
    fn every_bit_is_the_one_that_pytorch_draws() {
        drawn("rng.rand_seed0_16", Torch::uniform);
        drawn("rng.randn_seed0_64", Torch::normal);
        drawn("rng.randn_seed0_20", Torch::normal);
    }

    /// Printed in many places: `torch.manual_seed(s); torch.randn(n)`.
    #[test]
    fn tensors_of_less_than_16_elements_have_their_own_form() {
        for (seed, want) in [
            (0, [1.5410, -0.2934, -2.1788, 0.5684, -1.0845]),
            (42, [0.3367, 0.1288, 0.2345, 0.2303, -1.1229]),
        ] {
            let mut got = [0.0; 5];
            Torch::new(seed).normal(&mut got);
            for (got, want) in got.iter().zip(want) {
                assert!((got - want).abs() < 1e-4, "{got} instead of {want}");
            }
        }
    }

    #[test]
    fn uniform_draws_continue_and_seeds_count_to_32_bits() {
        let (mut whole, mut parts) = ([0.0; 700], [0.0; 700]);
        Torch::new(5).uniform(&mut whole);
        let mut torch = Torch::new(5 + (1 << 32));
        let (first, second) = parts.split_at_mut(311);
        torch.uniform(first);
        torch.uniform(second);
        assert_eq!(whole, parts);
    }

    #[test]
    fn elementary_functions_are_right_to_the_last_places() {
        for i in 1..=1000 {
            let u = i as f32 / 1000.0;
            assert!((ln(u) - u.ln()).abs() <= 2e-7 * u.ln().abs().max(1e-3), "ln {u}");
            let angle = std::f32::consts::TAU * u;
            let (sin, cos) = sin_cos(angle);
            let (want_sin, want_cos) = f64::from(angle).sin_cos();
            assert!((f64::from(sin) - want_sin).abs() < 2e-7, "sin {angle}");
            assert!((f64::from(cos) - want_cos).abs() < 2e-7, "cos {angle}");
        }
    }
}
