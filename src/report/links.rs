//! Where the pages of a leaderboard link to: `leaderboard.html`, a page for each network in `models/`, and `runs.html`
//! with every job.

use super::job_info::JobInfo;
use super::leaderboard::Leaderboard;
use crate::results::{Field, distinct, file_name};

/// A leaderboard of more networks has no pages of single ones.
pub(super) const MOST_PAGES: usize = 100;

/// The links of one page.
#[derive(Debug, Clone, Default)]
pub(super) struct Links {
    /// From the page to the folder of `leaderboard.html`; `None` if it stands alone.
    up: Option<&'static str>,
    /// The networks that have pages, with the files of these.
    models: Vec<(String, String)>,
}

impl Links {
    /// Of a page that lies beside `leaderboard.html`, or `up` from it.
    pub(super) fn new(leaderboard: &Leaderboard, up: &'static str) -> Self {
        let all = leaderboard.boards.iter().flat_map(|board| &board.standings);
        let names = distinct(all.map(|standing| standing.entrant.model.name.clone()));
        let mut models: Vec<(String, String)> = Vec::new();
        if names.len() <= MOST_PAGES {
            for (number, name) in names.into_iter().enumerate() {
                let file = file_name(&name);
                let taken = models.iter().any(|(_, known)| *known == file);
                let file = if taken || file.is_empty() { format!("{file}-{number}") } else { file };
                models.push((name, file));
            }
        }
        Self { up: Some(up), models }
    }

    /// The networks that have pages, with the paths of these from the folder of `leaderboard.html`.
    pub(super) fn models(&self) -> impl Iterator<Item = (&str, String)> {
        self.models.iter().map(|(name, file)| (&**name, format!("models/{file}.html")))
    }

    /// `leaderboard.html`, from another page.
    pub(super) fn home(&self) -> Option<String> {
        self.up.filter(|up| !up.is_empty()).map(|up| format!("{up}leaderboard.html"))
    }

    /// The page of a network; none from itself.
    pub(super) fn model(&self, name: &str) -> Option<String> {
        let (up, own) = (self.up?, self.models().find(|(model, _)| *model == name)?);
        up.is_empty().then_some(own.1)
    }

    /// The job behind a field.
    pub(super) fn job(&self, field: &Field) -> Option<String> {
        let (model, label) = field.job.as_ref()?;
        Some(format!("{}runs.html#{}", self.up?, JobInfo::anchor(model, label)))
    }

    /// All runs and jobs.
    pub(super) fn runs(&self) -> Option<String> {
        self.up.map(|up| format!("{up}runs.html"))
    }
}
