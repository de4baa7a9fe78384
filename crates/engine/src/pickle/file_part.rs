//! Where in which file the readers are, so that every error can say so. The readers work on records
//! and streams and know no paths; a [`FilePart`] goes along with them.

use std::path::{Path, PathBuf};

use crate::error::Error;

/// What to do about a damaged or incomplete file.
pub(crate) const DOWNLOAD_AGAIN: &str =
    "download the file again and compare its size or hash with what the publisher states";

/// A part of a file.
#[derive(Debug, Clone)]
pub struct FilePart {
    /// The file.
    pub(crate) path: PathBuf,
    /// The part of it: a record name, `header`.
    pub(crate) part: String,
}

impl FilePart {
    /// `part` of the file `path`.
    pub fn new(path: &Path, part: impl Into<String>) -> Self {
        Self { path: path.to_path_buf(), part: part.into() }
    }

    /// What is wrong here and what to do about it.
    pub(crate) fn error(&self, problem: impl Into<String>, remedy: impl Into<String>) -> Error {
        Error::file(&self.path, self.part.clone(), problem, remedy)
    }

    /// What is wrong at byte `position` of the part.
    pub(crate) fn error_at(
        &self,
        position: u64,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Error {
        Error::file(&self.path, format!("{}, byte {position}", self.part), problem, remedy)
    }
}

/// `text` from a file in back quotes, fit for a terminal: control characters escaped, long text cut.
pub fn quoted(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_cannot_drive_a_terminal_or_fill_it() {
        assert_eq!(quoted("fc.weight"), "`fc.weight`");
        assert_eq!(quoted("a\u{1b}[2Jb\n"), "`a\\u{1b}[2Jb\\n`");
        assert_eq!(quoted(&"x".repeat(1000)).chars().count(), 83);
    }
}
