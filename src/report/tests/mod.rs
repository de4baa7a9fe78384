//! Whole reports from whole run folders: the numbers and the ranking here, run folders of all kinds and
//! the files written from them in the files beside.

mod attacks;
mod denominators;
mod evidence;
mod exports;
mod folders;
mod merging;
mod paper;
mod targeted;
mod verified;

use super::fixture::{Fixture, attack, attack_row, certificate_row, digits, smoothing};
use super::*;
use crate::results::Proportion;
use crate::work::{AttackRow, SmoothingResult};

/// Rows of images 0, 1, …: `x` misclassified, `.` robust, a digit d broken at distance d / 10.
fn rows(outcomes: &str) -> Vec<AttackRow> {
    (0..)
        .zip(outcomes.chars())
        .map(|(idx, outcome)| match outcome {
            'x' => attack_row(idx, false, None),
            '.' => attack_row(idx, true, None),
            digit => attack_row(idx, true, digit.to_digit(10).map(|d| f64::from(d) / 10.0)),
        })
        .collect()
}

/// Two networks, eight images.
fn small() -> Fixture {
    let certificates = |radii: [f64; 8]| -> Vec<_> {
        let row = |(idx, radius): (u64, f64)| match radius {
            r if r < 0.0 => certificate_row(idx, -1, 0.0),
            r => certificate_row(idx, 0, r),
        };
        (0..).zip(radii).map(row).collect()
    };
    let radii = smoothing(&[0.0, 0.25, 0.5]);
    Fixture::new("small", 8)
        .model("plain", "aaaa", "undefended")
        .model("robust", "bbbb", "")
        .attack("plain", attack("pgd-linf", "Linf", &[0.1]), &rows("1111111."))
        .attack("plain", attack("cw-l2", "L2", &[0.3, 0.5]), &rows("22344559"))
        .attack("plain", attack("patch-rs", "patch 2x2", &[]), &rows("44....4."))
        .attack("plain", attack("grey-patch", "patch 2x2", &[]), &rows(".......4"))
        .certificate(
            "plain",
            radii.clone(),
            &certificates([0.1, 0.2, 0.3, 0.3, -1., -1., 0.4, 0.1]),
        )
        .attack("robust", attack("pgd-linf", "Linf", &[0.1]), &rows("x1......"))
        .attack("robust", attack("cw-l2", "L2", &[0.3, 0.5]), &rows("x4599999"))
        .attack("robust", attack("patch-rs", "patch 2x2", &[]), &rows("x..4...."))
        .attack("robust", attack("grey-patch", "patch 2x2", &[]), &rows("x......."))
        .certificate("robust", radii, &certificates([-1., 0.5, 0.6, 0.6, 0.7, 0.2, 0.6, 0.8]))
}

/// The leaderboard of run folders with these names, begun one after the other.
fn board(runs: &[(&str, Fixture)]) -> Leaderboard {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = runs.iter().map(|(name, _)| folder.path().join(name)).collect();
    for (started, ((_, run), path)) in (1..).zip(runs.iter().zip(&paths)) {
        let run = run.clone().change(|record| record.sessions[0].started = started);
        run.write(path);
    }
    Leaderboard::from_runs(&paths).unwrap()
}

fn counts(p: Option<Proportion>) -> (usize, usize) {
    p.map(|p| (p.count, p.total)).unwrap()
}

fn standing<'a>(leaderboard: &'a Leaderboard, name: &str) -> &'a ModelResult {
    leaderboard.boards[0].standings.iter().find(|s| s.entrant.model.name == name).unwrap()
}

