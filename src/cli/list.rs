//! `epsball list`: the names that suites and options take.

use super::exit;
use super::output::{Ended, show};
use crate::attack::{Described, PATCH_SUITE, describe};
use crate::bench::bundled_models;
use crate::certify::mode;
use crate::error::Error;
use crate::work::{Listed, methods};
use crate::{data, zoo};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to list
    #[arg(value_enum)]
    what: What,
    /// One of them, with everything that can be set of it: `list attacks pgd`, `list certificates cohen`
    name: Option<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum What {
    /// Attacks with their threat models
    Attacks,
    /// Certificates with what they are about
    Certificates,
    /// Architectures of the zoo
    Architectures,
    /// Forms of a data specification
    Data,
    /// Models that come with the program
    Models,
}

pub(super) fn run(args: &Args) -> Ended {
    match (&args.name, args.what) {
        (Some(name), What::Attacks) => return attack(&name.to_ascii_lowercase()),
        (Some(name), What::Certificates) => return certificate(&name.to_ascii_lowercase()),
        (Some(_), _) => {
            let remedy = "leave the name out, or ask for an attack or a certificate: `epsball list attacks pgd`";
            let problem = "only attacks and certificates have more to tell";
            return Err(Error::setting("list", problem, remedy).into());
        }
        (None, _) => {}
    }
    match args.what {
        What::Attacks => {
            for Listed { name, threats, about, .. } in methods("attack") {
                show(format_args!("{name:<14} {threats:<23} {about}"))?;
            }
        }
        What::Certificates => {
            for Listed { name, threats, about, .. } in methods("certificate") {
                show(format_args!("{name:<17} {threats:<14} {about}"))?;
            }
            for mode in mode::ALL {
                show(format_args!("  --mode {:<8} {:<14} {}", mode.name, "", mode.about))?;
            }
        }
        What::Architectures => {
            for a in zoo::ALL {
                let shape = format!("{:?}", a.input_shape);
                show(format_args!("{:<26} {shape:<13} {:>4}  {}", a.name, a.classes, a.about))?;
            }
        }
        What::Data => data::usages().try_for_each(show)?,
        What::Models => {
            bundled_models().try_for_each(|name| show(format_args!("bundled:{name}")))?
        }
    }
    Ok(exit::OK)
}

/// What one certificate is, and the fields of its entry.
fn certificate(name: &str) -> Ended {
    let known = || methods("certificate").map(|listed| listed.name);
    let listed = methods("certificate").find(|listed| listed.name == name);
    let listed = listed.ok_or_else(|| Error::unknown("certificate", name, known()))?;
    let Listed { name, threats, about, fields } = listed;
    show(format_args!("{name}: {about}\nAbout: {threats}"))?;
    show("\nFields of a [[certificate]] in a suite, and options of `epsball certify`:")?;
    for (field, doc) in fields {
        let meaning = doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
        show(format_args!("  {field}\n      {meaning}"))?;
    }
    Ok(exit::OK)
}

/// What one attack is, and its parameters.
fn attack(name: &str) -> Ended {
    if name == "patch-suite" {
        show(format_args!(
            "patch-suite: these attacks, each with its defaults: {}\n\nTheir parameters, in a suite:\n  \
             [attack.parameters]\n  roa = {{ steps = 40 }}",
            PATCH_SUITE.join(", ")
        ))?;
        return Ok(exit::OK);
    }
    let described = describe(name)?;
    let about = methods("attack").find(|listed| listed.name == name);
    if let Some(Listed { name, threats, about, .. }) = about {
        show(format_args!("{name}: {about}\nThreat models: {threats}"))?;
    }
    if described.is_empty() {
        show("It has no parameters.")?;
        return Ok(exit::OK);
    }
    show("\nParameters (--set NAME=VALUE, or parameters = { NAME = VALUE } in a suite):")?;
    for Described { name, default, meaning } in described {
        show(format_args!("  {name} [default: {default}]\n      {meaning}"))?;
    }
    Ok(exit::OK)
}
