//! A `[[certificate]]` of bounds, resolved.

use std::collections::BTreeMap;

use super::fields::{parse_norm, radii};
use super::plan::{Resolved, Task};
use super::suite::CertificateEntry;
use crate::certify::bounds::{self, Bounds};
use crate::error::{Error, Result};
use crate::model::FrozenNetwork;
use crate::nn::bounds::Method;
use crate::record::Work;

/// Halvings unless the suite says otherwise.
const STEPS: u32 = 6;

/// The job of an entry for one network.
pub(super) fn resolve(
    entry: &CertificateEntry,
    method: Method,
    network: &FrozenNetwork,
) -> Result<Resolved> {
    let subject = || format!("certificate {}", method.name());
    let unused = [
        ("sigma", entry.sigma.is_some()),
        ("noise", entry.noise.is_some()),
        ("mode", entry.mode.is_some()),
        ("radii", !entry.radii.is_empty()),
        ("patch", !entry.patch.values().is_empty()),
        ("parameters", !entry.parameters.is_empty()),
    ];
    if let Some((field, _)) = unused.into_iter().find(|(_, given)| *given) {
        return Err(Error::setting(
            subject(),
            format!("has no use for {field}"),
            format!("remove {field}; norm = \"Linf\" and eps = [0.05, 0.1] say what to bound"),
        ));
    }
    let Some(norm) = &entry.norm else {
        return Err(Error::setting(
            subject(),
            "has no norm",
            "add norm = \"Linf\" or norm = \"L2\"",
        ));
    };
    let norm = parse_norm(norm)?;
    let eps = radii(&subject(), &entry.eps)?;
    let steps = entry.steps.unwrap_or(STEPS);
    let settings = Bounds { method, norm, eps: eps.clone(), steps };
    settings.validate()?;
    bounds::program(network)?;
    let default = || format!("{}-{}", method.name(), norm.to_string().to_lowercase());
    let label = entry.label.clone().unwrap_or_else(default);
    let work = Work::Bound {
        label: label.clone(),
        certificate: method.name().into(),
        threat: norm.to_string(),
        eps,
        parameters: BTreeMap::from([("steps".to_string(), steps.to_string())]),
    };
    Ok(Resolved { stem: label, work, task: Task::Bound(settings) })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::journal::Journal;
    use super::super::runner::Silent;
    use super::super::{Plan, RunOptions, Suite, run};
    use crate::record::{AttackRow, BoundRow};

    fn suite(rest: &str) -> Suite {
        let text = format!(
            "name = \"test\"\n[[model]]\npath = \"bundled:digits-standard\"\n\
             [[data]]\nspec = \"digits:test\"\nimages = {{ first = 8 }}\n{rest}"
        );
        Suite::parse(&text, Path::new("suite.toml")).unwrap()
    }

    #[test]
    fn no_image_is_both_broken_and_verified_and_many_are_verified() {
        let suite = suite(
            "[[attack]]\nattack = \"pgd\"\nnorm = \"Linf\"\neps = [0.03, 0.2]\n\
             parameters = { steps = 40 }\n\
             [[certificate]]\ncertificate = \"crown\"\nnorm = \"Linf\"\neps = [0.03]\nsteps = 0\n",
        );
        let plan = Plan::new(&suite).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let options = RunOptions { folder: folder.path(), stop: &|| false };
        let summary = run(&plan, &options, &mut Silent).unwrap();
        assert_eq!((summary.finished, summary.failures.len()), (3, 0));
        let jobs = folder.path().join("jobs/digits-standard");
        let attacked = |file: &str| Journal::open::<AttackRow>(&jobs.join(file)).unwrap().1;
        let (weak, strong) = (attacked("pgd-linf-0.03.csv"), attacked("pgd-linf-0.2.csv"));
        let bounds = Journal::open::<BoundRow>(&jobs.join("crown-linf.tsv")).unwrap().1;
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
            (
                "ibp\"\nnorm = \"L2\"\neps = 1\nsigma = 0.25",
                "certificate ibp: has no use for sigma",
            ),
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
            let error = Plan::new(&suite(&entry(rest))).err().unwrap();
            assert!(error.to_string().starts_with(message), "{error}");
            assert!(error.hint().is_some(), "{error}");
        }
    }
}
