//! The attacks of a suite: an entry and the shape of the images become attacks, threat models and
//! hyper-parameters, spelled out, a job for each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::task::AttackTask;
use crate::attack::{self, Asks, Goal, Objective, PATCH_SUITE, Request};
use crate::error::{Error, Result};
use crate::model::Classifier as _;
use crate::network::Network;
use crate::record::Work;
use crate::results::format;
use crate::rng::Randomness;
use crate::threat::{Form, Norm, Patch, PatchSize, Threat};
use crate::work::entry::{Entry, is_default};
use crate::work::fields::{plain, radii};
use crate::work::kind::{Settings, Subject};
use crate::work::number::{Number, OneOrMany};
use crate::work::task::Resolved;

/// An `[[attack]]` of a suite.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttackEntry {
    /// Name of the attack, or `patch-suite` for the three patch attacks and their two controls.
    pub attack: String,
    /// Column title; otherwise made of the attack and the threat model.
    #[serde(default, skip_serializing_if = "is_default")]
    pub label: Option<String>,
    /// Norm of the ball: `Linf`, `L2`, `L1`, `L0`, `L0-pixels`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub norm: Option<String>,
    /// Radius or radii of the ball: `0.3`, `"8/255"`, `[0.1, 0.2]`; under L0 numbers of values, `[4, 8]`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub eps: OneOrMany,
    /// Size of the patch, or several: `"5x5"` pixels, `"2%"` of the area, `"20%x10%"` of the sides; `"circle:5"` and
    /// `"circle:2%"` are discs, `"mask:FILE"` is what is white in an image.
    #[serde(default, skip_serializing_if = "is_default")]
    pub patch: OneOrMany,
    /// `untargeted` (the default), `least-likely`, `second`, `random`, `next`, or a class number.
    #[serde(default, skip_serializing_if = "is_default")]
    pub goal: Option<String>,
    /// Hyper-parameters by name. For `patch-suite`: a table per attack.
    #[serde(default, skip_serializing_if = "is_default")]
    pub parameters: BTreeMap<String, toml::Value>,
}

impl From<AttackEntry> for Entry {
    fn from(entry: AttackEntry) -> Self {
        Self::of(&entry)
    }
}

impl Settings for AttackEntry {
    fn jobs(&self, subject: &Subject<'_>) -> Result<Vec<Resolved>> {
        let Subject { seed, rng, network, eps, .. } = *subject;
        let mut entry = self.clone();
        if let (Some(eps), Some(_)) = (eps, &self.norm) {
            entry.eps = OneOrMany::One(eps.clone());
        }
        let jobs = attack_jobs(&entry, seed, rng, network.info().input_shape)?;
        goal(&entry)?.check(network.info())?;
        for job in &jobs {
            refuse_unasked(&entry, job, network)?;
        }
        Ok(jobs)
    }
}

/// Refuses an attack that asks for more than the network tells, and names those that do not.
fn refuse_unasked(entry: &AttackEntry, job: &Resolved, network: &Network) -> Result<()> {
    let (asks, tells) = (job.task.asks(), network.tells());
    if asks <= tells {
        return Ok(());
    }
    let name = &network.info().name;
    let of = |what| match what {
        Asks::Classes => "classes only",
        Asks::Logits => "answers only",
        Asks::Gradients => "gradients",
    };
    let asked = if asks == Asks::Logits { "logits" } else { of(asks) };
    let (threat, _) = threats(entry, network.info().input_shape)?[0];
    let working = attack::attacks_that_ask(&threat, tells);
    if working.contains(&&*job.work.method) {
        let problem = format!("asks for logits, and {name} tells classes only");
        return Err(Error::setting(
            format!("goal {}", goal(entry)?),
            problem,
            "choose next, random or a class",
        ));
    }
    let remedy = match working.as_slice() {
        [] => format!("no attack under {threat} does without"),
        working => format!("under {threat} these work: {}", working.join(", ")),
    };
    let problem =
        format!("asks for {asked}, and {name} is asked over HTTP and tells {}", of(tells));
    Err(Error::setting(format!("attack {}", job.work.method), problem, remedy))
}

/// The jobs of `entry` on images of `shape`, `[C, H, W]`.
///
/// # Errors
/// If a setting cannot be used with these.
pub(crate) fn attack_jobs(
    entry: &AttackEntry,
    seed: u64,
    randomness: Randomness,
    shape: [usize; 3],
) -> Result<Vec<Resolved>> {
    if entry.attack != "patch-suite" {
        return single(entry, seed, randomness, shape);
    }
    if entry.label.is_some() {
        let remedy = "leave label out: each of its attacks has its own name";
        return Err(Error::setting("attack patch-suite", "has no use for a label", remedy));
    }
    if let Some(name) = entry.parameters.keys().find(|k| !PATCH_SUITE.contains(&k.as_str())) {
        return Err(Error::unknown("attack of patch-suite", name, PATCH_SUITE));
    }
    let mut jobs = Vec::new();
    for name in PATCH_SUITE {
        let parameters = match entry.parameters.get(name) {
            Some(toml::Value::Table(table)) => table.clone().into_iter().collect(),
            Some(_) => {
                return Err(Error::setting(
                    format!("patch-suite: {name}"),
                    "is not a table of parameters",
                    format!("write {name} = {{ steps = 100 }}"),
                ));
            }
            None => BTreeMap::new(),
        };
        let part = AttackEntry { attack: name.into(), label: None, parameters, ..entry.clone() };
        jobs.extend(single(&part, seed, randomness, shape)?);
    }
    Ok(jobs)
}

