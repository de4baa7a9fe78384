//! What a user waits for: PGD and randomized smoothing on the bundled digits and networks.
//!
//! ```sh
//! cargo bench --bench evaluation
//! ```
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use epsball::attack::{Request, attack, configure};
use epsball::certify::{Forget, Smoothing, certify_batch};
use epsball::data::{self, Batch};
use epsball::model::FrozenNetwork;
use epsball::model::file::{Declared, load};
use epsball::threat::{Norm, Threat};

fn model() -> FrozenNetwork {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/benchmarks/models/digits-trades.safetensors");
    load(Path::new(path), &Declared::default()).unwrap().0
}

fn digits(n: usize) -> Batch {
    data::open("digits").unwrap().read(&(0..n).collect::<Vec<_>>()).unwrap()
}

/// Name, threat model and parameters of an attack.
type Case<'a> = (&'a str, Threat, &'a [(&'a str, &'a str)]);

fn attacks(c: &mut Criterion) {
    let (model, batch) = (model(), digits(120));
    let mut group = c.benchmark_group("attack");
    group.throughput(Throughput::Elements(batch.len() as u64));
    let cases: [Case; 3] = [
        ("pgd", Threat::ball(Norm::Linf, 0.1), &[("steps", "40")]),
        ("pgd", Threat::ball(Norm::L2, 0.5), &[("steps", "40")]),
        (
            "cw-l2",
            Threat::ball(Norm::L2, 0.5),
            &[("max_iterations", "50"), ("binary_search_steps", "4")],
        ),
    ];
    for (name, threat, given) in cases {
        let given: BTreeMap<String, String> =
            given.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let configured = configure(name, &threat, &given).unwrap();
        group.bench_function(format!("{name} {threat}"), |bench| {
            bench.iter(|| attack(&configured, &model, &batch, &Request::default()).unwrap());
        });
    }
    group.finish();
}

fn smoothing(c: &mut Criterion) {
    let (model, batch) = (model(), digits(10));
    let settings = Smoothing { n0: 100, n: 1000, ..Smoothing::new(0.25) };
    let mut group = c.benchmark_group("smoothing");
    group.throughput(Throughput::Elements(10 * 1100));
    group.bench_function("10 images, N0 = 100, N = 1000", |bench| {
        bench.iter(|| {
            certify_batch(&model, &batch, &settings, 1024, &mut Forget, &|| false, &mut |_| Ok(()))
                .unwrap();
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(std::time::Duration::from_secs(2)).warm_up_time(std::time::Duration::from_millis(300));
    targets = attacks, smoothing
}
criterion_main!(benches);
