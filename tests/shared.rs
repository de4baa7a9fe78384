//! One suite by several processes, in one folder or in shares: tables as those of one process, whatever was killed.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::File;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use epsball::rng::Stream;
use support::{SMALL_SUITE, Sandbox, tables};

/// Attacks and certificates of every kind that can be cut, beside a job that cannot.
const SUITE: &str = r#"
[[certificate]]
certificate = "ibp"
norm = "Linf"
eps = 0.02

[[certificate]]
certificate = "column-smoothing"
patch = "2x2"

[[attack]]
attack = "fast"
norm = "Linf"
eps = 0.02
models = ["digits-trades"]
parameters = { control = 0, escalate = false }
"#;

/// A sandbox with the suite, and the tables of one process.
fn whole() -> (Sandbox, Vec<(String, String)>) {
    let sandbox = Sandbox::new();
    sandbox.write("small.toml", format!("{SMALL_SUITE}{SUITE}"));
    let ran = sandbox.run(&["run", "small.toml", "-o", "whole"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let tables = tables(&sandbox.path("whole"));
    assert_eq!(tables.len(), 23);
    (sandbox, tables)
}

/// What the processes say on stderr.
const SAID: &str = "said.log";

/// A process that runs the suite in `folder` with one thread.
fn start(sandbox: &Sandbox, folder: &str, options: &[&str]) -> Child {
    let run = ["run", "small.toml", "-o", folder, "--threads", "1"];
    let mut command = sandbox.command(&[&run[..], options].concat());
    // Nobody reads while it runs; what all of them say is shown if one fails.
    let said = File::options().create(true).append(true).open(sandbox.path(SAID)).unwrap();
    command.stdout(Stdio::null()).stderr(said).spawn().unwrap()
}

/// Names below `folder` of what only processes under way need.
fn left_over(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.ends_with(".pieces") {
            names.extend(left_over(&path));
        } else if [".pieces", ".counts.toml", ".pending.csv"].iter().any(|end| name.ends_with(end))
        {
            names.push(name);
        }
    }
    names
}

/// Runs `processes` in one folder, each killed and started again at random until all are through undisturbed.
fn killed_until_done(sandbox: &Sandbox, folder: &str, processes: u64, trial: u64, seconds: f64) {
    let random = Stream::new(trial, "processes");
    let mut draws = 0..;
    let mut next = || random.draw(draws.next().unwrap(), 0).uniform_f64(0);
    let moment = |share: f64| Instant::now() + Duration::from_secs_f64(share * seconds);
    // A process, when it will be killed, and how often that is still to happen.
    let mut running: Vec<(Child, Instant, u64)> =
        (0..processes).map(|_| (start(sandbox, folder, &[]), moment(next()), 3)).collect();
    let deadline = Instant::now() + Duration::from_secs(120);
    while !running.is_empty() {
        assert!(Instant::now() < deadline, "trial {trial}: {} processes hang", running.len());
        running.retain_mut(|(child, at, kills)| {
            if let Some(status) = child.try_wait().unwrap() {
                let said = || std::fs::read_to_string(sandbox.path(SAID)).unwrap();
                assert!(status.success(), "trial {trial}: {status}\n{}", said());
                return false;
            }
            if *kills > 0 && Instant::now() >= *at {
                child.kill().unwrap();
                child.wait().unwrap();
                *kills -= 1;
                (*child, *at) = (start(sandbox, folder, &[]), moment(next()));
            }
            true
        });
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn four_processes_with_random_kills_leave_the_tables_of_one() {
    let (sandbox, whole) = whole();
    killed_until_done(&sandbox, "shared", 4, 0, 1.0);
    assert_eq!(tables(&sandbox.path("shared")), whole);
    assert_eq!(left_over(&sandbox.path("shared")), [""; 0]);
    let verified = sandbox.run(&["verify", "shared", "--files-only"]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}

/// `EPSBALL_PROCESSES` and `EPSBALL_TRIALS` say otherwise.
#[test]
#[ignore = "takes minutes"]
fn sixteen_processes_fifty_times() {
    let (sandbox, whole) = whole();
    let number = |name: &str, usual| std::env::var(name).map_or(usual, |n| n.parse().unwrap());
    for trial in 1..=number("EPSBALL_TRIALS", 50) {
        let folder = format!("shared-{trial}");
        killed_until_done(&sandbox, &folder, number("EPSBALL_PROCESSES", 16), trial, 8.0);
        assert_eq!(tables(&sandbox.path(&folder)), whole, "trial {trial}");
        assert_eq!(left_over(&sandbox.path(&folder)), [""; 0], "trial {trial}");
    }
}

#[test]
fn shares_in_one_folder_or_in_several_are_the_tables_of_one_process() {
    let (sandbox, whole) = whole();
    // In one folder, two at the same time and one behind them.
    let mut two =
        [start(&sandbox, "one", &["--shard", "1/3"]), start(&sandbox, "one", &["--shard", "3/3"])];
    assert!(two.iter_mut().all(|child| child.wait().unwrap().success()));
    assert_ne!(tables(&sandbox.path("one")), whole);
    assert!(start(&sandbox, "one", &["--shard", "2/3"]).wait().unwrap().success());
    assert_eq!(tables(&sandbox.path("one")), whole);
    assert_eq!(left_over(&sandbox.path("one")), [""; 0]);
    // In folders of their own.
    for share in ["1/2", "2/2"] {
        let folder = share.replace('/', "-of-");
        assert!(start(&sandbox, &folder, &["--shard", share]).wait().unwrap().success());
    }
    let merged = ["run", "small.toml", "-o", "merged", "--rows-of", "1-of-2", "2-of-2"];
    let merged = sandbox.run(&merged);
    assert_eq!(merged.code, 0, "{}", merged.stderr);
    assert_eq!(tables(&sandbox.path("merged")), whole);
    // Every row is the one of its share, with the time that it took there: nothing was computed again.
    let lines = |folder: &str| -> Vec<String> {
        let table = sandbox.path(folder).join("jobs/digits-trades/cw-l2.csv");
        std::fs::read_to_string(table).unwrap().lines().map(str::to_owned).collect()
    };
    let shares = [lines("1-of-2"), lines("2-of-2")].concat();
    assert_eq!(lines("merged").len(), 41);
    assert!(lines("merged").iter().all(|line| shares.contains(line)));
    let none = sandbox.run(&["run", "small.toml", "-o", "n", "--rows-of", "none"]);
    assert_eq!(none.code, 2, "{}", none.stderr);
    let seed = ["run", "small.toml", "-o", "s", "--seed", "7", "--rows-of", "1-of-2"];
    let other = sandbox.run(&seed);
    assert_eq!(other.code, 0, "bounds depend on no seed: {}", other.stderr);
}

#[test]
fn what_is_no_share_is_refused() {
    let sandbox = Sandbox::new();
    for (share, problem) in [
        ("0/4", "`0/4` is none: shares are counted from 1"),
        ("5/4", "`5/4` is behind the last share"),
        ("x", "`x` is not K/N"),
    ] {
        let ran = sandbox.run(&["run", "--shard", share]);
        assert_eq!(ran.code, 2);
        assert!(ran.stderr.contains(problem), "{}", ran.stderr);
    }
}
