//! A claim that was raised together with its checksum is found by computing it again.

use std::path::Path;

use super::*;
use crate::bench::{Plan, RunOptions, Suite, run};
use crate::certify::CertificateRow;
use crate::record::{encode_table, read_table};
use crate::work::Silent;

#[test]
fn a_radius_that_was_raised_under_a_new_checksum_is_found() {
    let text = "name = \"raised\"\n[[model]]\npath = \"bundled:digits-gaussian\"\n\
                [[data]]\nspec = \"digits\"\nimages = { first = 4 }\n\
                [[certificate]]\ncertificate = \"cohen\"\nsigma = 0.25\nn0 = 10\nn = 100\n";
    let plan = Plan::new(&Suite::parse(text, Path::new("suite.toml")).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let options = RunOptions { folder: folder.path(), stop: &|| false };
    run(&plan, &options, &mut Silent).unwrap();
    let settings = |files_only| Settings { files_only, certificates: 4, ..Settings::default() };
    let look = |files_only| verify_run(folder.path(), &settings(files_only), &|| false).unwrap();
    let found = look(false);
    assert_eq!((found.findings.as_slice(), found.certificates), (&[][..], 4));

    let record = RunRecord::read(folder.path()).unwrap();
    let job = &record.jobs[0];
    let path = folder.path().join(&job.file);
    let mut rows: Vec<CertificateRow> = read_table(&path, &job.key).unwrap().rows;
    let certified = rows.iter().position(|row| row.radius > 0.0).unwrap();
    rows[certified].radius += 0.25;
    std::fs::write(&path, encode_table(&path, &job.key, &rows, true).unwrap()).unwrap();
    assert_eq!(look(true).findings, [], "the checksums fit");
    let found = look(false);
    let [finding] = found.findings.as_slice() else { panic!("{found:?}") };
    assert_eq!(finding.place, format!("{}: image {}", job.id, rows[certified].idx));
    assert!(finding.problem.contains("its certificate comes out otherwise"), "{finding:?}");
}
