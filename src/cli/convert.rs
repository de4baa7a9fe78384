//! `epsball convert`: a checkpoint becomes a model file that says everything about itself. Pickles
//! are read, never run.

use std::path::PathBuf;

use super::exit;
use crate::error::{Error, Result};
use crate::model::{ModelCard, checkpoint, file};
use crate::zoo::{self, Architecture, Stored};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// PyTorch checkpoint (.pt, .pth, .pth.tar) or safetensors file
    checkpoint: PathBuf,
    /// The model file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Architecture; otherwise the one whose keys and shapes fit
    #[arg(long)]
    arch: Option<String>,
    /// Which weights, if the file holds several sets: state_dict, ema, ...
    #[arg(long)]
    set: Option<String>,
    /// Name in tables; otherwise the stem of the output file
    #[arg(long)]
    name: Option<String>,
    /// Where the weights come from: a paper, a page
    #[arg(long, default_value = "")]
    source: String,
    /// Licence of the weights
    #[arg(long, default_value = "")]
    licence: String,
    /// A published number, such as "clean accuracy=0.9948"; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    published: Vec<String>,
}

pub(super) fn run(args: &Args) -> Result<u8> {
    let set = checkpoint::read_set(&args.checkpoint, args.set.as_deref())?;
    for warning in &set.warnings {
        eprintln!("warning: {}: {warning}", args.checkpoint.display());
    }
    let fits = |architecture: &Architecture| {
        let mut stored = Stored::new(set.tensors.clone());
        architecture.tree(&mut stored, &architecture.plan()).map(|_| ())
    };
    let architecture = match &args.arch {
        Some(name) => {
            let architecture = zoo::find(name)?;
            fits(architecture).map_err(|error| match error {
                Error::Setting { field, problem, remedy } => {
                    Error::file(&args.checkpoint, field, problem, remedy)
                }
                other => other,
            })?;
            architecture
        }
        None => {
            let fitting: Vec<&'static Architecture> =
                zoo::ALL.iter().filter(|a| fits(a).is_ok()).collect();
            match fitting.as_slice() {
                [one] => {
                    eprintln!("keys and shapes fit {} and no other architecture", one.name);
                    *one
                }
                [] => {
                    let keys: Vec<&str> = set.tensors.keys().map(String::as_str).take(8).collect();
                    return Err(Error::file(
                        &args.checkpoint,
                        "keys",
                        format!("fit no known architecture ({}, ...)", keys.join(", ")),
                        "`epsball list architectures` shows the known ones; name one with --arch \
                         to see what does not fit",
                    ));
                }
                several => {
                    let names: Vec<&str> = several.iter().map(|a| a.name).collect();
                    return Err(Error::file(
                        &args.checkpoint,
                        "keys",
                        format!("fit several architectures: {}", names.join(", ")),
                        "name one of them with --arch",
                    ));
                }
            }
        }
    };
    let stem =
        args.output.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
    let mut card = ModelCard::new(args.name.clone().unwrap_or(stem), architecture);
    card.source.clone_from(&args.source);
    card.licence.clone_from(&args.licence);
    for pair in &args.published {
        let number =
            pair.split_once('=').and_then(|(name, v)| Some((name, v.trim().parse().ok()?)));
        let Some((name, value)) = number else {
            return Err(Error::setting(
                "--published",
                format!("`{pair}` is not NAME=NUMBER"),
                "write for example --published \"clean accuracy=0.9948\"",
            ));
        };
        card.published.insert(name.trim().into(), value);
    }
    file::save(&args.output, &set.tensors, &card)?;
    eprintln!("wrote {} ({})", args.output.display(), architecture.name);
    Ok(exit::OK)
}
