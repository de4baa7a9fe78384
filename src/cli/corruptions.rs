//! `epsball corruptions`: clean accuracy under common corruptions, CIFAR-C or ImageNet-C.

use std::path::{Path, PathBuf};

use super::model::Model;
use super::{exit, interrupt};
use crate::bench::{CorruptionSettings, ModelEntry, measure_corruptions};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::hub;
use crate::persist;
use crate::record::CorruptionRecord;
use crate::report::CorruptionReport;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: epsball corruptions --model model.safetensors --data CIFAR-10-C")]
pub(super) struct Args {
    #[command(flatten)]
    model: Model,
    /// Folder of CIFAR-C (CORRUPTION.npy, labels.npy) or ImageNet-C (CORRUPTION/SEVERITY/CLASS/IMAGE)
    #[arg(short, long)]
    data: PathBuf,
    /// How images of ImageNet-C are resized and cropped
    #[arg(long, value_name = "NAME", default_value = "Res224")]
    preprocessing: String,
    /// List of the images of ImageNet-C to take, CLASS/IMAGE in each line
    #[arg(long, value_name = "FILE")]
    ids: Option<PathBuf>,
    /// Take the first N images of each corruption and severity only
    #[arg(short = 'n', long, value_name = "N")]
    first: Option<usize>,
    /// These corruptions only
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// Folder of the same measurement of a baseline network, for the mean corruption error
    #[arg(long, value_name = "FOLDER")]
    baseline: Option<PathBuf>,
    /// The published entry that the network is: cifar10-corruptions/Standard
    #[arg(long, value_name = "TABLE/NAME")]
    published: Option<String>,
    /// Folder of the results; `results/MODEL--corruptions` by default. What is there is not measured again
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Images per batch; results do not depend on it
    #[arg(short, long, value_name = "N")]
    batch: Option<usize>,
    /// Where the network runs: auto, cpu, cuda, cuda:1, cuda:0,1
    #[arg(long, value_name = "DEVICE", default_value_t)]
    device: Device,
    /// Print the results as JSON on stdout instead of a table
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<u8> {
    let baseline = args.baseline.as_deref().map(CorruptionRecord::read).transpose()?;
    if args.batch == Some(0) {
        return Err(Error::setting("batch", "0 images at a time", "give at least 1"));
    }
    if args.data.to_str().is_some_and(hub::is_reference) {
        return Err(Error::setting(
            "--data",
            "the benchmark is a folder, and only files are fetched from the Hugging Face Hub",
            "download it by hand; `epsball data list` shows the commands",
        ));
    }
    let settings = CorruptionSettings {
        model: ModelEntry { published: args.published.clone(), ..args.model.entry() },
        data: args.data.clone(),
        preprocessing: Some(args.preprocessing.clone()),
        ids: args.ids.clone(),
        first: args.first,
        only: args.only.clone(),
        batch: args.batch,
        device: args.device.clone(),
    };
    let folder = args.output.clone().unwrap_or_else(|| {
        Path::new("results").join(format!("{}--corruptions", args.model.stem()))
    });
    interrupt::listen();
    let (record, rows) =
        measure_corruptions(&settings, &folder, &interrupt::requested, &mut |row| {
            let share = 100.0 * row.correct as f64 / row.images as f64;
            eprintln!("{} {}: {share:.2} %", row.corruption, row.severity);
        })?;
    let report = CorruptionReport::new(record, &rows, baseline.as_ref())?;
    let path = folder.join("corruptions.md");
    persist::replace(&path, report.markdown().as_bytes())?;
    if args.json {
        let text = serde_json::to_string_pretty(&report)
            .map_err(|e| Error::setting("corruptions", e.to_string(), ""))?;
        println!("{text}");
    } else {
        print!("{}", report.text());
    }
    eprintln!("wrote {}", path.display());
    Ok(exit::OK)
}
