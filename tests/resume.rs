//! A run that is killed, stopped or repeated ends with the same tables and images, bit by bit.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use epsball::rng::Stream;
use support::{SMALL_SUITE, Sandbox, adversarial, tables};

#[test]
fn a_killed_run_resumes_to_the_same_tables() {
    let sandbox = Sandbox::new();
    sandbox.write("small.toml", format!("save_adversarial = true\n{SMALL_SUITE}"));
    let started = Instant::now();
    assert_eq!(sandbox.run(&["run", "small.toml", "-o", "whole"]).code, 0);
    let duration = started.elapsed().as_secs_f64();
    let whole = tables(&sandbox.path("whole"));
    assert_eq!(whole.len(), 18);
    let images = adversarial(&sandbox.path("whole"));
    assert_eq!(images.len(), 16);
    for trial in 0..10 {
        let folder = format!("killed-{trial}");
        let run = ["run", "small.toml", "-o", &folder];
        let moment = Stream::new(2, "kill").draw(trial, 0).uniform_f64(0) * duration;
        let mut child = sandbox.command(&run).spawn().unwrap();
        std::thread::sleep(Duration::from_secs_f64(moment));
        child.kill().unwrap();
        child.wait().unwrap();
        let resumed = sandbox.run(&run);
        assert_eq!(resumed.code, 0, "{}", resumed.stderr);
        assert_eq!(tables(&sandbox.path(&folder)), whole, "killed after {moment:.3} s");
        let same = adversarial(&sandbox.path(&folder)) == images;
        assert!(same, "images of a run killed after {moment:.3} s");
    }
}

#[test]
fn batch_size_and_threads_do_not_change_a_table() {
    let sandbox = Sandbox::new();
    sandbox.write("small.toml", SMALL_SUITE);
    assert_eq!(sandbox.run(&["run", "small.toml", "-o", "a"]).code, 0);
    let b = ["run", "small.toml", "-o", "b", "--batch", "7", "--threads", "1"];
    assert_eq!(sandbox.run(&b).code, 0);
    let c = ["run", "small.toml", "-o", "c", "--batch", "100", "--threads", "3"];
    assert_eq!(sandbox.run(&c).code, 0);
    let a = tables(&sandbox.path("a"));
    assert_eq!(tables(&sandbox.path("b")), a);
    assert_eq!(tables(&sandbox.path("c")), a);
}

#[test]
fn a_finished_run_is_not_computed_again() {
    let sandbox = Sandbox::new();
    sandbox.write("small.toml", SMALL_SUITE);
    assert_eq!(sandbox.run(&["run", "small.toml"]).code, 0);
    let table = sandbox.path("results/small/jobs/digits-trades/cw-l2.csv");
    let before = std::fs::read(&table).unwrap();
    let again = sandbox.run(&["run", "small.toml"]);
    assert_eq!(again.code, 0);
    assert_eq!(again.stderr.matches("already finished").count(), 18, "{}", again.stderr);
    assert_eq!(std::fs::read(&table).unwrap(), before, "timing columns included");
}

#[test]
fn a_folder_with_another_run_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("small.toml", SMALL_SUITE);
    assert_eq!(sandbox.run(&["run", "small.toml", "-o", "x"]).code, 0);
    let other = sandbox.run(&["run", "small.toml", "-o", "x", "--seed", "1"]);
    assert_eq!(other.code, 2);
    assert!(other.stderr.contains("run.toml: seed: the folder holds a run with other settings"));
}

/// One job cannot be computed; the others are, and the exit code says so.
#[test]
fn a_failing_job_does_not_take_down_the_others() {
    let sandbox = Sandbox::new();
    let impossible = "[[attack]]\nattack = \"fgsm\"\nnorm = \"L2\"\neps = 1\ngoal = \"10\"\n";
    sandbox.write("small.toml", format!("{SMALL_SUITE}\n{impossible}"));
    let ran = sandbox.run(&["run", "small.toml", "-o", "x"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let list =
        "2 of 20 jobs failed:\ndigits-trades--fgsm-l2-1\nerror: goal: class 10 does not exist";
    assert!(ran.stderr.contains(list), "{}", ran.stderr);
    assert!(ran.stdout.contains("digits-standard"));
}
