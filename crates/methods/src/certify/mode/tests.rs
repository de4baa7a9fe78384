//! Whether the modes keep their promises: exactly, by following every path of a few hundred samples, and
//! on ten thousand images of a problem whose radii are known.

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use statrs::function::factorial::ln_binomial;

use super::*;
use crate::certify::CertificateRow;
use crate::certify::cohen::radius;
use crate::certify::linear::Linear;
use crate::certify::log::{Log, LogRow};
use crate::certify::{ABSTAIN, Forget, Smoothing, certify_batch};
use crate::data::Batch;
use crate::rng::{Draw, Stream};
use crate::stats::{clopper_pearson, normal};

fn question(n: u64, alpha: f64, targets: &[f64]) -> Question {
    Question { n, alpha, beta: alpha, targets: targets.to_vec() }
}

/// A number from Binomial(n, p) by inversion from the mode outwards; `q` is 1 - p, whose digits p has
/// lost where it is near 1.
fn binomial(n: u64, (p, q): (f64, f64), u: f64) -> u64 {
    if q <= 0.0 {
        return n;
    }
    let mode = (((n + 1) as f64 * p) as u64).min(n);
    let failures = (n - mode) as f64;
    let peak = (ln_binomial(n, mode) + mode as f64 * (-q).ln_1p() + failures * q.ln()).exp();
    let (mut low, mut high) = ((mode, peak), (mode, peak));
    let mut left = u - peak;
    while left > 0.0 && (low.0 > 0 || high.0 < n) {
        if high.0 < n {
            high.1 *= (n - high.0) as f64 / (high.0 + 1) as f64 * (p / q);
            high.0 += 1;
            left -= high.1;
            if left <= 0.0 {
                return high.0;
            }
        }
        if low.0 > 0 {
            low.1 *= low.0 as f64 / (n - low.0 + 1) as f64 * (q / p);
            low.0 -= 1;
            left -= low.1;
            if left <= 0.0 {
                return low.0;
            }
        }
    }
    mode
}

/// nA and n when `rule` is done with an image whose class has the probability `p`.
fn sample(rule: &Rule, p: (f64, f64), draw: Draw) -> (u64, u64) {
    let (mut n_a, mut n) = (0, 0);
    let mut element = 0;
    while let Some(until) = rule.next(n_a, n) {
        n_a += binomial(until - n, p, draw.uniform_f64(element));
        (n, element) = (until, element + 1);
    }
    (n_a, n)
}

#[test]
fn binomial_numbers_have_their_mean_and_variance() {
    let stream = Stream::new(1, "binomial");
    for (n, p) in [(50u64, 0.5), (1000, 0.9), (60_000, 0.999)] {
        let numbers: Vec<f64> = (0..20_000)
            .map(|i| binomial(n, (p, 1.0 - p), stream.draw(n, i).uniform_f64(0)) as f64)
            .collect();
        let mean = numbers.iter().sum::<f64>() / 20_000.0;
        let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        let (exact, spread) = (n as f64 * p, n as f64 * p * (1.0 - p));
        assert!((mean - exact).abs() < 4.0 * (spread / 20_000.0).sqrt(), "{n} {p}: {mean}");
        assert!((variance / spread - 1.0).abs() < 0.05, "{n} {p}: {variance}");
    }
}

#[test]
fn shares_never_exceed_the_whole_and_are_the_largest_that_do_not() {
    for whole in [0.001, 0.05, 1.0 / 3.0, 1e-9] {
        for parts in 1..=200u64 {
            let part = share(whole, parts);
            assert!(part.mul_add(parts as f64, -whole) <= 0.0, "{whole} {parts}");
            assert!(part.next_up().mul_add(parts as f64, -whole) > 0.0, "{whole} {parts}");
        }
    }
}

