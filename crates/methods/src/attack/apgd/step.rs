//! The starts and steps of a run in each norm, for one image as a row of numbers. In f32 and in the
//! order of the published code, so that two runs that begin with the same noise stay together.

use crate::threat::{Norm, project_on_l1_ball_and_box};

const TINY: f32 = 1e-12;

/// What a gradient of this length is divided by. The published code adds [`TINY`], which takes the step of a
/// shorter gradient away; where that is more than rounding, nothing is added.
fn divisor(length: f32) -> f32 {
    if length > 1e3 * TINY { length + TINY } else { length.max(f32::MIN_POSITIVE * f32::EPSILON) }
}

/// The random start `x` that noise `t` makes: uniform noise in [0, 1) for Linf, normal noise for
/// the others. Linf and L2 starts lie on the sphere before they are clipped to the box.
pub(in crate::attack) fn start(norm: Norm, x0: &[f32], t: &[f32], eps: f32, x: &mut [f32]) {
    match norm {
        Norm::Linf => {
            let largest = t.iter().map(|t| (2.0 * t - 1.0).abs()).fold(0.0, f32::max);
            for ((x, x0), t) in x.iter_mut().zip(x0).zip(t) {
                *x = (x0 + eps * ((2.0 * t - 1.0) / (largest + TINY))).clamp(0.0, 1.0);
            }
        }
        Norm::L2 => {
            let norm = length(t.iter().copied());
            for ((x, x0), t) in x.iter_mut().zip(x0).zip(t) {
                *x = (x0 + eps * (t / (norm + TINY))).clamp(0.0, 1.0);
            }
        }
        Norm::L1 | Norm::L0 | Norm::L0Pixels => {
            x.iter_mut().zip(x0).zip(t).for_each(|((x, x0), t)| *x = x0 + t);
            pull_l1(x0, t, eps, x);
        }
    }
}

/// One image at one iteration.
pub(super) struct Point<'a> {
    /// The clean image.
    pub(super) x0: &'a [f32],
    /// Where the run is.
    pub(super) x: &'a [f32],
    /// Where the step before began.
    pub(super) x_old: &'a [f32],
    /// Gradient of the loss at `x`.
    pub(super) gradient: &'a [f32],
}

impl Point<'_> {
    /// A step along the sign of the gradient, and the momentum step: Croce and Hein (ICML 2020),
    /// section 3.1, with weight `a` for the step and 1 - a for the step before it.
    pub(super) fn step_linf(&self, eps: f32, step_size: f32, a: f32, next: &mut [f32]) {
        let into = |x: f32, x0: f32| x.max(x0 - eps).min(x0 + eps).clamp(0.0, 1.0);
        for (i, next) in next.iter_mut().enumerate() {
            let (x0, x) = (self.x0[i], self.x[i]);
            let z = into(x + step_size * sign(self.gradient[i]), x0);
            *next = into(x + (z - x) * a + (x - self.x_old[i]) * (1.0 - a), x0);
        }
    }

    /// The same along the normalised gradient.
    pub(super) fn step_l2(&self, eps: f32, step_size: f32, a: f32, next: &mut [f32]) {
        let by = divisor(length(self.gradient.iter().copied()));
        for ((next, x), g) in next.iter_mut().zip(self.x).zip(self.gradient) {
            *next = x + step_size * (g / by);
        }
        pull_l2(self.x0, eps, next);
        for ((z, x), x_old) in next.iter_mut().zip(self.x).zip(self.x_old) {
            *z = x + (*z - x) * a + (x - x_old) * (1.0 - a);
        }
        pull_l2(self.x0, eps, next);
    }

    /// A step of L1 length `step_size` spread evenly over the `share` of the elements with the
    /// largest gradient (Croce and Hein, ICML 2021, section 3.1).
    pub(super) fn step_l1(&self, eps: f32, step_size: f32, share: f32, next: &mut [f32]) {
        let elements = self.gradient.len();
        let mut sizes: Vec<f32> = self.gradient.iter().map(|g| g.abs()).collect();
        let rank = ((1.0 - share) * elements as f32).clamp(0.0, (elements - 1) as f32) as usize;
        let (_, threshold, _) = sizes.select_nth_unstable_by(rank, f32::total_cmp);
        let direction = |g: &f32| if g.abs() >= *threshold { sign(*g) } else { 0.0 };
        let moved = self.gradient.iter().filter(|g| direction(g) != 0.0).count() as f32;
        for ((next, x), g) in next.iter_mut().zip(self.x).zip(self.gradient) {
            *next = x + step_size * direction(g) / (moved + 1e-10);
        }
        let y = difference(next, self.x0);
        next.iter_mut().zip(self.x0).zip(&y).for_each(|((x, x0), y)| *x = x0 + y);
        pull_l1(self.x0, &y, eps, next);
    }
}

