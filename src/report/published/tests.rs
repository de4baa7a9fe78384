//! A small board ranked among published rows, in every format.

use super::*;
use crate::report::fixture::{Fixture, attack, attack_row};
use crate::report::{Csv, Exporter, Html, Markdown, Terminal};
use crate::work::AttackRow;

fn rows(correct: usize, robust: usize) -> Vec<AttackRow> {
    (0..100).map(|i| attack_row(i as u64, i < correct, (i >= robust).then_some(0.02))).collect()
}

/// Three networks on a hundred images: one that its run calls an entry, one that is an entry by its
/// name and was attacked at 0.031, one that is none.
fn board() -> Leaderboard {
    let eps = 8.0 / 255.0;
    let run = Fixture::new("suite", 100)
        .model("ours", "aa", "")
        .model("Huang2020Self", "bb", "")
        .model("new", "cc", "")
        .attack("ours", attack("autoattack-linf", "Linf", &[eps]), &rows(90, 60))
        .attack("ours", attack("pgd-linf", "Linf", &[eps]), &rows(90, 59))
        .attack("Huang2020Self", attack("autoattack-linf", "Linf", &[0.031]), &rows(83, 53))
        .attack("new", attack("pgd-linf", "Linf", &[eps]), &rows(99, 80))
        .change(|record| {
            record.data[0].name = "cifar10-first-100".into();
            record.models[0].published = Some("cifar10-linf/Carmon2019Unlabeled".into());
            record.jobs.iter_mut().for_each(|job| job.data = "cifar10-first-100".into());
        });
    let folder = tempfile::tempdir().unwrap();
    run.write(folder.path());
    Leaderboard::from_runs(&[folder.path().into()]).unwrap()
}

fn place<'a>(ranking: &'a Ranking, name: &str) -> &'a RankedNetwork {
    ranking.places.iter().find(|p| p.name == name && p.measured().is_some()).unwrap()
}

#[test]
fn measured_networks_stand_among_the_published() {
    let mut board = board();
    board.rank_among_published(None).unwrap();
    let [ranking] = &board.published[..] else { panic!("{:?}", board.published) };
    assert_eq!((ranking.table.as_str(), ranking.places.len()), ("cifar10-linf", 102));
    let new = place(ranking, "new");
    assert_eq!((new.rank, new.autoattack, new.robust), (None, None, 0.8));
    assert_eq!(new.measured().unwrap().entry, None);

    let ours = place(ranking, "ours");
    assert_eq!((ours.clean, ours.autoattack, ours.robust), (0.9, Some(0.6), 0.59));
    let measured = ours.measured().unwrap();
    assert_eq!(measured.entry.as_deref(), Some("Carmon2019Unlabeled"));
    assert!((measured.clean_difference.unwrap() - 0.0031).abs() < 1e-12);
    assert!((measured.autoattack_difference.unwrap() - 0.0047).abs() < 1e-12);
    // 36 published entries have at least 59.53 %.
    assert_eq!(ours.rank, Some(37));

    let named = place(ranking, "Huang2020Self");
    assert_eq!(named.eps, 0.031);
    assert!((named.measured().unwrap().autoattack_difference.unwrap() + 0.0034).abs() < 1e-12);
    // Nobody ran AutoAttack on `new`: it stands below, whatever it reached.
    let ranked: Vec<(usize, f64)> =
        ranking.places.iter().filter_map(|p| Some((p.rank?, p.robust))).collect();
    assert_eq!(ranked.len(), 101);
    for (rank, robust) in &ranked {
        let better = ranked.iter().filter(|(_, other)| other > robust).count();
        assert_eq!(*rank, better + 1);
    }
    assert_eq!(ranking.places[101].name, "new");
    assert!(ranking.places[..101].is_sorted_by(|a, b| a.robust >= b.robust));
    let why = "new has no rank: AutoAttack was not run on it to the end in Linf at 8/255, as on the \
               networks of this table, so its robust accuracy may be too high.";
    assert!(ranking.reading().iter().any(|line| line == why), "{:?}", ranking.reading());
}

