//! Attacks with patches: where the change is in every row, tables that were begun without it, several sizes, and
//! patches that are no rectangles from the suite to the board.

use std::path::Path;

use crate::bench::{Plan, RunOptions, Suite, run};
use crate::data;
use crate::record::{RunRecord, encode_table, read_table};
use crate::threat::Change;
use crate::verify::run::{Settings, Verification, verify_run};
use crate::work::{AttackRow, Silent};

fn suite(images: usize, attack: &str) -> Suite {
    let text = format!(
        "name = \"patches\"\nsave_adversarial = true\n[[model]]\npath = \"bundled:digits-standard\"\n\
         [[data]]\nspec = \"digits\"\nimages = {{ first = {images} }}\n[[attack]]\n{attack}\n"
    );
    Suite::parse(&text, Path::new("suite.toml")).unwrap()
}

fn attacked(folder: &Path, images: usize, attack: &str) -> RunRecord {
    let plan = Plan::new(&suite(images, attack)).unwrap();
    run(&plan, &RunOptions { folder, stop: &|| false }, &mut Silent).unwrap();
    RunRecord::read(folder).unwrap()
}

/// The rows of the only job, and the text of its table.
fn table(folder: &Path, record: &RunRecord) -> (Vec<AttackRow>, String) {
    let [job] = record.jobs.as_slice() else { panic!("{} jobs", record.jobs.len()) };
    let path = folder.join(&job.file);
    (read_table(&path, &job.key).unwrap().rows, std::fs::read_to_string(&path).unwrap())
}

fn looked_at(folder: &Path, in_f64: bool) -> Verification {
    verify_run(folder, &Settings { in_f64, ..Settings::default() }, &|| false).unwrap()
}

const ROA: &str = "attack = \"roa\"\npatch = \"1x2\"\nparameters = { steps = 30 }";

#[test]
fn every_row_says_where_the_change_is() {
    let folder = tempfile::tempdir().unwrap();
    let record = attacked(folder.path(), 40, ROA);
    let (rows, text) = table(folder.path(), &record);
    assert!(text.starts_with("idx,image,label,") && text.contains(",height,width,top,left,"));
    let saved = folder.path().join(&record.jobs[0].file);
    let saved = saved.with_extension("adversarial.safetensors");
    let saved = data::open(&format!("safetensors:{}", saved.display())).unwrap();
    let clean = data::open("digits").unwrap();
    let pixels = |data: &dyn data::Dataset, at: usize| {
        let images = data.read(&[at]).unwrap().images;
        images.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let broken: Vec<(usize, &AttackRow)> =
        rows.iter().enumerate().filter(|(_, row)| row.adversarial()).collect();
    assert!(broken.len() > 3 && broken.len() < 40, "{} broken", broken.len());
    for (at, row) in &broken {
        let (x, x0) = (pixels(saved.as_ref(), *at), pixels(clean.as_ref(), *at));
        let is = Change::of(&x, &x0, [1, 8, 8]);
        let place = row.top.flatten().zip(row.left.flatten()).map(|(top, left)| [top, left]);
        assert_eq!((place, row.height, row.width), (is.place, is.height, is.width));
        let [top, left] = place.unwrap();
        assert!(row.height == 1 && (1..=2).contains(&row.width));
        assert!(top + row.height <= 8 && left + row.width <= 8);
    }
    let others = rows.iter().filter(|row| !row.adversarial());
    assert!(others.into_iter().all(|row| row.top == Some(None) && row.left == Some(None)));

    // A place that is another one is no more what the images say.
    let job = &record.jobs[0];
    let mut moved = rows.clone();
    let at = broken[0].0;
    moved[at].top = Some(moved[at].top.flatten().map(|top| top ^ 1));
    let path = folder.path().join(&job.file);
    assert_eq!(looked_at(folder.path(), false).findings, []);
    std::fs::write(&path, encode_table(&path, &job.key, &moved, true).unwrap()).unwrap();
    let found = looked_at(folder.path(), false).findings;
    assert!(found.len() == 1 && found[0].problem.contains("the saved image differs"), "{found:?}");
    // And a place without a change is none.
    moved[at].top = Some(None);
    std::fs::write(&path, encode_table(&path, &job.key, &moved, true).unwrap()).unwrap();
    assert!(read_table::<AttackRow>(&path, &job.key).is_err());
}

/// A table of a version that did not say where the change is: it is read, and goes on as it was begun.
#[test]
fn a_table_without_places_goes_on_without_them() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let record = attacked(old.path(), 5, ROA);
    let job = &record.jobs[0];
    let (mut rows, _) = table(old.path(), &record);
    rows.iter_mut().for_each(|row| (row.top, row.left) = (None, None));
    let path = old.path().join(&job.file);
    std::fs::write(&path, encode_table(&path, &job.key, &rows, true).unwrap()).unwrap();
    let record = attacked(old.path(), 9, ROA);
    let (grown, text) = table(old.path(), &record);
    assert!(!text.contains("top") && grown.len() == 9);
    assert!(grown.iter().all(|row| row.top.is_none() && row.left.is_none()));
    assert_eq!(looked_at(old.path(), false).findings, []);
    let record = attacked(new.path(), 9, ROA);
    let (whole, _) = table(new.path(), &record);
    let bare = |row: &AttackRow| AttackRow { top: None, left: None, seconds: 0.0, ..row.clone() };
    assert!(grown.iter().map(bare).eq(whole.iter().map(bare)));
}

