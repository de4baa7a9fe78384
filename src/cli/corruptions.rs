//! `epsball corruptions`: clean accuracy under common corruptions, CIFAR-C or ImageNet-C.

use std::path::PathBuf;

use super::model::Model;
use super::output::Ended;
use super::run::{Common, run_suite};
use crate::bench::{DataEntry, ModelEntry, Suite};
use crate::data::Selection;
use crate::error::Error;
use crate::hub;
use crate::work::CorruptionEntry;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: epsball corruptions --model model.safetensors --data CIFAR-10-C")]
pub(super) struct Args {
    #[command(flatten)]
    model: Model,
    /// Folder of CIFAR-C (CORRUPTION.npy, labels.npy) or ImageNet-C (CORRUPTION/SEVERITY/CLASS/IMAGE)
    #[arg(short, long)]
    data: PathBuf,
    /// How images of ImageNet-C are resized and cropped [default: Res224]
    #[arg(long, value_name = "NAME")]
    preprocessing: Option<String>,
    /// List of the images of ImageNet-C to take, CLASS/IMAGE in each line
    #[arg(long, value_name = "FILE")]
    ids: Option<PathBuf>,
    /// Take the first N images of each corruption and severity only
    #[arg(short = 'n', long, value_name = "N")]
    first: Option<usize>,
    /// These corruptions only
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// Model file of a baseline network, which is measured too, for the mean corruption error
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// The published entry that the network is: cifar10-corruptions/Standard
    #[arg(long, value_name = "TABLE/NAME")]
    published: Option<String>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args) -> Ended {
    if args.data.to_str().is_some_and(hub::is_reference) {
        return Err(Error::setting(
            "--data",
            "the benchmark is a folder, and only files are fetched from the Hugging Face Hub",
            "download it by hand; `epsball data list` shows the commands",
        )
        .into());
    }
    let mut models = vec![ModelEntry { published: args.published.clone(), ..args.model.entry()? }];
    let baseline = args.baseline.as_deref().map(|file| {
        let name = hub::stem(file).trim_start_matches("bundled:").to_owned();
        let path = file.to_string_lossy().into_owned();
        models.push(ModelEntry { path, name: Some(name.clone()), ..ModelEntry::default() });
        name
    });
    let entry = CorruptionEntry {
        folder: args.data.clone(),
        label: None,
        preprocessing: args.preprocessing.clone(),
        ids: args.ids.clone(),
        first: args.first,
        only: args.only.clone(),
        baseline,
    };
    entry.check()?;
    // The images of the board: one corruption at its lowest severity stands for all.
    let first = entry.corruptions().into_iter().next().unwrap_or_default();
    let name = args.data.file_name().map(|name| name.to_string_lossy().into_owned());
    let data = DataEntry {
        spec: entry.specification(&first, "1"),
        name,
        images: args.first.map(Selection::First),
    };
    let suite = Suite {
        name: format!("{}--corruptions", args.model.stem()),
        models,
        data: vec![data],
        corruptions: vec![entry.into()],
        ..Suite::default()
    };
    run_suite(suite, &args.common)
}
