//! The 38 checkpoint files of the oracle with what an importer must do, and three published networks
//! against their safetensors copies.

use std::collections::BTreeMap;

use candle_core::DType;
use serde::Deserialize;

use super::super::read_set;
use super::*;

#[derive(Deserialize)]
struct Index {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    file: String,
    expect: String,
    select: Option<String>,
    #[serde(default)]
    strip_prefix: String,
    #[serde(default)]
    tensors: BTreeMap<String, Expected>,
    tensors_as_f32: Option<BTreeMap<String, Expected>>,
    #[serde(default)]
    alternatives: BTreeMap<String, BTreeMap<String, Expected>>,
}

#[derive(Deserialize)]
struct Expected {
    dtype: String,
    shape: Vec<usize>,
    sha256: String,
}

fn compare(file: &str, set: &WeightSet, expected: &BTreeMap<String, Expected>) {
    let names: Vec<_> = set.tensors.keys().collect();
    assert_eq!(names, expected.keys().collect::<Vec<_>>(), "{file}");
    for (name, expected) in expected {
        let tensor = &set.tensors[name];
        assert_eq!(tensor.dims(), expected.shape, "{file} {name}");
        let dtype = match tensor.dtype() {
            DType::F32 => "F32",
            DType::I64 => "I64",
            _ => "other",
        };
        assert_eq!(dtype, expected.dtype, "{file} {name}");
        assert_eq!(sha256(&bytes(tensor)), expected.sha256, "{file} {name}");
    }
}

/// Words that the message about each refused file must contain, and words it must not.
fn refusal(file: &str) -> &'static [&'static str] {
    match file {
        "full_module_pickle.pt" => {
            &["`__main__.TinyConvNet`", "nothing was executed", "state_dict"]
        }
        "malicious_reduce.pt" | "legacy_malicious_reduce.pt" => {
            &["`posix.system`", "nothing was executed", "do not open"]
        }
        "malicious_eval.pt" => &["`builtins.eval`", "nothing was executed"],
        "truncated_zip.pt" => &["zip directory", "interrupted download"],
        "truncated_legacy.pt" => &["storage", "interrupted download"],
        "bit_flip_in_storage.pt" => &["record data/8", "CRC-32", "download"],
        "html_page.pt" => &["web page", "download"],
        "empty.pt" => &["empty"],
        "missing_storage.pt" => &["record data/0", "missing"],
        "short_storage.pt" => &["`conv1.weight`", "record data/0", "past the end of its storage"],
        "not_a_checkpoint.zip.pt" => &["no record data.pkl"],
        "big_endian_mark.pt" => &["record byteorder", "`big`"],
        "list_top_level.pt" => &["no state dict found", "a list"],
        other => panic!("no words known for {other}"),
    }
}

#[test]
#[ignore = "needs the oracle files"]
fn every_file_has_the_outcome_of_the_index() {
    let folder = oracle("zoo/checkpoints");
    let index = std::fs::read(folder.join("index.json")).unwrap();
    let index: Index = serde_json::from_slice(&index).unwrap();
    assert_eq!(index.entries.len(), 38);
    for entry in &index.entries {
        let Entry { file, expect, .. } = entry;
        let path = folder.join(file);
        let outcome = read(&path);
        if expect == "refuse" {
            let error = words(&outcome.expect_err(file));
            for part in refusal(file).iter().chain([&file.as_str()]) {
                assert!(error.contains(part), "{file}: `{part}` is not in: {error}");
            }
            continue;
        }
        let checkpoint = outcome.unwrap_or_else(|error| panic!("{file}: {}", words(&error)));
        let set = chosen(&checkpoint);
        assert_eq!(set.name, entry.select.clone().unwrap_or_default(), "{file}");
        assert_eq!(set.stripped_prefix, entry.strip_prefix, "{file}");
        compare(file, set, entry.tensors_as_f32.as_ref().unwrap_or(&entry.tensors));
        assert_eq!(checkpoint.sets.len(), 1 + entry.alternatives.len(), "{file}");
        for (name, expected) in &entry.alternatives {
            compare(file, &read_set(&path, Some(name)).unwrap(), expected);
        }
        match expect.as_str() {
            "accept" | "accept_with_choice" | "accept_but_strict_load_fails" => {
                assert_eq!(set.warnings, Vec::<String>::new(), "{file}");
            }
            "accept_with_warning" => {
                assert_eq!(set.warnings, ["`fc.bias`: 2 of 10 values are not finite"], "{file}");
            }
            other => panic!("{file}: unknown expectation {other}"),
        }
    }
}

#[test]
#[ignore = "needs the oracle files"]
fn published_networks_equal_their_safetensors_copies() {
    for (pickle, prefix) in [
        ("models/akamaster_resnet20.th", "module."),
        ("models/abc_cifar_cnn_a_mix.model", ""),
        ("trades-mnist/model_mnist_smallcnn.pt", ""),
    ] {
        let set = read_set(&oracle(pickle), None).unwrap();
        let twin = read_set(&oracle(pickle).with_extension("safetensors"), None).unwrap();
        assert_eq!(set.stripped_prefix, prefix);
        assert_same(&set, &twin);
    }
}

#[test]
#[ignore = "needs the oracle files"]
fn networks_of_the_zoo_read_as_plain_safetensors() {
    let checkpoint = read(&oracle("zoo/tv_rn18_normalised.safetensors")).unwrap();
    let set = chosen(&checkpoint);
    assert_eq!((checkpoint.format, set.stripped_prefix.as_str()), ("safetensors", ""));
    assert_eq!(set.tensors["__logits"].dims()[0], 4);
}