#[test]
fn sizes_and_forms_are_jobs_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let mask = folder.path().join("mask.png");
    let pixels = vec![255, 0, 255, 255];
    image::GrayImage::from_raw(2, 2, pixels).unwrap().save(&mask).unwrap();
    let sizes = format!(
        "attack = \"roa\"\npatch = [\"2x2\", 2, \"circle:4\", \"2x2x2\", 'mask:{}']\nparameters = {{ steps = 20 }}",
        mask.display()
    );
    let run = folder.path().join("run");
    let record = attacked(&run, 10, &sizes);
    let threats: Vec<&str> = record.jobs.iter().map(|job| job.work.threat.as_str()).collect();
    // A square of two pixels is 2x2.
    assert_eq!(threats[..3], ["patch 2x2", "patch circle:4", "patch 2x2x2"]);
    assert!(threats.len() == 4 && threats[3].starts_with("patch mask:2x2:"), "{threats:?}");
    let labels: Vec<&str> = record.jobs.iter().map(|job| job.work.label.as_str()).collect();
    assert_eq!(labels[..3], ["roa-2x2", "roa-circle-4", "roa-2x2x2"]);
    assert!(record.jobs[3].work.fact("mask").ends_with("mask.png"));
    let found = looked_at(&run, true);
    assert_eq!((&found.findings[..], found.adversarial), (&[][..], 40));
    assert!(found.in_f64 > 8 && found.by_rounding.is_empty(), "{found:?}");
    // Of another mask nothing is known to lie inside this one.
    image::GrayImage::from_raw(2, 2, vec![255, 255, 255, 0]).unwrap().save(&mask).unwrap();
    let found = looked_at(&run, false).findings;
    assert!(!found.is_empty());
    assert!(found.iter().all(|one| one.problem.ends_with("outside the threat model")), "{found:?}");
}

#[test]
fn what_a_place_or_a_form_does_not_fit_is_refused_before_the_first_job() {
    for (attack, problem) in [
        (
            "attack = \"roa\"\npatch = \"2x2\"\nparameters = { place = \"7,0\" }",
            "leaves an image of 8x8",
        ),
        ("attack = \"patch-search\"\npatch = \"2x2x2\"", "looks for the place of one patch"),
        ("attack = \"roa\"\npatch = [\"2x2\", \"9x9\"]", "do not fit into an image of 8x8"),
        ("attack = \"roa\"\npatch = \"circle:9\"", "do not fit into an image of 8x8"),
        ("attack = \"roa\"\npatch = \"mask:nowhere.png\"", "nowhere.png"),
    ] {
        let error = Plan::new(&suite(4, attack)).err().unwrap();
        assert!(error.to_string().contains(problem), "{attack}: {error}");
    }
}
