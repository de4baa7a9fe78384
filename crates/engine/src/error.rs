//! The one error type of the library. Every variant names the file or setting it is about and what
//! is wrong with it; [`Error::hint`] says what to do. Nothing in the library panics on input.

use std::path::{Path, PathBuf};

/// `Result` with the library's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong, in terms of the user's files and settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a file operation.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done, as a verb: `read`, `create`, `append to`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// A file was read but its content is not what it has to be.
    #[error("{}: {field}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The part of the file: a key, a header field, a record number.
        field: String,
        /// What is wrong with it.
        problem: String,
        /// What the user can do.
        remedy: String,
    },
    /// A setting, from the command line, a suite or the library's caller, cannot be used.
    #[error("{field}: {problem}")]
    Setting {
        /// The name of the setting as the user wrote it.
        field: String,
        /// What is wrong with it.
        problem: String,
        /// What the user can do.
        remedy: String,
    },
    /// A name that is on no list.
    #[error("unknown {kind} `{name}`")]
    Unknown {
        /// What was looked up: `attack`, `architecture`, `data set`.
        kind: &'static str,
        /// The name that was given.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// A tensor operation failed: a shape or device mismatch inside the library or a user's module.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
    /// A GPU or its driver refused something.
    #[error("{device}: cannot {what}: {problem}")]
    Device {
        /// The device: `cuda:0`.
        device: String,
        /// What was being done, as a verb.
        what: &'static str,
        /// The driver's own words.
        problem: String,
    },
    /// The user asked to stop; what was finished is on disk.
    #[error("interrupted: finished images are saved, the same command resumes")]
    Interrupted,
}

/// What a device cannot do when its memory is full.
pub(crate) const OUT_OF_MEMORY: &str = "allocate memory";

impl Error {
    /// An [`Error::File`].
    pub fn file(
        path: impl AsRef<Path>,
        field: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::File {
            path: path.as_ref().to_path_buf(),
            field: field.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// An [`Error::Setting`].
    pub fn setting(
        field: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Setting { field: field.into(), problem: problem.into(), remedy: remedy.into() }
    }

    /// A device has too little memory for what it was asked for.
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::Device { what: OUT_OF_MEMORY, .. })
    }

    /// An [`Error::Unknown`]; `known` are the names that exist.
    pub fn unknown<S: Into<String>>(
        kind: &'static str,
        name: impl Into<String>,
        known: impl IntoIterator<Item = S>,
    ) -> Self {
        let mut name = name.into();
        if name.len() > LONGEST {
            name = name.chars().take(LONGEST / 4).chain(['…']).collect();
        }
        Self::Unknown { kind, name, known: known.into_iter().map(Into::into).collect() }
    }

    /// An [`Error::Io`]; use as `.map_err(Error::io("read", path))`.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    /// What the user can do about it, as one sentence.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File { remedy, .. } | Self::Setting { remedy, .. } if !remedy.is_empty() => {
                Some(remedy.clone())
            }
            Self::Unknown { kind, name, known } => {
                let list = listed(kind, name, known);
                Some(match nearest(name, known) {
                    Some(near) => format!("did you mean `{near}`? {list}"),
                    None => list,
                })
            }
            Self::Device { .. } => Some(
                "see whether `nvidia-smi` shows the GPU and free memory; a smaller --batch needs less, and \
                 --device cpu runs everywhere"
                    .into(),
            ),
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::InvalidInput => {
                Some("name a file; what a pipe or a device gives belongs into one first".into())
            }
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                Some("choose a folder you may write to, or change its permissions".into())
            }
            Self::Io { source, .. } => Some(match source.kind() {
                std::io::ErrorKind::NotFound => "give the path of a file that is there; paths start at the current folder".into(),
                std::io::ErrorKind::NotADirectory => "give a path whose folders are folders".into(),
                std::io::ErrorKind::IsADirectory => {
                    "give the path of a file, and not that of a folder".into()
                }
                std::io::ErrorKind::AlreadyExists => {
                    "give another name: something else has this one".into()
                }
                std::io::ErrorKind::InvalidData => "give the file of text that is meant, in UTF-8".into(),
                std::io::ErrorKind::UnexpectedEof => "the file is cut short: get it again".into(),
                _ => "see whether the file can be read or written by other programs, and whether the disk is full".into(),
            }),
            Self::Tensor(_) => Some("see whether the files are whole, and report this as a bug if they are".into()),
            Self::File { .. } | Self::Setting { .. } | Self::Interrupted => None,
        }
    }
}

