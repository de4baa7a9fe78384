//! Whose adversarial images count where.

use super::{board, counts, rows, standing};
use crate::report::fixture::{
    Fixture, attack, attack_row, bound_row, bounds, certificate_row, smoothing,
};
use crate::report::{Exporter, Leaderboard, Markdown};
use crate::work::AttackRow;

/// Robust images of the network `net` in the column `title`.
fn robust(leaderboard: &Leaderboard, title: &str) -> (usize, usize) {
    let net = standing(leaderboard, "net");
    counts(net.threats.iter().find(|threat| threat.title == title).unwrap().worst.robust)
}

fn net(name: &str, images: usize) -> Fixture {
    Fixture::new(name, images).model("net", "aa", "")
}

#[test]
fn an_adversarial_image_counts_wherever_it_fits() {
    // Of an L2 attack: image 0 is close in Linf too, image 1 changes one corner, image 2 is neither.
    let mut found = rows("333.");
    (found[0].linf, found[1].linf, found[2].linf) = (0.05, 0.9, 0.11);
    (found[1].height, found[1].width) = (2, 1);
    let run = net("run", 4)
        .attack("net", attack("cw-l2", "L2", &[0.3, 0.5]), &found)
        .attack("net", attack("pgd-linf", "Linf", &[0.1]), &rows("...."))
        .attack("net", attack("patch-rs", "patch 2x2", &[]), &rows("...."));
    let leaderboard = board(&[("a", run)]);
    let robust = |title| robust(&leaderboard, title);
    assert_eq!(robust("Linf 0.1"), (3, 4));
    assert_eq!(robust("patch 2x2"), (3, 4));
    assert_eq!(robust("L2 0.3"), (1, 4));
    // An attack's own cell stays its own.
    let own = &standing(&leaderboard, "net").attacks().nth(1).unwrap();
    assert_eq!(counts(own.budgets[0].robust), (4, 4));
}

#[test]
fn controls_and_misclassified_images_are_no_evidence() {
    let run = net("run", 4)
        .attack("net", attack("pgd-linf", "Linf", &[0.1]), &rows("x..."))
        .attack("net", attack("random-noise", "Linf", &[0.1]), &rows("x1.."));
    let leaderboard = board(&[("a", run)]);
    assert_eq!(robust(&leaderboard, "Linf 0.1"), (3, 4));
    assert_eq!(counts(standing(&leaderboard, "net").clean), (3, 4));
}

#[test]
fn unfinished_attacks_are_evidence_for_what_they_have() {
    let run = net("run", 4)
        .attack("net", attack("pgd-linf", "Linf", &[0.1]), &rows("...."))
        .attack("net", attack("square", "Linf", &[0.1]), &rows(".1"));
    let leaderboard = board(&[("a", run)]);
    let worst = &standing(&leaderboard, "net").threats[0].worst;
    assert_eq!((counts(worst.robust), worst.finished()), ((3, 4), false));
}

#[test]
fn copies_of_an_image_are_told_apart() {
    // Images 0 and 2 are one; the second run has them at other indices.
    let digest = |idx: u64| ["a", "b", "a", "c"][idx as usize % 4].to_owned();
    let moved = |outcomes: &str| -> Vec<AttackRow> {
        rows(outcomes).into_iter().map(|row| AttackRow { idx: row.idx + 4, ..row }).collect()
    };
    let first = net("run", 4).attack("net", attack("pgd", "Linf", &[0.1]), &rows("1..."));
    let second = net("run", 4).attack("net", attack("square", "Linf", &[0.1]), &moved("..1."));
    let leaderboard = board(&[("a", first.images(digest)), ("b", second.images(digest))]);
    assert_eq!(leaderboard.boards.len(), 1);
    assert_eq!(robust(&leaderboard, "Linf 0.1"), (2, 4));
}

#[test]
fn a_row_that_differs_between_runs_counts_twice() {
    // One job by its key, on two machines that do not agree.
    let run = |outcomes: &str| {
        net("run", 4).attack("net", attack("pgd", "Linf", &[0.1]), &rows(outcomes))
    };
    let leaderboard = board(&[("a", run("1...")), ("b", run(".1.."))]);
    assert_eq!(robust(&leaderboard, "Linf 0.1"), (2, 4));
    let own = &standing(&leaderboard, "net").attacks().next().unwrap();
    assert_eq!((own.images, counts(own.budgets[0].robust)), (4, (2, 4)));
}

#[test]
fn jobs_that_disagree_about_a_clean_image_make_it_wrong() {
    let run = net("run", 4).attack("net", attack("pgd", "Linf", &[0.1]), &rows("....")).attack(
        "net",
        attack("square", "Linf", &[0.1]),
        &rows("..x."),
    );
    let leaderboard = board(&[("a", run)]);
    let net = standing(&leaderboard, "net");
    assert_eq!((counts(net.clean), counts(net.worst.as_ref().unwrap().robust)), ((3, 4), (3, 4)));
    let text = Markdown.export(&leaderboard).unwrap();
    let line =
        "net: the jobs disagree about the clean prediction of image 2: it counts as misclassified.";
    assert!(text.contains(line), "{text}");
}

#[test]
fn a_network_with_one_answer_is_named() {
    let row = |idx: u64| AttackRow {
        label: (idx % 3) as u32,
        clean: 2,
        prediction: 2,
        ..attack_row(idx, idx % 3 == 2, None)
    };
    let constant: Vec<AttackRow> = (0..6).map(row).collect();
    let run = net("run", 6).attack("net", attack("pgd", "Linf", &[0.1]), &constant);
    let text = Markdown.export(&board(&[("a", run)])).unwrap();
    assert!(text.contains("- net answers class 2 for every image."), "{text}");
    // One class only in the data says nothing.
    let run = net("run", 4).attack("net", attack("pgd", "Linf", &[0.1]), &rows("...."));
    let text = Markdown.export(&board(&[("a", run)])).unwrap();
    assert!(!text.contains("answers class"), "{text}");
}

#[test]
fn certificates_of_one_job_count_by_what_they_claim_least_and_seeds_stand_apart() {
    let smoothed = |radius: f64, seed: u64| {
        let rows = [certificate_row(0, 0, radius), certificate_row(1, 0, 0.5)];
        net("run", 2).certificate("net", smoothing(&[0.0, 0.25]), &rows).seed(seed)
    };
    let leaderboard = board(&[("a", smoothed(0.1, 0)), ("b", smoothed(0.3, 0))]);
    let column = &leaderboard.boards[0].columns[0];
    let (_, share) = standing(&leaderboard, "net").entrant.best_in(column).unwrap();
    assert_eq!((share.count, share.total), (1, 2));
    let leaderboard = board(&[("a", smoothed(0.1, 0)), ("b", smoothed(0.3, 1))]);
    let outcomes = &standing(&leaderboard, "net").entrant.outcomes;
    let labels: Vec<&str> = outcomes.iter().map(|outcome| outcome.result.label()).collect();
    assert_eq!(labels, ["smoothing-0.25 (seed=0)", "smoothing-0.25 (seed=1)"]);

    let bound = |radius: f64| {
        let work = bounds("crown-linf", "Linf", &[0.1]);
        net("run", 1).bound("net", work, &[bound_row(0, true, radius)])
    };
    let leaderboard = board(&[("a", bound(0.2)), ("b", bound(0.05))]);
    let column = &leaderboard.boards[0].columns[0];
    let (_, share) = standing(&leaderboard, "net").entrant.best_in(column).unwrap();
    assert_eq!((share.count, share.total), (0, 1));
}
