//! Where the parts of a suite stand in its file, and what is wrong there in words: an error names the file,
//! the line and the section that it is about.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, nearest};
use crate::work::{Entry, needless, unknown_field, words};

/// What says which images of a data set are taken.
const SELECTIONS: &[&str] = &["first", "every", "indices"];

/// The fields of a suite that stand before its first section.
const TOP: [&str; 9] = [
    "name",
    "seed",
    "rng",
    "batch",
    "memory",
    "device",
    "precision",
    "save_adversarial",
    "skip_missing",
];

/// Those of them that options of the commands stand for too.
const FROM_COMMAND: [&str; 6] = ["seed", "rng", "batch", "memory", "device", "precision"];

/// What to read when nothing better can be said.
const EXAMPLES: &str = "see benchmarks/suites/ for complete examples";

/// The sections of a suite in its file; empty for a suite that was not read from one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    path: PathBuf,
    /// Line of each entry, by section.
    lines: BTreeMap<&'static str, Vec<usize>>,
}

impl Source {
    /// Nothing yet of the file `path`.
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.into(), lines: BTreeMap::new() }
    }

    /// Notes the lines of the entries of a section.
    pub(super) fn put(&mut self, section: &'static str, lines: impl Iterator<Item = usize>) {
        self.lines.insert(section, lines.collect());
    }

    /// Forgets the entries of a section that are not kept.
    pub(super) fn keep(&mut self, section: &'static str, kept: &[bool]) {
        let mut kept = kept.iter();
        if let Some(lines) = self.lines.get_mut(section) {
            lines.retain(|_| kept.next().copied().unwrap_or(true));
        }
    }

    /// The error of entry `number` of a section, with its place if it is about a setting.
    pub(super) fn locate(&self, section: &str, number: usize, error: Error) -> Error {
        let line = self.lines.get(section).and_then(|lines| lines.get(number));
        let (Some(line), Error::Setting { .. } | Error::Unknown { .. }) = (line, &error) else {
            return error;
        };
        let remedy = match needless(&error).filter(|field| TOP.contains(&&**field)) {
            Some(field) => before_sections(&field),
            None => error.hint().unwrap_or_default(),
        };
        let text = error.to_string();
        let head = format!("[[{section}]]");
        let place = match text.starts_with(&head) {
            true => format!("line {line}"),
            false => format!("line {line}: {head}"),
        };
        Error::file(&self.path, place, text, remedy)
    }

    /// An error about the whole suite, with the file that it stands in. What the command line may have said instead of
    /// the file is left as it is.
    pub(super) fn name(&self, error: Error) -> Error {
        let elsewhere =
            |field: &str| FROM_COMMAND.contains(&field.split(':').next().unwrap_or(field));
        match error {
            error if self.path.as_os_str().is_empty() => error,
            Error::Setting { field, problem, remedy } if !elsewhere(&field) => {
                Error::file(&self.path, field, problem, remedy)
            }
            Error::Unknown { kind, .. } if !elsewhere(kind) => {
                let remedy = error.hint().unwrap_or_default();
                Error::file(&self.path, kind, error.to_string(), remedy)
            }
            error => error,
        }
    }

    /// Refuses an entry with the label of an earlier one that may be for the same model: nobody could tell
    /// their columns apart.
    pub(super) fn refuse_duplicate<'a>(
        &self,
        section: &str,
        entry: &Entry,
        mut earlier: impl Iterator<Item = (usize, &'a Entry)>,
    ) -> Result<()> {
        let Some(label) = entry.text("label") else { return Ok(()) };
        let own = entry.models()?;
        let meets = |other: &Entry| {
            let models = other.models().unwrap_or_default();
            own.is_empty() || models.is_empty() || own.iter().any(|name| models.contains(name))
        };
        let duplicate =
            earlier.find(|(_, other)| other.text("label") == Some(label) && meets(other));
        let Some((number, other)) = duplicate else { return Ok(()) };
        let name = |entry: &Entry| entry.text(section).unwrap_or(section).to_owned();
        let line = self.lines.get(section).and_then(|lines| lines.get(number));
        let line = line.map_or(String::new(), |line| format!(" in line {line}"));
        Err(Error::setting(
            format!("[[{section}]] {}", name(entry)),
            format!("has the label `{label}`, and so has {}{line}", name(other)),
            "give each a label of its own, or leave the labels out",
        ))
    }
}

