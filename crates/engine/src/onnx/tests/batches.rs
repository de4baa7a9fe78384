//! Where the images of a batch go, and what has to be refused because it mixes them; sides that only broadcasting,
//! vectors and padding show. Every network is small enough for its logits to be known.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Tensor};

use crate::onnx::graph::{Attribute, Constant, Graph, Input, Kind, Node, Side};
use crate::onnx::{Layout, Network, OnnxForm};

/// Nodes as text: `Slice x starts -> y`, with their attributes.
pub(super) type Nodes<'a> = &'a [(&'a str, &'a [(&'a str, Attribute)])];

pub(super) fn ints(numbers: &[i64]) -> Constant {
    Constant::ints(numbers.to_vec())
}

pub(super) fn floats(sides: &[usize], numbers: &[f32]) -> Constant {
    Constant::floats(sides, numbers.to_vec())
}

pub(super) fn list(numbers: &[i64]) -> Attribute {
    Attribute::Ints(numbers.to_vec())
}

/// A graph from `x` of these sides, the first of which is that of the batch if `images` is there, to the last
/// value that is made.
pub(super) fn network(
    images: Option<Side>,
    sides: &[usize],
    constants: &[(&str, Constant)],
    nodes: Nodes<'_>,
) -> crate::Result<Network> {
    let mut output = String::new();
    let node = |(text, attributes): &(&str, &[(&str, Attribute)])| {
        let (left, right) = text.split_once(" -> ").unwrap();
        let mut words = left.split(' ').map(String::from);
        let operator = words.next().unwrap();
        output = right.into();
        Node {
            name: operator.clone(),
            operator,
            inputs: words.collect(),
            outputs: vec![right.into()],
            attributes: attributes.iter().map(|(k, v)| ((*k).into(), v.clone())).collect(),
        }
    };
    let nodes = nodes.iter().map(node).collect();
    let known = sides.iter().map(|side| Side::Known(*side));
    let sides = Some(images.into_iter().chain(known).collect());
    let constants: BTreeMap<String, Arc<Constant>> =
        constants.iter().map(|(name, c)| ((*name).to_string(), Arc::new(c.clone()))).collect();
    let inputs = vec![Input { name: "x".into(), kind: Kind::Float, sides }];
    let promised = Vec::new();
    let graph = Graph { opset: 18, inputs, outputs: vec![output], promised, nodes, constants };
    graph.network(&OnnxForm { layout: Some(Layout::Nchw), ..OnnxForm::default() })
}

pub(super) fn any() -> Option<Side> {
    Some(Side::Free("N".into()))
}

fn three() -> Option<Side> {
    Some(Side::Known(3))
}

/// Logits of one image, whose numbers are in the order C, H, W, and the gradient of their sum.
pub(super) fn logits(network: &Network, image: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let [c, h, w] = network.image;
    let x = Tensor::from_slice(image, (1, c, h, w), &Device::Cpu).unwrap();
    let x = x.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap();
    let (z, kept) = network.program.save(&x).unwrap();
    let g = network.program.pullback(&kept, &z.ones_like().unwrap()).unwrap();
    let g = g.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
    let numbers = |t: Tensor| t.flatten_all().unwrap().to_vec1().unwrap();
    (numbers(z), numbers(g))
}

/// That the graph is refused because it mixes images.
pub(super) fn mixes(sides: &[usize], constants: &[(&str, Constant)], nodes: Nodes<'_>) {
    let error = network(any(), sides, constants, nodes).unwrap_err().to_string();
    assert!(error.contains("mixed"), "{error}");
}

#[test]
fn a_slice_keeps_all_images_or_is_refused() {
    let slice = |starts: &[i64], ends: &[i64], steps: &[i64]| {
        let constants =
            [("s", ints(starts)), ("e", ints(ends)), ("a", ints(&[0])), ("t", ints(steps))];
        network(
            any(),
            &[2, 1, 1],
            &constants,
            &[("Slice x s e a t -> y", &[]), ("Flatten y -> z", &[])],
        )
    };
    let all = slice(&[0], &[i64::MAX], &[1]).unwrap();
    assert_eq!(logits(&all, &[3.0, 4.0]).0, [3.0, 4.0]);
    // The first image, all but the last one, and the other way round.
    for (starts, ends, steps) in [(0, 1, 1), (0, -1, 1), (-1, i64::MIN, -1), (0, i64::MAX, 2)] {
        assert!(slice(&[starts], &[ends], &[steps]).is_err(), "{starts} to {ends} by {steps}");
    }
    let constants = [("s", ints(&[0])), ("a", ints(&[0]))];
    let to_the_count = network(
        any(),
        &[2, 1, 1],
        &constants,
        &[
            ("Shape x -> n", &[("end", Attribute::Int(1))]),
            ("Slice x s n a -> y", &[]),
            ("Flatten y -> z", &[]),
        ],
    );
    assert_eq!(logits(&to_the_count.unwrap(), &[3.0, 4.0]).0, [3.0, 4.0]);
}

#[test]
fn an_axis_of_one_place_before_the_batch_is_not_the_batch() {
    let turn = list(&[1, 0, 2, 3]);
    let mean: &[(&str, Attribute)] = &[("keepdims", Attribute::Int(0))];
    mixes(
        &[1, 2, 2],
        &[("one", ints(&[1]))],
        &[
            ("Transpose x -> y", &[("perm", turn.clone())]),
            ("Flatten y -> z", &[("axis", Attribute::Int(1))]),
            ("ReduceMean z one -> m", mean),
        ],
    );
    let three = ("three", ints(&[0, 1, 1]));
    mixes(
        &[1, 1, 2],
        &[three, ("one", ints(&[1]))],
        &[
            ("Transpose x -> y", &[("perm", turn)]),
            ("Gather y three -> z", &[("axis", Attribute::Int(3))]),
            ("ReduceMean z one -> m", mean),
        ],
    );
}

#[test]
fn norms_over_the_batch_are_refused() {
    let turn: &[(&str, Attribute)] = &[("perm", list(&[1, 0, 2, 3]))];
    mixes(
        &[1, 2, 2],
        &[],
        &[
            ("Transpose x -> y", turn),
            ("LRN y -> z", &[("size", Attribute::Int(3))]),
            ("Transpose z -> t", turn),
            ("Flatten t -> u", &[]),
        ],
    );
    let constants = [("w", floats(&[2], &[1.0; 2])), ("b", floats(&[2], &[0.0; 2]))];
    let turn: &[(&str, Attribute)] = &[("perm", list(&[2, 1, 0, 3]))];
    mixes(
        &[2, 1, 2],
        &constants,
        &[
            ("Transpose x -> y", turn),
            ("GroupNormalization y w b -> z", &[("num_groups", Attribute::Int(2))]),
            ("Transpose z -> t", turn),
            ("Flatten t -> u", &[]),
        ],
    );
}

#[test]
fn products_of_images_with_each_other_are_refused() {
    mixes(
        &[2, 1, 1],
        &[],
        &[
            ("Flatten x -> y", &[]),
            ("Einsum y y -> z", &[("equation", Attribute::Text("nc,mc->nm".into()))]),
        ],
    );
}

#[test]
fn a_constant_with_more_axes_leaves_the_batch_where_it_is() {
    let flat = ("Flatten x -> y", &[][..]);
    let shift = ("c", floats(&[3, 1, 2], &[0.0, 10.0, 20.0, 30.0, 40.0, 50.0]));
    let added = network(
        any(),
        &[2, 1, 1],
        &[shift],
        &[
            flat,
            ("Add y c -> z", &[]),
            ("Transpose z -> t", &[("perm", list(&[1, 0, 2]))]),
            ("Flatten t -> u", &[]),
        ],
    );
    let (z, g) = logits(&added.unwrap(), &[1.0, 2.0]);
    assert_eq!((z, g), (vec![1.0, 12.0, 21.0, 32.0, 41.0, 52.0], vec![3.0; 2]));
    // Four rows for as many images as there are.
    mixes(&[2, 1, 1], &[("c", floats(&[1, 4, 2], &[0.0; 8]))], &[flat, ("Add y c -> z", &[])]);
}

#[test]
fn one_power_for_all_numbers_may_add_axes() {
    for (power, wanted) in [(1.0, 3.0), (2.0, 9.0), (0.5, 3.0_f32.sqrt())] {
        let constants = [("p", floats(&[1; 5], &[power])), ("s", ints(&[-1, 1]))];
        let powers = network(
            any(),
            &[1, 1, 1],
            &constants,
            &[
                ("Pow x p -> y", &[]),
                ("Transpose y -> z", &[("perm", list(&[1, 0, 2, 3, 4]))]),
                ("Reshape z s -> t", &[]),
            ],
        );
        assert_eq!(logits(&powers.unwrap(), &[3.0]).0, [wanted]);
    }
}

#[test]
fn a_vector_times_a_matrix_is_a_vector() {
    let matrix = floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let constants = [("w", matrix), ("s", ints(&[-1]))];
    for (product, wanted) in [("MatMul v w -> y", [7.0, 10.0]), ("MatMul w v -> y", [5.0, 11.0])] {
        let twice = network(
            None,
            &[2, 1, 1],
            &constants,
            &[
                ("Reshape x s -> v", &[]),
                (product, &[]),
                ("Concat y y -> z", &[("axis", Attribute::Int(0))]),
            ],
        );
        let (z, _) = logits(&twice.unwrap(), &[1.0, 2.0]);
        assert_eq!(z, [wanted, wanted].concat(), "{product}");
    }
}

#[test]
fn the_number_of_images_in_shapes_of_the_file_is_one_here() {
    // -1 is what is left for three images, also where three divides the numbers of one.
    let image = [1.0, 2.0, 3.0];
    let rows = network(three(), &[3, 1, 1], &[("s", ints(&[3, -1]))], &[("Reshape x s -> y", &[])]);
    assert_eq!(logits(&rows.unwrap(), &image).0, image);
    // Images times channels in one axis, and back.
    let constants = [("s", ints(&[9, 1])), ("t", ints(&[3, 3]))];
    let there_and_back = network(
        three(),
        &[3, 1, 1],
        &constants,
        &[("Reshape x s -> y", &[]), ("Reshape y t -> z", &[])],
    );
    assert_eq!(logits(&there_and_back.unwrap(), &image).0, image);
    let expanded = network(
        three(),
        &[1, 1, 1],
        &[("s", ints(&[3, 2, 1, 1]))],
        &[("Expand x s -> y", &[]), ("Flatten y -> z", &[])],
    );
    assert_eq!(logits(&expanded.unwrap(), &[5.0]).0, [5.0, 5.0]);
    let sizes = ("s", ints(&[3, 1, 1, 2]));
    let resized = network(
        three(),
        &[1, 1, 1],
        &[sizes, ("none", floats(&[0], &[]))],
        &[("Resize x none none s -> y", &[]), ("Flatten y -> z", &[])],
    );
    assert_eq!(logits(&resized.unwrap(), &[5.0]).0, [5.0, 5.0]);
}

#[test]
fn constants_that_a_file_repeats_for_each_image_are_one_here() {
    let nodes: Nodes<'_> = &[
        ("Add x c -> y", &[]),
        ("Concat c y -> z", &[("axis", Attribute::Int(1))]),
        ("Flatten z -> t", &[]),
    ];
    let constant = |last: f32| floats(&[3, 1, 1, 2], &[1.0, 2.0, 1.0, 2.0, 1.0, last]);
    let token = network(three(), &[1, 1, 2], &[("c", constant(2.0))], nodes).unwrap();
    assert_eq!(logits(&token, &[10.0, 20.0]).0, [1.0, 2.0, 11.0, 22.0]);
    assert!(network(three(), &[1, 1, 2], &[("c", constant(3.0))], nodes).is_err());
}

#[test]
fn windows_may_reach_beyond_the_image() {
    let pool = |attributes: &[(&str, Attribute)]| {
        network(any(), &[1, 2, 2], &[], &[("MaxPool x -> y", attributes), ("Flatten y -> z", &[])])
    };
    let (kernel, strides) = (("kernel_shape", list(&[3, 3])), ("strides", list(&[2, 2])));
    let up = pool(&[kernel.clone(), strides.clone(), ("ceil_mode", Attribute::Int(1))]);
    assert_eq!(logits(&up.unwrap(), &[1.0, 4.0, 2.0, 3.0]).0, [4.0]);
    assert!(pool(&[kernel, strides]).is_err());
    let same = ("auto_pad", Attribute::Text("SAME_LOWER".into()));
    let kernel = ("kernel_shape", list(&[2, 2]));
    assert!(pool(&[kernel, same, ("dilations", list(&[2, 2]))]).is_err());
}

#[test]
fn windows_of_a_convolution_may_lie_in_the_padding() {
    let convolution = network(
        any(),
        &[1, 1, 2],
        &[("w", floats(&[1, 1, 1, 1], &[3.0]))],
        &[("Conv x w -> y", &[("pads", list(&[0, 2, 0, 2]))]), ("Flatten y -> z", &[])],
    );
    let (z, g) = logits(&convolution.unwrap(), &[1.0, 2.0]);
    assert_eq!((z, g), (vec![0.0, 0.0, 3.0, 6.0, 0.0, 0.0], vec![3.0; 2]));
}

#[test]
fn what_is_not_chosen_may_be_infinite_or_not_a_number() {
    let zero = ("zero", floats(&[], &[0.0]));
    let logarithm = network(
        any(),
        &[2, 1, 1],
        std::slice::from_ref(&zero),
        &[
            ("Flatten x -> y", &[]),
            ("Greater y zero -> positive", &[]),
            ("Log y -> log", &[]),
            ("Where positive log y -> z", &[]),
        ],
    );
    let (z, g) = logits(&logarithm.unwrap(), &[1.0, -2.0]);
    assert_eq!((z, g), (vec![0.0, -2.0], vec![1.0, 1.0]));
    // An infinite mask before a maximum, as attention has one before its softmax.
    let infinite = ("infinite", floats(&[], &[f32::NEG_INFINITY]));
    let axis = ("axis", ints(&[1]));
    let masked = network(
        any(),
        &[2, 1, 1],
        &[zero, infinite, axis],
        &[
            ("Flatten x -> y", &[]),
            ("Less y zero -> negative", &[]),
            ("Where negative y infinite -> z", &[]),
            ("ReduceMax z axis -> t", &[]),
        ],
    );
    let (z, g) = logits(&masked.unwrap(), &[5.0, -2.0]);
    assert_eq!((z, g), (vec![-2.0], vec![0.0, 1.0]));
    // A mask that the file knows.
    let bools = crate::onnx::graph::Numbers::Bools(vec![true, false]);
    let mask = ("mask", Constant { sides: vec![2], numbers: bools });
    let logarithm = network(
        any(),
        &[2, 1, 1],
        &[mask],
        &[("Flatten x -> y", &[]), ("Log y -> log", &[]), ("Where mask log y -> z", &[])],
    );
    let (z, g) = logits(&logarithm.unwrap(), &[1.0, -2.0]);
    assert_eq!((z, g), (vec![0.0, -2.0], vec![1.0, 1.0]));
}

#[test]
fn a_constant_may_be_cast_like_the_image() {
    let two = Constant::ints(vec![2]);
    let twice = network(
        any(),
        &[2, 1, 1],
        &[("two", two)],
        &[("CastLike two x -> factor", &[]), ("Mul x factor -> y", &[]), ("Flatten y -> z", &[])],
    );
    assert_eq!(logits(&twice.unwrap(), &[1.0, -2.0]).0, [2.0, -4.0]);
}

#[test]
fn matrices_of_their_own_for_each_image_are_refused() {
    let product: Nodes<'_> = &[("MatMul x w -> y", &[]), ("Flatten y -> z", &[])];
    let weights = |last: f32| floats(&[3, 1, 1, 1], &[2.0, 2.0, last]);
    mixes(&[1, 1, 1], &[("w", weights(2.0))], product);
    assert!(network(three(), &[1, 1, 1], &[("w", weights(4.0))], product).is_err());
    let same = network(three(), &[1, 1, 1], &[("w", weights(2.0))], product);
    assert_eq!(logits(&same.unwrap(), &[3.0]).0, [6.0]);
}

#[test]
fn images_whose_sides_are_exchanged_are_put_together() {
    // [[1, 2], [3, 4]] beside its transpose, one channel each, and as one image of two channels.
    let side_by_side = network(
        any(),
        &[1, 2, 2],
        &[],
        &[
            ("Transpose x -> y", &[("perm", list(&[0, 1, 3, 2]))]),
            ("Concat y x y -> z", &[("axis", Attribute::Int(2))]),
            ("Flatten z -> t", &[]),
        ],
    );
    let (z, g) = logits(&side_by_side.unwrap(), &[1.0, 2.0, 3.0, 4.0]);
    assert_eq!(z, [1.0, 3.0, 2.0, 4.0, 1.0, 2.0, 3.0, 4.0, 1.0, 3.0, 2.0, 4.0]);
    assert_eq!(g, [3.0; 4]);
}
