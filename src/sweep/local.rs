//! Processes of this machine.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::{Engine, Sweep};
use crate::bench::Cluster;
use crate::error::{Error, Result};

/// See the module.
pub(super) struct Local;

/// Exit codes of a process whose successor would end the same way: of jobs that fail, of a suite that cannot be
/// used.
const FINAL: [i32; 2] = [1, 2];

impl Engine for Local {
    fn name(&self) -> &'static str {
        "local"
    }

    fn pause(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// The processes of one machine share its cores.
    fn threads(&self, processes: u32, _: &Cluster) -> Option<usize> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Some((cores / processes as usize).max(1))
    }

    fn script(&self, sweep: &Sweep<'_>) -> Result<String> {
        let program = sweep.program.to_string_lossy();
        Ok(format!("# {} times\n{}\n", sweep.processes, sweep.command(&program)))
    }

    fn run(&self, sweep: &Sweep<'_>) -> Result<()> {
        let notes = sweep.notes()?;
        let mut running: Vec<(u32, Child)> = Vec::new();
        let ended = watch(sweep, &notes, &mut running);
        // Nobody is left behind who computes on.
        for (_, child) in &running {
            interrupt(child);
        }
        for (number, mut child) in running {
            child.wait().map_err(Error::io("wait for", notes.join(log(number))))?;
        }
        ended
    }
}

fn watch(sweep: &Sweep<'_>, notes: &Path, running: &mut Vec<(u32, Child)>) -> Result<()> {
    for number in 1..=sweep.processes {
        running.push((number, start(sweep, notes, number)?));
    }
    let mut restarts = sweep.restarts;
    while !running.is_empty() {
        let mut failed = Vec::new();
        let mut error = None;
        running.retain_mut(|(number, child)| match child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) => {
                if !status.success() {
                    failed.push((*number, status));
                }
                false
            }
            Err(e) => {
                error = Some(Error::io("wait for", notes.join(log(*number)))(e));
                false
            }
        });
        if let Some(error) = error {
            return Err(error);
        }
        for (number, status) in failed {
            let file = notes.join(log(number)).display().to_string();
            let again = restarts > 0 && !is_final(status);
            let then = if again { ": another one goes on" } else { "" };
            (sweep.say)(&format!("process {number} ended with {status}, see {file}{then}"));
            if again {
                restarts -= 1;
                running.push((number, start(sweep, notes, number)?));
            }
        }
        sweep.wait()?;
    }
    Ok(())
}

fn is_final(status: ExitStatus) -> bool {
    status.code().is_some_and(|code| FINAL.contains(&code))
}

/// What process number `number` says is in this file.
fn log(number: u32) -> String {
    format!("process-{number}.log")
}

fn start(sweep: &Sweep<'_>, notes: &Path, number: u32) -> Result<Child> {
    let path = notes.join(log(number));
    let opened = File::options().create(true).append(true).open(&path);
    let said = opened.map_err(Error::io("open", &path))?;
    let mut command = Command::new(&sweep.program);
    if let Some(threads) = sweep.threads {
        command.args(["--threads", &threads.to_string()]);
    }
    command.args(&sweep.arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
    // A Ctrl-C of the terminal goes to this process, which hands it on once.
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        command.process_group(0);
    }
    command.spawn().map_err(Error::io("start", &sweep.program))
}

/// Asks the process to stop as Ctrl-C does.
fn interrupt(child: &Child) {
    let mut kill = Command::new("kill");
    kill.args(["-INT", &child.id().to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    // It may have ended by itself.
    let _ = kill.status();
}
