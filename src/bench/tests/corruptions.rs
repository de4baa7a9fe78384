//! Corruption benchmarks from end to end, on digits.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::bench::{DataEntry, ModelEntry, Plan, RunOptions, Suite, Summary, run};
use crate::data;
use crate::error::{Error, Result};
use crate::record::{RunRecord, read_table};
use crate::report::compare::{Settings, compare};
use crate::report::{Csv, Exporter as _, Leaderboard, Markdown, Terminal};
use crate::verify::run as verify;
use crate::work::{CorruptionEntry, CorruptionResult, CorruptionRow, Entry, Silent};

/// Severities of every corruption.
const SEVERITIES: usize = 5;

/// The digits as a folder of classes, for these corruptions, all severities alike but the last,
/// where half of the images lie in a wrong class.
fn folder(corruptions: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let digits = data::open("digits").unwrap().read(&(0..20).collect::<Vec<_>>()).unwrap();
    let pixels = digits.images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for corruption in corruptions {
        for severity in 1..=SEVERITIES {
            for class in 0..10 {
                let path = format!("{corruption}/{severity}/{class}");
                std::fs::create_dir_all(root.path().join(path)).unwrap();
            }
            for (i, image) in pixels.chunks(64).enumerate() {
                let wrong = usize::from(severity == SEVERITIES && i % 2 == 0);
                let class = (digits.labels[i] as usize + wrong) % 10;
                let bytes = image.iter().map(|p| (p * 255.0).round() as u8).collect();
                let path = format!("{corruption}/{severity}/{class}/{i}.png");
                let image = image::GrayImage::from_raw(8, 8, bytes).unwrap();
                image.save(root.path().join(path)).unwrap();
            }
        }
    }
    root
}

fn npy(shape: &str, bytes: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(bytes);
    file
}

/// The same in the layout of CIFAR-C, four images per severity.
fn stacked() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let digits = data::open("digits").unwrap().read(&[0, 1, 2, 3]).unwrap();
    let pixels = digits.images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let bytes: Vec<u8> = pixels.iter().map(|p| (p * 255.0).round() as u8).collect();
    let labels: Vec<u8> = digits.labels.iter().map(|label| *label as u8).collect();
    std::fs::write(root.path().join("fog.npy"), npy("(20, 1, 8, 8)", &bytes.repeat(5))).unwrap();
    std::fs::write(root.path().join("labels.npy"), npy("(20,)", &labels.repeat(5))).unwrap();
    root
}

/// A network under these corruptions.
fn suite(entry: CorruptionEntry) -> Suite {
    let text = "name = \"test\"\nbatch = 3\nmodel = []\ndata = []\n";
    let mut suite = Suite::parse(text, Path::new("suite.toml")).unwrap();
    let model = ModelEntry { path: "bundled:digits-pgd".into(), ..ModelEntry::default() };
    suite.models.push(model);
    suite.data.push(DataEntry { spec: "digits".into(), name: None, images: None });
    suite.corruptions.push(entry.into());
    suite
}

fn fog(folder: &Path) -> CorruptionEntry {
    CorruptionEntry {
        folder: folder.into(),
        only: vec!["fog".into()],
        ..CorruptionEntry::default()
    }
}

fn run_until(suite: &Suite, folder: &Path, stop: &(dyn Fn() -> bool + Sync)) -> Result<Summary> {
    run(&Plan::new(suite)?, &RunOptions { folder, stop }, &mut Silent)
}

fn rows(folder: &Path) -> Vec<CorruptionRow> {
    let job = RunRecord::read(folder).unwrap().jobs.remove(0);
    read_table(&folder.join(&job.file), &job.key).unwrap().rows
}

#[test]
fn stacked_files_give_the_accuracy_of_their_severities() {
    let (data, output) = (stacked(), tempfile::tempdir().unwrap());
    let summary = run_until(&suite(fog(data.path())), output.path(), &|| false).unwrap();
    assert_eq!((summary.finished, summary.failures.len()), (1, 0));
    let rows = rows(output.path());
    // The first four digits of the test split are ones the network knows.
    let found: Vec<_> = rows.iter().map(|r| (r.severity, r.correct, r.images)).collect();
    assert_eq!(found, [1, 2, 3, 4, 5].map(|severity| (severity, 4, 4)));
    let board = Leaderboard::from_runs(&[output.path().into()]).unwrap();
    let text = Terminal { width: 100, colour: false }.export(&board).unwrap();
    assert!(text.contains("Accuracy under corruptions") && text.contains("100.00"), "{text}");
    assert!(Csv.export(&board).unwrap().contains("corruptions fog 5"));
}