/// Pulls `x`, which is x0 + y, into the ball and the box by their exact projection.
///
/// As in the published code, what the projection gives back entirely becomes x0 + y - y, not x0: the
/// next steps depend on how many elements differ. [`tidy_l1`] is for what leaves the run.
pub(super) fn pull_l1(x0: &[f32], y: &[f32], eps: f32, x: &mut [f32]) {
    let mut correction = vec![0.0; x.len()];
    project_on_l1_ball_and_box(x0, y, eps, &mut correction);
    for (x, c) in x.iter_mut().zip(correction) {
        // The clip is for the last place only.
        *x = (*x + c).clamp(0.0, 1.0);
    }
}

/// Brings `x`, which is in the ball but for rounding, into the ball in every place. In thousands of
/// elements that [`pull_l1`] has given back, rounding adds up to more than the slack of the threat
/// model.
pub(super) fn tidy_l1(x0: &[f32], eps: f32, x: &mut [f32]) {
    let shrink = (f64::from(eps) / Norm::L1.geometry().distance(x, x0)).min(1.0);
    for (x, x0) in x.iter_mut().zip(x0) {
        let wanted = (f64::from(*x) - f64::from(*x0)) * shrink;
        let rounded = (f64::from(*x0) + wanted) as f32;
        let change = f64::from(rounded) - f64::from(*x0);
        // Rounded towards x0.
        *x = match change.abs() > wanted.abs() {
            true if change > 0.0 => rounded.next_down(),
            true => rounded.next_up(),
            false => rounded,
        };
    }
}

/// `x - x0`.
pub(super) fn difference(x: &[f32], x0: &[f32]) -> Vec<f32> {
    x.iter().zip(x0).map(|(x, x0)| x - x0).collect()
}

/// Pulls `x` into the ball, then into the box.
fn pull_l2(x0: &[f32], eps: f32, x: &mut [f32]) {
    let norm = length(x.iter().zip(x0).map(|(x, x0)| x - x0));
    for (x, x0) in x.iter_mut().zip(x0) {
        *x = (x0 + (*x - x0) / (norm + TINY) * eps.min(norm)).clamp(0.0, 1.0);
    }
}

