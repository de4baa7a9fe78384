//! Operations of networks that are not written for this crate: functions by their names, picks, reductions, products.

use super::*;

/// Functions that are defined everywhere, with their values and slopes at -2.5 and 0.7 as PyTorch 2.15 gives them
/// in f64.
fn functions() -> Vec<(Function, [f64; 4])> {
    use Function::*;
    let selu = Selu { alpha: 1.673_263_242_354_377_2, gamma: 1.050_700_987_355_480_5 };
    vec![
        (Abs, [2.5, -1.0, 0.7, 1.0]),
        (Neg, [2.5, -1.0, -0.7, -1.0]),
        (Exp, [0.0820849986238988, 0.0820849986238988, 2.0137527074704766, 2.0137527074704766]),
        (Tanh, [-0.9866142981514303, 0.02659222668316057, 0.6043677771171635, 0.6347395899824586]),
        (Erf, [-0.999593047982555, 0.00217828423035271, 0.6778011938374184, 0.6912748604105386]),
        (Sign, [-1.0, 0.0, 1.0, 0.0]),
        (Floor, [-3.0, 0.0, 0.0, 0.0]),
        (Ceil, [-2.0, 0.0, 1.0, 0.0]),
        (Round, [-2.0, 0.0, 1.0, 0.0]),
        (Sin, [-0.5984721441039565, -0.8011436155469337, 0.644217687237691, 0.7648421872844885]),
        (Cos, [-0.8011436155469337, 0.5984721441039565, 0.7648421872844885, -0.644217687237691]),
        (
            Softplus,
            [0.07888973429254963, 0.07585818002124356, 1.103186048885458, 0.6681877721681662],
        ),
        (
            Softsign,
            [-0.7142857142857143, 0.08163265306122447, 0.4117647058823529, 0.34602076124567477],
        ),
        (
            Mish,
            [-0.19681620390653337, -0.10974357275018566, 0.5611483776438518, 0.9687948682001859],
        ),
        (
            HardSwish,
            [-0.20833333333333334, -0.33333333333333337, 0.43166666666666664, 0.7333333333333333],
        ),
        (
            GeluTanh,
            [-0.015084266089998577, -0.03795157621266618, 0.5305701347051167, 0.976357218656104],
        ),
        (Clip { least: -0.5, most: 2.0 }, [-0.5, 0.0, 0.7, 1.0]),
        (LeakyRelu(0.1), [-0.25, 0.1, 0.7, 1.0]),
        (Elu(0.7), [-0.6425405009632709, 0.05745949903672916, 0.7, 1.0]),
        (Celu(0.7), [-0.6803190381757196, 0.028115659748972035, 0.7, 1.0]),
        (selu, [-1.6137857588732425, 0.1443135819741343, 0.7354906911488363, 1.0507009873554805]),
        (
            HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 },
            [0.08333333333333333, 1.0 / 6.0, 0.6166666666666667, 1.0 / 6.0],
        ),
        (Power(2.0), [6.25, -5.0, 0.48999999999999994, 1.4]),
        (Power(0.0), [1.0, 0.0, 1.0, 0.0]),
        (ThresholdedRelu(0.6), [0.0, 0.0, 0.7, 1.0]),
        (
            Swish(1.7),
            [-0.03515906760811369, -0.04486619906669889, 0.5367187449599798, 0.9795716177670698],
        ),
    ]
}

/// Those that are not, at 0.7.
fn functions_of_positive_numbers() -> Vec<(Function, [f64; 2])> {
    use Function::*;
    vec![
        (Log, [-0.35667494393873245, 1.4285714285714286]),
        (Sqrt, [0.8366600265340756, 0.5976143046671968]),
        (Reciprocal, [1.4285714285714286, -2.0408163265306123]),
        (Power(2.5), [0.409963413001697, 1.464155046434632]),
        (Power(-3.0), [2.9154518950437325, -12.49479383590171]),
    ]
}

