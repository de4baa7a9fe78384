//! What the program prints.
#![allow(clippy::unwrap_used)]

mod support;

use insta::assert_snapshot;
use support::{SMALL_SUITE, Sandbox, tables};

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

/// Every certificate and noise, through to the board; the tables do not depend on batches.
#[test]
fn certificates_of_every_kind() {
    let sandbox = Sandbox::new();
    let smoothing = "[[certificate]]\ncertificate = \"cohen\"\nn0 = 20\nn = 100\n";
    let noises = [
        "sigma = 0.25\nnorm = \"Linf\"",
        "sigma = 0.25\nnoise = \"uniform\"",
        "sigma = 0.25\nnoise = \"laplace\"",
        "sigma = 0.25\nnoise = \"lattice\"\nparameters = { levels = 16 }",
        "noise = \"ablation\"\nparameters = { k = 20 }",
    ];
    let mut suite = String::from(
        r#"name = "proofs"

[[model]]
path = "bundled:digits-pgd"

[[data]]
spec = "digits"
images = { first = 20 }

[[certificate]]
certificate = "patchcleanser"
patch = ["2x2", "3x1", "20%"]
parameters = { k = 3 }

[[certificate]]
certificate = "column-smoothing"
patch = 2
parameters = { size = 4, threshold = 0.3 }

[[certificate]]
certificate = "row-smoothing"
patch = "12.5%x25%"

[[certificate]]
certificate = "block-smoothing"
patch = "1x1"
parameters = { size = 6, fill = 0.5 }
"#,
    );
    noises.iter().for_each(|noise| suite += &format!("{smoothing}{noise}\n"));
    sandbox.write("proofs.toml", &suite);
    assert_snapshot!(sandbox.run(&["run", "proofs.toml", "--dry-run"]).all());
    let ran = sandbox.run(&["run", "proofs.toml", "-o", "a"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    let again = sandbox.run(&["run", "proofs.toml", "-o", "b", "--batch", "7", "--threads", "1"]);
    assert_eq!(again.code, 0, "{}", again.all());
    let (a, b) = (tables(&sandbox.path("a")), tables(&sandbox.path("b")));
    assert_eq!(a, b);
    assert_eq!(a.len(), 11);
    let text = std::fs::read_to_string(sandbox.path("a/leaderboard.md")).unwrap();
    for threat in ["Linf", "L1", "L2", "L0", "patch 2x2"] {
        assert!(text.contains(&format!("certified {threat}")), "{threat}: {text}");
    }
}
