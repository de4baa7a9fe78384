//! A run that is killed, stopped or repeated ends with the same tables and images, bit by bit.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{BufRead, BufReader};
use std::process::Command;
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
    // EPSBALL_KILLS=100 for a long look.
    let trials = std::env::var("EPSBALL_KILLS").map_or(10, |number| number.parse().unwrap());
    for trial in 0..trials {
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

/// One job cannot be computed; the others are, and the exit code says so.
#[test]
fn a_failing_job_does_not_take_down_the_others() {
    let sandbox = Sandbox::new();
    let another = "[[attack]]\nattack = \"fgsm\"\nnorm = \"L2\"\neps = 1\n";
    sandbox.write("small.toml", format!("save_adversarial = true\n{SMALL_SUITE}\n{another}"));
    // Its images cannot be written.
    let images = "x/jobs/digits-trades/fgsm-l2-1.adversarial.safetensors/in-the-way";
    std::fs::create_dir_all(sandbox.path(images)).unwrap();
    let ran = sandbox.run(&["run", "small.toml", "-o", "x"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let list = "1 of 20 jobs failed:\ndigits-trades--fgsm-l2-1\nerror: ";
    assert!(ran.stderr.contains(list), "{}", ran.stderr);
    assert!(ran.stdout.contains("digits-standard"));
}

/// AutoAttack on a few images, killed and stopped by Ctrl-C in the middle of each of its attacks.
#[test]
fn autoattack_resumes_in_the_middle_of_any_of_its_attacks() {
    let sandbox = Sandbox::new();
    let run = |folder: &str| {
        let attack =
            "attack -m bundled:digits-trades -d digits:test -n 8 -a autoattack --norm Linf";
        let rest = format!("--eps 0.1 -b 4 -o {folder}");
        sandbox.command(&attack.split(' ').chain(rest.split(' ')).collect::<Vec<_>>())
    };
    assert!(run("whole").output().unwrap().status.success());
    let whole = tables(&sandbox.path("whole"));
    assert_eq!(whole.len(), 1);
    let trials = [("KILL", "apgd-ce"), ("INT", "apgd-t"), ("KILL", "fab-t"), ("KILL", "square")];
    for (signal, part) in trials {
        let folder = format!("{signal}-{part}");
        let mut child = run(&folder).env("EPSBALL_LOG", "epsball=debug").spawn().unwrap();
        // The second batch, so that there is something to go on behind.
        let begins = |line: &String| line.contains("begins") && line.contains(part);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        assert_eq!(lines.by_ref().filter(begins).take(2).count(), 2, "{part}");
        let mut kill = Command::new("kill");
        kill.arg(format!("-{signal}")).arg(child.id().to_string());
        assert!(kill.status().unwrap().success());
        lines.for_each(drop);
        let code = child.wait().unwrap().code();
        assert_eq!(code, if signal == "INT" { Some(130) } else { None }, "{part}");
        let stopped = tables(&sandbox.path(&folder));
        assert_ne!(stopped, whole, "{signal} in {part} came too late to test anything");
        assert!(run(&folder).output().unwrap().status.success());
        assert_eq!(tables(&sandbox.path(&folder)), whole, "{signal} in {part}");
    }
}

/// Randomized smoothing, stopped by Ctrl-C inside an image and then killed: no sample of the first part
/// is drawn again, and the rows are those of an unbroken run.
#[test]
fn smoothing_resumes_inside_an_image() {
    let sandbox = Sandbox::new();
    let run = |folder: &str| {
        let certify = "certify -m bundled:digits-trades -d digits:test -n 2 --sigma 0.25";
        let rest = format!("--n 60000 --batch 100 -o {folder}");
        sandbox.command(&certify.split(' ').chain(rest.split(' ')).collect::<Vec<_>>())
    };
    let started = Instant::now();
    assert!(run("whole").output().unwrap().status.success());
    let duration = started.elapsed();
    let whole = tables(&sandbox.path("whole"));
    assert_eq!(whole.len(), 1);
    let counts = |folder: &str| {
        let jobs = sandbox.path(folder).join("jobs/digits-trades");
        std::fs::read_dir(jobs).map_or(0, |files| {
            let name = |file: std::io::Result<std::fs::DirEntry>| file.unwrap().file_name();
            files.map(name).filter(|n| n.to_string_lossy().ends_with(".counts.toml")).count()
        })
    };
    let signalled = |folder: &str, signal: &str, after: Duration| {
        let mut child = run(folder).spawn().unwrap();
        std::thread::sleep(after);
        let mut kill = Command::new("kill");
        kill.arg(format!("-{signal}")).arg(child.id().to_string());
        assert!(kill.status().unwrap().success());
        child.wait().unwrap().code()
    };
    assert_eq!(signalled("broken", "INT", duration / 3), Some(130));
    assert_eq!(counts("broken"), 1, "the counts of the image under way");
    assert_ne!(tables(&sandbox.path("broken")), whole, "stopped too late to test anything");
    assert_eq!(signalled("broken", "KILL", duration / 4), None);
    assert_ne!(tables(&sandbox.path("broken")), whole, "killed too late to test anything");
    assert!(run("broken").output().unwrap().status.success());
    assert_eq!(tables(&sandbox.path("broken")), whole);
    assert_eq!(counts("broken"), 0, "nothing is under way");
}
