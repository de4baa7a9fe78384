//! The kinds of work that a job can be, a room for each: the fields of its entries in a suite, the task
//! that an entry becomes, its rows, what they come to, and the columns, tables and figures of a report.
//! A kind is one folder with a `Kind` and one line in `KINDS`; nothing outside of its folder
//! names it, but what it is made of (an attack, a certificate) and the commands that offer it.

mod attack;
mod bound;
mod corruption;
mod curve;
mod entrant;
mod entry;
mod fields;
mod fits;
#[cfg(test)]
pub(crate) mod fixture;
mod job;
mod journal;
mod kind;
mod method;
mod misfit;
mod number;
mod outcome;
mod patch;
mod per_image;
mod pool;
mod read;
mod remaining;
mod rows;
mod smoothing;
mod task;

pub use attack::{
    AttackColumn, AttackEntry, AttackResult, AttackRow, AttackedImages, Beyond, Budget, Distances,
    Spared, ThreatColumn, Unfinished, WorstCase, attack_rows, seen_after,
};
pub(crate) use attack::{
    Attacked, ClassShare, Evidence, Trial, attack_columns, attack_jobs, counts, goal, keep,
    threat_columns, worst_case,
};
pub use bound::{BoundEntry, BoundResult, VerifiedAccuracy};
pub use corruption::{
    CORRUPTIONS, CorruptionAccuracy, CorruptionEntry, CorruptionResult, CorruptionRow,
};
pub use entrant::Entrant;
pub use entry::Entry;
pub(crate) use entry::needless;
pub(crate) use fits::fits;
pub(crate) use job::Job;
pub use kind::Listed;
pub(crate) use kind::{Chance, Kind, Settings, Subject};
pub(crate) use method::Method;
pub(crate) use misfit::{unknown_field, words};
pub use number::{Number, OneOrMany};
pub use outcome::{Cost, KindColumn, KindResult, LowerBound, Outcome};
pub use patch::{PatchEntry, PatchResult};
pub(crate) use per_image::{PerImage, Value};
pub(crate) use read::read_job;
pub(crate) use remaining::BATCH;
pub(crate) use rows::{Keyed, Rows};
pub(crate) use smoothing::log_columns;
pub use smoothing::{
    Bin, CertifiedAccuracy, CountsRecord, Envelope, EnvelopePoint, ImageCounts, ProbabilityBounds,
    Quantile, SmoothingEntry, SmoothingResult,
};
pub use task::{JobContext, JobRequest, Part, Progress, Resolved, Silent, Task};

use crate::error::{Error, Result, nearest};
use crate::record::Work;

/// Every kind, in the order in which a report shows them.
pub(crate) const KINDS: &[&dyn Kind] = &[
    &attack::Attack,
    &smoothing::Smoothing,
    &patch::Patch,
    &bound::Bound,
    &corruption::Corruption,
];

/// The kind of a recorded work.
///
/// # Errors
/// If this version knows none of that name.
pub(crate) fn of(work: &Work) -> Result<&'static dyn Kind> {
    let known = KINDS.iter().find(|kind| kind.name() == work.kind);
    known.copied().ok_or_else(|| {
        Error::unknown("kind of work", &*work.kind, KINDS.iter().map(|kind| kind.name()))
    })
}

/// The kind of an entry in a section of a suite: `attack`, `certificate`, `corruption`.
///
/// # Errors
/// If the entry names no method, or one that no kind has.
fn kind_of(section: &'static str, entry: &Entry) -> Result<&'static dyn Kind> {
    let own = || KINDS.iter().filter(|kind| kind.section() == section);
    let methods = || own().flat_map(|kind| kind.methods()).map(|method| method.name);
    // A section with one method need not name it.
    let name = match (entry.text(section), methods().nth(1)) {
        (Some(name), _) => name,
        (None, None) => methods().next().unwrap_or(section),
        (None, Some(_)) => {
            let near =
                |key: &&String| *key != section && nearest(key, &[section.to_owned()]).is_some();
            if let Some(key) = entry.0.keys().find(near) {
                let remedy = format!("did you mean `{section}`? it names what is to be done");
                return Err(Error::setting(
                    format!("[[{section}]]"),
                    format!("has no use for {key}, and no {section}"),
                    remedy,
                ));
            }
            let remedy = format!("write {section} = \"NAME\"; see `epsball list {section}s`");
            return Err(Error::setting(format!("[[{section}]]"), "has no name", remedy));
        }
    };
    let named = |kind: &&&dyn Kind| kind.methods().iter().any(|method| method.name == name);
    own().find(named).copied().ok_or_else(|| Error::unknown(section, name, methods()))
}

/// Reads an entry in a section of a suite.
///
/// # Errors
/// If no kind has its method, or a field is missing, is not of the kind, or holds something else.
pub(crate) fn read_entry(section: &'static str, entry: &Entry) -> Result<Box<dyn Settings>> {
    let entry = &entry.normalised(section);
    let kind = kind_of(section, entry)?;
    kind.read(entry).map_err(|error| {
        let Some(field) = needless(&error) else { return error };
        // Who has a use for it.
        let takes = |other: &&&dyn Kind| {
            let only = entry.0.iter().filter(|(name, _)| **name == field);
            let probe = Entry(only.map(|(name, value)| (name.clone(), value.clone())).collect());
            let refused = other.read(&probe).err();
            refused.as_ref().and_then(needless).as_deref() != Some(&*field)
        };
        let own = KINDS.iter().filter(|other| other.section() == section).filter(takes);
        let names: Vec<&str> = own.flat_map(|kind| kind.methods()).map(|m| m.name).collect();
        match error {
            Error::Setting { field: subject, problem, .. } if !names.is_empty() => {
                let remedy = format!("remove it; {field} is for {}", names.join(", "));
                Error::setting(subject, problem, remedy)
            }
            error => error,
        }
    })
}

/// The methods that entries of a section can name.
pub fn methods(section: &'static str) -> impl Iterator<Item = Listed> {
    let own = KINDS.iter().filter(move |kind| kind.section() == section);
    own.flat_map(|kind| kind.methods())
}
