//! FAB where the closest adversarial image is known, what it costs, and where restarts begin. What
//! holds for every attack is in the tests of the parent module.

use candle_core::{Device, Tensor};

use super::*;
use crate::attack::tests::{grey, linear, linear_classes, random_network, run, run_with};
use crate::attack::{Configured, Goal, Request, Targets, attack};
use crate::data::Batch;
use crate::rng::Randomness;

const BALLS: [(Norm, f32); 3] = [(Norm::Linf, 0.01), (Norm::L2, 0.05), (Norm::L1, 0.1)];

#[test]
fn the_smallest_perturbation_of_a_linear_network_is_found() {
    let w: Vec<f32> = (0..12).map(|i| (i as f32 * 0.7).sin() + 0.1).collect();
    let margin = 0.08_f32;
    let model = linear(&w, margin - 0.5 * w.iter().sum::<f32>(), [1, 3, 4]);
    for (norm, eps) in BALLS {
        let optimum = f64::from(margin) / length(dual(norm), &w);
        for name in ["fab", "fab-t"] {
            let threat = Threat::ball(norm, eps);
            let o = &run(name, &[("keep", "closest")], threat, &model, &grey())[0];
            assert!(o.found && o.distance >= optimum * 0.9999, "{name} {norm} {}", o.distance);
            assert!(o.distance <= optimum * 1.05, "{name} {norm}: {} {optimum}", o.distance);
            for keep in ["first", "run"] {
                let at = |factor: f64| {
                    let threat = Threat::ball(norm, (factor * optimum) as f32);
                    run(name, &[("keep", keep)], threat, &model, &grey())[0].found
                };
                assert!(at(1.05) && !at(0.999), "{name} {norm} {keep}");
            }
        }
    }
}

#[test]
fn fab_goes_to_the_nearest_boundary_and_fab_t_to_the_likeliest_class() {
    // Class 1 is likelier, class 3 is nearer.
    let (model, slopes) = linear_classes(&[0.0, 0.05, 0.2, 0.07]);
    for (norm, eps) in BALLS {
        let distance = |k: usize, margin: f64| margin / length(dual(norm), &slopes[k]);
        let (likeliest, nearest) = (distance(1, 0.05), distance(3, 0.07));
        assert!(nearest < 0.8 * likeliest, "{norm} {nearest} {likeliest}");
        let reached = |name: &str, targets: &str| {
            let mut given = vec![("keep", "closest")];
            given.extend((name == "fab-t").then_some(("n_target_classes", targets)));
            run(name, &given, Threat::ball(norm, eps), &model, &grey())[0].distance
        };
        assert!(reached("fab", "") < 1.05 * nearest, "{norm}");
        assert!(reached("fab-t", "1") >= 0.9999 * likeliest, "{norm}");
        assert!(reached("fab-t", "2") < 1.05 * nearest, "{norm}");
    }
}

#[test]
fn passes_are_counted_and_targets_are_clamped_to_the_classes_there_are() {
    let (model, _) = linear_classes(&[0.0, 0.5, 0.6, 0.7]);
    for (name, given, forwards, backwards) in [
        ("fab-t", vec![], 1 + 3 * 2 * 100, 3 * 100),
        ("fab-t", vec![("n_target_classes", "2"), ("n_iter", "7")], 1 + 2 * 2 * 7, 2 * 7),
        ("fab", vec![("n_iter", "7"), ("n_restarts", "2")], 2 * 2 * 7, 2 * 3 * 7),
    ] {
        let o = &run(name, &given, Threat::ball(Norm::Linf, 1e-6), &model, &grey())[0];
        assert!(!o.found);
        assert_eq!((o.forwards, o.backwards), (forwards, backwards), "{name}");
    }
}

#[test]
fn a_network_without_gradients_is_left_standing() {
    let model = linear(&[0.0; 12], 1.0, [1, 3, 4]);
    for (norm, eps) in BALLS {
        for name in ["fab", "fab-t"] {
            assert!(!run(name, &[], Threat::ball(norm, eps), &model, &grey())[0].found);
        }
    }
}

#[test]
fn closest_images_are_closer_than_first_ones() {
    let (model, batch) = random_network(16, true);
    let threat = Threat::ball(Norm::Linf, 0.2);
    let with =
        |keep: &str| run("fab-t", &[("keep", keep), ("n_iter", "20")], threat, &model, &batch);
    let (first, whole, closest) = (with("first"), with("run"), with("closest"));
    assert!(first.iter().any(|o| o.found));
    for ((first, whole), closest) in first.iter().zip(&whole).zip(&closest) {
        assert_eq!(first.found, whole.found);
        assert!(closest.distance <= whole.distance && whole.distance <= first.distance);
        assert!(first.forwards <= whole.forwards);
    }
    assert!(configure_keep("none").is_err());
}

fn configure_keep(keep: &str) -> Result<Configured> {
    let given = [("keep".to_string(), keep.to_string())].into();
    crate::attack::configure("fab", &Threat::ball(Norm::L2, 1.0), &given)
}

#[test]
fn with_a_target_both_run_towards_it() {
    let (model, batch) = random_network(12, false);
    let threat = Threat::ball(Norm::Linf, 0.6);
    let goal = Goal::Targeted(Targets::Next);
    for name in ["fab", "fab-t"] {
        let outcomes = run_with(name, &[("n_iter", "30")], threat, goal, &model, &batch);
        assert!(outcomes.iter().filter(|o| o.found).count() > 3, "{name}");
        for o in &outcomes {
            assert!(!o.found || o.prediction == (o.label + 1) % 10, "{name} {}", o.id);
            assert_eq!(o.forwards, 2 * o.backwards, "{name}: one class, one backward pass");
        }
    }
}

/// An attack that looks at where restarts begin.
struct Starts(Norm);

impl Attack for Starts {
    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let geometry = self.0.geometry();
        let starts = |search: &mut Search<'_>, run| {
            let closest = Rows::numbers(search.location(), vec![0.1, f32::INFINITY]).unwrap();
            start::random(search, self.0, run, &closest, f32::INFINITY).unwrap()
        };
        let (first, second) = (starts(search, 1), starts(search, 2));
        let distances = rows(search, &first, |x, x0| geometry.distance(x, x0));
        assert!((distances[0] - 0.05).abs() < 1e-6, "{} {}", self.0, distances[0]);
        assert_eq!(distances[1], 0.0);
        assert_ne!(values(&first), values(&second));
        Ok(())
    }
}

fn values(x: &Rows) -> Vec<f32> {
    x.values().unwrap().to_vec()
}

fn rows(search: &Search<'_>, x: &Rows, f: impl Fn(&[f32], &[f32]) -> f64) -> Vec<f64> {
    let (x, clean) = (values(x), values(search.clean()));
    let width = search.clean().width();
    x.chunks(width).zip(clean.chunks(width)).map(|(x, x0)| f(x, x0)).collect()
}

#[test]
fn restarts_begin_half_a_radius_away() {
    let model = linear(&[0.0; 12], 1.0, [1, 3, 4]);
    let images = Tensor::full(0.5_f32, (2, 1, 3, 4), &Device::Cpu).unwrap();
    let batch = Batch { ids: vec![7, 9], images, labels: vec![0, 0] };
    for (norm, eps) in BALLS {
        for randomness in [Randomness::PerImage, Randomness::Torch] {
            let threat = Threat::ball(norm, eps);
            let starts = Configured::new("x", threat, Starts(norm)).unwrap();
            let request = Request { randomness, ..Request::default() };
            attack(&starts, &model, &batch, &request).unwrap();
        }
    }
}
