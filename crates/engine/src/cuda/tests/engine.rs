//! What makes passes fast and must not change them: convolutions with bias, memory that is used again, copies
//! through page-locked buffers, graphs.

use super::*;

/// Bias and ReLU are part of the convolution: the bits for the pullback come from its output.
#[test]
#[ignore = "needs a GPU"]
fn convolutions_with_bias_and_relu_equal_the_cpu() {
    let _ = gpu();
    for (channels, side, n) in [(5, 7, 3), (8, 6, 4), (1, 3, 1)] {
        let of_kind = |kind: DType| {
            let conv = |inputs: usize, draw| {
                let numbers = |shape: &[usize], draw| normal(shape, draw).to_dtype(kind).unwrap();
                let weight = numbers(&[channels, inputs, 3, 3], draw);
                let bias = numbers(&[channels], draw + 1);
                Conv2d::new(weight, Some(bias)).unwrap().padding(1).layer()
            };
            // The second one has no ReLU behind it.
            let layers = seq([conv(2, 10), relu(), conv(channels, 12), conv(channels, 14), relu()]);
            program(&layers, [2, side, side])
        };
        let x = normal(&[n, 2, side, side], 0);
        let cotangent = |y: &Tensor| normal(y.dims(), 1);
        let (y, gx) = on_cpu(&of_kind(DType::F64), &x, cotangent);
        let network = open(&of_kind(DType::F32).fused(), Precision::F32);
        let (z, g) = gradient(&network, &x, Precision::F32, cotangent);
        assert_close("output", &z, &y, 2e-6);
        assert_close("gradient", &g, &gx, 1e-5);
        assert_eq!(values(&logits(&network, &x, Precision::F32)), values(&z));
    }
}

/// ReLU does not make a 0 of it, wherever it is computed.
#[test]
#[ignore = "needs a GPU"]
fn nan_passes_through_convolution_and_relu() {
    let _ = gpu();
    let conv = Conv2d::new(normal(&[3, 1, 1, 1], 0), Some(normal(&[3], 1))).unwrap().layer();
    let fused = program(&seq([conv, relu(), flatten()]), [1, 2, 2]).fused();
    let network = open(&fused, Precision::Bf16);
    let mut pixels = vec![0.5_f32; 8];
    pixels[5] = f32::NAN;
    let x = Tensor::from_vec(pixels, (2, 1, 2, 2), &Device::Cpu).unwrap();
    // The second pixel of the second image, in every channel.
    let want: Vec<bool> = (0..24).map(|i| i >= 12 && i % 4 == 1).collect();
    for precision in [Precision::F32, Precision::Tf32, Precision::Bf16] {
        let logits = logits(&network, &x, precision);
        let found: Vec<bool> = values(&logits).into_iter().map(f64::is_nan).collect();
        assert_eq!(found, want, "{precision}");
    }
}

#[test]
#[ignore = "needs a GPU"]
fn copies_of_every_size_come_back() {
    let _ = gpu();
    let gpu = Gpu::open(0).unwrap();
    for count in [1_usize, 1000, 300_000, 20_000_000, 7, 17_000_000] {
        let there: Vec<u32> = (0..count as u32).map(|i| i.wrapping_mul(2_654_435_761)).collect();
        let memory = gpu.upload(&there).unwrap();
        let behind = gpu.upload(&[7_u32; 3]).unwrap();
        let mut back = vec![0_u32; count];
        gpu.read(memory.at(), &mut back).unwrap();
        assert!(back == there, "{count}");
        let mut three = [0_u32; 3];
        gpu.read(behind.at(), &mut three).unwrap();
        assert_eq!(three, [7; 3]);
    }
}

