//! Targeted attacks: columns of their own, and evidence like any other.

use super::{board, counts, rows, standing};
use crate::record::Work;
use crate::report::fixture::{Fixture, attack};
use crate::report::{Exporter, Html, Leaderboard, Markdown, Terminal};
use crate::work::AttackRow;

/// A targeted attack to class 3 at Linf 0.3.
fn to_three() -> Work {
    let mut work = attack("pgd-to-3", "Linf", &[0.3]);
    work.facts.insert("goal".into(), "3".into());
    work
}

/// Eight images of classes 0 to 3, twice; adversarial images are taken for class `to`.
fn labelled(outcomes: &str, to: u32) -> Vec<AttackRow> {
    let label = |mut row: AttackRow| {
        row.label = (row.idx % 4) as u32;
        row.clean = row.label;
        let broken = row.found == 1;
        row.prediction = if broken { to } else { row.label };
        row
    };
    rows(outcomes).into_iter().map(label).collect()
}

fn run() -> Fixture {
    Fixture::new("run", 8).model("net", "aa", "").model("other", "bb", "")
}

fn shares(leaderboard: &Leaderboard) -> Vec<(String, (usize, usize))> {
    let threats = &standing(leaderboard, "net").threats;
    threats.iter().map(|t| (t.title.clone(), counts(t.worst.robust))).collect()
}

#[test]
fn a_board_of_targeted_attacks_has_no_worst_case_and_no_rank() {
    let run = run().attack("net", to_three(), &labelled("3.......", 3)).attack(
        "other",
        to_three(),
        &labelled("33......", 3),
    );
    let leaderboard = board(&[("a", run)]);
    assert!(!leaderboard.boards[0].has_worst_case());
    let net = standing(&leaderboard, "net");
    assert_eq!((net.rank, &net.worst), (None, &None));
    // Images 3 and 7 are of class 3.
    assert_eq!(shares(&leaderboard), [("Linf 0.3 to class 3".to_owned(), (5, 6))]);
    assert_eq!(counts(net.attacks().next().unwrap().budgets[0].robust), (5, 6));
    for format in [
        &Markdown as &dyn Exporter,
        &Html { linked: false },
        &Terminal { width: 100, colour: false },
    ] {
        let text = format.export(&leaderboard).unwrap().replace('\n', " ");
        assert!(text.contains("There is no worst case and no rank"), "{text}");
        assert!(!text.contains("worst case</th>") && !text.contains("| worst case |"), "{text}");
        let line = "Linf 0.3 to class 3: 2 images whose label is the target are left out.";
        assert!(text.contains(line), "{text}");
    }
}

/// Images of the target class are left out of the column and still belong to its images.
#[test]
fn a_targeted_column_over_part_of_the_images_says_so() {
    let whole = run().attack("net", attack("pgd-linf", "Linf", &[0.2]), &labelled("........", 3));
    let part = |count| {
        let rows = &labelled("3.......", 3)[..count];
        Fixture::new("run", count).model("net", "aa", "").attack("net", to_three(), rows)
    };
    let text =
        |count| Markdown.export(&board(&[("a", whole.clone()), ("b", part(count))])).unwrap();
    let line = "§ net: over 4 images that are not those of its row: Linf 0.3 to class 3.";
    assert!(text(4).contains(line), "{}", text(4));
    assert!(!text(8).contains('§'), "{}", text(8));
}

#[test]
fn the_target_and_the_threat_decide_what_counts() {
    // Untargeted: image 0 to class 3 and image 1 to class 2, both at 0.1.
    let mut untargeted = labelled("11......", 3);
    untargeted[1].prediction = 2;
    // Targeted: image 2 to class 3 at 0.3, which is outside of Linf 0.2.
    let run = run().attack("net", attack("pgd-linf", "Linf", &[0.2]), &untargeted).attack(
        "net",
        to_three(),
        &labelled("..3.1...", 3),
    );
    let leaderboard = board(&[("a", run)]);
    let expected = [("Linf 0.2", (5, 8)), ("Linf 0.3 to class 3", (3, 6))];
    assert_eq!(shares(&leaderboard), expected.map(|(title, of)| (title.to_owned(), of)));
    // The worst case is the untargeted one: the targeted attack opens no budget of 0.3.
    let net = standing(&leaderboard, "net");
    assert_eq!(counts(net.worst.as_ref().unwrap().robust), (5, 8));
    assert_eq!(net.rank, Some(1));
    let other = leaderboard.boards[0].standings.iter().find(|s| s.entrant.model.name == "other");
    assert!(other.is_none());
}
