//! A graph that no nesting of sequences and branches gives, through all readings: cells with two predecessors
//! that cross, a value that three steps read and one reads twice, parts of one value that go different ways.

use super::*;

/// The graph for images of 6 channels and `[h, w]` pixels, with weights that `make` makes of a shape and a
/// number; smooth, or piecewise linear as bounds want it.
pub(crate) fn crossing(
    [h, w]: [usize; 2],
    smooth: bool,
    make: &dyn Fn(&[usize], u32) -> Tensor,
) -> Program {
    let conv = |outputs: usize, inputs: usize, kernel: usize, draw: u32| {
        let bias = Some(make(&[outputs], draw + 1));
        let conv = Conv2d::new(make(&[outputs, inputs, kernel, kernel], draw), bias).unwrap();
        Op::from(conv.padding(kernel / 2))
    };
    let activation = || if smooth { Op::from(Silu) } else { Op::from(Relu) };
    let mut to = Builder::new(Shape::of_image([h, w], 6));
    let mut push = |op: Op, inputs: &[Value]| to.push(op, inputs).unwrap();
    // Parts of the image, which is read as a whole as well.
    let low = push(Channels { first: 0, count: 3 }.into(), &[IMAGE]);
    let high = push(Channels { first: 2, count: 4 }.into(), &[IMAGE]);
    let a = push(conv(4, 3, 3, 40), &[low]);
    let b = push(conv(4, 4, 1, 42), &[high]);
    let b = push(activation(), &[b]);
    // Each of the two cells reads both predecessors and the first is read three times.
    let left = push(conv(4, 4, 3, 44), &[a]);
    let left = push(Sum.into(), &[left, b, a]);
    let crossed = push(conv(4, 4, 1, 46), &[b]);
    let right = push(Sum.into(), &[crossed, a, crossed]);
    // A fused pair, and a pair that is none because the value in between is read elsewhere.
    let norm = |draw| Op::from(Affine::new(make(&[4], draw), make(&[4], draw + 1)));
    let scaled = push(norm(48), &[left]);
    let cut = push(activation(), &[scaled]);
    let normed = push(conv(4, 4, 3, 50), &[right]);
    let normed = push(norm(52), &[normed]);
    let all = push(Concat.into(), &[cut, normed, scaled, IMAGE]);
    let last = push(conv(5, 18, 1, 54), &[all]);
    let gated = if smooth {
        let gates = push(GlobalAvgPool.into(), &[last]);
        push(Gate.into(), &[last, gates])
    } else {
        last
    };
    let pooled = push(GlobalAvgPool.into(), &[gated]);
    let logits = push(Linear::new(make(&[3, 5], 56), None).into(), &[pooled]);
    // Nothing reads this one.
    push(activation(), &[cut]);
    to.finish(logits).unwrap()
}

fn smooth() -> Program {
    crossing([4, 5], true, &random)
}

#[test]
fn forward_is_candles_and_gradients_are_finite_differences() {
    let (program, x) = (smooth(), random(&[2, 6, 4, 5], 1));
    for (name, program) in [
        ("plain", program.clone()),
        ("fused", program.fused()),
        ("joined", program.fused().joined()),
        ("apart", program.fused().relus_apart().unwrap()),
        ("padded", program.evenly_padded().unwrap()),
    ] {
        let want = program.reference(&x).unwrap();
        assert_close(name, &values(&forward(&program, &x)), &values(&want), 1e-12);
        let g = random(want.dims(), 2);
        let differences = by_differences(&program, &x, &g);
        assert_close(name, &gradient(&program, &x, &g), &differences, 1e-7);
        let x = Var::from_tensor(&x).unwrap();
        let y = (program.reference(x.as_tensor()).unwrap() * &g).unwrap();
        let grads = y.sum_all().unwrap().backward().unwrap();
        let want = values(grads.get(x.as_tensor()).unwrap());
        assert_close(name, &gradient(&program, x.as_tensor(), &g), &want, 1e-12);
    }
}

