//! From run folders to a leaderboard, and from a leaderboard to the files people read: CSV, Markdown,
//! HTML, JSON and the terminal. The numbers are the results of the kinds of work ([`crate::work`]); a board
//! ranks networks by what attacks leave of them, with the columns of other kinds beside. Nothing is computed
//! but counts: no network, no device, no tensor.

mod board;
mod bracket;
mod classes;
pub mod compare;
mod contradiction;
mod csv;
mod data_sets;
mod figure;
mod gather;
mod grid;
mod html;
mod job_info;
mod leaderboard;
mod legend;
mod links;
mod markdown;
mod model_result;
mod pages;
mod paper;
mod parts;
mod published;
mod sections;
mod subject;
mod summary;
mod terminal;
mod view;
mod warnings;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use board::{Board, Running};
pub use bracket::Bracket;
pub use contradiction::Contradiction;
pub use csv::Csv;
pub use figure::{PrintedFigure, print};
pub use gather::RunInfo;
pub use html::Html;
pub use job_info::JobInfo;
pub use leaderboard::{Leaderboard, SUMMARY_VERSION};
pub use markdown::Markdown;
pub use model_result::{ModelResult, ThreatResult};
pub use paper::{Latex, Typst};
pub use published::{Measured, Origin, RankedNetwork, Ranking};
pub use summary::Summary;
pub use terminal::Terminal;
pub use view::View;

use crate::error::{Error, Result};
use crate::persist;
pub use crate::results::{Print, PrintFormat};

/// A format a leaderboard can be written in.
pub trait Exporter {
    /// The whole document as text.
    ///
    /// # Errors
    /// If the leaderboard cannot be expressed in the format.
    fn export(&self, leaderboard: &Leaderboard) -> Result<String>;
}

/// Writes `leaderboard.csv`, `leaderboard.md`, `leaderboard.html` with the pages that it links to, and `summary.json`
/// into `folder`, which is created if need be. Each file is replaced as a whole or not at all. Returns their paths, but
/// those of the further pages.
///
/// # Errors
/// If the folder cannot be created or written to.
pub fn write_all(leaderboard: &Leaderboard, folder: &Path) -> Result<Vec<PathBuf>> {
    let formats: [(&str, &dyn Exporter); 4] = [
        ("leaderboard.csv", &Csv),
        ("leaderboard.md", &Markdown),
        ("leaderboard.html", &Html { linked: true }),
        ("summary.json", &Summary),
    ];
    std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let mut paths = Vec::new();
    for (name, format) in formats {
        let path = folder.join(name);
        persist::replace(&path, format.export(leaderboard)?.as_bytes())?;
        paths.push(path);
    }
    for (path, page) in pages::pages(leaderboard, folder)? {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
        }
        persist::replace(&path, page.as_bytes())?;
    }
    Ok(paths)
}
