//! Comparisons of run folders and logs made up for it.

use std::path::PathBuf;

use super::*;
use crate::report::fixture::{
    Fixture, attack, attack_row, bound_row, bounds, certificate_row, digits, smoothing,
};
use crate::work::AttackRow;

/// Rows of images 0, 1, …: `x` misclassified, `.` robust, a digit d broken at distance d / 10.
fn rows(outcomes: &str) -> Vec<AttackRow> {
    let row = |(idx, outcome): (u64, char)| match outcome {
        'x' => attack_row(idx, false, None),
        '.' => attack_row(idx, true, None),
        digit => attack_row(idx, true, digit.to_digit(10).map(|d| f64::from(d) / 10.0)),
    };
    (0..).zip(outcomes.chars()).map(row).collect()
}

/// One network under two attacks, and smoothing.
fn run(linf: &str, l2: &str, radii: [f64; 8]) -> Fixture {
    let row = |(idx, r): (u64, f64)| certificate_row(idx, if r < 0.0 { -1 } else { 0 }, r.max(0.0));
    let certificates: Vec<_> = (0..).zip(radii).map(row).collect();
    Fixture::new("run", 8)
        .model("net", "aa", "")
        .attack("net", attack("pgd-linf", "Linf", &[0.1]), &rows(linf))
        .attack("net", attack("cw-l2", "L2", &[0.3, 0.5]), &rows(l2))
        .certificate("net", smoothing(&[0.0, 0.25]), &certificates)
}

fn folders(runs: [Fixture; 2]) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
    runs[0].write(&a);
    runs[1].write(&b);
    (folder, a, b)
}

fn two() -> [Fixture; 2] {
    [
        run("1111111.", "22344559", [0.1, 0.2, 0.3, 0.3, -1.0, -1.0, 0.4, 0.1]),
        run("x1......", "x4599999", [-1.0, 0.5, 0.6, 0.6, 0.7, 0.2, 0.6, 0.8]),
    ]
}

#[test]
fn numbers_by_hand() {
    let (_folder, a, b) = folders(two());
    let comparison = compare(&a, &b, &Settings::default()).unwrap();
    let titles: Vec<&str> = comparison.rows.iter().map(|row| row.title.as_str()).collect();
    assert_eq!(
        titles,
        [
            "pgd-linf: robust Linf 0.1",
            "cw-l2: robust L2 0.3",
            "cw-l2: robust L2 0.5",
            "smoothing-0.25: certified L2 0",
            "smoothing-0.25: certified L2 0.25",
            "smoothing-0.25: average L2 radius",
            "all attacks: worst case",
        ]
    );
    let linf = &comparison.rows[0];
    assert_eq!((linf.first, linf.second, linf.difference), (1.0 / 8.0, 6.0 / 8.0, -5.0 / 8.0));
    let pairs = linf.pairs.unwrap();
    assert_eq!((pairs.both, pairs.first, pairs.second, pairs.neither), (1, 0, 5, 2));
    assert!((linf.p_value.unwrap() - 2.0 / 32.0).abs() < 1e-12);
    // The smallest of six p-values; every other is at least 0.0625 too.
    assert!((linf.holm.unwrap() - 6.0 / 16.0).abs() < 1e-12);
    assert!(linf.low <= linf.difference && linf.difference <= linf.high && linf.high < 0.0);
    let radius = &comparison.rows[5];
    assert!((radius.first - 1.4 / 8.0).abs() < 1e-12 && (radius.second - 0.5).abs() < 1e-12);
    assert_eq!((radius.pairs, radius.p_value, radius.holm), (None, None, None));
    // A: all broken by pgd but 7, which needs 0.9 > 0.5 in L2. B: 0 misclassified, 1 and 2 broken.
    let worst = &comparison.rows[6];
    assert_eq!((worst.first, worst.second), (1.0 / 8.0, 5.0 / 8.0));
    assert!(comparison.unmatched.is_empty());
    let text = comparison.to_string();
    assert!(text.contains("adjusted for 6 comparisons"), "{text}");
    let line = text.lines().find(|line| line.starts_with("pgd-linf")).unwrap();
    let fields: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(fields[4..7], ["12.5", "75.0", "-62.5"], "{text}");
    assert_eq!(fields[10..], ["0", "5", "0.0625", "0.3750"], "{text}");
}