#[test]
fn looks_end_at_n_and_spend_no_more_than_alpha() {
    for mode in ALL {
        for n in [1, 17, 100, 250, 1000, 10_000, 100_000, 4_294_967_295] {
            let rule = Rule::new(mode, question(n, 0.001, &[0.9]));
            let looks = rule.looks();
            assert!(looks.windows(2).all(|pair| pair[0].samples < pair[1].samples), "{looks:?}");
            assert_eq!(looks.last().unwrap().samples, n);
            assert!(looks[0].samples >= n.min(40), "{} {n}: {looks:?}", mode.name);
            if mode.name != "anytime" {
                let levels = looks[0].alpha;
                assert!(looks.iter().all(|look| look.alpha == levels));
                assert!(levels.mul_add(looks.len() as f64, -0.001) <= 0.0, "{}", mode.name);
            }
        }
    }
    // The published setting has eight.
    let grid = Rule::new(&grid::MODE, question(100_000, 0.001, &[0.9]));
    let looks: Vec<u64> = grid.looks().iter().map(|look| look.samples).collect();
    assert_eq!(looks, [250, 588, 1385, 3259, 7671, 18_053, 42_489, 100_000]);
    assert_eq!(grid.looks()[0].alpha, 0.001 / 8.0);
    // A small radius is proved by fewer votes than that, a large one not: Phi(1)^54 < 0.001 / 10.
    let first =
        |target| Rule::new(&radius::MODE, question(100_000, 0.001, &[target])).looks[0].samples;
    assert_eq!((first(normal::cdf(1.0)), first(normal::cdf(3.0)), first(0.5)), (54, 250, 40));
}

/// The probability that the bound at the look that ends the sampling is above p, summed over all paths
/// of votes.
#[test]
fn modes_are_wrong_as_rarely_as_they_promise() {
    let alpha = 0.05;
    for mode in ALL {
        for p in [0.5, 0.83, 0.985] {
            // The target at the truth is the hardest to decide, so that many paths go far.
            let rule = Rule::new(mode, question(1500, alpha, &[p]));
            let mut alive = vec![1.0];
            let (mut missed, mut ended, mut drawn) = (0.0, 0.0, 0);
            for look in rule.looks() {
                for _ in drawn..look.samples {
                    let mut next = vec![0.0; alive.len() + 1];
                    for (k, mass) in alive.iter().enumerate() {
                        next[k] += mass * (1.0 - p);
                        next[k + 1] += mass * p;
                    }
                    alive = next;
                }
                drawn = look.samples;
                for (k, mass) in alive.iter_mut().enumerate().filter(|(_, mass)| **mass > 0.0) {
                    if rule.next(k as u64, drawn).is_none() {
                        ended += *mass;
                        missed += if rule.lower(k as u64, drawn) > p { *mass } else { 0.0 };
                        *mass = 0.0;
                    }
                }
            }
            assert!((ended - 1.0).abs() < 1e-9, "{} p={p}: {ended} of the paths end", mode.name);
            assert!(missed <= alpha, "{} p={p}: {missed}", mode.name);
            assert!(
                missed > 0.1 * alpha,
                "{} p={p}: {missed} is more cautious than it has to be",
                mode.name
            );
        }
    }
}

/// What a mode found at an image whose class is certain up to `distance`, negative if it was the wrong
/// one that was selected.
struct Certified {
    distance: f64,
    proven: f64,
    predicted: bool,
    n: u64,
}

impl Certified {
    fn wrong(&self) -> bool {
        self.proven > self.distance.max(0.0) || (self.predicted && self.distance < 0.0)
    }
}

