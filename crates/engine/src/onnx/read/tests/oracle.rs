//! Files of others: networks, operators, and the hostile ones with what must be said about each.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use super::super::{read_operator, read_tensor};
use super::*;

fn folder(name: &str) -> PathBuf {
    let root = std::env::var_os("EPSBALL_ORACLE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/oracle"),
        PathBuf::from,
    );
    root.join("onnx").join(name)
}

fn files(name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder(name)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// What must be said about a file that is refused here; nothing if that is for those who know operators.
fn refusal(name: &str) -> &'static [&'static str] {
    match name {
        "empty" => &["the file is empty"],
        "truncated_in_header" | "truncated_in_weights" => &["truncated: a length", "runs past"],
        "trailing_garbage" | "varint_too_long" => &["varint", "more than ten bytes"],
        "html_page" => &["not an ONNX file", "HTML page"],
        "lfs_pointer" => &["Git LFS pointer"],
        "wrong_wire_type_graph" => {
            &["field 7 (graph) has wire type varint instead of length-delimited"]
        }
        "group_wire_type" => &["deprecated group wire type"],
        "length_2_63" => &["9223372036854775807", "runs past the end of the file"],
        "empty_graph" => &["the graph is empty: no inputs, no outputs, no nodes"],
        "nested_2000_subgraphs" => &["subgraphs are nested too deeply"],
        "graph_twice" => &["two initializers"],
        "cycle" => &["cycle through node conv, relu"],
        "missing_initializer" => &["node fc", "takes `w2`, which nothing produces"],
        "missing_output" => &["graph output `nowhere` is produced by no node"],
        "duplicate_output_name" => &["`c1` is produced twice"],
        "initializer_shadows_node_output" => {
            &["`r1` is an initializer and the output of node relu"]
        }
        "two_inputs" => &["two inputs, image and mask: an image classifier has one"],
        "no_input" => &["node conv", "takes `image`, which nothing produces"],
        "output_ignores_input" => &["output does not depend on the input"],
        "opset_99" => &["opset 99 is newer than any known one"],
        "no_opset" => &["no opset_import"],
        "opset_5" => &["opset 5 is too old"],
        "ir_version_999" => &["ir_version 999"],
        "dims_lie_10_12" => {
            &["initializer w2", "[1000000, 1000000] are more than 268435456 numbers"]
        }
        "dims_overflow" => &["initializer w2", "the product of its dims", "overflows"],
        "dims_zero" => &["initializer w2 is empty"],
        "raw_data_short" => &["initializer w2", "40 elements of f32", "156 bytes are there"],
        "raw_and_typed_data" => &["initializer w2", "raw_data and float_data"],
        "unknown_data_type" => &["initializer w2", "data type 77"],
        "string_tensor" => &["initializer w2", "strings"],
        "nan_weights" => &["initializer w2", "values that are not finite"],
        "external_passwd" => &["external data ../../etc/passwd leaves the folder of the model"],
        "external_dotdot_inside" => &["external data", "leaves the folder of the model"],
        "external_missing" => &["not_there.bin", "missing"],
        "external_short" => &["external_short.bin ends before offset 0 + 160 bytes"],
        "external_negative_offset" => &["negative offset"],
        "external_no_location" => &["external data without a location"],
        "uint8_input" => &["input", "is uint8", "no gradient"],
        "recursive_function" => &["function my.Act calls itself"],
        _ => &[],
    }
}

#[test]
#[ignore = "needs the oracle files"]
fn hostile_files_are_refused_with_the_reason() {
    let (mut refusals, mut read_ones) = (0, 0);
    for path in files("hostile").iter().filter(|path| path.extension().is_some_and(|e| e == "onnx"))
    {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let start = Instant::now();
        let outcome = read(path, &fs::read(path).unwrap());
        assert!(start.elapsed().as_secs() < 2, "{name} takes {:?}", start.elapsed());
        match refusal(name) {
            [] => {
                assert!(outcome.is_ok(), "{name}: {}", outcome.unwrap_err());
                read_ones += 1;
            }
            words => {
                refused(outcome, words);
                refusals += 1;
            }
        }
    }
    assert_eq!((refusals, read_ones), (41, 32));
}

#[test]
#[ignore = "needs the oracle files"]
fn variants_of_the_control_are_the_control() {
    let hostile = folder("hostile");
    let control = read(&hostile, &fs::read(hostile.join("control_valid.onnx")).unwrap()).unwrap();
    for name in ["unknown_fields", "unsorted_nodes", "initializer_as_input_overridden"] {
        let path = hostile.join(format!("{name}.onnx"));
        assert_eq!(read(&path, &fs::read(&path).unwrap()).unwrap(), control, "{name}");
    }
}

#[test]
#[ignore = "needs the oracle files"]
fn networks_of_others_are_read() {
    let mut count = 0;
    for path in ["real", "made", "light"].into_iter().flat_map(files) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.ends_with(".onnx") || name.ends_with(".onnx.gz") {
            let graph = read(&path, &fs::read(&path).unwrap());
            let graph = graph.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!graph.nodes.is_empty(), "{name}");
            count += 1;
        }
    }
    assert_eq!(count, 93);
}

#[test]
#[ignore = "needs the oracle files"]
fn operators_of_others_are_read() {
    let mut refusals = Vec::new();
    for path in ["node", "node_old"].into_iter().flat_map(files) {
        let model = path.join("model.onnx");
        if let Err(error) = read_operator(&model, &fs::read(&model).unwrap()) {
            refusals.push(format!("{}: {error}", path.file_name().unwrap().display()));
        }
        for tensor in files(path.to_str().unwrap())
            .iter()
            .filter(|p| p.extension().is_some_and(|e| e == "pb"))
        {
            if let Err(error) = read_tensor(tensor, &fs::read(tensor).unwrap()) {
                refusals.push(format!("{error}"));
            }
        }
    }
    // Of 405; NaN are what one operator makes of zeros.
    for (words, count) in [("is too old", 60), ("not finite (NaN)", 3)] {
        let before = refusals.len();
        refusals.retain(|refusal| !refusal.contains(words));
        assert_eq!(before - refusals.len(), count, "{words}");
    }
    assert!(refusals.is_empty(), "{}", refusals.join("\n"));
}
