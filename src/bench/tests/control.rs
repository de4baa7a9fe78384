//! An attack that stands in for a dearer one: its control, stopped anywhere, and where it goes over to the other.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::bench::{Plan, RunOptions, Suite, run};
use crate::error::Result;
use crate::record::{CheckRecord, RunRecord, read_table};
use crate::work::{AttackRow, Silent};

/// Attacks on 24 images.
fn plan(attack: &str, parameters: &str, batch: usize) -> Plan {
    plan_in("Linf", attack, parameters, batch)
}

/// The same in another ball, of which a part of the images is left.
fn plan_in(norm: &str, attack: &str, parameters: &str, batch: usize) -> Plan {
    let eps = if norm == "L1" { 2.0 } else { 0.2 };
    let text = format!(
        "name = \"test\"\nbatch = {batch}\nsave_adversarial = true\n[[model]]\npath = \"bundled:digits-pgd\"\n\
         [[data]]\nspec = \"digits:test\"\nimages = {{ first = 24 }}\n\
         [[attack]]\nattack = \"{attack}\"\nlabel = \"job\"\nnorm = \"{norm}\"\neps = {eps}\n\
         parameters = {{ {parameters} }}\n"
    );
    Plan::new(&Suite::parse(&text, Path::new("suite.toml")).unwrap()).unwrap()
}

const TABLE: &str = "jobs/digits-pgd/job-0.2.csv";

fn rows(folder: &Path) -> BTreeMap<u64, AttackRow> {
    let job = &RunRecord::read(folder).unwrap().jobs[0];
    let rows = read_table::<AttackRow>(&folder.join(&job.file), &job.key).unwrap().rows;
    rows.into_iter().map(|row| (row.idx, AttackRow { seconds: 0.0, ..row })).collect()
}

/// Runs `plan` until the network was asked so many times.
fn run_for(plan: &Plan, folder: &Path, passes: usize) -> Result<crate::bench::Summary> {
    let asked = AtomicUsize::new(0);
    let stop = || asked.fetch_add(1, Ordering::Relaxed) >= passes;
    run(plan, &RunOptions { folder, stop: &stop }, &mut Silent)
}

fn finished(plan: &Plan) -> (tempfile::TempDir, BTreeMap<u64, AttackRow>) {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run_for(plan, folder.path(), usize::MAX).unwrap().finished, 1);
    let rows = rows(folder.path());
    assert_eq!(rows.len(), 24);
    (folder, rows)
}

#[test]
fn a_control_depends_neither_on_batches_nor_on_where_the_run_was_stopped() {
    let together = plan("fast", "control = 2", 24);
    let (_whole, whole) = finished(&together);
    let asked = whole.values().filter(|row| row.reference != Some(0)).count();
    assert_eq!(asked, 2);
    assert!(whole.values().all(|row| row.reference.is_some()));
    let apart = plan("fast", "control = 2", 5);
    assert_eq!(finished(&apart).1, whole);
    let folder = tempfile::tempdir().unwrap();
    let pending = folder.path().join(TABLE).with_extension("pending.csv");
    let (mut calls, mut waited) = (0, 0);
    // The control is one batch of the longest attack there is: at last it has to get through in one go.
    let passes = [700, 700, 3000, usize::MAX];
    while run_for([&apart, &together][calls % 2], folder.path(), passes[calls]).is_err() {
        calls += 1;
        waited += usize::from(pending.exists());
    }
    assert!(waited > 0, "nothing was stopped while images waited");
    assert_eq!(rows(folder.path()), whole);
    assert!(!pending.exists());
    let saved = folder.path().join(TABLE).with_extension("adversarial.safetensors");
    assert!(saved.exists());
}

#[test]
fn images_of_the_control_get_the_row_of_the_reference_attack() {
    let (_folder, fast) = finished(&plan("fast", "control = 24", 24));
    let (_folder, full) = finished(&plan("autoattack", "", 24));
    let mut asked = 0;
    for (idx, row) in &fast {
        let passes = full[idx].forwards + full[idx].backwards;
        if row.reference != Some(0) {
            asked += 1;
            assert_eq!((row.found, row.reference), (full[idx].found, Some(passes)), "image {idx}");
            assert_eq!(row.adversarial, full[idx].adversarial);
            assert!(row.forwards + row.backwards > passes);
        } else {
            assert_eq!(row.found, 1);
        }
    }
    assert!(asked > 2);
}

#[test]
fn where_gradients_mislead_the_reference_attack_does_it_all() {
    let path = Path::new("benchmarks/models/digits-pgd.safetensors");
    let tensors = candle_core::safetensors::load(path, &candle_core::Device::Cpu).unwrap();
    // No activation is ever positive: the logits are the last bias, whatever the image.
    let dead = tensors.into_iter().map(|(key, tensor)| match key.ends_with("bias") {
        true if tensor.elem_count() != 10 => (key, (tensor - 1e4).unwrap()),
        _ => (key, tensor),
    });
    let card = crate::model::ModelCard::new("digits-pgd", crate::zoo::find("digits-cnn").unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("digits-pgd.safetensors");
    crate::model::file::save(&file, &dead.collect(), &card).unwrap();
    let suite = |parameters: &str| {
        let text = format!(
            "name = \"test\"\n[[model]]\npath = \"{}\"\n[[data]]\nspec = \"digits:test\"\n\
             images = {{ first = 24 }}\n[[attack]]\nattack = \"fast\"\nlabel = \"job\"\nnorm = \"Linf\"\n\
             eps = 0.2\nparameters = {{ {parameters} }}\n",
            file.display()
        );
        Plan::new(&Suite::parse(&text, Path::new("suite.toml")).unwrap()).unwrap()
    };
    let (run, rows) = finished(&suite("malt_classes = 3"));
    let correct = || rows.values().filter(|row| row.clean_correct());
    assert!(correct().count() > 0);
    assert!(correct().all(|row| row.reference == Some(row.forwards + row.backwards)));
    let key = &RunRecord::read(run.path()).unwrap().jobs[0].key;
    let checks = CheckRecord::read(&run.path().join(TABLE), key).unwrap().unwrap();
    assert!(checks.findings.iter().any(|finding| finding.check == "zero-gradients"));
    assert!(checks.findings.iter().all(|finding| finding.check != "control"));
    let (_run, rows) = finished(&suite("malt_classes = 3, escalate = false, control = 0"));
    assert!(rows.values().all(|row| row.reference == Some(0)));
}

#[test]
fn the_reference_attack_finds_nothing_that_was_left() {
    for norm in ["L2", "L1"] {
        let (_folder, rows) = finished(&plan_in(norm, "fast", "control = 24", 24));
        let asked = || rows.values().filter(|row| row.reference != Some(0));
        assert!(asked().count() > 0, "{norm}");
        let missed: Vec<u64> = asked().filter(|row| row.found == 1).map(|row| row.idx).collect();
        assert!(missed.is_empty(), "{norm}: {missed:?}");
    }
}
