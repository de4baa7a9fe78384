//! What the program does beside attacks and certificates: runs, leaderboards, comparisons, audits, verification, and
//! its command line. Results cross as JSON and as the text that the program prints.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use epsball::bench::{BUNDLED_SUITE, Plan, RunOptions, Suite, run};
use epsball::certify::audit::{Given, audit};
use epsball::record::{Finding, JobRecord};
use epsball::report::compare::{Settings as CompareSettings, compare};
use epsball::report::{Csv, Exporter, Html, Leaderboard, Markdown, Summary, Terminal, write_all};
use epsball::verify::run::{Settings as VerifySettings, verify_run};
use epsball::work::{Progress, methods};
use epsball::{Error, Result, cli, data};
use pyo3::prelude::*;

use crate::errors::refuse;
use crate::{logging, wait};

/// Runs the command line `arguments`, the name of the program first, and returns its exit code.
#[pyfunction]
pub(crate) fn command(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| cli::main_of(arguments))
}

/// Runs a command as part of a program: mistakes are exceptions. Returns its exit code.
#[pyfunction]
pub(crate) fn command_inside(py: Python<'_>, arguments: Vec<OsString>) -> PyResult<u8> {
    logging::start();
    wait::aside(py, |_| cli::run_inside(arguments))
}

/// Names, threat models and descriptions of what a section of a suite can name.
#[pyfunction]
pub(crate) fn listed(section: &str) -> PyResult<Vec<(&'static str, String, &'static str)>> {
    let section = match section {
        "attack" => "attack",
        "certificate" => "certificate",
        other => return Err(refuse("section", format!("`{other}` is none"), "write attack")),
    };
    Ok(methods(section).map(|one| (one.name, one.threats, one.about)).collect())
}

/// Tells a function of Python what happens: `(event, text, count)`.
struct Told<'a>(&'a Py<PyAny>);

impl Told<'_> {
    fn tell(&self, event: &str, text: &str, count: usize) {
        // What shows progress is not to end a run.
        let _ = Python::attach(|py| self.0.call1(py, (event, text, count)));
    }
}

impl Progress for Told<'_> {
    fn job(&mut self, job: &JobRecord, done: usize) {
        self.tell("job", &job.id, job.images);
        self.images(done);
    }

    fn images(&mut self, count: usize) {
        self.tell("images", "", count);
    }

    fn finding(&mut self, job: &JobRecord, finding: &Finding) {
        let Finding { check, seen, meaning, remedy } = finding;
        self.tell("finding", &format!("{}: {check}: {seen}. {meaning} {remedy}", job.id), 0);
    }

    fn failed(&mut self, job: &JobRecord, error: &Error) {
        self.tell("failed", &format!("{}: {error}", job.id), 0);
    }
}

/// Runs a suite, which is the text of a suite file (of `path`, for errors), JSON of the same fields, or the bundled
/// one. Returns the folder, and the id and the error of every job that failed.
#[pyfunction]
#[pyo3(signature = (text, path, json, folder, told))]
pub(crate) fn run_suite(
    py: Python<'_>,
    text: Option<String>,
    path: &str,
    json: bool,
    folder: Option<PathBuf>,
    told: Py<PyAny>,
) -> PyResult<(PathBuf, Vec<(String, String)>)> {
    logging::start();
    wait::aside(py, |stop| {
        let suite = match (&text, json) {
            (None, _) => Suite::parse(BUNDLED_SUITE, Path::new("the bundled suite"))?,
            (Some(text), false) => Suite::parse(text, Path::new(path))?,
            (Some(text), true) => serde_json::from_str::<Suite>(text)
                .map_err(|e| Error::setting("suite", e.to_string(), "see benchmarks/suites"))?,
        };
        let plan = Plan::new(&suite)?;
        let folder = folder.unwrap_or_else(|| Path::new("results").join(&suite.name));
        let options = RunOptions { folder: &folder, stop };
        let summary = run(&plan, &options, &mut Told(&told))?;
        let failed = summary.failures.into_iter().map(|f| (f.job, f.error.to_string())).collect();
        Ok((folder, failed))
    })
}

