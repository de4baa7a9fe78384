//! Safety checks around an ensemble, from the network's file to the leaderboard, and what is left of
//! them when a run is resumed.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use epsball::model::{ModelCard, file};
use epsball::record::RunRecord;
use epsball::zoo;
use support::{Ran, Sandbox, tables};

/// A bundled network changed by `change`, with the declaration that it optimises in its forward.
fn network(sandbox: &Sandbox, name: &str, change: impl Fn(&str, &Tensor) -> Tensor) {
    let bundled =
        concat!(env!("CARGO_MANIFEST_DIR"), "/benchmarks/models/digits-standard.safetensors");
    let tensors = candle_core::safetensors::load(bundled, &Device::Cpu).unwrap();
    let tensors = tensors.into_iter().map(|(key, tensor)| (key.clone(), change(&key, &tensor)));
    let mut card = ModelCard::new(name, zoo::find("digits-cnn").unwrap());
    card.optimises_in_forward = true;
    let path = sandbox.path(&format!("{name}.safetensors"));
    file::save(&path, &tensors.collect(), &card).unwrap();
}

fn suite(model: &str, attacks: &str, eps: &str) -> String {
    format!(
        r#"
name = "checked"
batch = 5
save_adversarial = true

[[model]]
path = "{model}"

[[data]]
spec = "digits"
images = {{ first = 24 }}

[[attack]]
attack = "ensemble"
norm = "Linf"
eps = {eps}
parameters = {{ attacks = "{attacks}" }}
"#
    )
}

fn table(run: &Path) -> PathBuf {
    let folder = std::fs::read_dir(run.join("jobs")).unwrap().next().unwrap().unwrap().path();
    let mut files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().unwrap() == "csv").unwrap()
}

/// Every file of a run but those with times in them.
fn kept(run: &Path) -> (Vec<(String, String)>, Vec<Vec<u8>>) {
    let beside = ["checks.toml", "adversarial.safetensors"]
        .map(|ending| std::fs::read(table(run).with_extension(ending)).unwrap());
    (tables(run), beside.into())
}

fn count(ran: &Ran, what: &str) -> usize {
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stderr.matches(what).count()
}

#[test]
fn findings_survive_a_resumed_run() {
    let sandbox = Sandbox::new();
    // No activation is ever positive: the logits are the last bias, whatever the image.
    network(&sandbox, "dead", |key, tensor| match key.ends_with("bias") {
        true if tensor.elem_count() != 10 => (tensor - 1e4).unwrap(),
        _ => tensor.clone(),
    });
    let attacks = suite("dead.safetensors", "apgd-ce apgd-dlr", "[0.1, 0.2]");
    sandbox.write("suite.toml", attacks.replace("eps = [0.1, 0.2]", "eps = 0.1"));
    let run = ["run", "suite.toml", "-o", "run"];
    let first = sandbox.run(&run);
    let told = "warning: dead--ensemble-linf-0.1: zero gradients on ";
    assert_eq!(count(&first, told), 1, "{}", first.stderr);
    assert_eq!(count(&first, "optimisation inside the forward, as declared"), 1);
    assert!(first.stdout.contains("dead ‡"), "{}", first.stdout);
    let folder = sandbox.path("run");
    let whole = kept(&folder);
    let record = String::from_utf8(whole.1[0].clone()).unwrap();
    assert_eq!(record.matches("[[findings]]").count(), 3, "{record}");

    let table = table(&folder);
    let text = std::fs::read_to_string(&table).unwrap();
    let part = table.with_extension("adversarial.part");
    let images = table.with_extension("adversarial.safetensors");
    // As a kill in the middle of the run leaves it: rows of two batches, a torn row, images of three.
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let cut = |rows: usize| {
        // A table that is shorter than a finished job's was cut by somebody else, and refused.
        let mut record = RunRecord::read(&folder).unwrap();
        record.jobs[0].finished = false;
        record.write(&folder).unwrap();
        std::fs::write(&table, lines[..=rows].concat() + "11,3,").unwrap();
        let bytes = std::fs::read(&images).unwrap();
        std::fs::write(&part, &bytes[..bytes.len() - 24 - 4 * 64 * 9 + 100]).unwrap();
        std::fs::remove_file(&images).unwrap();
    };
    for rows in [10, 0] {
        cut(rows);
        let resumed = sandbox.run(&run);
        assert_eq!(count(&resumed, told), 1, "{}", resumed.stderr);
        assert_eq!(kept(&folder), whole, "resumed after {rows} rows");
    }
    // A finished run tells it again and changes nothing, nor does one whose record was lost.
    let again = sandbox.run(&run);
    assert_eq!((count(&again, told), count(&again, "already finished")), (1, 1));
    assert_eq!(kept(&folder), whole);
    std::fs::remove_file(table.with_extension("checks.toml")).unwrap();
    assert_eq!(count(&sandbox.run(&run), told), 1);
    assert_eq!(kept(&folder), whole);
    assert!(!part.exists());

    let board = sandbox.run(&["leaderboard", "run", "--format", "csv"]);
    assert!(board.stdout.contains("zero gradients on "), "{}", board.stdout);
    // The images are a data set.
    let images = format!("safetensors:{}", images.display());
    let model = "dead.safetensors";
    let attack = ["attack", "-m", model, "-d", &images, "-a", "fgsm", "--norm", "Linf"];
    let ran = sandbox.run(&[&attack[..], &["--eps", "0.1", "--save-adversarial"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let saved = "results/dead--ensemble-linf-0.1.adversarial/jobs/dead/fgsm-linf-0.1.adversarial.safetensors";
    assert!(sandbox.path(saved).exists());
    // The same folder takes another eps, without its images.
    sandbox.write("other.toml", attacks.replace("save_adversarial = true", ""));
    let other = sandbox.run(&["run", "other.toml", "-o", "run"]);
    assert_eq!((other.code, count(&other, "already finished")), (0, 1), "{}", other.stderr);
}

#[test]
fn a_warning_comes_once_per_network_and_square_is_recorded_once() {
    let sandbox = Sandbox::new();
    network(&sandbox, "plain", |_, tensor| tensor.clone());
    sandbox.write("suite.toml", suite("plain.safetensors", "fgsm square", "[0.14, 0.18]"));
    let run = ["run", "suite.toml", "-o", "run"];
    for _ in 0..2 {
        let ran = sandbox.run(&run);
        assert_eq!(count(&ran, "as declared. The network optimises"), 1, "{}", ran.stderr);
        assert_eq!(count(&ran, "warning: plain--ensemble-linf-0.14: square broke "), 1);
        assert_eq!(count(&ran, "warning: "), 2, "{}", ran.stderr);
        assert!(ran.stdout.contains("‡ plain: square broke "), "{}", ran.stdout);
        for eps in ["0.14", "0.18"] {
            let file = format!("run/jobs/plain/ensemble-linf-{eps}.checks.toml");
            let record = std::fs::read_to_string(sandbox.path(&file)).unwrap();
            assert_eq!(record.matches("check = \"square\"").count(), 1, "{record}");
        }
    }
}
