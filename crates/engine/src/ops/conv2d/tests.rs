//! The f32 forms against the definition in f64, and their bits in batches.

use super::*;
use crate::ops::bf16::units;
use crate::rng::Stream;

fn random(shape: &[usize], draw: u32) -> Tensor {
    let mut values = vec![0.0_f32; shape.iter().product()];
    Stream::new(2, "convolution test").draw(0, draw).normal(&mut values);
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn geometry(inputs: usize, outputs: usize, kernel: [usize; 2]) -> Geometry {
    Geometry {
        kernel,
        stride: [1, 1],
        padding: Padding::default(),
        dilation: [1, 1],
        groups: 1,
        inputs,
        outputs,
    }
}

/// Convolutions of every form, with the size of the images and the form of each direction.
fn cases() -> Vec<(Geometry, [usize; 2], &'static str, &'static str)> {
    let padding = Padding::all(1);
    let uneven = Padding { top: 0, bottom: 1, left: 2, right: 0 };
    let three = |inputs, outputs| geometry(inputs, outputs, [3, 3]);
    let stride = |geo| Geometry { stride: [2, 2], ..geo };
    vec![
        (geometry(5, 7, [1, 1]), [4, 3], "direct", "scatter"),
        (geometry(16, 80, [1, 1]), [4, 3], "direct", "direct"),
        (three(1, 32), [9, 7], "direct", "scatter"),
        (Geometry { padding, ..three(3, 16) }, [6, 7], "direct", "scatter"),
        (Geometry { padding, ..three(16, 16) }, [6, 7], "direct", "direct"),
        (three(32, 64), [8, 8], "winograd", "winograd"),
        (Geometry { padding, ..three(48, 32) }, [5, 7], "winograd", "winograd"),
        (Geometry { padding: uneven, ..three(64, 48) }, [4, 5], "winograd", "winograd"),
        (Geometry { padding: Padding::all(3), ..three(32, 48) }, [4, 4], "winograd", "scatter"),
        (stride(Geometry { padding, ..three(32, 64) }), [7, 8], "direct", "scatter"),
        (stride(geometry(32, 64, [1, 1])), [7, 8], "direct", "scatter"),
        (Geometry { dilation: [2, 2], padding, ..three(16, 10) }, [7, 8], "direct", "direct"),
        (geometry(3, 12, [7, 5]), [9, 9], "direct", "scatter"),
        // Lines of whole tiles, and more images than go together.
        (Geometry { padding, ..three(16, 16) }, [16, 16], "direct", "direct"),
        (stride(Geometry { padding, ..three(16, 16) }), [32, 32], "direct", "scatter"),
        (Geometry { stride: [3, 3], padding, ..three(16, 16) }, [8, 7], "direct", "scatter"),
        (
            Geometry { stride: [2, 1], dilation: [1, 2], padding, ..three(16, 12) },
            [9, 8],
            "direct",
            "scatter",
        ),
        (Geometry { groups: 2, padding, ..three(16, 12) }, [5, 5], "direct", "direct"),
        (Geometry { groups: 4, padding, ..stride(three(8, 8)) }, [5, 5], "direct", "scatter"),
        (Geometry { groups: 12, padding, ..three(12, 12) }, [5, 6], "depthwise", "depthwise"),
        (Geometry { groups: 5, ..stride(three(5, 5)) }, [7, 6], "depthwise", "depthwise"),
        // Tiles of every width, whole vectors and some channels more.
        (
            Geometry { groups: 20, padding: Padding::all(3), ..geometry(20, 20, [7, 7]) },
            [9, 17],
            "depthwise",
            "depthwise",
        ),
        (
            Geometry { groups: 16, padding: uneven, dilation: [1, 2], ..three(16, 16) },
            [5, 9],
            "depthwise",
            "depthwise",
        ),
        (Geometry { groups: 3, stride: [1, 2], ..three(3, 3) }, [4, 7], "depthwise", "depthwise"),
    ]
}

fn form(packed: &Packed) -> &'static str {
    match packed.0 {
        Method::Winograd(_) => "winograd",
        Method::Direct(_) => "direct",
        Method::Depthwise(_) => "depthwise",
        Method::Scatter(_) => "scatter",
        Method::Rounded(_) => "rounded",
        Method::Plain(_) => "plain",
    }
}

