//! Several attacks, one after the other, each on the images that those before it left: AutoAttack
//! (Croce and Hein, ICML 2020, section 6), whose name is kept for its published compositions, and
//! `ensemble` for any other.

use std::collections::BTreeMap;

use super::gradient::ALL_NORMS;
use super::{Attack, Configured, Entry, Search, configure};
use crate::error::{Error, Result};
use crate::threat::{Norm, Threat};

/// The official four; `version` is `standard`, `plus` or `rand`, as in the published code.
pub(super) const AUTOATTACK: Entry = Entry {
    name: "autoattack",
    about: "apgd-ce, apgd-t, fab-t, square, each on what the others left (Croce and Hein 2020)",
    threats: ALL_NORMS,
    control: false,
    build: |parameters, threat| {
        let version = parameters.take("version", "standard".to_string())?;
        let parts = published(&version, threat)?;
        Ok(Box::new(Ensemble {
            batch: parameters.count("batch_size", 250)?,
            parts: parts
                .iter()
                .map(|(name, given)| configure(name, threat, given))
                .collect::<Result<_>>()?,
        }))
    },
};

/// Any other composition, with the defaults of its attacks.
pub(super) const ENSEMBLE: Entry = Entry {
    name: "ensemble",
    about: "the attacks in `attacks`, in order, each on what the others left",
    threats: ALL_NORMS,
    control: false,
    build: |parameters, threat| {
        let list = parameters.take("attacks", "apgd-ce apgd-t".to_string())?;
        let parts = list
            .split([' ', ','])
            .filter(|name| !name.is_empty())
            .map(|name| match name {
                "autoattack" | "ensemble" => Err(Error::setting(
                    "ensemble: attacks",
                    format!("`{name}` is an ensemble itself"),
                    "name single attacks",
                )),
                name => configure(name, threat, &BTreeMap::new()),
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Box::new(Ensemble { batch: parameters.count("batch_size", 250)?, parts }))
    },
};

/// The attacks of a version with the parameters in which they differ from their own defaults.
pub(super) fn published(
    version: &str,
    threat: &Threat,
) -> Result<Vec<(&'static str, BTreeMap<String, String>)>> {
    let part = |name: &'static str, given: &[(&str, &str)]| {
        (name, given.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect())
    };
    let l1 = matches!(threat, Threat::Ball { norm: Norm::L1, .. });
    let five: &[_] = &[("n_restarts", "5")];
    match version {
        "standard" => Ok(vec![
            part("apgd-ce", if l1 { five } else { &[] }),
            part("apgd-t", &[]),
            part("fab-t", &[]),
            part("square", &[]),
        ]),
        "plus" => Ok(vec![
            part("apgd-ce", five),
            part("apgd-dlr", five),
            part("fab", five),
            part("square", &[]),
            part("apgd-t", &[]),
            part("fab-t", &[]),
        ]),
        "rand" => Ok(vec![
            part("apgd-ce", &[("eot_iter", "20")]),
            part("apgd-dlr", &[("eot_iter", "20")]),
        ]),
        other => Err(Error::unknown(
            "version of autoattack",
            other,
            ["standard", "plus", "rand (any other composition is an `ensemble`)"],
        )),
    }
}

struct Ensemble {
    parts: Vec<Configured>,
    /// Images per call of a part. Matters only where random numbers are drawn for a whole batch.
    batch: usize,
}

impl Attack for Ensemble {
    fn parts(&self) -> &[Configured] {
        &self.parts
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        for part in &self.parts {
            if search.is_empty() {
                break;
            }
            let all: Vec<usize> = (0..search.len()).collect();
            search.part((part.name, &all), self.batch, &mut |images, _| part.search.run(images))?;
        }
        Ok(())
    }
}
