//! How a file of the Hub is named: `hf:OWNER/NAME[@REVISION][/FILE][#SHA256]`. What a reference holds can
//! stand in an address and in a path without a second thought: its parts have few characters, and none leads
//! out of a folder.

use std::fmt;

use crate::error::{Error, Result};

/// What every reference begins with.
const PREFIX: &str = "hf:";
/// The whole form, for errors.
const USAGE: &str = "hf:OWNER/NAME[@REVISION][/FILE][#SHA256]";
/// Where the Hub is.
pub(super) const ENDPOINT: &str = "https://huggingface.co";

/// Models and data sets are different repositories there, also under the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What a model path names.
    Model,
    /// What a data specification names.
    Dataset,
}

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Which kind of repository.
    pub(super) kind: Kind,
    /// `OWNER/NAME`.
    pub(super) repository: String,
    /// Branch, tag or commit; `main` if the user names none.
    pub(super) revision: Option<String>,
    /// Path in the repository; only a model may go without: the only checkpoint there is meant.
    pub(super) file: Option<String>,
    /// Hash of the file, 64 lower-case hexadecimal digits.
    pub sha256: Option<String>,
}

/// Whether `text` is meant as a reference.
pub fn is_reference(text: &str) -> bool {
    text.starts_with(PREFIX)
}

impl Reference {
    /// Reads a reference to a repository of this kind; `None` for what is meant as something else.
    ///
    /// # Errors
    /// If `text` begins with `hf:` and does not go on as a reference, or names no file of a data set.
    pub fn parse(text: &str, kind: Kind) -> Result<Option<Self>> {
        let Some(rest) = text.strip_prefix(PREFIX) else { return Ok(None) };
        let bad = |problem: String| Error::setting(text, problem, format!("write {USAGE}"));
        let (rest, sha256) = divided(rest, '#');
        let mut parts = rest.splitn(3, '/');
        let (Some(owner), Some(name), file) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad("names no repository".into()));
        };
        if ["datasets", "models", "spaces"].contains(&owner) {
            return Err(bad(format!(
                "`{owner}` is no owner: leave it out, the place says which it is"
            )));
        }
        let (name, revision) = divided(name, '@');
        for (what, part) in [("owner", Some(owner)), ("name", Some(name)), ("revision", revision)] {
            if let Some(part) = part.filter(|part| !is_plain(part)) {
                return Err(bad(format!("the {what} `{part}` is not plain: {PLAIN}")));
            }
        }
        if let Some(file) = file.filter(|file| !is_plain_path(file)) {
            return Err(bad(format!("the file `{file}` is not plain: {PLAIN}")));
        }
        if let Some(hash) = sha256
            && (hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            return Err(bad(format!("the hash `{hash}` is not 64 hexadecimal digits")));
        }
        let reference = Self {
            kind,
            repository: format!("{owner}/{name}"),
            revision: revision.map(Into::into),
            file: file.map(Into::into),
            sha256: sha256.map(str::to_ascii_lowercase),
        };
        match (kind, file) {
            (Kind::Dataset, None) => Err(Error::setting(
                text,
                "names no file of the data set",
                format!("write {reference}/FILE; its files: {}", reference.address(ENDPOINT)),
            )),
            _ => Ok(Some(reference)),
        }
    }

    /// Another file of the repository, at its root.
    pub(super) fn beside(&self, file: &str) -> Self {
        Self { file: Some(file.to_owned()), sha256: None, ..self.clone() }
    }

    /// Whose repository it is.
    pub(super) fn owner(&self) -> &str {
        self.repository.split_once('/').map_or("", |(owner, _)| owner)
    }

    /// Name of the repository, without its owner.
    pub(super) fn name(&self) -> &str {
        self.repository.split_once('/').map_or(self.repository.as_str(), |(_, name)| name)
    }

    /// Branch, tag or commit.
    pub(super) fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }

    /// The page of the repository.
    pub(super) fn page(&self, endpoint: &str) -> String {
        match self.kind {
            Kind::Model => format!("{endpoint}/{}", self.repository),
            Kind::Dataset => format!("{endpoint}/datasets/{}", self.repository),
        }
    }

    /// The address of the file, or of the list of files if none is named.
    pub(super) fn address(&self, endpoint: &str) -> String {
        let (page, revision) = (self.page(endpoint), self.revision());
        match &self.file {
            Some(file) => format!("{page}/resolve/{revision}/{file}"),
            None => format!("{page}/tree/{revision}"),
        }
    }

    /// What to do without us.
    pub(super) fn by_hand(&self, endpoint: &str) -> String {
        let address = self.address(endpoint);
        match self.file {
            Some(_) => format!("download {address} by hand and write the path of the file instead"),
            None => format!("download a file of {address} by hand and write its path instead"),
        }
    }
}

/// As a user would write it, without the hash.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.repository)?;
        if let Some(revision) = &self.revision {
            write!(f, "@{revision}")?;
        }
        match &self.file {
            Some(file) => write!(f, "/{file}"),
            None => Ok(()),
        }
    }
}

