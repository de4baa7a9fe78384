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

fn keep_lines(path: &Path, lines: usize, torn: &str) {
    let table = std::fs::read_to_string(path).unwrap();
    let kept: String = table.split_inclusive('\n').take(lines).chain([torn]).collect();
    std::fs::write(path, kept).unwrap();
}

#[test]
fn unfinished_jobs_are_shown_and_unranked() {
    let folder = tempfile::tempdir().unwrap();
    let run = small().change(|record| {
        let names = ["robust--pgd-linf", "plain--smoothing-0.25"];
        let unfinished = record.jobs.iter_mut().filter(|job| names.contains(&&*job.id));
        unfinished.for_each(|job| job.finished = false);
    });
    run.write(folder.path());
    // Five rows and a torn sixth; a table that was never begun.
    keep_lines(&folder.path().join("jobs/robust--pgd-linf.csv"), 6, "5,0,0");
    std::fs::remove_file(folder.path().join("jobs/plain--smoothing-0.25.tsv")).unwrap();
    let leaderboard = Leaderboard::from_runs(&[folder.path().to_owned()]).unwrap();
    let unfinished = leaderboard.boards[0].unfinished();
    let unfinished: Vec<_> =
        unfinished.iter().map(|job| (job.model, job.label, job.done, job.images)).collect();
    assert_eq!(unfinished, [("plain", "smoothing-0.25", 0, 8), ("robust", "pgd-linf", 5, 8)]);
    let robust = standing(&leaderboard, "robust");
    assert_eq!(robust.rank, None);
    assert_eq!(standing(&leaderboard, "plain").rank, Some(1));
    // What the finished attacks cover, and what the unfinished one has found on it: image 1.
    let worst = robust.worst.as_ref().unwrap();
    assert_eq!((counts(worst.robust), worst.finished()), ((4, 8), false));
    assert_eq!(worst.unfinished[0].title, "pgd-linf 0.1");
    for format in [
        &Markdown as &dyn Exporter,
        &Html { linked: false },
        &Terminal { width: 100, colour: false },
    ] {
        let text = format.export(&leaderboard).unwrap().replace('\n', " ");
        assert!(text.contains("5/8") && text.contains("50.0†"), "{text}");
        assert!(text.contains("Unfinished: plain under smoothing-0.25 0/8 images."), "{text}");
        let note = "† robust: what pgd-linf 0.1 (5 of 8 images) has not yet looked at may lower its \
                    worst cases, and it has no rank.";
        assert!(text.contains(note), "{text}");
    }
    let text = Csv.export(&leaderboard).unwrap();
    assert!(text.contains("pgd-linf 5/8"), "{text}");
}

#[test]
fn runs_of_one_network_are_evidence_together() {
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
    let leaderboard = board(&[("a", first), ("b", second.seed(1)), ("c", third)]);
    assert_eq!(leaderboard.title, "first + second");
    assert_eq!(leaderboard.notes, ["net and renamed are the same network, shown as net."]);
    let net = standing(&leaderboard, "net");
    assert_eq!(counts(net.threats[0].worst.robust), (1, 4));
    // Two seeds are one attack; another budget is another.
    assert_eq!(counts(net.attacks().next().unwrap().budgets[0].robust), (2, 4));
    assert_eq!(counts(net.threats[1].worst.robust), (0, 4));
    let text = Markdown.export(&leaderboard).unwrap();
    assert!(text.contains("digits, 4 images of 1×8×8, seeds 0, 1, cpu f32."), "{text}");
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
    assert_eq!(standing(&leaderboard, "net").attacks().count(), 1);
    assert_eq!(counts(standing(&leaderboard, "net").threats[0].worst.robust), (3, 4));
}