#[test]
fn only_tables_that_fit() {
    let mut board = board();
    let error = board.rank_among_published(Some("cifar10-l2")).unwrap_err().to_string();
    assert!(error.contains("as those of cifar10-l2"), "{error}");
    assert!(board.rank_among_published(Some("cifar10")).is_err());
    // Another table of the same norm has another radius or other entries only if the user asks.
    board.rank_among_published(Some("cifar100-linf")).unwrap();
    assert!(board.published[0].places.iter().all(|p| p.name != "ours"));
    for standing in &mut board.boards[0].standings {
        standing.entrant.model.published = None;
    }
    board.boards[0].data.name = "street-signs".into();
    let error = board.rank_among_published(None).unwrap_err();
    assert!(error.to_string().contains("belongs to a published table"), "{error}");
    assert!(error.hint().unwrap().contains("--published=TABLE"));
}

#[test]
fn every_format_marks_what_it_did_not_measure() {
    let mut board = board();
    let before = Csv.export(&board).unwrap();
    assert!(!before.contains("published"));
    board.rank_among_published(None).unwrap();
    let csv = Csv.export(&board).unwrap();
    assert!(csv.starts_with(before.lines().next().unwrap()), "{csv}");
    let count = |text: &str, word: &str| text.matches(word).count();
    assert_eq!(count(&csv, ",published,"), 99);
    assert_eq!(count(&csv, ",measured,"), 3);
    let markdown = Markdown.export(&board).unwrap();
    assert_eq!(count(&markdown, "| published "), 99);
    assert!(markdown.contains("**ours**"), "{markdown}");
    let html = Html::default().export(&board).unwrap();
    assert_eq!(count(&html, "<td>published</td>"), 99);
    let text = Terminal { width: 100, colour: false }.export(&board).unwrap();
    let text = &text[text.find("cifar10-linf among").unwrap()..];
    insta::assert_snapshot!(text, @r"
    cifar10-linf among published numbers (Linf)
    ──────────────────────────────────────────────────────────────────────────────────────────────────
      #  model                         numbers      eps  clean  AutoAttack  lowest      Δ           Δ
                                                                                    clean  AutoAttack
    ──────────────────────────────────────────────────────────────────────────────────────────────────
      1  Bartoldson2024Adversarial_W…  published  8/255  93.68       73.71   73.71
      2  Amini2024MeanSparse_S-WRN-9…  published  8/255  93.60       75.28   73.10
      3  Bartoldson2024Adversarial_W…  published  8/255  93.11       71.59   71.59
      …  …                             …              …      …           …       …      …           …
     35  Zhang2020Geometry             published  8/255  89.36       59.64   59.64
     36  Carmon2019Unlabeled           published  8/255  89.69       59.53   59.53
     37  ours                          measured   8/255  90.00       60.00   59.00  +0.31       +0.47
     38  Gowal2021Improving_R18_ddpm…  published  8/255  87.35       58.63   58.50
     39  Chen2024Data_WRN_34_20        published  8/255  86.10       58.09   58.09
      …  …                             …              …      …           …       …      …           …
     67  Huang2020Self                 published  0.031  83.48       53.34   53.34
     68  Zhang2019Theoretically        published  0.031  84.92       53.08   53.08
     69  Huang2020Self                 measured   0.031  83.00       53.00   53.00  -0.48       -0.34
     70  Cui2020Learnable_34_10        published  0.031  88.22       52.86   52.86
     71  Qin2019Adversarial            published  8/255  86.28       52.84   52.84
      …  …                             …              …      …           …       …      …           …
      –  new                           measured   8/255  99.00           –   80.00
    ──────────────────────────────────────────────────────────────────────────────────────────────────
    Rows marked published are from RobustBench, https://robustbench.github.io, commit 78fcc9e4; epsball
    did not measure them. Ranked by the lowest robust accuracy: the lowest published, or the worst case
    over the attacks of this threat that were run.
    Δ: measured minus published, in percentage points, for networks that are in both.
    ?: the source doubts this number of AutoAttack.
    ours is Carmon2019Unlabeled, measured on 100 images of cifar10-first-100: 49.2–68.1 % robust.
    Huang2020Self, measured on 100 images of cifar10-first-100: 43.3–62.5 % robust.
    new is none of the entries, measured on 100 images of cifar10-first-100: 71.1–86.7 % robust.
    new has no rank: AutoAttack was not run on it to the end in Linf at 8/255, as on the networks of
    this table, so its robust accuracy may be too high.
    ");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}
