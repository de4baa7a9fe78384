//! From a suite to results: a suite file is read ([`Suite`]), everything it names is opened and
//! checked ([`Plan`]), and the jobs are run one after the other ([`run`]), each leaving a table with
//! a row per image that is also its journal.

mod adversarial;
pub(crate) mod again;
mod attacks;
mod bound;
mod bundled;
mod certificates;
mod checks;
mod corruptions;
mod counts;
mod fields;
mod grow;
mod journal;
mod models;
mod names;
mod plan;
mod preflight;
mod runner;
mod session;
mod smoothing;
pub(crate) mod subject;
mod suite;
#[cfg(test)]
mod suites;

pub use bundled::{BUNDLED_SUITE, bundled_models};
pub use certificates::CERTIFICATES;
pub use corruptions::{CORRUPTIONS, CorruptionSettings, measure_corruptions};
pub use plan::{Plan, PlannedJob, Task};
pub use runner::{Failure, Progress, RunOptions, Summary, run};
pub use suite::{AttackEntry, CertificateEntry, DataEntry, ModelEntry, Number, OneOrMany, Suite};
