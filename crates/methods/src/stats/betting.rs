//! Bounds of a probability p that hold at every number of trials at once, from `k` successes in the
//! first `n` independent trials: whoever looks after each trial and stops when he likes is as safe as
//! one who looked once. Betting as in Waudby-Smith and Ramdas, "Estimating means of bounded random
//! variables by betting" (JRSS B 2024), with the bettor of Krichevsky and Trofimov ("The performance
//! of universal encoding", 1981); proposed for smoothing by Voracek ("Treatment of statistical
//! estimation problems in randomized smoothing", arXiv 2406.17830).
//!
//! **One value of p.** Let `f(q) = q^k (1 - q)^(n - k)`, the probability under q of the very trials
//! that were seen. For a prior over q that does not depend on the trials,
//!
//! ```text
//! M = integral of f dprior / f(p)
//! ```
//!
//! is the wealth of somebody who starts with 1 and bets against p: a q of the prior multiplies its part
//! by q / p after a success and by (1 - q) / (1 - p) after a failure, so if p is the truth a trial
//! leaves the expected wealth as it was, p q / p + (1 - p) (1 - q) / (1 - p) = 1. By Ville's inequality
//! such a wealth *ever* reaches 1 / alpha with probability at most alpha.
//!
//! **The prior.** A lower bound has to refute only what is too small, so nothing is wasted on bets that
//! q is smaller than p: the prior is Beta(1/2, 1/2) restricted to q > p, where it has the mass
//! `A(p) = (2 / pi) arcsin sqrt(1 - p)`. (Unrestricted it gives the published bound, which for k = n =
//! 100 000 and alpha = 0.001 is 3.648 standard deviations; this one is 3.768, Clopper-Pearson for a
//! single look 3.811.) With the wealth of the unrestricted prior, `W = B(k + 1/2, n - k + 1/2) / (pi f(p))`,
//!
//! ```text
//! M = (W - integral of f / f(p) over q < p) / A >= (W - (1 - A)) / A    for p <= k / n,
//! ```
//!
//! because there f rises up to p. So p is refuted where `W >= A / alpha + 1 - A`.
//!
//! **All values of p.** With the density b of Beta(1/2, 1/2),
//!
//! ```text
//! d ln M / dp = (b / A) (1 - 1 / M) - (k - n p) / (p (1 - p)),    b / A <= 1 / (2 sqrt(p) (1 - p)),
//! ```
//!
//! the latter by arcsin x >= x. It is negative while k - n p > sqrt(p) / 2, so up to (k - 1/2) / n a
//! refuted p takes all smaller ones with it, and the largest refuted one can be bisected. As in
//! [`clopper_pearson`](super::clopper_pearson), the answer is a number that was *seen* to be refuted by
//! more than the error of the functions that said so.

use std::f64::consts::{FRAC_2_PI, PI};

use statrs::function::beta::checked_ln_beta;

/// The largest x of which p is known to be no smaller: with probability `1 - alpha` it is so after
/// every number `n` of trials.
///
/// Input that is no count or no confidence (`k > n`, `alpha` outside (0, 1)) gets the trivial bound 0.
pub fn lower(k: u64, n: u64, alpha: f64) -> f64 {
    let (mut safe, mut too_high) = (0.0, (k as f64 - 0.5) / n.max(1) as f64);
    loop {
        let middle = 0.5 * (safe + too_high);
        if !(middle > safe && middle < too_high) {
            return safe;
        }
        if proves(k, n, alpha, middle) { safe = middle } else { too_high = middle }
    }
}

/// Whether p is known to be at least `x`, as [`lower`] understands it.
pub fn proves(k: u64, n: u64, alpha: f64, x: f64) -> bool {
    let (successes, trials) = (k as f64, n as f64);
    if k > n || !(alpha > 0.0 && alpha < 1.0) || !(x > 0.0 && x <= (successes - 0.5) / trials) {
        return false;
    }
    let Some(wealth) = log_wealth(k, n, x) else { return false };
    let above = FRAC_2_PI * (1.0 - x).sqrt().asin();
    wealth >= (above / alpha + (1.0 - above)).ln()
}

