//! Bounds of the network itself as work: an entry of a suite, and the task it becomes.

use std::collections::BTreeMap;

use super::fields::radii;
use super::remaining::{Place, Remaining};
use super::{Certificate, Resolved, Task, refuse_unused};
use crate::bench::runner::Progress;
use crate::bench::suite::{CertificateEntry, Number, OneOrMany};
use crate::certify::bounds::{self, Bounds, bound_batch};
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::model::FrozenNetwork;
use crate::nn::bounds::Method;
use crate::record::Work;
use crate::threat::Norm;

/// Halvings unless the suite says otherwise.
const STEPS: u32 = 6;

/// A method of bounds as a certificate.
macro_rules! certificate {
    ($name:ident, $method:expr, $text:literal, $about:literal) => {
        #[doc = $about]
        pub(super) const $name: Certificate = Certificate {
            name: $text,
            threats: "Linf L2",
            about: $about,
            resolve: |entry, subject| resolve(entry, $method, subject.network),
        };
    };
}

certificate!(
    IBP,
    Method::Ibp,
    "ibp",
    "bounds of the network itself: intervals (Gowal et al. 2018)"
);
certificate!(
    CROWN_IBP,
    Method::CrownIbp,
    "crown-ibp",
    "intervals, then CROWN for the margins (Zhang et al. 2020)"
);
certificate!(
    FAST_LIN,
    Method::FastLin,
    "fast-lin",
    "backward linear bounds, parallel lines (Weng et al. 2018)"
);
certificate!(
    CROWN,
    Method::Crown,
    "crown",
    "backward linear bounds, adaptive lines (Zhang et al. 2018)"
);

/// Bounds with their settings.
struct BoundTask(Bounds);

impl Task for BoundTask {
    fn run(&self, place: &Place<'_>, progress: &mut dyn Progress) -> Result<()> {
        let (network, stop) = (place.network(), place.stop);
        Remaining::open(place)?.image_by_image(progress, |batch, on_row| {
            bound_batch(network, batch, &self.0, stop, on_row)
        })
    }

    fn rows(&self, network: &FrozenNetwork, batch: &Batch) -> Result<Option<Vec<String>>> {
        let mut rows = Vec::new();
        bound_batch(network, batch, &self.0, &|| false, &mut |row| {
            rows.push(row.untimed());
            Ok(())
        })?;
        Ok(Some(rows))
    }
}

/// The entry that gives this work again.
pub(super) fn entry_of(work: &Work) -> Option<CertificateEntry> {
    let Work::Bound { certificate, threat, eps, parameters, .. } = work else { return None };
    Some(CertificateEntry {
        certificate: certificate.clone(),
        norm: Some(threat.clone()),
        eps: OneOrMany::Many(eps.iter().copied().map(Number::Float).collect()),
        steps: parameters.get("steps")?.parse().ok(),
        ..CertificateEntry::default()
    })
}

/// The job of an entry for one network.
fn resolve(
    entry: &CertificateEntry,
    method: Method,
    network: &FrozenNetwork,
) -> Result<Vec<Resolved>> {
    let subject = || format!("certificate {}", method.name());
    let unused = ["sigma", "noise", "mode", "radii", "patch", "parameters"];
    refuse_unused(entry, &unused, |field| {
        format!("remove {field}; norm = \"Linf\" and eps = [0.05, 0.1] say what to bound")
    })?;
    let Some(norm) = &entry.norm else {
        return Err(Error::setting(
            subject(),
            "has no norm",
            "add norm = \"Linf\" or norm = \"L2\"",
        ));
    };
    let norm = norm.parse::<Norm>()?;
    let eps = radii(&subject(), &entry.eps)?;
    let steps = entry.steps.unwrap_or(STEPS);
    let settings = Bounds { method, norm, eps: eps.clone(), steps };
    settings.validate()?;
    bounds::bounder(network)?;
    let default = || format!("{}-{}", method.name(), norm.to_string().to_lowercase());
    let label = entry.label.clone().unwrap_or_else(default);
    let work = Work::Bound {
        label: label.clone(),
        certificate: method.name().into(),
        threat: norm.to_string(),
        eps,
        parameters: BTreeMap::from([("steps".to_string(), steps.to_string())]),
    };
    Ok(vec![Resolved { stem: label, work, task: Box::new(BoundTask(settings)) }])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::bench::runner::Silent;
    use crate::bench::{Plan, RunOptions, Suite, run};
    use crate::record::{AttackRow, BoundRow, Row, RunRecord, read_table};

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
