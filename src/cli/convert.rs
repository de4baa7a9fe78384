//! `epsball convert`: a checkpoint becomes a model file that says everything about itself. Pickles
//! are read, never run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::Tensor;

use super::onnx::Onnx;
use super::output::{Ended, Failure, say};
use super::{exit, target};
use crate::error::{Error, Result};
use crate::hub;
use crate::model::file::Declared;
use crate::model::{ModelCard, checkpoint, file, onnx, timm};
use crate::zoo::{self, Named, Normalisation, Recognised, Value};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// PyTorch checkpoint (.pt, .pth, .pth.tar), safetensors file or ONNX file, or hf:OWNER/NAME[@REVISION][/FILE]
    checkpoint: PathBuf,
    /// The model file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Architecture, NAME[:PARAMETER=VALUE]...; otherwise the one whose keys and shapes fit
    #[arg(long)]
    arch: Option<String>,
    /// A size or choice of the architecture, such as activated_shortcut=true; may be repeated.
    /// Sizes are measured from the weights
    #[arg(long, value_name = "NAME=VALUE")]
    parameter: Vec<String>,
    /// Mean per channel that the network subtracts from [0, 1] pixels: 0.4914,0.4822,0.4465
    #[arg(long, value_delimiter = ',', requires = "std")]
    mean: Vec<f64>,
    /// Standard deviation per channel that the network divides by
    #[arg(long, value_delimiter = ',', requires = "mean")]
    std: Vec<f64>,
    /// Channels, height and width of the images: 3,32,32
    #[arg(long, value_delimiter = ',', value_name = "C,H,W")]
    input_shape: Vec<usize>,
    /// Which weights, if the file holds several sets: state_dict, ema, ...
    #[arg(long)]
    set: Option<String>,
    /// Take the weights whose keys begin so, and cut it off: `student.backbone.`
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
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
    #[command(flatten)]
    onnx: Onnx,
}

pub(super) fn run(args: &Args) -> Ended {
    target::check(&args.output, &[&args.checkpoint])?;
    if onnx::is_onnx(&args.checkpoint) {
        return args.graph(&hub::local(&args.checkpoint)?);
    }
    onnx::only_onnx(&args.onnx.form_of(&[], &[], &[])?, None)?;
    if args.arch.is_none() {
        timm::expected(&args.checkpoint)?;
    }
    let (set, prefix) = (args.set.as_deref(), args.prefix.as_deref());
    let mut set = checkpoint::read_set_below(&hub::local(&args.checkpoint)?, set, prefix)?;
    let described = match args.arch {
        Some(_) => None,
        None => timm::beside(&args.checkpoint)?,
    };
    for warning in &set.warnings {
        say(format_args!("warning: {}: {warning}", args.checkpoint.display()));
    }
    let stored = zoo::take_normalisation(&mut set.tensors)?;
    let mut found = match (&args.arch, &described) {
        (Some(name), _) => name.parse::<Named>()?.recognise(&set.tensors, stored.as_ref()),
        (None, Some(described)) => described.recognise(&set.tensors, stored.as_ref())?,
        (None, None) => recognised(args, &set.tensors, stored.as_ref())?,
    };
    args.correct(&mut found)?;
    found.program(&set.tensors).map_err(|error| file::name_file(error, &args.checkpoint))?;
    for doubt in &found.doubts {
        say(format_args!("not sure: {}", doubt.text));
    }
    if let Some(described) = described {
        say(format_args!("{}", described.advice()));
    }
    let Recognised { architecture, settings, .. } = found;
    set.tensors
        .retain(|name, _| !(architecture.unused)(name) && !name.ends_with("num_batches_tracked"));

    let card = ModelCard::of_settings(args.stem(), architecture, settings);
    args.write(&set.tensors, card)
}

/// `wide-resnet, depth 10, widen_factor 2`.
fn describe(card: &ModelCard) -> String {
    let parameters = card.parameters.iter().map(|(name, value)| format!(", {name} {value}"));
    std::iter::once(card.architecture.clone()).chain(parameters).collect()
}

