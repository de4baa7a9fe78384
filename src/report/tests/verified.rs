//! Verified accuracy beside robust accuracy, and the alarm if they contradict each other.

use super::{board, counts, rows, standing};
use crate::report::fixture::{Fixture, attack, bound_row, bounds};
use crate::report::{Csv, Exporter, Html, Leaderboard, Markdown, Summary, Terminal};
use crate::work::BoundResult;

/// Four images: the first misclassified, the others proven to 0.1, 0.05 and not at all.
fn run(outcomes: &str) -> Fixture {
    let balls = [(false, 0.3), (true, 0.1), (true, 0.05), (true, 0.0)];
    let balls: Vec<_> = (0..).zip(balls).map(|(i, (ok, r))| bound_row(i, ok, r)).collect();
    Fixture::new("run", 4)
        .model("net", "aa", "")
        .attack("net", attack("pgd", "Linf", &[0.1]), &rows(outcomes))
        .bound("net", bounds("crown-linf", "Linf", &[0.05, 0.1]), &balls)
        .bound("net", bounds("crown-l2", "L2", &[0.2]), &balls[..2])
}

fn exports(leaderboard: &Leaderboard) -> Vec<String> {
    let formats: [&dyn Exporter; 3] =
        [&Markdown, &Html { linked: false }, &Terminal { width: 150, colour: false }];
    formats.iter().map(|format| format.export(leaderboard).unwrap()).collect()
}

#[test]
fn verified_accuracy_is_on_the_board() {
    let leaderboard = board(&[("run", run("x..2"))]);
    let columns = &leaderboard.boards[0].columns;
    let titles: Vec<&str> = columns.iter().map(|c| c.title.as_str()).collect();
    assert_eq!(titles, ["verified Linf 0.05", "verified Linf 0.1", "verified L2 0.2"]);
    let net = standing(&leaderboard, "net");
    let verified = |column| net.entrant.best_in(column).map(|(_, p)| (p.count, p.total));
    assert_eq!(verified(&columns[0]), Some((2, 4)));
    assert_eq!(verified(&columns[1]), Some((1, 4)));
    // Unfinished, so there is no number.
    assert_eq!(verified(&columns[2]), None);
    let bound = net.entrant.results::<BoundResult>().next().unwrap();
    assert!((bound.average_radius.unwrap() - 0.15 / 4.0).abs() < 1e-12);
    assert_eq!(bound.curve, [(0.0, 0.5), (0.05, 0.25), (0.1, 0.0)]);
    // Never above what the attacks leave.
    assert!(counts(net.worst.as_ref().unwrap().robust).0 >= 2);
    assert!(net.contradictions.is_empty());
    for text in exports(&leaderboard) {
        assert!(text.contains("50.0") && text.contains("25.0") && text.contains("2/4"), "{text}");
        assert!(text.contains("Verified: correct"), "{text}");
        assert!(text.contains("Unfinished: net under crown-l2 2/4 images."), "{text}");
        assert!(!text.contains("ALARM"), "{text}");
    }
    let csv = Csv.export(&leaderboard).unwrap();
    assert!(csv.contains("crown-linf verified 0.05,crown-linf verified 0.1"), "{csv}");
    assert!(csv.contains("0.500000,0.250000,0.037500"), "{csv}");
}

#[test]
fn the_truth_lies_between_proof_and_attack() {
    let leaderboard = board(&[("run", run("x..2"))]);
    let net = standing(&leaderboard, "net");
    let found: Vec<_> = net
        .brackets
        .iter()
        .map(|b| (&*b.title, &*b.proof, b.verified.count, b.robust.count, b.undecided))
        .collect();
    // Attacked at 0.1 only. Image 1 is proven, image 0 wrong, 2 and 3 survive without a proof.
    assert_eq!(found, [("Linf 0.1", "crown-linf", 1, 3, 2)]);
    let markdown = Markdown.export(&leaderboard).unwrap();
    assert!(markdown.contains("### Between proof and attack"), "{markdown}");
    assert!(
        markdown.contains("| net   | Linf 0.1 | crown-linf |     25.0 |   75.0 |         2 |"),
        "{markdown}"
    );
    let html = Html::default().export(&leaderboard).unwrap();
    assert!(
        html.contains("Between attack and proof in Linf")
            && !html.contains("than the one attacked")
    );
}

#[test]
fn a_broken_image_inside_a_proven_ball_raises_the_alarm() {
    // Image 1 is proven to 0.1 and broken at 0.1; image 3, broken at 0.2, is not proven at all.
    let leaderboard = board(&[("run", run("x1.2"))]);
    let found = &standing(&leaderboard, "net").contradictions;
    // Once against Linf; an Linf distance says nothing about an L2 ball.
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].image, found[0].distance, found[0].radius), (1, 0.1, 0.1));
    let sentence = "ALARM: net: attack and certificate contradict each other on image 1: pgd broke it \
                    at distance 0.1, crown-linf proved radius 0.1.";
    for text in exports(&leaderboard) {
        assert!(text.replace('\n', " ").contains(sentence), "{text}");
    }
    assert!(Summary.export(&leaderboard).unwrap().contains("\"contradictions\""));
}

#[test]
fn the_distance_in_the_norm_of_the_bounds_decides() {
    // An attack in any norm, whose adversarial images of 1 and 2 are this far in Linf.
    let mut rows = rows("x99.");
    (rows[1].linf, rows[2].linf) = (0.15, 0.2);
    let balls: Vec<_> = (0..4).map(|i| bound_row(i, i > 0, 0.15)).collect();
    for threat in ["L2", "L1", "patch 2x2"] {
        let attack = Fixture::new("attack", 4).model("net", "aa", "").attack(
            "net",
            attack("cw", threat, &[0.1, 1.0]),
            &rows,
        );
        // In a run of its own, under another name.
        let bound = Fixture::new("bound", 4).model("same", "aa", "").bound(
            "same",
            bounds("crown-linf", "Linf", &[0.1]),
            &balls,
        );
        let leaderboard = board(&[("attack", attack), ("bound", bound)]);
        let found = &standing(&leaderboard, "net").contradictions;
        let found: Vec<_> = found.iter().map(|c| (c.image, c.distance, c.radius)).collect();
        assert_eq!(found, [(1, 0.15, 0.15)], "{threat}");
    }
}

#[test]
fn rows_of_another_network_are_refused() {
    let mut row = bound_row(0, true, 0.1);
    row.model = "bb".into();
    let run = Fixture::new("run", 1).model("net", "aa", "").bound(
        "net",
        bounds("crown-linf", "Linf", &[0.1]),
        &[row],
    );
    let folder = tempfile::tempdir().unwrap();
    run.write(folder.path());
    let error = Leaderboard::from_runs(&[folder.path().to_owned()]).unwrap_err();
    assert!(error.to_string().contains("image 0: model"), "{error}");
}