/// Number of the line of byte `at`, from 1.
pub(super) fn line(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

/// The error of a text that is no suite.
pub(super) fn misfit(text: &str, path: &Path, error: &toml::de::Error) -> Error {
    let span = error.span().unwrap_or(0..0);
    let message = error.message();
    let (problem, remedy) = match unknown_field(message) {
        Some((field, _)) if TOP.contains(&&*field) => {
            (format!("the section has no field `{field}`"), before_sections(&field))
        }
        Some((field, known))
            if known.iter().any(|name| name == "images") && SELECTIONS.contains(&&*field) =>
        {
            let remedy = format!("it is part of images: write images = {{ {field} = … }}");
            (format!("unknown field `{field}`"), remedy)
        }
        Some((field, known)) => {
            let near = nearest(&field, &known);
            let near = near.map_or(String::new(), |near| format!("did you mean `{near}`? "));
            (format!("unknown field `{field}`"), format!("{near}known: {}", known.join(", ")))
        }
        None if message.trim() == "missing field `name`" => {
            (words(message), before_sections("name"))
        }
        None if single(text, span.start).is_some() => {
            let section = single(text, span.start).unwrap_or_default();
            (
                format!("`[{section}]` is one table"),
                format!("write [[{section}]] above each of them"),
            )
        }
        None => match key(text, span.start) {
            Some("images") => {
                let value = text.get(span).unwrap_or_default();
                let shapes =
                    "write images = { first = 20 }, { every = 20 } or { indices = [3, 7] }";
                (format!("images: `{value}` does not say which images"), shapes.to_owned())
            }
            Some(key) => (format!("{key}: {}", words(message)), EXAMPLES.to_owned()),
            None => (words(message), EXAMPLES.to_owned()),
        },
    };
    Error::file(
        path,
        format!("line {}", line(text, error.span().map_or(0, |s| s.start))),
        problem,
        remedy,
    )
}

/// What to do about a field of the suite in a section.
fn before_sections(field: &str) -> String {
    format!(
        "`{field}` belongs before the first section: whatever stands below a [[section]] is part of it"
    )
}

/// The section whose head stands in the line of byte `at` in single brackets, where sections of its kind are many.
fn single(text: &str, at: usize) -> Option<&str> {
    let begin = text.get(..at)?.rfind('\n').map_or(0, |end| end + 1);
    let head = text.get(begin..)?.lines().next()?.trim();
    let name = head.strip_prefix('[')?.strip_suffix(']')?;
    ["model", "data", "attack", "certificate", "corruption"].contains(&name).then_some(name)
}

/// The field whose value is at byte `at`; `None` if its name is not in the same line.
fn key(text: &str, at: usize) -> Option<&str> {
    let line = text.get(..at)?.rsplit('\n').next()?;
    let (first, rest) = line.split_once('=')?;
    // In a table in braces the name before it says what it is about.
    let name = if rest.contains('{') { first } else { line.rsplit_once('=')?.0 };
    name.trim().rsplit([' ', ',', '{', '.']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_in_single_brackets_is_told_to_have_two() {
        let text = "name = \"x\"\n[model]\npath = \"m\"\n[[data]]\nspec = \"digits\"\n";
        let error = crate::bench::Suite::parse(text, Path::new("suite.toml")).unwrap_err();
        assert!(error.to_string().ends_with("line 2: `[model]` is one table"), "{error}");
        assert_eq!(error.hint().unwrap(), "write [[model]] above each of them");
    }

    #[test]
    fn a_choice_of_images_outside_of_images_is_told_where_it_belongs() {
        let text =
            "name = \"x\"\n[[model]]\npath = \"m\"\n[[data]]\nspec = \"digits\"\nfirst = 3\n";
        let error = crate::bench::Suite::parse(text, Path::new("suite.toml")).unwrap_err();
        assert!(error.to_string().ends_with("line 6: unknown field `first`"), "{error}");
        assert_eq!(error.hint().unwrap(), "it is part of images: write images = { first = … }");
    }

    #[test]
    fn a_value_is_found_under_its_name() {
        let text = "seed = 3\nimages = { first = -1 }\n[[data]]\nlist = [\n1]\n";
        let of = |value: &str| key(text, text.find(value).unwrap());
        assert_eq!(of("3"), Some("seed"));
        assert_eq!(of("-1"), Some("images"));
        assert_eq!(of("1]"), None);
        assert_eq!(line(text, text.find("1]").unwrap()), 5);
    }
}
