//! Projections by their defining properties, random starts by their distributions.

use proptest::prelude::*;

use super::*;
use crate::rng::Stream;

const NORMS: [Norm; 3] = [Norm::Linf, Norm::L2, Norm::L1];

/// L0 has no short lengths and no convex ball: what it shares with the norms is tested beside them, the rest by itself.
const WITH_L0: [Norm; 5] = [Norm::Linf, Norm::L2, Norm::L1, Norm::L0, Norm::L0Pixels];

fn image() -> impl Strategy<Value = Vec<f32>> {
    proptest::collection::vec(0.0_f32..=1.0, 12)
}

proptest! {
    #[test]
    fn a_projection_is_inside_and_idempotent(
        x0 in image(),
        x in proptest::collection::vec(-2.0_f32..3.0, 12),
        eps in 0.01_f32..2.0,
        values in 0_usize..12,
    ) {
        for norm in WITH_L0 {
            let eps = if norm.counts() { values as f32 } else { eps };
            let mut once = x.clone();
            norm.geometry_of(3).project(&mut once, &x0, eps);
            prop_assert!(Threat::ball(norm, eps).allows(&once, &x0, [3, 2, 2]), "{norm}");
            let mut twice = once.clone();
            norm.geometry_of(3).project(&mut twice, &x0, eps);
            for (a, b) in once.iter().zip(&twice) {
                prop_assert!((a - b).abs() < 1e-6, "{norm}");
            }
        }
    }

    #[test]
    fn a_point_inside_stays_where_it_is(x0 in image(), x in image()) {
        for norm in WITH_L0 {
            let eps = norm.geometry_of(3).distance(&x, &x0) as f32 + 1e-3;
            let mut projected = x.clone();
            norm.geometry_of(3).project(&mut projected, &x0, eps);
            prop_assert_eq!(&projected, &x);
        }
    }

    /// No other image of the L0 ball is closer: not with any other values changed, wherever they go.
    #[test]
    fn the_projection_on_the_l0_ball_is_the_closest_image(
        x0 in image(),
        x in proptest::collection::vec(-1.0_f32..2.0, 12),
        member in image(),
        chosen in proptest::collection::vec(0_usize..12, 4),
    ) {
        let l2 = Norm::L2.geometry();
        let mut projected = x.clone();
        Norm::L0.geometry().project(&mut projected, &x0, 4.0);
        let (mut other, mut best) = (x0.clone(), x0.clone());
        for i in chosen {
            (other[i], best[i]) = (member[i], x[i].clamp(0.0, 1.0));
        }
        for other in [&other, &best, &x0] {
            prop_assert!(l2.distance(&projected, &x) <= l2.distance(other, &x) + 1e-6);
        }
    }

    /// No other point of ball and box is closer: for L1 and L2 against random members.
    #[test]
    fn an_interior_projection_is_the_closest_point(
        shift in proptest::collection::vec(-0.2_f32..0.2, 12),
        other in proptest::collection::vec(-0.2_f32..0.2, 12),
        eps in 0.05_f32..0.2,
    ) {
        let x0 = vec![0.5_f32; 12];
        let x: Vec<f32> = shift.iter().map(|s| 0.5 + s).collect();
        let l2 = Norm::L2.geometry();
        for norm in NORMS {
            let mut projected = x.clone();
            norm.geometry().project(&mut projected, &x0, eps);
            let mut member: Vec<f32> = other.iter().map(|s| 0.5 + s).collect();
            let size = norm.geometry().distance(&member, &x0) as f32;
            if size > eps {
                member.iter_mut().for_each(|m| *m = 0.5 + (*m - 0.5) * eps / size);
            }
            prop_assert!(l2.distance(&projected, &x) <= l2.distance(&member, &x) + 1e-5, "{norm}");
        }
    }
}

