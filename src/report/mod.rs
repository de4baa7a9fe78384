//! From run folders to a leaderboard, and from a leaderboard to the files people read: CSV, Markdown,
//! HTML, JSON and the terminal. Reports read what [`crate::record`] describes and compute nothing but
//! counts: no network, no device, no tensor.

mod attack_result;
mod attacked;
mod board;
mod bound_result;
mod bracket;
mod certificate_result;
mod certified;
mod columns;
pub mod compare;
mod contradiction;
mod corruptions;
mod coverage;
mod csv;
mod data_sets;
mod envelope;
mod evidence;
mod figure;
mod format;
mod gather;
mod goal;
mod grid;
mod html;
mod image_key;
mod leaderboard;
mod legend;
mod markdown;
mod method;
mod p_a;
mod parts;
mod patch_result;
mod pool;
mod proportion;
mod published;
mod region;
mod standing;
mod subject;
mod summary;
mod table;
mod terminal;
mod verified;
mod warnings;
mod worst_case;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use attack_result::{AttackResult, Budget, Cost};
pub use board::{Board, Running};
pub use bound_result::{BoundResult, VerifiedAccuracy};
pub use bracket::Bracket;
pub use certificate_result::{CertificateResult, CertifiedAccuracy};
pub use certified::CertifiedColumn;
pub use columns::{AttackColumn, ThreatColumn};
pub use contradiction::Contradiction;
pub use corruptions::{CorruptionLine, CorruptionReport};
pub use coverage::ImageSet;
pub use csv::Csv;
pub use envelope::{Envelope, EnvelopePoint};
pub use gather::RunInfo;
pub use html::Html;
pub use leaderboard::{Leaderboard, SUMMARY_VERSION};
pub use markdown::Markdown;
pub use p_a::{Bin, ProbabilityBounds, Quantile};
pub use patch_result::PatchResult;
pub use proportion::Proportion;
pub use published::{Measured, Origin, Place, Ranking};
pub use standing::{Standing, ThreatResult};
pub use summary::Summary;
pub use terminal::Terminal;
pub use verified::VerifiedColumn;
pub use worst_case::{Beyond, Unfinished, WorstCase};

use crate::error::{Error, Result};
use crate::persist;

/// A format a leaderboard can be written in.
pub trait Exporter {
    /// The whole document as text.
    ///
    /// # Errors
    /// If the leaderboard cannot be expressed in the format.
    fn export(&self, leaderboard: &Leaderboard) -> Result<String>;
}

/// Writes `leaderboard.csv`, `leaderboard.md`, `leaderboard.html` and `summary.json` into `folder`,
/// which is created if need be. Each file is replaced as a whole or not at all. Returns their paths.
///
/// # Errors
/// If the folder cannot be created or written to.
pub fn write_all(leaderboard: &Leaderboard, folder: &Path) -> Result<Vec<PathBuf>> {
    let formats: [(&str, &dyn Exporter); 4] = [
        ("leaderboard.csv", &Csv),
        ("leaderboard.md", &Markdown),
        ("leaderboard.html", &Html),
        ("summary.json", &Summary),
    ];
    std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let mut paths = Vec::new();
    for (name, format) in formats {
        let path = folder.join(name);
        persist::replace(&path, format.export(leaderboard)?.as_bytes())?;
        paths.push(path);
    }
    Ok(paths)
}
