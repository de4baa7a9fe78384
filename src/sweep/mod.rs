//! Getting many processes to run one suite in one folder. They share the work by themselves ([`crate::bench`]); an
//! engine only starts them, watches them, and starts others in place of those that did not get through. What is
//! done is what the run folder says, never what an engine believes.
//!
//! A new engine is one new file with an `Engine`, and one line in `ENGINES`.

mod hyperqueue;
mod local;
mod queue;
mod slurm;

use std::cell::Cell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::bench::Cluster;
use crate::error::{Error, Result};

/// A way to have processes run.
pub trait Engine: Sync {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// Time between two looks at what runs, unless the user says otherwise.
    fn pause(&self) -> Duration;

    /// Threads of each of so many processes, unless the user says otherwise; `None` leaves it to them.
    fn threads(&self, processes: u32, cluster: &Cluster) -> Option<usize>;

    /// What would be run, as text: commands or a script.
    ///
    /// # Errors
    /// If a file that the suite names cannot be read.
    fn script(&self, sweep: &Sweep<'_>) -> Result<String>;

    /// Has the processes run until the suite is done, or no more of them are to be started.
    ///
    /// # Errors
    /// If they cannot be started or watched; [`Error::Interrupted`] if the caller asked to stop.
    fn run(&self, sweep: &Sweep<'_>) -> Result<()>;
}

/// Every engine.
pub const ENGINES: &[&dyn Engine] = &[&local::Local, &slurm::Slurm, &hyperqueue::HyperQueue];

/// The engine of this name.
///
/// # Errors
/// If there is none.
pub fn engine(name: &str) -> Result<&'static dyn Engine> {
    let known = ENGINES.iter().find(|engine| engine.name() == name);
    known
        .copied()
        .ok_or_else(|| Error::unknown("engine", name, ENGINES.iter().map(|engine| engine.name())))
}

/// What is to be run.
pub struct Sweep<'a> {
    /// Name of the suite.
    pub name: String,
    /// This program.
    pub program: PathBuf,
    /// Arguments of every process, `run` first.
    pub arguments: Vec<String>,
    /// The run folder; `sweep` below it is for scripts and what processes say.
    pub folder: PathBuf,
    /// How many processes.
    pub processes: u32,
    /// Threads of each; as many as there are cores if it is not said.
    pub threads: Option<usize>,
    /// How many others are started at most in place of those that end too early.
    pub restarts: u32,
    /// What the suite says of the cluster.
    pub cluster: Cluster,
    /// Time between two looks.
    pub every: Duration,
    /// Ids of jobs that are not finished.
    pub unfinished: &'a dyn Fn() -> Result<Vec<String>>,
    /// How many rows the tables have, and how many they will have.
    pub rows: &'a dyn Fn() -> Result<(usize, usize)>,
    /// What of it was told last, and when.
    pub told: Cell<(Instant, usize)>,
    /// Tells the user a line.
    pub say: &'a dyn Fn(&str),
    /// Whether to stop.
    pub stop: &'a (dyn Fn() -> bool + Sync),
}

impl Sweep<'_> {
    /// The folder of scripts and of what processes say, which is made.
    ///
    /// # Errors
    /// If it cannot be made.
    fn notes(&self) -> Result<PathBuf> {
        let notes = self.folder.join("sweep");
        std::fs::create_dir_all(&notes).map_err(Error::io("create", &notes))?;
        Ok(notes)
    }

    /// The command of a process for a shell, by the program `program`.
    fn command(&self, program: &str) -> String {
        let words = self.arguments.iter().map(String::as_str);
        let threads = self.threads.map(|threads| format!("--threads {threads} "));
        let words: Vec<String> = words.map(quoted).collect();
        format!("{} {}{}", quoted(program), threads.unwrap_or_default(), words.join(" "))
    }

    /// Waits for the next look, and tells how far the suite is now and then.
    ///
    /// # Errors
    /// With [`Error::Interrupted`] if the caller asked to stop.
    fn wait(&self) -> Result<()> {
        let (since, told) = self.told.get();
        if since.elapsed() >= NEWS.max(self.every) {
            // A table that is being replaced is looked at again the next time.
            let (done, all) = (self.rows)().unwrap_or((told, 0));
            if done != told {
                (self.say)(&format!("{done} of {all} rows are there"));
            }
            self.told.set((Instant::now(), done));
        }
        let slice = Duration::from_millis(50);
        let mut left = self.every;
        while !left.is_zero() {
            if (self.stop)() {
                return Err(Error::Interrupted);
            }
            std::thread::sleep(left.min(slice));
            left = left.saturating_sub(slice);
        }
        Ok(())
    }
}

/// Time between two lines on how far the suite is: every table is read for one.
const NEWS: Duration = Duration::from_secs(15);

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_through_a_shell_as_they_are() {
        for word in ["plain", "two words", "it's", "$HOME", "", "a\nb", "*"] {
            let ran = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {}", quoted(word))])
                .output();
            assert_eq!(String::from_utf8(ran.unwrap().stdout).unwrap(), word);
        }
        assert_eq!(quoted("results/a-b_c.toml"), "results/a-b_c.toml");
    }

    #[test]
    fn an_engine_has_a_name() {
        assert_eq!(engine("slurm").unwrap().name(), "slurm");
        let error = engine("slum").err().unwrap();
        assert!(error.to_string().contains("unknown engine `slum`"), "{error}");
    }
}
