//! From a suite to results: a suite file is read ([`Suite`]), everything it names is opened and
//! checked ([`Plan`]), and the jobs are run one after the other ([`run`]), each leaving a table with
//! a row per image that is also its journal.

pub(crate) mod again;
mod bundled;
mod corruptions;
mod grow;
mod models;
mod names;
mod plan;
mod preflight;
mod runner;
mod session;
pub(crate) mod subject;
mod suite;
#[cfg(test)]
mod suites;
mod work;

pub use bundled::{BUNDLED_SUITE, bundled_models};
pub use corruptions::{CORRUPTIONS, CorruptionSettings, measure_corruptions};
pub use plan::{Plan, PlannedJob};
pub use runner::{Failure, Progress, RunOptions, Summary, run};
pub use suite::{AttackEntry, CertificateEntry, DataEntry, ModelEntry, Number, OneOrMany, Suite};
pub use work::{CERTIFICATES, Certificate, Place, Task};