/// A job per budget; one for all of them if the search looks for the smallest perturbation.
fn single(
    entry: &AttackEntry,
    seed: u64,
    randomness: Randomness,
    shape: [usize; 3],
) -> Result<Vec<Resolved>> {
    let goal = goal(entry)?;
    let mut given = plain(&entry.parameters);
    let threats = threats(entry, shape)?;
    // An attack that has radii of its own works at those that are asked for.
    let known = attack::ALL.iter().find(|known| known.name.eq_ignore_ascii_case(&entry.attack));
    if known.is_some_and(|known| known.takes("radii")) {
        let radii: Vec<String> =
            threats.iter().filter_map(|(_, eps)| Some(eps.as_ref()?.to_string())).collect();
        given.entry("radii".into()).or_insert_with(|| radii.join(" "));
    }
    let minimal = attack::configure(&entry.attack, &threats[0].0, &given)?.search.objective()
        == Objective::Minimal;
    let groups: Vec<(Threat, Vec<f64>)> = if minimal {
        vec![(threats[0].0, threats.iter().filter_map(|(_, eps)| *eps).collect())]
    } else {
        threats.into_iter().map(|(threat, eps)| (threat, eps.into_iter().collect())).collect()
    };
    let several = groups.len() > 1;
    let job = |(threat, eps): (Threat, Vec<f64>)| {
        let configured = attack::configure(&entry.attack, &threat, &given)?;
        configured.search.check_shape(shape)?;
        let label = entry.label.clone();
        let mut label = label.unwrap_or_else(|| default_label(configured.name, &threat));
        if let (Threat::Patch(patch), true) = (&threat, several) {
            label += &format!("-{patch}").replace(':', "-");
        }
        let mut parameters = configured.parameters.clone();
        parameters.insert("goal".into(), goal.to_string());
        let stem = match eps.as_slice() {
            [eps] if !minimal => format!("{label}-{}", format::eps(*eps).replace('/', "_")),
            _ => label.clone(),
        };
        let facts = [
            ("minimal", minimal.to_string()),
            ("control", configured.is_control.to_string()),
            ("goal", goal.to_string()),
        ];
        let mut facts: BTreeMap<String, String> =
            facts.map(|(name, value)| (name.to_owned(), value)).into();
        if let Some(file) = mask_file(entry, &threat) {
            facts.insert(MASK.into(), file);
        }
        let work = Work {
            kind: super::NAME.into(),
            label,
            method: configured.name.into(),
            threat: threat.to_string(),
            eps,
            facts,
            parameters,
        };
        let request = Request { goal, seed, randomness };
        let task = Box::new(AttackTask { attack: configured, request });
        Ok(Resolved { stem, work, task, rows: None })
    };
    groups.into_iter().map(job).collect()
}

fn goal(entry: &AttackEntry) -> Result<Goal> {
    entry.goal.as_deref().unwrap_or("untargeted").parse()
}

/// The threat models of an entry, with the budget of each if it has one.
fn threats(entry: &AttackEntry, shape: [usize; 3]) -> Result<Vec<(Threat, Option<f64>)>> {
    let subject = format!("attack {}", entry.attack);
    if !entry.patch.is_empty() {
        if entry.norm.is_some() || !entry.eps.is_empty() {
            return Err(Error::setting(
                subject,
                "has both a patch and a norm",
                "choose one of them",
            ));
        }
        let mut patches: Vec<(Threat, Option<f64>)> = Vec::new();
        for size in entry.patch.values() {
            let patch = size.text().parse::<PatchSize>()?.resolve(shape)?;
            if !patches.iter().any(|(known, _)| *known == Threat::Patch(patch)) {
                patches.push((Threat::Patch(patch), None));
            }
        }
        return Ok(patches);
    }
    let Some(norm) = &entry.norm else {
        return Err(Error::setting(
            subject,
            "has no threat model",
            match attack::takes_patches(&entry.attack) {
                true => "--patch 5x5, or in a suite patch = \"5x5\"",
                false => {
                    "--norm Linf --eps 8/255, or in a suite norm = \"Linf\" and eps = \"8/255\""
                }
            },
        ));
    };
    let norm = norm.parse::<Norm>()?;
    let eps = radii(&subject, &entry.eps)?;
    eps.iter().try_for_each(|eps| norm.check_radius(*eps, shape))?;
    Ok(eps.into_iter().map(|eps| (Threat::ball(norm, eps as f32), Some(eps))).collect())
}

/// The fact that names the file of a mask: the words of the threat model say only which mask it is.
pub(super) const MASK: &str = "mask";

/// What the entry says of the mask that the threat is, `mask:FILE`.
fn mask_file(entry: &AttackEntry, threat: &Threat) -> Option<String> {
    let Threat::Patch(Patch { form: Form::Mask(_), .. }) = threat else { return None };
    let is = |text: &String| {
        let size = text.parse::<PatchSize>();
        matches!(size, Ok(PatchSize::Pixels(patch)) if Threat::Patch(patch) == *threat)
    };
    entry.patch.values().iter().map(Number::text).find(is)
}

/// `pgd-linf`; the name alone where it already says the norm or the threat is a patch.
fn default_label(attack: &str, threat: &Threat) -> String {
    match threat {
        Threat::Ball { norm, .. } => {
            let norm = norm.to_string().to_lowercase();
            if attack.ends_with(&norm) { attack.into() } else { format!("{attack}-{norm}") }
        }
        Threat::Patch(_) => attack.into(),
    }
}
