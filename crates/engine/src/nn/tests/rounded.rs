//! Programs with convolutions in bf16: what is stored in it changes no bit, and results are as close to those of
//! f32 as the factors are.

use super::*;
use crate::ops::bf16::units;

/// 16 channels in, a norm and convolutions of every stride one behind the other and side by side, 5 logits; four
/// convolutions on the longest way.
fn network(relus: bool, make: &dyn Fn(&[usize], u32) -> Tensor) -> Program {
    let conv = |outputs: usize, inputs: usize, kernel: usize, stride: usize, draw: u32| {
        let bias = Some(make(&[outputs], draw + 1));
        let conv = Conv2d::new(make(&[outputs, inputs, kernel, kernel], draw), bias).unwrap();
        conv.padding(kernel / 2).stride(stride).layer()
    };
    let norm = |channels: usize, draw: u32| {
        Affine::new(make(&[channels], draw), make(&[channels], draw + 1)).layer()
    };
    let cut = || if relus { relu() } else { Layer::Identity };
    let layers = seq([
        norm(16, 58),
        cut(),
        conv(32, 16, 3, 1, 60),
        cut(),
        conv(48, 32, 3, 1, 62),
        norm(48, 64),
        cut(),
        sum([
            seq([conv(32, 48, 3, 2, 66), norm(32, 68), cut(), conv(32, 32, 3, 1, 70)]),
            conv(32, 48, 1, 2, 72),
        ]),
        global_avg_pool(),
        Linear::new(make(&[5, 32], 74), Some(make(&[5], 75))).layer(),
    ]);
    Program::new(&layers, Shape::of_image([9, 6], 16)).unwrap().fused()
}

fn narrow(shape: &[usize], draw: u32) -> Tensor {
    random(shape, draw).to_dtype(DType::F32).unwrap()
}

fn images() -> Tensor {
    narrow(&[3, 9, 6, 16], 80)
}

fn both(program: &Program, x: &Tensor, g: &Tensor) -> [Vec<f32>; 2] {
    let (y, kept) = program.save(x).unwrap();
    let gradient = program.pullback_once(kept, g).unwrap();
    [y, gradient].map(|t| t.flatten_all().unwrap().to_vec1().unwrap())
}

/// Types of the values that the steps make.
fn types(program: &Program, x: &Tensor) -> Vec<DType> {
    let mut values = vec![x.clone()];
    for step in program.steps() {
        let inputs: Vec<&Tensor> = step.inputs.iter().map(|input| &values[*input]).collect();
        values.push(step.op.forward(&inputs).unwrap());
    }
    values.iter().skip(1).map(Tensor::dtype).collect()
}

#[test]
fn storing_in_bf16_changes_no_bit() {
    let (program, x, g) = (network(true, &narrow), images(), narrow(&[3, 5], 81));
    for unit in units() {
        let (stored, wide) = (program.rounded(unit), program.rounded_only(unit));
        let halves = |program| types(program, &x).iter().filter(|t| **t == DType::BF16).count();
        assert_eq!([halves(&stored), halves(&wide)], [4, 0], "{}", stored.summary());
        assert_eq!(both(&stored, &x, &g), both(&wide, &x, &g), "{unit}");
        let f32s = both(&program, &x, &g);
        assert!(both(&stored, &x, &g).iter().zip(&f32s).all(|(a, b)| a != b), "{unit}");
    }
}

/// Two factors in bf16 make 2^-7 and a little of a term, a sum in f32 adds 2^-24 for each of its terms; what that
/// comes to behind several layers is bounded by the network of absolute values. Gradients too, where no
/// ReLU may fall on another side.
#[test]
fn results_are_as_close_to_those_of_f32_as_the_factors() {
    let absolute = |shape: &[usize], draw: u32| narrow(shape, draw).abs().unwrap();
    let (x, g) = (images(), narrow(&[3, 5], 81));
    let sizes = both(&network(false, &absolute), &x.abs().unwrap(), &g.abs().unwrap());
    let of_layer = 2_f64.powi(-7) + 2_f64.powi(-16) + 1000.0 * 2_f64.powi(-24);
    let bound = (1.0 + of_layer).powi(4) - 1.0;
    for (relus, readings) in [(true, 1), (false, 2)] {
        let program = network(relus, &narrow);
        let want = both(&program, &x, &g);
        for unit in units() {
            let got = both(&program.rounded(unit), &x, &g);
            for ((got, want), sizes) in got.iter().zip(&want).zip(&sizes).take(readings) {
                for ((got, want), size) in got.iter().zip(want).zip(sizes) {
                    let error = f64::from((got - want).abs());
                    assert!(error <= bound * f64::from(*size), "{unit}: {got}, not {want}, {size}");
                }
            }
        }
    }
}
