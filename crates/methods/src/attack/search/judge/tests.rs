//! Every judge beside the rules written out in full. With `EPSBALL_TEST_DEVICE=cuda` the device's is tested.

use super::*;
use crate::attack::criterion::Criterion;
use crate::attack::tests::linear;
use crate::model::Classifier as _;
use crate::rng::Stream;
use crate::rows::Location;
use crate::threat::{Norm, Patch};

const SHAPE: [usize; 3] = [2, 3, 4];
const WIDTH: usize = 24;
const IMAGES: usize = 24;
const ROUNDS: usize = 5;

fn place() -> Location {
    linear(&[1.0; WIDTH], 0.0, SHAPE).location()
}

fn uniform(round: u64, purpose: u32, len: usize) -> Vec<f32> {
    let mut numbers = vec![0.0; len];
    Stream::new(5, "judges").draw(round, purpose).uniform(&mut numbers);
    numbers
}

/// One call: a candidate for every row of `of`, near to the clean image or far from it, now and then outside
/// of the box, with logits among which there are ties.
struct Round {
    of: Vec<usize>,
    flags: Vec<f32>,
    x: Vec<Vec<f32>>,
    z: Vec<Vec<f32>>,
}

impl Round {
    fn new(round: usize, clean: &[Vec<f32>], classes: usize, few: bool) -> Self {
        // Every second round is for some of the rows, the last first.
        let of: Vec<usize> = match round % 2 {
            0 => (0..IMAGES).collect(),
            _ => (0..IMAGES).rev().step_by(2).collect(),
        };
        let draw = |row: usize, purpose, len| uniform((round * IMAGES + row) as u64, purpose, len);
        let candidate = |row: &usize| {
            let reach = 0.02 + 0.2 * (row % 3) as f32;
            let mut x = clean[*row].clone();
            let first = if few { row % 4 } else { 0 };
            let count = if few { 1 + row % 3 } else { WIDTH };
            let noise = draw(*row, 0, WIDTH);
            for (x, t) in x.iter_mut().zip(noise).skip(first).take(count) {
                *x = (*x + reach * (2.0 * t - 1.0)).clamp(0.0, 1.0);
            }
            match (row + round) % 11 {
                3 => x[7] = 1.0 + f32::EPSILON,
                5 => x[2] = f32::NAN,
                _ => {}
            }
            x
        };
        let logits =
            |row: &usize| draw(*row, 1, classes).iter().map(|t| (t * 4.0).floor()).collect();
        Self {
            flags: uniform(round as u64, 2, of.len())
                .iter()
                .map(|t| (t * 3.0).floor().min(1.0))
                .collect(),
            x: of.iter().map(candidate).collect(),
            z: of.iter().map(logits).collect(),
            of,
        }
    }
}

/// What has to be found: round, image and distance for every image.
fn by_the_rules(
    rounds: &[Round],
    clean: &[Vec<f32>],
    criteria: &[Criterion],
    rules: Rules,
) -> Vec<Option<(usize, Vec<f32>, f64)>> {
    let mut found: Vec<Option<(usize, Vec<f32>, f64)>> = vec![None; IMAGES];
    for (number, round) in rounds.iter().enumerate() {
        for (i, row) in round.of.iter().enumerate() {
            let (x, best) = (&round.x[i], &mut found[*row]);
            let proposed = number == 0 || round.flags[i] != 0.0;
            let succeeds = criteria[*row].met_by_logits(&round.z[i]);
            if !proposed || !succeeds || !rules.threat.allows(x, &clean[*row], SHAPE) {
                continue;
            }
            let distance = rules.threat.distance(x, &clean[*row], SHAPE[0]);
            let closer = best.as_ref().is_none_or(|(.., least)| distance < *least);
            if best.is_none() || (rules.objective == Objective::Minimal && closer) {
                *best = Some((number, x.clone(), distance));
            }
        }
    }
    found
}

