//! The schedule, the bumps, and what the whole attack does where the answer is known or the image
//! has an unusual shape. What holds for every attack is in the tests of the parent module.

use candle_core::{Device, Tensor};

use super::*;
use crate::attack::tests::{linear, random_network, run, run_with};
use crate::attack::{Goal, Request, Targets, attack, configure};
use crate::data::Batch;
use crate::threat::Threat;

fn square(p_init: f64, n_queries: usize, resc_schedule: bool) -> Square {
    Square { norm: Norm::Linf, eps: 0.1, n_queries, n_restarts: 1, p_init, resc_schedule }
}

/// The sides that the published schedule gives for images of 32x32.
#[test]
fn sides_shrink_on_the_published_schedule() {
    let attack = square(0.8, 5000, false);
    for (first, last, side) in [
        (0, 10, 29),
        (11, 50, 20),
        (51, 200, 14),
        (201, 500, 10),
        (501, 1000, 7),
        (1001, 2000, 5),
        (2001, 4000, 4),
        (4001, 6000, 3),
    ] {
        for query in [first, last] {
            assert_eq!(attack.side(query, [3, 32, 32]), side, "query {query}");
        }
    }
    assert_eq!(attack.share(8000), 0.8 / 256.0);
    assert_eq!(attack.share(8001), 0.8 / 512.0);
    assert_eq!(square(0.8, 100, true).share(1), 0.4 * 0.5_f64.powi(1));
}

#[test]
fn halves_are_rounded_to_the_even_side() {
    assert_eq!(square(0.25, 10, false).side(0, [1, 5, 5]), 2);
    assert_eq!(square(0.25, 10, false).side(0, [1, 7, 7]), 4);
    assert_eq!(square(0.25, 10, false).side(0, [1, 3, 27]), 4);
}

#[test]
fn the_published_draw_leaves_out_the_last_place() {
    let almost_one = 1.0 - f32::EPSILON / 2.0;
    for (uniform, randomness, want) in [
        (0.0, Randomness::Torch, 0),
        (almost_one, Randomness::Torch, 6),
        (0.0, Randomness::PerImage, 0),
        (almost_one, Randomness::PerImage, 7),
    ] {
        assert_eq!(place(uniform, 3, 10, randomness), want);
        assert_eq!(place(uniform, 10, 10, randomness), 0);
    }
    assert_eq!([0.0, 0.25, 0.5, 0.75].map(sign), [-1.0, -1.0, 0.0, 1.0]);
}

/// By hand: the middle of a half is 1 + 1/4 high (1 + 1/16 in L1), the rest of side 3 1/4 (1/16).
#[test]
fn bumps_are_two_opposite_pyramids() {
    for (norm, step) in [(Norm::L2, 0.25), (Norm::L1, 0.0625)] {
        let (low, high) = (step, 1.0 + step);
        let length = |values: &[f32]| bump::length(norm, values.iter().copied());
        let upper = [low, high, low];
        let lower = [low, low, low, low, high, low];
        let both = if norm == Norm::L2 { 2.0_f32.sqrt() } else { 2.0 };
        let bump = bump::Bump::new(norm, 3);
        for j in 0..3 {
            let want = [
                upper[j] / length(&upper) / both,
                -lower[j] / length(&lower) / both,
                -lower[3 + j] / length(&lower) / both,
            ];
            for (i, want) in want.into_iter().enumerate() {
                assert!((bump.at(i, j, false) - want).abs() < 1e-6, "{norm} {i} {j}");
                assert_eq!(bump.at(i, j, false), bump.at(j, i, true));
            }
        }
        assert_eq!(bump::Bump::new(norm, 1).at(0, 0, false), -1.0);
    }
}

/// z0 - z1 = `margin` at the grey image, with positive weights in its upper half and negative ones in
/// its lower half, the largest in the middle.
fn problem(shape: [usize; 3], margin: f32) -> (crate::model::FrozenNetwork, Batch, Vec<f32>) {
    let [_, height, width] = shape;
    let weight = |i: usize| {
        let (row, column) = (i / width % height, i % width);
        let off = row.abs_diff(height / 2).max(column.abs_diff(width / 2));
        (if row < height / 2 { 1.0 } else { -1.0 }) / (4 + off) as f32
    };
    let w: Vec<f32> = (0..shape.iter().product()).map(weight).collect();
    let model = linear(&w, margin - 0.5 * w.iter().sum::<f32>(), shape);
    let [c, h, width] = shape;
    let images = Tensor::full(0.5_f32, (1, c, h, width), &Device::Cpu).unwrap();
    (model, Batch { ids: vec![3], images, labels: vec![0] }, w)
}

#[test]
fn linear_networks_break_within_twice_their_distance() {
    let (model, batch, w) = problem([1, 8, 8], 0.05);
    let geometry = [
        (Norm::Linf, w.iter().map(|w| w.abs()).sum::<f32>()),
        (Norm::L2, w.iter().map(|w| w * w).sum::<f32>().sqrt()),
        (Norm::L1, 0.25),
    ];
    for (norm, dual) in geometry {
        for (factor, breaks) in [(2.0, true), (0.99, false)] {
            let threat = Threat::ball(norm, factor * 0.05 / dual);
            let o = &run("square", &[("n_queries", "1500")], threat, &model, &batch)[0];
            assert_eq!(o.found, breaks, "{norm} at {factor} times the distance");
            assert_eq!(o.backwards, 0);
            assert!(breaks || o.forwards == 1501, "{}", o.forwards);
        }
    }
}

#[test]
fn images_of_any_shape_are_searched_with_either_randomness() {
    for shape in [[1, 1, 1], [2, 1, 9], [1, 4, 3], [3, 2, 7], [1, 6, 24], [1, 24, 7]] {
        let (model, batch, _) = problem(shape, 0.05);
        for (norm, eps) in [(Norm::Linf, 0.3), (Norm::L2, 0.45), (Norm::L1, 0.45)] {
            let threat = Threat::ball(norm, eps);
            let given = [("n_queries".to_string(), "600".to_string())].into();
            let square = configure("square", &threat, &given).unwrap();
            for randomness in [Randomness::PerImage, Randomness::Torch] {
                let request = Request { seed: 1, randomness, ..Request::default() };
                let o = attack(&square, &model, &batch, &request).unwrap();
                assert!(o[0].found, "{norm} {shape:?} {randomness}");
            }
        }
    }
}

#[test]
fn with_a_target_it_is_reached() {
    let (model, batch) = random_network(8, false);
    let (threat, goal) = (Threat::ball(Norm::Linf, 0.6), Goal::Targeted(Targets::Next));
    let outcomes = run_with("square", &[("n_queries", "150")], threat, goal, &model, &batch);
    assert!(outcomes.iter().any(|o| o.found));
    assert!(outcomes.iter().all(|o| !o.found || o.prediction == (o.label + 1) % 10));
}
