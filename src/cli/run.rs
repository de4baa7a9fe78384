//! `epsball run`: a suite from plan to leaderboard. `attack` and `certify` are suites of one and end
//! here too.

use std::path::{Path, PathBuf};

use super::output::{Ended, Failure, report, say, show, show_board, show_json};
use super::progress::Shown;
use super::{exit, interrupt};
use crate::bench::{
    BUNDLED_SUITE, JobCost, Plan, RunOptions, Shard, Suite, costs, run as run_plan, unfinished,
};
use crate::device::{Device, Precision};
use crate::error::Error;
use crate::record::RunRecord;
use crate::report::{Exporter as _, Leaderboard, Summary, Terminal, write_all};
use crate::results::format;
use crate::rng::Randomness;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Suite file; without it the bundled suite runs
    suite: Option<PathBuf>,
    /// Keep the adversarial images of every attack in a safetensors file beside its table
    #[arg(long)]
    save_adversarial: bool,
    /// Compute share K of N of every job, by what the images show; with the other shares, in this folder or
    /// through --rows-of, the tables are those of one process
    #[arg(long, value_name = "K/N")]
    shard: Option<Shard>,
    /// Take over the rows that these run folders have of the same jobs, such as shares of other machines
    #[arg(long, value_name = "FOLDER", num_args = 1..)]
    rows_of: Vec<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// Options of every command that runs jobs.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Run")]
pub(super) struct Common {
    /// Folder of the run; `results/NAME` by default. A run that is there already is resumed
    #[arg(short, long, value_name = "FOLDER")]
    pub(super) output: Option<PathBuf>,
    /// Images per batch; results do not depend on it
    #[arg(hide_short_help = true, short, long, value_name = "N")]
    pub(super) batch: Option<usize>,
    /// GiB that networks may keep between a forward and its backward pass [default: 2]; what does not
    /// fit is computed again, and results do not depend on it
    #[arg(hide_short_help = true, long, value_name = "GIB")]
    pub(super) memory: Option<f64>,
    /// Where networks run: auto (the first GPU, or the CPU), cpu, cuda, cuda:1, cuda:0,1 [default: auto]
    #[arg(long, value_name = "DEVICE")]
    pub(super) device: Option<Device>,
    /// Arithmetic of searches, tf32 on GPUs only; what they find is judged in f32 [default: f32]
    #[arg(long, value_name = "f32|tf32|bf16")]
    pub(super) precision: Option<Precision>,
    /// Seed of all randomness
    #[arg(short, long, value_name = "SEED")]
    pub(super) seed: Option<u64>,
    /// Source of random numbers; `torch` draws as published code does, and then batches matter
    #[arg(hide_short_help = true, long, value_name = "per-image|torch")]
    pub(super) rng: Option<Randomness>,
    /// Check everything and list the jobs, with what they may cost, without running them
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Print the results as JSON on stdout instead of tables
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(args: &Args) -> Ended {
    let mut suite = read_suite(args.suite.as_deref())?;
    suite.save_adversarial |= args.save_adversarial;
    run_part(suite, &args.common, args.shard, &args.rows_of)
}

/// The suite of a file, or the bundled one.
///
/// # Errors
/// If the file is no suite.
pub(super) fn read_suite(path: Option<&Path>) -> Result<Suite, Error> {
    match path {
        Some(path) => Suite::read(path),
        None => Suite::parse(BUNDLED_SUITE, Path::new("the bundled suite")),
    }
}

/// The suite with what the command line says otherwise.
pub(super) fn settled(mut suite: Suite, common: &Common) -> Suite {
    suite.batch = common.batch.or(suite.batch);
    suite.memory = common.memory.or(suite.memory);
    suite.device = common.device.clone().unwrap_or(suite.device);
    suite.precision = common.precision.unwrap_or(suite.precision);
    suite.seed = common.seed.unwrap_or(suite.seed);
    suite.rng = common.rng.unwrap_or(suite.rng);
    suite
}

impl Common {
    /// The run folder of a suite of this name.
    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.output.clone().unwrap_or_else(|| Path::new("results").join(name))
    }
}

/// Plans and runs a suite, writes its leaderboard into the run folder and prints it.
pub(super) fn run_suite(suite: Suite, common: &Common) -> Ended {
    run_part(suite, common, None, &[])
}

/// The same of a share of it, with the rows that other folders have.
fn run_part(suite: Suite, common: &Common, shard: Option<Shard>, rows_of: &[PathBuf]) -> Ended {
    let suite = settled(suite, common);
    let mut plan = Plan::new(&suite)?;
    (plan.shard, plan.rows_of) = (shard, rows_of.to_vec());
    // A folder that is no run is told before anything begins, and by a dry run too.
    rows_of.iter().try_for_each(|run| RunRecord::read(run).map(drop))?;
    if common.dry_run {
        if let Some(shard) = shard {
            say(format_args!("of each of these jobs only share {shard} is computed"));
        }
        return list(&plan, common.json);
    }
    let folder = common.folder(&suite.name);
    interrupt::listen();
    let mut progress = Shown::new(&plan);
    let options = RunOptions { folder: &folder, stop: &interrupt::requested };
    let ended = run_plan(&plan, &options, &mut progress);
    progress.finish();
    let late = progress.has_begun();
    let summary = ended.map_err(|error| match late {
        true => Failure::Late(error),
        false => Failure::Input(error),
    })?;

    let shown = show_leaderboard(&folder, common);
    if summary.failures.is_empty() {
        // The other shares may be here already.
        if let Some(shard) =
            shard.filter(|_| unfinished(&plan, &folder).is_ok_and(|left| !left.is_empty()))
        {
            say(format_args!(
                "share {shard} is done; with the others: epsball run ... --rows-of {} FOLDER ...",
                folder.display()
            ));
        }
        return shown.map(|()| exit::OK);
    }
    say(format_args!("{} of {} jobs failed:", summary.failures.len(), plan.jobs.len()));
    for failure in &summary.failures {
        say(format_args!("{}", failure.job));
        report(&failure.error);
    }
    // The failures are told first: they may be why there is no board.
    if let Err(failure) = shown {
        let _ = failure.report();
    }
    Ok(exit::JOBS_FAILED)
}

/// The jobs of a plan with what each may cost.
fn list(plan: &Plan, json: bool) -> Ended {
    let costs = costs(plan)?;
    if json {
        show_json(&costs)?;
        return Ok(exit::OK);
    }
    for JobCost { job, images, most_passes, most_seconds } in costs {
        let passes = most_passes.map(|most| format!("\tat most {most:.0} passes each"));
        let seconds = most_seconds.map(|seconds| format!(", {}", format::duration(seconds)));
        let (passes, seconds) = (passes.unwrap_or_default(), seconds.unwrap_or_default());
        show(format_args!("{job}\t{images} images{passes}{seconds}"))?;
    }
    Ok(exit::OK)
}

/// Writes the leaderboard of a run into its folder and prints it.
pub(super) fn show_leaderboard(folder: &Path, common: &Common) -> Result<(), Failure> {
    let written = || -> Result<_, Error> {
        let leaderboard = Leaderboard::from_runs(&[folder.to_path_buf()])?;
        let files = write_all(&leaderboard, folder)?;
        let text = match common.json {
            true => Summary.export(&leaderboard)?,
            false => Terminal::detect().export(&leaderboard)?,
        };
        Ok((files, text))
    };
    let (files, text) = written().map_err(Failure::Late)?;
    for file in files {
        say(format_args!("wrote {}", file.display()));
    }
    show_board(text + "\n")
}