fn pairwise(pairing: Pairing, branches: [Layer; 2]) -> Layer {
    Layer::Branches(std::sync::Arc::new(Pairwise(pairing).into()), branches.into())
}

fn pick(from: usize, to: Shape, step: usize) -> Layer {
    let place = |i: usize| (i * step + 11) % (from + 1);
    let index =
        (0..to.len()).map(|i| if place(i) == from { pick::NOTHING } else { place(i) as u32 });
    Pick::new(from, to, index.collect(), 0.3).unwrap().layer()
}

/// See [`super::layers`].
pub(super) fn layers() -> Vec<(&'static str, Layer, [usize; 4])> {
    let image = [2, 6, 7, 5];
    let name = |function: &Function| &*Op::from(Pointwise(*function)).describe().leak();
    let mut all: Vec<_> = functions()
        .iter()
        .map(|(function, _)| (name(function), Pointwise(*function).layer(), image))
        .collect();
    all.extend(functions_of_positive_numbers().iter().map(|(function, _)| {
        (name(function), seq([sigmoid(), Pointwise(*function).layer()]), image)
    }));
    all.extend(reductions().map(|reduction| {
        let reduce = Op::from(Reduce(reduction));
        (&*reduce.describe().leak(), reduce.into(), image)
    }));
    let view = |h, w, c| View(Shape::of_image([h, w], c)).layer();
    let factors = [Layer::Identity, seq([silu(), view(7, 6, 5)])];
    let mat_mul = Layer::Branches(std::sync::Arc::new(MatMul.into()), factors.into());
    let others = [
        ("view", view(6, 5, 7)),
        ("views through a vector", seq([View(Shape::Flat(210)).layer(), relu(), view(3, 7, 10)])),
        ("pick", pick(210, Shape::of_image([4, 9], 7), 37)),
        ("pick runs", pick(210, Shape::of_image([4, 9], 7), 1)),
        (
            "picks through a vector",
            seq([pick(210, Shape::Flat(100), 5), relu(), pick(100, Shape::of_image([4, 9], 7), 3)]),
        ),
        ("product", pairwise(Pairing::Product, [Layer::Identity, sigmoid()])),
        ("quotient", pairwise(Pairing::Quotient, [Layer::Identity, sigmoid()])),
        ("larger", pairwise(Pairing::Larger, [Layer::Identity, Scale(-2.0).layer()])),
        ("smaller", pairwise(Pairing::Smaller, [Scale(0.5).layer(), Layer::Identity])),
        ("power", pairwise(Pairing::Power, [sigmoid(), Layer::Identity])),
        ("difference", pairwise(Pairing::Difference, [Layer::Identity, sigmoid()])),
        ("masked", pairwise(Pairing::Masked, [sigmoid(), relu()])),
        ("mean of a vector", seq([global_avg_pool(), Reduce(Reduction::Mean).layer()])),
        ("L2 norm of a vector", seq([global_avg_pool(), Reduce(Reduction::L2).layer()])),
        ("softmax of channels", softmax()),
        ("log softmax of channels", LogSoftmax.layer()),
        ("log softmax", seq([global_avg_pool(), LogSoftmax.layer()])),
        ("matrix product", mat_mul),
    ];
    all.extend(others.map(|(name, layer)| (name, layer, image)));
    all
}

fn reductions() -> [Reduction; 8] {
    use Reduction::*;
    [Sum, Mean, Max, Min, L1, L2, LogSumExp, Product]
}

fn assert_near(what: &str, got: f64, want: f64, tolerance: f64) {
    let near = (got - want).abs() <= tolerance * want.abs().max(1.0);
    assert!(near, "{what}: {got} instead of {want}");
}