/// The names that exist: all of them, or, of many, those most like `name` and where the others are shown.
fn listed(kind: &str, name: &str, known: &[String]) -> String {
    const MOST: usize = 12;
    if known.len() <= MOST {
        return format!("known: {}", known.join(", "));
    }
    let name: String = name.to_lowercase().chars().take(LONGEST).collect();
    let mut near: Vec<&String> = known.iter().collect();
    near.sort_by(|a, b| similarity(&name, b).total_cmp(&similarity(&name, a)));
    let near: Vec<&str> = near.into_iter().take(MOST / 2).map(String::as_str).collect();
    let others = known.len() - near.len();
    let shown = match kind {
        "attack" => "; `epsball list attacks` shows them",
        "certificate" => "; `epsball list certificates` shows them",
        "architecture" => "; `epsball list architectures` shows them",
        "data set" => "; `epsball list data` shows them",
        "bundled model" => "; `epsball list models` shows them",
        _ => "",
    };
    format!("known: {} and {others} others{shown}", near.join(", "))
}

/// The longest name that is looked for among others, and shown, in bytes.
const LONGEST: usize = 200;

/// The known name closest to `name`, if one is close enough to be what was meant.
pub fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    // The comparison takes the product of the lengths.
    if name.len() > LONGEST {
        return None;
    }
    // Of equally near ones the first.
    known
        .iter()
        .rev()
        .map(|k| (similarity(&name.to_lowercase(), k), k.as_str()))
        .filter(|(score, _)| *score > 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}

/// Swapped letters count once, and next to nothing where nothing else is wrong; a shared beginning counts for much.
fn similarity(a: &str, b: &str) -> f64 {
    let letters = |text: &str| {
        let mut letters: Vec<char> = text.chars().collect();
        letters.sort_unstable();
        letters
    };
    if a != b && letters(a) == letters(b) {
        return 0.95;
    }
    strsim::normalized_damerau_levenshtein(a, b).max(strsim::jaro_winkler(a, b) - 0.15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_get_the_nearest_one() {
        let error = Error::unknown("attack", "pdg", ["pgd", "fgsm", "cw-l2"]);
        assert_eq!(error.to_string(), "unknown attack `pdg`");
        assert_eq!(error.hint().as_deref(), Some("did you mean `pgd`? known: pgd, fgsm, cw-l2"));
        let hint = Error::unknown("attack", "pdg", ["pdgd", "pgd"]).hint().unwrap();
        assert!(hint.starts_with("did you mean `pgd`?"), "{hint}");
    }

    #[test]
    fn of_many_names_the_nearest_are_told() {
        let known: Vec<String> = (10..60).map(|i| format!("resnet-{i}")).collect();
        let hint = Error::unknown("architecture", "resnet-1", known).hint().unwrap();
        assert!(hint.starts_with("did you mean `resnet-1"), "{hint}");
        let end = " and 44 others; `epsball list architectures` shows them";
        assert!(hint.ends_with(end) && hint.matches("resnet-").count() == 7, "{hint}");
        assert!(hint.contains("resnet-10, "), "{hint}");
    }

    #[test]
    fn a_name_without_end_is_cut() {
        let error = Error::unknown("attack", "ä".repeat(1 << 20), ["pgd"]);
        assert_eq!(error.to_string().chars().filter(|c| *c == 'ä').count(), LONGEST / 4);
        assert_eq!(error.hint().as_deref(), Some("known: pgd"));
    }

    #[test]
    fn whatever_the_system_refuses_has_a_remedy() {
        for kind in [
            std::io::ErrorKind::NotFound,
            std::io::ErrorKind::IsADirectory,
            std::io::ErrorKind::NotADirectory,
            std::io::ErrorKind::AlreadyExists,
            std::io::ErrorKind::InvalidData,
            std::io::ErrorKind::UnexpectedEof,
            std::io::ErrorKind::Other,
        ] {
            assert!(Error::io("read", "file")(kind.into()).hint().is_some(), "{kind}");
        }
    }

    #[test]
    fn unrelated_names_get_the_list_only() {
        let hint = Error::unknown("attack", "zzz", ["pgd"]).hint();
        assert_eq!(hint.as_deref(), Some("known: pgd"));
    }
}
