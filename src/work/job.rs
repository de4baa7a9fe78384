//! A job as a report sees it: what was done, to which network and data, and its rows.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::rows::Rows;
use crate::record::{CheckRecord, Work};

/// One job with its rows.
#[derive(Debug)]
pub(crate) struct Job {
    /// Number of the network among those of the report.
    pub(crate) model: usize,
    /// Its name in the run.
    pub(crate) model_name: String,
    /// Number of the data set.
    pub(crate) data: usize,
    /// The file of its rows.
    pub(crate) table: PathBuf,
    /// Identity of the job: two jobs of one key give the same row for an image.
    pub(crate) key: String,
    /// Images the job evaluates.
    pub(crate) images: usize,
    pub(crate) seed: u64,
    pub(crate) device: String,
    pub(crate) precision: String,
    pub(crate) work: Work,
    /// Where it stands on a board: kind, label, threat model, and what else its kind has columns for.
    pub(crate) place: Vec<String>,
    /// Everything that makes its method another one, by name.
    pub(crate) settings: BTreeMap<String, String>,
    /// Its rows do not depend on the budgets that are reported, so those of other jobs can be added.
    pub(crate) any_eps: bool,
    /// Its rows are about the images of the data set, one each.
    pub(crate) by_image: bool,
    pub(crate) rows: Box<dyn Rows>,
    /// What the safety checks found, if the job has any.
    pub(crate) checks: Option<CheckRecord>,
}

impl Job {
    /// All images of the job are done.
    pub(crate) fn finished(&self) -> bool {
        self.rows.len() >= self.images
    }
}
