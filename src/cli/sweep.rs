//! `epsball sweep`: a suite by many processes, on this machine or on a cluster.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::output::{Ended, Failure, say, show};
use super::run::{Common, read_suite, settled, show_leaderboard};
use super::{exit, interrupt};
use crate::bench::{Plan, rows, unfinished};
use crate::error::{Error, Result};
use crate::sweep::{Sweep, engine};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Suite file; without it the bundled suite runs
    suite: Option<PathBuf>,
    /// What runs the processes: local, slurm, hyperqueue
    #[arg(short, long, default_value = "local")]
    engine: String,
    /// Number of processes; they share every job
    #[arg(short = 'n', long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u32).range(1..))]
    processes: u32,
    /// How many processes at most are started in place of those that crash or run out of time; on a cluster, how
    /// many times all of them are
    #[arg(long, value_name = "N", default_value_t = 3)]
    restarts: u32,
    /// Seconds between two looks at what runs [default: local 1, slurm 30, hyperqueue 10]
    #[arg(long, value_name = "SECONDS")]
    every: Option<f64>,
    #[command(flatten)]
    common: Common,
}

/// `threads` are those of every process.
pub(super) fn run(args: &Args, threads: Option<usize>) -> Ended {
    let engine = engine(&args.engine)?;
    let every = args.every.unwrap_or_else(|| engine.pause().as_secs_f64());
    if !(0.01..=3600.0).contains(&every) {
        let problem = format!("{every} is not between 0.01 and 3600");
        return Err(Error::setting("--every", problem, "leave it out").into());
    }
    let suite = settled(read_suite(args.suite.as_deref())?, &args.common);
    let cluster = suite.cluster.clone().unwrap_or_default();
    // The mistakes are found here and once, not by every process.
    let plan = Plan::new(&suite)?;
    let folder = args.common.folder(&suite.name);
    let threads = threads.or_else(|| engine.threads(args.processes, &cluster));
    let program = std::env::current_exe().map_err(Error::io("find", "epsball"))?;
    if cluster.cpus == Some(0) {
        let problem = "0 cores compute nothing";
        return Err(Error::setting("cluster: cpus", problem, "give at least 1").into());
    }
    let (left, tell) = (|| unfinished(&plan, &folder), |line: &str| say(line));
    let there = || rows(&plan, &folder);
    let sweep = Sweep {
        name: suite.name.clone(),
        program,
        arguments: arguments(args, &folder)?,
        folder: folder.clone(),
        processes: args.processes,
        threads,
        restarts: args.restarts,
        cluster,
        every: Duration::from_secs_f64(every),
        unfinished: &left,
        rows: &there,
        told: Cell::new((Instant::now(), 0)),
        say: &tell,
        stop: &interrupt::requested,
    };
    let script = engine.script(&sweep)?;
    if args.common.dry_run {
        show(script.trim_end())?;
        return Ok(exit::OK);
    }
    interrupt::listen();
    engine.run(&sweep).map_err(Failure::Late)?;
    let left = left().map_err(Failure::Late)?;
    let shown = show_leaderboard(&folder, &args.common);
    if left.is_empty() {
        return shown.map(|()| exit::OK);
    }
    say(format_args!("{} of {} jobs are not finished:", left.len(), plan.record.jobs.len()));
    left.iter().for_each(say);
    if let Err(failure) = shown {
        // What is left is told first: it may be why there is no board.
        let _ = failure.report();
    }
    Ok(exit::JOBS_FAILED)
}

/// The arguments of a process.
fn arguments(args: &Args, folder: &std::path::Path) -> Result<Vec<String>> {
    let text = |path: &std::path::Path| {
        path.to_str().map(str::to_owned).ok_or_else(|| {
            let problem = format!("{} is not UTF-8", path.display());
            Error::setting("path", problem, "choose another name")
        })
    };
    let mut all = vec!["run".to_owned()];
    all.extend(args.suite.as_deref().map(text).transpose()?);
    all.extend(["--output".to_owned(), text(folder)?]);
    let common = &args.common;
    let mut add = |name: &str, value: Option<String>| {
        all.extend(value.into_iter().flat_map(|value| [format!("--{name}"), value]));
    };
    add("batch", common.batch.map(|n| n.to_string()));
    add("memory", common.memory.map(|n| n.to_string()));
    add("device", common.device.as_ref().map(ToString::to_string));
    add("precision", common.precision.map(|p| p.to_string()));
    add("seed", common.seed.map(|n| n.to_string()));
    add("rng", common.rng.map(|rng| rng.to_string()));
    Ok(all)
}
