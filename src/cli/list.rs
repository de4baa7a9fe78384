//! `epsball list`: the names that suites and options take.

use super::exit;
use crate::bench::bundled_models;
use crate::certify::mode;
use crate::error::Result;
use crate::work::{Listed, methods};
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
            for Listed { name, threats, about } in methods("attack") {
                println!("{name:<14} {threats:<12} {about}");
            }
        }
        What::Certificates => {
            for Listed { name, threats, about } in methods("certificate") {
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
