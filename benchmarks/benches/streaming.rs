//! Whether memory stays flat while a data set larger than it streams: images of 224 x 224 in the thousand
//! class folders of ImageNet, decoded and preprocessed one batch ahead. Prints images per second and the
//! peak of the resident memory early and at the end; fails if it grew in between.
//!
//! ```sh
//! cargo bench --bench streaming
//! cargo bench --bench streaming -- --images 4000 --preprocessing Res224
//! ```
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::path::Path;
use std::time::Instant;

use epsball::data;
use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};

/// Images that differ; the others are further names of the same files.
const DISTINCT: usize = 256;

/// Images after which memory is looked at for the first time.
const EARLY: usize = 2000;

/// Images at a time, as a job takes them.
const BATCH: usize = 128;

/// What the peak may grow by from the first look to the end: the allocator keeps some of what is freed.
const ALLOWED: usize = 64 << 20;

/// A smooth image with some noise, about as hard to compress as a photograph.
fn photograph(number: usize) -> RgbImage {
    let mut state = number as u32;
    RgbImage::from_fn(224, 224, |x, y| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (x, y, noise) = (x as f32, y as f32, (state >> 27) as f32);
        let wave = |phase: f32| {
            let angle = (x * (number % 7 + 1) as f32 + y * (number % 11 + 1) as f32) / 60.0 + phase;
            (110.0 + 90.0 * angle.sin() + noise) as u8
        };
        Rgb([wave(0.0), wave(1.0), wave(2.0)])
    })
}

/// A thousand classes, and the images spread over them. Returns the bytes of a file on average.
fn write(root: &Path, images: usize) -> usize {
    let class = |image: usize| root.join(format!("n{:08}", image % 1000));
    (0..1000).for_each(|number| std::fs::create_dir(class(number)).unwrap());
    let (mut bytes, distinct) = (0, DISTINCT.min(images));
    for number in 0..images {
        let path = class(number).join(format!("{number:06}.JPEG"));
        if number < distinct {
            let mut file = Vec::new();
            let encoder = JpegEncoder::new_with_quality(&mut file, 90);
            photograph(number).write_with_encoder(encoder).unwrap();
            bytes += file.len();
            std::fs::write(path, file).unwrap();
        } else {
            let first = class(number % distinct).join(format!("{:06}.JPEG", number % distinct));
            std::fs::hard_link(&first, &path)
                .or_else(|_| std::fs::copy(&first, &path).map(drop))
                .unwrap();
        }
    }
    bytes / distinct
}

/// The largest resident memory of this process so far, in bytes, where the system tells.
fn peak() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(1024 * line.trim().strip_suffix(" kB")?.parse::<usize>().ok()?)
}

/// What follows after `name` on the command line.
fn option(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

fn main() {
    let images: usize = option("--images").map_or(20_000, |text| text.parse().unwrap());
    let preprocessing = option("--preprocessing").unwrap_or_else(|| "Res256Crop224".into());
    let root = tempfile::tempdir().unwrap();
    let bytes = write(root.path(), images);
    println!(
        "{images} JPEG files of 224 x 224, {} of them different, {} kB each; {preprocessing}, {} threads",
        DISTINCT.min(images),
        bytes / 1000,
        rayon::current_num_threads(),
    );
    let data = data::open(&format!("imagenet:{},{preprocessing}", root.path().display())).unwrap();
    let all: Vec<usize> = (0..images).collect();
    let (mut done, mut sum, mut early, mut held) = (0, 0.0_f64, None, None);
    let started = Instant::now();
    let tell = |done: usize| {
        let (rate, peak) = (done as f64 / started.elapsed().as_secs_f64(), peak());
        let memory = peak.map_or("unknown".into(), |peak| format!("{} MB", peak / 1_000_000));
        println!("after {done:>6} images: {rate:6.0} images/s, peak resident memory {memory}");
        peak
    };
    data::ahead(data.as_ref(), &all, BATCH, |batches| {
        for batch in batches {
            // Kept until the next is there, as by a job that works on it.
            let batch = held.insert(batch.unwrap());
            done += batch.len();
            sum += batch.images.mean_all().unwrap().to_scalar::<f32>().map(f64::from).unwrap();
            if early.is_none() && done >= EARLY.min(images / 2) {
                early = tell(done);
            }
        }
    });
    let end = tell(done);
    assert_eq!(done, images);
    assert!(sum.is_finite());
    if let (Some(early), Some(end)) = (early, end) {
        let grown = end.saturating_sub(early);
        assert!(grown < ALLOWED, "memory grew by {grown} bytes");
    }
}
