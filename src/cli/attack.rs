//! `epsball attack`: one model, one attack, from the command line.

use std::collections::BTreeMap;

use super::model::Model;
use super::output::Ended;
use super::run::{Common, run_suite};
use crate::bench::{DataEntry, ModelEntry, Suite};
use crate::data::{self, Dataset, Selection, Subset};
use crate::error::{Error, Result};
use crate::work::{AttackEntry, Number, OneOrMany};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: epsball attack --model model.safetensors --data \
idx:t10k-images-idx3-ubyte.gz --attack pgd --norm Linf --eps 0.3 --set steps=40 --set alpha=0.01")]
pub(super) struct Args {
    #[command(flatten)]
    subject: Subject,
    /// The attack, or several: `-a fgsm,pgd`; see `epsball list attacks`
    #[arg(help_heading = "Attack", short, long, value_delimiter = ',', required = true)]
    attack: Vec<String>,
    /// Norm of the ball: Linf, L2, L1, L0 (changed values) or L0-pixels
    #[arg(help_heading = "Attack", long)]
    norm: Option<String>,
    /// Radius of the ball, or several: `0.3`, `8/255`, `0.1,0.2`; under L0 a number of values, `8`, or of pixels
    #[arg(help_heading = "Attack", long, value_delimiter = ',')]
    eps: Vec<String>,
    /// Size of the patch, or several: 5x5 pixels, 2% of the area, circle:5, mask:FILE.png
    #[arg(help_heading = "Attack", long, value_delimiter = ',')]
    patch: Vec<String>,
    /// untargeted, least-likely, second (the largest clean logit but the label's), random, next, or a class number
    #[arg(help_heading = "Attack", long, default_value = "untargeted")]
    goal: String,
    /// A hyper-parameter by its name in the paper; may be repeated
    #[arg(help_heading = "Attack", long = "set", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// Keep the adversarial images in a safetensors file beside the table of results
    #[arg(help_heading = "Attack", long)]
    save_adversarial: bool,
    #[command(flatten)]
    common: Common,
}

/// What is attacked or certified.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Network and images")]
pub(super) struct Subject {
    #[command(flatten)]
    model: Model,
    /// Data set as FORMAT:PATH or FORMAT:hf:OWNER/NAME/FILE; see `epsball list data`
    #[arg(short, long)]
    data: String,
    /// Take the first N images only
    #[arg(short = 'n', long, value_name = "N")]
    first: Option<usize>,
    /// Take every K-th image only
    #[arg(hide_short_help = true, long, value_name = "K", conflicts_with = "first")]
    every: Option<usize>,
}

impl Subject {
    /// The model as an entry of a suite.
    ///
    /// # Errors
    /// If what is said about an ONNX network cannot be read.
    pub(super) fn model(&self) -> Result<ModelEntry> {
        self.model.entry()
    }

    /// The images.
    ///
    /// # Errors
    /// If the data set cannot be opened or has too few images.
    pub(super) fn images(&self) -> Result<Box<dyn Dataset>> {
        let whole = data::open(&self.data)?;
        match self.selection() {
            Some(selection) => Ok(Box::new(Subset::new(whole, &selection)?)),
            None => Ok(whole),
        }
    }

    fn selection(&self) -> Option<Selection> {
        match (self.first, self.every) {
            (Some(n), _) => Some(Selection::First(n)),
            (None, Some(k)) => Some(Selection::Every(k)),
            (None, None) => None,
        }
    }

    /// A suite of this one model on this data, with nothing to do yet.
    ///
    /// # Errors
    /// As [`Subject::model`].
    pub(super) fn suite(&self) -> Result<Suite> {
        let images = self.selection();
        Ok(Suite {
            name: format!("{}--{}", self.model.stem(), data::stem(&self.data)),
            models: vec![self.model.entry()?],
            data: vec![DataEntry { spec: self.data.clone(), name: None, images }],
            ..Suite::default()
        })
    }
}

/// The `NAME=VALUE` pairs of `--set`.
pub(super) fn named(pairs: &[String]) -> Result<BTreeMap<String, toml::Value>> {
    let mut parameters = BTreeMap::new();
    for pair in pairs {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(Error::setting(
                "--set",
                format!("`{pair}` is not NAME=VALUE"),
                "write for example --set steps=40",
            ));
        };
        parameters.insert(name.trim().to_string(), toml::Value::String(value.trim().into()));
    }
    Ok(parameters)
}

pub(super) fn run(args: &Args) -> Ended {
    let parameters = named(&args.parameters)?;
    if args.attack.iter().any(|attack| attack == "none") {
        let remedy = "`epsball evaluate` measures clean accuracy alone";
        return Err(Error::setting("--attack", "`none` is no attack", remedy).into());
    }
    if args.attack.len() > 1 && !parameters.is_empty() {
        let remedy = "call the program for each attack, with the same --output; or write a suite";
        return Err(Error::setting(
            "--set",
            "belongs to one attack, and there are several",
            remedy,
        )
        .into());
    }
    let numbers = |texts: &[String]| {
        OneOrMany::Many(texts.iter().map(|text| Number::Text(text.clone())).collect())
    };
    let mut suite = args.subject.suite()?;
    suite.save_adversarial = args.save_adversarial;
    for attack in &args.attack {
        let entry = AttackEntry {
            attack: attack.clone(),
            label: None,
            norm: args.norm.clone(),
            eps: numbers(&args.eps),
            patch: numbers(&args.patch),
            goal: Some(args.goal.clone()),
            parameters: parameters.clone(),
        };
        suite.attacks.push(entry.into());
    }
    run_suite(suite, &args.common)
}
