//! Random ablation: all but a few pixels are hidden. The noise of L0 certificates.

use super::{CertifiedNorm, Noise};
use crate::rng::Draw;

/// Keeps k pixels, chosen evenly among all sets of k, and gives the others one value in all channels.
///
/// R in L0 is the largest number r of changed pixels with p - (1 - C(d - r, k) / C(d, k)) > 1/2, where
/// d is the number of pixels (Levine and Feizi, "Robustness certificates for sparse adversarial attacks
/// by randomized ablation", AAAI 2020, theorem 1): the bracket is the probability that a changed
/// pixel is among those that stay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomAblation {
    /// Pixels that stay, at least 1 and at most all.
    pub k: usize,
    /// C of the images.
    pub channels: usize,
    /// Value of the hidden pixels.
    pub fill: f32,
}

impl RandomAblation {
    /// Which of `pixels` stay: Floyd's sampling, in which every set of k has the same probability.
    fn kept(&self, draw: Draw, pixels: usize) -> Vec<bool> {
        let mut kept = vec![false; pixels];
        for (number, last) in (pixels.saturating_sub(self.k)..pixels).enumerate() {
            let [high, low, ..] = draw.block(number as u32);
            let word = (u128::from(high) << 32) | u128::from(low);
            let chosen = ((word * (last as u128 + 1)) >> 64) as usize;
            let free = if kept[chosen] { last } else { chosen };
            kept[free] = true;
        }
        kept
    }
}

impl Noise for RandomAblation {
    fn apply(&self, image: &[f32], draw: Draw, out: &mut [f32]) {
        let pixels = image.len() / self.channels.max(1);
        let kept = self.kept(draw, pixels);
        for (element, (o, x)) in out.iter_mut().zip(image).enumerate() {
            *o = if kept[element % pixels] { *x } else { self.fill };
        }
    }

    fn norms(&self) -> &'static [CertifiedNorm] {
        &[CertifiedNorm::L0]
    }

    fn radius(&self, norm: CertifiedNorm, p_low: f64, dimension: usize) -> Option<f64> {
        let (d, k) = (dimension / self.channels.max(1), self.k);
        // 64-bit words choose evenly among up to d pixels but for d 2^-64, k times.
        let p = (p_low - (d * k) as f64 * 2f64.powi(-64)).next_down();
        if norm != CertifiedNorm::L0 || p <= 0.5 {
            return None;
        }
        let needed = (1.5 - p).next_up();
        // C(d - r, k) / C(d, k), which is 1 at r = 0, from each r to the next.
        let (mut r, mut untouched) = (0, 1.0);
        while r + k <= d {
            untouched *= (d - r - k) as f64 / (d - r) as f64 * (1.0 - 2.0 * f64::EPSILON);
            if untouched <= needed {
                break;
            }
            r += 1;
        }
        Some(r as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    fn radius(d: usize, k: usize, p: f64) -> Option<f64> {
        RandomAblation { k, channels: 3, fill: 0.0 }.radius(CertifiedNorm::L0, p, 3 * d)
    }

    #[test]
    fn published_values() {
        for (d, k, radii) in
            [(784, 45, [1.0, 4.0, 8.0, 11.0, 11.0]), (1024, 75, [1.0, 3.0, 6.0, 8.0, 9.0])]
        {
            for (p, expected) in [0.6, 0.75, 0.9, 0.99, 0.999].into_iter().zip(radii) {
                assert_eq!(radius(d, k, p), Some(expected), "d={d} k={k} p={p}");
            }
        }
        assert_eq!(radius(784, 45, 0.500_001), Some(0.0));
        assert_eq!(radius(784, 45, 0.5), None);
        // All pixels stay: a single one may decide.
        assert_eq!(radius(4, 4, 0.999), Some(0.0));
    }

    /// All sets of k pixels, all sets of r changed ones: the class has `votes` of the sets and loses
    /// those that see a change, of which the worst case is that all had voted for it.
    #[test]
    fn radii_are_those_of_trying_every_set() {
        for (d, k) in [(6u32, 2u32), (7, 1), (8, 3), (9, 4)] {
            let sets = |size: u32| (0u32..1 << d).filter(move |set| set.count_ones() == size);
            let total = sets(k).count();
            let mut hits = vec![0; d as usize + 1];
            for r in 0..=d {
                let seen = |changed: u32| sets(k).filter(|kept| kept & changed != 0).count();
                hits[r as usize] = sets(r).map(seen).max().unwrap();
            }
            for votes in total / 2 + 1..=total {
                let survives = |r: &usize| 2 * (votes as i64 - hits[*r] as i64) > total as i64;
                let truth = (0..=d as usize).take_while(survives).last().unwrap();
                let p = votes as f64 / total as f64;
                let found = radius(d as usize, k as usize, p).unwrap();
                assert_eq!(found, truth as f64, "d={d} k={k}, {votes} of {total}");
            }
        }
    }

    #[test]
    fn every_set_of_pixels_is_as_likely() {
        let noise = RandomAblation { k: 2, channels: 2, fill: 0.25 };
        let image: Vec<f32> = (0..10).map(|i| 1.0 + i as f32).collect();
        let mut out = vec![0.0; 10];
        let mut seen = std::collections::BTreeMap::new();
        for sample in 0..5000 {
            noise.apply(&image, Stream::new(4, "x").draw(1, sample), &mut out);
            let kept: Vec<usize> = (0..5).filter(|p| out[*p] == image[*p]).collect();
            assert_eq!(kept.len(), 2);
            for pixel in 0..5 {
                let expected = if kept.contains(&pixel) { image[5 + pixel] } else { 0.25 };
                assert_eq!(out[5 + pixel], expected);
            }
            *seen.entry(kept).or_insert(0) += 1;
        }
        // Ten sets of 500 +- 21 each.
        assert_eq!(seen.len(), 10);
        assert!(seen.values().all(|count| (400..600).contains(count)), "{seen:?}");
    }
}
