//! What is written in many steps becomes the engine's own operation, if it is that and nothing else.

use super::*;

/// `[L, 1, 3 * heads * depth]` to attention as products of matrices, its scores times `factor`.
fn attention(heads: usize, depth: usize, length: usize, factor: f64) -> Program {
    let width = heads * depth;
    let mut builder = Builder::new(Shape::of_image([length, 1], 3 * width));
    let whole = 3 * width * length;
    let part = |which: usize, keys: bool| {
        let place = |h: usize, l: usize, d: usize| l * 3 * width + which * width + h * depth + d;
        let (shape, index): (Shape, Vec<u32>) = if keys {
            let at = |i: usize| place(i / (depth * length), i % length, i / length % depth);
            (
                Shape::of_image([heads, depth], length),
                (0..width * length).map(|i| at(i) as u32).collect(),
            )
        } else {
            let at = |i: usize| place(i / (length * depth), i / depth % length, i % depth);
            (
                Shape::of_image([heads, length], depth),
                (0..width * length).map(|i| at(i) as u32).collect(),
            )
        };
        Pick::new(whole, shape, index, 0.0).unwrap()
    };
    let push = |builder: &mut Builder, op: Op, inputs: &[usize]| builder.push(op, inputs).unwrap();
    let q = push(&mut builder, part(0, false).into(), &[IMAGE]);
    let q = push(&mut builder, Scale(factor).into(), &[q]);
    let k = push(&mut builder, part(1, true).into(), &[IMAGE]);
    let scores = push(&mut builder, MatMul.into(), &[q, k]);
    let weights = push(&mut builder, Softmax.into(), &[scores]);
    let v = push(&mut builder, part(2, false).into(), &[IMAGE]);
    let heads_apart = push(&mut builder, MatMul.into(), &[weights, v]);
    let at = |i: usize| (i / depth % heads * length + i / width) * depth + i % depth;
    let index = (0..width * length).map(|i| at(i) as u32).collect();
    let shape = Shape::of_image([length, 1], width);
    let together = Pick::new(width * length, shape, index, 0.0).unwrap();
    let out = push(&mut builder, together.into(), &[heads_apart]);
    builder.finish(out).unwrap()
}

fn names(program: &Program) -> Vec<String> {
    program.steps().iter().map(|step| step.op.describe()).collect()
}