#[test]
fn only_values_with_one_reader_are_fused() {
    let program = crossing([4, 5], false, &random);
    let fused = program.fused();
    let (x, g) = (random(&[2, 6, 4, 5], 1), random(&[2, 3], 2));
    assert_close("logits", &values(&forward(&fused, &x)), &values(&forward(&program, &x)), 1e-12);
    assert_close("gradient", &gradient(&fused, &x, &g), &gradient(&program, &x, &g), 1e-12);
    let count = |of: fn(&Op) -> bool| fused.steps().iter().filter(|step| of(&step.op)).count();
    // The affine step that the concatenation reads beside its relu stays, and so does the relu.
    assert_eq!(count(|op| matches!(op, Op::Affine(_))), 1, "{}", fused.summary());
    assert_eq!(count(|op| matches!(op, Op::Relu(_))), 1, "{}", fused.summary());
    assert_eq!(program.steps().len() - fused.steps().len(), 2);
}

/// Two residual blocks, the first one with a convolution on both sides, `[N, 6, 5, 5]` to 3 logits.
fn residual_blocks() -> Layer {
    let padded = |o, i, k: usize| conv(o, i, [k, k]).padding(k / 2).layer();
    let norm = || Affine::new(random(&[8], 12), random(&[8], 13)).layer();
    let branch =
        |i| seq([padded(4, i, 1), relu(), padded(4, 4, 3), relu(), padded(8, 4, 1), norm()]);
    seq([
        sum([branch(6), seq([padded(8, 6, 1), norm()])]),
        relu(),
        sum([Layer::Identity, branch(8)]),
        sum([Layer::Identity, conv(8, 1, [3, 3]).groups(8).padding(1).layer()]),
        relu(),
        global_avg_pool(),
        Linear::new(random(&[3, 8], 17), Some(random(&[3], 18))).layer(),
    ])
}

#[test]
fn sums_become_part_of_convolutions_without_a_change_of_bits() {
    let x = random(&[2, 6, 5, 5], 1);
    let program = program(&residual_blocks(), &x);
    let (fused, joined) = (program.fused(), program.fused().joined());
    let text = joined.summary();
    assert!(
        !joined.steps().iter().any(|step| matches!(&*step.op, Op::Sum(_) | Op::Relu(_))),
        "{text}"
    );
    assert_eq!(text.matches(", sum, relu").count(), 2, "{text}");
    assert_eq!(joined.multiply_adds(), program.multiply_adds());
    let g = random(&[2, 3], 2);
    assert_close("joined", &gradient(&joined, &x, &g), &by_differences(&program, &x, &g), 1e-7);
    let want = program.reference(&x).unwrap();
    assert_close("joined", &values(&joined.reference(&x).unwrap()), &values(&want), 1e-12);
    assert_eq!(values(&forward(&joined, &x)), values(&forward(&fused, &x)));
    assert_eq!(gradient(&joined, &x, &g), gradient(&fused, &x, &g));
}

#[test]
fn gelus_become_part_of_convolutions_of_single_pixels_without_a_change_of_bits() {
    // More pixels than go together, in f32 and f64.
    for kind in [DType::F32, DType::F64] {
        let make = |shape: &[usize], draw| random(shape, draw).to_dtype(kind).unwrap();
        let conv = |o: usize, i: usize, k: usize| {
            Conv2d::new(make(&[o, i, k, k], 10), Some(make(&[o], 11)))
                .unwrap()
                .padding(k / 2)
                .layer()
        };
        let layers = seq([
            conv(12, 3, 3),
            sum([seq([conv(20, 12, 1), gelu(), conv(12, 20, 1)]), Layer::Identity]),
            gelu(),
            conv(12, 12, 3),
            gelu(),
            global_avg_pool(),
        ]);
        let x = make(&[3, 3, 11, 9], 1);
        let fused = program(&layers, &x).fused();
        let joined = fused.joined();
        let text = joined.summary();
        // The first one; the others come after a sum and after larger kernels.
        assert_eq!(text.matches("conv 1x1 12 -> 20, gelu").count(), 1, "{text}");
        assert_eq!(fused.steps().len() - joined.steps().len(), 2, "{text}");
        let x = nchw_to_nhwc(&x).unwrap();
        let numbers = |t: &Tensor| values(&t.to_dtype(DType::F64).unwrap());
        let run = |program: &Program| {
            let (y, kept) = program.save(&x).unwrap();
            assert_eq!(numbers(&program.forward(&x).unwrap()), numbers(&y));
            [numbers(&y), numbers(&program.pullback(&kept, &y).unwrap())]
        };
        assert_eq!(run(&joined), run(&fused), "{kind:?}");
    }
}

