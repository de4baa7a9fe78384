//! A network of another framework, as a user has it: `tests/fixtures/onnx/gated.onnx` is what
//! `examples/export_onnx.py` writes.
#![allow(clippy::unwrap_used)]

mod support;

use support::{Sandbox, tables};

const GATED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/onnx/gated.onnx");

#[test]
fn an_onnx_file_and_what_it_is_converted_to_are_the_same_model() {
    let sandbox = Sandbox::new();
    std::fs::copy(GATED, sandbox.path("gated.onnx")).unwrap();
    let converted = sandbox.run(&["convert", "gated.onnx", "-o", "converted.safetensors"]);
    assert_eq!((converted.code, converted.stdout.as_str()), (0, ""), "{}", converted.all());
    for model in ["gated.onnx", "converted.safetensors"] {
        let ran = sandbox.run(&[
            "attack",
            "-m",
            model,
            "-d",
            "digits:test",
            "-n",
            "30",
            "-a",
            "pgd",
            "--norm",
            "Linf",
            "--eps",
            "0.1",
            "--set",
            "steps=5",
        ]);
        assert_eq!(ran.code, 0, "{}", ran.all());
    }
    // Everything but the time, row by row.
    let rows =
        |model: &str| tables(&sandbox.path(&format!("results/{model}--digits")))[0].1.clone();
    assert_eq!(rows("gated").lines().count(), 31);
    assert_eq!(rows("gated"), rows("converted"));
    // The squeeze-and-excitation gates are one operation each.
    let inspected = sandbox.run(&["inspect", "gated.onnx"]).stdout;
    assert_eq!(inspected.matches(" gate of ").count(), 2, "{inspected}");
    assert!(inspected.contains("input         [1, 8, 8] in [0, 1]"), "{inspected}");
}

#[test]
fn what_an_onnx_file_cannot_be_told_is_refused() {
    let sandbox = Sandbox::new();
    for (arguments, problem) in [
        (&["--arch", "cnn-a"][..], "an ONNX file holds its own graph"),
        (&["--mean", "0.5,0.5", "--std", "1,1"], "have to be 1 numbers each"),
        (&["--mean", "0.5", "--std", "0"], "std above 0"),
        (&["--mean", "nan", "--std", "1"], "std above 0"),
        (&["--input-shape", "3,8,8"], "does not fit input image of sides 1 x 8 x 8"),
        (&["--range", "0..7"], "is no range of pixels"),
        (&["--output-name", "scores"], "unknown output `scores`"),
    ] {
        let ran = sandbox.run(&[&["inspect", GATED], arguments].concat());
        assert_eq!(ran.code, 2, "{}", ran.all());
        assert!(ran.stderr.contains(problem) && ran.stderr.contains("hint: "), "{}", ran.stderr);
    }
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/benchmarks/models/digits-pgd.safetensors");
    let ran = sandbox.run(&["inspect", model, "--range", "0..255"]);
    assert!(ran.code == 2 && ran.stderr.contains("for ONNX files"), "{}", ran.all());
}

#[test]
fn saying_what_is_so_anyway_makes_no_other_network() {
    let sandbox = Sandbox::new();
    std::fs::copy(GATED, sandbox.path("gated.onnx")).unwrap();
    let attack = |more: &[&str]| {
        let plain = [
            "attack",
            "-m",
            "gated.onnx",
            "-d",
            "digits:test",
            "-n",
            "8",
            "-a",
            "fgsm",
            "--norm",
            "Linf",
            "--eps",
            "0.1",
        ];
        let ran = sandbox.run(&[&plain[..], more].concat());
        assert_eq!(ran.code, 0, "{}", ran.all());
        tables(&sandbox.path("results/gated--digits"))
    };
    let first = attack(&[]);
    let said = ["--input-layout", "nchw", "--input-shape", "1,8,8", "--range", "0..1"];
    assert_eq!(attack(&said), first);
    assert_eq!(attack(&["--mean", "0", "--std", "1", "--output-name", "logits"]), first);
}
