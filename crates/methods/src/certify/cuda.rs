//! Smoothing on the GPU beside the same on the CPU: its noise and its votes. They need a GPU, or the driver of
//! `tests/emulator` in its place: `scripts/emulator.sh cargo test --features cuda --lib -- --ignored cuda::`

use std::path::PathBuf;

use super::noise::{Gaussian, Noise, Uniform};
use super::{Job, Sampler};
use crate::attack::cuda::gpu;
use crate::cuda::{Noisy, PixelNoise};
use crate::data;
use crate::device::Precision;
use crate::model::file::{Declared, load};
use crate::model::{Classifier, FrozenNetwork, ModelInfo};
use crate::nn::flatten;
use crate::rng::{Draw, Stream};

/// A file of the repository, from wherever below its root the tests run.
fn of_repository(file: &str) -> PathBuf {
    let here = std::env::current_dir().unwrap();
    here.ancestors().map(|folder| folder.join(file)).find(|path| path.is_file()).unwrap()
}

/// A bundled network on the CPU and on the GPU.
fn both(name: &str) -> [FrozenNetwork; 2] {
    let open = || {
        let path = of_repository(&format!("benchmarks/models/{name}.safetensors"));
        load(&path, &Declared::default()).unwrap().0
    };
    let (cpu, mut there) = (open(), open());
    there.place(&gpu(), Precision::F32).unwrap();
    [cpu, there]
}

/// Normal numbers go through another logarithm, sine and cosine; uniform ones are the same bits.
#[test]
#[ignore = "needs a GPU"]
fn noise_is_that_of_the_cpu() {
    // The network is the identity on images of 7 numbers: its class is the largest.
    let info = ModelInfo::new("identity", [1, 1, 7], 7);
    let mut network = FrozenNetwork::build(info, &flatten()).unwrap();
    network.place(&gpu(), Precision::F32).unwrap();
    let stream = Stream::new(5, "smoothing-estimate");
    let images: Vec<Vec<f32>> =
        (0..3).map(|i| (0..7).map(|j| (i * 7 + j) as f32 / 40.0).collect()).collect();
    let copies: Vec<(u32, Draw)> =
        (0..3000).map(|s| (s % 3, stream.draw(u64::from(s % 3) << 33, s))).collect();
    let on_cpu = |noise: &dyn Noise| -> Vec<Option<u32>> {
        let class = |(image, draw): &(u32, Draw)| {
            let mut out = vec![0.0; 7];
            noise.apply(&images[*image as usize], *draw, &mut out);
            let best = (0..7).rev().max_by(|a, b| out[*a].total_cmp(&out[*b])).unwrap();
            Some(best as u32)
        };
        copies.iter().map(class).collect()
    };
    let on_gpu = |noise: PixelNoise| {
        let images = images.iter().map(Vec::as_slice).collect();
        let noisy = Noisy { images, copies: copies.clone(), noise };
        network.noisy_classes(&noisy).unwrap().unwrap()
    };
    let uniform = Uniform { sigma: 0.3 };
    assert_eq!(on_gpu(uniform.of_pixels().unwrap()), on_cpu(&uniform));
    let gaussian = Gaussian { sigma: 0.25 };
    assert_eq!(on_gpu(gaussian.of_pixels().unwrap()), on_cpu(&gaussian));
    assert!((0..7).all(|class| on_cpu(&gaussian).contains(&Some(class))));
}

#[test]
#[ignore = "needs a GPU"]
fn smoothing_counts_the_same_votes() {
    let counts = both("digits-trades").map(|network| {
        let batch = data::open("digits").unwrap().read(&[0, 1, 2, 3, 4]).unwrap();
        let pixels = batch.rows().unwrap().values().unwrap();
        let noise = Gaussian { sigma: 0.5 };
        let mut sampler = Sampler::new(&network, &noise, 300).unwrap();
        let stream = Stream::new(0, "smoothing-estimate");
        for (i, pixels) in pixels.chunks(64).enumerate() {
            let image = batch.ids[i];
            sampler.submit(Job { image, pixels, stream, samples: 0..400 }).unwrap();
        }
        let mut counts = Vec::new();
        while !sampler.is_idle() {
            counts.extend(sampler.step().unwrap().into_iter().map(|c| c.classes));
        }
        counts
    });
    assert_eq!(counts[0], counts[1]);
    assert!(counts[0].iter().any(|classes| classes.iter().filter(|votes| **votes > 0).count() > 2));
}
