//! `epsball cite`: what a paper has to cite for its runs.

use std::path::PathBuf;

use super::exit;
use super::output::{Ended, show};
use crate::cite::bibtex;
use crate::error::Result;
use crate::record::RunRecord;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  epsball cite results/digits > epsball.bib")]
pub(super) struct Args {
    /// Folders of runs
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
}

pub(super) fn run(args: &Args) -> Ended {
    let records = args.runs.iter().map(|run| RunRecord::read(run)).collect::<Result<Vec<_>>>()?;
    show(bibtex(&records)?.trim_end())?;
    Ok(exit::OK)
}
