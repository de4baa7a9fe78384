//! What an attack's rows come to.

use std::collections::BTreeMap;

use crate::record::Work;
use crate::report::Leaderboard;
use crate::report::fixture::{Fixture, attack, attack_row};
use crate::results::Proportion;
use crate::work::{AttackResult, AttackRow};

/// The only attack of a run of these rows.
fn result(label: &str, threat: &str, eps: &[f64], rows: &[AttackRow]) -> AttackResult {
    let run = Fixture::new("run", rows.len()).model("net", "aa", "");
    let folder = tempfile::tempdir().unwrap();
    run.attack("net", attack(label, threat, eps), rows).write(folder.path());
    let board = Leaderboard::from_runs(&[folder.path().to_owned()]).unwrap();
    board.boards[0].standings[0].entrant.results::<AttackResult>().next().unwrap().clone()
}

#[test]
fn success_is_of_the_correctly_classified() {
    let mut barely = attack_row(2, true, Some(0.1));
    barely.found_8bit = 0;
    let rows = [
        attack_row(0, false, None),
        attack_row(1, true, Some(0.1)),
        barely,
        attack_row(3, true, None),
    ];
    let counts = |p: Option<Proportion>| p.map(|p| (p.count, p.total));
    let attack = result("cw", "Linf", &[0.05, 0.1], &rows);
    let [smaller, budget] = &attack.budgets[..] else { panic!() };
    assert_eq!(counts(budget.robust), Some((1, 4)));
    assert_eq!(counts(budget.success), Some((2, 3)));
    assert_eq!(counts(budget.success_8bit), Some((1, 3)));
    assert_eq!(counts(smaller.robust), Some((3, 4)));
}

#[test]
fn all_misclassified_has_no_success_rate() {
    let attack = result("patch-rs", "patch 2x2", &[], &[attack_row(0, false, None)]);
    assert_eq!(attack.budgets[0].robust.unwrap().count, 0);
    assert_eq!(attack.budgets[0].success, None);
}

#[test]
fn medians() {
    let of = |distances: &[Option<f64>]| {
        let rows: Vec<_> = (0..).zip(distances).map(|(i, d)| attack_row(i, true, *d)).collect();
        result("cw", "L2", &[0.1, 0.2], &rows).median_distance
    };
    assert_eq!(of(&[Some(3.0), Some(1.0), Some(2.0)]), Some(2.0));
    assert_eq!(of(&[Some(1.0), Some(2.0)]), Some(1.5));
    assert_eq!(of(&[Some(1.0), None]), None);
    assert_eq!(of(&[Some(1.0), Some(2.0), None]), Some(2.0));
}

#[test]
fn optimality_is_beside_the_nearest_images_of_all_attacks() {
    let rows = |distances: [f64; 3]| -> Vec<AttackRow> {
        let broken = (0..).zip(distances).map(|(i, d)| attack_row(i, true, Some(d)));
        broken.chain([attack_row(3, false, None)]).collect()
    };
    // In another norm, and nearer on one image.
    let mut other = rows([0.1; 3]);
    other[2].l2 = 3.0;
    let run = Fixture::new("run", 4).model("net", "aa", "");
    let run = run.attack("net", attack("cw", "L2", &[0.1, 0.2]), &rows([1.0, 2.0, 4.0]));
    let run = run.attack("net", attack("ddn", "L2", &[0.1, 0.2]), &rows([2.0, 1.0, 5.0]));
    let run = run.attack("net", attack("pgd", "Linf", &[0.1]), &other);
    let folder = tempfile::tempdir().unwrap();
    run.write(folder.path());
    let board = Leaderboard::from_runs(&[folder.path().to_owned()]).unwrap();
    let all = board.boards[0].standings[0].entrant.results::<AttackResult>();
    let of: Vec<_> = all.map(|attack| attack.distances.clone()).collect();
    let [Some(cw), Some(ddn), None] = &of[..] else { panic!("{of:?}") };
    // d = 3, A = (1 + 2 + 3) / 4, A* = (1 + 1 + 3) / 4, and three of four images are classified correctly.
    assert_eq!((cw.farthest, cw.area, cw.best_area), (Some(3.0), Some(1.5), Some(1.25)));
    assert_eq!((cw.optimality, cw.others), (Some(0.75), 1));
    assert_eq!(ddn.optimality, Some(0.75));
    assert_eq!(cw.quartiles, [Some(0.75), Some(1.5), Some(2.5)]);
    assert_eq!(cw.best_left, [(0.0, 0.75), (1.0, 0.25), (3.0, 0.0)]);
}

