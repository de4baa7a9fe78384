//! Numbers that depend on how many images are in the batch: an exporter asks for the sides of the input, and what
//! it computes from them may only be the same for every image.

use super::batches::{Nodes, any, floats, ints, list, logits, mixes, network};
use crate::onnx::graph::{Attribute, Constant};

/// The number of images as a float, and what reads it.
fn counted(constants: &[(&str, Constant)], nodes: Nodes<'_>) {
    let end: &[(&str, Attribute)] = &[("end", Attribute::Int(1))];
    let float: &[(&str, Attribute)] = &[("to", Attribute::Int(1))];
    let all = [&[("Shape x -> n", end), ("Cast n -> f", float)], nodes].concat();
    mixes(&[2, 1, 1], constants, &all);
}

#[test]
fn weights_and_bounds_that_count_the_images_are_refused() {
    let weight = ("w", floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0]));
    counted(
        std::slice::from_ref(&weight),
        &[("Mul w f -> v", &[]), ("Flatten x -> y", &[]), ("MatMul y v -> z", &[])],
    );
    counted(
        &[weight, ("b", floats(&[2], &[1.0, 2.0]))],
        &[("Mul b f -> c", &[]), ("Flatten x -> y", &[]), ("Gemm y w c -> z", &[])],
    );
    counted(
        &[("zero", ints(&[0]))],
        &[
            ("Squeeze f zero -> most", &[]),
            ("Neg most -> least", &[]),
            ("Clip x least most -> y", &[]),
            ("Flatten y -> z", &[]),
        ],
    );
}

#[test]
fn places_that_count_the_images_are_refused() {
    let channel = ("channel", ints(&[1]));
    let one = ("one", ints(&[1]));
    let flat = ("Flatten y -> z", &[][..]);
    counted(
        &[channel.clone(), ("zero", ints(&[0]))],
        &[("Slice x zero n channel -> y", &[]), flat],
    );
    counted(
        std::slice::from_ref(&one),
        &[("Sub n one -> last", &[]), ("Gather x last -> y", &[("axis", Attribute::Int(1))]), flat],
    );
    counted(
        std::slice::from_ref(&one),
        &[
            ("Concat one n one one -> repeats", &[("axis", Attribute::Int(0))]),
            ("Tile x repeats -> y", &[]),
            flat,
        ],
    );
    counted(
        &[channel, one],
        &[
            ("ReduceMean x channel -> m", &[]),
            ("Concat one n one one -> sides", &[("axis", Attribute::Int(0))]),
            ("Expand m sides -> y", &[]),
            flat,
        ],
    );
}

#[test]
fn a_size_counts_the_images() {
    mixes(
        &[2, 1, 1],
        &[],
        &[
            ("Size x -> n", &[]),
            ("Cast n -> f", &[("to", Attribute::Int(1))]),
            ("Div x f -> y", &[]),
            ("Flatten y -> z", &[]),
        ],
    );
}

#[test]
fn what_is_repeated_for_each_image_is_not_refused() {
    let constants = [("rest", ints(&[2, 1, 1])), ("channel", ints(&[1]))];
    let expanded = network(
        any(),
        &[2, 1, 1],
        &constants,
        &[
            ("Shape x -> n", &[("end", Attribute::Int(1))]),
            ("ReduceMean x channel -> m", &[]),
            ("Concat n rest -> sides", &[("axis", Attribute::Int(0))]),
            ("Expand m sides -> y", &[]),
            ("Flatten y -> z", &[]),
        ],
    );
    assert_eq!(logits(&expanded.unwrap(), &[1.0, 3.0]).0, [2.0, 2.0]);
}

#[test]
fn the_summand_and_the_second_factor_of_gemm_may_come_from_the_image() {
    let weight = ("w", floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0]));
    let sum = network(
        any(),
        &[2, 1, 1],
        std::slice::from_ref(&weight),
        &[("Flatten x -> y", &[]), ("Gemm y w y -> z", &[("beta", Attribute::Float(10.0))])],
    );
    let (z, g) = logits(&sum.unwrap(), &[1.0, 2.0]);
    assert_eq!((z, g), (vec![17.0, 30.0], vec![13.0, 17.0]));
    let turned = network(
        any(),
        &[2, 1, 1],
        &[weight],
        &[
            ("Flatten x -> y", &[]),
            ("Gemm w y -> z", &[("transB", Attribute::Int(1))]),
            ("Transpose z -> t", &[("perm", list(&[1, 0]))]),
        ],
    );
    assert_eq!(logits(&turned.unwrap(), &[1.0, 2.0]).0, [5.0, 11.0]);
}
