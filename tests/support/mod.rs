//! A folder of its own for each test, and the program run inside it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub struct Sandbox {
    folder: tempfile::TempDir,
}

impl Sandbox {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub fn write(&self, file: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_epsball"));
        command.args(arguments).current_dir(self.folder.path());
        command.env("NO_COLOR", "1").env_remove("EPSBALL_THREADS").env_remove("EPSBALL_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.finish(self.command(arguments))
    }

    pub fn finish(&self, mut command: Command) -> Ran {
        Ran::new(&command.output().unwrap(), self.folder.path())
    }
}

/// What a run left on the terminal, with the folder's own name taken out.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    fn new(output: &Output, folder: &Path) -> Self {
        let text = |bytes: &[u8]| {
            String::from_utf8_lossy(bytes).replace(&folder.display().to_string(), "[FOLDER]")
        };
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Everything in one text, for snapshots.
    pub fn all(&self) -> String {
        format!("exit {}\n--- stdout\n{}--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// The tables below `run/jobs` by name, without the columns that hold times.
pub fn tables(run: &Path) -> Vec<(String, String)> {
    let mut tables = Vec::new();
    for model in std::fs::read_dir(run.join("jobs")).unwrap() {
        for table in std::fs::read_dir(model.unwrap().path()).unwrap() {
            let path = table.unwrap().path();
            let delimiter = match path.extension().and_then(|ending| ending.to_str()) {
                Some("csv") => ',',
                Some("tsv") => '\t',
                _ => continue,
            };
            let text = std::fs::read_to_string(&path).unwrap();
            // A table without a row has no header yet.
            let header: Vec<&str> =
                text.lines().next().unwrap_or("time").split(delimiter).collect();
            // What depends on the time that a run took.
            let timed = |column: &&str| ["seconds", "time", "check"].contains(column);
            let kept: Vec<bool> = header.iter().map(|column| !timed(column)).collect();
            let without = |line: &str| {
                let cells = line.split(delimiter).zip(&kept);
                cells.filter(|(_, kept)| **kept).map(|(cell, _)| cell).collect::<Vec<_>>().join(" ")
            };
            let name = path.strip_prefix(run).unwrap().display().to_string();
            tables.push((name, text.lines().map(without).collect::<Vec<_>>().join("\n")));
        }
    }
    tables.sort();
    tables
}

/// The files of adversarial images below `run/jobs` by name.
pub fn adversarial(run: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for model in std::fs::read_dir(run.join("jobs")).unwrap() {
        for file in std::fs::read_dir(model.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let name = path.strip_prefix(run).unwrap().display().to_string();
            if name.contains(".adversarial.") {
                files.push((name, std::fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

/// A suite over every kind of job, small enough for a second.
pub const SMALL_SUITE: &str = r#"
name = "small"
batch = 8

[[model]]
path = "bundled:digits-trades"

[[model]]
path = "bundled:digits-standard"

[[data]]
spec = "digits"
images = { first = 40 }

[[attack]]
attack = "pgd"
norm = "Linf"
eps = [0.05, 0.1]
parameters = { steps = 10 }

[[attack]]
attack = "cw-l2"
norm = "L2"
eps = [0.25, 0.5]
parameters = { max_iterations = 20, learning_rate = 0.1, initial_const = 0.1, binary_search_steps = 3 }

[[attack]]
attack = "patch-suite"
patch = "2x2"

[attack.parameters]
patch-search = { scan = 4, places = 4 }
roa = { steps = 5 }
patch-rs = { queries = 50 }

[[certificate]]
certificate = "cohen"
sigma = 0.25
n0 = 20
n = 100
radii = [0.0, 0.25]
"#;
