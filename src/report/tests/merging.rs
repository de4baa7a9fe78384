//! Random sets of runs: in any order, under any names and in any number of copies they are one board, whose
//! cells are counted here once more, from the rows and without any of the code under test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use crate::record::Work;
use crate::report::fixture::{Fixture, attack, attack_row};
use crate::report::gather::Gathered;
use crate::report::{Exporter, Leaderboard, Summary};
use crate::results::{Proportion, Region};
use crate::work::{AttackRow, Evidence, Job};

/// Label, threat, budgets and goal of the attacks; one with several budgets is minimal.
const ATTACKS: [(&str, &str, &[f64], &str); 7] = [
    ("pgd-linf", "Linf", &[0.1], "untargeted"),
    ("pgd-linf", "Linf", &[0.2], "untargeted"),
    ("square", "Linf", &[0.2], "untargeted"),
    ("cw-l2", "L2", &[0.3, 0.5], "untargeted"),
    ("patch-rs", "patch 2x2", &[], "untargeted"),
    ("random-noise", "Linf", &[0.2], "untargeted"),
    ("pgd-to-3", "Linf", &[0.2], "3"),
];
const CONTROL: usize = 5;
const TARGETED: usize = 6;
const MODELS: [&str; 2] = ["aa", "bb"];

#[derive(Debug, Clone)]
struct RawJob {
    model: usize,
    attack: usize,
    seed: u64,
    images: usize,
    rows: Vec<AttackRow>,
}

#[derive(Debug, Clone)]
struct RawRun {
    started: u64,
    jobs: Vec<RawJob>,
}

fn work(number: usize) -> Work {
    let (label, threat, eps, wanted) = ATTACKS[number];
    let mut work = attack(label, threat, eps);
    work.facts.insert("goal".into(), wanted.into());
    work
}

/// Eight images of four classes; 6 and 7 are the same. Network 1 is wrong on image 0.
fn row(model: usize, number: usize, luck: u64, image: u64, shift: u64) -> AttackRow {
    let digest = image.min(6);
    let label = (digest % 4) as u32;
    let mut draw = luck ^ (image << 8) ^ ((model as u64) << 16) ^ ((number as u64) << 24);
    let mut choose = |n: u64| {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (draw >> 33) % n
    };
    let (_, threat, eps, _) = ATTACKS[number];
    let correct = (model, image) != (1, 0);
    let of = |choice: u64, values: [f64; 4]| values[choice as usize];
    let mut new = attack_row(image + shift, correct, Some(0.1));
    new.image = format!("image {digest}");
    new.label = label;
    new.clean = if correct { label } else { label + 1 };
    new.target = (number == TARGETED).then_some(3);
    new.prediction = new.clean;
    if !correct {
        return new;
    }
    let aims_at_itself = number == TARGETED && label == 3;
    if (choose(3) == 0 && number != 3) || aims_at_itself {
        let nothing = attack_row(image + shift, true, None);
        let (image, target) = (new.image, new.target);
        return AttackRow { image, label, clean: label, prediction: label, target, ..nothing };
    }
    new.prediction = if number == TARGETED { 3 } else { (label + 1 + choose(3) as u32) % 4 };
    new.linf = of(choose(4), [0.05, 0.1, 0.2, 0.6]);
    new.l2 = of(choose(4), [0.2, 0.3, 0.5, 2.0]);
    new.l1 = 3.0;
    (new.height, new.width) = (1 + choose(3), 1 + choose(3));
    match threat {
        "Linf" => new.linf = new.linf.min(eps[0]),
        "L2" => {}
        _ => (new.height, new.width) = (new.height.min(2), new.width.min(2)),
    }
    new.distance = if threat == "Linf" { new.linf } else { new.l2 };
    new
}

fn job() -> impl Strategy<Value = RawJob> {
    let parts =
        (0..2_usize, 0..ATTACKS.len(), 0..2_u64, 1..=255_u8, 0..3_usize, 0..4_u64, 0..2_u64);
    parts.prop_map(|(model, attack, seed, mask, cut, luck, shift)| {
        // Mostly all images, and mostly all of them done.
        let mask = if mask % 2 == 0 { 255 } else { mask };
        let images: Vec<u64> = (0..8).filter(|image| mask >> image & 1 == 1).collect();
        let cut = if luck == 0 { cut } else { 0 };
        // Rows of one key may differ where `luck` does.
        let luck = seed * 1000 + luck / 3;
        let done = &images[..images.len() - cut.min(images.len())];
        let rows = done.iter().map(|image| row(model, attack, luck, *image, 100 * shift));
        RawJob { model, attack, seed, images: images.len(), rows: rows.collect() }
    })
}

fn runs() -> impl Strategy<Value = Vec<RawRun>> {
    let run = (0..2_u64, prop::collection::vec(job(), 1..6));
    let run = run.prop_map(|(started, jobs)| RawRun { started, jobs });
    prop::collection::vec(run, 1..4)
}

