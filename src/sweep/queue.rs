//! What the queues of clusters have in common: the processes are tasks of an array, which is described by a script,
//! submitted, watched, and submitted again as long as something is left.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Engine, Sweep};
use crate::bench::Cluster;
use crate::error::{Error, Result};
use crate::{persist, regular};

/// A queue, by the program that one talks to it with.
pub(super) trait Queue: Sync {
    /// Its name on the command line.
    const NAME: &'static str;

    /// Time between two looks, unless the user says otherwise.
    const PAUSE: Duration;

    /// The script, unless the suite names another one. `@OPTIONS@` is what the queue is asked for, `@SETUP@` the
    /// suite's modules and lines of shell, `@COMMAND@` the process.
    const TEMPLATE: &'static str;

    /// The name of the script.
    const FILE: &'static str;

    /// Refuses what the suite asks of a cluster and this queue has no option for.
    ///
    /// # Errors
    /// If it asks for that.
    fn check(&self, cluster: &Cluster) -> Result<()> {
        let _ = cluster;
        Ok(())
    }

    /// The lines of the script that are for the queue.
    fn options(&self, sweep: &Sweep<'_>) -> Vec<String>;

    /// Submits the script; returns the id of the array.
    fn submit(&self, sweep: &Sweep<'_>, script: &Path) -> Result<String>;

    /// What the tasks of the array do, in words; `None` if they have ended.
    fn state(&self, id: &str) -> Result<Option<String>>;

    /// The command that ends the array.
    fn cancel(&self, id: &str) -> String;
}

impl<Q: Queue> Engine for Q {
    fn name(&self) -> &'static str {
        Q::NAME
    }

    fn pause(&self) -> Duration {
        Q::PAUSE
    }

    /// One thread for each core that the queue gives a process.
    fn threads(&self, _: u32, cluster: &Cluster) -> Option<usize> {
        cluster.cpus.map(|cpus| cpus as usize)
    }

    fn script(&self, sweep: &Sweep<'_>) -> Result<String> {
        self.check(&sweep.cluster)?;
        script(self, sweep)
    }

    fn run(&self, sweep: &Sweep<'_>) -> Result<()> {
        run(self, sweep)
    }
}

/// The script of the array.
///
/// # Errors
/// If the suite's template cannot be read, or does not say where the process is called.
fn script<Q: Queue>(queue: &Q, sweep: &Sweep<'_>) -> Result<String> {
    let cluster = &sweep.cluster;
    let text = match &cluster.template {
        Some(path) => regular::text(Path::new(path)).map_err(Error::io("read", path))?,
        None => Q::TEMPLATE.to_owned(),
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
        .replace("@OPTIONS@", &queue.options(sweep).join("\n"))
        .replace("@SETUP@", &setup.join("\n"))
        .replace("@COMMAND@", &command))
}

/// Submits the array until the suite is done, or it was submitted as often as it may be.
///
/// # Errors
/// If the queue does not answer; [`Error::Interrupted`] if the caller asked to stop, with the array going on.
fn run<Q: Queue>(queue: &Q, sweep: &Sweep<'_>) -> Result<()> {
    let path = write(queue, sweep)?;
    let mut restarts = sweep.restarts;
    loop {
        let id = queue.submit(sweep, &path)?;
        (sweep.say)(&format!("submitted {} as job {id}", path.display()));
        let mut told = String::new();
        while let Some(state) = patiently(queue, sweep, &id)? {
            if state != told {
                (sweep.say)(&format!("job {id}: {state}"));
                told = state;
            }
            sweep.wait().inspect_err(|_| goes_on(queue, sweep, &id))?;
        }
        let left = (sweep.unfinished)()?;
        let Some(first) = left.first() else { return Ok(()) };
        let count = left.len();
        if restarts == 0 {
            let text = format!("job {id} has ended and {count} jobs are left, {first} first");
            (sweep.say)(&text);
            return Ok(());
        }
        restarts -= 1;
        (sweep.say)(&format!("job {id} has ended and {count} jobs are left: again"));
    }
}

/// The state of the array; a queue that does not answer is asked again a few times.
fn patiently<Q: Queue>(queue: &Q, sweep: &Sweep<'_>, id: &str) -> Result<Option<String>> {
    for _ in 1..TRIES {
        match queue.state(id) {
            Err(error) => (sweep.say)(&format!("{error}; asked again")),
            state => return state,
        }
        sweep.wait().inspect_err(|_| goes_on(queue, sweep, id))?;
    }
    queue.state(id).inspect_err(|_| goes_on(queue, sweep, id))
}

/// How often a queue is asked before its silence is an error.
const TRIES: u32 = 5;

fn goes_on<Q: Queue>(queue: &Q, sweep: &Sweep<'_>, id: &str) {
    (sweep.say)(&format!("job {id} goes on; `{}` ends it", queue.cancel(id)));
}

/// Puts the script where it is submitted from.
fn write<Q: Queue>(queue: &Q, sweep: &Sweep<'_>) -> Result<PathBuf> {
    let path = sweep.notes()?.join(Q::FILE);
    persist::replace(&path, script(queue, sweep)?.as_bytes())?;
    Ok(path)
}

/// What the program of the queue says on stdout.
///
/// # Errors
/// If it is not here, or fails; the error holds what it said.
pub(super) fn answer(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let ran = command.output().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::setting(
            name.clone(),
            "there is no such program on this machine",
            "call epsball where jobs are submitted from, or use --engine local",
        ),
        _ => Error::io("start", &name)(error),
    })?;
    match ran.status.success() {
        true => Ok(String::from_utf8_lossy(&ran.stdout).into_owned()),
        false => {
            let said = String::from_utf8_lossy(&ran.stderr);
            Err(failed(&name, said.trim()))
        }
    }
}

fn failed(name: &str, said: &str) -> Error {
    let remedy = match said.contains("Invalid job array specification") {
        true => {
            "start fewer processes (-n): `scontrol show config` says how large an array may be, MaxArraySize"
        }
        false => "see [cluster] in the suite, or submit the script by hand",
    };
    Error::setting(name, said.replace('\n', " "), remedy)
}

/// The id that the queue gave.
///
/// # Errors
/// If what it answered is none.
pub(super) fn id(name: &str, answer: &str, sweep: &Sweep<'_>) -> Result<String> {
    let id = answer.trim();
    match !id.is_empty() && id.chars().all(|c| c.is_ascii_digit()) {
        true => Ok(id.to_owned()),
        false => Err(Error::setting(
            name,
            format!("submitted {} and answered `{id}`", sweep.name),
            "submit the script by hand, and see what it says",
        )),
    }
}

/// `#SBATCH --name=value`; a value with spaces or quotes is quoted, as the readers of such lines take it.
pub(super) fn line(mark: &str, name: &str, value: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && !"\"'\\#".contains(c);
    match value.chars().all(plain) {
        true => format!("{mark} --{name}={value}"),
        false => {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            format!("{mark} --{name}=\"{value}\"")
        }
    }
}

/// Refuses what a queue has no use for.
///
/// # Errors
/// If the suite asks for one of these.
pub(super) fn refuse(queue: &str, given: &[(&str, bool)], remedy: &str) -> Result<()> {
    match given.iter().find(|(_, is_given)| *is_given) {
        Some((name, _)) => {
            let problem = format!("{queue} takes no such option for a task");
            Err(Error::setting(format!("cluster: {name}"), problem, remedy))
        }
        None => Ok(()),
    }
}