/// The only architecture that fits.
fn recognised(
    args: &Args,
    tensors: &BTreeMap<String, Tensor>,
    stored: Option<&Normalisation>,
) -> Result<Recognised> {
    let mut fitting = zoo::recognise(tensors, stored);
    if fitting.len() == 1 {
        let one = fitting.remove(0);
        say(format_args!(
            "keys and shapes fit {} and no other architecture",
            one.architecture.name
        ));
        return Ok(one);
    }
    if fitting.is_empty() {
        let keys: Vec<&str> = tensors.keys().map(String::as_str).take(8).collect();
        let mut problem = format!("fit no known architecture ({}, ...)", keys.join(", "));
        let measured = |c: &Recognised| c.architecture.measure.is_some();
        if let Some(near) = zoo::candidates(tensors, stored).into_iter().find(measured)
            && let Err(error) = near.program(tensors)
        {
            problem += &format!("; nearly {}: {error}", near.architecture.name);
        }
        return Err(Error::file(
            &args.checkpoint,
            "keys",
            problem,
            "`epsball list architectures` shows the known ones; name one with --arch to see what \
             does not fit",
        ));
    }
    let names: Vec<&str> = fitting.iter().map(|found| found.architecture.name).collect();
    Err(Error::file(
        &args.checkpoint,
        "keys",
        format!("fit several architectures: {}", names.join(", ")),
        "name one of them with --arch",
    ))
}

impl Args {
    /// An ONNX file becomes a model file: its graph in the card, its weights as tensors.
    fn graph(&self, path: &Path) -> Ended {
        for (given, name) in [
            (!self.parameter.is_empty(), "--parameter"),
            (self.set.is_some(), "--set"),
            (self.prefix.is_some(), "--prefix"),
        ] {
            if given {
                let problem =
                    "is for checkpoints, and an ONNX file holds one network with its graph";
                return Err(Error::setting(name, problem, "leave it out").into());
            }
        }
        let form = self.onnx.form_of(&self.mean, &self.std, &self.input_shape)?;
        let declared = Declared { name: None, architecture: self.arch.clone(), onnx: form };
        let bytes = file::whole(path)?;
        let onnx::Opened { tensors, card, .. } = onnx::read(path, &bytes, &declared, &self.stem())?;
        self.write(&tensors, card)
    }

    /// The stem of the output file, unless a name is given.
    fn stem(&self) -> String {
        let stem = || self.output.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        self.name.clone().unwrap_or_else(stem)
    }

    /// Writes the model file with what the user says about it.
    fn write(&self, tensors: &BTreeMap<String, Tensor>, mut card: ModelCard) -> Ended {
        card.source.clone_from(&self.source);
        card.licence.clone_from(&self.licence);
        for pair in &self.published {
            let number =
                pair.split_once('=').and_then(|(name, v)| Some((name, v.trim().parse().ok()?)));
            let Some((name, value)) = number else {
                return Err(Error::setting(
                    "--published",
                    format!("`{pair}` is not NAME=NUMBER"),
                    "write for example --published \"clean accuracy=0.9948\"",
                )
                .into());
            };
            card.published.insert(name.trim().into(), value);
        }
        file::save(&self.output, tensors, &card).map_err(Failure::Late)?;
        say(format_args!("wrote {} ({})", self.output.display(), describe(&card)));
        Ok(exit::OK)
    }

    /// What the user says goes before what was measured or assumed.
    fn correct(&self, found: &mut Recognised) -> Result<()> {
        for pair in &self.parameter {
            let Some((name, value)) = pair.split_once('=') else {
                return Err(Error::setting(
                    "--parameter",
                    format!("`{pair}` is not NAME=VALUE"),
                    "write for example --parameter activated_shortcut=true",
                ));
            };
            found.settings.parameters.insert(name.trim().into(), value.trim().parse::<Value>()?);
            found.doubts.retain(|doubt| doubt.about != name.trim());
        }
        if !self.mean.is_empty() {
            let channels = found.settings.input_shape[0];
            let right =
                |values: &[f64]| values.len() == channels && values.iter().all(|v| v.is_finite());
            if !right(&self.mean) || !right(&self.std) || self.std.iter().any(|s| *s <= 0.0) {
                return Err(Error::setting(
                    "--mean, --std",
                    format!("have to be {channels} numbers each, one per channel, std above 0"),
                    "write for example --mean 0.4914,0.4822,0.4465 --std 0.2471,0.2435,0.2616",
                ));
            }
            let (mean, std) = (self.mean.clone(), self.std.clone());
            found.settings.normalisation = Some(Normalisation { mean, std });
            found.doubts.retain(|doubt| doubt.about != "normalisation");
        }
        match *self.input_shape.as_slice() {
            [] => {}
            [c, h, w] => found.settings.input_shape = [c, h, w],
            _ => {
                return Err(Error::setting(
                    "--input-shape",
                    "is not three numbers",
                    "write for example --input-shape 3,32,32",
                ));
            }
        }
        Ok(())
    }
}
