//! A `[[certificate]]` by bounds of the network itself, resolved: method, norm and radii.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::task::BoundTask;
use crate::certify::bounds::{self, Bounds};
use crate::error::{Error, Result};
use crate::model::Classifier as _;
use crate::network::Network;
use crate::nn::bounds::Method;
use crate::parameters::documented;
use crate::record::Work;
use crate::threat::Norm;
use crate::work::entry::{Entry, is_default};
use crate::work::fields::radii;
use crate::work::kind::{Settings, Subject};
use crate::work::number::OneOrMany;
use crate::work::task::Resolved;

/// Halvings unless the suite says otherwise.
const STEPS: u32 = 6;

documented! {
    /// A `[[certificate]]` by bounds of the network itself.
    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct BoundEntry {
        /// `ibp`, `crown-ibp`, `fast-lin` or `crown`.
        pub certificate: String,
        /// Column title; otherwise `crown-linf`, …
        #[serde(default, skip_serializing_if = "is_default")]
        pub label: Option<String>,
        /// Norm of the ball: `Linf` or `L2`.
        #[serde(default, skip_serializing_if = "is_default")]
        pub norm: Option<String>,
        /// Radius or radii of the report.
        #[serde(default, skip_serializing_if = "is_default")]
        pub eps: OneOrMany,
        /// Halvings in the search for the largest radius, 0 for those of the report only.
        #[serde(default, skip_serializing_if = "is_default")]
        pub steps: Option<u32>,
    }
}

impl From<BoundEntry> for Entry {
    fn from(entry: BoundEntry) -> Self {
        Self::of(&entry)
    }
}

impl Settings for BoundEntry {
    fn jobs(&self, subject: &Subject<'_>) -> Result<Vec<Resolved>> {
        let known = super::METHODS.into_iter().find(|known| known.name() == self.certificate);
        let method = known.ok_or_else(|| {
            let names = super::METHODS.map(Method::name);
            Error::unknown("certificate", &*self.certificate, names)
        })?;
        resolve(self, method, subject.network)
    }
}

/// The job of an entry for one network.
fn resolve(entry: &BoundEntry, method: Method, network: &Network) -> Result<Vec<Resolved>> {
    let subject = || format!("certificate {}", method.name());
    let Some(norm) = &entry.norm else {
        return Err(Error::setting(
            subject(),
            "has no norm",
            "--norm Linf or --norm L2, or in a suite norm = \"Linf\"",
        ));
    };
    let norm = norm.parse::<Norm>()?;
    let eps = radii(&subject(), &entry.eps)?;
    eps.iter().try_for_each(|eps| norm.check_radius(*eps, network.info().input_shape))?;
    let steps = entry.steps.unwrap_or(STEPS);
    let settings = Bounds { method, norm, eps: eps.clone(), steps };
    settings.validate()?;
    bounds::bounder(network.looked_into(&subject())?)?;
    let default = || format!("{}-{}", method.name(), norm.to_string().to_lowercase());
    let label = entry.label.clone().unwrap_or_else(default);
    let work = Work {
        kind: super::NAME.into(),
        label: label.clone(),
        method: method.name().into(),
        threat: norm.to_string(),
        eps,
        parameters: BTreeMap::from([("steps".to_string(), steps.to_string())]),
        ..Work::default()
    };
    let task = Box::new(BoundTask(settings));
    Ok(vec![Resolved { stem: label, work, task, rows: None }])
}