#[test]
fn a_judge_goes_by_the_criterion_the_flags_and_the_threat_model() {
    let place = place();
    let clean: Vec<Vec<f32>> = (0..IMAGES as u64).map(|i| uniform(i, 9, WIDTH)).collect();
    let patch = Threat::Patch(Patch::rectangle(1, 2));
    let balls = [
        (Norm::Linf, 0.25),
        (Norm::L2, 0.8),
        (Norm::L1, 3.0),
        (Norm::L0, 2.0),
        (Norm::L0Pixels, 2.0),
    ];
    let balls = balls.map(|(norm, eps)| Threat::ball(norm, eps));
    for (number, threat) in balls.into_iter().chain([patch]).enumerate() {
        for (objective, classes, targeted) in [
            (Objective::Budget, 3, false),
            (Objective::Minimal, 3, true),
            (Objective::Budget, 300, true),
        ] {
            let name = format!("{threat}, {objective:?}, {classes} classes, targeted {targeted}");
            let rules = Rules { threat, objective, shape: SHAPE };
            let labels: Vec<u32> = (0..IMAGES as u32).map(|i| i % 3).collect();
            let targets = targeted.then(|| labels.iter().map(|label| (label + 1) % 3).collect());
            let rows = |rows: &[Vec<f32>]| {
                Rows::new(&place, [rows.len(), rows[0].len()], rows.concat()).unwrap()
            };
            let active =
                Active::new(rows(&clean), labels, targets, (0..IMAGES as u64).collect()).unwrap();
            let criteria: Vec<Criterion> = (0..IMAGES).map(|row| active.criterion(row)).collect();
            let rounds: Vec<Round> =
                (0..ROUNDS).map(|round| Round::new(round, &clean, classes, number >= 3)).collect();
            let want = by_the_rules(&rounds, &clean, &criteria, rules);
            let wanted = want.iter().flatten().count();
            assert!((2..IMAGES).contains(&wanted), "{name}: {wanted}");

            let mut judge = of(&active.clean, rules).unwrap();
            for (number, round) in rounds.iter().enumerate() {
                judge.count([2, 1]);
                let (x, logits) = (rows(&round.x), rows(&round.z));
                let flags = Rows::numbers(&place, round.flags.clone()).unwrap();
                let all = number == 0;
                let candidates = Candidates {
                    x: &x,
                    logits: &logits,
                    of: (!all).then_some(round.of.as_slice()),
                    which: (!all).then_some(&flags),
                };
                judge.judge(&candidates, &active).unwrap();
            }
            for (row, verdict) in judge.verdicts(&active).unwrap().into_iter().enumerate() {
                match (verdict, &want[row]) {
                    (Verdict::Standing, None) => {}
                    (Verdict::Broken { since }, Some((broken_in, ..))) => {
                        let after = (ROUNDS - 1 - broken_in) as u64;
                        let late = if place.is_gpu() { [2 * after, after] } else { [0, 0] };
                        assert_eq!(since, late, "{name}: image {row}");
                    }
                    (_, want) => panic!("{name}: image {row} should be {want:?}"),
                }
            }
            let found = judge.found().unwrap();
            assert_eq!(found.len(), wanted, "{name}");
            for (row, found) in found {
                let (_, image, distance) = want[row].as_ref().unwrap();
                assert_eq!(&found.image, image, "{name}: image {row}");
                let apart = (found.distance - distance).abs();
                assert!(apart <= 1e-12, "{name}: image {row}: {} {distance}", found.distance);
            }
        }
    }
}

#[test]
fn when_the_host_looks() {
    let place = place();
    let clean = Rows::new(&place, [1, WIDTH], vec![0.5; WIDTH]).unwrap();
    let active = Active::new(clean, vec![0], None, vec![0]).unwrap();
    let looks = |objective| {
        let threat = Threat::ball(Norm::Linf, 0.1);
        let mut judge = of(&active.clean, Rules { threat, objective, shape: SHAPE }).unwrap();
        let logits = Rows::new(&place, [1, 2], vec![1.0, 0.0]).unwrap();
        let candidates = Candidates { x: &active.clean, logits: &logits, of: None, which: None };
        (1..=24)
            .filter(|_| {
                judge.judge(&candidates, &active).unwrap();
                let due = judge.is_due();
                if due {
                    judge.verdicts(&active).unwrap();
                }
                due
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(looks(Objective::Minimal), [0; 0]);
    let every: Vec<i32> = (1..=24).collect();
    let few = vec![1, 3, 7, 15, 23];
    assert_eq!(looks(Objective::Budget), if place.is_gpu() { few } else { every });
}
