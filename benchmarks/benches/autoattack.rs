//! What AutoAttack costs: forward and backward passes per surviving image, beside those of the
//! published code, and seconds. Not a statistical benchmark: one run.
//!
//! ```sh
//! cargo bench --bench autoattack
//! cargo bench --bench autoattack -- MODEL ARCHITECTURE DATA IMAGES EPS
//! ```
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::path::Path;
use std::time::Instant;

use epsball::attack::{AutoAttack, Configured, Request, attack};
use epsball::data;
use epsball::model::file::{Declared, load};
use epsball::threat::Norm;

/// Passes per image that survives all four attacks of the published code with ten classes.
const PUBLISHED: [f64; 2] = [7856.0, 1910.0];

fn main() {
    let given: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let bundled =
        concat!(env!("CARGO_MANIFEST_DIR"), "/benchmarks/models/digits-trades.safetensors");
    let (path, architecture, images, count, eps) = match given.as_slice() {
        [path, architecture, images, count, eps] => (
            path.as_str(),
            Some(architecture.clone()),
            images.as_str(),
            count.parse().unwrap(),
            eps.parse().unwrap(),
        ),
        _ => (bundled, None, "digits:test", 60, 0.1),
    };
    let model = load(Path::new(path), &Declared { architecture, ..Declared::default() }).unwrap().0;
    let batch = data::open(images).unwrap().read(&(0..count).collect::<Vec<_>>()).unwrap();
    let autoattack = Configured::of(AutoAttack::new(Norm::Linf, eps)).unwrap();
    let started = Instant::now();
    let outcomes = attack(&autoattack, &model, &batch, &Request::default()).unwrap();
    let seconds = started.elapsed().as_secs_f64();
    let robust: Vec<_> = outcomes.iter().filter(|o| !o.found).collect();
    let mean = |passes: &dyn Fn(usize) -> u64| {
        (0..robust.len()).map(passes).sum::<u64>() as f64 / robust.len() as f64
    };
    let passes = [mean(&|i| robust[i].forwards), mean(&|i| robust[i].backwards)];
    println!("AutoAttack standard, Linf, {images}, {count} images, {path}");
    println!("robust {} of {count}, {seconds:.1} s", robust.len());
    for (name, (own, published)) in
        ["forwards", "backwards"].iter().zip(passes.iter().zip(PUBLISHED))
    {
        println!("{name} per surviving image: {own:.0}, published code {published:.0}");
    }
}