#[test]
fn a_corruption_that_is_named_twice_is_measured_once() {
    let (data, output) = (stacked(), tempfile::tempdir().unwrap());
    let only = vec!["fog".to_owned(); 2];
    let suite = suite(CorruptionEntry { only, ..fog(data.path()) });
    run_until(&suite, output.path(), &|| false).unwrap();
    assert_eq!(rows(output.path()).len(), SEVERITIES);
    run_until(&suite, output.path(), &|| false).unwrap();
}

/// Two networks over other numbers of images: every number says over how many it is.
#[test]
fn results_over_other_images_are_told_apart() {
    let (data, outputs) = (stacked(), [(); 2].map(|()| tempfile::tempdir().unwrap()));
    run_until(&suite(fog(data.path())), outputs[0].path(), &|| false).unwrap();
    let mut half = suite(CorruptionEntry { first: Some(2), ..fog(data.path()) });
    half.models[0].path = "bundled:digits-trades".into();
    run_until(&half, outputs[1].path(), &|| false).unwrap();
    let folders = outputs.each_ref().map(|output| output.path().to_path_buf());
    let board = Leaderboard::from_runs(&folders).unwrap();
    let text = Markdown.export(&board).unwrap();
    for part in [
        "digits-pgd: mean accuracy over 1 corruption at 5 severities, 4 images each.",
        "digits-trades: mean accuracy over 1 corruption at 5 severities, 2 images each.",
        "run the smaller ones again with a larger -n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let error = compare(&folders[0], &folders[1], &Settings::default()).unwrap_err();
    assert!(error.to_string().contains("fog (over other corruptions or images)"), "{error}");
}

/// Two entries of one network are one job: the larger has the images of the smaller.
#[test]
fn two_entries_of_one_network_are_refused() {
    let data = stacked();
    let mut suite = suite(CorruptionEntry { label: Some("whole".into()), ..fog(data.path()) });
    let half = CorruptionEntry { label: Some("half".into()), first: Some(2), ..fog(data.path()) };
    suite.corruptions.push(half.into());
    let error = Plan::new(&suite).err().unwrap();
    let (text, hint) = (error.to_string(), error.hint().unwrap());
    assert!(text.contains("--half` occurs twice: `digits-pgd--whole` has the same"), "{text}");
    assert!(hint.contains("one entry for both"), "{hint}");
}

/// More images are the same job: what is measured is taken over, and the rows are those of a run over all.
#[test]
fn more_images_grow_the_job() {
    let (data, output, whole) =
        (stacked(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let of = |first| suite(CorruptionEntry { first, ..fog(data.path()) });
    run_until(&of(None), whole.path(), &|| false).unwrap();
    run_until(&of(Some(1)), output.path(), &|| false).unwrap();
    // The first batch and the digests of the second: stops in the second severity.
    let asked = AtomicUsize::new(0);
    let stop = || asked.fetch_add(1, Ordering::Relaxed) == 3;
    assert!(run_until(&of(Some(3)), output.path(), &stop).is_err());
    let images = |rows: &[CorruptionRow]| rows.iter().map(|row| row.images).collect::<Vec<_>>();
    assert_eq!(images(&rows(output.path())), [3, 1, 1, 1, 1]);
    assert!(!RunRecord::read(output.path()).unwrap().jobs[0].finished);
    let board = Leaderboard::from_runs(&[output.path().into()]).unwrap();
    let text = Markdown.export(&board).unwrap();
    assert!(text.contains("at 5 severities, 1 to 3 images each."), "{text}");
    for first in [Some(3), None, Some(2)] {
        run_until(&of(first), output.path(), &|| false).unwrap();
    }
    assert_eq!(rows(output.path()), rows(whole.path()));
    let record = RunRecord::read(output.path()).unwrap();
    assert_eq!(record.jobs.len(), 1);
    assert_eq!(record.jobs[0].work.label, "corruptions");
    assert!(record.jobs[0].finished);
    // A session that found everything done is not recorded.
    assert_eq!(record.sessions.len(), 4);
    let settings = verify::Settings { certificates: 5, ..verify::Settings::default() };
    let found = verify::verify_run(output.path(), &settings, &|| false).unwrap();
    assert_eq!((&found.findings[..], found.certificates, found.corruptions), (&[][..], 0, 5));
}

#[test]
fn jobs_of_one_label_say_in_what_they_differ() {
    let text =
        "name = \"x\"\n[[model]]\npath = \"bundled:digits-pgd\"\n[[data]]\nspec = \"digits\"\n";
    let fgsm = "label = \"mine\"\nnorm = \"Linf\"\neps = 0.1\n";
    let suite = |attack: &str| {
        let text = format!("{text}[[attack]]\nattack = \"{attack}\"\n{fgsm}");
        Suite::parse(&text, Path::new("suite.toml")).unwrap()
    };
    let output = tempfile::tempdir().unwrap();
    let mut first = suite("fgsm");
    first.data[0].images = Some(data::Selection::First(2));
    let mut second = suite("pgd");
    second.data[0].images = Some(data::Selection::First(2));
    for suite in [&first, &second] {
        run_until(suite, output.path(), &|| false).unwrap();
    }
    let jobs = RunRecord::read(output.path()).unwrap().jobs;
    let labels: Vec<&str> = jobs.iter().map(|job| job.work.label.as_str()).collect();
    assert_eq!(labels, ["mine", "mine (method=pgd)"]);
}

#[test]
fn two_networks_are_compared_corruption_by_corruption() {
    let (data, outputs) = (stacked(), [(); 2].map(|()| tempfile::tempdir().unwrap()));
    let mut other = suite(fog(data.path()));
    other.models[0].path = "bundled:digits-trades".into();
    run_until(&suite(fog(data.path())), outputs[0].path(), &|| false).unwrap();
    run_until(&other, outputs[1].path(), &|| false).unwrap();
    let [a, b] = outputs.each_ref().map(|output| output.path().to_path_buf());
    let comparison = compare(&a, &b, &Settings::default()).unwrap();
    let titles: Vec<&str> = comparison.rows.iter().map(|row| row.title.as_str()).collect();
    assert_eq!(titles, ["mean accuracy", "fog"]);
    let mean = |folder: &Path| {
        let rows = rows(folder);
        rows.iter().map(CorruptionRow::accuracy).sum::<f64>() / rows.len() as f64
    };
    let row = &comparison.rows[0];
    assert_eq!((row.images, row.lists, row.p_value), (5, true, None));
    assert_eq!((row.first, row.second), (mean(&a), mean(&b)));
    let text = comparison.to_string();
    assert!(text.contains("there is no p") && !text.contains("McNemar"), "{text}");
}

/// As errors about damaged tables say.
#[test]
fn a_table_that_was_deleted_is_computed_again() {
    let (data, output) = (stacked(), tempfile::tempdir().unwrap());
    let suite = suite(fog(data.path()));
    run_until(&suite, output.path(), &|| false).unwrap();
    let before = rows(output.path());
    let job = RunRecord::read(output.path()).unwrap().jobs.remove(0);
    std::fs::remove_file(output.path().join(&job.file)).unwrap();
    run_until(&suite, output.path(), &|| false).unwrap();
    assert_eq!(rows(output.path()), before);
}

#[test]
fn a_stopped_run_goes_on_and_grows_by_corruptions() {
    let (data, output) = (stacked(), tempfile::tempdir().unwrap());
    let suite = suite(fog(data.path()));
    let asked = AtomicUsize::new(0);
    // Two batches per severity: stops in the middle of the third.
    let stop = || asked.fetch_add(1, Ordering::Relaxed) == 5;
    let ended = run_until(&suite, output.path(), &stop);
    assert!(matches!(ended, Err(Error::Interrupted)));
    assert_eq!(rows(output.path()).len(), 2);
    let unfinished = Leaderboard::from_runs(&[output.path().into()]).unwrap();
    let text = Markdown.export(&unfinished).unwrap();
    assert!(text.contains("Unfinished: digits-pgd under corruptions 2/5 images."), "{text}");
    run_until(&suite, output.path(), &|| false).unwrap();
    let first = rows(output.path());
    assert_eq!(first.iter().map(|row| row.severity).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    // Another corruption is added to the same table.
    std::fs::copy(data.path().join("fog.npy"), data.path().join("snow.npy")).unwrap();
    let mut wider = suite.clone();
    wider.corruptions[0].0.insert("only".into(), vec!["snow"].into());
    run_until(&wider, output.path(), &|| false).unwrap();
    let grown = rows(output.path());
    assert_eq!((grown.len(), &grown[..5]), (10, &first[..]));
    // Another label, and nothing is believed to be finished.
    let labels = data.path().join("labels.npy");
    let mut bad = std::fs::read(&labels).unwrap();
    *bad.last_mut().unwrap() ^= 1;
    std::fs::write(&labels, bad).unwrap();
    let failures = run_until(&suite, output.path(), &|| false).unwrap().failures;
    let error = failures[0].error.to_string();
    assert!(error.contains("fog 5: its images or labels have changed"), "{error}");
}

/// Half of the images of severity 5 lie in a wrong class. A network's errors relative to its own are 1.
#[test]
fn the_mean_is_over_severities_and_errors_are_relative_to_the_baseline() {
    let (data, output) = (stacked(), tempfile::tempdir().unwrap());
    let labels = data.path().join("labels.npy");
    let mut wrong = std::fs::read(&labels).unwrap();
    let last = wrong.len() - 1;
    (wrong[last], wrong[last - 2]) = ((wrong[last] + 1) % 10, (wrong[last - 2] + 1) % 10);
    std::fs::write(&labels, wrong).unwrap();
    let entry = CorruptionEntry { baseline: Some("digits-pgd".into()), ..fog(data.path()) };
    run_until(&suite(entry), output.path(), &|| false).unwrap();
    let board = Leaderboard::from_runs(&[output.path().into()]).unwrap();
    let entrant = &board.boards[0].standings[0].entrant;
    let result: &CorruptionResult = entrant.results().next().unwrap();
    assert!((result.accuracy.unwrap() - 0.9).abs() < 1e-12);
    assert_eq!(result.corruptions[0].severities, [1.0, 1.0, 1.0, 1.0, 0.5]);
    assert!((result.mce.unwrap() - 1.0).abs() < 1e-12);
    let text = Markdown.export(&board).unwrap();
    assert!(text.contains("| fog        | 90.00 (100.00) |"), "{text}");
}

#[test]
fn what_does_not_fit_is_found_before_the_first_image() {
    let output = tempfile::tempdir().unwrap();
    let (data, folders) = (stacked(), folder(&["fog"]));
    let only = |name: &str| vec![name.to_owned()];
    let unlabelled = stacked();
    std::fs::remove_file(unlabelled.path().join("labels.npy")).unwrap();
    let spec = PathBuf::from(format!("cifar-c:{},fog,1", data.path().display()));
    let shape = Some("Res224".to_owned());
    let folder_too = format!("give the folder alone: {};", data.path().display());
    for (entry, problem, hint) in [
        (
            CorruptionEntry { only: only("fgo"), ..fog(data.path()) },
            "fgo.npy: corruption: there is no such file",
            "did you mean `fog`? there are fog",
        ),
        (fog(unlabelled.path()), "labels.npy: labels: there is no such file", "copy it from"),
        (
            CorruptionEntry { preprocessing: shape, ..fog(data.path()) },
            "corruption: preprocessing: does not apply to CIFAR-C",
            "leave preprocessing out",
        ),
        (
            CorruptionEntry { ids: Some("ids.txt".into()), ..fog(data.path()) },
            "corruption: ids: does not apply to CIFAR-C",
            "leave ids out",
        ),
        (fog(&spec), "folder: there is no such folder", &folder_too),
        (
            CorruptionEntry { only: only("snow"), ..fog(folders.path()) },
            "snow/1: corruption: there is no such folder",
            "there are: fog;",
        ),
        // Folders of images come through a preprocessing, to which this network does not fit.
        (fog(folders.path()), "takes images [1, 8, 8]", ""),
        (
            CorruptionEntry { only: only("../fog"), ..fog(data.path()) },
            "`../fog` is no name of one",
            "",
        ),
    ] {
        let error = run_until(&suite(entry), output.path(), &|| false).unwrap_err();
        assert!(error.to_string().contains(problem), "{error}");
        let said = error.hint().unwrap_or_default();
        assert!(said.contains(hint), "{said}");
    }
    let text = format!("folder = \"{}\"\nonly = []\n", data.path().display());
    let mut none = suite(fog(data.path()));
    none.corruptions[0] = Entry(toml::from_str(&text).unwrap());
    let error = Plan::new(&none).err().unwrap();
    assert!(error.to_string().contains("corruption: only: the list is empty"), "{error}");
    assert!(!output.path().join("run.toml").exists());
}

#[test]
fn layouts_have_specifications_of_their_own() {
    let spec = |folder: PathBuf| {
        let entry = CorruptionEntry { folder, ..CorruptionEntry::default() };
        entry.specification("fog", "2")
    };
    let data = stacked();
    assert_eq!(spec(data.path().into()), format!("cifar-c:{},fog,2", data.path().display()));
    let folders = folder(&["fog"]);
    let expected = format!("folder:{}/fog/2,Res224", folders.path().display());
    assert_eq!(spec(folders.path().into()), expected);
    let imagenet = tempfile::tempdir().unwrap();
    let class = imagenet.path().join("gaussian_noise/1/n01440764");
    std::fs::create_dir_all(class).unwrap();
    let expected = format!("imagenet:{}/fog/2,Res224", imagenet.path().display());
    assert_eq!(spec(imagenet.path().into()), expected);
}
