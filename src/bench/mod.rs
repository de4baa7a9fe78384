//! From a suite to results: a suite file is read ([`Suite`]), everything it names is opened and checked
//! ([`Plan`]), and the jobs are run one after the other ([`run`]), each leaving a table with a row per image
//! that is also its journal. What a job does is the matter of its kind of work ([`crate::work`]).

pub(crate) mod again;
mod bundled;
mod grow;
mod models;
mod names;
mod plan;
mod preflight;
mod runner;
mod session;
mod source;
pub(crate) mod subject;
mod suite;
#[cfg(test)]
mod suites;
#[cfg(test)]
mod tests;

pub use bundled::{BUNDLED_SUITE, bundled_models};
pub use plan::{Plan, PlannedJob};
pub use runner::{Failure, RunOptions, Summary, run};
pub use source::Source;
pub use suite::{DataEntry, ModelEntry, Suite};