#[test]
fn a_job_of_the_reference_attack_is_more_of_the_control() {
    let fast = |idx, asked: Option<u64>| AttackRow {
        reference: Some(asked.unwrap_or(0)),
        forwards: 10 + asked.unwrap_or(0),
        backwards: 9,
        ..attack_row(idx, true, None)
    };
    let rows = [
        fast(0, Some(9766)),
        fast(1, None),
        fast(2, None),
        fast(3, None),
        AttackRow { reference: Some(0), ..attack_row(4, true, Some(0.1)) },
    ];
    let full = |idx, found: bool| AttackRow {
        forwards: 7856,
        backwards: 1910,
        ..attack_row(idx, true, found.then_some(0.1))
    };
    // Of image 0 the control has spoken, and image 4 was not left.
    let apart = [full(0, false), full(1, false), full(2, true), full(4, true)];
    let board = |version: &str, eps: f64| {
        let named = |label: &str| Work {
            method: label.into(),
            parameters: BTreeMap::from([("version".into(), version.into())]),
            ..attack(label, "Linf", &[eps])
        };
        let run = Fixture::new("run", 5).model("net", "aa", "");
        let fast = Work { eps: vec![0.1], ..named("fast") };
        let run = run.attack("net", fast, &rows).attack("net", named("autoattack"), &apart);
        let folder = tempfile::tempdir().unwrap();
        run.write(folder.path());
        let board = Leaderboard::from_runs(&[folder.path().to_owned()]).unwrap();
        let all = board.boards[0].standings[0].entrant.results::<AttackResult>();
        let spared = all.filter_map(|attack| attack.spared.clone()).next().unwrap();
        (spared.left, spared.asked, spared.asked_apart, spared.broken)
    };
    assert_eq!(board("standard", 0.1), (4, 3, 2, 1));
    // What another attack, or one in another ball, left says nothing about it.
    assert_eq!(board("plus", 0.1), (4, 1, 0, 0));
    assert_eq!(board("standard", 0.2), (4, 1, 0, 0));
}

#[test]
fn classes_are_told_apart_at_the_largest_budget_of_a_threat() {
    let row = |idx: u64, label: u32, distance: Option<f64>| {
        let row = attack_row(idx, true, distance);
        let prediction = if row.found == 1 { label + 1 } else { label };
        AttackRow { label, clean: label, prediction, ..row }
    };
    let rows = [row(0, 3, Some(0.2)), row(1, 3, None), row(2, 5, None), row(3, 5, None)];
    let run = Fixture::new("run", 4).model("net", "aa", "");
    let folder = tempfile::tempdir().unwrap();
    run.attack("net", attack("cw", "Linf", &[0.1, 0.2]), &rows).write(folder.path());
    let board = Leaderboard::from_runs(&[folder.path().to_owned()]).unwrap();
    let standing = &board.boards[0].standings[0];
    let of = |at: usize| {
        let classes = &standing.threats[at].worst.classes;
        classes.iter().map(|c| (c.label, c.robust.count, c.clean.count)).collect::<Vec<_>>()
    };
    assert_eq!(of(0), [(3, 2, 2), (5, 2, 2)]);
    assert_eq!(of(1), [(3, 1, 2), (5, 2, 2)]);
    let page = crate::report::Exporter::export(&crate::report::Html::default(), &board).unwrap();
    assert_eq!(page.matches("Robust accuracy by class, Linf 0.2").count(), 1);
    assert!(!page.contains("by class, Linf 0.1"));
}
