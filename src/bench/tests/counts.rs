//! The counts of images that are under way when a job of smoothing is stopped.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::bench::{Plan, RunOptions, Suite, run};
use crate::certify::CertificateRow;
use crate::error::{Error, Result};
use crate::record::{RunRecord, read_table};
use crate::work::{CountsRecord, Silent};

/// Six images, of which two batches of the network hold three if nothing stops early.
fn plan(mode: &str, batch: usize) -> Plan {
    let text = format!(
        "name = \"test\"\nbatch = {batch}\n[[model]]\npath = \"bundled:digits-standard\"\n\
         [[data]]\nspec = \"digits:test\"\nimages = {{ first = 6 }}\n\
         [[certificate]]\ncertificate = \"cohen\"\nlabel = \"job\"\nsigma = 0.5\nn0 = 300\n\
         n = 1100\nradii = [0.25]\nmode = \"{mode}\"\n"
    );
    Plan::new(&Suite::parse(&text, Path::new("suite.toml")).unwrap()).unwrap()
}

const TABLE: &str = "jobs/digits-standard/job.tsv";

fn rows(folder: &Path) -> Vec<CertificateRow> {
    let key = &RunRecord::read(folder).unwrap().jobs[0].key;
    let rows = read_table::<CertificateRow>(&folder.join(TABLE), key).unwrap().rows;
    rows.into_iter().map(|row| CertificateRow { time: String::new(), ..row }).collect()
}

/// Runs `plan` until `batches` network batches are through.
fn run_for(plan: &Plan, folder: &Path, batches: usize) -> Result<crate::bench::Summary> {
    let asked = AtomicUsize::new(0);
    let stop = || asked.fetch_add(1, Ordering::Relaxed) >= batches;
    run(plan, &RunOptions { folder, stop: &stop }, &mut Silent)
}

#[test]
fn a_job_stopped_inside_its_images_ends_with_the_same_rows() {
    for mode in ["cohen", "grid"] {
        let (together, apart) = (plan(mode, 6), plan(mode, 1));
        let whole = tempfile::tempdir().unwrap();
        run_for(&together, whole.path(), usize::MAX).unwrap();
        let whole = rows(whole.path());
        assert_eq!(whole.len(), 6);
        // Image by image after all at once: what the next call does not come to keeps its counts.
        for plans in [[&together, &together], [&together, &apart]] {
            let folder = tempfile::tempdir().unwrap();
            let table = folder.path().join(TABLE);
            let (mut calls, mut halves) = (0, 0);
            while run_for(plans[calls % 2], folder.path(), 1).is_err() {
                calls += 1;
                assert!(calls < 40, "{mode}");
                let key = &RunRecord::read(folder.path()).unwrap().jobs[0].key;
                let record = CountsRecord::read(&table, key).unwrap().unwrap();
                halves += record.images.iter().filter(|image| !image.votes.is_empty()).count();
            }
            assert!(halves > 0, "{mode}: nothing was stopped in its middle");
            assert_eq!(rows(folder.path()), whole, "{mode}");
            assert!(!CountsRecord::path(&table).exists());
        }
    }
}

#[test]
fn counts_of_another_job_or_network_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(run_for(&plan("cohen", 6), folder.path(), 1), Err(Error::Interrupted)));
    let table = folder.path().join(TABLE);
    let key = &RunRecord::read(folder.path()).unwrap().jobs[0].key.clone();
    let good = CountsRecord::read(&table, key).unwrap().unwrap();
    let mut other_class = good.clone();
    other_class.images[0].votes.push((10, 1));
    let mut too_many = good.clone();
    too_many.images[0].votes.push((3, 1 << 62));
    for (bad, key, problem) in [
        (&good, "another", "its checksum does not fit"),
        (&other_class, key, "job.counts.toml: image: "),
        (&too_many, key, "job.counts.toml: image: "),
    ] {
        bad.write(&table, key).unwrap();
        let summary = run_for(&plan("cohen", 6), folder.path(), 1).unwrap();
        let error = &summary.failures[0].error;
        assert!(error.to_string().contains(problem), "{error}");
        assert!(error.hint().is_some());
    }
    good.write(&table, key).unwrap();
    assert_eq!(run_for(&plan("cohen", 6), folder.path(), usize::MAX).unwrap().finished, 1);
}
