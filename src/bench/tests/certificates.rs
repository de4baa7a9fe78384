//! Bounds beside attacks, and settings that do not belong to a certificate.

use std::path::Path;

use crate::bench::{Plan, RunOptions, Suite, run};
use crate::certify::BoundRow;
use crate::error::Result;
use crate::record::{Row, RunRecord, read_table};
use crate::work::{AttackRow, Silent};

fn suite(rest: &str) -> Result<Suite> {
    let text = format!(
        "name = \"test\"\n[[model]]\npath = \"bundled:digits-standard\"\n\
         [[data]]\nspec = \"digits:test\"\nimages = {{ first = 8 }}\n{rest}"
    );
    Suite::parse(&text, Path::new("suite.toml"))
}

#[test]
fn no_image_is_both_broken_and_verified_and_many_are_verified() {
    let suite = suite(
        "[[attack]]\nattack = \"pgd\"\nnorm = \"Linf\"\neps = [0.03, 0.2]\n\
         parameters = { steps = 40 }\n\
         [[certificate]]\ncertificate = \"crown\"\nnorm = \"Linf\"\neps = [0.03]\nsteps = 0\n",
    )
    .unwrap();
    let plan = Plan::new(&suite).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let options = RunOptions { folder: folder.path(), stop: &|| false };
    let summary = run(&plan, &options, &mut Silent).unwrap();
    assert_eq!((summary.finished, summary.failures.len()), (3, 0));
    let jobs = RunRecord::read(folder.path()).unwrap().jobs;
    fn rows<R: Row>(folder: &Path, job: &crate::record::JobRecord) -> Vec<R> {
        read_table(&folder.join(&job.file), &job.key).unwrap().rows
    }
    let attacked = |job: usize| rows::<AttackRow>(folder.path(), &jobs[job]);
    let (weak, strong) = (attacked(0), attacked(1));
    let bounds = rows::<BoundRow>(folder.path(), &jobs[2]);
    assert_eq!(bounds.len(), 8);
    let pairs = |rows: &[AttackRow]| bounds.iter().cloned().zip(rows.to_vec());
    for (ball, row) in pairs(&weak).chain(pairs(&strong)) {
        assert_eq!((ball.idx, ball.predict, ball.label), (row.idx, row.clean, row.label));
        assert!(row.found == 0 || row.distance > ball.radius, "{ball:?} {row:?}");
    }
    let broken = strong.iter().filter(|row| row.found == 1).count();
    assert!(broken >= 4, "{broken} broken: the attack has something to contradict");
    let verified = bounds.iter().filter(|row| row.certified(0.03)).count();
    assert!(verified >= 5, "{verified} verified");
}

#[test]
fn settings_that_do_not_belong_are_named() {
    let entry = |rest: &str| format!("[[certificate]]\ncertificate = \"{rest}\n");
    for (rest, message) in [
        ("crown\"\neps = 0.1", "certificate crown: has no norm"),
        ("crown\"\nnorm = \"Linf\"", "certificate crown: has no eps"),
        ("crown\"\nnorm = \"L1\"\neps = 0.1", "unknown norm with bounds `L1`"),
        ("crown\"\nnorm = \"Linf\"\neps = 0", "eps: 0 is not a number above 0"),
        ("ibp\"\nnorm = \"L2\"\neps = 1\nsigma = 0.25", "certificate ibp: has no use for sigma"),
        (
            "crown\"\nnorm = \"Linf\"\neps = 0.1\npatch = \"2x2\"",
            "certificate crown: has no use for patch",
        ),
        ("ibp\"\nnorm = \"L2\"\neps = 1\nsteps = 99", "steps: 99 halvings"),
        ("cohen\"\nsigma = 0.25\neps = 0.1", "certificate cohen: has no use for eps"),
        (
            "patchcleanser\"\npatch = 2\nsteps = 1",
            "certificate patchcleanser: has no use for steps",
        ),
        ("cohen\"", "sigma: gaussian noise needs a standard deviation"),
        ("crwn\"\nnorm = \"L2\"\neps = 1", "unknown certificate `crwn`"),
    ] {
        let error = suite(&entry(rest)).and_then(|suite| Plan::new(&suite)).err().unwrap();
        assert!(error.to_string().contains(message), "{error}");
        assert!(error.hint().is_some(), "{error}");
    }
}