/// A leaderboard of run folders.
#[pyclass(frozen, module = "epsball._epsball")]
pub(crate) struct Board(Leaderboard);

#[pymethods]
impl Board {
    /// The board of these runs; `published` ranks networks among those of a published table too, `""` for every one.
    #[new]
    #[pyo3(signature = (folders, published=None))]
    fn new(py: Python<'_>, folders: Vec<PathBuf>, published: Option<String>) -> PyResult<Self> {
        logging::start();
        let board = wait::aside(py, |_| {
            let mut board = Leaderboard::from_runs(&folders)?;
            if let Some(table) = &published {
                board.rank_among_published(Some(table.as_str()).filter(|t| !t.is_empty()))?;
            }
            Ok(board)
        })?;
        Ok(Self(board))
    }

    /// As `json`, `html`, `markdown`, `csv` or `text`.
    fn export(&self, py: Python<'_>, format: &str) -> PyResult<String> {
        let board = &self.0;
        let terminal = Terminal::detect();
        let exporter: &(dyn Exporter + Sync) = match format {
            "json" => &Summary,
            "html" => &Html { linked: false },
            "markdown" => &Markdown,
            "csv" => &Csv,
            "text" => &terminal,
            other => {
                let problem = format!("`{other}` is none");
                return Err(refuse("format", problem, "one of json, html, markdown, csv, text"));
            }
        };
        wait::aside(py, |_| exporter.export(board))
    }

    /// Writes every format into a folder and returns the paths.
    fn write(&self, py: Python<'_>, folder: PathBuf) -> PyResult<Vec<PathBuf>> {
        wait::aside(py, |_| write_all(&self.0, &folder))
    }
}

/// Two methods on the same images: JSON, and the text that the program prints.
#[pyfunction]
pub(crate) fn compare_paths(
    py: Python<'_>,
    first: PathBuf,
    second: PathBuf,
    radii: Vec<f64>,
    confidence: f64,
    seed: u64,
) -> PyResult<(String, String)> {
    logging::start();
    wait::aside(py, |_| {
        let comparison = compare(&first, &second, &CompareSettings { radii, confidence, seed })?;
        Ok((json(&comparison)?, comparison.to_string()))
    })
}

/// Whether a table of certificates can be what it claims to be: JSON, text, and whether something contradicts it.
#[pyfunction]
#[pyo3(signature = (log, sigma, n0, n, alpha, labels_of, radii, simultaneous))]
#[allow(clippy::too_many_arguments)]
pub(crate) fn audit_table(
    py: Python<'_>,
    log: PathBuf,
    sigma: Option<f64>,
    n0: Option<u64>,
    n: Option<u64>,
    alpha: Option<f64>,
    labels_of: Option<String>,
    radii: Vec<f64>,
    simultaneous: bool,
) -> PyResult<(String, String, bool)> {
    logging::start();
    wait::aside(py, |_| {
        let data = labels_of.as_deref().map(data::open).transpose()?;
        let given = Given { sigma, n0, n, alpha };
        let found = audit(&log, &given, data.as_deref(), &radii, simultaneous)?;
        Ok((json(&found)?, found.to_string(), found.contradicted()))
    })
}

/// Whether a run folder is what it claims to be, as JSON.
#[pyfunction]
pub(crate) fn verify_folder(
    py: Python<'_>,
    folder: PathBuf,
    files_only: bool,
    certificates: usize,
    seed: u64,
) -> PyResult<String> {
    logging::start();
    let settings = VerifySettings { files_only, certificates, seed, ..VerifySettings::default() };
    wait::aside(py, |stop| json(&verify_run(&folder, &settings, stop)?))
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|e| Error::setting("result", e.to_string(), "report this as a bug"))
}