/// Logits and gradients of both are the same within rounding.
fn same(a: &Program, b: &Program, shape: [usize; 4]) {
    let x = random(&shape, 0);
    let run = |program: &Program| {
        let (y, kept): (Tensor, _) = program.save(&x).unwrap();
        let g = program.pullback(&kept, &random(y.dims(), 1)).unwrap();
        [y, g].map(|t| t.flatten_all().unwrap().to_vec1::<f64>().unwrap())
    };
    for (a, b) in run(a).iter().zip(&run(b)) {
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}

#[test]
fn attention_is_one_step_and_nothing_else_is_taken_for_it() {
    let right = attention(2, 4, 5, 0.5);
    let recognised = right.recognised().unwrap();
    assert_eq!(names(&recognised), ["attention heads 2"]);
    same(&right, &recognised, [2, 5, 1, 24]);
    let other = attention(2, 4, 5, 0.4);
    assert!(names(&other.recognised().unwrap()).iter().all(|name| !name.starts_with("attention")));
    same(&other, &other.recognised().unwrap(), [2, 5, 1, 24]);
}

#[test]
fn gelu_and_silu_in_every_order() {
    let shape = Shape::of_image([2, 3], 4);
    let ones = |fill: f64| Tensor::full(fill, 4, &Device::Cpu).unwrap();
    for order in 0..4 {
        let mut builder = Builder::new(shape);
        let mut push = |op: Op, inputs: &[usize]| builder.push(op, inputs).unwrap();
        let half_first = order > 1;
        let x = if half_first { push(Scale(0.5).into(), &[IMAGE]) } else { IMAGE };
        let erf = push(Scale(std::f64::consts::FRAC_1_SQRT_2).into(), &[IMAGE]);
        let erf = push(Pointwise(Function::Erf).into(), &[erf]);
        let erf = push(Affine::new(ones(1.0), ones(1.0)).into(), &[erf]);
        let factors = if order % 2 == 0 { [x, erf] } else { [erf, x] };
        let mut out = push(Pairwise(Pairing::Product).into(), &factors);
        if !half_first {
            out = push(Scale(0.5).into(), &[out]);
        }
        let program = builder.finish(out).unwrap();
        let recognised = program.recognised().unwrap();
        assert_eq!(names(&recognised), ["gelu"], "{order}");
        same(&program, &recognised, [2, 2, 3, 4]);
    }
    let mut builder = Builder::new(shape);
    let gate = builder.push(Op::from(Sigmoid), &[IMAGE]).unwrap();
    let out = builder.push(Op::from(Pairwise(Pairing::Product)), &[gate, IMAGE]).unwrap();
    let program = builder.finish(out).unwrap();
    assert_eq!(names(&program.recognised().unwrap()), ["silu"]);
    same(&program, &program.recognised().unwrap(), [2, 2, 3, 4]);
}

#[test]
fn numbers_that_move_to_and_fro_stay() {
    let mut builder = Builder::new(Shape::of_image([2, 3], 4));
    // [2, 3, 4] to [4, 2, 3] and back, then a part of it, turned around.
    let to: Vec<u32> = (0..24).map(|i| (i % 6 * 4 + i / 6) as u32).collect();
    let back: Vec<u32> = (0..24).map(|i| (i % 4 * 6 + i / 4) as u32).collect();
    let pick = |index, shape| Op::from(Pick::new(24, shape, index, 0.0).unwrap());
    let there = builder.push(pick(to, Shape::of_image([4, 2], 3)), &[IMAGE]).unwrap();
    let again = builder.push(pick(back, Shape::of_image([2, 3], 4)), &[there]).unwrap();
    let part = builder.push(pick((0..12).collect(), Shape::Flat(12)), &[again]).unwrap();
    let turned = Pick::new(12, Shape::Flat(12), (0..12).rev().collect(), 0.0).unwrap();
    let out = builder.push(Op::from(turned), &[part]).unwrap();
    let program = builder.finish(out).unwrap();
    let recognised = program.recognised().unwrap();
    assert_eq!(recognised.steps().len(), 1);
    same(&program, &recognised, [2, 2, 3, 4]);
}

#[test]
fn layer_norm_is_one_step_if_it_is_along_the_channels_of_one_value() {
    let [rows, channels] = [6, 4];
    let shape = Shape::of_image([2, 3], channels);
    for (eps, other) in [(1e-5, false), (1e-3, false), (1e-5, true)] {
        let mut builder = Builder::new(shape);
        let mut push = |op: Op, inputs: &[usize]| builder.push(op, inputs).unwrap();
        let view = |height, width| Op::from(View(Shape::of_image([height, 1], width)));
        let spread = || {
            let index = (0..rows * channels).map(|i| (i / channels) as u32).collect();
            Op::from(Pick::new(rows, shape, index, 0.0).unwrap())
        };
        let mean = |push: &mut dyn FnMut(Op, &[usize]) -> usize, x: usize| {
            let seen = push(view(rows, channels), &[x]);
            push(Reduce(Reduction::Mean).into(), &[seen])
        };
        // The mean of another value makes something else of it.
        let from = if other { push(Silu.into(), &[IMAGE]) } else { IMAGE };
        let means = mean(&mut push, from);
        let means = push(spread(), &[means]);
        let centred = push(Pairwise(Pairing::Difference).into(), &[IMAGE, means]);
        let squares = push(Pointwise(Function::Power(2.0)).into(), &[centred]);
        let variance = mean(&mut push, squares);
        let flat = push(View(Shape::Flat(rows)).into(), &[variance]);
        let full = |fill: f64| Tensor::full(fill, rows, &Device::Cpu).unwrap();
        let sum = push(Affine::new(full(1.0), full(eps)).into(), &[flat]);
        let root = push(Pointwise(Function::Sqrt).into(), &[sum]);
        let root = push(spread(), &[root]);
        let out = push(Pairwise(Pairing::Quotient).into(), &[centred, root]);
        let program = builder.finish(out).unwrap();
        let recognised = program.recognised().unwrap();
        let norms = names(&recognised).iter().filter(|name| name.starts_with("layer norm")).count();
        assert_eq!((norms, recognised.steps().len() == 1), (usize::from(!other), !other));
        if other {
            same(&program, &recognised, [2, 2, 3, 4]);
        } else {
            let x = random(&[2, 2, 3, 4], 0);
            let single = |program: &Program| program.forward(&x).unwrap();
            let apart = (single(&program) - single(&recognised)).unwrap().abs().unwrap();
            assert!(values(&apart).iter().all(|apart| *apart < 1e-12));
        }
    }
}