#[test]
fn random_starts_fill_the_ball() {
    let x0 = vec![0.5_f32; 6];
    for norm in NORMS {
        let (mut largest, mut mean) = (0.0_f64, 0.0);
        let count = 4000;
        for image in 0..count {
            let mut x = vec![0.0; 6];
            norm.geometry().random(Stream::new(0, "start").draw(image, 0), &x0, 0.3, &mut x);
            let distance = norm.geometry().distance(&x, &x0) / 0.3;
            largest = largest.max(distance);
            mean += distance / count as f64;
        }
        assert!(largest <= 1.0 + 1e-6, "{norm}: {largest}");
        // The radius of a uniform point of a d-dimensional ball has mean d / (d + 1).
        assert!((mean - 6.0 / 7.0).abs() < 0.01, "{norm}: {mean}");
    }
}

#[test]
fn steps_have_the_length_alpha() {
    let x0 = vec![0.5_f32; 8];
    let g = [0.1, -3.0, 0.5, 0.0, 2.0, -0.2, 0.7, 1.0];
    for norm in NORMS {
        let mut x = x0.clone();
        norm.geometry().ascend(&mut x, &g, 0.1);
        assert!((norm.geometry().distance(&x, &x0) - 0.1).abs() < 1e-6, "{norm}");
        assert_eq!(x[3], 0.5, "{norm}");
    }
}

/// However short a gradient is, a step along it has the length alpha.
#[test]
fn steps_along_short_gradients_have_the_length_alpha() {
    let x0 = vec![0.5_f32; 8];
    let g = [0.1, -3.0, 0.5, 0.0, 2.0, -0.2, 0.7, 1.0];
    for size in [1e-10_f32, 1e-20, 1e-30, 1e-36] {
        for norm in NORMS {
            let (mut x, mut same) = (x0.clone(), x0.clone());
            norm.geometry().ascend(&mut x, &g.map(|g| g * size), 0.1);
            norm.geometry().ascend(&mut same, &g, 0.1);
            for (x, same) in x.iter().zip(&same) {
                assert!((x - same).abs() < 1e-6, "{norm} {size}: {x} instead of {same}");
            }
        }
    }
    // No direction: no step.
    for norm in NORMS {
        let mut x = x0.clone();
        norm.geometry().ascend(&mut x, &[0.0; 8], 0.1);
        assert_eq!(x, x0);
    }
}

/// A step in L1 is the largest one of its length in the box, also where the pixels with the largest gradient are
/// close to the border: what they cannot use goes to the next.
#[test]
fn a_step_in_l1_is_not_spent_on_pixels_that_cannot_move() {
    let l1 = Norm::L1.geometry();
    let x0 = [0.95_f32, 0.1, 0.5, 0.5, 1.0, 0.5];
    let g = [9.0, -8.0, 1.0, -2.0, 7.0, 0.5];
    for (alpha, expected) in [
        (0.04_f32, [0.99, 0.1, 0.5, 0.5, 1.0, 0.5]),
        (0.1, [1.0, 0.05, 0.5, 0.5, 1.0, 0.5]),
        (0.3, [1.0, 0.0, 0.5, 0.35, 1.0, 0.5]),
        (9.0, [1.0, 0.0, 1.0, 0.0, 1.0, 1.0]),
    ] {
        let mut x = x0;
        l1.ascend(&mut x, &g, alpha);
        for (x, expected) in x.iter().zip(expected) {
            assert!((x - expected).abs() < 1e-6, "{alpha}: {x} instead of {expected}");
        }
    }
}

#[test]
fn a_step_in_l0_moves_the_values_that_gain_most_to_the_ends() {
    let x0 = [0.95_f32, 0.1, 0.5, 0.5, 1.0, 0.5];
    let g = [9.0, -8.0, 1.0, -2.0, 7.0, 0.5];
    for (alpha, expected) in [
        (0.9_f32, [0.95_f32, 0.1, 0.5, 0.5, 1.0, 0.5]),
        (1.0, [0.95, 0.1, 0.5, 0.0, 1.0, 0.5]),
        (2.0, [0.95, 0.0, 0.5, 0.0, 1.0, 0.5]),
        (9.0, [1.0, 0.0, 1.0, 0.0, 1.0, 1.0]),
    ] {
        let mut x = x0;
        Norm::L0.geometry().ascend(&mut x, &g, alpha);
        assert_eq!(x, expected, "{alpha}");
    }
}

