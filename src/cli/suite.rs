//! `epsball suite`: what can stand in a suite.

use super::exit;
use super::output::{Ended, show};

/// A suite with every field, most of them in comments.
const EXAMPLE: &str = include_str!("../../templates/suite.toml");

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  epsball suite --example > suite.toml")]
pub(super) struct Args {
    /// Print a suite that runs, with every field that there is in comments
    #[arg(long, required = true)]
    example: bool,
}

pub(super) fn run(_: &Args) -> Ended {
    show(EXAMPLE.trim_end())?;
    Ok(exit::OK)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::EXAMPLE;
    use crate::bench::{Plan, Suite};
    use crate::work::{
        AttackEntry, BoundEntry, CorruptionEntry, PatchEntry, SmoothingEntry, read_entry,
    };

    /// The example with the fields that are comments. A comment that is no field has no `=` behind its first word.
    fn uncommented() -> String {
        let line = |line: &str| match line.strip_prefix("# ") {
            Some(field) if field.starts_with('[') || field.split(' ').nth(1) == Some("=") => {
                field.to_owned()
            }
            _ => line.to_owned(),
        };
        EXAMPLE.lines().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_example_runs() {
        let suite = Suite::parse(EXAMPLE, Path::new("suite.toml")).unwrap();
        let plan = Plan::new(&suite).unwrap();
        assert!(plan.jobs.len() > 10);
    }

    #[test]
    fn every_field_of_the_example_is_one() {
        let suite = Suite::parse(&uncommented(), Path::new("suite.toml")).unwrap();
        let sections = [
            ("attack", suite.attacks),
            ("certificate", suite.certificates),
            ("corruption", suite.corruptions),
        ];
        for (section, entries) in sections {
            assert!(!entries.is_empty(), "{section}");
            for entry in entries {
                read_entry(section, &entry).unwrap();
            }
        }
    }

    /// The fields of `T`, from the error for one that it has not.
    fn fields<T: serde::de::DeserializeOwned>() -> Vec<String> {
        let error = toml::from_str::<T>("no_such_field = 1").err().unwrap().message().to_owned();
        let (_, list) = error.split_once("expected").unwrap_or_else(|| panic!("{error}"));
        let names: Vec<String> = list.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        assert!(names.len() > 2, "{error}");
        names
    }

    #[test]
    fn every_field_of_a_suite_is_in_the_example() {
        let all = [
            fields::<Suite>(),
            fields::<crate::bench::ModelEntry>(),
            fields::<crate::bench::DataEntry>(),
            fields::<crate::bench::Cluster>(),
            fields::<crate::onnx::OnnxForm>(),
            fields::<crate::record::ServiceForm>(),
            fields::<AttackEntry>(),
            fields::<SmoothingEntry>(),
            fields::<BoundEntry>(),
            fields::<PatchEntry>(),
            fields::<CorruptionEntry>(),
        ];
        let text = uncommented();
        for field in all.iter().flatten() {
            let named = [format!("{field} = "), format!("[{field}]")];
            assert!(named.iter().any(|name| text.contains(name)), "{field}");
        }
    }
}
