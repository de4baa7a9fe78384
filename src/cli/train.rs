//! `epsball train`: the bundled models are made with this, and others of their kind can be.

use std::collections::BTreeMap;
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};

use super::output::{Ended, Failure, say};
use super::{exit, interrupt, target};
use crate::data;
use crate::device::Device;
use crate::error::Error;
use crate::model::{ModelCard, file};
use crate::parameters::parse_number;
use crate::threat::Norm;
use crate::train::{Method, Recipe, train};
use crate::zoo;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// standard, pgd, trades or gaussian
    #[arg(long)]
    method: String,
    /// The model file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Architecture; see `epsball list architectures`
    #[arg(long, default_value = "digits-cnn")]
    arch: String,
    /// Training data as FORMAT:PATH
    #[arg(long, default_value = "digits:train")]
    data: String,
    /// Norm of the ball for pgd and trades: Linf, L2 or L1
    #[arg(long, default_value = "Linf")]
    norm: String,
    /// Radius of the ball for pgd and trades
    #[arg(long, default_value = "0.1")]
    eps: String,
    /// Steps of the inner maximisation for pgd and trades
    #[arg(long, default_value_t = 10)]
    steps: usize,
    /// Weight of the divergence for trades (1 / lambda)
    #[arg(long, default_value_t = 6.0)]
    beta: f64,
    /// Standard deviation of the noise for gaussian
    #[arg(long, default_value = "0.25")]
    sigma: String,
    /// Passes over the data
    #[arg(long, default_value_t = 60)]
    epochs: usize,
    /// Images per step
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Learning rate of AdamW at the start
    #[arg(long, default_value_t = 2e-3)]
    learning_rate: f64,
    /// Decoupled weight decay
    #[arg(long, default_value_t = 1e-3)]
    weight_decay: f64,
    /// Seed of weights, order and noise
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where adversarial images are made: auto, cpu, cuda, cuda:1. Weights change on the CPU
    #[arg(long, value_name = "DEVICE", default_value_t)]
    device: Device,
}

pub(super) fn run(args: &Args) -> Ended {
    let architecture = zoo::find(&args.arch)?;
    let number = |field: &str, text: &str| {
        parse_number(text).ok_or_else(|| {
            Error::setting(field, format!("`{text}` is not a number"), "write 0.1 or 8/255")
        })
    };
    let norm: Norm = args.norm.parse()?;
    let (eps, sigma) = (number("eps", &args.eps)?, number("sigma", &args.sigma)?);
    let method = Method::new(&args.method, norm, eps, args.steps, args.beta, sigma)?;
    if args.epochs == 0 || args.batch == 0 {
        return Err(
            Error::setting("epochs and batch", "must be at least 1", "leave them out").into()
        );
    }
    let rates = [
        ("learning-rate", args.learning_rate, f64::MIN_POSITIVE),
        ("weight-decay", args.weight_decay, 0.0),
        ("beta", args.beta, 0.0),
    ];
    if let Some((field, value, _)) =
        rates.iter().find(|(_, v, least)| !(v.is_finite() && v >= least))
    {
        let problem = format!("{value} trains nothing");
        return Err(Error::setting(
            *field,
            problem,
            "give a finite number that is not below 0; a learning rate is above it",
        )
        .into());
    }
    let data = data::open(&args.data)?;
    let recipe = Recipe {
        method,
        epochs: args.epochs,
        batch: args.batch,
        learning_rate: args.learning_rate,
        weight_decay: args.weight_decay,
        seed: args.seed,
        device: args.device.resolve()?,
    };
    target::check(&args.output, &[])?;
    let mut settings = architecture.settings();
    settings.input_shape = data.info().shape;
    settings.classes = data.info().classes.unwrap_or(settings.classes);
    interrupt::listen();
    let bar = ProgressBar::new(args.epochs as u64);
    if let Ok(style) = ProgressStyle::with_template("epoch {pos}/{len} {wide_bar} {msg}  eta {eta}")
    {
        bar.set_style(style);
    }
    let mut last = None;
    let trained = train(architecture, &settings, data.as_ref(), &recipe, |epoch| {
        if interrupt::requested() {
            return Err(Error::Interrupted);
        }
        bar.inc(1);
        bar.set_message(format!(
            "loss {:.4}  accuracy {:.2} %",
            epoch.loss,
            100.0 * epoch.accuracy
        ));
        last = Some(*epoch);
        Ok(())
    });
    let trained = trained.map_err(|error| match last {
        Some(_) => Failure::Late(error),
        None => Failure::Input(error),
    })?;
    bar.finish_and_clear();
    if let Some(epoch) = last {
        say(format_args!(
            "epoch {}: loss {:.4}, accuracy on the training images it saw {:.2} %",
            epoch.number,
            epoch.loss,
            100.0 * epoch.accuracy
        ));
    }
    let stem =
        args.output.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
    let mut card = ModelCard::new(stem, architecture);
    card.input_shape = settings.input_shape;
    card.classes = settings.classes;
    card.source = format!("trained with epsball {}", env!("CARGO_PKG_VERSION"));
    card.training = args.command(&recipe);
    card.licence = "MIT OR Apache-2.0".into();
    let tensors: BTreeMap<_, _> =
        trained.variables.iter().map(|(name, v)| (name.clone(), v.as_tensor().clone())).collect();
    file::save(&args.output, &tensors, &card).map_err(Failure::Late)?;
    say(format_args!("wrote {}", args.output.display()));
    Ok(exit::OK)
}

impl Args {
    /// The command that makes this model again, every setting spelled out.
    fn command(&self, Recipe { method, device, .. }: &Recipe) -> String {
        let mut text = format!("epsball train --method {}", self.method);
        match method {
            Method::Standard => {}
            Method::Pgd(_) => {
                text += &format!(" --norm {} --eps {} --steps {}", self.norm, self.eps, self.steps);
            }
            Method::Trades { .. } => {
                text += &format!(" --norm {} --eps {} --steps {}", self.norm, self.eps, self.steps);
                text += &format!(" --beta {}", self.beta);
            }
            Method::Gaussian { .. } => text += &format!(" --sigma {}", self.sigma),
        }
        text += &format!(" --arch {} --data {} --epochs {}", self.arch, self.data, self.epochs);
        text += &format!(" --batch {} --learning-rate {}", self.batch, self.learning_rate);
        text += &format!(" --weight-decay {} --seed {}", self.weight_decay, self.seed);
        if *device != Device::Cpu {
            text += &format!(" --device {device}");
        }
        text + &format!(" --output {}", self.output.display())
    }
}