fn write(run: &RawRun, folder: &Path) {
    let mut fixture =
        Fixture::new("run", 8).model("one", MODELS[0], "").model("two", MODELS[1], "");
    for job in &run.jobs {
        let model = ["one", "two"][job.model];
        fixture = fixture.attack(model, work(job.attack), &job.rows).seed(job.seed);
        fixture = fixture.change(|record| {
            let last = record.jobs.last_mut().unwrap();
            last.images = job.images;
            last.finished = job.rows.len() == job.images;
        });
    }
    fixture.change(|record| record.sessions[0].started = run.started).write(folder);
}

/// Writes the runs into folders of these names, and returns the folders.
fn folders(root: &Path, runs: &[RawRun], names: &str) -> Vec<PathBuf> {
    let names = names.chars().map(|name| root.join(name.to_string()));
    let folders: Vec<PathBuf> = names.take(runs.len()).collect();
    runs.iter().zip(&folders).for_each(|(run, folder)| write(run, folder));
    folders
}

/// The whole board as JSON, without the names of the folders.
fn json(folders: &[PathBuf]) -> String {
    let mut leaderboard = Leaderboard::from_runs(folders).unwrap();
    leaderboard.runs.iter_mut().for_each(|run| run.folder.clear());
    Summary.export(&leaderboard).unwrap()
}

type Key = (String, usize);

/// The rows of a job by image and by how many images with the same digest stand before it.
fn keyed(rows: &[AttackRow]) -> Vec<(Key, &AttackRow)> {
    let mut sorted: Vec<&AttackRow> = rows.iter().collect();
    sorted.sort_by_key(|row| row.idx);
    let before = |row: &AttackRow| {
        rows.iter().filter(|other| other.image == row.image && other.idx < row.idx).count()
    };
    sorted.into_iter().map(|row| ((row.image.clone(), before(row)), row)).collect()
}

/// The rows of all runs about one network.
struct Raw<'a>(Vec<&'a RawJob>);

impl Raw<'_> {
    /// The images that every finished one of `attacks` covers; `None` if none has finished.
    fn common(&self, attacks: &[usize]) -> Option<BTreeSet<Key>> {
        let mut common: Option<BTreeSet<Key>> = None;
        for number in attacks {
            let own = self.0.iter().filter(|job| job.attack == *number);
            let finished: Vec<_> = own.filter(|job| job.rows.len() == job.images).collect();
            if finished.is_empty() {
                continue;
            }
            let covered: BTreeSet<Key> =
                finished.iter().flat_map(|job| keyed(&job.rows)).map(|(key, _)| key).collect();
            common = Some(match common {
                None => covered,
                Some(known) => known.intersection(&covered).cloned().collect(),
            });
        }
        common
    }

    /// Robust images of these, and how many they are.
    fn share(
        &self,
        images: &BTreeSet<Key>,
        inside: impl Fn(&AttackRow) -> bool,
        target: Option<u32>,
    ) -> Option<(usize, usize)> {
        let (mut robust, mut total) = (0, 0);
        for image in images {
            let (mut correct, mut broken, mut of_target) = (true, false, false);
            for job in &self.0 {
                for (key, row) in keyed(&job.rows) {
                    if key != *image {
                        continue;
                    }
                    correct &= row.clean == row.label;
                    of_target |= target == Some(row.label);
                    let adversarial =
                        row.found == 1 && row.clean == row.label && row.prediction != row.label;
                    let wanted = target.is_none_or(|target| row.prediction == target);
                    broken |= adversarial && wanted && job.attack != CONTROL && inside(row);
                }
            }
            if !of_target {
                total += 1;
                robust += usize::from(correct && !broken);
            }
        }
        (total > 0).then_some((robust, total))
    }
}

fn counts(share: Option<Proportion>) -> Option<(usize, usize)> {
    share.map(|share| (share.count, share.total))
}

