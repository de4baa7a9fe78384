//! Over which images a number is, and between which numbers ranks are given.

use super::{board, counts, rows, standing};
use crate::record::Work;
use crate::report::fixture::{Fixture, attack, bound_row, bounds};
use crate::report::{Csv, Exporter, Html, Leaderboard, Markdown, Terminal};

/// A run of one attack on one network.
fn run(name: &str, sha: &str, work: Work, outcomes: &str) -> Fixture {
    Fixture::new("run", outcomes.len()).model(name, sha, "").attack(name, work, &rows(outcomes))
}

fn linf(label: &str) -> Work {
    attack(label, "Linf", &[0.1])
}

fn markdown(leaderboard: &Leaderboard) -> String {
    Markdown.export(leaderboard).unwrap()
}

#[test]
fn a_worst_case_is_over_what_every_attack_covers_and_says_what_lies_beyond() {
    let long = run("net", "aa", linf("pgd-linf"), "1...1111");
    let short = run("net", "aa", linf("square"), ".1..");
    let leaderboard = board(&[("a", long), ("b", short)]);
    let net = standing(&leaderboard, "net");
    let worst = net.worst.as_ref().unwrap();
    assert_eq!((counts(worst.robust), net.entrant.images, counts(net.clean)), ((2, 4), 4, (4, 4)));
    let text = markdown(&leaderboard);
    assert!(text.contains("digits, 4 images of 1×8×8"), "{text}");
    let line =
        "- net: pgd-linf 0.1 covers 8 images: at most 25.0 % of them are robust at Linf 0.1.";
    assert!(text.contains(line), "{text}");
    // The attacks' own cells are over their own images.
    assert_eq!(net.attacks().map(|a| a.images).collect::<Vec<_>>(), [8, 4]);
}

#[test]
fn attacks_without_a_common_image_have_no_worst_case() {
    let digest = |idx: u64| format!("other {idx}");
    let first = run("net", "aa", linf("pgd-linf"), "1...");
    let second = run("net", "aa", linf("square"), ".1..").images(digest);
    // The same file, so one data set, as long as no index is two images.
    let moved = Fixture::new("run", 4).model("net", "aa", "");
    let moved = moved.attack(
        "net",
        linf("square"),
        &rows(".1..")
            .into_iter()
            .map(|mut r| {
                r.idx += 4;
                r
            })
            .collect::<Vec<_>>(),
    );
    assert_eq!(board(&[("a", first.clone()), ("b", second)]).boards.len(), 2);
    let leaderboard = board(&[("a", first), ("b", moved.images(digest))]);
    assert_eq!(leaderboard.boards.len(), 1);
    let net = standing(&leaderboard, "net");
    assert_eq!((net.rank, net.worst.as_ref().unwrap().robust), (None, None));
    let text = markdown(&leaderboard);
    let line = "net: pgd-linf 0.1, square 0.1 have no image in common, so there is no worst case.";
    assert!(text.contains(line), "{text}");
}

#[test]
fn networks_are_ranked_among_those_on_the_same_images() {
    let runs = [
        ("a", run("few", "aa", linf("pgd-linf"), "....")),
        ("b", run("many", "bb", linf("pgd-linf"), "11111...")),
        ("c", run("more", "cc", linf("pgd-linf"), "1111111.")),
    ];
    let leaderboard = board(&runs);
    let found: Vec<_> = leaderboard
        .boards
        .iter()
        .map(|b| {
            let of = b
                .standings
                .iter()
                .map(|s| (s.entrant.model.name.clone(), s.rank))
                .collect::<Vec<_>>();
            (b.title(), b.images, of)
        })
        .collect();
    let name = |name: &str, rank| (name.to_owned(), Some(rank));
    let expected = [
        ("digits (a)".to_owned(), 8, vec![name("many", 1), name("more", 2)]),
        ("digits (b)".to_owned(), 4, vec![name("few", 1)]),
    ];
    assert_eq!(found, expected);
    let text = markdown(&leaderboard);
    assert!(text.contains("attack those with fewer images again on as many"), "{text}");
    assert!(text.contains("## digits (b)\n\ndigits, 4 images (b) of 1×8×8"), "{text}");
    assert!(Html::default().export(&leaderboard).unwrap().contains("Leaderboard: digits (a)"));
    let csv = Csv.export(&leaderboard).unwrap();
    assert!(csv.contains("\ndigits (b),1,few,"), "{csv}");
}

#[test]
fn a_proof_over_other_images_says_so() {
    let balls = |n: u64| (0..n).map(|i| bound_row(i, true, 0.1)).collect::<Vec<_>>();
    let bound = |n: u64| {
        Fixture::new("run", n as usize).model("net", "aa", "").bound(
            "net",
            bounds("crown-linf", "Linf", &[0.1]),
            &balls(n),
        )
    };
    let attacked = || run("net", "aa", linf("pgd-linf"), "....");
    let leaderboard = board(&[("a", attacked()), ("b", bound(2))]);
    let text = markdown(&leaderboard);
    assert!(text.contains("100.0§"), "{text}");
    let line = "§ net: over 2 images that are not those of its row: verified Linf 0.1.";
    assert!(text.contains(line), "{text}");
    assert!(standing(&leaderboard, "net").brackets.is_empty());
    let leaderboard = board(&[("a", attacked()), ("b", bound(4))]);
    assert!(!markdown(&leaderboard).contains('§'));
    assert_eq!(standing(&leaderboard, "net").brackets.len(), 1);
}

#[test]
fn text_does_no_harm_where_it_is_read() {
    let name = "=1+2|a\nb";
    let leaderboard = board(&[("a", run(name, "aa", linf("pgd-linf"), "...."))]);
    let csv = Csv.export(&leaderboard).unwrap();
    let mut reader = ::csv::Reader::from_reader(csv.as_bytes());
    let at = reader.headers().unwrap().iter().position(|title| title == "model").unwrap();
    let model = reader.records().next().unwrap().unwrap()[at].to_owned();
    assert_eq!(model, format!("'{name}"));
    let text = markdown(&leaderboard);
    assert!(text.contains("| =1+2\\|a b |"), "{text}");
    assert!(Terminal { width: 100, colour: false }.export(&leaderboard).is_ok());
}
