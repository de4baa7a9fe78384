//! `epsball compare`: two methods on the same images.

use std::path::PathBuf;

use super::exit;
use super::output::{Ended, show, show_json};
use crate::report::compare::{Settings, compare};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  epsball compare results/ours results/theirs\n  epsball compare \
run/jobs/digits-pgd run/jobs/digits-trades\n  epsball compare run/jobs/net/pgd-linf-0.1.csv \
run/jobs/net/autoattack-linf-0.1.csv\n  epsball compare cohen_sigma_0.25.tsv macer_sigma_0.25.tsv \
--radii 0.25,0.5,0.75"
)]
pub(super) struct Args {
    /// A run folder, a folder or table in one, or a log of certificates
    first: PathBuf,
    /// What it is compared with
    second: PathBuf,
    /// Radii of certified accuracy [default: those of the runs]
    #[arg(long, value_delimiter = ',')]
    radii: Vec<f64>,
    /// Confidence of the intervals
    #[arg(long, default_value_t = 0.95)]
    confidence: f64,
    /// Seed of the bootstrap
    #[arg(short, long, default_value_t = 0)]
    seed: u64,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Ended {
    let settings =
        Settings { radii: args.radii.clone(), confidence: args.confidence, seed: args.seed };
    let comparison = compare(&args.first, &args.second, &settings)?;
    if args.json {
        show_json(&comparison)?;
    } else {
        show(comparison.to_string().trim_end())?;
    }
    Ok(exit::OK)
}
