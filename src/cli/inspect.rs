//! `epsball inspect`: what a model file holds, layer by layer.

use std::path::PathBuf;

use super::exit;
use super::onnx::{Onnx, Pixels};
use super::output::{Ended, show, show_json};
use crate::bench::load_bundled;
use crate::model::Classifier as _;
use crate::model::file::{Declared, load};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Model file, ONNX file or checkpoint, bundled:NAME, or hf:OWNER/NAME[@REVISION][/FILE]
    model: PathBuf,
    /// Architecture, for weights that do not say it: NAME[:PARAMETER=VALUE]..., such as
    /// dm-wide-resnet:activation=relu
    #[arg(long)]
    arch: Option<String>,
    /// Print the card as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    onnx: Onnx,
    #[command(flatten)]
    pixels: Pixels,
}

pub(super) fn run(args: &Args) -> Ended {
    let onnx = args.onnx.form(&args.pixels)?;
    let declared = Declared { name: None, architecture: args.arch.clone(), onnx };
    let (network, card) = match args.model.to_str().and_then(|path| path.strip_prefix("bundled:")) {
        Some(name) => load_bundled(name, &declared)?,
        None => load(&args.model, &declared)?,
    };
    if args.json {
        show_json(&card)?;
        return Ok(exit::OK);
    }
    let info = network.info();
    show(format_args!("name          {}", info.name))?;
    show(format_args!("architecture  {}", info.architecture))?;
    for (name, value) in &card.parameters {
        show(format_args!("parameter     {name} {value}"))?;
    }
    show(format_args!("input         {:?} in [0, 1]", info.input_shape))?;
    if card.graph.is_some() {
        show(format_args!("reads         {}", card.onnx))?;
    }
    show(format_args!("classes       {}", info.classes))?;
    show(format_args!("weights       {}", info.parameters))?;
    show(format_args!(
        "multiply-adds {:.3} M per forward pass of one image",
        network.multiply_adds() as f64 / 1e6
    ))?;
    show(format_args!(
        "memory        {:.1} KiB per image kept for a gradient",
        network.kept_per_image()? as f64 / 1024.0
    ))?;
    show(format_args!("sha256        {}", info.sha256))?;
    for (name, text) in
        [("source", &card.source), ("training", &card.training), ("licence", &card.licence)]
    {
        if !text.is_empty() {
            show(format_args!("{name:<13} {text}"))?;
        }
    }
    for (name, value) in &card.published {
        show(format_args!("published     {name} {value}"))?;
    }
    show(format_args!("\n{}", network.summary()))?;
    Ok(exit::OK)
}
