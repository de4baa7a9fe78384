//! `epsball evaluate`: clean accuracy alone, class by class.

use super::attack::Subject;
use super::output::{Ended, show, show_json};
use super::{exit, interrupt};
use crate::bench;
use crate::device::{Device, Precision};
use crate::evaluate::evaluate;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: epsball evaluate -m bundled:digits-trades -d digits")]
pub(super) struct Args {
    #[command(flatten)]
    subject: Subject,
    /// Images per batch; the result does not depend on it
    #[arg(short, long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Where the network runs: auto, cpu, cuda, cuda:1
    #[arg(long, value_name = "DEVICE", default_value_t)]
    device: Device,
    /// Print everything as JSON, with all confusions
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Ended {
    let data = args.subject.images()?;
    let network = bench::network(&args.subject.model()?, &args.device, Precision::F32)?;
    interrupt::listen();
    let batch = args.batch as usize;
    let accuracy = evaluate(&network, data.as_ref(), batch, &interrupt::requested)?;
    match args.json {
        true => show_json(&accuracy)?,
        false => show(&accuracy)?,
    }
    Ok(exit::OK)
}
