//! Bounds against what the f32 engine computes: random points, all corners, closed forms.

mod rounding;

use candle_core::{Device, Tensor};

use super::region::{L2Ball, LinfBall};
use super::*;
use crate::nn::tests::crossing;
use crate::nn::*;
use crate::rng::{Draw, Stream};

fn random(shape: &[usize], draw: u32) -> Tensor {
    let mut values = vec![0.0_f32; shape.iter().product()];
    Stream::new(2, "bounds test").draw(0, draw).normal(&mut values);
    let scale = (values.len() as f32 / shape[0] as f32).sqrt().recip();
    values.iter_mut().for_each(|v| *v *= scale);
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn conv(outputs: usize, inputs: usize, size: usize) -> Conv2d {
    let bias = random(&[outputs], 21);
    Conv2d::new(random(&[outputs, inputs, size, size], 20), Some(bias)).unwrap()
}

fn linear(outputs: usize, inputs: usize, draw: u32) -> Layer {
    Linear::new(random(&[outputs, inputs], draw), Some(random(&[outputs], draw + 1))).layer()
}

/// Networks from images `[H, W, C]` to a few logits, which together hold every layer with bounds.
fn networks() -> Vec<(&'static str, Program)> {
    let image = Shape::of_image([4, 4], 2);
    let positive = |t: Tensor| t.abs().unwrap();
    let ends = |layers: Vec<Layer>, width: usize| {
        seq([seq(layers), flatten(), linear(6, width, 30), relu(), linear(3, 6, 32)])
    };
    let index = (0..64).map(|i| if i % 9 == 4 { pick::NOTHING } else { i * 29 % 50 });
    let networks = vec![
        (
            "mlp",
            seq([flatten(), linear(8, 4, 1), relu(), linear(8, 8, 3), relu(), linear(3, 8, 5)]),
            Shape::of_image([2, 2], 1),
        ),
        (
            "cnn",
            ends(
                vec![
                    conv(4, 2, 3).padding(1).layer(),
                    relu(),
                    conv(3, 4, 2).stride(2).layer(),
                    relu(),
                ],
                12,
            ),
            image,
        ),
        (
            "normalised, with a norm and groups",
            ends(
                vec![
                    Normalise::new(random(&[2], 40), positive(random(&[2], 41))).layer(),
                    Conv2d::new(random(&[4, 1, 3, 3], 42), None)
                        .unwrap()
                        .groups(2)
                        .padding(1)
                        .layer(),
                    Affine::new(random(&[4], 43), random(&[4], 44)).layer(),
                    relu(),
                ],
                64,
            ),
            image,
        ),
        (
            "average pool",
            ends(vec![conv(4, 2, 3).padding(1).layer(), relu(), avg_pool(2, 2)], 16),
            image,
        ),
        (
            "max pool, padded before",
            ends(
                vec![PadPixels::all(1).layer(), conv(4, 2, 3).layer(), relu(), max_pool(2, 2)],
                16,
            ),
            image,
        ),
        (
            "max pool before relu",
            ends(vec![conv(4, 2, 3).padding(1).layer(), max_pool(3, 1), relu()], 16),
            image,
        ),
        (
            "residual, option A",
            seq([
                conv(4, 2, 3).padding(1).layer(),
                relu(),
                sum([
                    seq([
                        conv(6, 4, 3).padding(1).stride(2).layer(),
                        relu(),
                        conv(6, 6, 3).padding(1).layer(),
                    ]),
                    seq([Subsample(2).layer(), PadChannels { before: 1, after: 1 }.layer()]),
                ]),
                relu(),
                sum([conv(6, 6, 1).layer(), Layer::Identity, Layer::Identity]),
                global_avg_pool(),
                linear(3, 6, 50),
            ]),
            image,
        ),
        (
            "mean of branches",
            ends(vec![mean([conv(2, 2, 1).layer(), Layer::Identity, relu()]), relu()], 32),
            image,
        ),
        (
            "concat",
            ends(
                vec![
                    concat([
                        conv(3, 2, 3).padding(1).layer(),
                        Layer::Identity,
                        seq([conv(2, 2, 1).layer(), relu()]),
                    ]),
                    relu(),
                ],
                112,
            ),
            image,
        ),
        (
            "views, picks and means",
            ends(
                vec![
                    conv(4, 2, 3).padding(1).layer(),
                    relu(),
                    View(Shape::of_image([2, 8], 4)).layer(),
                    Pick::new(64, Shape::of_image([4, 4], 4), index.collect(), 0.3)
                        .unwrap()
                        .layer(),
                    conv(5, 4, 3).layer(),
                    relu(),
                    Reduce(Reduction::Mean).layer(),
                ],
                4,
            ),
            image,
        ),
    ];
    let program = |(name, layer, shape)| (name, Program::new(&layer, shape).unwrap());
    let mut all: Vec<_> = networks.into_iter().map(program).collect();
    all.push(("two cells that cross", crossing([4, 4], false, &random)));
    all
}

fn draw(number: u32) -> Draw {
    Stream::new(6, "bounds test").draw(1, number)
}

fn clean(shape: Shape) -> Vec<f32> {
    let mut image = vec![0.0; shape.len()];
    draw(0).uniform(&mut image);
    // Saturated pixels, so that the box matters.
    image.iter_mut().step_by(3).for_each(|v| *v = v.round());
    image
}

fn logits(program: &Program, images: Vec<f32>) -> Vec<Vec<f32>> {
    let count = images.len() / program.input().len();
    let x = Tensor::from_vec(images, program.input().batch(count), &Device::Cpu).unwrap();
    // What runs is the fused program.
    program.fused().forward(&x).unwrap().to_vec2().unwrap()
}

/// `count` points of the ball inside the box, most of them on its surface.
fn points(image: &[f32], eps: f64, l2: bool, count: usize) -> Vec<f32> {
    let mut all = Vec::with_capacity(count * image.len());
    for number in 0..count {
        let mut z = vec![0.0_f32; image.len()];
        draw(1 + number as u32).normal(&mut z);
        let norm = |v: &f32, n: f32| if l2 { n + v * v } else { n.max(v.abs()) };
        if !l2 && number % 2 == 0 {
            z.iter_mut().for_each(|v| *v = v.signum());
        }
        let length = z.iter().fold(0.0, |n, v| norm(v, n));
        let length = if l2 { length.sqrt() } else { length };
        // Inside, whatever f32 does.
        let scale = eps as f32 / length * (1.0 - 1e-5);
        all.extend(image.iter().zip(&z).map(|(x, z)| (x + scale * z).clamp(0.0, 1.0)));
    }
    all
}

fn region(image: &[f32], eps: f64, l2: bool) -> Box<dyn Region> {
    if l2 { Box::new(L2Ball::new(image, eps)) } else { Box::new(LinfBall::new(image, eps)) }
}

fn assert_holds(name: &str, bounds: &(Vec<f64>, Vec<f64>), margins: &[f64], z: &[f32]) {
    for (z, (l, u)) in z.iter().zip(bounds.0.iter().zip(&bounds.1)) {
        assert!((*l..=*u).contains(&f64::from(*z)), "{name}: {z} is not in {l}..{u}");
    }
    for (other, margin) in (1..).zip(margins) {
        let found = f64::from(z[0]) - f64::from(z[other]);
        assert!(*margin <= found, "{name}: margin {margin}, found {found}");
    }
}

#[test]
fn ten_thousand_points_of_the_ball_are_inside() {
    for (name, program) in networks() {
        let (bounder, shape) = (Bounder::new(&program).unwrap(), program.input());
        let image = clean(shape);
        for (eps, l2) in [(0.01, false), (0.1, false), (0.1, true), (0.6, true)] {
            let region = region(&image, eps, l2);
            let z = logits(&program, points(&image, eps, l2, 10_000 / 4));
            for method in Method::ALL {
                let name = format!("{name}, {} at {eps} {l2}", method.name());
                let bounds = bounder.logits(region.as_ref(), method).unwrap();
                let margins = bounder.margins(region.as_ref(), 0, method).unwrap();
                z.iter().for_each(|z| assert_holds(&name, &bounds, &margins, z));
            }
        }
    }
}

#[test]
fn all_corners_are_inside() {
    let (name, program) = networks().remove(0);
    let bounder = Bounder::new(&program).unwrap();
    for (number, eps) in (0..20).zip([0.01, 0.05, 0.2, 0.5, 1.0].into_iter().cycle()) {
        let mut image = vec![0.0; 4];
        draw(number).uniform(&mut image);
        let corners = (0..16).flat_map(|corner| {
            image.iter().enumerate().map(move |(i, x)| {
                let sign = if corner >> i & 1 == 1 { 1.0 } else { -1.0 };
                (x + sign * eps * (1.0 - 1e-6)).clamp(0.0, 1.0)
            })
        });
        let z = logits(&program, corners.collect());
        let region = LinfBall::new(&image, f64::from(eps));
        for method in Method::ALL {
            let bounds = bounder.logits(&region, method).unwrap();
            let margins = bounder.margins(&region, 0, method).unwrap();
            z.iter().for_each(|z| assert_holds(name, &bounds, &margins, z));
        }
    }
}

#[test]
fn a_linear_network_is_bounded_exactly() {
    // Two affine layers without a relu between them: W2 (W1 x + b1) + b2.
    let shape = Shape::of_image([2, 2], 1);
    let layers = seq([flatten(), linear(5, 4, 60), linear(3, 5, 62)]);
    let program = Program::new(&layers, shape).unwrap();
    let bounder = Bounder::new(&program).unwrap();
    let image = [0.5_f32, 0.45, 0.55, 0.5];
    let at = |x: &[f32]| logits(&program, x.to_vec()).remove(0).into_iter().map(f64::from);
    let origin: Vec<f64> = at(&[0.0; 4]).collect();
    let columns: Vec<Vec<f64>> = (0..4)
        .map(|i| {
            let mut unit = [0.0; 4];
            unit[i] = 1.0;
            at(&unit).zip(&origin).map(|(z, o)| z - o).collect()
        })
        .collect();
    let clean: Vec<f64> = at(&image).collect();
    let eps = 0.2;
    for l2 in [false, true] {
        let region = region(&image, eps, l2);
        for method in Method::ALL {
            let margins = bounder.margins(region.as_ref(), 0, method).unwrap();
            let bounds = bounder.logits(region.as_ref(), method).unwrap();
            for other in 1..3 {
                let a: Vec<f64> = columns.iter().map(|c| c[0] - c[other]).collect();
                let dual = match l2 {
                    true => a.iter().map(|a| a * a).sum::<f64>().sqrt(),
                    false => a.iter().map(|a| a.abs()).sum(),
                };
                let exact = clean[0] - clean[other] - eps * dual;
                let error = exact - margins[other - 1];
                // The columns come from the f32 engine, the slack is of that size too.
                assert!(error.abs() < 1e-5, "{method:?} {l2}: {} for {exact}", margins[other - 1]);
            }
            if method != Method::Ibp {
                let fall: f64 = match l2 {
                    true => columns.iter().map(|c| c[1] * c[1]).sum::<f64>().sqrt(),
                    false => columns.iter().map(|c| c[1].abs()).sum(),
                };
                assert!((bounds.0[1] - (clean[1] - eps * fall)).abs() < 1e-5);
                assert!((bounds.1[1] - (clean[1] + eps * fall)).abs() < 1e-5);
            }
        }
    }
}

#[test]
fn no_method_is_looser_than_intervals_and_a_larger_ball_is_no_safer() {
    for (name, program) in networks() {
        let (bounder, shape) = (Bounder::new(&program).unwrap(), program.input());
        let image = clean(shape);
        for l2 in [false, true] {
            let mut before = vec![f64::INFINITY; 2];
            for eps in [0.0, 0.003, 0.03, 0.1, 0.3] {
                let region = region(&image, eps, l2);
                let ibp = bounder.margins(region.as_ref(), 0, Method::Ibp).unwrap();
                for method in Method::ALL {
                    let margins = bounder.margins(region.as_ref(), 0, method).unwrap();
                    for (m, i) in margins.iter().zip(&ibp) {
                        assert!(*m >= i - 1e-9, "{name} {method:?} {eps}: {m} below {i}");
                    }
                }
                for (now, before) in ibp.iter().zip(&before) {
                    assert!(*now <= before + 1e-9, "{name} at {eps}");
                }
                before = ibp;
            }
        }
    }
}

#[test]
fn substitution_is_tighter_where_it_matters() {
    let (_, program) = networks().remove(1);
    let bounder = Bounder::new(&program).unwrap();
    let region = LinfBall::new(&clean(program.input()), 0.03);
    let least = |method| {
        bounder.margins(&region, 0, method).unwrap().into_iter().fold(f64::INFINITY, f64::min)
    };
    let [ibp, crown_ibp, fast_lin, crown] = Method::ALL.map(least);
    assert!(
        ibp < crown_ibp && crown_ibp < crown && ibp < fast_lin,
        "{ibp} {crown_ibp} {fast_lin} {crown}"
    );
}

#[test]
fn a_fused_program_has_the_same_bounds_within_rounding() {
    for (name, program) in networks() {
        let region = LinfBall::new(&clean(program.input()), 0.03);
        let of = |program: &Program| {
            Bounder::new(program).unwrap().logits(&region, Method::Crown).unwrap()
        };
        let (plain, fused) = (of(&program), of(&program.fused()));
        for (p, f) in plain.0.iter().chain(&plain.1).zip(fused.0.iter().chain(&fused.1)) {
            assert!((p - f).abs() < 1e-4, "{name}: {p} {f}");
        }
    }
}

#[test]
fn overflow_and_nan_prove_nothing() {
    let shape = Shape::of_image([1, 1], 2);
    for huge in [3e38_f32, f32::INFINITY, f32::NAN] {
        let weight = Tensor::new(&[[huge, huge], [1.0, -1.0]], &Device::Cpu).unwrap();
        let last = Tensor::new(&[[1.0_f32, 0.0], [-1.0, 0.0]], &Device::Cpu).unwrap();
        let layers = seq([
            flatten(),
            Linear::new(weight, None).layer(),
            relu(),
            Linear::new(last, None).layer(),
        ]);
        let bounder = Bounder::new(&Program::new(&layers, shape).unwrap()).unwrap();
        for method in Method::ALL {
            for l2 in [false, true] {
                let margins =
                    bounder.margins(region(&[0.5, 0.5], 0.1, l2).as_ref(), 0, method).unwrap();
                assert!(!margins.iter().any(|m| *m > 0.0), "{huge} {method:?}: {margins:?}");
            }
        }
    }
}

#[test]
fn a_layer_without_bounds_is_named() {
    let shape = Shape::of_image([2, 2], 1);
    let one = || Tensor::ones(1, candle_core::DType::F32, &Device::Cpu).unwrap();
    let without = [
        (silu(), "layer silu"),
        (sigmoid(), "layer sigmoid"),
        (seq([flatten(), softmax()]), "layer softmax"),
        (gate([global_avg_pool()]), "layer gate"),
        (MeanSparse::new(one(), one()).layer(), "layer mean sparse"),
    ];
    for (layer, name) in without {
        let error = Bounder::new(&Program::new(&layer, shape).unwrap()).unwrap_err();
        assert!(error.to_string().starts_with(name), "{error}");
        assert!(error.to_string().ends_with(": has no deterministic bounds"), "{error}");
        assert!(error.hint().is_some_and(|h| h.contains("smoothing")));
    }
    let program = Program::new(&seq([flatten(), linear(3, 4, 80)]), shape).unwrap();
    let bounder = Bounder::new(&program).unwrap();
    assert!(bounder.margins(&LinfBall::new(&[0.5; 5], 0.1), 0, Method::Ibp).is_err());
    assert!(bounder.margins(&LinfBall::new(&[0.5; 4], 0.1), 3, Method::Ibp).is_err());
    assert!("crwn".parse::<Method>().unwrap_err().hint().unwrap().contains("did you mean `crown`"));
}
