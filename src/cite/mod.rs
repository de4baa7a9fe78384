//! What a paper has to cite for a run: the sources of its attacks, certificates and data sets as BibTeX, and epsball
//! with the version that computed it.

use crate::error::{Error, Result};
use crate::record::RunRecord;
use crate::results::distinct;

/// Entries of BibTeX, in the order in which they are printed.
const REFERENCES: &str = include_str!("references.bib");

/// The entries that a method of a job asks for, by the method's name.
const METHODS: &[(&str, &[&str])] = &[
    ("fgsm", &["goodfellow2015explaining"]),
    ("bim", &["kurakin2017adversarial"]),
    ("pgd", &["madry2018towards"]),
    ("cw-l2", &["carlini2017towards"]),
    ("apgd-ce", &["croce2020reliable", "croce2021mind"]),
    ("apgd-dlr", &["croce2020reliable", "croce2021mind"]),
    ("apgd-t", &["croce2020reliable", "croce2021mind"]),
    ("fab", &["croce2020minimally"]),
    ("fab-t", &["croce2020minimally"]),
    ("square", &["andriushchenko2020square"]),
    ("rays", &["chen2020rays"]),
    ("hop-skip-jump", &["chen2020hopskipjump"]),
    ("boundary", &["brendel2018decision"]),
    ("sign-opt", &["cheng2020signopt"]),
    ("nes", &["ilyas2018blackbox"]),
    ("spsa", &["uesato2018adversarial"]),
    ("bandits", &["ilyas2019prior"]),
    ("simba", &["guo2019simple"]),
    ("sparse-rs", &["croce2022sparse"]),
    (
        "autoattack",
        &["croce2020reliable", "croce2020minimally", "andriushchenko2020square", "croce2021mind"],
    ),
    (
        "fast",
        &[
            "croce2020reliable",
            "croce2020minimally",
            "andriushchenko2020square",
            "liu2022practical",
            "melamed2024malt",
        ],
    ),
    ("ensemble", &[]),
    ("ddn", &["rony2019decoupling"]),
    ("fmn", &["pintor2021fast"]),
    ("deepfool", &["moosavi2016deepfool"]),
    ("superdeepfool", &["abdollahpoorrostam2024superdeepfool"]),
    ("alma", &["rony2021augmented"]),
    ("pdgd", &["matyasko2021pdpgd"]),
    ("pdpgd", &["matyasko2021pdpgd"]),
    ("ead", &["chen2018ead"]),
    ("trust-region", &["yao2019trust"]),
    ("brendel-bethge", &["brendel2019accurate"]),
    ("sigma-zero", &["cina2025sigmazero"]),
    ("vfga", &["cesaire2021stochastic"]),
    ("min-norm", &[]),
    ("pgd-sweep", &["madry2018towards"]),
    ("patch-pgd", &["xiang2021patchguard"]),
    ("patch-search", &["jamieson2016nonstochastic"]),
    ("roa", &["wu2020defending"]),
    ("patch-rs", &["croce2022sparse"]),
    ("patch-suite", &["jamieson2016nonstochastic", "wu2020defending", "croce2022sparse"]),
    ("random-noise", &[]),
    ("grey", &[]),
    ("cohen", &["cohen2019certified"]),
    ("patchcleanser", &["xiang2022patchcleanser"]),
    ("column-smoothing", &["levine2020derandomized"]),
    ("row-smoothing", &["levine2020derandomized"]),
    ("block-smoothing", &["levine2020derandomized"]),
    ("ibp", &["gowal2018effectiveness"]),
    ("crown-ibp", &["zhang2020towards"]),
    ("fast-lin", &["weng2018towards"]),
    ("crown", &["zhang2018efficient"]),
    ("corruptions", &["hendrycks2019benchmarking"]),
];

/// The entries of data sets, by the format in a specification.
const DATA: &[(&str, &str)] = &[
    ("cifar10", "krizhevsky2009learning"),
    ("cifar100", "krizhevsky2009learning"),
    ("imagenet", "russakovsky2015imagenet"),
    ("svhn", "netzer2011reading"),
    ("digits", "alpaydin1998optical"),
    ("cifar-c", "hendrycks2019benchmarking"),
];

/// The BibTeX of everything that a run used.
///
/// # Errors
/// If a method is not known to this version.
pub fn bibtex(records: &[RunRecord]) -> Result<String> {
    let mut keys: Vec<&str> = Vec::new();
    for record in records {
        for job in &record.jobs {
            let parts = job.work.parameters.get("attacks").map_or("", String::as_str);
            let parts = parts.split([',', ' ']).filter(|part| !part.is_empty());
            for method in std::iter::once(job.work.method.as_str()).chain(parts) {
                keys.extend(of_method(method)?);
            }
        }
        for data in &record.data {
            let format = data.spec.split(':').next().unwrap_or_default();
            keys.extend(DATA.iter().filter(|(name, _)| *name == format).map(|(_, key)| *key));
        }
        if record.models.iter().any(|model| model.published.is_some()) {
            keys.push("croce2021robustbench");
        }
    }
    let versions = records.iter().flat_map(|record| &record.sessions);
    let versions = distinct(versions.map(|session| session.epsball.as_str()));
    let own = format!(
        "@software{{epsball,\n  title = {{epsball: Adversarial Robustness Benchmark}},\n  version = {{{}}}\n}}\n",
        versions.join(", ")
    );
    let entries = REFERENCES.split("\n\n").filter(|entry| keys.iter().any(|key| is(entry, key)));
    Ok(std::iter::once(own.trim_end())
        .chain(entries.map(str::trim_end))
        .map(|entry| format!("{entry}\n"))
        .collect::<Vec<_>>()
        .join("\n"))
}

fn of_method(method: &str) -> Result<&'static [&'static str]> {
    let known = METHODS.iter().find(|(name, _)| *name == method).map(|(_, keys)| *keys);
    known.ok_or_else(|| Error::unknown("method", method, METHODS.iter().map(|(name, _)| *name)))
}

/// Whether the entry has this key.
fn is(entry: &str, key: &str) -> bool {
    let head = entry.trim_start().lines().next().unwrap_or_default();
    head.split_once('{').is_some_and(|(_, rest)| rest.trim_end_matches(',') == key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::methods;

    #[test]
    fn every_method_says_what_to_cite() {
        for listed in ["attack", "certificate"].into_iter().flat_map(methods) {
            assert!(METHODS.iter().any(|(name, _)| *name == listed.name), "{}", listed.name);
        }
    }

    #[test]
    fn every_key_is_an_entry_and_every_entry_is_asked_for() {
        let entries: Vec<&str> = REFERENCES.split("\n\n").collect();
        let keys = METHODS.iter().flat_map(|(_, keys)| keys.iter().copied());
        let keys: Vec<&str> =
            keys.chain(DATA.iter().map(|(_, key)| *key)).chain(["croce2021robustbench"]).collect();
        for key in &keys {
            assert_eq!(entries.iter().filter(|entry| is(entry, key)).count(), 1, "{key}");
        }
        for entry in entries {
            assert!(keys.iter().any(|key| is(entry, key)), "{entry}");
            let braces = |c: char| entry.matches(c).count();
            assert!(braces('{') == braces('}') && entry.contains("year = {"), "{entry}");
        }
    }
}