#[test]
fn functions_are_those_of_published_frameworks() {
    for (function, [value, slope, other_value, other_slope]) in functions() {
        let name = format!("{function:?}");
        assert_near(&name, function.value(-2.5), value, 1e-14);
        assert_near(&name, function.slope(-2.5), slope, 1e-14);
        assert_near(&name, function.value(0.7), other_value, 1e-14);
        assert_near(&name, function.slope(0.7), other_slope, 1e-14);
    }
    for (function, [value, slope]) in functions_of_positive_numbers() {
        let name = format!("{function:?}");
        assert_near(&name, function.value(0.7), value, 1e-14);
        assert_near(&name, function.slope(0.7), slope, 1e-14);
    }
}

#[test]
fn slopes_are_the_differences_of_values_and_nan_stays_nan() {
    let everywhere = functions().into_iter().map(|(function, _)| (function, -4.03));
    let positive = functions_of_positive_numbers().into_iter().map(|(f, _)| (f, 0.17));
    for (function, least) in everywhere.chain(positive) {
        for i in 0..80 {
            let (x, h) = (least + 0.1 * f64::from(i), 1e-5);
            let want = (function.value(x + h) - function.value(x - h)) / (2.0 * h);
            assert_near(&format!("{function:?} at {x}"), function.slope(x), want, 2e-8);
        }
        let constant = function == Function::Power(0.0);
        assert!(constant || function.value(f64::NAN).is_nan(), "{function:?}");
    }
}

/// As PyTorch's autograd gives them, but for roots.
#[test]
fn where_there_is_no_derivative_it_is_that_of_pytorch() {
    use Function::*;
    let clip = Clip { least: -0.5, most: 2.0 };
    let hard = HardSigmoid { alpha: 0.5, beta: 0.5 };
    for (function, x, slope) in [
        (Abs, 0.0, 0.0),
        (clip, -0.5, 0.0),
        (clip, 2.0, 0.0),
        (Clip { least: 0.0, most: f64::INFINITY }, 0.0, 1.0),
        (LeakyRelu(0.1), 0.0, 0.1),
        (Elu(0.7), 0.0, 0.7),
        (Celu(0.7), 0.0, 1.0),
        (Selu { alpha: 2.0, gamma: 3.0 }, 0.0, 6.0),
        (hard, -1.0, 0.0),
        (hard, 1.0, 0.0),
        (HardSwish, -3.0, 0.0),
        (HardSwish, 3.0, 1.0),
        (ThresholdedRelu(0.6), 0.6, 0.0),
        (Power(0.0), 0.0, 0.0),
        (Power(2.0), 0.0, 0.0),
    ] {
        assert_eq!(function.slope(x), slope, "{function:?} at {x}");
    }
    for (function, x, value) in [
        (Softplus, 1000.0, 1000.0),
        (Softplus, -1000.0, 0.0),
        (Mish, 1000.0, 1000.0),
        (Elu(1.0), 1000.0, 1000.0),
        (Round, 2.5, 2.0),
        (Round, -1.5, -2.0),
        (Sign, 0.0, 0.0),
        (Power(3.0), -2.0, -8.0),
        (Power(5.0), -2.0, -32.0),
    ] {
        assert_eq!(function.value(x), value, "{function:?} at {x}");
    }
}

fn row(numbers: &[f64]) -> Tensor {
    Tensor::from_slice(numbers, (1, 1, 1, numbers.len()), &Device::Cpu).unwrap()
}

