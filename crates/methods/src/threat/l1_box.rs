//! The exact projection on the L1 ball cut with the box [0, 1] (Croce and Hein, ICML 2021,
//! proposition 2.1), which the L1 forms of APGD and Square step with. A projection on the ball that
//! is clipped to the box afterwards ends up well inside the ball.

/// Fills `correction` with what has to be added to `x0 + y` to get the closest point of the ball of
/// radius `eps` around `x0` and of the box. `x0` is in the box.
///
/// In that point coordinate i has kept |y_i| - s_i of its change, with
/// s_i = min(max(overshoot_i, alpha), |y_i|): at least what is outside the box is taken off, else
/// the same amount alpha everywhere. alpha comes from f64 sums, the rest follows in f32.
pub fn project_on_l1_ball_and_box(x0: &[f32], y: &[f32], eps: f32, correction: &mut [f32]) {
    for ((c, x0), y) in correction.iter_mut().zip(x0).zip(y) {
        *c = overshoot(*x0, *y);
    }
    let alpha = shrinkage(y, correction, f64::from(eps)) as f32;
    for (c, y) in correction.iter_mut().zip(y) {
        let size = c.max(alpha).min(y.abs());
        *c = if *y > 0.0 { -size } else { size };
    }
}

/// How far x0 + y is outside the box.
fn overshoot(x0: f32, y: f32) -> f32 {
    -(1.0 - x0 - y).min(x0 + y).min(0.0)
}

/// The smallest alpha >= 0 with sum_i (|y_i| - s_i) <= eps.
///
/// As alpha grows, coordinate i shrinks from alpha = overshoot_i to alpha = |y_i|: the sum is
/// piecewise linear, and a sweep over these places finds where it meets eps.
fn shrinkage(y: &[f32], overshoots: &[f32], eps: f64) -> f64 {
    let size = |y: &f32| f64::from(y.abs());
    let mut length: f64 = y.iter().zip(overshoots).map(|(y, o)| size(y) - f64::from(*o)).sum();
    if length <= eps {
        return 0.0;
    }
    // How many coordinates shrink, and where that number changes by how much.
    let mut shrinking = 0_i64;
    let mut places: Vec<(f64, i64)> = Vec::with_capacity(y.len());
    for (y, o) in y.iter().zip(overshoots).filter(|(y, _)| **y != 0.0) {
        match *o {
            0.0 => shrinking += 1,
            o => places.push((f64::from(o), 1)),
        }
        places.push((size(y), -1));
    }
    places.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut alpha = 0.0;
    for (place, change) in places {
        let after = length - shrinking as f64 * (place - alpha);
        if after <= eps && shrinking > 0 {
            return alpha + (length - eps) / shrinking as f64;
        }
        (length, alpha) = (after, place);
        shrinking += change;
    }
    alpha
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use candle_core::{Device, Tensor};
    use proptest::prelude::*;

    use super::*;

    fn projected(x0: &[f32], y: &[f32], eps: f32) -> Vec<f32> {
        let mut correction = vec![0.0; y.len()];
        project_on_l1_ball_and_box(x0, y, eps, &mut correction);
        y.iter().zip(&correction).map(|(y, c)| y + c).collect()
    }

    #[test]
    fn equals_the_reference() {
        let recorded = include_bytes!("../../../../tests/fixtures/aa_ref_small.safetensors");
        let file: HashMap<String, Tensor> =
            candle_core::safetensors::load_buffer(recorded, &Device::Cpu).unwrap();
        let rows = |name: &str| -> Vec<Vec<f32>> {
            file[name].flatten_from(1).unwrap().to_vec2().unwrap()
        };
        let (x, y, delta) = (rows("l1p.x"), rows("l1p.y"), rows("l1p.delta"));
        for ((x, y), want) in x.iter().zip(&y).zip(&delta) {
            let mut got = vec![0.0; y.len()];
            project_on_l1_ball_and_box(x, y, 2.0, &mut got);
            for (got, want) in got.iter().zip(want) {
                assert!((got - want).abs() < 1e-5, "{got} instead of {want}");
            }
        }
    }

    #[test]
    fn small_cases_by_hand() {
        assert_eq!(projected(&[0.5, 0.5], &[0.3, -0.1], 1.0), [0.3, -0.1]);
        assert_eq!(projected(&[0.5, 0.5], &[0.0, 0.0], 0.0), [0.0, 0.0]);
        assert_eq!(projected(&[0.5, 0.5], &[0.3, -0.1], 0.0), [0.0, 0.0]);
        // The second coordinate stops at the box and the first one may keep the rest of eps.
        let p = projected(&[0.25, 0.75], &[0.625, 1.0], 0.5);
        assert!((p[0] - 0.25).abs() < 1e-6 && (p[1] - 0.25).abs() < 1e-6, "{p:?}");
    }

    proptest! {
        #[test]
        fn is_inside_idempotent_and_closer_than_any_other_point(
            x0 in proptest::collection::vec(0.0_f32..=1.0, 9),
            y in proptest::collection::vec(-2.0_f32..2.0, 9),
            other in proptest::collection::vec(0.0_f32..=1.0, 9),
            eps in 0.01_f32..4.0,
        ) {
            let p = projected(&x0, &y, eps);
            let length = |p: &[f32]| p.iter().map(|p| f64::from(p.abs())).sum::<f64>();
            prop_assert!(length(&p) <= f64::from(eps) + 2e-6, "{} of {eps}", length(&p));
            for (p, x0) in p.iter().zip(&x0) {
                prop_assert!((-1e-6..=1.0 + 1e-6).contains(&(x0 + p)));
            }
            for (once, twice) in p.iter().zip(projected(&x0, &p, eps)) {
                prop_assert!((once - twice).abs() < 1e-6);
            }
            // A member of both sets: the segment from x0 to another point of the box, cut at eps.
            let mut member: Vec<f32> = other.iter().zip(&x0).map(|(o, x0)| o - x0).collect();
            let cut = (f64::from(eps) / length(&member)).min(1.0) as f32;
            member.iter_mut().for_each(|m| *m *= cut);
            let squared = |p: &[f32]| {
                p.iter().zip(&y).map(|(p, y)| f64::from(p - y).powi(2)).sum::<f64>()
            };
            prop_assert!(squared(&p) <= squared(&member) + 1e-5);
        }
    }
}
