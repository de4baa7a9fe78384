//! `epsball data list`: the usual data sets and how to get them.

use super::exit;
use super::output::{Ended, show, show_json};
use crate::data::{CATALOGUE, Known};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List data sets with source, licence, size and hash, and how to prepare and open each
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(args: &Args) -> Ended {
    let Action::List { json } = args.action;
    if json {
        show_json(&CATALOGUE)?;
    } else {
        let all: Vec<String> = CATALOGUE.iter().map(describe).collect();
        show(all.join("\n\n"))?;
    }
    Ok(exit::OK)
}

fn describe(known: &Known) -> String {
    let mut lines = vec![format!("{}  ({})", known.name, known.images)];
    let mut line = |title: &str, value: &str| {
        if !value.is_empty() {
            lines.push(format!("  {title:<8} {value}"));
        }
    };
    line("source", known.source);
    line("licence", known.licence);
    line("file", known.file);
    if known.bytes > 0 {
        line("size", &format!("{} bytes", known.bytes));
    }
    line("sha256", known.sha256);
    line("prepare", known.prepare);
    line("open", &format!("--data {}", known.open));
    lines.join("\n")
}