fn length(v: impl Iterator<Item = f32>) -> f32 {
    v.map(|v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt() as f32
}

/// -1, 0 or 1; 0 for NaN.
fn sign(g: f32) -> f32 {
    f32::from(i8::from(g > 0.0) - i8::from(g < 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;
    use crate::threat::Threat;

    /// Starts and steps from random noise and gradients, in images of these many elements.
    fn walk(norm: Norm, eps: f32, elements: usize, mut see: impl FnMut(&[f32], &[f32])) {
        let noise = |draw: u32, out: &mut Vec<f32>| {
            out.resize(elements, 0.0);
            let draw = Stream::new(1, "walk").draw(0, draw);
            if norm == Norm::Linf { draw.uniform(out) } else { draw.normal(out) }
        };
        let (mut x0, mut t, mut gradient) = (vec![0.0; elements], Vec::new(), Vec::new());
        Stream::new(2, "walk").draw(0, 0).uniform(&mut x0);
        noise(0, &mut t);
        let mut x = vec![0.0; elements];
        start(norm, &x0, &t, eps, &mut x);
        see(&x, &x0);
        let (mut x_old, mut next) = (x.clone(), x.clone());
        for step in 1..9 {
            noise(step, &mut gradient);
            let point = Point { x0: &x0, x: &x, x_old: &x_old, gradient: &gradient };
            let (step_size, a) = (2.0 * eps / step as f32, if step == 1 { 1.0 } else { 0.75 });
            match norm {
                Norm::Linf => point.step_linf(eps, step_size, a, &mut next),
                Norm::L2 => point.step_l2(eps, step_size, a, &mut next),
                Norm::L1 | Norm::L0 | Norm::L0Pixels => {
                    point.step_l1(eps, step_size / 2.0, 0.1, &mut next)
                }
            }
            see(&next, &x0);
            x_old = std::mem::replace(&mut x, next.clone());
        }
    }

    #[test]
    fn every_point_is_one_that_the_threat_model_allows() {
        for (elements, l1) in [(48, 2.0), (3072, 12.0), (150_528, 60.0)] {
            for (norm, eps) in [(Norm::Linf, 8.0 / 255.0), (Norm::L2, 0.5), (Norm::L1, l1)] {
                let threat = Threat::ball(norm, eps);
                walk(norm, eps, elements, |x, x0| {
                    let mut x = x.to_vec();
                    if norm == Norm::L1 {
                        let before = x.clone();
                        tidy_l1(x0, eps, &mut x);
                        assert!(norm.geometry().distance(&x, &before) < 1e-4 * f64::from(eps));
                    }
                    assert!(
                        threat.allows(&x, x0, [3, 1, elements / 3]),
                        "{norm} {elements}: {} of {eps}",
                        threat.distance(&x, x0, 3)
                    );
                });
            }
        }
    }

    #[test]
    fn starts_lie_on_the_sphere() {
        for (norm, eps) in [(Norm::Linf, 0.1), (Norm::L2, 0.3), (Norm::L1, 2.0)] {
            let (x0, mut x) = ([0.5; 7], [0.0; 7]);
            start(norm, &x0, &[0.3, 0.9, 0.1, 0.55, 0.2, 0.7, 0.45], eps, &mut x);
            let distance = norm.geometry().distance(&x, &x0);
            assert!((distance - f64::from(eps)).abs() < 1e-6, "{norm}: {distance}");
        }
    }

    /// Without momentum and far from the borders a step is the one of the definition.
    #[test]
    fn first_steps_by_hand() {
        let x0 = [0.5_f32, 0.5, 0.5, 0.5];
        let gradient = [3.0, -4.0, 0.0, 1.0];
        let point = Point { x0: &x0, x: &x0, x_old: &x0, gradient: &gradient };
        let mut next = [0.0; 4];
        let close = |next: &[f32], want: [f32; 4]| {
            assert!(next.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6), "{next:?} {want:?}");
        };
        point.step_linf(0.25, 0.125, 1.0, &mut next);
        close(&next, [0.625, 0.375, 0.5, 0.625]);
        let norm = 26.0_f32.sqrt();
        point.step_l2(0.25, 0.125, 1.0, &mut next);
        close(&next, [0.5 + 0.375 / norm, 0.5 - 0.5 / norm, 0.5, 0.5 + 0.125 / norm]);
        point.step_l1(0.25, 0.2, 0.5, &mut next);
        close(&next, [0.6, 0.4, 0.5, 0.5]);
        // A step out of the ball ends on it; momentum adds a quarter of the step before.
        point.step_linf(0.0625, 0.125, 1.0, &mut next);
        close(&next, [0.5625, 0.4375, 0.5, 0.5625]);
        let before = Point { x_old: &[0.3, 0.5, 0.5, 0.5], ..point };
        before.step_linf(0.25, 0.1, 0.75, &mut next);
        close(&next, [0.625, 0.425, 0.5, 0.575]);
    }

    #[test]
    fn a_short_gradient_makes_a_whole_step() {
        let x0 = [0.5_f32; 4];
        for size in [1.0_f32, 1e-9, 1e-12, 1e-20, 1e-36, 1e-40] {
            let gradient = [3.0 * size, -4.0 * size, 0.0, 0.0];
            let point = Point { x0: &x0, x: &x0, x_old: &x0, gradient: &gradient };
            let mut next = [0.0; 4];
            point.step_l2(0.25, 0.125, 1.0, &mut next);
            for (next, want) in next.iter().zip([0.575, 0.4, 0.5, 0.5]) {
                assert!((next - want).abs() < 1e-4, "{size}: {next} instead of {want}");
            }
        }
    }
}
