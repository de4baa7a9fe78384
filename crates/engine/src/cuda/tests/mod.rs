//! The GPU against the CPU: every layer forward and back, whole networks, losses and noisy copies. Attacks and
//! certificates have tests of their own on it. They need a GPU, or the driver of `tests/emulator` in its place:
//! `scripts/emulator.sh cargo test --features cuda --lib -- --ignored cuda::`

mod engine;
mod losses;

use std::path::PathBuf;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use half::bf16;

use super::array::SharedGpu;
use super::gpu::Gpu;
use super::run::Runner;
use super::{Network, Noisy, PixelNoise, count};
use crate::device::{self, Precision};
use crate::error::Result;
use crate::loss::Loss;
use crate::model::file::{Declared, load};
use crate::model::{Classifier, FrozenNetwork, ModelInfo};
use crate::nn::tests::{crossing, layers};
use crate::nn::{Conv2d, Layer, Program, Shape, flatten, relu, seq};
use crate::ops::layout::{nchw_to_nhwc, nhwc_to_nchw};
use crate::rng::Stream;
use crate::rows::{Location, Rows};

fn gpu() -> device::Device {
    assert!(count() > 0, "no GPU is visible: run these tests under scripts/emulator.sh");
    device::Device::Cuda(vec![0])
}

