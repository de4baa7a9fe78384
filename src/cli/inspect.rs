//! `epsball inspect`: what a model file holds, layer by layer, or what a service says of itself.

use std::path::PathBuf;

use super::exit;
use super::onnx::{Onnx, Pixels};
use super::output::{Ended, show, show_json};
use super::service::Service as ServiceArgs;
use crate::bench::load_bundled;
use crate::model::Classifier as _;
use crate::model::file::{Declared, load};
use crate::service::{Service, is_address};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Model file, ONNX file or checkpoint, bundled:NAME, hf:OWNER/NAME[@REVISION][/FILE], or the address of a service
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
    #[command(flatten)]
    service: ServiceArgs,
}

pub(super) fn run(args: &Args) -> Ended {
    if let Some(address) = args.model.to_str().filter(|path| is_address(path)) {
        return service(&Service::open(address, &args.service.form(), None)?, args.json);
    }
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

/// What a service says of itself, and how it is asked.
fn service(service: &Service, json: bool) -> Ended {
    let card = service.card();
    if json {
        show_json(card)?;
        return Ok(exit::OK);
    }
    let info = service.info();
    show(format_args!("name          {}", info.name))?;
    show(format_args!("architecture  {}: it is asked over HTTP", info.architecture))?;
    show(format_args!("input         {:?} in [0, 1]", info.input_shape))?;
    show(format_args!("classes       {}", info.classes))?;
    show(format_args!("answers       {}", card.answers.name()))?;
    show(format_args!("batch         {} images of a request", service.batch()))?;
    if card.randomised {
        show(format_args!("randomised    answers differ"))?;
    }
    show(format_args!("sha256        {} of its description", card.digest))?;
    Ok(exit::OK)
}
