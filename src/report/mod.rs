//! From run folders to a leaderboard, and from a leaderboard to the files people read: CSV, Markdown,
//! HTML, JSON and the terminal. Reports read what [`crate::record`] describes and compute nothing but
//! counts: no network, no device, no tensor.

mod attack_result;
mod certificate_result;
mod csv;
mod figure;
mod format;
mod gather;
mod grid;
mod html;
mod interval;
mod leaderboard;
mod legend;
mod markdown;
mod proportion;
mod standing;
mod summary;
mod table;
mod terminal;
mod worst_case;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::{Path, PathBuf};

pub use attack_result::{AttackResult, Budget, Cost};
pub use certificate_result::{CertificateResult, CertifiedAccuracy};
pub use csv::Csv;
pub use gather::RunInfo;
pub use html::Html;
pub use interval::wilson;
pub use leaderboard::{AttackColumn, Board, Leaderboard, SUMMARY_VERSION, ThreatColumn};
pub use markdown::Markdown;
pub use proportion::Proportion;
pub use standing::{Standing, ThreatResult};
pub use summary::Summary;
pub use terminal::Terminal;
pub use worst_case::WorstCase;

use crate::error::{Error, Result};

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
        replace(&path, format.export(leaderboard)?.as_bytes())?;
        paths.push(path);
    }
    Ok(paths)
}

/// Puts `content` into the file `path` in one step, so that no reader ever sees half of it.
fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file =
        tempfile::NamedTempFile::new_in(folder).map_err(Error::io("write in", folder))?;
    file.write_all(content).map_err(Error::io("write", path))?;
    open_to_readers(file.as_file()).map_err(Error::io("write", path))?;
    file.persist(path).map_err(|e| Error::io("replace", path)(e.error))?;
    Ok(())
}

/// Temporary files are private; a report is to be read by whoever may read the folder.
fn open_to_readers(file: &std::fs::File) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}
