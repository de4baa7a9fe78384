//! Names: which of them are refused before anything is computed, and how they become names of files that
//! two different jobs never share.

use std::collections::BTreeSet;

use crate::digest::sha256;
use crate::error::{Error, Result};
use crate::hidden::is_hidden;
use crate::record::{JobRecord, Work};
use crate::work;

/// Longest part of a file name that is made of a name.
const LONGEST: usize = 100;

/// Refuses a name that would leave its place in a path, a table or a line of text; `what` it names is
/// for the error.
pub(super) fn check(what: &str, name: &str) -> Result<()> {
    let invisible = |c: char| is_hidden(c) || matches!(c, '\n' | '\t');
    let problem = if name.trim().is_empty() {
        "it is empty"
    } else if name.trim() != name {
        "it begins or ends with a space"
    } else if name.chars().any(invisible) {
        "it holds a line break or another character that is not seen"
    } else if name.split(['/', '\\']).any(|part| part == ".." || part == ".") {
        "it holds a part of a path that leads elsewhere"
    } else if name.starts_with(['/', '\\', '~']) || name.as_bytes().get(1) == Some(&b':') {
        "it is an absolute path"
    } else if name.starts_with(['=', '+', '-', '@']) {
        "a spreadsheet would take it for a formula"
    } else {
        return Ok(());
    };
    Err(Error::setting(
        what,
        format!("`{}` cannot be a name: {problem}", name.escape_debug()),
        "give a name of letters, digits and single spaces: name = \"...\", label = \"...\"",
    ))
}

/// Refuses a suite's own name, which is also that of a folder.
pub(super) fn check_suite(name: &str) -> Result<()> {
    check("suite: name", name)?;
    match name.contains(['/', '\\']) {
        false => Ok(()),
        true => Err(Error::setting(
            "suite: name",
            format!("`{name}` is a path"),
            "give the folder with --output, and the suite a name without `/`",
        )),
    }
}

/// `name` made safe for every file system. Names that are changed by it end in their own hash, so no
/// two names share a file.
pub(super) fn file_name(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.+=".contains(c) { c } else { '_' };
    let mut file: String = name.chars().map(safe).take(LONGEST).collect();
    if file.starts_with('.') {
        file.replace_range(..1, "_");
    }
    match file == name {
        true => file,
        false => format!("{file}-{}", &sha256(name.as_bytes())[..8]),
    }
}

/// Gives `job` an id, a label and a file that none of the jobs `taken` has. `label` is what the suite
/// calls it and `stem` the label with its budget; a job that differs from a namesake in its settings
/// says in which.
pub(super) fn distinguish(job: &mut JobRecord, (label, stem): (&str, &str), taken: &[JobRecord]) {
    let id = |addition: &str| format!("{}--{stem}{addition}", job.model);
    let known = |id: &str| taken.iter().find(|other| other.id == id);
    let mut addition = String::new();
    if let Some(namesake) = known(&id("")) {
        addition = format!(" ({})", differences(job, namesake));
        if known(&id(&addition)).is_some() {
            addition = format!(" ({})", &job.key[..8]);
        }
    }
    job.id = id(&addition);
    job.work = job.work.clone().labelled(&format!("{label}{addition}"));
    let extension = work::of(&job.work).map_or("csv", |kind| kind.extension());
    let folder = file_name(&job.model);
    let of_file = addition.replace([' ', '(', ')'], "").replace(',', "-");
    let of_file = if of_file.is_empty() { stem.into() } else { format!("{stem}-{of_file}") };
    let file = |end: &str| format!("jobs/{folder}/{}{end}.{extension}", file_name(&of_file));
    // Some file systems do not tell letters by their case.
    let same = |path: &str| taken.iter().any(|other| other.file.eq_ignore_ascii_case(path));
    job.file = file("");
    if same(&job.file) {
        job.file = file(&format!("-{}", &job.key[..8]));
    }
}

