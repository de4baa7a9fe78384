//! `epsball list`: the names that suites and options take.

use super::exit;
use crate::attack::{self, Threats};
use crate::bench::{CERTIFICATES, Certificate, bundled_models};
use crate::certify::mode;
use crate::error::Result;
use crate::{data, zoo};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to list
    #[arg(value_enum)]
    what: What,
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

pub(super) fn run(args: &Args) -> Result<u8> {
    match args.what {
        What::Attacks => {
            for entry in attack::ALL {
                let threats = match entry.threats {
                    Threats::Balls(norms) => {
                        norms.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
                    }
                    Threats::Patch => "patch".into(),
                };
                println!("{:<14} {threats:<12} {}", entry.name, entry.about);
            }
            println!(
                "{:<14} {:<12} the three patch attacks and their two controls",
                "patch-suite", "patch"
            );
        }
        What::Certificates => {
            for Certificate { name, threats, about, .. } in CERTIFICATES {
                println!("{name:<17} {threats:<14} {about}");
            }
            for mode in mode::ALL {
                println!("  --mode {:<8} {:<14} {}", mode.name, "", mode.about);
            }
        }
        What::Architectures => {
            for a in zoo::ALL {
                let shape = format!("{:?}", a.input_shape);
                println!("{:<26} {shape:<13} {:>4}  {}", a.name, a.classes, a.about);
            }
        }
        What::Data => data::usages().for_each(|usage| println!("{usage}")),
        What::Models => bundled_models().for_each(|name| println!("bundled:{name}")),
    }
    Ok(exit::OK)
}