#[test]
fn what_nothing_reads_is_left_out_and_the_graph_is_printed() {
    let program = smooth();
    let text = program.summary();
    assert_eq!(program.output(), program.steps().len());
    assert_eq!(program.readers().iter().min(), Some(&1));
    assert_eq!(text.lines().count(), program.shapes().len());
    for line in ["channels 2 to 5 of 0", "sum of 6, 5 and 3", "sum of 8, 3 and 8"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(text.contains("gate of 15 and 16"), "{text}");
}

#[test]
fn a_program_is_a_layer_of_another() {
    let (inner, x) = (smooth(), random(&[2, 6, 4, 5], 1));
    let layer = Layer::from(inner.clone());
    let outer = program(&mean([layer.clone(), seq([layer, Scale(3.0).layer()])]), &x);
    let want: Vec<f64> = values(&forward(&inner, &x)).iter().map(|v| 2.0 * v).collect();
    assert_close("outer", &values(&forward(&outer, &x)), &want, 1e-12);
    // The weights are there once.
    let shared = |a: &Step, b: &Step| std::sync::Arc::ptr_eq(&a.op, &b.op);
    assert!(shared(&outer.steps()[2], &inner.steps()[2]));
    let other = Program::new(&Layer::from(inner), Shape::of_image([5, 4], 6)).unwrap_err();
    assert!(other.to_string().contains("takes 4x5x6, gets 5x4x6"), "{other}");
}

#[test]
fn what_does_not_fit_is_refused_when_it_is_built() {
    let mut to = Builder::new(Shape::of_image([4, 5], 6));
    let flat = to.push(Op::from(GlobalAvgPool), &[IMAGE]).unwrap();
    for (op, inputs) in [
        (Op::from(Sum), &[IMAGE, flat][..]),
        (Op::from(Concat), &[IMAGE, flat]),
        (Op::from(Stack), &[IMAGE, flat]),
        (Op::from(Gate), &[flat, IMAGE]),
        (Op::from(Gate), &[IMAGE]),
        (Op::from(Sum), &[]),
        (Op::from(Concat), &[]),
        (Op::from(Stack), &[]),
        (Op::from(Relu), &[]),
        (Op::from(Relu), &[IMAGE, IMAGE]),
        (Op::from(Relu), &[7]),
        (Op::from(Flatten), &[flat]),
        (Op::from(Channels { first: 4, count: 3 }), &[IMAGE]),
        (Op::from(Channels { first: usize::MAX, count: 2 }), &[IMAGE]),
    ] {
        let error = to.push(op, inputs).unwrap_err().to_string();
        assert!(error.starts_with("layer "), "{error}");
    }
    assert!(to.push(Op::from(Gate), &[IMAGE, flat]).is_ok());
    assert!(to.finish(9).is_err());
    let program = smooth();
    for shape in [&[2, 5, 4, 6][..], &[2, 120], &[6, 4, 5], &[2, 4, 5, 3]] {
        assert!(program.forward(&random(shape, 1)).is_err());
    }
    let (_, kept) = program.save(&random(&[1, 4, 5, 6], 1)).unwrap();
    assert!(program.fused().pullback(&kept, &random(&[1, 3], 2)).is_err());
}