struct Case {
    geo: Geometry,
    weight: Tensor,
    bias: Tensor,
    x: Tensor,
}

fn built(geo: Geometry, [h, w]: [usize; 2], images: usize) -> Case {
    Case {
        geo,
        weight: random(&[geo.outputs, geo.group_inputs(), geo.kernel[0], geo.kernel[1]], 0),
        bias: random(&[geo.outputs], 1),
        x: random(&[images, h, w, geo.inputs], 2),
    }
}

impl Case {
    /// Output and gradient, computed in the type of `x`, of products in bf16 with a `unit`.
    fn run(&self, x: &Tensor, relu: bool, unit: Option<Unit>) -> [Tensor; 2] {
        let kind = |t: &Tensor| t.to_dtype(x.dtype()).unwrap();
        let (weight, bias) = (kind(&self.weight), kind(&self.bias));
        let forward_weights = pack_forward(&weight, &self.geo, unit).unwrap();
        let end = End { bias: Some(&bias), relu, ..End::default() };
        let y = forward(x, &forward_weights, end, &self.geo).unwrap();
        let g = kind(&random(y.dims(), 3));
        let packed = pack_backward(&weight, &self.geo, unit).unwrap();
        let size = [x.dim(1).unwrap(), x.dim(2).unwrap()];
        let gradient = pullback(&g, &packed, size, &self.geo, None, false).unwrap();
        [y, gradient]
    }
}