fn normal(shape: &[usize], draw: u32) -> Tensor {
    let mut values = vec![0.0_f32; shape.iter().product()];
    Stream::new(2, "cuda test").draw(0, draw).normal(&mut values);
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn values(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn assert_close(name: &str, got: &Tensor, want: &Tensor, tolerance: f64) {
    let (got, want) = (values(got), values(want));
    assert_eq!(got.len(), want.len(), "{name}");
    let scale = want.iter().fold(1.0_f64, |most, v| most.max(v.abs()));
    for (i, (g, w)) in got.iter().zip(&want).enumerate() {
        assert!((g - w).abs() <= tolerance * scale, "{name}: element {i}: {g} instead of {w}");
    }
}

fn program(layer: &Layer, [c, h, w]: [usize; 3]) -> Program {
    Program::new(layer, Shape::of_image([h, w], c)).unwrap()
}

/// The program on the GPU, which is opened for it alone; whatever comes out are its logits.
fn open(program: &Program, precision: Precision) -> Network {
    let home = SharedGpu(Arc::new(Gpu::open(0).unwrap()));
    Network::open_on(program, program.output_shape().len(), vec![home], precision).unwrap()
}

/// Logits of `images`, sent to the GPU and fetched.
fn logits(network: &Network, images: &Tensor, precision: Precision) -> Tensor {
    let place = Location::gpu(network.gpu());
    let x = Rows::of_tensor(images).unwrap().at(&place).unwrap();
    let logits = network.logits(x.array().unwrap(), x.len(), precision).unwrap();
    Rows::of_array([x.len(), network.classes], logits).tensor().unwrap()
}

/// Logits, and the gradient for this cotangent of them.
fn gradient(
    network: &Network,
    images: &Tensor,
    precision: Precision,
    cotangent: impl Fn(&Tensor) -> Tensor,
) -> (Tensor, Tensor) {
    let place = Location::gpu(network.gpu());
    let x = Rows::of_tensor(images).unwrap().at(&place).unwrap();
    let (z, at) = network.linearise(x.array().unwrap(), x.len(), precision).unwrap();
    let z = Rows::of_array([x.len(), network.classes], z).tensor().unwrap();
    let g = Rows::of_tensor(&cotangent(&z)).unwrap().at(&place).unwrap();
    let gradient = network.pull(&at, g.array().unwrap()).unwrap();
    (z, Rows::of_array(images.dims(), gradient).tensor().unwrap())
}

/// Every layer as a program, with the shape of images for it.
fn of_layers() -> Vec<(&'static str, Program, [usize; 4])> {
    let mut programs = Vec::new();
    for (name, layer, [n, c, h, w]) in layers() {
        programs.push((name, program(&layer, [c, h, w]), [n, c, h, w]));
    }
    programs
}

/// A graph that is no nesting of layers, smooth and with relus.
fn graphs() -> Vec<(&'static str, Program, [usize; 4])> {
    let make = |shape: &[usize], draw| normal(shape, draw).to_dtype(DType::F64).unwrap();
    let graphs = [true, false].map(|smooth| crossing([4, 5], smooth, &make));
    let forms = |graph: Program| {
        let fused = graph.fused();
        [("two cells that cross", graph), ("the same, fused", fused)]
    };
    let images = |(name, graph)| (name, graph, [3, 6, 4, 5]);
    graphs.into_iter().flat_map(forms).map(images).collect()
}

/// Outputs as the GPU gives them, `[N, ...]` with channels last, and gradients of NCHW images.
fn on_cpu(program: &Program, x: &Tensor, g: impl Fn(&Tensor) -> Tensor) -> (Tensor, Tensor) {
    let x = nchw_to_nhwc(&x.to_dtype(DType::F64).unwrap()).unwrap();
    let (y, kept) = program.save(&x).unwrap();
    let gx = program.pullback(&kept, &g(&y).to_dtype(DType::F64).unwrap()).unwrap();
    (y.flatten_from(1).unwrap(), nhwc_to_nchw(&gx).unwrap())
}

#[test]
#[ignore = "needs a GPU"]
fn every_layer_equals_the_cpu() {
    let _ = gpu();
    for (name, program, shape) in of_layers().into_iter().chain(graphs()) {
        let x = normal(&shape, 0);
        let cotangent = |y: &Tensor| normal(y.dims(), 1);
        let (y, gx) = on_cpu(&program, &x, cotangent);
        let network = open(&program, Precision::F32);
        assert_close(name, &logits(&network, &x, Precision::F32), &y, 2e-6);
        let (logits, gradient) = gradient(&network, &x, Precision::F32, cotangent);
        assert_close(name, &logits, &y, 2e-6);
        // `cotangent` of the flat logits has the numbers of that of the output.
        assert_close(name, &gradient, &gx, 1e-5);
    }
}

/// The same with images in bf16. A number is stored within 2^-9 of itself, and a layer of the list stores at
/// most four on the way from image to output (weights, result of a convolution, bias, sum or ReLU) and as
/// many on the way back; sums are in f32 and do not add to that. So an element is off by at most
/// 4 x 2^-9 of the largest, where rounding does not decide between two sides of a step: images are in
/// bf16 beforehand, so the first layer is on the right side.
#[test]
#[ignore = "needs a GPU"]
fn every_layer_in_bf16_is_within_its_roundings_of_the_cpu() {
    let _ = gpu();
    let mut off = 0.0_f64;
    for (name, plain, [n, c, h, w]) in of_layers() {
        let plain = match plain.output_shape() {
            Shape::Image { .. } => program(&seq([plain.into(), flatten()]), [c, h, w]),
            Shape::Flat(_) => plain,
        };
        let x = normal(&[n, c, h, w], 0).to_dtype(DType::BF16).unwrap();
        let x = x.to_dtype(DType::F32).unwrap();
        let cotangent = |y: &Tensor| normal(y.dims(), 1);
        let (y, gx) = on_cpu(&plain, &x, cotangent);
        let network = open(&plain, Precision::Bf16);
        let only = logits(&network, &x, Precision::Bf16);
        let (again, gradient) = gradient(&network, &x, Precision::Bf16, cotangent);
        assert_eq!(values(&again), values(&only), "{name}");
        // A negative power multiplies the rounding of what it reads, x^-3 by 3 and its slope by 4.
        let bound = if name.starts_with("power -") { 8.0 } else { 4.0 } / 512.0;
        assert_close(name, &only, &y, bound);
        assert_close(name, &gradient, &gx, bound);
        // The same network judges in f32.
        assert_close(name, &logits(&network, &x, Precision::F32), &y, 2e-6);
        let difference = (only.to_dtype(DType::F64).unwrap() - &y).unwrap().abs().unwrap();
        off += values(&difference).iter().sum::<f64>();
    }
    assert!(off > 0.0, "nothing was rounded");
}

/// Images are rounded as everywhere: to the nearest, ties to even, NaN to NaN.
#[test]
#[ignore = "needs a GPU"]
fn bf16_is_that_of_the_cpu() {
    let _ = gpu();
    let mut numbers: Vec<f32> =
        (0..1 << 16).map(|i| f32::from_bits((i * 65_521) ^ 0x8000)).collect();
    let ties = [0x3F80_8000, 0x3F81_8000, 0x3F80_8001, 0x3F81_7FFF, 0x0000_8000, 0x0001_8000];
    let extremes = [0x7F7F_FFFF, 0x7F80_0000, 0xFF80_0000, 0x7F80_0001, 0x7FFF_FFFF, 0xFFC0_0000];
    numbers.extend(ties.into_iter().chain(extremes).map(f32::from_bits));
    let width = numbers.len();
    let network = open(&program(&flatten(), [1, 1, width]), Precision::Bf16);
    let x = Tensor::from_slice(&numbers, (1, 1, 1, width), &Device::Cpu).unwrap();
    let (got, gradient) = gradient(&network, &x, Precision::Bf16, |_| x.flatten_from(1).unwrap());
    for got in [got, gradient] {
        let got: Vec<f32> = got.flatten_all().unwrap().to_vec1().unwrap();
        for (x, got) in numbers.iter().zip(got) {
            let want = bf16::from_f32(*x).to_f32();
            let same = got.to_bits() == want.to_bits() || (got.is_nan() && x.is_nan());
            assert!(same, "{:08x}: {got:e} instead of {want:e}", x.to_bits());
        }
    }
}

/// A file of the repository, from wherever below its root the tests run.
fn of_repository(file: &str) -> PathBuf {
    let here = std::env::current_dir().unwrap();
    here.ancestors().map(|folder| folder.join(file)).find(|path| path.is_file()).unwrap()
}

fn bundled(name: &str) -> FrozenNetwork {
    let path = of_repository(&format!("benchmarks/models/{name}.safetensors"));
    load(&path, &Declared::default()).unwrap().0
}

/// A bundled network on the CPU and on the GPU.
fn both(name: &str) -> [FrozenNetwork; 2] {
    let (cpu, mut there) = (bundled(name), bundled(name));
    there.place(&gpu(), Precision::F32).unwrap();
    [cpu, there]
}

fn tensor(rows: Result<Rows>) -> Tensor {
    rows.unwrap().tensor().unwrap()
}

/// Logits and the gradient of half the sum of their cubes.
fn of_cubes(network: &FrozenNetwork, images: &Rows) -> (Tensor, Tensor) {
    let (z, pull) = network.linearise(images).unwrap();
    let z = z.tensor().unwrap();
    let gradient = tensor(pull(&square(&z)));
    (z, gradient)
}

fn square(z: &Tensor) -> Rows {
    Rows::of_tensor(&z.sqr().unwrap()).unwrap()
}

/// The first `n` images of the bundled digits, in [0, 1].
fn digits(n: usize) -> Tensor {
    let file = of_repository("datasets/digits/images.npy");
    let all = Tensor::read_npy(file).unwrap().to_dtype(DType::F32).unwrap();
    ((all / 16.0).unwrap().narrow(0, 0, n)).unwrap().unsqueeze(1).unwrap()
}

#[test]
#[ignore = "needs a GPU"]
fn a_network_has_the_same_logits_and_gradients_as_often_as_asked() {
    let [cpu, there] = both("digits-trades");
    let images = Rows::of_tensor(&digits(37)).unwrap();
    let (z, g) = of_cubes(&cpu, &images);
    let (z2, g2) = of_cubes(&there, &images);
    assert_close("logits", &z2, &z, 1e-6);
    assert_close("gradient", &g2, &g, 1e-6);
    let (z3, pull) = there.linearise(&images).unwrap();
    assert_eq!(values(&z3.tensor().unwrap()), values(&z2));
    assert_eq!(values(&tensor(pull(&square(&z2)))), values(&g2));
    // Again from the same forward pass, with another cotangent and with this one.
    assert_ne!(values(&tensor(pull(&z3))), values(&g2));
    assert_eq!(values(&tensor(pull(&square(&z2)))), values(&g2));
    // Another pass comes between: the forward pass has to be repeated.
    let negative = images.tensor().unwrap().affine(-1.0, 1.0).unwrap();
    let other = tensor(there.logits(&Rows::of_tensor(&negative).unwrap()));
    assert_ne!(values(&other), values(&z2));
    assert_eq!(values(&tensor(pull(&square(&z2)))), values(&g2));
    assert_eq!(values(&tensor(there.logits(&images))), values(&z2));
    // Where they are, and where the network is.
    let moved = images.at(&there.location()).unwrap();
    let answer = there.logits(&moved).unwrap();
    assert!(answer.location().is_gpu());
    assert_eq!(values(&answer.tensor().unwrap()), values(&z2));
    let none = Rows::new(&Location::default(), [0, 1, 8, 8], Vec::new()).unwrap();
    assert_eq!(there.logits(&none).unwrap().shape(), [0, 10]);
}

/// Every stored number is off by 2^-9 of itself at most, and these errors mostly cancel: logits are off by a
/// few times that. A ReLU near 0 or two equal numbers under a maximum may take the other side, which
/// changes single elements of a gradient by their whole size: it is compared as a whole.
#[test]
#[ignore = "needs a GPU"]
fn a_network_in_bf16_is_near_the_one_in_f32_and_half_as_large() {
    let (cpu, mut there) = (bundled("digits-trades"), bundled("digits-trades"));
    there.place(&gpu(), Precision::Bf16).unwrap();
    let images = Rows::of_tensor(&digits(37)).unwrap();
    let (z, g) = of_cubes(&cpu, &images);
    let (z2, g2) = of_cubes(&there, &images);
    assert_close("logits", &z2, &z, 8.0 / 512.0);
    let length = |t: &[f64]| t.iter().map(|v| v * v).sum::<f64>().sqrt();
    let (of_cpu, of_gpu) = (values(&g), values(&g2));
    let apart: Vec<f64> = of_cpu.iter().zip(&of_gpu).map(|(a, b)| a - b).collect();
    let apart = length(&apart) / length(&of_cpu);
    assert!(apart < 0.1, "gradient: {apart}");
    assert_ne!(values(&z2), values(&z));
    // What was computed in f32 in between does not change it. Of another batch size cuDNN may choose other sums.
    assert_close("judged", &tensor(there.exact_logits(&images)), &z, 1e-6);
    let (z3, pull) = there.linearise(&images).unwrap();
    there.exact_logits(&images).unwrap();
    assert_eq!(values(&z3.tensor().unwrap()), values(&z2));
    assert_eq!(values(&tensor(pull(&square(&z2)))), values(&g2));
    let some = images.select(&[4, 5, 6]).unwrap();
    let three = z2.narrow(0, 4, 3).unwrap();
    assert_close("another batch", &tensor(there.logits(&some)), &three, 8.0 / 512.0);
    let bytes = bytes_for_an_image(cpu.program());
    assert!(bytes[1] * 100 < bytes[0] * 60, "{bytes:?}");
}

/// What a digit's forward and backward pass keep in f32 and in bf16.
fn bytes_for_an_image(program: &Program) -> [usize; 2] {
    let (program, gpu) = (Arc::new(program.clone()), Gpu::open(0).unwrap());
    [Precision::F32, Precision::Bf16].map(|precision| {
        Runner::new(&gpu, Arc::clone(&program), precision).unwrap().bytes_per_image(true)
    })
}

#[test]
#[ignore = "needs a GPU"]
fn a_network_without_a_vector_of_logits_is_refused_in_bf16() {
    let _ = gpu();
    let error =
        Network::open(&program(&Layer::Identity, [1, 1, 4]), 4, &[0], Precision::Bf16).unwrap_err();
    assert!(error.to_string().starts_with("precision bf16: "), "{error}");
}

#[test]
#[ignore = "needs a GPU"]
fn a_fused_program_equals_the_plain_one() {
    let cpu = bundled("digits-trades");
    let images = digits(9);
    let fused = cpu.program().fused();
    let [plain, fused] = [cpu.program(), &fused].map(|program| open(program, Precision::F32));
    let [a, b] =
        [plain, fused].map(|network| gradient(&network, &images, Precision::F32, Tensor::clone));
    assert_close("logits", &b.0, &a.0, 1e-6);
    assert_close("gradient", &b.1, &a.1, 1e-6);
}

#[test]
#[ignore = "needs a GPU"]
fn nan_has_no_class() {
    let _ = gpu();
    let network = open(&program(&flatten(), [1, 1, 4]), Precision::Bf16);
    let (good, bad) = ([0.0, 3.0, 1.0, 2.0], [0.0, f32::NAN, 9.0, 1.0]);
    let draw = Stream::new(0, "nan").draw(0, 0);
    let noisy = Noisy {
        images: vec![&good, &bad],
        copies: vec![(1, draw), (0, draw)],
        noise: PixelNoise::Gaussian(1e-9),
    };
    for precision in [Precision::F32, Precision::Bf16] {
        assert_eq!(network.noisy_classes(&noisy, precision).unwrap(), [None, Some(1)]);
    }
}
