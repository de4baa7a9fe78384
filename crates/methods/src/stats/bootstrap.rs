//! The paired bootstrap (Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 13): an
//! interval for the mean of differences between two methods on the same images, from drawing images
//! with replacement. The random numbers are keyed, so the interval is the same bits on every run and
//! with any number of threads.

use rayon::prelude::*;

use crate::rng::Stream;

/// Draws that an interval rests on.
pub const REPLICATES: u32 = 10_000;

/// The two-sided percentile interval `(low, high)` of the mean of `differences`, one per image, at
/// `confidence` in (0, 1), from `replicates` draws with `seed`. Its ends are drawn means, those just
/// outside the share of draws that the confidence asks for. Without differences, draws or confidence
/// it says nothing: `(-infinity, infinity)`.
pub fn interval(differences: &[f64], confidence: f64, replicates: u32, seed: u64) -> (f64, f64) {
    if differences.is_empty() || replicates == 0 || !(confidence > 0.0 && confidence < 1.0) {
        return (f64::NEG_INFINITY, f64::INFINITY);
    }
    let stream = Stream::new(seed, "bootstrap");
    let mut means: Vec<f64> =
        (0..replicates).into_par_iter().map(|draw| drawn_mean(differences, stream, draw)).collect();
    means.sort_by(f64::total_cmp);
    let outside = (0.5 * (1.0 - confidence) * means.len() as f64).floor() as usize;
    (means[outside], means[means.len() - 1 - outside])
}

/// The mean of as many differences as there are, drawn with replacement.
fn drawn_mean(differences: &[f64], stream: Stream, draw: u32) -> f64 {
    let (draw, n) = (stream.draw(0, draw), differences.len() as u64);
    let mut sum = 0.0;
    for block in 0..n.div_ceil(4) {
        let left = (n - 4 * block).min(4) as usize;
        for word in &draw.block(block as u32)[..left] {
            sum += differences[((u64::from(*word) * n) >> 32) as usize];
        }
    }
    sum / n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `plus` images won, `minus` lost, of 400.
    fn differences(plus: usize, minus: usize) -> Vec<f64> {
        (0..400)
            .map(|i| if i < plus { 1.0 } else { 0.0 - f64::from(u8::from(i < plus + minus)) })
            .collect()
    }

    #[test]
    fn the_interval_is_that_of_the_normal_limit() {
        let d = differences(60, 20);
        let (low, high) = interval(&d, 0.95, 4000, 7);
        let mean = 0.1;
        let deviation = ((80.0 / 400.0 - mean * mean) / 400.0f64).sqrt();
        for end in [mean - low, high - mean] {
            assert!((end / deviation - 1.96).abs() < 0.25, "{low} {high}");
        }
    }

    #[test]
    fn same_bits_every_time_and_other_bits_with_another_seed() {
        let d = differences(60, 20);
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(interval(&d, 0.9, 500, 1), one.install(|| interval(&d, 0.9, 500, 1)));
        assert_ne!(interval(&d, 0.9, 500, 1), interval(&d, 0.9, 500, 2));
    }

    #[test]
    fn it_covers_the_truth_about_as_often_as_it_says() {
        // A true difference of 0.1: +1 with probability 0.25, -1 with 0.15.
        let stream = Stream::new(3, "truth");
        let mut covered = 0;
        for run in 0..200 {
            let draw = stream.draw(run, 0);
            let value = |i| match draw.uniform_f64(i) {
                u if u < 0.25 => 1.0,
                u if u < 0.4 => -1.0,
                _ => 0.0,
            };
            let d: Vec<f64> = (0..150).map(value).collect();
            let (low, high) = interval(&d, 0.9, 300, 0);
            covered += usize::from(low <= 0.1 && 0.1 <= high);
        }
        // Expected 180 of 200, standard deviation 4.2.
        assert!((164..=196).contains(&covered), "{covered}");
    }

    #[test]
    fn without_input_it_says_nothing() {
        let nothing = (f64::NEG_INFINITY, f64::INFINITY);
        assert_eq!(interval(&[], 0.95, 10, 0), nothing);
        assert_eq!(interval(&[1.0], 0.95, 0, 0), nothing);
        assert_eq!(interval(&[1.0], 1.0, 10, 0), nothing);
        assert_eq!(interval(&[0.5, 0.5], 0.95, 10, 0), (0.5, 0.5));
    }
}