/// What comes before and what comes after the first `mark`, if there is one.
fn divided(text: &str, mark: char) -> (&str, Option<&str>) {
    text.split_once(mark).map_or((text, None), |(before, after)| (before, Some(after)))
}

/// What [`is_plain`] asks for.
const PLAIN: &str = "letters, digits and - _ . + = are, and folders are not left with ..";

/// Whether this is one step of a path, with characters that mean nothing in an address.
fn is_plain(part: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+=".contains(c);
    !part.is_empty() && part.chars().all(plain) && part != "." && part != ".."
}

/// Whether all steps of a path are plain.
pub(super) fn is_plain_path(path: &str) -> bool {
    path.split('/').all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn references_are_read_and_written_back() {
        let hash = "AB".repeat(32);
        for (text, revision, file) in [
            ("hf:owner/name", "main", None),
            ("hf:owner/name/model.safetensors", "main", Some("model.safetensors")),
            ("hf:own-er/na.me@v1.0/a/b_c.pt", "v1.0", Some("a/b_c.pt")),
            (&format!("hf:owner/name@{COMMIT}"), COMMIT, None),
        ] {
            let plain = Reference::parse(text, Kind::Model).unwrap().unwrap();
            assert_eq!((plain.revision(), plain.file.as_deref()), (revision, file));
            assert_eq!((plain.to_string().as_str(), &plain.sha256), (text, &None));
            let pinned = Reference::parse(&format!("{text}#{hash}"), Kind::Model).unwrap().unwrap();
            assert_eq!(pinned.sha256, Some(hash.to_lowercase()));
            assert_eq!(Reference { sha256: None, ..pinned }, plain);
        }
        for path in ["model.safetensors", "./hf:owner/name", "bundled:digits-pgd", "HF:a/b", ""] {
            assert_eq!(Reference::parse(path, Kind::Model).unwrap(), None, "{path}");
        }
    }

    #[test]
    fn addresses() {
        let of = |text, kind| {
            let reference = Reference::parse(text, kind).unwrap().unwrap();
            reference.address(ENDPOINT)
        };
        assert_eq!(of("hf:o/n@v1", Kind::Model), "https://huggingface.co/o/n/tree/v1");
        assert_eq!(
            of("hf:o/n/a/b.npy", Kind::Dataset),
            "https://huggingface.co/datasets/o/n/resolve/main/a/b.npy"
        );
    }

    #[test]
    fn bad_references() {
        for (text, problem) in [
            ("hf:", "names no repository"),
            ("hf:name", "names no repository"),
            ("hf:/name", "the owner `` is not plain"),
            ("hf://owner/name", "the owner `` is not plain"),
            ("hf:owner/", "the name `` is not plain"),
            ("hf:owner/@main", "the name `` is not plain"),
            ("hf:owner/name@", "the revision `` is not plain"),
            ("hf:owner/name@a@b", "the revision `a@b` is not plain"),
            ("hf:owner/name@../x", "the revision `..` is not plain"),
            ("hf:owner/..", "the name `..` is not plain"),
            ("hf:../name/file", "the owner `..` is not plain"),
            ("hf:owner/name/", "the file `` is not plain"),
            ("hf:owner/name//etc/passwd", "the file `/etc/passwd` is not plain"),
            ("hf:owner/name/../../x", "the file `../../x` is not plain"),
            ("hf:owner/name/a/./b", "the file `a/./b` is not plain"),
            ("hf:owner/name/a\\b", "the file `a\\b` is not plain"),
            ("hf:owner/name/a b", "the file `a b` is not plain"),
            ("hf:owner/name/a?x=1", "the file `a?x=1` is not plain"),
            ("hf:owner/name/a%2fb", "the file `a%2fb` is not plain"),
            ("hf:owner/näme", "the name `näme` is not plain"),
            ("hf:owner/name\n/file", "the name `name\n` is not plain"),
            ("hf:https://huggingface.co/owner/name", "the owner `https:` is not plain"),
            ("hf:datasets/owner/name", "`datasets` is no owner"),
            ("hf:owner/name#", "the hash `` is not 64"),
            ("hf:owner/name/file#abc", "the hash `abc` is not 64"),
            (&format!("hf:owner/name/file#{}", "g".repeat(64)), "is not 64"),
            (&format!("hf:owner/name/file#{}é", "a".repeat(62)), "is not 64"),
        ] {
            for kind in [Kind::Model, Kind::Dataset] {
                let error = Reference::parse(text, kind).unwrap_err();
                assert!(error.to_string().contains(problem), "{error}, not {problem}");
                assert_eq!(error.hint().unwrap(), format!("write {USAGE}"));
            }
        }
        let error = Reference::parse("hf:owner/name@v1", Kind::Dataset).unwrap_err();
        assert_eq!(error.to_string(), "hf:owner/name@v1: names no file of the data set");
        assert!(error.hint().unwrap().ends_with("/datasets/owner/name/tree/v1"), "{error:?}");
    }
}
