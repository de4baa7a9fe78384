//! A job of HyperQueue, whose workers were started before. Written after its documentation.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use super::Sweep;
use super::queue::{self, Queue, answer, line};
use crate::bench::Cluster;
use crate::error::{Error, Result};

/// See the module.
pub(super) struct HyperQueue;

/// A line of `hq job list`.
#[derive(Deserialize)]
struct Job {
    id: u64,
    task_stats: Tasks,
}

/// How many tasks are in which state, of those that have not ended.
#[derive(Deserialize)]
struct Tasks {
    running: usize,
    waiting: usize,
}

impl Queue for HyperQueue {
    const NAME: &'static str = "hyperqueue";
    const PAUSE: Duration = Duration::from_secs(10);
    const TEMPLATE: &'static str = "#!/bin/bash\n@OPTIONS@\n\n@SETUP@\nexec @COMMAND@\n";
    const FILE: &'static str = "hyperqueue.sh";

    /// Refuses what belongs to the workers.
    fn check(&self, cluster: &Cluster) -> Result<()> {
        let given = [
            ("partition", cluster.partition.is_some()),
            ("account", cluster.account.is_some()),
            ("memory", cluster.memory.is_some()),
            ("gres", cluster.gres.is_some()),
            ("at_once", cluster.at_once.is_some()),
        ];
        let remedy = "start workers with it (`hq alloc add`, `hq worker start`); what a task takes of them stands in \
                      options = [\"--resource gpus/nvidia=1\"]";
        queue::refuse("HyperQueue", &given, remedy)
    }

    fn options(&self, sweep: &Sweep<'_>) -> Vec<String> {
        let cluster = &sweep.cluster;
        let folder = sweep.folder.join("sweep");
        let log = format!("{}/hyperqueue-%{{JOB_ID}}-%{{TASK_ID}}.log", folder.display());
        let mut all = vec![
            ("name", sweep.name.clone()),
            ("array", format!("1-{}", sweep.processes)),
            ("stdout", "none".to_owned()),
            ("stderr", log),
        ];
        all.extend(cluster.time.clone().map(|time| ("time-limit", time)));
        all.extend(cluster.cpus.map(|cpus| ("cpus", cpus.to_string())));
        let all = all.into_iter().map(|(name, value)| line("#HQ", name, &value));
        all.chain(cluster.options.iter().map(|option| format!("#HQ {option}"))).collect()
    }

    fn submit(&self, sweep: &Sweep<'_>, script: &Path) -> Result<String> {
        let text =
            answer(Command::new("hq").args(["--output-mode", "quiet", "submit"]).arg(script))?;
        queue::id("hq", &text, sweep)
    }

    fn state(&self, id: &str) -> Result<Option<String>> {
        // Only jobs that have not ended.
        let text = answer(Command::new("hq").args(["--output-mode", "json", "job", "list"]))?;
        let unread = |error: serde_json::Error| {
            let problem = format!("`hq job list` cannot be read: {error}");
            Error::setting("hq", problem, "see whether it is version 0.19 or newer")
        };
        let jobs: Vec<Job> = serde_json::from_str(&text).map_err(unread)?;
        let job = jobs.iter().find(|job| job.id.to_string() == id).map(|job| &job.task_stats);
        let open = job.filter(|tasks| tasks.running + tasks.waiting > 0);
        Ok(open.map(|tasks| format!("{} running, {} waiting", tasks.running, tasks.waiting)))
    }

    fn cancel(&self, id: &str) -> String {
        format!("hq job cancel {id}")
    }
}
