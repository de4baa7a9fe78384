//! `fast` where the answer is known: the order of the classes, the excess, and where a network breaks. What holds
//! for every attack is in the tests of the parent module.

use super::schedule::{ROUNDS, THOROUGH};
use super::*;
use crate::attack::fab::{dual, length};
use crate::attack::tests::{grey, linear, linear_classes, random_network, run, run_with};
use crate::attack::{Goal, Request, Targets};
use crate::data::Batch;
use crate::model::FrozenNetwork;
use crate::threat::Threat;

/// An attack made of a closure on the search.
struct Look<F>(F);

impl<F: Fn(&mut Search<'_>) -> Result<()> + Send + Sync> Attack for Look<F> {
    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        (self.0)(search)
    }
}

fn look(
    model: &FrozenNetwork,
    threat: Threat,
    batch: &Batch,
    read: impl Fn(&mut Search<'_>) -> Result<()> + Send + Sync + 'static,
) -> Vec<crate::attack::Outcome> {
    let looking = Configured::new("fast", threat, Look(read)).unwrap();
    crate::attack::attack(&looking, model, batch, &Request::default()).unwrap()
}

#[test]
fn classes_come_in_the_order_of_their_distances() {
    let margins = [0.0, 0.05, 0.2, 0.07, 0.02];
    let (model, slopes) = linear_classes(&margins);
    for norm in [Norm::Linf, Norm::L2, Norm::L1] {
        let distance =
            |k: &u32| f64::from(margins[*k as usize]) / length(dual(norm), &slopes[*k as usize]);
        let mut expected: Vec<u32> = (1..5).collect();
        expected.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
        // By their logits they come in another order.
        assert_ne!(expected, [4, 1, 3, 2]);
        let outcomes = look(&model, Threat::ball(norm, 0.1), &grey(), move |search| {
            let ranked = rank::classes(search, norm, 9)?;
            assert_eq!(ranked[0].nearest, expected, "{norm}");
            assert!((ranked[0].margin - 0.02).abs() < 1e-5);
            let likeliest = rank::classes(search, norm, 2)?;
            let mut two = likeliest[0].nearest.clone();
            two.sort_unstable();
            assert_eq!(two, [1, 4]);
            Ok(())
        });
        // One forward each, and a backward for every class that is ranked.
        assert_eq!((outcomes[0].forwards, outcomes[0].backwards), (2, 4 + 2));
    }
}

#[test]
fn the_excess_of_a_linear_network_is_what_the_ball_lacks() {
    let w: Vec<f32> = (0..12).map(|i| (i as f32 * 0.7).sin() + 0.1).collect();
    let margin = 0.08_f32;
    let model = linear(&w, margin - 0.5 * w.iter().sum::<f32>(), [1, 3, 4]);
    for norm in [Norm::Linf, Norm::L2, Norm::L1] {
        let distance = f64::from(margin) / length(dual(norm), &w);
        for lacks in [0.1, 0.5, 2.0] {
            let eps = (distance / (1.0 + lacks)) as f32;
            look(&model, Threat::ball(norm, eps), &grey(), move |search| {
                // The sparse steps of L1 need longer.
                let steps = if norm == Norm::L1 { 100 } else { ROUNDS[0].steps };
                let start = ROUNDS[0].start;
                let descent = Descent { norm, eps, start, adi: 0, steps };
                let reached = descent.run(search, 0, None)?[0].1;
                let progress =
                    ImageProgress { clean: margin, best: -reached, ..ImageProgress::default() };
                let slack = if norm == Norm::L1 { 0.1 } else { 0.01 };
                let excess = f64::from(progress.excess());
                assert!((excess - lacks).abs() < slack * (1.0 + lacks), "{norm}: {excess} {lacks}");
                Ok(())
            });
        }
    }
}

#[test]
fn rounds_are_for_ever_fewer_images() {
    assert_eq!(ROUNDS[0].within, f32::INFINITY);
    assert_eq!(ROUNDS[0].toward, Toward::Any);
    assert!(ROUNDS.windows(2).all(|pair| pair[0].within >= pair[1].within));
    let (model, batch) = random_network(3, false);
    let configured = Configured::of(Fast::new(Norm::Linf, 0.1)).unwrap();
    assert_eq!(configured.search.parts().len(), THOROUGH.len());
    // An image that nothing moves is near.
    let progress = |best: f32, first: f32| ImageProgress {
        clean: 1.0,
        best,
        first,
        ..ImageProgress::default()
    };
    assert_eq!(progress(1.0, 0.0).outlook(), 0.0);
    // Where all runs end alike, the outlook is the excess.
    assert_eq!(progress(0.5, 1.0).outlook(), 1.0);
    assert_eq!(progress(0.5, 2.0).outlook(), 0.25);
    // Where runs end alike, nothing is open but the boundary itself.
    let open =
        |best: f32, worst: f32| ImageProgress { worst, ..progress(best, worst) }.is_open(0.1);
    assert!(open(0.08, 0.2) && !open(0.08, 0.1) && open(0.005, 0.005) && !open(0.2, 5.0));
    // Far inside, an image costs the ranking and the short descents.
    for outcome in run("fast", &[], Threat::ball(Norm::Linf, 1e-4), &model, &batch) {
        let (forwards, backwards) = (outcome.forwards, outcome.backwards);
        assert_eq!((forwards, backwards), (4 * 21 + 1, 4 * 20 + 9), "image {}", outcome.id);
    }
}

#[test]
fn an_aim_of_its_own_needs_no_ranking() {
    let (model, batch) = random_network(6, true);
    let threat = Threat::ball(Norm::Linf, 0.2);
    let next = Goal::Targeted(Targets::Next);
    let outcomes = run_with("fast", &[], threat, next, &model, &batch);
    assert!(outcomes.iter().any(|outcome| outcome.found));
    for outcome in outcomes.iter().filter(|outcome| outcome.found) {
        assert_eq!(outcome.target, Some(outcome.prediction));
    }
}