/// Two classes N(m, I) and N(-m, I), |m| = 1, and their Bayes classifier, which is linear: an image is at
/// the signed distance N(1, 1) from the boundary, that distance is the exact radius of the smoothed
/// classifier, and under noise of deviation sigma its class has the probability Phi(distance / sigma).
#[test]
fn ten_thousand_images_of_two_gaussian_classes() {
    // As many in the check that all hold together; fewer where shares are compared.
    const IMAGES: u32 = 10_000;
    const SHARED: u32 = 4000;
    let sigma = 0.5;
    let radii = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5];
    let stream = Stream::new(4, "two-gaussians");
    for mode in ALL {
        let asked: &[f64] = if *mode.radii.end() == 1 { &radii[2..3] } else { &radii };
        let targets: Vec<f64> = asked.iter().map(|r| normal::cdf(r / sigma)).collect();
        let certify = |alpha: f64, images: u32| {
            let rule = Rule::new(mode, question(20_000, alpha, &targets));
            let image = |image: u32| {
                let mut z = [0.0];
                stream.draw(u64::from(image), 0).normal(&mut z);
                // The class that the selection chose; it is the wrong one for some near the boundary.
                let distance = 1.0 + f64::from(z[0]);
                let choice = (normal::cdf(distance / sigma), normal::cdf(-distance / sigma));
                let first =
                    binomial(100, choice, stream.draw(u64::from(image), 1).uniform_f64(0)) >= 50;
                let distance = if first { distance } else { -distance };
                let p = (normal::cdf(distance / sigma), normal::cdf(-distance / sigma));
                let (n_a, n) = sample(&rule, p, stream.draw(u64::from(image), 2));
                let p_low = rule.lower(n_a, n);
                let proven = if p_low < 0.5 { 0.0 } else { radius(p_low, sigma) };
                Certified { distance, proven, predicted: p_low >= 0.5, n }
            };
            (0..images).into_par_iter().map(image).collect::<Vec<_>>()
        };
        // Bonferroni: with all images together, no radius is above the truth.
        let together = certify(share(0.001, u64::from(IMAGES)), IMAGES);
        let wrong = together.iter().filter(|image| image.wrong()).count();
        assert_eq!(wrong, 0, "{}", mode.name);
        // Per image: no more above the truth than alpha and chance allow.
        let images = certify(0.001, SHARED);
        let wrong = images.iter().filter(|i| i.wrong()).count();
        assert!(wrong <= 4 + 8, "{}: {wrong} wrong", mode.name);
        // Tight: at the radii that were asked for nearly as much is certified as is true.
        for r in asked {
            let share = |of: &dyn Fn(&Certified) -> bool| {
                images.iter().filter(|image| of(image)).count() as f64 / f64::from(SHARED)
            };
            let exact = share(&|image| image.distance >= *r);
            let proven = share(&|image| image.predicted && image.proven >= *r);
            // About half of the images are certified whose expected votes would do at the last look.
            let (rule, target) =
                (Rule::new(mode, question(20_000, 0.001, &targets)), normal::cdf(r / sigma));
            let level = rule.level(20_000);
            let does = |d: &f64| {
                (mode.proves)((20_000.0 * normal::cdf(d / sigma)) as u64, 20_000, level, target)
            };
            let least = (0..).map(|step| r + 0.002 * f64::from(step)).find(does).unwrap();
            let expected = normal::cdf(least - 1.0) - normal::cdf(r - 1.0);
            let short = exact - proven;
            assert!(
                short > -0.001 && short < expected + 0.01,
                "{} r={r}: {short}, expected {expected}",
                mode.name
            );
        }
        let mean = images.iter().map(|image| image.n as f64).sum::<f64>() / f64::from(SHARED);
        let saved = 20_000.0 / mean;
        let least = if mode.stops_early() { 1.5 } else { 1.0 };
        assert!(saved >= least, "{}: {saved} times fewer samples", mode.name);
    }
}

