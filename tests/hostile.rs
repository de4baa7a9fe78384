//! Files that somebody made to do harm: few bytes that ask for much, and files that contradict themselves.
//! `scripts/hostile` has many more of them.
#![allow(clippy::unwrap_used)]

mod support;

use support::{Ran, Sandbox};

fn evaluated(sandbox: &Sandbox, model: &str, data: &str) -> Ran {
    sandbox.run(&["evaluate", "--model", model, "--data", data])
}

fn assert_refused(ran: &Ran, message: &str, hint: &str) {
    assert_eq!(ran.code, 2, "{}", ran.all());
    let line = |begin: &str| ran.stderr.lines().find(|line| line.starts_with(begin));
    assert!(line("error: ").unwrap_or_default().contains(message), "{message}: {}", ran.all());
    assert!(line("hint: ").unwrap_or_default().contains(hint), "{hint}: {}", ran.all());
    assert!(!ran.stderr.contains("panicked"), "{}", ran.all());
}

#[test]
fn model_files_that_contradict_themselves() {
    let sandbox = Sandbox::new();
    let write = |name: &str, card: &serde_json::Value| {
        let header = serde_json::json!({ "__metadata__": { "epsball": card.to_string() } });
        let header = header.to_string();
        let length = (header.len() as u64).to_le_bytes();
        sandbox.write(name, [&length[..], header.as_bytes()].concat());
    };
    let card = |architecture: &str| {
        serde_json::json!({
            "format_version": 1, "name": "n", "architecture": architecture, "input_shape": [1, 8, 8], "classes": 10,
        })
    };
    // A constant of two numbers that says it has 640.
    let weight = serde_json::json!({ "sides": [64, 10], "numbers": { "Floats": [1.0, 2.0] } });
    let node = |operator: &str, inputs: &[&str], output: &str, attributes: serde_json::Value| {
        serde_json::json!({
            "name": operator, "operator": operator, "inputs": inputs, "outputs": [output], "attributes": attributes,
        })
    };
    let none = || serde_json::json!({});
    let mut lying = card("onnx");
    lying["graph"] = serde_json::json!({
        "opset": 13,
        "inputs": [{ "name": "x", "kind": "Float", "sides": [{ "Known": 1 }, { "Known": 1 }, { "Known": 8 }, { "Known": 8 }] }],
        "outputs": ["y"],
        "nodes": [
            node("Constant", &[], "w", serde_json::json!({ "value": { "Constant": weight } })),
            node("Flatten", &["x"], "h", none()),
            node("MatMul", &["h", "w"], "y", none()),
        ],
    });
    write("lying.safetensors", &lying);
    write("unknown.safetensors", &card("digits-cmn"));
    for (name, message, hint) in [
        ("lying.safetensors", "whose sides are not those of its numbers", "convert"),
        ("unknown.safetensors", "unknown.safetensors: architecture: unknown", "`digits-cnn`"),
    ] {
        assert_refused(&evaluated(&sandbox, name, "digits"), message, hint);
    }
}

#[test]
#[cfg(unix)]
fn large_files_that_are_no_networks_are_not_read() {
    let sandbox = Sandbox::new();
    for name in ["net.safetensors", "net.pt", "net.onnx", "net.onnx.gz"] {
        let file = std::fs::File::create(sandbox.path(name)).unwrap();
        // It takes no room on the disk, and would take more memory than there is.
        file.set_len(1 << 40).unwrap();
        assert_refused(&evaluated(&sandbox, name, "digits"), name, "");
    }
}

#[test]
fn a_message_has_an_end() {
    let sandbox = Sandbox::new();
    let ran = evaluated(&sandbox, "bundled:digits-pgd", &format!("npy:{}", "a".repeat(100_000)));
    assert_refused(&ran, "characters ...]", "");
    assert!(ran.stderr.len() < 30_000, "{}", ran.stderr.len());
}

#[test]
fn what_is_wrong_in_a_suite_names_its_file() {
    let sandbox = Sandbox::new();
    let head = "name = \"x\"\n[[model]]\npath = \"bundled:digits-pgd\"\n";
    let rest =
        "[[data]]\nspec = \"digits\"\n[[attack]]\nattack = \"fgsm\"\nnorm = \"L2\"\neps = 1\n";
    for (text, message) in [
        (format!("batch = 0\n{head}{rest}"), "suite.toml: batch: 0 images at a time"),
        (format!("{head}{rest}label = 1979-05-27\n"), "label: a date stands where a text"),
        (format!("{head}{rest}label = \"../a\"\n"), "suite.toml: label: `../a` cannot be a name"),
        (format!("{head}data = \"x\"\n{rest}"), "suite.toml: data set of a model: unknown"),
    ] {
        sandbox.write("suite.toml", text);
        assert_refused(&sandbox.run(&["run", "suite.toml", "--dry-run"]), message, "");
    }
    // What the command said is not blamed on the file.
    sandbox.write("suite.toml", format!("{head}{rest}"));
    let ran = sandbox.run(&["run", "suite.toml", "--dry-run", "--batch", "0"]);
    assert_refused(&ran, "error: batch: 0 images at a time", "");
}
