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
    // Gradients are compared with those of the CPU in f32, logits with another implementation.
    let columns = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (exact, rounded) = (columns(trials[0]), columns(trials[1]));
    assert_eq!((exact[1].as_str(), exact[3].as_str()), ("f32", "0.0e0"), "{trials:?}");
    assert!(exact[2].parse::<f64>().unwrap() < 1e-5, "{trials:?}");
    assert!(rounded[1] == "bf16" && rounded[2] != "0.0e0" && rounded[3] != "0.0e0", "{trials:?}");
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
