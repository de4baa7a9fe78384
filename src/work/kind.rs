//! What a kind of work is: how an entry of a suite becomes jobs, what the rows of a job depend on, and how
//! rows become numbers, columns, tables and figures.

use std::fmt::Debug;
use std::path::Path;

use super::entrant::Entrant;
use super::entry::Entry;
use super::job::Job;
use super::method::Method;
use super::number::Number;
use super::outcome::{KindColumn, Outcome};
use super::per_image::PerImage;
use super::rows::Rows;
use super::task::Resolved;
use crate::data::Dataset;
use crate::error::Result;
use crate::network::Network;
use crate::parameters::Documented;
use crate::record::Work;
use crate::results::{Figure, Sheet};
use crate::rng::Randomness;

/// A kind of work.
pub(crate) trait Kind: Debug + Sync {
    /// Its name in records: `attack`, `bound`.
    fn name(&self) -> &'static str;

    /// The section of a suite that its entries are in: `[[attack]]`, `[[certificate]]`.
    fn section(&self) -> &'static str;

    /// What an entry of this kind can name as its method.
    fn methods(&self) -> Vec<Listed>;

    /// Reads an entry.
    ///
    /// # Errors
    /// If a field is missing, is not of this kind, or holds something else.
    fn read(&self, entry: &Entry) -> Result<Box<dyn Settings>>;

    /// The entry that gives this work again; `None` if its rows are not computed twice.
    fn again(&self, work: &Work) -> Option<Entry> {
        let _ = work;
        None
    }

    /// How the names of its tables end: `csv`, or `tsv` as the logs of certificates do.
    fn extension(&self) -> &'static str {
        "tsv"
    }

    /// The random numbers that a row depends on.
    fn chance(&self) -> Chance {
        Chance::None
    }

    /// Takes up in the record of a job what a later session says about it. Returns whether rows that are
    /// there are to be about more images.
    fn extend(&self, known: &mut Work, new: &Work) -> bool {
        // What is only told, and where images lie, is as the latest session says it.
        known.facts.clone_from(&new.facts);
        false
    }

    /// What to do where two entries of a suite are one job.
    fn once(&self) -> &'static str {
        "leave one of the two out"
    }

    /// The same work without what its rows do not depend on: the label, and what only a report asks for.
    /// If that includes the budgets, those of several jobs are reported together.
    fn essence(&self, work: &Work) -> Work {
        work.clone().labelled("")
    }

    /// What else than the label and the threat model a column of a board is about.
    fn place(&self, work: &Work) -> Vec<String> {
        let _ = work;
        Vec::new()
    }

    /// Reads the table at `path` of the job `key`.
    ///
    /// # Errors
    /// If the table was changed or is of another job.
    fn rows(&self, path: &Path, key: &str) -> Result<Box<dyn Rows>>;

    /// Its rows are about the images of the job's data set, one each.
    fn by_image(&self) -> bool {
        true
    }

    /// What `method`, one of `all` methods of a board, did to the network `model`, summed up; `None` if it was not
    /// run on it.
    fn sum_up(&self, method: &Method<'_>, all: &[Method<'_>], model: usize) -> Option<Outcome>;

    /// The columns that it adds to a board with these jobs of its kind.
    fn columns(&self, jobs: &[&Job]) -> Vec<KindColumn> {
        let _ = jobs;
        Vec::new()
    }

    /// What its columns on a board mean, in sentences.
    fn reading(&self, columns: &[&KindColumn], entrants: &[&Entrant]) -> Vec<String> {
        let _ = (columns, entrants);
        Vec::new()
    }

    /// The tables of a report.
    fn sheets(&self, entrants: &[&Entrant]) -> Vec<Sheet> {
        let _ = entrants;
        Vec::new()
    }

    /// The figures of a report, whose lines are of the first `most` networks.
    fn figures(&self, entrants: &[&Entrant], most: usize) -> Vec<Figure> {
        let _ = (entrants, most);
        Vec::new()
    }

    /// Titles and values of one network for `leaderboard.csv`; what is unfinished is left out.
    fn fields(&self, entrant: &Entrant) -> Vec<(String, String)> {
        let _ = entrant;
        Vec::new()
    }

    /// Lists of one network for `summary.json`, by their names.
    fn summary(&self, entrant: &Entrant) -> Vec<(&'static str, serde_json::Value)>;

    /// The values of the job's images, column by column, for a comparison of two methods; at `radii`, if
    /// any are given.
    fn per_image(&self, work: &Work, rows: &dyn Rows, radii: &[f64]) -> Vec<PerImage> {
        let _ = (work, rows, radii);
        Vec::new()
    }
}

/// The settings of an entry.
pub(crate) trait Settings {
    /// The jobs of the entry for one network on one data set.
    ///
    /// # Errors
    /// If a setting cannot be used with these.
    fn jobs(&self, subject: &Subject<'_>) -> Result<Vec<Resolved>>;
}

/// What an entry is resolved for.
pub(crate) struct Subject<'a> {
    pub(crate) seed: u64,
    pub(crate) rng: Randomness,
    pub(crate) network: &'a Network,
    pub(crate) data: &'a dyn Dataset,
    /// Images of the job.
    pub(crate) images: usize,
    /// The network's own radius of a ball, in place of an attack's.
    pub(crate) eps: Option<&'a Number>,
}

/// A method that an entry can name.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its name.
    pub name: &'static str,
    /// What it is about: norms, or patches.
    pub threats: String,
    /// What it is, with its source, in one line.
    pub about: &'static str,
    /// The fields of its entries; empty where the method describes its parameters itself.
    pub fields: &'static [Documented],
}

/// The random numbers that a row depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chance {
    /// None.
    None,
    /// Those of a search: another seed is another restart of the same method.
    Search,
    /// Those of one draw, which the row's statement is about.
    Draw,
}
