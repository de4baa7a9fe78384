//! L1: the elements of largest weight go all the way to the box, one stops on the hyperplane, the
//! others stay. That is a fractional knapsack, solved by selection instead of sorting.

use super::l2::SMALLEST;
use super::{down, room};

/// The largest 1 / |w| that is told apart, as in the published code.
const LARGEST_RECIPROCAL: f32 = 1e12;

pub(super) fn project(x: &[f32], w: &[f32], c: f64, d: &mut [f32]) {
    let sign = if c >= 0.0 { 1.0_f32 } else { -1.0 };
    d.fill(0.0);
    let mut need = c.abs();
    // In the published order: by 1 / |w| in f32, then by place. Positive floats sort as their bits.
    let key = |(i, w): (usize, &f32)| {
        let reciprocal = (1.0 / w.abs()).min(LARGEST_RECIPROCAL);
        (w.abs() > SMALLEST).then(|| u64::from(reciprocal.to_bits()) << 32 | i as u64)
    };
    let mut keys: Vec<u64> = w.iter().enumerate().filter_map(key).collect();
    let place = |key: &u64| *key as u32 as usize;
    let gain = |i: usize| f64::from(w[i].abs()) * f64::from(room(x[i], sign * w[i]));
    let mut rest = &mut keys[..];
    while rest.len() > 1 {
        let half = rest.len() / 2;
        rest.select_nth_unstable(half);
        let (first, last) = rest.split_at_mut(half);
        let gained: f64 = first.iter().map(|key| gain(place(key))).sum();
        if gained >= need {
            rest = first;
            continue;
        }
        need -= gained;
        for i in first.iter().map(place) {
            d[i] = down(room(x[i], sign * w[i]), sign * w[i]);
        }
        rest = last;
    }
    if let Some(i) = rest.first().map(place) {
        let by = (need / f64::from(w[i].abs())) as f32;
        d[i] = down(room(x[i], sign * w[i]).min(by), sign * w[i]);
    }
}
