//! The frozen engine: single layers with their GFLOP/s, and whole networks, in f32 and in bf16 (on the unit of
//! the machine that the name says).
//!
//! ```sh
//! cargo bench --bench engine
//! ```
#![allow(clippy::unwrap_used, missing_docs)]

use candle_core::{Device, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use epsball::device::{self, Precision};
use epsball::loss::Loss;
use epsball::model::{Classifier, FrozenNetwork, ModelInfo};
use epsball::nn::{Conv2d, Layer, Program, Shape, max_pool, relu};
use epsball::ops::bf16::Unit;
use epsball::ops::product::{Finish, Rows, Weights, product};
use epsball::rng::Stream;
use epsball::{rows, zoo};

fn random(shape: &[usize]) -> Tensor {
    let mut values = vec![0.0_f32; shape.iter().product()];
    Stream::new(0, "bench").draw(0, 0).uniform(&mut values);
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// What a matrix product reaches on one thread: the `gemm` crate's, to hold the layers against, and
/// the engine's own.
fn products(c: &mut Criterion) {
    let mut group = c.benchmark_group("product");
    for (m, n, k) in
        [(1024, 64, 576), (256, 128, 1152), (576, 32, 288), (676, 32, 9), (512, 64, 64)]
    {
        let (a, b) = (vec![0.5_f32; m * k], vec![0.25_f32; k * n]);
        let mut out = vec![0.0_f32; m * n];
        group.throughput(Throughput::Elements((2 * m * n * k) as u64));
        group.bench_function(BenchmarkId::new("gemm crate", format!("{m}x{n}x{k}")), |bench| {
            bench.iter(|| gemm_crate(m, n, k, &a, &b, &mut out));
        });
        let weights = Weights::pack(k, n, |k, o| b[k * n + o]);
        let starts: Vec<usize> = (0..m).map(|row| row * k).collect();
        group.bench_function(BenchmarkId::new("engine", format!("{m}x{n}x{k}")), |bench| {
            bench.iter(|| {
                let rows = Rows { values: &a, starts: &starts, offsets: &[0], run: k };
                product(rows, &weights, Finish::default(), &mut out, n);
            });
        });
    }
    group.finish();
}

#[allow(unsafe_code)]
fn gemm_crate(m: usize, n: usize, k: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    assert!(a.len() >= m * k && b.len() >= k * n && c.len() >= m * n);
    let (k_stride, n_stride) = (k as isize, n as isize);
    // SAFETY: row-major matrices of the asserted sizes; `c` overlaps neither input.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            n_stride,
            false,
            a.as_ptr(),
            1,
            k_stride,
            b.as_ptr(),
            1,
            n_stride,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// One layer on one thread, forward and pullback.
fn layers(c: &mut Criterion) {
    let conv = |o: usize, i: usize, k: usize| {
        Conv2d::new(random(&[o, i, k, k]), Some(random(&[o]))).unwrap()
    };
    let cases: [(&str, Layer, [usize; 4]); 8] = [
        ("conv 3x3 1-32 at 28", conv(32, 1, 3).layer(), [12, 28, 28, 1]),
        ("conv 3x3 32-32 at 26", conv(32, 32, 3).layer(), [12, 26, 26, 32]),
        ("conv 3x3 64-64 at 10", conv(64, 64, 3).layer(), [12, 10, 10, 64]),
        ("conv 3x3 64-64 at 32", conv(64, 64, 3).padding(1).layer(), [4, 32, 32, 64]),
        ("conv 3x3 160-160 at 32", conv(160, 160, 3).padding(1).layer(), [2, 32, 32, 160]),
        ("conv 3x3 512-512 at 4", conv(512, 512, 3).padding(1).layer(), [8, 4, 4, 512]),
        ("relu", relu(), [12, 24, 24, 32]),
        ("max pool 2", max_pool(2, 2), [12, 24, 24, 32]),
    ];
    let mut group = c.benchmark_group("layer");
    for (name, layer, shape) in cases {
        let x = random(&shape);
        let image = Shape::Image { height: shape[1], width: shape[2], channels: shape[3] };
        let layer = Program::new(&layer, image).unwrap();
        let operations = 2 * layer.multiply_adds() * shape[0] as u64;
        group.throughput(Throughput::Elements(operations.max(x.elem_count() as u64)));
        for (layer, precision) in precisions(&layer) {
            group.bench_function(BenchmarkId::new(format!("forward {precision}"), name), |bench| {
                bench.iter(|| layer.forward(&x).unwrap());
            });
            let (y, kept) = layer.save(&x).unwrap();
            group.bench_function(
                BenchmarkId::new(format!("pullback {precision}"), name),
                |bench| {
                    bench.iter(|| layer.pullback(&kept, &y).unwrap());
                },
            );
        }
    }
    group.finish();
}

/// A program in f32 and in bf16.
fn precisions(program: &Program) -> [(Program, String); 2] {
    let unit = Unit::here();
    [(program.clone(), "f32".into()), (program.rounded(unit), format!("bf16 by {unit}"))]
}

fn network(architecture: &str) -> FrozenNetwork {
    let architecture = zoo::find(architecture).unwrap();
    let settings = architecture.settings();
    let program = architecture.program(&mut zoo::Fresh::new(0), &settings).unwrap();
    let info = ModelInfo::new(architecture.name, settings.input_shape, settings.classes);
    FrozenNetwork::new(info, program)
}

/// Whole networks on all threads: logits, and logits with the input gradient.
fn networks(c: &mut Criterion) {
    let mut group = c.benchmark_group("network");
    for (name, batch) in [
        ("digits-cnn", 100),
        ("trades-small-cnn", 100),
        ("cifar-resnet20-a", 32),
        ("preact-resnet-18", 32),
    ] {
        let mut model = network(name);
        let [channels, h, w] = model.info().input_shape;
        let x = rows::Rows::of_tensor(&random(&[batch, channels, h, w])).unwrap();
        let labels = rows::Rows::classes(&x.location(), &vec![0; batch]).unwrap();
        let untargeted = rows::Rows::none(&x.location()).unwrap();
        for precision in [Precision::F32, Precision::Bf16] {
            model.place(&device::Device::Cpu, precision).unwrap();
            group.throughput(Throughput::Elements(2 * model.multiply_adds() * batch as u64));
            group.bench_function(BenchmarkId::new(format!("logits {precision}"), name), |bench| {
                bench.iter(|| model.logits(&x).unwrap());
            });
            group.throughput(Throughput::Elements(4 * model.multiply_adds() * batch as u64));
            let both = format!("logits and gradient {precision}");
            group.bench_function(BenchmarkId::new(both, name), |bench| {
                bench
                    .iter(|| model.evaluate(&x, Loss::CrossEntropy, &labels, &untargeted).unwrap());
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(std::time::Duration::from_secs(1)).warm_up_time(std::time::Duration::from_millis(300));
    targets = products, layers, networks
}
criterion_main!(benches);
