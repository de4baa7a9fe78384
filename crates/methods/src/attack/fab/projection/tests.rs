//! The projections against the fixture made with the published code, and against what makes a
//! projection one.

use proptest::prelude::*;

use super::*;

const NORMS: [Norm; 3] = [Norm::Linf, Norm::L2, Norm::L1];

fn projected(norm: Norm, x: &[f32], w: &[f32], b: f64) -> Vec<f32> {
    let mut d = vec![f32::NAN; x.len()];
    project(norm, x, w, dot(x, w) - b, &mut d);
    d
}

#[test]
fn projections_equal_the_published_code() {
    let recorded = include_bytes!("../../../../../../tests/fixtures/aa_ref_small.safetensors");
    let fixture =
        candle_core::safetensors::load_buffer(recorded, &candle_core::Device::Cpu).unwrap();
    let rows = |name: &str| fixture[name].to_vec2::<f32>().unwrap();
    let (points, weights) = (rows("proj.p"), rows("proj.w"));
    let b = fixture["proj.b"].to_vec1::<f32>().unwrap();
    for (norm, name) in NORMS.into_iter().zip(["proj.linf", "proj.l2", "proj.l1"]) {
        for (i, want) in rows(name).iter().enumerate() {
            let got = projected(norm, &points[i], &weights[i], f64::from(b[i]));
            for (got, want) in got.iter().zip(want) {
                assert!((got - want).abs() < 1e-5, "{norm} row {i}: {got} instead of {want}");
            }
        }
    }
}

#[test]
fn a_hyperplane_outside_the_box_draws_the_point_to_the_nearest_corner() {
    for norm in NORMS {
        let d = projected(norm, &[0.25, 0.5, 0.75], &[1.0, -2.0, 0.0], 9.0);
        assert_eq!(d, [0.75, -0.5, 0.0], "{norm}");
        let d = projected(norm, &[0.25, 0.5, 0.75], &[1.0, -2.0, 0.0], -9.0);
        assert_eq!(d, [-0.25, 0.5, 0.0], "{norm}");
    }
}

#[test]
fn nothing_moves_without_a_direction_or_without_need() {
    for norm in NORMS {
        assert_eq!(projected(norm, &[0.25, 0.5], &[0.0, 0.0], 1.0), [0.0, 0.0], "{norm}");
        assert_eq!(projected(norm, &[0.25, 0.5], &[1.0, 2.0], 1.25), [0.0, 0.0], "{norm}");
    }
}

/// A point of the box and the weights and level of a hyperplane that has a point `z` in the box.
fn problem() -> impl Strategy<Value = (Vec<f32>, Vec<f32>, Vec<f32>)> {
    let pixel = || prop_oneof![Just(0.0_f32), Just(1.0), 0.0_f32..1.0];
    let weight = prop_oneof![1 => Just(0.0_f32), 1 => Just(0.5), 6 => -2.0_f32..2.0];
    proptest::collection::vec((pixel(), weight, pixel()), 1..40).prop_map(|elements| {
        let x = elements.iter().map(|e| e.0).collect();
        let w = elements.iter().map(|e| e.1).collect();
        (x, w, elements.iter().map(|e| e.2).collect())
    })
}

proptest! {
    #[test]
    fn a_projection_is_feasible_and_shorter_than_other_feasible_moves((x, w, z) in problem()) {
        let b = dot(&z, &w);
        for norm in NORMS {
            let d = projected(norm, &x, &w, b);
            let y: Vec<f32> = x.iter().zip(&d).map(|(x, d)| x + d).collect();
            prop_assert!(y.iter().all(|y| (-1e-6..=1.0 + 1e-6).contains(y)), "{} {:?}", norm, y);
            prop_assert!((dot(&y, &w) - b).abs() < 2e-5, "{}: {} not {}", norm, dot(&y, &w), b);
            let other: Vec<f32> = z.iter().zip(&x).map(|(z, x)| z - x).collect();
            prop_assert!(
                length(norm, &d) <= length(norm, &other) + 1e-5,
                "{}: {} is longer than {}", norm, length(norm, &d), length(norm, &other)
            );
        }
    }

    /// Of all moves to the hyperplane, also those along two elements at a time: none is shorter.
    #[test]
    fn no_exchange_between_two_elements_shortens_a_projection((x, w, z) in problem()) {
        let b = dot(&z, &w);
        for norm in [Norm::L2, Norm::L1] {
            let d = projected(norm, &x, &w, b);
            let len = length(norm, &d);
            for i in 0..x.len() {
                let j = (i + 1) % x.len();
                if i == j || w[i].abs() < 0.1 || w[j].abs() < 0.1 {
                    continue;
                }
                for by in [1e-2_f32, -1e-2] {
                    let mut other = d.clone();
                    other[i] += by / w[i];
                    other[j] -= by / w[j];
                    let inside = |k: usize| (0.0..=1.0).contains(&(x[k] + other[k]));
                    if inside(i) && inside(j) {
                        prop_assert!(length(norm, &other) >= len - 1e-5, "{} {} {}", norm, i, j);
                    }
                }
            }
        }
    }
}
