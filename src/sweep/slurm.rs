//! A job array of Slurm: a script is written and submitted, and submitted again as long as something is left.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Engine, Sweep};
use crate::error::{Error, Result};
use crate::{persist, regular};

/// See the module.
pub(super) struct Slurm;

/// The script, unless the suite names another one. `@OPTIONS@` is what `[cluster]` asks for, `@SETUP@` its modules
/// and lines of shell, `@COMMAND@` the process.
const TEMPLATE: &str = "#!/bin/bash\n@OPTIONS@\n\n@SETUP@\nexec @COMMAND@\n";

/// Seconds before the limit of time at which a process is asked to stop, so that counts of unfinished images are
/// on the disk.
const NOTICE: u32 = 60;

impl Engine for Slurm {
    fn name(&self) -> &'static str {
        "slurm"
    }

    fn script(&self, sweep: &Sweep<'_>) -> Result<String> {
        let cluster = &sweep.cluster;
        let text = match &cluster.template {
            Some(path) => regular::text(Path::new(path)).map_err(Error::io("read", path))?,
            None => TEMPLATE.to_owned(),
        };
        if !text.contains("@COMMAND@") {
            return Err(Error::file(
                cluster.template.clone().unwrap_or_default(),
                "@COMMAND@",
                "the template says nowhere what is to be run",
                "write @COMMAND@ there, and @OPTIONS@ and @SETUP@ if you want them",
            ));
        }
        let program = cluster.program.clone();
        let program = program.unwrap_or_else(|| sweep.program.to_string_lossy().into_owned());
        let container = cluster.container.iter().map(|container| format!("{container} "));
        let command = format!("{}{}", container.collect::<String>(), sweep.command(&program));
        let modules = cluster.modules.iter().map(|module| format!("module load {module}"));
        let setup: Vec<String> = modules.chain(cluster.setup.iter().cloned()).collect();
        Ok(text
            .replace("@OPTIONS@", &options(sweep).join("\n"))
            .replace("@SETUP@", &setup.join("\n"))
            .replace("@COMMAND@", &command))
    }

    fn run(&self, sweep: &Sweep<'_>) -> Result<()> {
        let script = write(self, sweep)?;
        let mut restarts = sweep.restarts;
        loop {
            let id = submit(sweep, &script)?;
            (sweep.say)(&format!("submitted {} as job {id}", script.display()));
            while is_queued(&id)? {
                if let Err(error) = sweep.wait() {
                    (sweep.say)(&format!("job {id} goes on; `scancel {id}` ends it"));
                    return Err(error);
                }
            }
            let left = (sweep.unfinished)()?;
            let Some(first) = left.first() else { return Ok(()) };
            let count = left.len();
            if restarts == 0 {
                (sweep.say)(&format!(
                    "job {id} has ended and {count} jobs are left, {first} first"
                ));
                return Ok(());
            }
            restarts -= 1;
            (sweep.say)(&format!("job {id} has ended and {count} jobs are left: again"));
        }
    }
}

/// The lines for `sbatch`.
fn options(sweep: &Sweep<'_>) -> Vec<String> {
    let cluster = &sweep.cluster;
    let at_once = cluster.at_once.map_or(String::new(), |n| format!("%{n}"));
    let log = sweep.folder.join("sweep").join("slurm-%A-%a.log");
    let given = [
        ("partition", &cluster.partition),
        ("account", &cluster.account),
        ("time", &cluster.time),
        ("mem", &cluster.memory),
        ("gres", &cluster.gres),
    ];
    let given = given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
    let mut all = vec![
        ("job-name", sweep.name.clone()),
        ("array", format!("1-{}{at_once}", sweep.processes)),
        ("output", log.display().to_string()),
        // The script becomes the process, so the shell's signal is its own.
        ("signal", format!("B:INT@{NOTICE}")),
    ];
    all.extend(given);
    all.extend(cluster.cpus.map(|cpus| ("cpus-per-task", cpus.to_string())));
    let all = all.into_iter().map(|(name, value)| format!("#SBATCH --{name}={value}"));
    all.chain(cluster.options.iter().map(|option| format!("#SBATCH {option}"))).collect()
}

/// Puts the script where it is submitted from.
fn write(engine: &Slurm, sweep: &Sweep<'_>) -> Result<PathBuf> {
    let path = sweep.notes()?.join("slurm.sh");
    persist::replace(&path, engine.script(sweep)?.as_bytes())?;
    Ok(path)
}

/// Submits the script; returns the id of the array.
fn submit(sweep: &Sweep<'_>, script: &Path) -> Result<String> {
    let text = output(Command::new("sbatch").arg("--parsable").arg(script))?;
    // A cluster's name may follow.
    let id = text.trim().split(';').next().unwrap_or_default().to_owned();
    match !id.is_empty() && id.chars().all(|c| c.is_ascii_digit()) {
        true => Ok(id),
        false => Err(Error::setting(
            "sbatch",
            format!("submitted {} and answered `{}`", sweep.name, text.trim()),
            "submit the script by hand, and see what it says",
        )),
    }
}

/// A task of the array waits or runs.
fn is_queued(id: &str) -> Result<bool> {
    let asked = Command::new("squeue").args(["--noheader", "--jobs", id]).output();
    let asked = asked.map_err(Error::io("start", "squeue"))?;
    let said = String::from_utf8_lossy(&asked.stderr);
    // It has forgotten a job that ended long ago.
    if !asked.status.success() && !said.contains("Invalid job id") {
        return Err(failed("squeue", &said));
    }
    Ok(!asked.stdout.trim_ascii().is_empty())
}

/// What a program says on stdout.
fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let ran = command.output().map_err(Error::io("start", &name))?;
    match ran.status.success() {
        true => Ok(String::from_utf8_lossy(&ran.stdout).into_owned()),
        false => Err(failed(&name, &String::from_utf8_lossy(&ran.stderr))),
    }
}

fn failed(name: &str, said: &str) -> Error {
    let said = said.trim().replace('\n', " ");
    Error::setting(name, said, "see [cluster] in the suite, or submit the script by hand")
}