#[test]
fn a_side_against_itself_shows_nothing_and_sides_can_be_swapped() {
    let (_folder, a, b) = folders(two());
    for row in compare(&a, &a, &Settings::default()).unwrap().rows {
        assert_eq!((row.difference, row.low, row.high), (0.0, 0.0, 0.0));
        assert!(row.p_value.is_none_or(|p| p == 1.0));
    }
    let there = compare(&a, &b, &Settings::default()).unwrap();
    let back = compare(&b, &a, &Settings::default()).unwrap();
    for (x, y) in there.rows.iter().zip(&back.rows) {
        assert_eq!((x.p_value, x.holm, x.difference), (y.p_value, y.holm, -y.difference));
        assert!((x.low + y.high).abs() < 1e-12 && (x.high + y.low).abs() < 1e-12);
    }
}

#[test]
fn networks_of_one_run_are_compared_by_their_folders_and_jobs_by_their_tables() {
    let folder = tempfile::tempdir().unwrap();
    digits().write(folder.path());
    let table = |job: &str| folder.path().join(format!("jobs/{job}"));
    // Two attacks on one network, which have only the budget 0.5 in common.
    let comparison = compare(
        &table("digits-pgd--pgd-l2-0.5.csv"),
        &table("digits-pgd--cw-l2.csv"),
        &Settings::default(),
    )
    .unwrap();
    assert_eq!(comparison.rows.len(), 1);
    assert_eq!((&*comparison.rows[0].title, comparison.rows[0].images), ("robust L2 0.5", 360));
    assert_eq!(comparison.unmatched.len(), 2, "{comparison}");
    // Two networks under one attack, their names not looked at.
    let comparison = compare(
        &table("digits-pgd--patch-rs.csv"),
        &table("digits-standard--patch-rs.csv"),
        &Settings::default(),
    )
    .unwrap();
    assert_eq!(comparison.rows[0].title, "robust patch 2x2");
    // All networks of the run, by name; controls are no methods.
    let all = compare(folder.path(), folder.path(), &Settings::default()).unwrap();
    assert!(all.rows.iter().any(|row| row.title == "digits-trades, cw-l2: robust L2 1"));
    assert!(!all.rows.iter().any(|row| row.title.contains("random-noise")));
}

#[test]
fn logs_are_compared_at_the_radii_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, radii: [f64; 4]| {
        let mut text = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n".to_owned();
        for (image, radius) in radii.iter().enumerate() {
            text += &format!("{}\t1\t1\t{radius}\t1\t1.0\n", 20 * image);
        }
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (a, b) = (write("a.tsv", [0.3, 0.4, 0.5, 0.6]), write("b.tsv", [0.1, 0.2, 0.3, 0.7]));
    let settings = Settings { radii: vec![0.3, 0.5], ..Settings::default() };
    let comparison = compare(&a, &b, &settings).unwrap();
    let shares: Vec<_> =
        comparison.rows.iter().map(|row| (&*row.title, row.first, row.second)).collect();
    assert_eq!(shares[..2], [("certified L2 0.3", 1.0, 0.5), ("certified L2 0.5", 0.5, 0.25)]);
    assert!((shares[2].1 - 0.45).abs() < 1e-12 && (shares[2].2 - 0.325).abs() < 1e-12);
}

#[test]
fn images_are_matched_by_what_they_are() {
    // The second side has the images in another order, and another file.
    let mirrored = |outcomes: &str| -> Vec<AttackRow> {
        rows(outcomes).into_iter().map(|row| AttackRow { idx: 7 - row.idx, ..row }).collect()
    };
    let one = |rows: &[AttackRow], file: &str| {
        let run = Fixture::new("run", 8).model("net", "aa", "");
        let run = run.attack("net", attack("pgd", "Linf", &[0.1]), rows);
        run.change(|record| record.data[0].sha256 = file.repeat(64))
    };
    let (_folder, first, second) =
        folders([one(&rows("11......"), "d"), one(&mirrored("1.1....."), "e")]);
    let comparison = compare(&first, &second, &Settings::default()).unwrap();
    let pairs = comparison.rows[0].pairs.unwrap();
    assert_eq!((pairs.both, pairs.first, pairs.second, pairs.neither), (5, 1, 1, 1));
}

#[test]
fn logs_without_the_column_time_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let bare = "idx\tlabel\tpredict\tradius\tcorrect\n0\t1\t1\t0.3\t1\n20\t1\t-1\t0.0\t0\n";
    let timed =
        "idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t1\t1\t0.1\t1\t1.0\n20\t1\t1\t0.6\t1\t2.0\n";
    std::fs::write(path("bare.tsv"), bare).unwrap();
    std::fs::write(path("timed.tsv"), timed).unwrap();
    let settings = Settings { radii: vec![0.25], ..Settings::default() };
    let comparison = compare(&path("bare.tsv"), &path("timed.tsv"), &settings).unwrap();
    let [certified, radius] = &comparison.rows[..] else { panic!("{comparison}") };
    assert_eq!((certified.first, certified.second, certified.images), (0.5, 0.5, 2));
    assert!((radius.first - 0.15).abs() < 1e-12 && (radius.second - 0.35).abs() < 1e-12);
    assert!(compare(&path("bare.tsv"), &path("bare.tsv"), &settings).is_ok());
}