#[test]
#[ignore = "needs a GPU"]
fn memory_is_used_again() {
    let _ = gpu();
    let gpu = Gpu::open(0).unwrap();
    let first = gpu.upload(&[1.0_f32; 100]).unwrap();
    let (address, other) = (first.at(), gpu.upload(&[2.0_f32; 100]).unwrap());
    assert_ne!(other.at(), address);
    drop(first);
    let again = gpu.allocate(400).unwrap();
    assert_eq!((again.at(), again.bytes()), (address, 400));
    assert_ne!(gpu.allocate(400).unwrap().at(), address);
}

/// Batch sizes and precisions take turns, the memory moves, and a pullback comes without a forward pass.
#[test]
#[ignore = "needs a GPU"]
fn graphs_change_no_bit() {
    let cpu = bundled("digits-trades");
    let _ = gpu();
    let open = || open(cpu.program(), Precision::Bf16);
    let (graphs, plain) = (open(), open().without_graphs());
    let images = digits(40);
    for sizes in [[3, 7], [2, 7], [40, 5], [7, 39], [40, 3]] {
        for round in 0..4 {
            for (n, precision) in sizes.into_iter().flat_map(|n| {
                [Precision::F32, Precision::Tf32, Precision::Bf16].map(|precision| (n, precision))
            }) {
                let x = images.narrow(0, round, n.min(40 - round)).unwrap();
                let [a, b] = [&graphs, &plain].map(|network| {
                    let (z, g) = gradient(network, &x, precision, |z| z.sqr().unwrap());
                    let only = logits(network, &x, precision);
                    assert_eq!(values(&only), values(&z));
                    [values(&z), values(&g)]
                });
                assert!(a == b, "{n} images, {precision:?}, round {round}");
            }
        }
    }
    assert_eq!(plain.graph_launches(), 0);
    assert!(graphs.graph_launches() > 50, "{}", graphs.graph_launches());
}

#[test]
#[ignore = "needs a GPU"]
fn a_pass_is_a_graph_from_the_third_time_on() {
    let _ = gpu();
    let cpu = bundled("digits-trades");
    let network = open(cpu.program(), Precision::F32);
    let images = digits(60);
    let launches = |n: usize| {
        logits(&network, &images.narrow(0, 0, n).unwrap(), Precision::F32);
        network.graph_launches()
    };
    assert_eq!([launches(60), launches(60), launches(60), launches(60)], [0, 0, 1, 2]);
    // Another batch size is another graph, unless it is computed in the same bucket.
    assert_eq!([launches(8), launches(8), launches(8), launches(60)], [2, 2, 3, 4]);
    assert_eq!([launches(57), launches(58), launches(7)], [5, 6, 7]);
    // After as many other passes as there may be graphs, the one that was not used for the longest time is gone, and
    // comes back.
    for n in [1, 2, 4, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 60] {
        let some = images.narrow(0, 0, n).unwrap();
        gradient(&network, &some, Precision::F32, Tensor::clone);
        logits(&network, &some, Precision::Tf32);
    }
    let before = network.graph_launches();
    assert_eq!([launches(60), launches(60), launches(60)].map(|n| n - before), [0, 0, 1]);
}

/// Batches that shrink image by image, as those of AutoAttack do, are planned in few sizes.
#[test]
#[ignore = "needs a GPU"]
fn a_bucket_of_batch_sizes_is_planned_once() {
    let _ = gpu();
    let conv = |inputs: usize, outputs: usize| {
        Conv2d::new(normal(&[outputs, inputs, 3, 3], 0), None).unwrap().padding(1).layer()
    };
    let layers = seq([conv(1, 2), relu(), conv(2, 2), flatten()]);
    let network = open(&program(&layers, [1, 3, 3]), Precision::F32);
    let images = normal(&[1000, 1, 3, 3], 1);
    for n in (1..=1000).rev() {
        gradient(&network, &images.narrow(0, 0, n).unwrap(), Precision::F32, Tensor::clone);
    }
    // Two convolutions, forward and back, in the 36 buckets up to 1,024 images.
    assert_eq!(network.plans(), 36 * 2 * 2);
}