/// The published votes of Cohen et al.'s networks on the CIFAR-10 test set: how many samples the modes
/// save of N = 100 000, and that hardly a certificate is lost at the radii of the tables.
#[test]
#[ignore = "needs the oracle files"]
#[allow(clippy::print_stderr)]
fn modes_save_samples_on_published_networks() {
    const N: u64 = 100_000;
    let oracle = std::env::var("EPSBALL_ORACLE")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/oracle").into());
    let folder = std::path::Path::new(&oracle).join("smoothing-logs");
    // How many times fewer samples at least, by grid, anytime and radius.
    for (text, largest, one, [grid, anytime, single]) in [
        ("0.12", 2, 0.25, [15.0, 16.0, 33.0]),
        ("0.25", 3, 0.25, [4.4, 4.9, 48.0]),
        ("0.50", 7, 0.5, [2.6, 2.8, 36.0]),
        ("1.00", 14, 1.0, [1.8, 1.9, 38.0]),
    ] {
        let sigma: f64 = text.parse().unwrap();
        let log = Log::read(&folder.join(format!("cohen_resnet110_sigma_{text}.tsv"))).unwrap();
        // The share of votes that gave the radius; where it abstained, the worst there is.
        let votes = |row: &LogRow| {
            let bound = normal::cdf(row.radius / sigma);
            let needed = |k: &u64| clopper_pearson::proves(*k, N, 0.001, bound);
            let (mut few, mut enough) = (N / 2, N);
            while enough - few > 1 {
                let middle = few.midpoint(enough);
                if needed(&middle) { enough = middle } else { few = middle }
            }
            if row.predict == ABSTAIN { 0.5 } else { enough as f64 / N as f64 }
        };
        let images: Vec<(bool, f64)> =
            log.rows().par_iter().map(|row| (row.correct, votes(row))).collect();
        let radii: Vec<f64> = (0..=largest).map(|k| 0.25 * f64::from(k)).collect();
        let run = |mode: &'static Mode, radii: &[f64]| {
            let targets: Vec<f64> = radii.iter().map(|r| normal::cdf(r / sigma)).collect();
            let beta = Smoothing::new(sigma).beta;
            let rule = Rule::new(mode, Question { beta, ..question(N, 0.001, &targets) });
            let stream = Stream::new(6, mode.name);
            let image = |(number, (correct, p)): (usize, &(bool, f64))| {
                let (n_a, n) = sample(&rule, (*p, 1.0 - p), stream.draw(number as u64, 0));
                let proves = |target| (mode.proves)(n_a, n, rule.level(n), target);
                let proven = targets.iter().take_while(|target| *correct && proves(**target));
                (proven.count(), n)
            };
            let all: Vec<(usize, u64)> = images.par_iter().enumerate().map(image).collect();
            let certified = |at: usize| {
                all.iter().filter(|(proven, _)| *proven > at).count() as f64 / all.len() as f64
            };
            let mean = all.iter().map(|(_, n)| *n as f64).sum::<f64>() / all.len() as f64;
            ((0..radii.len()).map(certified).collect::<Vec<f64>>(), N as f64 / mean)
        };
        for (mode, radii, least) in [
            (&grid::MODE, radii.clone(), grid),
            (&anytime::MODE, radii, anytime),
            (&radius::MODE, vec![one], single),
        ] {
            let (full, _) = run(&cohen::MODE, &radii);
            let (certified, saved) = run(mode, &radii);
            let lost = full.iter().zip(&certified).map(|(a, b)| a - b).fold(f64::MIN, f64::max);
            eprintln!(
                "sigma {text} {}: {saved:.1} times fewer, at most {:.2} points lost",
                mode.name,
                100.0 * lost
            );
            assert!(saved >= least, "sigma {text} {}: {saved:.2} times fewer", mode.name);
            assert!(lost <= 0.005, "sigma {text} {}: {lost} lost", mode.name);
        }
    }
}

/// The same through the engine: images at known distances from the boundary of a linear network.
#[test]
fn modes_decide_the_radii_of_a_linear_network() {
    const IMAGES: usize = 24;
    let network = Linear::new([1, 1, 2], &[1.0, 1.0], -0.5);
    let pixels: Vec<f32> = (0..IMAGES).flat_map(|i| [i as f32 / 24.0, 0.25]).collect();
    let distances: Vec<f64> = pixels.chunks(2).map(|image| network.distance(image)).collect();
    let batch = Batch {
        ids: (0..IMAGES as u64).collect(),
        images: Tensor::from_vec(pixels, (IMAGES, 1, 1, 2), &Device::Cpu).unwrap(),
        labels: vec![0; IMAGES],
    };
    let certify = |settings: &Smoothing, batch_size| {
        let mut rows = Vec::new();
        let stop = || false;
        certify_batch(&network, &batch, settings, batch_size, &mut Forget, &stop, &mut |row| {
            rows.push(CertificateRow { time: String::new(), ..row });
            Ok(())
        })
        .unwrap();
        rows
    };
    for mode in ALL {
        let radii = if *mode.radii.end() == 1 { vec![0.3] } else { vec![0.0, 0.1, 0.3] };
        let settings = Smoothing { mode, radii: radii.clone(), n: 5000, ..Smoothing::new(0.25) };
        let rows = certify(&settings, 1000);
        assert_eq!(certify(&settings, 37), rows, "{}", mode.name);
        for (row, distance) in rows.iter().zip(&distances) {
            assert!(row.radius <= distance.abs(), "{row:?}: {distance}");
            assert!(row.predict == ABSTAIN || (row.predict == 0) == (*distance > 0.0), "{row:?}");
            for r in radii.iter().filter(|r| distance.abs() > **r + 0.06) {
                assert!(row.predict != ABSTAIN && row.radius >= *r, "{row:?}: {distance}");
            }
            assert_eq!((row.mode.as_str(), row.alpha), (mode.name, 0.001));
            assert_eq!(row.p_low, (mode.lower)(row.n_a, row.n, row.level));
        }
        let drawn: u64 = rows.iter().map(|row| row.n).sum();
        let all = IMAGES as u64 * 5000;
        assert!(
            if mode.stops_early() { drawn < all / 2 } else { drawn == all },
            "{drawn} of {all}"
        );
    }
}
