//! A job array of Slurm.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::Sweep;
use super::queue::{self, Queue, answer, line};
use crate::error::{Error, Result};

/// See the module.
pub(super) struct Slurm;

/// Seconds before the limit of time at which a process is asked to stop, so that counts of unfinished images are
/// on the disk.
const NOTICE: u32 = 60;

impl Queue for Slurm {
    const NAME: &'static str = "slurm";
    const PAUSE: Duration = Duration::from_secs(30);
    // The script becomes the process, so that the notice reaches it.
    const TEMPLATE: &'static str = "#!/bin/bash\n@OPTIONS@\n\n@SETUP@\nexec @COMMAND@\n";
    const FILE: &'static str = "slurm.sh";

    fn options(&self, sweep: &Sweep<'_>) -> Vec<String> {
        let cluster = &sweep.cluster;
        let at_once = cluster.at_once.map_or(String::new(), |n| format!("%{n}"));
        let given = [
            ("partition", &cluster.partition),
            ("account", &cluster.account),
            ("time", &cluster.time),
            ("mem", &cluster.memory),
            ("gres", &cluster.gres),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        // A single % would be the beginning of a number.
        let folder = sweep.folder.join("sweep").display().to_string().replace('%', "%%");
        let mut all = vec![
            ("job-name", sweep.name.clone()),
            ("array", format!("1-{}{at_once}", sweep.processes)),
            ("output", format!("{folder}/slurm-%A-%a.log")),
            ("signal", format!("B:INT@{NOTICE}")),
        ];
        all.extend(given);
        all.extend(cluster.cpus.map(|cpus| ("cpus-per-task", cpus.to_string())));
        let all = all.into_iter().map(|(name, value)| line("#SBATCH", name, &value));
        all.chain(cluster.options.iter().map(|option| format!("#SBATCH {option}"))).collect()
    }

    fn submit(&self, sweep: &Sweep<'_>, script: &Path) -> Result<String> {
        let text = answer(Command::new("sbatch").arg("--parsable").arg(script))?;
        // A cluster's name may follow.
        queue::id("sbatch", text.split(';').next().unwrap_or_default(), sweep)
    }

    fn state(&self, id: &str) -> Result<Option<String>> {
        // A line per task, without those that have ended.
        let asked = ["--noheader", "--array", "--format=%T %r", "--jobs", id];
        let text = match answer(Command::new("squeue").args(asked)) {
            // It has forgotten a job that ended long ago.
            Err(Error::Setting { problem, .. }) if problem.contains("Invalid job id") => {
                String::new()
            }
            answered => answered?,
        };
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for task in text.lines().map(str::trim).filter(|task| !task.is_empty()) {
            let (state, reason) = task.split_once(' ').unwrap_or((task, "None"));
            let state = match reason {
                "None" | "" => state.to_lowercase(),
                // Some reasons mean that it waits for ever.
                reason => format!("{} ({reason})", state.to_lowercase()),
            };
            *counts.entry(state).or_default() += 1;
        }
        let words: Vec<String> =
            counts.into_iter().map(|(state, count)| format!("{count} {state}")).collect();
        Ok((!words.is_empty()).then(|| words.join(", ")))
    }

    fn cancel(&self, id: &str) -> String {
        format!("scancel {id}")
    }
}
