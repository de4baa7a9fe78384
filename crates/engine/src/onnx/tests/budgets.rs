//! A few bytes of a graph that ask for more memory or time than there is: refused before any of it is taken.

use super::batches::{Nodes, any, floats, ints, list, network};
use crate::onnx::graph::{Attribute, Constant, Side};

/// That the graph is refused, and with these words.
fn refused(sides: &[usize], constants: &[(&str, Constant)], nodes: Nodes<'_>, words: &str) {
    let error = network(any(), sides, constants, nodes).expect_err(words).to_string();
    assert!(error.contains(words), "`{words}` is not in: {error}");
}

#[test]
fn constants_that_are_computed_are_counted() {
    let end = ("Flatten y -> z", &[][..]);
    for (shape, words) in [(1 << 28, "is too large"), (1 << 24, "unpacks to more than")] {
        let adds = ("Add c0 c1 -> c2", &[][..]);
        let more = ("Add c2 c3 -> c4", &[][..]);
        let constants = [("s", ints(&[shape]))];
        let made = ["c0", "c1", "c3"].map(|name| format!("ConstantOfShape s -> {name}"));
        let [a, b, c] = made.each_ref().map(|text| (text.as_str(), &[][..]));
        let sum: &[(&str, Attribute)] = &[("keepdims", Attribute::Int(0))];
        let rest = [("ReduceSum c4 -> f", sum), ("Add x f -> y", &[][..]), end];
        refused(&[2, 1, 1], &constants, &[&[a, b, adds, c, more][..], &rest].concat(), words);
    }
    let constants = [
        ("a", floats(&[1 << 13, 1], &[0.0; 1 << 13])),
        ("b", floats(&[1, 1 << 13], &[0.0; 1 << 13])),
    ];
    refused(
        &[2, 1, 1],
        &constants,
        &[("Add a b -> c", &[]), ("Add x c -> y", &[]), end],
        "is too large",
    );
}

#[test]
fn places_are_counted_before_they_are_written_down() {
    let end = ("Flatten y -> z", &[][..]);
    let huge = [("s", ints(&[1, 1 << 40, 1, 1])), ("p", ints(&[0, 0, 1 << 27, 0, 0, 0, 0, 0]))];
    refused(&[1, 2, 2], &huge, &[("Expand x s -> y", &[]), end], "more than the");
    refused(&[1, 2, 2], &huge, &[("Pad x p -> y", &[]), end], "are absurd");
    let pads = list(&[1 << 19; 4]);
    for kernel in [1, 1 << 20] {
        let settings = [("kernel_shape", list(&[kernel; 2])), ("pads", pads.clone())];
        refused(&[1, 2, 2], &[], &[("AveragePool x -> y", &settings), end], "more than the");
    }
    let long = [("kernel_shape", list(&[1 << 19, 1])), ("pads", list(&[1 << 19, 0, 1 << 19, 0]))];
    refused(&[1, 2, 2], &[], &[("AveragePool x -> y", &long), end], "more than the");
    // A weight for each pair of channels.
    let kernel = floats(&[5000, 1, 1, 1], &[0.0; 5000]);
    let settings = [("size", Attribute::Int(5))];
    let nodes = [("Conv x k -> c", &[][..]), ("LRN c -> y", &settings), end];
    refused(&[1, 2, 2], &[("k", kernel)], &nodes, "more than the");
}

#[test]
fn a_weight_of_many_layers_is_not_copied_for_ever() {
    let texts: Vec<String> = (0..70).map(|i| format!("MatMul p{i} w -> p{}", i + 1)).collect();
    let mut nodes = vec![("Flatten x -> p0", &[][..])];
    nodes.extend(texts.iter().map(|text| (text.as_str(), &[][..])));
    let weight = floats(&[1024, 1024], &vec![0.0; 1 << 20]);
    refused(&[1, 32, 32], &[("w", weight.clone())], &nodes, "far more than it stores");
    assert!(network(any(), &[1, 32, 32], &[("w", weight)], &nodes[..8]).is_ok());
}

#[test]
fn a_batch_in_the_file_has_a_size() {
    let constants = [("s", ints(&[0])), ("e", ints(&[1 << 62])), ("a", ints(&[0]))];
    let nodes: Nodes<'_> = &[("Slice x s e a -> y", &[]), ("Flatten y -> z", &[])];
    let fixed = |images| network(Some(Side::Known(images)), &[2, 1, 1], &constants, nodes);
    assert!(fixed(3).is_ok());
    let error = fixed(1 << 40).unwrap_err().to_string();
    assert!(error.contains("wants 1099511627776 images at a time"), "{error}");
}

#[test]
fn an_image_has_a_size() {
    for sides in [[1 << 32, 1 << 32, 1 << 32], [3, 1 << 20, 1 << 20]] {
        refused(&sides, &[], &[("Flatten x -> z", &[])], "is no size of an image");
    }
}

#[test]
fn a_long_chain_behind_the_logits_is_walked_once() {
    let texts: Vec<String> = (0..20_000).map(|i| format!("Identity i{i} -> i{}", i + 1)).collect();
    let mut nodes = vec![("Flatten x -> i0", &[][..])];
    nodes.extend(texts.iter().map(|text| (text.as_str(), &[][..])));
    assert!(network(any(), &[2, 1, 1], &[], &nodes).is_ok());
}