fn values(t: &Tensor) -> Vec<f64> {
    t.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

#[test]
fn every_form_equals_the_definition() {
    for (geo, size, forward_form, backward_form) in cases() {
        let case = built(geo, size, 3);
        let name = format!("{geo:?} at {size:?}");
        assert_eq!(form(&pack_forward(&case.weight, &geo, None).unwrap()), forward_form, "{name}");
        assert_eq!(
            form(&pack_backward(&case.weight, &geo, None).unwrap()),
            backward_form,
            "{name}"
        );
        for relu in [false, true] {
            let got = case.run(&case.x, relu, None);
            let want = case.run(&case.x.to_dtype(DType::F64).unwrap(), relu, None);
            for (got, want) in got.iter().zip(&want) {
                assert_eq!(got.dims(), want.dims(), "{name}");
                let (got, want) = (values(got), values(want));
                let scale = want.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
                for (got, want) in got.iter().zip(&want) {
                    assert!((got - want).abs() < 1e-6 * scale, "{name}: {got}, not {want}");
                }
            }
        }
    }
}

/// ReLU does not make a 0 of it, in whichever form: a broken network must not look like one that works.
#[test]
fn what_sees_a_nan_is_one_after_relu_too() {
    for (geo, size, ..) in cases() {
        let case = built(geo, size, 2);
        let mut pixels = values(&case.x);
        // The one that every stride sees.
        pixels[0] = f64::NAN;
        let x = Tensor::from_vec(pixels, case.x.dims(), &Device::Cpu).unwrap();
        let [want, _] = case.run(&x, true, None);
        let x = x.to_dtype(DType::F32).unwrap();
        let (want, [got, _]) = (values(&want), case.run(&x, true, None));
        assert!(want.iter().any(|v| v.is_nan()), "{geo:?}");
        let onto = random(got.dims(), 5);
        let packed = pack_forward(&case.weight, &geo, None).unwrap();
        let end = End { bias: Some(&case.bias), onto: Some(&onto), relu: true, narrow: false };
        let with_summands = forward(&x, &packed, end, &geo).unwrap();
        for got in [values(&got), values(&with_summands)] {
            let lost = want.iter().zip(&got).filter(|(want, got)| want.is_nan() && !got.is_nan());
            assert_eq!(lost.count(), 0, "{geo:?}");
        }
    }
}

#[test]
fn summands_are_added_at_the_end_to_the_same_bits() {
    for (geo, size, ..) in cases() {
        for kind in [DType::F32, DType::F64] {
            let case = built(geo, size, 39);
            let of = |t: &Tensor| t.to_dtype(kind).unwrap();
            let (x, bias) = (of(&case.x), of(&case.bias));
            let [y, gradient] = case.run(&x, false, None);
            let (onto, below) = (of(&random(y.dims(), 5)), of(&random(x.dims(), 6)));
            let packed = pack_forward(&of(&case.weight), &geo, None).unwrap();
            for relu in [false, true] {
                let end = End { bias: Some(&bias), onto: Some(&onto), relu, narrow: false };
                let got = forward(&x, &packed, end, &geo).unwrap();
                let want = (&y + &onto).unwrap();
                let want = if relu { want.relu().unwrap() } else { want };
                assert_eq!(values(&got), values(&want), "{geo:?}");
            }
            let (g, packed) =
                (of(&random(y.dims(), 3)), pack_backward(&of(&case.weight), &geo, None).unwrap());
            let got = pullback(&g, &packed, size, &geo, Some(&below), false).unwrap();
            assert_eq!(values(&got), values(&(&gradient + &below).unwrap()), "{geo:?}");
            assert!(pullback(&g, &packed, size, &geo, Some(&bias), false).is_err());
        }
    }
}

/// A factor in bf16 errs by 2^-8 of it, their product by 2^-7 and a little, a sum in f32 by 2^-24 for each of
/// its terms.
#[test]
fn rounded_forms_are_as_exact_as_their_factors() {
    for unit in units() {
        let mut rounded = 0;
        for (geo, size, ..) in cases() {
            let case = built(geo, size, 3);
            rounded += usize::from(
                form(&pack_forward(&case.weight, &geo, Some(unit)).unwrap()) == "rounded",
            );
            let got = case.run(&case.x, false, Some(unit));
            let want = case.run(&case.x.to_dtype(DType::F64).unwrap(), false, None);
            // What the sums would be if all terms had the same sign.
            let size = |t: &Tensor| t.abs().unwrap().to_dtype(DType::F64).unwrap();
            let (weight, bias) = (size(&case.weight), size(&case.bias));
            let packed = pack_forward(&weight, &geo, None).unwrap();
            let end = End { bias: Some(&bias), ..End::default() };
            let of_output = forward(&size(&case.x), &packed, end, &geo).unwrap();
            let packed = pack_backward(&weight, &geo, None).unwrap();
            let g = size(&random(got[0].dims(), 3));
            let of_gradient = pullback(
                &g,
                &packed,
                [case.x.dim(1).unwrap(), case.x.dim(2).unwrap()],
                &geo,
                None,
                false,
            )
            .unwrap();
            let terms = [geo.depth(), geo.depth() / geo.group_inputs() * geo.group_outputs()];
            for (i, size) in [of_output, of_gradient].iter().enumerate() {
                let bound = 2_f64.powi(-7) + 2_f64.powi(-16) + terms[i] as f64 * 2_f64.powi(-24);
                let triples = values(&got[i]).into_iter().zip(values(&want[i])).zip(values(size));
                for ((got, want), size) in triples {
                    let error = (got - want).abs();
                    assert!(error <= bound * size, "{unit} {geo:?}: {got}, not {want}, of {size}");
                }
            }
        }
        assert!(rounded > 8, "{rounded}");
    }
}

#[test]
fn an_image_has_the_same_bits_in_any_batch() {
    for unit in units().into_iter().map(Some).chain([None]) {
        for (geo, size, ..) in cases() {
            let case = built(geo, size, 39);
            let [all, _] = case.run(&case.x, true, unit);
            let packed = pack_backward(&case.weight, &geo, unit).unwrap();
            let g = random(all.dims(), 4);
            let all_gradients = pullback(&g, &packed, size, &geo, None, false).unwrap();
            for (first, count) in [(0, 1), (3, 1), (2, 4), (7, 32)] {
                let part = |t: &Tensor| t.narrow(0, first, count).unwrap();
                let [y, _] = case.run(&part(&case.x), true, unit);
                assert_eq!(values(&y), values(&part(&all)), "{unit:?} {geo:?}");
                let gradient = pullback(&part(&g), &packed, size, &geo, None, false).unwrap();
                assert_eq!(values(&gradient), values(&part(&all_gradients)), "{unit:?} {geo:?}");
            }
        }
    }
}
