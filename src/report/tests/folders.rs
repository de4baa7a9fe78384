//! Run folders that are unfinished, merged, or damaged.

use std::path::Path;

use super::{board, counts, rows, small, standing};
use crate::report::fixture::{Fixture, attack};
use crate::report::{Csv, Exporter, Html, Leaderboard, Markdown, Terminal};

/// The error of a run folder that `damage` has changed, and its hint.
fn error(run: &Fixture, damage: impl FnOnce(&Path)) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    run.write(folder.path());
    damage(folder.path());
    let error = Leaderboard::from_runs(&[folder.path().to_owned()]).unwrap_err();
    let hint = error.hint().unwrap_or_default();
    (error.to_string().replace(&format!("{}/", folder.path().display()), ""), hint)
}

fn append(path: &Path, text: &str) {
    let mut table = std::fs::read_to_string(path).unwrap();
    table.push_str(text);
    std::fs::write(path, table).unwrap();
}

fn keep_lines(path: &Path, lines: usize, torn: &str) {
    let table = std::fs::read_to_string(path).unwrap();
    let kept: String = table.split_inclusive('\n').take(lines).chain([torn]).collect();
    std::fs::write(path, kept).unwrap();
}

#[test]
fn unfinished_jobs_are_shown_and_unranked() {
    let folder = tempfile::tempdir().unwrap();
    small().write(folder.path());
    // Five rows and a torn sixth; a table that was never begun.
    keep_lines(&folder.path().join("jobs/robust--pgd-linf.csv"), 6, "5,0,0");
    std::fs::remove_file(folder.path().join("jobs/plain--smoothing-0.25.tsv")).unwrap();
    let leaderboard = Leaderboard::from_runs(&[folder.path().to_owned()]).unwrap();
    let unfinished = leaderboard.boards[0].unfinished();
    assert_eq!(unfinished, [("plain", "smoothing-0.25", 0, 8), ("robust", "pgd-linf", 5, 8)]);
    let robust = standing(&leaderboard, "robust");
    assert_eq!(robust.rank, None);
    assert_eq!(standing(&leaderboard, "plain").rank, Some(1));
    let worst = robust.worst.as_ref().unwrap();
    assert_eq!((worst.done, worst.images, worst.finished), (5, 8, false));
    for format in [&Markdown as &dyn Exporter, &Html, &Terminal { width: 100, colour: false }] {
        let text = format.export(&leaderboard).unwrap();
        assert!(text.contains("5/8"), "{text}");
        assert!(text.contains("Unfinished: plain under smoothing-0.25 0/8 images."), "{text}");
    }
    let text = Csv.export(&leaderboard).unwrap();
    assert!(text.contains("pgd-linf 5/8"), "{text}");
}

#[test]
fn later_runs_replace_earlier_ones() {
    let first = Fixture::new("first", 4)
        .model("net", "aa", "")
        .attack("net", attack("pgd", "Linf", &[0.1]), &rows("...."))
        .attack("net", attack("square", "Linf", &[0.1]), &rows("1..."));
    let second = Fixture::new("second", 4).model("renamed", "aa", "").attack(
        "renamed",
        attack("pgd", "Linf", &[0.1]),
        &rows(".11."),
    );
    let third = Fixture::new("first", 4).model("net", "aa", "").attack(
        "net",
        attack("pgd", "Linf", &[0.2]),
        &rows("2222"),
    );
    let leaderboard = board(&[("a", first), ("b", second), ("c", third)]);
    assert_eq!(leaderboard.title, "first + second");
    assert_eq!(
        leaderboard.notes,
        ["net and renamed are the same weight file, shown as net.", "net under pgd: b replaces a.",]
    );
    let net = standing(&leaderboard, "net");
    assert_eq!(counts(net.threats[0].worst.robust), (1, 4));
    // Another budget is another job.
    assert_eq!(counts(net.threats[1].worst.robust), (0, 4));
}

#[test]
fn one_network_under_two_names_counts_once() {
    let run = Fixture::new("run", 4)
        .model("net", "aa", "")
        .model("again", "aa", "")
        .attack("net", attack("pgd", "Linf", &[0.1]), &rows("...."))
        .attack("again", attack("pgd", "Linf", &[0.1]), &rows("1..."));
    let leaderboard = board(&[("a", run)]);
    assert_eq!(leaderboard.boards[0].standings.len(), 1);
    assert_eq!(standing(&leaderboard, "net").attacks.len(), 1);
    assert_eq!(counts(standing(&leaderboard, "net").threats[0].worst.robust), (3, 4));
    assert_eq!(leaderboard.notes[1], "net under pgd: twice in a, the later counts.");
}

#[test]
fn namesakes_are_told_apart() {
    let run = |sha: &str| {
        Fixture::new("run", 4).model("net", sha, "").attack(
            "net",
            attack("pgd", "Linf", &[0.1]),
            &rows("...."),
        )
    };
    let leaderboard = board(&[("a", run("aaaaaaaa")), ("b", run("bbbbbbbb"))]);
    let names: Vec<_> =
        leaderboard.boards[0].standings.iter().map(|s| s.model.name.clone()).collect();
    assert_eq!(names, ["net (aaaaaaaa)", "net (bbbbbbbb)"]);
}

#[test]
fn data_sets_have_boards_of_their_own() {
    let other = small().change(|record| {
        record.data[0].sha256 = "e".repeat(64);
        record.data[0].name = "letters".into();
        record.jobs.iter_mut().for_each(|job| job.data = "letters".into());
    });
    let leaderboard = board(&[("a", small()), ("b", other)]);
    let names: Vec<_> = leaderboard.boards.iter().map(|b| b.data.name.as_str()).collect();
    assert_eq!(names, ["digits", "letters"]);
    assert!(Html.export(&leaderboard).unwrap().contains("Leaderboard: letters"));
    assert_eq!(Csv.export(&leaderboard).unwrap().lines().count(), 5);
}

#[test]
fn bad_folders() {
    let table = "jobs/plain--pgd-linf.csv";
    let row = "7,0,0,,0,0,inf,0,1,1,0.1\n";
    let (message, hint) = error(&small(), |f| append(&f.join(table), row));
    assert_eq!(message, "jobs/plain--pgd-linf.csv: row 9: image 7 appears a second time");
    assert_eq!(hint, "delete the line: the run computes it again");

    let (message, _) = error(&small(), |f| append(&f.join(table), &row.replacen('7', "8", 1)));
    assert_eq!(message, "jobs/plain--pgd-linf.csv: rows: 9 for a job of 8 images");

    let (message, _) = error(&small(), |f| keep_lines(&f.join(table), 4, "3,0,zero,0\n"));
    assert!(message.starts_with("jobs/plain--pgd-linf.csv: row 4: "), "{message}");

    let other = small().change(|record| record.models[0].sha256 = "f".repeat(64));
    let (message, _) = error(&other, |_| ());
    assert!(
        message.contains("smoothing-0.25.tsv: image 0: model: aaaa000000000000 is not"),
        "{message}"
    );

    let unlisted = small().change(|record| record.jobs[0].model = "nobody".into());
    let (message, _) = error(&unlisted, |_| ());
    let expected = "run.toml: job `plain--pgd-linf`: model: `nobody` is not listed in this file";
    assert_eq!(message, expected);

    let (message, _) = error(&small(), |f| std::fs::remove_file(f.join("run.toml")).unwrap());
    assert!(message.starts_with("cannot read ") && message.contains("run.toml"), "{message}");

    assert!(Leaderboard::from_runs(&[]).is_err());
}