#[test]
fn other_settings_under_one_label_are_told_apart() {
    let mut longer = attack("pgd-linf", "Linf", &[0.1]);
    longer.parameters.insert("steps".into(), "20".into());
    let run = |work, outcomes| {
        Fixture::new("run", 4).model("net", "aa", "").attack("net", work, &rows(outcomes))
    };
    let usual = attack("pgd-linf", "Linf", &[0.1]);
    let leaderboard = board(&[("a", run(usual, "1...")), ("b", run(longer, ".1.."))]);
    let titles: Vec<&str> =
        leaderboard.boards[0].attacks.iter().map(|column| column.title.as_str()).collect();
    assert_eq!(titles, ["pgd-linf 0.1 (steps=100)", "pgd-linf 0.1 (steps=20)"]);
    assert_eq!(leaderboard.boards[0].attack_count(), 2);
    let net = standing(&leaderboard, "net");
    assert_eq!(counts(net.attacks().nth(1).unwrap().budgets[0].robust), (3, 4));
    assert_eq!(counts(net.worst.as_ref().unwrap().robust), (2, 4));
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
    // One weight file with two normalisations is two networks.
    let other = run("bbbbbbbb").change(|record| record.models[0].sha256 = format!("{:0<64}", "aa"));
    let leaderboard = board(&[("a", run("aaaaaaaa")), ("b", other)]);
    let names: Vec<_> =
        leaderboard.boards[0].standings.iter().map(|s| s.entrant.model.name.clone()).collect();
    assert_eq!(names, ["net (aaaaaaaa)", "net (bbbbbbbb)"]);
}

#[test]
fn data_sets_have_boards_of_their_own() {
    let other = || {
        small().images(|idx| format!("letter {idx}")).change(|record| {
            record.data[0].sha256 = "e".repeat(64);
            record.data[0].name = "letters".into();
            record.jobs.iter_mut().for_each(|job| job.data = "letters".into());
        })
    };
    let leaderboard = board(&[("a", small()), ("b", other())]);
    let names: Vec<_> = leaderboard.boards.iter().map(|b| b.data.name.as_str()).collect();
    assert_eq!(names, ["digits", "letters"]);
    assert!(Html::default().export(&leaderboard).unwrap().contains("Leaderboard: letters"));
    assert_eq!(Csv.export(&leaderboard).unwrap().lines().count(), 5);
    // One file whose images are others: told apart by their digests.
    let same_file = other().change(|record| {
        record.data[0].sha256 = "d".repeat(64);
        record.data[0].digest = "f".repeat(64);
        record.data[0].name = "digits".into();
        record.jobs.iter_mut().for_each(|job| job.data = "digits".into());
    });
    let leaderboard = board(&[("a", small()), ("b", same_file)]);
    let names: Vec<_> = leaderboard.boards.iter().map(|b| b.data.name.as_str()).collect();
    assert_eq!(names, ["digits (eeeeeeee)", "digits (ffffffff)"]);
    // Another file with the same images is the same data set.
    let copy = small().change(|record| record.data[0].sha256 = "9".repeat(64));
    assert_eq!(board(&[("a", small()), ("b", copy)]).boards.len(), 1);
}

#[test]
fn bad_folders() {
    let table = "jobs/plain--pgd-linf.csv";
    let (message, _) = error(&small(), |f| {
        let text = std::fs::read_to_string(f.join(table)).unwrap();
        std::fs::write(f.join(table), text.replacen(",0,0,", ",0,1,", 1)).unwrap();
    });
    assert!(message.starts_with("jobs/plain--pgd-linf.csv: row 1: its checksum"), "{message}");

    let short = small().change(|record| record.jobs[0].images = 7);
    let (message, _) = error(&short, |_| ());
    assert_eq!(message, "jobs/plain--pgd-linf.csv: rows: 8 for a job of 7 images");

    let (message, hint) = error(&small(), |f| keep_lines(&f.join(table), 4, ""));
    let cut = "3 of 8, and the job had finished: the table was cut";
    assert_eq!(message, format!("jobs/plain--pgd-linf.csv: rows: {cut}"));
    assert_eq!(hint, "copy the table from a backup, or delete it and run the suite again");

    let checked = small().finding("zero-gradients", "zero gradients");
    let (message, _) = error(&checked, |f| {
        std::fs::remove_file(f.join("jobs/robust--smoothing-0.25.checks.toml")).unwrap();
    });
    let missing = "robust--smoothing-0.25.checks.toml: record of the checks: it is missing";
    assert!(message.contains(missing), "{message}");

    let other = small().change(|record| record.models[0].identity = "f".repeat(64));
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