#[test]
fn random_images_of_the_l0_ball_change_every_value_alike() {
    let (x0, l0) = ([0.5_f32; 6], Norm::L0.geometry());
    let mut changed = [0; 6];
    for image in 0..3000 {
        let mut x = [0.0; 6];
        l0.random(Stream::new(0, "start").draw(image, 0), &x0, 2.0, &mut x);
        assert!(x.iter().all(|x| (0.0..1.0).contains(x)) && l0.distance(&x, &x0) <= 2.0);
        (0..6).filter(|i| x[*i] != 0.5).for_each(|i| changed[i] += 1);
    }
    assert!(changed.iter().all(|count| (900..1100).contains(count)), "{changed:?}");
}

#[test]
fn what_is_changed_by_whatever_little_counts_under_l0() {
    let (x0, l0) = ([0.25_f32, 0.5, 0.0, 1.0], Norm::L0);
    let x = [0.25_f32, f32::from_bits(0.5_f32.to_bits() + 1), 1e-30, 1.0];
    assert_eq!(l0.geometry().distance(&x, &x0), 2.0);
    let allows = |eps: f32| Threat::ball(l0, eps).allows(&x, &x0, [1, 2, 2]);
    assert!(allows(2.0) && !allows(1.0) && !allows(1.9999));
    // A value that the box sends back is none that has changed.
    let mut x = [0.3_f32, 0.5, -2.0, 3.0];
    l0.geometry().project(&mut x, &x0, 4.0);
    assert_eq!(x, [0.3, 0.5, 0.0, 1.0]);
    assert!(x[2].is_sign_positive());
}

#[test]
fn a_patch_allows_one_rectangle_anywhere() {
    let shape = [2, 4, 5];
    let x0 = vec![0.5_f32; 40];
    let patch = Patch::rectangle(2, 3);
    let threat = Threat::Patch(patch);
    assert!(threat.allows(&x0, &x0, shape));
    for index in 0..patch.places(shape) {
        let mut x = x0.clone();
        patch.elements(patch.place(index, shape), shape).for_each(|(i, _)| x[i] = 1.0);
        assert!(threat.allows(&x, &x0, shape));
        assert_eq!(threat.distance(&x, &x0, 2), 6.0);
    }
    let mut x = x0.clone();
    (x[0], x[3]) = (0.0, 0.0);
    assert!(!threat.allows(&x, &x0, shape), "four columns wide");
    let mut x = x0.clone();
    (x[0], x[20 + 10]) = (0.0, 0.0);
    assert!(!threat.allows(&x, &x0, shape), "three rows high, in different channels");
}

#[test]
fn nothing_outside_the_box_is_allowed() {
    for threat in [Threat::ball(Norm::Linf, 9.0), Threat::Patch(Patch::rectangle(1, 1))] {
        for bad in [-1e-3, 1.001, f32::NAN] {
            assert!(!threat.allows(&[bad, 0.5, 0.5, 0.5], &[0.5; 4], [1, 2, 2]));
        }
    }
}

#[test]
fn a_grid_of_places_has_the_last_ones() {
    let grid = Patch::rectangle(2, 2).grid([1, 7, 4], 2);
    let places: Vec<(usize, usize)> = grid.iter().map(|w| (w.top, w.left)).collect();
    assert_eq!(places, [(0, 0), (0, 2), (2, 0), (2, 2), (4, 0), (4, 2), (5, 0), (5, 2)]);
}

#[test]
fn a_norm_is_read_as_it_is_shown() {
    for norm in WITH_L0 {
        assert_eq!(norm.to_string().parse::<Norm>().unwrap(), norm);
        assert_eq!(serde_json::to_value(norm).unwrap(), norm.to_string());
    }
    assert_eq!("l0_pixels".parse::<Norm>().unwrap(), Norm::L0Pixels);
}