/// Every cell of the board against a count over the rows.
fn check_cells(leaderboard: &Leaderboard, runs: &[RawRun]) {
    type Inside = fn(&AttackRow) -> bool;
    let columns: [(&str, &[usize], Inside); 6] = [
        ("Linf 0.1", &[0], |row| row.linf <= 0.1 + 1e-6),
        ("Linf 0.2", &[1, 2], |row| row.linf <= 0.2 + 1e-6),
        ("L2 0.3", &[3], |row| row.l2 <= 0.3 + 1e-6),
        ("L2 0.5", &[3], |row| row.l2 <= 0.5 + 1e-6),
        ("patch 2x2", &[4], |row| row.height <= 2 && row.width <= 2),
        ("Linf 0.2 to class 3", &[TARGETED], |row| row.linf <= 0.2 + 1e-6),
    ];
    for standing in leaderboard.boards.iter().flat_map(|board| &board.standings) {
        let number =
            MODELS.iter().position(|sha| standing.entrant.model.identity.starts_with(sha)).unwrap();
        let jobs = runs.iter().flat_map(|run| &run.jobs).filter(|job| job.model == number);
        let raw = Raw(jobs.collect());
        let finished = |number: usize| raw.common(&[number]).is_some();
        for threat in &standing.threats {
            let (_, attacks, inside) =
                columns.iter().find(|(title, ..)| *title == threat.title).unwrap();
            let target = threat.title.ends_with("class 3").then_some(3);
            let images = raw.common(attacks).unwrap_or_default();
            let expected = raw.share(&images, inside, target);
            assert_eq!(counts(threat.worst.robust), expected, "{}", threat.title);
        }
        let untargeted = [0, 1, 2, 3, 4];
        let images = raw.common(&untargeted).unwrap_or_default();
        let linf = if finished(1) || finished(2) { 0.2 } else { 0.1 };
        let any_linf = finished(0) || finished(1) || finished(2);
        let inside = |row: &AttackRow| {
            (any_linf && row.linf <= linf + 1e-6)
                || (finished(3) && row.l2 <= 0.5 + 1e-6)
                || (finished(4) && row.height <= 2 && row.width <= 2)
        };
        let expected = raw.share(&images, inside, None);
        let worst = standing.worst.as_ref().and_then(|worst| worst.robust);
        assert_eq!(counts(worst), expected, "worst case of {}", standing.entrant.model.name);
        if expected.is_some() {
            let clean = raw.share(&images, |_| false, None);
            assert_eq!(counts(standing.clean), clean);
        }
    }
    for board in &leaderboard.boards {
        let ranked: Vec<_> = board
            .standings
            .iter()
            .filter_map(|s| {
                Some((s.rank?, s.worst.as_ref()?.robust?.count, s.entrant.image_set.clone()))
            })
            .collect();
        for (rank, count, images) in &ranked {
            let better = ranked.iter().filter(|(_, other, _)| other > count).count();
            assert_eq!((*rank, images), (better + 1, &board.image_set));
        }
    }
}

/// For each network, image and region whether the image is robust there.
fn verdicts(folders: &[PathBuf]) -> BTreeMap<(String, String, usize), bool> {
    let regions = [
        Region::new("Linf", Some(0.1)),
        Region::new("Linf", Some(0.2)),
        Region::new("L2", Some(0.5)),
        Region::new("patch 2x2", None),
    ];
    let all = Gathered::read(folders).unwrap();
    let mut verdicts = BTreeMap::new();
    for (number, model) in all.models.iter().enumerate() {
        let jobs: Vec<&Job> = all.jobs.iter().filter(|job| job.model == number).collect();
        let evidence = Evidence::new(&jobs);
        for (key, _) in jobs.iter().flat_map(|job| job.rows.keys()) {
            for (at, region) in regions.iter().enumerate() {
                let robust = evidence.robust(key, region, None);
                verdicts.insert((model.identity.clone(), key.to_string(), at), robust);
            }
        }
    }
    verdicts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn cells_are_what_the_rows_say(runs in runs()) {
        let root = tempfile::tempdir().unwrap();
        let leaderboard = Leaderboard::from_runs(&folders(root.path(), &runs, "abcd")).unwrap();
        check_cells(&leaderboard, &runs);
    }

    #[test]
    fn order_names_and_copies_do_not_matter(runs in runs(), turn in 0..4_usize) {
        let [here, there, more] = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let plain = folders(here.path(), &runs, "abcd");
        let expected = json(&plain);
        let mut other = folders(there.path(), &runs, "zyxw");
        other.reverse();
        let turn = turn % other.len();
        other.rotate_left(turn);
        prop_assert_eq!(&json(&other), &expected);
        other.extend(folders(more.path(), &runs[..1 + turn], "mnop"));
        prop_assert_eq!(&json(&other), &expected);
    }

    #[test]
    fn a_further_run_never_makes_a_network_more_robust(runs in runs()) {
        let root = tempfile::tempdir().unwrap();
        let all = folders(root.path(), &runs, "abcd");
        let fewer = &all[..all.len().max(2) - 1];
        let (before, after) = (verdicts(fewer), verdicts(&all));
        for (image, robust) in &before {
            prop_assert!(*robust || !after[image], "{:?}", image);
        }
        let cells = |folders: &[PathBuf]| {
            let leaderboard = Leaderboard::from_runs(folders).unwrap();
            let standings = leaderboard.boards.into_iter().flat_map(|board| board.standings);
            let cells = standings.flat_map(|standing| {
                let threats = standing.threats.into_iter().map(|t| (t.title, t.worst));
                let worst = standing.worst.map(|worst| ("worst case".to_owned(), worst));
                let identity = standing.entrant.model.identity;
                threats.chain(worst).map(move |(title, worst)| ((identity.clone(), title), worst))
            });
            cells.collect::<BTreeMap<_, _>>()
        };
        let (before, after) = (cells(fewer), cells(&all));
        for (cell, worst) in &before {
            let now = &after[cell];
            if worst.images == now.images && worst.robust.is_some() {
                prop_assert!(now.robust.unwrap().count <= worst.robust.unwrap().count);
            }
        }
    }
}
