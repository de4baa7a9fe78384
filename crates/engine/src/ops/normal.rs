//! The standard normal distribution as GELU needs it: the function Phi and its density. In f64 by the
//! error function; in f32 without branches, so that loops over it run in whole vectors, and with plain
//! multiplications and additions, so that it gives the same bits on every machine.

/// Phi(x) and its density.
#[inline(always)]
pub(super) fn wide(x: f64) -> (f64, f64) {
    let below = 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2);
    (below, (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt())
}

/// From here on everything beyond is 0 in f32, or will be when multiplied by x.
const FURTHEST: f32 = 13.0;

/// The part beyond `a >= 0` is `exp(-a^2 / 2) t T(t - MIDDLE)` with `t = 1 / (1 + BEND a)`: the form of
/// Hastings (1955). The polynomial T is interpolated at Chebyshev points of `[1 / (1 + 13 BEND), 1]`,
/// where it is within 2e-8 of the truth; `BEND` is chosen to make that small.
const BEND: f32 = 0.38;
const MIDDLE: f32 = 0.584_175_1;
const TAIL: [f32; 10] = [
    0.301_988_5,
    0.387_061_1,
    0.239_622_83,
    -0.024_274_817,
    -0.102_563_37,
    0.019_310_907,
    0.053_532_22,
    -0.031_245_396,
    -0.021_390_941,
    0.026_518_51,
];

/// exp between -ln(2) / 2 and ln(2) / 2, interpolated likewise.
const EXP: [f32; 7] = [1.0, 1.0, 0.5, 0.166_664_05, 0.041_666_34, 0.008_375_968, 0.001_394_216];

/// ln(2) as a number of few bits and the rest.
const LN_2: [f32; 2] = [0.693_359_4, -0.000_212_194_44];

/// Adding it to a number of less than 2^22 and taking it off again rounds to a whole number.
const ROUNDING: f32 = 12_582_912.0;

#[inline(always)]
fn polynomial<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    coefficients.into_iter().rev().fold(0.0, |sum, c| sum * x + c)
}

/// Phi(x) and its density, within 2e-7.
#[inline(always)]
pub(super) fn narrow(x: f32) -> (f32, f32) {
    let a = x.abs().min(FURTHEST);
    let power = -0.5 * a * a;
    let rounded = power * std::f32::consts::LOG2_E + ROUNDING;
    let twos = rounded - ROUNDING;
    let rest = (power - twos * LN_2[0]) - twos * LN_2[1];
    // The last bits of `rounded` are those of `twos`, which is a whole number from -122 to 0.
    let scale = f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23));
    let exp = polynomial(rest, EXP) * scale;
    let t = 1.0 / (1.0 + BEND * a);
    let beyond = polynomial(t - MIDDLE, TAIL) * t * exp;
    let below = if x > 0.0 { 1.0 - beyond } else { beyond };
    (below, exp * 0.398_942_3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_types_are_the_normal_distribution() {
        for i in -100_000..=100_000_i32 {
            let x = i as f32 * 1.3e-4;
            let (below, density) = narrow(x);
            let (want, slope) = wide(f64::from(x));
            assert!((f64::from(below) - want).abs() < 2e-7, "Phi({x}) is {below}, not {want}");
            if x > -FURTHEST {
                assert!((f64::from(below) / want - 1.0).abs() < 6e-6, "Phi({x}) is {below}");
                assert!((f64::from(density) / slope - 1.0).abs() < 6e-6, "phi({x}) is {density}");
            }
        }
        // Abramowitz and Stegun, table 26.1.
        for (x, want) in [(0.0, 0.5), (1.0, 0.841_344_746_068_543), (3.0, 0.998_650_101_968_37)] {
            assert!((wide(x).0 - want).abs() < 1e-14);
            assert!((wide(-x).0 - (1.0 - want)).abs() < 1e-14);
        }
        assert_eq!(narrow(f32::INFINITY).0, 1.0);
        assert!(narrow(f32::NEG_INFINITY).0 < 1e-37);
    }
}
