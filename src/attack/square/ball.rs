//! The closest point of the L1 ball and the box at once.

/// Replaces the perturbation in `x` by the image closest to `x0` + `x` (in the Euclidean sense)
/// among those of the box [0, 1] at most `eps` from `x0` in L1.
///
/// Every element of the perturbation shrinks by the same lambda, or stops at the border of the box
/// (Croce and Hein, ICML 2021, proposition 2.1). What remains falls with lambda in straight pieces;
/// lambda is found by Newton's method between bounds.
pub(super) fn project(x: &mut [f32], x0: &[f32], eps: f64) {
    let remains = |lambda: f64, delta: f32, x0: f32| {
        let room = f64::from(if delta > 0.0 { 1.0 - x0 } else { x0 });
        let shrunk = f64::from(delta.abs()) - lambda;
        if shrunk <= 0.0 {
            (0.0, 0.0)
        } else if shrunk >= room {
            (room, 0.0)
        } else {
            (shrunk, 1.0)
        }
    };
    let excess = |lambda: f64, x: &[f32]| {
        let (mut sum, mut slope) = (-eps, 0.0);
        for (x, x0) in x.iter().zip(x0) {
            let (size, falls) = remains(lambda, *x, *x0);
            sum += size;
            slope += falls;
        }
        (sum, slope)
    };
    let (mut lambda, mut least) = (0.0, 0.0);
    let mut most = x.iter().fold(0.0, |most: f64, x| most.max(f64::from(x.abs())));
    let close = 1e-9 * eps;
    let (mut over, mut slope) = excess(0.0, x);
    if over > 0.0 {
        // Halving alone would take as many steps as a number has bits.
        for _ in 0..64 {
            if over.abs() <= close {
                break;
            }
            if over > 0.0 {
                least = lambda
            } else {
                most = lambda
            }
            lambda += over / slope;
            if !(lambda > least && lambda < most) {
                lambda = f64::midpoint(least, most);
            }
            (over, slope) = excess(lambda, x);
        }
    }
    for (x, x0) in x.iter_mut().zip(x0) {
        let kept = remains(lambda, *x, *x0).0.copysign(f64::from(*x));
        *x = (f64::from(*x0) + kept).clamp(0.0, 1.0) as f32;
    }
}