/// ln W, rounded down by more than it can be off: `ln B` is a difference of logarithms of gamma
/// functions, the largest of them about n ln n, and each term loses a few units of its last place.
fn log_wealth(k: u64, n: u64, x: f64) -> Option<f64> {
    let (k, n) = (k as f64, n as f64);
    let mixture = checked_ln_beta(k + 0.5, n - k + 0.5).ok()? - PI.ln();
    let likelihood = k * x.ln() + (n - k) * (-x).ln_1p();
    let size = 64.0 + n * n.ln() - likelihood;
    Some(mixture - likelihood - 16.0 * f64::EPSILON * size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{clopper_pearson, normal};
    use proptest::prelude::*;

    /// The largest x with W >= 1 / alpha: the bound as published, without the restriction.
    fn unrestricted(k: u64, n: u64, alpha: f64) -> f64 {
        let (mut low, mut high) = (0.0, k as f64 / n as f64);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if log_wealth(k, n, middle).unwrap() >= -alpha.ln() {
                low = middle
            } else {
                high = middle
            }
        }
        low
    }

    #[test]
    fn without_the_restriction_it_is_the_published_bound() {
        let z = |k| normal::quantile(unrestricted(k, 100_000, 0.001));
        assert!((z(100_000) - 3.6476).abs() < 5e-5, "{}", z(100_000));
        assert!((z(75_000) - 0.6526).abs() < 5e-5, "{}", z(75_000));
    }

    #[test]
    fn the_restriction_helps_and_a_single_look_is_tighter_still() {
        for (n, k) in [(100, 100), (1000, 900), (100_000, 75_000), (100_000, 100_000)] {
            let bound = lower(k, n, 0.001);
            assert!(bound > unrestricted(k, n, 0.001), "{k}/{n}");
            assert!(bound < clopper_pearson::lower(k, n, 0.001), "{k}/{n}");
        }
        let z = normal::quantile(lower(100_000, 100_000, 0.001));
        assert!((z - 3.767_590).abs() < 1e-6, "{z}");
    }

    /// Sum over k of C(n, k) f(p) W = 1 for every p: nobody gains on average.
    #[test]
    fn the_expected_wealth_is_one() {
        for n in [1u64, 2, 9, 60, 400] {
            for p in [0.1f64, 0.5, 0.93] {
                let mut expected = 0.0;
                let mut coefficient = 0.0; // ln C(n, k)
                for k in 0..=n {
                    let f = k as f64 * p.ln() + (n - k) as f64 * (1.0 - p).ln();
                    expected += (coefficient + f + log_wealth(k, n, p).unwrap()).exp();
                    coefficient += ((n - k) as f64 / (k + 1) as f64).ln();
                }
                assert!((expected - 1.0).abs() < 1e-9, "n={n} p={p}: {expected}");
            }
        }
    }

    /// The probability that the bound is ever above p, by following every path of 1500 trials.
    #[test]
    fn the_bound_is_ever_wrong_as_rarely_as_promised() {
        let (trials, alpha) = (1500u64, 0.05);
        for p in [0.5, 0.83, 0.985] {
            // Probability of k successes among the paths on which the bound was never above p.
            let mut alive = vec![1.0];
            let (mut missed, mut least) = (0.0, 0);
            for n in 1..=trials {
                let mut next = vec![0.0; n as usize + 1];
                for (k, mass) in alive.iter().enumerate() {
                    next[k] += mass * (1.0 - p);
                    next[k + 1] += mass * p;
                }
                while least <= n && !proves(least, n, alpha, p) {
                    least += 1;
                }
                // As n grows p is refuted by more successes, never by fewer.
                assert!(least == 0 || !proves(least - 1, n, alpha, p));
                missed += next.iter().skip(least as usize).sum::<f64>();
                next.iter_mut().skip(least as usize).for_each(|mass| *mass = 0.0);
                alive = next;
            }
            assert!(missed <= alpha, "p={p}: {missed}");
            assert!(missed > 0.2 * alpha, "p={p}: {missed} could do with a tighter bound");
        }
    }

    #[test]
    fn input_that_is_no_count_or_confidence_gets_the_trivial_bound() {
        for (k, n, alpha) in
            [(0, 0, 0.1), (3, 2, 0.1), (1, 2, 0.0), (1, 2, 1.0), (1, 2, f64::NAN), (0, 9, 0.1)]
        {
            assert_eq!(lower(k, n, alpha), 0.0, "{k} {n} {alpha}");
        }
        assert!(!proves(5, 9, 0.1, f64::NAN) && !proves(9, 9, 0.1, 1.0));
    }

    proptest! {
        #[test]
        fn a_bound_is_proven_and_nothing_above_it(
            n in 1u64..200_000, share in 0f64..=1.0, alpha in 1e-9f64..0.5,
        ) {
            let k = (share * n as f64) as u64;
            let bound = lower(k, n, alpha);
            prop_assert!(bound <= share && bound <= clopper_pearson::lower(k, n, alpha));
            prop_assert!(bound == 0.0 || proves(k, n, alpha, bound));
            prop_assert!(bound == 0.0 || proves(k, n, alpha, 0.7 * bound));
            prop_assert!(!proves(k, n, alpha, bound + 1e-9 + 1e-3 * bound));
        }
    }
}
