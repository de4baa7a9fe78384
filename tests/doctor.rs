//! `epsball doctor`: every arithmetic of the CPU computes what it should, and the table says so.
#![allow(clippy::unwrap_used)]

mod support;

use support::Sandbox;

#[test]
fn the_cpu_is_well_in_every_arithmetic() {
    let ran = Sandbox::new().run(&["doctor", "--device", "cpu"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    for name in ["epsball ", "processor ", "threads ", "vectors ", "bf16 "] {
        assert!(ran.stdout.lines().any(|line| line.starts_with(name)), "{name}: {}", ran.stdout);
    }
    let trials: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with("cpu ")).collect();
    assert_eq!(trials.len(), 2, "{}", ran.stdout);
    assert!(trials.iter().all(|line| line.ends_with("  ok")), "{trials:?}");
    // The CPU in f32 is what the others are compared with.
    assert!(trials[0].contains("f32") && trials[0].contains("0.0e0"), "{trials:?}");
    assert!(trials[1].contains("bf16") && !trials[1].contains("0.0e0"), "{trials:?}");
}

#[test]
fn what_was_found_is_also_json() {
    let ran = Sandbox::new().run(&["doctor", "--device", "cpu", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let trials = found["trials"].as_array().unwrap();
    assert_eq!(trials.len(), 2);
    assert!(trials.iter().all(|one| one["gflops"].as_f64().unwrap() > 0.0), "{found}");
    assert_eq!(found["facts"][0][0], "epsball");
}

#[test]
fn a_device_that_is_not_there_is_refused() {
    let ran = Sandbox::new().run(&["doctor", "--device", "cuda:700"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.starts_with("error: device cuda:700: "), "{}", ran.stderr);
}