#[test]
fn what_rounds_to_nothing_has_no_minus_sign() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, rows: &[(i64, &str)]| {
        let mut text = "idx\tlabel\tpredict\tradius\tcorrect\n".to_owned();
        for (image, (predict, radius)) in rows.iter().enumerate() {
            text += &format!("{image}\t1\t{predict}\t{radius}\t{}\n", u8::from(*predict == 1));
        }
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    // A difference of -0.0001 in the mean radius, and a radius of -0 at a radius of -0.
    let a = write("a.tsv", &[(1, "-0.0"), (-1, "-0.0"), (1, "0.5")]);
    let b = write("b.tsv", &[(1, "0.0001"), (-1, "0.0"), (1, "0.5002")]);
    let settings = Settings { radii: vec![-0.0], ..Settings::default() };
    // The first lines name the files.
    let table = |comparison: &Comparison| {
        comparison.to_string().lines().skip(3).collect::<Vec<_>>().join("\n")
    };
    let text = table(&compare(&a, &b, &settings).unwrap());
    assert!(text.contains("certified L2 0 ") && !text.contains("-0"), "{text}");
    let line = text.lines().find(|line| line.starts_with("average L2 radius")).unwrap();
    let fields: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(fields[3..8], ["0.167", "0.167", "+0.000", "+0.000", "to"], "{text}");
    // All abstain on one side: its mean radius is 0.
    let (a, b) = (write("c.tsv", &[(-1, "-0.0")]), write("d.tsv", &[(-1, "0.0")]));
    let comparison = compare(&a, &b, &settings).unwrap();
    let json = serde_json::to_string(&comparison.rows).unwrap();
    assert!(!json.contains("-0") && !table(&comparison).contains("-0"), "{json}\n{comparison}");
}

#[test]
fn other_images_labels_or_data_are_refused() {
    let [a, b] = two();
    let (_folder, first, second) = folders([a, b.images(|idx| format!("another {idx}"))]);
    let error = compare(&first, &second, &Settings::default()).unwrap_err().to_string();
    assert!(error.ends_with("no image of digits is on both sides"), "{error}");

    let one = |rows: &[AttackRow]| {
        let run = Fixture::new("run", rows.len()).model("net", "aa", "");
        run.attack("net", attack("pgd", "Linf", &[0.1]), rows)
    };
    let mut relabelled = rows("1.");
    (relabelled[1].label, relabelled[1].clean, relabelled[1].prediction) = (7, 7, 7);
    for (other, problem) in [
        (rows("1.."), "image 2 of the second side is not on the other"),
        (relabelled, "image 1 has label 0 on one side and 7 on the other"),
    ] {
        let (_folder, first, second) = folders([one(&rows("1.")), one(&other)]);
        let error = compare(&first, &second, &Settings::default()).unwrap_err().to_string();
        assert_eq!(error, format!("robust Linf 0.1: {problem}"));
    }

    let short = one(&rows("1.")).change(|run| {
        (run.jobs[0].images, run.jobs[0].finished) = (3, false);
    });
    let (_folder, first, second) = folders([short, one(&rows("1."))]);
    let error = compare(&first, &second, &Settings::default()).unwrap_err().to_string();
    assert!(error.ends_with("net--pgd.csv: rows: 2 of 3 images are done"), "{error}");

    let proven = Fixture::new("run", 1).model("net", "aa", "").bound(
        "net",
        bounds("crown-linf", "Linf", &[0.1]),
        &[bound_row(0, true, 0.1)],
    );
    let (folder, first, second) = folders([one(&rows("1")), proven]);
    let error = compare(&first, &second, &Settings::default()).unwrap_err().to_string();
    assert!(
        error.contains("nothing in common: robust Linf 0.1 (first only), verified Linf 0.1"),
        "{error}"
    );
    for bad in ["", "no such run"] {
        let path = folder.path().join(bad);
        assert!(compare(&path, &first, &Settings::default()).is_err(), "{bad}");
    }
    let settings = Settings { confidence: 1.0, ..Settings::default() };
    assert!(compare(&first, &first, &settings).is_err());
    let settings = Settings { radii: vec![f64::NAN], ..Settings::default() };
    assert!(compare(&first, &first, &settings).is_err());
}
