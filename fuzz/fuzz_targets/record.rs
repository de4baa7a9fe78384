//! Suites, and what a run leaves on disk up to the leaderboard of it. Parts are divided by lines `---`: a suite or
//! `run.toml`, the table of the job `jobs/m/a.csv`, `a.checks.toml`, `a.counts.toml`, and tables of the jobs `b.tsv`,
//! `c.tsv`, `d.tsv` and `e.csv`.
#![no_main]

use std::path::Path;

use epsball::bench::Suite;
use epsball::record::CheckRecord;
use epsball::report::{Csv, Exporter, Html, Leaderboard, Markdown, Summary, Terminal};
use epsball::work::CountsRecord;
use libfuzzer_sys::fuzz_target;

#[path = "shared.rs"]
mod shared;

const FILES: [&str; 8] = [
    "run/run.toml",
    "run/jobs/m/a.csv",
    "run/jobs/m/a.checks.toml",
    "run/jobs/m/a.counts.toml",
    "run/jobs/m/b.tsv",
    "run/jobs/m/c.tsv",
    "run/jobs/m/d.tsv",
    "run/jobs/m/e.csv",
];

fuzz_target!(|bytes: &[u8]| {
    let parts = shared::parts(bytes);
    for (place, name) in FILES.iter().enumerate() {
        match parts.get(place) {
            Some(part) => drop(shared::file(name, part)),
            None => shared::no_file(name),
        }
    }
    if let Ok(text) = std::str::from_utf8(parts[0]) {
        let _ = Suite::parse(text, Path::new("suite.toml"));
    }
    let folder = shared::folder().join("run");
    let table = folder.join("jobs/m/a.csv");
    let _ = (CheckRecord::read(&table, "k"), CountsRecord::read(&table, "k"));
    if let Ok(mut board) = Leaderboard::from_runs(&[folder]) {
        let _ = board.rank_among_published(None);
        let formats: [&dyn Exporter; 5] = [&Csv, &Markdown, &Html, &Summary, &Terminal::detect()];
        for format in formats {
            let _ = format.export(&board);
        }
    }
});
