//! The leaderboard: from run folders to the numbers that every export prints. It is derived, never
//! stored and read back: what is on disk are the rows of the jobs.

use std::path::PathBuf;

use serde::Serialize;

use super::board::Board;
use super::gather::{Gathered, RunInfo};
use super::job_info::JobInfo;
use super::parts::parts;
use super::published::Ranking;
use super::subject::Subject;
use super::view::View;
use crate::error::{Error, Result};
use crate::results::distinct;
use crate::work::{Job, Method};

/// Version of `summary.json`.
///
/// 2: a board's `certified` is a list of columns (it was one `radius`); envelopes, brackets, pA and samples
/// saved.
///
/// 3: a board is about one set of images (`images`, `image_set`), and a data set may have several boards
/// (`part`); worst cases are over all evidence and say over which images, which attacks are `unfinished`
/// (they had `done`, `images` and `finished`), and what is known `beyond` them; equal worst cases share a
/// rank; columns and attacks have a `goal`; a run lists its `seeds`, `devices` and `precisions`; a published
/// ranking has measured networks without a `rank`.
///
/// 4: a board's `certified` and `verified` are one list of `columns`, each with its `kind`; networks have
/// `corruptions`.
///
/// 5: no seconds, which are other ones in every run; the tables of jobs have them.
pub const SUMMARY_VERSION: u32 = 5;

/// Everything a report says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Leaderboard {
    /// [`SUMMARY_VERSION`].
    pub format_version: u32,
    /// Names of the suites.
    pub title: String,
    /// The runs, by their beginning.
    pub runs: Vec<RunInfo>,
    /// A ranking for each data set and set of images.
    pub boards: Vec<Board>,
    /// What happened when the runs were merged, in sentences.
    pub notes: Vec<String>,
    /// Measured networks among published ones, where the user asks for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub published: Vec<Ranking>,
    /// The jobs behind the numbers, network by network.
    #[serde(skip)]
    pub jobs: Vec<JobInfo>,
    /// What printed tables show of it.
    #[serde(skip)]
    pub view: View,
}

impl Leaderboard {
    /// Reads the run folders and derives the leaderboard. Networks and images of several runs are the same
    /// if their digests are; nothing replaces anything, and the order of the folders does not matter.
    ///
    /// # Errors
    /// If there is no folder, a folder has no readable `run.toml`, or a table is damaged. The missing or
    /// short table of a job that had not finished is not an error but an unfinished job.
    pub fn from_runs(folders: &[PathBuf]) -> Result<Self> {
        if folders.is_empty() {
            return Err(Error::setting(
                "run folders",
                "none was given",
                "name at least one folder with a run.toml",
            ));
        }
        let Gathered { runs, models, data, jobs, notes } = Gathered::read(folders)?;
        let (mut boards, mut infos) = (Vec::new(), Vec::new());
        for (index, data) in data.iter().enumerate() {
            let own: Vec<&Job> = jobs.iter().filter(|job| job.data == index).collect();
            let methods = Method::all(&own);
            infos.extend(JobInfo::all(data, &models, &methods));
            let numbered = models.iter().enumerate();
            let subjects =
                numbered.filter_map(|(number, model)| Subject::new(number, model, &methods));
            let parts = parts(subjects.collect());
            boards.extend(parts.iter().map(|part| Board::new(data.clone(), part)));
        }
        let title = distinct(runs.iter().map(|run| run.name.as_str())).join(" + ");
        let (published, view) = (Vec::new(), View::default());
        Ok(Self {
            format_version: SUMMARY_VERSION,
            title,
            runs,
            boards,
            notes,
            published,
            jobs: infos,
            view,
        })
    }
}