#[test]
fn numbers_by_hand() {
    let leaderboard = board(&[("run", small())]);
    let plain = standing(&leaderboard, "plain");
    assert_eq!(counts(plain.clean), (8, 8));
    let worst: Vec<_> = plain.threats.iter().map(|t| (&*t.title, counts(t.worst.robust))).collect();
    let expected =
        [("Linf 0.1", (1, 8)), ("L2 0.3", (5, 8)), ("L2 0.5", (1, 8)), ("patch 2x2", (5, 8))];
    assert_eq!(worst, expected);
    // Image 7 alone: pgd leaves it, cw-l2 needs 0.9 > 0.5, the patch leaves it; the control that
    // breaks it does not count.
    assert_eq!(counts(plain.worst.as_ref().unwrap().robust), (1, 8));
    assert_eq!(plain.rank, Some(2));

    let robust = standing(&leaderboard, "robust");
    assert_eq!(counts(robust.clean), (7, 8));
    // Lost: 0 misclassified, 1 to pgd and cw, 2 to cw at 0.5, 3 to the patch.
    assert_eq!(counts(robust.worst.as_ref().unwrap().robust), (4, 8));
    assert_eq!(robust.rank, Some(1));
    let patch = robust.attacks().find(|a| a.label == "patch-rs").unwrap();
    assert_eq!(counts(patch.budgets[0].success), (1, 7));
    assert_eq!(robust.attacks().nth(1).unwrap().median_distance, Some(0.9));
    let column = &leaderboard.boards[0].columns[0];
    assert_eq!(column.title, "certified L2 0.25");
    let (certificate, accuracy) = robust.entrant.best_in(column).unwrap();
    let certificate: &SmoothingResult = certificate.as_result().unwrap();
    assert_eq!((accuracy.count, accuracy.total), (6, 8));
    assert_eq!(counts(certificate.abstained), (1, 8));
    assert!((certificate.average_radius.unwrap() - 4.0 / 8.0).abs() < 1e-12);
    assert_eq!(certificate.seconds, 0.25);
}

#[test]
fn networks_with_fewer_attacks_have_no_rank() {
    let run = small().without("robust--cw-l2");
    let leaderboard = board(&[("run", run)]);
    let robust = standing(&leaderboard, "robust");
    assert_eq!(robust.worst.as_ref().unwrap().missing, ["cw-l2 0.3", "cw-l2 0.5"]);
    assert_eq!(robust.rank, None);
    assert_eq!(leaderboard.boards[0].standings[1].entrant.model.name, "robust");
    let text = Markdown.export(&leaderboard).unwrap();
    assert!(text.contains("62.5†"), "{text}");
    assert!(text.contains("robust was not attacked with cw-l2 0.3, cw-l2 0.5"), "{text}");
}

#[test]
fn a_missing_control_costs_no_rank() {
    let run = small().without("robust--grey-patch");
    assert_eq!(standing(&board(&[("run", run)]), "robust").rank, Some(1));
}

#[test]
fn ties_share_a_rank_and_stand_by_clean_accuracy_then_by_the_name() {
    let run = Fixture::new("ties", 4)
        .model("zebra", "aa", "")
        .model("adder", "bb", "")
        .model("clean", "cc", "")
        .attack("zebra", attack("pgd", "Linf", &[0.1]), &rows("x1.."))
        .attack("adder", attack("pgd", "Linf", &[0.1]), &rows("x1.."))
        .model("last", "dd", "")
        .attack("clean", attack("pgd", "Linf", &[0.1]), &rows("11.."))
        .attack("last", attack("pgd", "Linf", &[0.1]), &rows("111."));
    let leaderboard = board(&[("run", run)]);
    let order: Vec<_> =
        leaderboard.boards[0].standings.iter().map(|s| (&*s.entrant.model.name, s.rank)).collect();
    assert_eq!(
        order,
        [("clean", Some(1)), ("adder", Some(1)), ("zebra", Some(1)), ("last", Some(4))]
    );
}

#[test]
fn budgets_never_raise_robust_accuracy() {
    let leaderboard = board(&[("run", digits())]);
    let board = &leaderboard.boards[0];
    for standing in &board.standings {
        let overall = standing.worst.as_ref().unwrap().robust.unwrap().count;
        for (column, result) in board.threats.iter().zip(&standing.threats) {
            let robust = result.worst.robust.unwrap().count;
            assert!(overall <= robust && robust <= standing.clean.unwrap().count);
            let next = board
                .threats
                .iter()
                .zip(&standing.threats)
                .find(|(c, _)| c.threat == column.threat && c.eps > column.eps);
            if let Some((_, next)) = next {
                assert!(next.worst.robust.unwrap().count <= robust, "{}", column.title);
            }
        }
    }
}
