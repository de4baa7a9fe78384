//! The equation behind the Linf and the L2 projection: every element of weight v > 0 contributes
//! v min(lambda s, room), and lambda is where the contributions reach the distance that is missing.

use super::sum;

/// The lambda at which the sum of v min(lambda s, room) over the elements is `need`; infinite if it
/// stays below. `element(x, w)` gives `[v, s, room]`, with v = 0 for elements that do not count.
///
/// The sum is increasing and concave in lambda and made of straight pieces. Newton's method from the
/// left of the solution therefore climbs from piece to piece and ends on the exact one, after a
/// handful of passes where sorting the elements would cost more than all of them.
pub(super) fn solve(
    x: &[f32],
    w: &[f32],
    need: f64,
    element: impl Fn(f32, f32) -> [f64; 3],
) -> f64 {
    let [reach, slope] = sum(x, w, |x, w| {
        let [v, s, room] = element(x, w);
        [v * room, v * s]
    });
    if need >= reach {
        return f64::INFINITY;
    }
    let mut lambda = need / slope;
    loop {
        let [stopped, slope] = sum(x, w, |x, w| {
            let [v, s, room] = element(x, w);
            if lambda * s >= room { [v * room, 0.0] } else { [0.0, v * s] }
        });
        let next = (need - stopped) / slope;
        if !(next > lambda && next.is_finite()) {
            return lambda;
        }
        lambda = next;
    }
}
