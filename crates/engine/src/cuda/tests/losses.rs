//! Losses on the GPU beside those of the CPU.

use super::*;

fn info(shape: [usize; 3], classes: usize) -> ModelInfo {
    ModelInfo::new("test", shape, classes)
}

/// Losses and their gradients for few and many classes, ties among the logits included.
#[test]
#[ignore = "needs a GPU"]
fn losses_are_those_of_the_cpu() {
    let _ = gpu();
    for (classes, rounded) in
        [(2, false), (3, false), (4, true), (10, true), (10, false), (1000, false)]
    {
        let n = 24;
        let mut z = normal(&[n, 1, 1, classes], 7);
        if rounded {
            // Without zeros of two signs, which only the CPU tells apart.
            z = ((z * 2.0).unwrap().round().unwrap() + 0.0).unwrap();
        }
        let number = |i: usize, k: usize| ((i * 7 + k * 5) % classes) as u32;
        let labels: Vec<u32> = (0..n).map(|i| number(i, 0)).collect();
        let targets: Vec<u32> = labels.iter().map(|l| (l + 1) % classes as u32).collect();
        let mut identity =
            FrozenNetwork::build(info([1, 1, classes], classes), &flatten()).unwrap();
        identity.place(&gpu(), Precision::F32).unwrap();
        let place = identity.location();
        assert!(place.is_gpu());
        let there = |of: &[u32]| Rows::classes(&place, of).unwrap();
        let x = Rows::of_tensor(&z).unwrap().at(&place).unwrap();
        for loss in [Loss::CrossEntropy, Loss::Margin, Loss::Dlr] {
            for targets in [None, Some(targets.as_slice())] {
                let flat = z.flatten_from(1).unwrap();
                let want = loss.evaluate(&flat, &labels, targets).unwrap();
                let targeted = targets.is_some();
                let targets = targets.map_or_else(|| Rows::none(&place).unwrap(), there);
                let got = identity.evaluate(&x, loss, &there(&labels), &targets).unwrap();
                let name = format!("{loss} of {classes}, targeted {targeted}");
                // Where logits are equal a denominator may be 0: then the values are huge in both.
                let close = |a: f32, b: f32| a == b || (a - b).abs() <= 2e-6 * b.abs().max(1.0);
                for (got, want) in got.losses.values().unwrap().iter().zip(&want.values) {
                    assert!(close(*got, *want), "{name}: {got} instead of {want}");
                }
                let slope: Vec<f32> = want.cotangent.flatten_all().unwrap().to_vec1().unwrap();
                for (got, want) in got.gradient.values().unwrap().iter().zip(&slope) {
                    assert!(close(*got, *want), "{name}: slope {got} instead of {want}");
                }
            }
        }
    }
}

/// Where the network is certain of the label or the target, the cross-entropy of large logits is small, and the
/// same to its own scale.
#[test]
#[ignore = "needs a GPU"]
fn the_cross_entropy_of_certain_networks_is_that_of_the_cpu() {
    let _ = gpu();
    let (n, classes) = (24, 10);
    let mut identity = FrozenNetwork::build(info([1, 1, classes], classes), &flatten()).unwrap();
    identity.place(&gpu(), Precision::F32).unwrap();
    let place = identity.location();
    for factor in [3.0, 30.0, 300.0] {
        let z = (normal(&[n, 1, 1, classes], 7) * factor).unwrap();
        let flat = z.flatten_from(1).unwrap();
        let rows: Vec<Vec<f32>> = flat.to_vec2().unwrap();
        let best =
            |z: &Vec<f32>| (0..classes).max_by(|a, b| z[*a].total_cmp(&z[*b])).unwrap() as u32;
        let labels: Vec<u32> = rows.iter().map(best).collect();
        let there = Rows::classes(&place, &labels).unwrap();
        let x = Rows::of_tensor(&z).unwrap().at(&place).unwrap();
        for targets in [None, Some(labels.as_slice())] {
            let want = Loss::CrossEntropy.evaluate(&flat, &labels, targets).unwrap();
            let towards = targets.map_or_else(|| Rows::none(&place).unwrap(), |_| there.clone());
            let got = identity.evaluate(&x, Loss::CrossEntropy, &there, &towards).unwrap();
            let close = |a: f32, b: f32| (a - b).abs() <= 1e-4 * b.abs() + 1e-25;
            for (got, want) in got.losses.values().unwrap().iter().zip(&want.values) {
                assert!(close(*got, *want), "{factor}: {got} instead of {want}");
            }
            let slope: Vec<f32> = want.cotangent.flatten_all().unwrap().to_vec1().unwrap();
            for (got, want) in got.gradient.values().unwrap().iter().zip(&slope) {
                assert!(close(*got, *want), "{factor}: slope {got} instead of {want}");
            }
        }
    }
}
