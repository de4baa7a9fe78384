//! From a suite to results: a suite file is read ([`Suite`]), everything it names is opened and checked
//! ([`Plan`]), and the jobs are run one after the other ([`run`]), each leaving a table with a row per image
//! that is also its journal. What a job does is the matter of its kind of work ([`crate::work`]).
//!
//! ```
//! use std::path::Path;
//!
//! use epsball::bench::{Plan, RunOptions, Suite, run};
//! use epsball::report::{Exporter as _, Leaderboard, Markdown};
//! use epsball::work::Silent;
//!
//! let text = r#"
//!     name = "small"
//!     [[model]]
//!     path = "bundled:digits-trades"
//!     [[data]]
//!     spec = "digits:test"
//!     images = { first = 20 }
//!     [[attack]]
//!     attack = "pgd"
//!     norm = "Linf"
//!     eps = 0.1
//! "#;
//! let plan = Plan::new(&Suite::parse(text, Path::new("small.toml"))?)?;
//!
//! let folder = tempfile::tempdir()?;
//! let options = RunOptions { folder: folder.path(), stop: &|| false };
//! let summary = run(&plan, &options, &mut Silent)?;
//! assert!(summary.failures.is_empty());
//!
//! let board = Leaderboard::from_runs(&[folder.path().to_path_buf()])?;
//! assert!(Markdown.export(&board)?.contains("digits-trades"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub(crate) mod again;
mod bundled;
mod cluster;
mod cost;
mod elsewhere;
mod grow;
mod indexed;
mod marks;
mod models;
mod names;
mod networks;
mod plan;
mod preflight;
mod runner;
mod session;
mod shard;
mod share;
mod source;
mod subject;
mod suite;
#[cfg(test)]
mod suites;
#[cfg(test)]
mod tests;

pub(crate) use bundled::load as load_bundled;
pub use bundled::{BUNDLED_SUITE, bundled_models};
pub use cluster::Cluster;
pub use cost::{JobCost, costs};
pub use elsewhere::{Elsewhere, keep_elsewhere};
pub(crate) use indexed::Indexed;
pub use networks::Networks;
pub use plan::{Plan, PlannedJob};
pub use runner::{Failure, RunOptions, Summary, rows, run, unfinished};
pub use session::say_command;
pub use shard::Shard;
pub use source::Source;
pub use subject::{network, threat};
pub use suite::{DataEntry, ModelEntry, Suite};