#[test]
fn equal_numbers_share_the_cotangent_and_edges_are_finite() {
    use Reduction::*;
    for (reduction, numbers, value, slopes) in [
        (Max, [2.0, 1.0, 2.0], 2.0, [0.5, 0.0, 0.5]),
        (Min, [2.0, 1.0, 1.0], 1.0, [0.0, 0.5, 0.5]),
        (L2, [0.0, 0.0, 0.0], 0.0, [0.0, 0.0, 0.0]),
        (L1, [0.0, -2.0, 3.0], 5.0, [0.0, -1.0, 1.0]),
        (Product, [0.0, 2.0, 3.0], 0.0, [6.0, 0.0, 0.0]),
        (Product, [0.0, 2.0, 0.0], 0.0, [0.0, 0.0, 0.0]),
        (LogSumExp, [1000.0, f64::NEG_INFINITY, -1000.0], 1000.0, [1.0, 0.0, 0.0]),
    ] {
        let program = Program::new(&Reduce(reduction).layer(), Shape::of_image([1, 1], 3)).unwrap();
        let (y, kept) = program.save(&row(&numbers)).unwrap();
        assert_eq!(values(&y), [value], "{reduction:?}");
        let gx = program.pullback(&kept, &row(&[1.0])).unwrap();
        assert_eq!(values(&gx), slopes, "{reduction:?}");
    }
    for pairing in [Pairing::Larger, Pairing::Smaller] {
        let pair = pairwise(pairing, [Layer::Identity, Scale(3.0).layer()]);
        let program = Program::new(&pair, Shape::of_image([1, 1], 1)).unwrap();
        let (_, kept) = program.save(&row(&[0.0])).unwrap();
        // Half of the slope of each branch.
        assert_eq!(values(&program.pullback(&kept, &row(&[1.0])).unwrap()), [2.0], "{pairing:?}");
    }
}

#[test]
fn in_f32_they_are_within_a_rounding_or_two_of_f64() {
    for (name, layer, [_, c, h, w]) in layers() {
        let wide = random(&[3, h, w, c], 8);
        let narrow = wide.to_dtype(DType::F32).unwrap();
        let program = Program::new(&layer, Shape::of_image([h, w], c)).unwrap();
        let read = |x: &Tensor| {
            let (y, kept) = program.save(x).unwrap();
            let g = random(y.dims(), 9).to_dtype(x.dtype()).unwrap();
            let gx = program.pullback(&kept, &g).unwrap();
            [y, gx].map(|t| values(&t.to_dtype(DType::F64).unwrap()))
        };
        for (got, want) in read(&narrow).iter().zip(&read(&wide)) {
            assert_close(name, got, want, 1e-6);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let image = Shape::of_image([2, 3], 4);
    let fits = |layer: Layer| Program::new(&layer, image).is_ok();
    assert!(fits(View(Shape::Flat(24)).layer()) && !fits(View(Shape::Flat(23)).layer()));
    let to = Shape::Flat(2);
    assert!(fits(Pick::new(24, to, vec![23, pick::NOTHING], 0.0).unwrap().layer()));
    assert!(!fits(Pick::new(25, to, vec![23, 0], 0.0).unwrap().layer()));
    for (from, to, index) in [
        (24, to, vec![24, 0]),
        (24, to, vec![0]),
        (24, Shape::Flat(0), vec![]),
        (usize::MAX, to, vec![0, 0]),
    ] {
        assert!(Pick::new(from, to, index, 0.0).is_err());
    }
    let apart = View(Shape::of_image([3, 2], 4)).layer();
    assert!(!fits(pairwise(Pairing::Product, [Layer::Identity, apart.clone()])));
    assert!(fits(pairwise(Pairing::Product, [Layer::Identity, Layer::Identity])));
    let product = |b| Layer::Branches(std::sync::Arc::new(MatMul.into()), vec![Layer::Identity, b]);
    assert!(fits(product(View(Shape::of_image([2, 4], 3)).layer())));
    assert!(!fits(product(apart)) && !fits(product(Layer::Identity)));
    assert!(!fits(product(View(Shape::Flat(24)).layer())));
}

#[test]
fn roots_have_no_slope_at_0_and_one_beside_it() {
    for function in [Function::Sqrt, Function::Power(0.5), Function::Power(0.25)] {
        assert_eq!((function.value(0.0), function.slope(0.0)), (0.0, 0.0), "{function:?}");
        assert!(function.slope(1e-12) > 1e5, "{function:?}");
    }
    assert_eq!(Function::Power(2.0).slope(0.0), 0.0);
    assert_eq!(Function::Power(1.0).slope(0.0), 1.0);
}