/// In which settings `job` differs from `other`: `steps=20, seed=1`.
fn differences(job: &JobRecord, other: &JobRecord) -> String {
    // What rows do not depend on makes no other job.
    let essence = |job: &JobRecord| {
        work::of(&job.work).map_or_else(|_| job.work.clone(), |kind| kind.essence(&job.work))
    };
    let (own, others) = (essence(job), essence(other));
    let mut all = Vec::new();
    if (&own.method, &own.threat) == (&others.method, &others.threat) {
        let settings = |work: &Work| {
            let mut settings = work.parameters.clone();
            settings.extend(work.facts.clone());
            settings
        };
        let (own, others) = (settings(&own), settings(&others));
        let names: BTreeSet<&String> = own.keys().chain(others.keys()).collect();
        let differing = names.into_iter().filter(|name| own.get(*name) != others.get(*name));
        let value = |name: &String| own.get(name).map_or("default", String::as_str);
        all.extend(differing.map(|name| format!("{name}={}", value(name))));
    }
    for (name, own, others) in [
        ("method", own.method, others.method),
        ("threat", own.threat, others.threat),
        ("seed", job.seed.to_string(), other.seed.to_string()),
        ("rng", job.rng.clone(), other.rng.clone()),
        ("device", job.device.clone(), other.device.clone()),
        ("precision", job.precision.clone(), other.precision.clone()),
        ("data", job.data.clone(), other.data.clone()),
    ] {
        if own != others {
            all.push(format!("{name}={own}"));
        }
    }
    match all.is_empty() {
        // They differ in what has no name of its own.
        true => job.key[..8].to_owned(),
        false => all.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [
            "",
            " ",
            " a",
            "a ",
            "..",
            "../x",
            "a/../b",
            ".",
            "/etc/x",
            "\\x",
            "C:x",
            "~root",
            "a\nb",
            "a\tb",
            "a\r",
            "\u{1b}[31m",
            "\u{7f}",
            "a\u{202e}b",
            "a\u{200b}",
            "a\u{2028}b",
            "=1+1",
            "@x",
            "+1",
            "-n",
        ] {
            let error = check("model", name).unwrap_err();
            assert!(error.to_string().starts_with("model: `"), "{error}");
            assert!(!error.to_string().contains('\n'), "{error}");
            assert!(error.hint().is_some());
        }
        for name in ["net (ours)", "a/b", "a|b", "Ünïcödé", "模型", "x=1", "a..b", "8/255", "..."]
        {
            check("model", name).unwrap();
        }
        assert!(check_suite("a/b").is_err() && check_suite("../x").is_err());
        check_suite("my suite").unwrap();
    }

    #[test]
    fn jobs_of_one_label_say_in_words_what_differs() {
        let job = |facts: &[(&str, &str)], data: &str| {
            let facts = facts.iter().map(|(name, value)| ((*name).into(), (*value).into()));
            let work =
                Work { kind: "corruption".into(), facts: facts.collect(), ..Work::default() };
            JobRecord {
                id: String::new(),
                key: sha256(data.as_bytes()),
                file: String::new(),
                model: "m".into(),
                data: data.into(),
                images: 1,
                finished: false,
                checked: false,
                seed: 0,
                rng: "per-image".into(),
                device: "cpu".into(),
                precision: "f32".into(),
                work,
            }
        };
        let other = job(&[("first", "10"), ("data", "here")], "a");
        let crop = [("first", "20"), ("preprocessing", "Crop288")];
        assert_eq!(differences(&job(&crop, "a"), &other), "preprocessing=Crop288");
        assert_eq!(differences(&other, &job(&crop, "a")), "preprocessing=default");
        assert_eq!(differences(&job(&crop, "b"), &other), "preprocessing=Crop288, data=b");
    }

    #[test]
    fn no_two_names_share_a_file() {
        let names = [
            "net (ours)",
            "net [ours]",
            "net__ours_",
            "模型",
            "网络",
            "a/b",
            "a|b",
            "a_b",
            ".a",
            "_a",
            "",
        ];
        let mut files: Vec<String> = names.iter().map(|name| file_name(name)).collect();
        assert!(files.iter().all(|file| file.is_ascii() && !file.starts_with('.')));
        files.sort();
        files.dedup();
        assert_eq!(files.len(), names.len());
        assert_eq!(file_name("pgd-linf-0.1"), "pgd-linf-0.1");
        let long = ["a".repeat(300), format!("{}b", "a".repeat(299))];
        assert_ne!(file_name(&long[0]), file_name(&long[1]));
        assert!(file_name(&long[0]).len() < 120);
    }
}
