//! The rounding of the f32 engine is inside the bounds, and they are no wider than the error analysis says.

use super::*;

/// At radius 0 what is left is rounding: the engine's f32 result lies inside, although it is not the
/// exact one, and the bounds are no wider than the error analysis says.
#[test]
fn the_engines_own_rounding_is_inside() {
    let shape = Shape::of_image([1, 1], 400);
    let weight = random(&[3, 400], 70);
    let layers = seq([flatten(), Linear::new(weight.clone(), None).layer()]);
    let program = Program::new(&layers, shape).unwrap();
    let bounder = Bounder::new(&program).unwrap();
    let weight: Vec<Vec<f32>> = weight.to_vec2().unwrap();
    let mut off = 0;
    for number in 0..50 {
        let mut image = vec![0.0; 400];
        draw(number).uniform(&mut image);
        let computed = logits(&program, image.clone()).remove(0);
        let (lower, upper) = bounder.logits(&LinfBall::new(&image, 0.0), Method::Ibp).unwrap();
        for (row, (z, (l, u))) in weight.iter().zip(computed.iter().zip(lower.iter().zip(&upper))) {
            let terms = || row.iter().zip(&image).map(|(w, x)| f64::from(*w) * f64::from(*x));
            let (exact, magnitude): (f64, f64) = (terms().sum(), terms().map(f64::abs).sum());
            assert!((*l..=*u).contains(&f64::from(*z)) && (*l..=*u).contains(&exact));
            assert!(u - l < 2.01 * 402.0 * magnitude / f64::from(1 << 24));
            // Bounds of the exact value alone would be this narrow, and wrong.
            off += u32::from((f64::from(*z) - exact).abs() > 1e-12 * magnitude);
        }
    }
    assert!(off > 100, "{off} of 150");
}

/// Checks at radius 0 that what the engine computes is inside, and that it is further from the exact
/// value than `narrow` times the sum of absolute values: a plain sum's slack would not do.
fn assert_rounding_is_inside(layers: &Layer, shape: Shape, image: &[f32], narrow: f64) {
    let program = Program::new(layers, shape).unwrap();
    let x = Tensor::from_slice(image, shape.batch(1), &Device::Cpu).unwrap();
    let wide = x.to_dtype(candle_core::DType::F64).unwrap();
    let (mut exact, mut magnitude) = (wide.clone(), wide);
    for step in program.steps() {
        let form = step.op.affine_form(&program.inputs_of(step)).unwrap().unwrap();
        let bias = form.op.forward(&[&exact.zeros_like().unwrap()]).unwrap().abs().unwrap();
        exact = form.op.forward(&[&exact]).unwrap();
        magnitude = (form.absolute.forward(&[&magnitude]).unwrap() + bias).unwrap();
    }
    let values = |t: Tensor| t.to_vec2::<f64>().unwrap().remove(0);
    let computed = logits(&program, image.to_vec()).remove(0);
    let bounder = Bounder::new(&program).unwrap();
    let (lower, upper) = bounder.logits(&LinfBall::new(image, 0.0), Method::Ibp).unwrap();
    let mut off = 0;
    for (number, (exact, magnitude)) in values(exact).iter().zip(values(magnitude)).enumerate() {
        let z = f64::from(computed[number]);
        let inside = |value: f64| (lower[number]..=upper[number]).contains(&value);
        assert!(inside(z) && inside(*exact), "{z}, {exact}: {} {}", lower[number], upper[number]);
        off += u32::from((z - exact).abs() > narrow * magnitude);
    }
    assert!(off > 0);
}

#[test]
fn minimal_filtering_is_inside() {
    // The tap that a large pixel meets is 0. The transforms multiply the pixel all the same, and the
    // products cancel but for their last digits.
    let shape = Shape::of_image([4, 4], 32);
    let mut image = vec![0.0; shape.len()];
    draw(0).uniform(&mut image);
    image[32..].iter_mut().for_each(|v| *v *= 1e-6);
    let hollow =
        Tensor::new(&[[1.0_f32, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 1.0]], &Device::Cpu);
    let weight = random(&[48, 32, 3, 3], 90).broadcast_mul(&hollow.unwrap()).unwrap();
    let layers = seq([Conv2d::new(weight, None).unwrap().padding(1).layer(), flatten()]);
    let plain = 290.0 / f64::from(1 << 24);
    assert_rounding_is_inside(&layers, shape, &image, plain);
}

#[test]
fn a_folded_norm_is_inside() {
    // The shift is where the folded sum starts; each product is lost on its own.
    let shape = Shape::of_image([3, 3], 2);
    let product = 0.49 * f32::EPSILON;
    let weight = Tensor::full(product, (2, 1, 3, 3), &Device::Cpu).unwrap();
    let ones = Tensor::ones(2, candle_core::DType::F32, &Device::Cpu).unwrap();
    let conv = Conv2d::new(weight, None).unwrap().groups(2);
    let layers = seq([conv.layer(), Affine::new(ones.clone(), ones).layer(), flatten()]);
    let plain = 3.0 / f64::from(1 << 24);
    assert_rounding_is_inside(&layers, shape, &[1.0; 18], plain);
}
