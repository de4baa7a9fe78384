//! `epsball figures`: the figures of a leaderboard as files for a paper.

use std::path::PathBuf;

use super::exit;
use super::leaderboard::run_folders;
use super::output::{Ended, Failure, say, show};
use crate::error::{Error, Result};
use crate::persist;
use crate::report::{Leaderboard, Print, PrintFormat, PrintedFigure, print};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  epsball figures results/digits -o figures --format pdf --width 3.3 --height 2.4"
)]
pub(super) struct Args {
    /// Run folders, or folders of run folders
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The folder to write into
    #[arg(short, long, value_name = "FOLDER")]
    output: PathBuf,
    /// The kind of file
    #[arg(short, long, value_enum, default_value_t = Format::Svg)]
    format: Format,
    /// Inches
    #[arg(long, value_name = "INCHES", default_value_t = 4.5, value_parser = inches)]
    width: f64,
    /// Inches
    #[arg(long, value_name = "INCHES", default_value_t = 3.0, value_parser = inches)]
    height: f64,
    /// Where the names of the lines stand
    #[arg(long, value_enum, default_value_t = Legend::Outside)]
    legend: Legend,
    /// Dots per inch of PNG files
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(30..=1200))]
    dpi: u32,
    /// Only figures whose names contain this text: security, certified, passes
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// Vectors for a page or for Inkscape
    Svg,
    /// Vectors for LaTeX
    Pdf,
    /// Pixels
    Png,
}

#[derive(Debug, Clone, Copy, PartialEq, clap::ValueEnum)]
enum Legend {
    /// Beside the figure
    Outside,
    /// Nowhere
    None,
}

/// A length that a figure may have.
fn inches(text: &str) -> std::result::Result<f64, String> {
    let length = text.trim().trim_end_matches("in").trim().parse::<f64>().ok();
    length
        .filter(|length| (1.5..=40.0).contains(length))
        .ok_or_else(|| "a figure is 1.5 to 40 inches wide and high".into())
}

pub(super) fn run(args: &Args) -> Ended {
    let runs = args.runs.iter().map(run_folders).collect::<Result<Vec<_>>>()?.concat();
    let leaderboard = Leaderboard::from_runs(&runs)?;
    let (format, ending) = match args.format {
        Format::Svg => (PrintFormat::Svg, "svg"),
        Format::Pdf => (PrintFormat::Pdf, "pdf"),
        Format::Png => (PrintFormat::Png, "png"),
    };
    let legend = args.legend == Legend::Outside;
    let (width, height, dpi) = (args.width, args.height, args.dpi);
    let figures = print(&leaderboard, &Print { format, width, height, legend, dpi })?;
    let names: Vec<String> = figures.iter().map(|figure| figure.name.clone()).collect();
    let wanted = args.only.as_deref().unwrap_or_default().to_lowercase();
    let figures: Vec<PrintedFigure> =
        figures.into_iter().filter(|figure| figure.name.contains(&wanted)).collect();
    if figures.is_empty() {
        let remedy = match names.is_empty() {
            true => "a figure needs two budgets, a certificate, or a finished attack".into(),
            false => format!("there are {}", names.join(", ")),
        };
        return Err(Error::setting("figures", "there is none of these runs", remedy).into());
    }
    let written = || -> Result<()> {
        std::fs::create_dir_all(&args.output).map_err(Error::io("create", &args.output))?;
        for figure in &figures {
            let path = args.output.join(format!("{}.{ending}", figure.name));
            persist::replace(&path, &figure.bytes)?;
            say(format_args!("wrote {}", path.display()));
        }
        Ok(())
    };
    written().map_err(Failure::Late)?;
    for figure in &figures {
        show(format_args!("{}: {}", figure.name, figure.caption))?;
    }
    Ok(exit::OK)
}
