//! What the program prints.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashMap;

use candle_core::{Device, Tensor, Var};
use epsball::zoo;
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
fn the_catalogue_says_how_to_get_each_data_set() {
    let sandbox = Sandbox::new();
    let listed = sandbox.run(&["data", "list"]);
    assert_eq!(listed.code, 0, "{}", listed.all());
    assert!(listed.stdout.contains("\n  open     --data cifar-c:CIFAR-10-C,fog,3\n"));
    let json = sandbox.run(&["data", "list", "--json"]).stdout;
    let sets: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(sets.len(), listed.stdout.matches("\n  source ").count());
    assert!(sets.iter().all(|set| set["licence"].is_string() && set["prepare"].is_string()));
}

#[test]
fn a_dry_run_names_the_jobs() {
    let sandbox = Sandbox::new();
    sandbox.write("small.toml", SMALL_SUITE);
    let ran = sandbox.run(&["run", "small.toml", "--dry-run"]);
    // How long a pass takes is up to the machine.
    let shown = ran.all();
    let lines = shown.lines().map(|line| line.split(", ").next().unwrap());
    assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
    let timed = ran.stdout.lines().find(|line| line.starts_with("digits-trades--cw-l2\t")).unwrap();
    assert!(timed.contains("\t40 images\tat most 120 passes each, "), "{timed}");
    let ran = sandbox.run(&["run", "small.toml", "--dry-run", "--json"]);
    let costs: Vec<serde_json::Value> = serde_json::from_str(&ran.stdout).unwrap();
    let cw = costs.iter().find(|cost| cost["job"] == "digits-trades--cw-l2").unwrap();
    assert_eq!((cw["images"].as_u64(), cw["most_passes"].as_f64()), (Some(40), Some(120.0)));
    assert!(cw["most_seconds"].as_f64().unwrap() > 0.0);
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
fn an_ensemble_runs_like_a_network_and_memory_changes_nothing() {
    let sandbox = Sandbox::new();
    let run = |memory: &str, average: &str, output: &str| {
        let models = ["-m", "bundled:digits-pgd", "-m", "bundled:digits-trades"];
        let attack = ["-d", "digits", "-a", "fab", "--norm", "Linf", "--eps", "0.1", "-n", "20"];
        let options =
            ["--set", "n_iter=10", "--memory", memory, "--average", average, "-o", output];
        sandbox.run(&[&["attack"], &models[..], &attack[..], &options[..]].concat())
    };
    let finished = |memory: &str, average: &str, output: &str| {
        let ran = run(memory, average, output);
        assert_eq!(ran.code, 0, "{}", ran.all());
        assert!(ran.stdout.contains("digits-pgd+digits-trades"), "{}", ran.all());
        tables(&sandbox.path(output))
    };
    assert_eq!(finished("0", "logits", "nothing-kept"), finished("2", "logits", "kept"));
    assert!(!finished("2", "probabilities", "probabilities").is_empty());
    let other = run("2", "probabilities", "kept");
    assert_eq!(other.code, 2, "a run of another network is there: {}", other.all());
}

/// Random weights of a small network of this family, saved as a training run would, and what convert
/// says about them.
fn converted(sandbox: &Sandbox, family: &str, sizes: &[(&str, &str)], more: &[&str]) -> String {
    let architecture = zoo::find(family).unwrap();
    let mut plan = architecture.settings();
    for (name, value) in sizes {
        plan.parameters.insert((*name).into(), value.parse().unwrap());
    }
    let mut fresh = zoo::Fresh::new(0);
    architecture.program(&mut fresh, &plan).unwrap();
    let named = |(name, v): (&String, &Var)| (format!("module.{name}"), v.as_tensor().clone());
    let mut tensors: HashMap<String, Tensor> = fresh.variables.iter().map(named).collect();
    if family == "wide-resnet" {
        for (name, value) in [("mu", 0.25_f32), ("sigma", 0.5), ("sub_block1.layer.0.x", 1.0)] {
            let constant = Tensor::full(value, (1, 3, 1, 1), &Device::Cpu).unwrap();
            tensors.insert(format!("module.{name}"), constant);
        }
    }
    candle_core::safetensors::save(&tensors, sandbox.path("plain.safetensors")).unwrap();
    let mut arguments = vec!["convert", "plain.safetensors", "-o", "model.safetensors"];
    arguments.extend(more);
    let ran = sandbox.run(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.all());
    ran.stderr
}

#[test]
fn sizes_and_normalisation_come_from_the_checkpoint() {
    let sandbox = Sandbox::new();
    let sizes = [("depth", "10"), ("widen_factor", "1")];
    assert_eq!(
        converted(&sandbox, "wide-resnet", &sizes, &[]),
        "keys and shapes fit wide-resnet and no other architecture\n\
         wrote model.safetensors (wide-resnet, depth 10, widen_factor 1)\n"
    );
    let ran = sandbox.run(&["inspect", "model.safetensors"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    let normalise = "normalise mean [0.2500, 0.2500, 0.2500] std [0.5000, 0.5000, 0.5000]";
    assert!(ran.stdout.contains(normalise), "{}", ran.stdout);
}

#[test]
fn convert_says_what_it_is_not_sure_of() {
    let sandbox = Sandbox::new();
    let said = converted(&sandbox, "preact-resnet-18", &[("width", "4")], &[]);
    assert_eq!(said.matches("not sure: ").count(), 2, "{said}");
    assert!(said.contains("the raw input is assumed"), "{said}");
    assert!(said.contains("no input normalisation; none is assumed"), "{said}");
    let told = ["--parameter", "activated_shortcut=true", "--mean", "0.5,0.5,0.5", "--std=1,1,1"];
    let said = converted(&sandbox, "preact-resnet-18", &[("width", "4")], &told);
    assert!(!said.contains("not sure"), "{said}");
    assert!(said.contains("(preact-resnet-18, activated_shortcut true, width 4)"), "{said}");
}

/// The names and shapes of this network are the same with every activation.
#[test]
fn an_activation_is_doubted_until_it_is_named() {
    let sandbox = Sandbox::new();
    let sizes = [("depth", "10"), ("widen_factor", "1")];
    let said = converted(&sandbox, "dm-wide-resnet", &sizes, &[]);
    assert!(said.contains("silu is assumed, and --arch NAME:activation=VALUE says"), "{said}");
    let told = ["--arch", "dm-wide-resnet:activation=relu"];
    let said = converted(&sandbox, "dm-wide-resnet", &sizes, &told);
    assert!(!said.contains("activation is"), "{said}");
    assert!(said.contains("(dm-wide-resnet, activation relu, depth 10, widen_factor 1)"), "{said}");
    let inspect = |file, arch| sandbox.run(&["inspect", file, "--arch", arch]);
    let ran = inspect("plain.safetensors", "dm-wide-resnet:activation=gelu");
    assert!(ran.stdout.contains("parameter     activation gelu\n"), "{}", ran.all());
    assert!(ran.stdout.contains("gelu\n") && !ran.stdout.contains("silu"), "{}", ran.all());
    // The user's word goes before the card's.
    let ran = inspect("model.safetensors", "dm-wide-resnet:activation=silu");
    assert!(ran.stdout.contains("silu") && !ran.stdout.contains("relu"), "{}", ran.all());
    let ran = inspect("plain.safetensors", "dm-wide-resnet:activation=swish");
    assert_eq!(ran.code, 2, "{}", ran.all());
    assert!(
        ran.stderr.contains("activation: is swish, has to be one of relu, silu"),
        "{}",
        ran.all()
    );
}

#[test]
fn a_checkpoint_becomes_a_model_file() {
    let sandbox = Sandbox::new();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/benchmarks/models/digits-pgd.safetensors");
    let tensors = candle_core::safetensors::load(model, &Device::Cpu).unwrap();
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
        "sigma = 0.25\nmode = \"grid\"",
        "sigma = 0.25\nmode = \"radius\"\nradii = [0.25]",
        "sigma = 0.25\nmode = \"anytime\"\nparameters = { beta = 0.01, correction = \"bonferroni\" }",
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

[[certificate]]
certificate = "ibp"
norm = "Linf"
eps = [0.01, "8/255"]

[[certificate]]
certificate = "crown-ibp"
norm = "L2"
eps = 0.1
steps = 0
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
    assert_eq!(a.len(), 16);
    let text = std::fs::read_to_string(sandbox.path("a/leaderboard.md")).unwrap();
    for threat in ["Linf", "L1", "L2", "L0", "patch 2x2"] {
        assert!(text.contains(&format!("certified {threat}")), "{threat}: {text}");
    }
    let promise =
        "smoothing-0.25-anytime: any radius of the 20 images is too large with probability";
    assert!(text.contains(promise), "{text}");
    for threat in ["Linf 0.01", "Linf 8/255", "L2 0.1"] {
        assert!(text.contains(&format!("verified {threat}")), "{threat}: {text}");
    }
}

/// One search without a radius serves every eps; an ensemble of them says which part came closest.
#[test]
fn attacks_without_a_radius_run_once_for_every_eps() {
    const SUITE: &str = r#"
name = "distances"
[[model]]
path = "bundled:digits-trades"
[[data]]
spec = "digits"
images = { first = 20 }
[[attack]]
attack = "ddn"
norm = "L2"
eps = [0.5, 1, 1.5]
parameters = { steps = 30 }
[[attack]]
attack = "min-norm"
norm = "Linf"
eps = [0.1, 0.2]
parameters = { attacks = "fmn pdpgd", steps = 30 }
"#;
    let sandbox = Sandbox::new();
    let run = |suite: &str| {
        sandbox.write("suite.toml", suite);
        let ran = sandbox.run(&["run", "suite.toml", "-o", "out"]);
        assert_eq!(ran.code, 0, "{}", ran.all());
        ran
    };
    run(SUITE);
    let before = tables(&sandbox.path("out"));
    let mut parts = std::collections::BTreeSet::new();
    for (job, norm) in [("ddn-l2", "l2"), ("min-norm-linf", "linf")] {
        let path = sandbox.path(&format!("out/jobs/digits-trades/{job}.csv"));
        let table = std::fs::read_to_string(path).unwrap();
        let mut reader = csv::Reader::from_reader(table.as_bytes());
        let header = reader.headers().unwrap().clone();
        let column = |name: &str| header.iter().position(|one| one == name).unwrap();
        let (by, distance, length) = (column("by"), column("distance"), column(norm));
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 20, "{job}");
        for row in &rows {
            assert_eq!(row[distance], row[length]);
            assert!(row[distance].parse::<f64>().unwrap().is_finite(), "{job} {row:?}");
            parts.insert(row[by].to_owned());
        }
    }
    parts.remove("clean");
    assert!(parts.contains("ddn") && parts.len() > 1, "{parts:?}");
    assert!(parts.iter().all(|by| ["ddn", "fmn", "pdpgd"].contains(&by.as_str())), "{parts:?}");
    // Asked again for another eps, the same rows answer.
    let ran = run(&SUITE.replace("[0.1, 0.2]", "[0.05, 0.1, 0.2]"));
    assert!(ran.stdout.contains(" 0.05 "), "{}", ran.all());
    assert_eq!(tables(&sandbox.path("out")), before);
}
