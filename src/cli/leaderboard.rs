//! `epsball leaderboard`: one board from any number of run folders.

use std::path::PathBuf;

use super::exit;
use super::output::{Ended, Failure, say, show_board};
use crate::error::{Error, Result};
use crate::report::{
    Csv, Exporter as _, Html, Latex, Leaderboard, Markdown, Summary, Terminal, Typst, View,
    write_all,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Run folders, or folders of run folders
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Write leaderboard.csv, .md, .html and summary.json into this folder
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// What to print on stdout
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Rank the networks among those of a published table too, by default of every one they belong to
    #[arg(long, value_name = "TABLE", num_args = 0..=1, require_equals = true)]
    published: Option<Option<String>>,
    /// Titles of the columns to print, or parts of them: `clean,worst case,Linf`; as --sort and --digits for a
    /// table, markdown, latex and typst
    #[arg(long, value_delimiter = ',', value_name = "TITLES")]
    columns: Vec<String>,
    /// Title of the column to sort by, the highest first; `-clean` for the lowest first
    #[arg(long, value_name = "TITLE", allow_hyphen_values = true)]
    sort: Option<String>,
    /// Decimals of percentages [default: 1, from 1,000 images on 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=6))]
    digits: Option<u8>,
    /// Short for --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// A table for the terminal
    Table,
    /// Comma-separated values
    Csv,
    /// A Markdown table
    Markdown,
    /// A table for a paper in LaTeX, with booktabs
    Latex,
    /// A table for a paper in Typst
    Typst,
    /// The page
    Html,
    /// Every number, unrounded
    Json,
}

impl Format {
    /// Columns, order and digits can be chosen.
    fn takes_a_view(self) -> bool {
        matches!(self, Self::Table | Self::Markdown | Self::Latex | Self::Typst)
    }
}

pub(super) fn run(args: &Args) -> Ended {
    let mut runs = Vec::new();
    for folder in &args.runs {
        runs.extend(run_folders(folder)?);
    }
    let mut leaderboard = Leaderboard::from_runs(&runs)?;
    if let Some(table) = &args.published {
        leaderboard.rank_among_published(table.as_deref())?;
    }
    leaderboard.view = View {
        columns: args.columns.clone(),
        sort: args.sort.clone(),
        digits: args.digits.map(usize::from),
    };
    leaderboard.view.check(&leaderboard.boards)?;
    let format = if args.json { Format::Json } else { args.format };
    if leaderboard.view != View::default() && !format.takes_a_view() {
        return Err(Error::setting(
            "--columns, --sort, --digits",
            "csv, html and json hold every number",
            "leave them out, or print a table: -f table, markdown, latex, typst",
        )
        .into());
    }
    let text = match format {
        Format::Table => Terminal::detect().export(&leaderboard)?,
        Format::Csv => Csv.export(&leaderboard)?,
        Format::Markdown => Markdown.export(&leaderboard)?,
        Format::Latex => Latex.export(&leaderboard)?,
        Format::Typst => Typst.export(&leaderboard)?,
        Format::Html => Html::default().export(&leaderboard)?,
        Format::Json => Summary.export(&leaderboard)?,
    };
    // What was asked for in files is there whoever reads the text.
    if let Some(output) = &args.output {
        for file in write_all(&leaderboard, output).map_err(Failure::Late)? {
            say(format_args!("wrote {}", file.display()));
        }
    }
    show_board(text)?;
    Ok(exit::OK)
}

/// The folder itself if it is a run, otherwise the runs directly below it.
pub(super) fn run_folders(folder: &PathBuf) -> Result<Vec<PathBuf>> {
    if folder.join("run.toml").exists() {
        return Ok(vec![folder.clone()]);
    }
    let entries = std::fs::read_dir(folder).map_err(Error::io("read", folder))?;
    let mut runs: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("run.toml").exists())
        .collect();
    runs.sort();
    if runs.is_empty() {
        return Err(Error::file(
            folder,
            "run.toml",
            "neither this folder nor one directly below it is a run",
            "name a folder that `epsball run` has written",
        ));
    }
    Ok(runs)
}
