//! What the program prints.
#![allow(clippy::unwrap_used)]

mod support;

use insta::assert_snapshot;
use support::{SMALL_SUITE, Sandbox};

#[test]
fn lists() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.run(&["list", "attacks"]).all());
    assert_snapshot!(sandbox.run(&["list", "architectures"]).all());
    assert_snapshot!(sandbox.run(&["list", "data"]).all());
}

#[test]
fn a_dry_run_names_the_jobs() {
    let sandbox = Sandbox::new();
    sandbox.write("small.toml", SMALL_SUITE);
    assert_snapshot!(sandbox.run(&["run", "small.toml", "--dry-run"]).all());
    assert!(!sandbox.path("results").exists());
}

#[test]
fn inspecting_a_model_shows_its_layers() {
    let sandbox = Sandbox::new();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/benchmarks/models/digits-trades.safetensors");
    assert_snapshot!(sandbox.run(&["inspect", model]).all());
}

#[test]
fn errors_come_with_a_hint() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&[
        "attack",
        "-m",
        "bundled:digits-pgd",
        "-d",
        "digits",
        "-a",
        "pdg",
        "--norm",
        "Linf",
        "--eps",
        "0.1",
    ]);
    assert_snapshot!(ran.all());
}

#[test]
fn json_goes_to_stdout_and_nothing_else_does() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&[
        "attack",
        "-m",
        "bundled:digits-pgd",
        "-d",
        "digits",
        "-a",
        "fgsm",
        "--norm",
        "Linf",
        "--eps",
        "0.1",
        "-n",
        "20",
        "--json",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    let summary: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(summary.get("format_version").is_some(), "{summary}");
    assert!(ran.stderr.contains("leaderboard.html"));
}

#[test]
fn a_checkpoint_becomes_a_model_file() {
    let sandbox = Sandbox::new();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/benchmarks/models/digits-pgd.safetensors");
    let tensors = candle_core::safetensors::load(model, &candle_core::Device::Cpu).unwrap();
    candle_core::safetensors::save(&tensors, sandbox.path("plain.safetensors")).unwrap();
    let ran = sandbox.run(&["convert", "plain.safetensors", "-o", "model.safetensors"]);
    assert_snapshot!(ran.all());
    let ran = sandbox.run(&[
        "attack",
        "-m",
        "model.safetensors",
        "-d",
        "digits",
        "-a",
        "fgsm",
        "--norm",
        "Linf",
        "--eps",
        "0.05",
        "-n",
        "10",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.all());
}
