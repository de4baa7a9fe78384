//! The step of the Brendel & Bethge attack (Brendel et al., NeurIPS 2019, section 3 and appendix A): from x to the image y of
//! the box that is closest to the clean image x0, of those that lie on a hyperplane and in a Euclidean ball around x.
//!
//!   min ||y - x0||_p   subject to   g . (y - x) = c,   ||y - x||_2 <= r,   0 <= y <= 1
//!
//! The Lagrangian of the two constraints falls apart into the values of the image, each with a closed form. What is left are
//! a multiplier of the hyperplane, of which g . (y - x) is a monotone function, and one of the ball (in Linf the radius of
//! the norm's own ball), of which the length of the step is. Both are found by bisection, the first one from Newton's
//! steps. The published code maximises the dual by a general method of two variables, in L2 takes turns of clamping, and in
//! L0 a simplex method; the problem is the same one. In L0, where it is not convex, the dual leaves a gap: the solution
//! keeps the constraints, and may change more values than the best one.
//!
//! Where no image of ball and box lies on the hyperplane, the step goes as far towards it as they let it. All is in f64.

use crate::threat::Norm;

/// A problem.
pub(super) struct Problem<'a> {
    pub(super) norm: Norm,
    /// The clean image.
    pub(super) x0: &'a [f64],
    /// Where the step begins, inside the box.
    pub(super) x: &'a [f64],
    /// Normal of the hyperplane.
    pub(super) g: &'a [f64],
    /// By how much g . x has to change.
    pub(super) c: f64,
    /// Length of the longest step.
    pub(super) r: f64,
}

/// Steps of the bisections over the multiplier of the ball, and of those over that of the hyperplane.
const OUTER: usize = 30;
const INNER: usize = 80;

/// Share of a constraint that may be missed.
const SLACK: f64 = 1e-7;

impl Problem<'_> {
    /// y.
    pub(super) fn solve(&self) -> Vec<f64> {
        // Where the gradient says nothing there is no boundary to follow, and the way back is free.
        if self.g.iter().all(|g| *g == 0.0) {
            return self.back();
        }
        let [least, most] = self.extremes(&|_| [0.0, 1.0]);
        let farthest = if self.c > 0.0 { most } else { least };
        if self.c.abs() > farthest.abs() {
            return self.towards();
        }
        // The shortest step to the hyperplane.
        let (shortest, _) = self.nearest(&|_| [0.0, 1.0], 0.0);
        if self.length(&shortest) > self.r * (1.0 + SLACK) {
            return self.towards();
        }
        match self.norm {
            Norm::L2 => self.l2(shortest),
            Norm::Linf => self.linf(),
            Norm::L1 => self.few(shortest, &|i| self.g[i].abs()),
            Norm::L0 | Norm::L0Pixels => {
                let by = self.missing();
                self.few(shortest, &|i| self.g[i].abs() * self.room(i, by))
            }
        }
    }

    fn values(&self, of: impl Fn(usize) -> f64) -> Vec<f64> {
        (0..self.x.len()).map(of).collect()
    }

    fn length(&self, y: &[f64]) -> f64 {
        y.iter().zip(self.x).map(|(y, x)| (y - x) * (y - x)).sum::<f64>().sqrt()
    }

    /// g . (y - x).
    fn along(&self, y: &[f64]) -> f64 {
        y.iter().zip(self.x).zip(self.g).map(|((y, x), g)| (y - x) * g).sum()
    }

    /// The least and the most that g . (y - x) can be between these bounds of y.
    fn extremes(&self, bounds: &dyn Fn(usize) -> [f64; 2]) -> [f64; 2] {
        (0..self.x.len()).fold([0.0, 0.0], |[least, most], i| {
            let ends = bounds(i).map(|end| self.g[i] * (end - self.x[i]));
            [least + ends[0].min(ends[1]), most + ends[0].max(ends[1])]
        })
    }

    /// Back towards the clean image, as far as the ball lets it.
    fn back(&self) -> Vec<f64> {
        let length = self.length(self.x0);
        let share = if length > self.r { self.r / length } else { 1.0 };
        self.values(|i| if share == 1.0 { self.x0[i] } else { self.mix(i, share) })
    }

    fn mix(&self, i: usize, share: f64) -> f64 {
        self.x[i] + share * (self.x0[i] - self.x[i])
    }

    /// The image of ball and box that is farthest in the direction of the hyperplane: x + l g, clipped, of length r.
    fn towards(&self) -> Vec<f64> {
        let at = |l: f64| self.values(|i| (self.x[i] + l * self.g[i]).clamp(0.0, 1.0));
        let size = self.g.iter().map(|g| g * g).sum::<f64>().sqrt();
        let sign = if self.c < 0.0 { -1.0 } else { 1.0 };
        // Without the box the step has the length r at once; the box can only shorten it.
        let (mut low, mut high) = (0.0, self.r / size);
        for _ in 0..OUTER {
            if self.length(&at(sign * high)) >= self.r {
                break;
            }
            (low, high) = (high, 2.0 * high);
        }
        if self.length(&at(sign * high)) <= self.r {
            return at(sign * high);
        }
        for _ in 0..OUTER {
            let middle = f64::midpoint(low, high);
            let far = self.length(&at(sign * middle)) > self.r;
            *(if far { &mut high } else { &mut low }) = middle;
        }
        at(sign * low)
    }

    /// Where g . (y(l) - x) reaches c, of functions y that make it grow with l, from `start` on; on the side where it is c
    /// or more. With l.
    fn root(&self, y: impl Fn(f64) -> Vec<f64>, start: f64) -> (Vec<f64>, f64) {
        let size = self.g.iter().map(|g| g * g).sum::<f64>();
        let reached = |y: &[f64]| self.along(y) >= self.c;
        let mut here = y(start);
        let upwards = !reached(&here);
        let mut by = ((self.c - self.along(&here)).abs() / size * (1.0 + SLACK)).max(1e-12);
        let (mut low, mut high) = (start, start);
        // Brackets the root in ever larger steps; the first one is Newton's where the box is no matter.
        for _ in 0..INNER {
            let next = if upwards { high + by } else { low - by };
            here = y(next);
            by *= 2.0;
            if upwards {
                (low, high) = (high, next);
            } else {
                (low, high) = (next, low);
            }
            if reached(&here) == upwards {
                break;
            }
        }
        let mut best = y(high);
        let mut values = [self.along(&y(low)), self.along(&best)];
        for step in 0..INNER {
            if values[1] - self.c <= SLACK * self.c.abs().max(1e-12) {
                break;
            }
            // Between the ends of the bracket in proportion, and every third time in the middle.
            let share = (self.c - values[0]) / (values[1] - values[0]);
            let share = if step % 3 == 2 { 0.5 } else { (share * (1.0 + 1e-9)).clamp(0.01, 0.99) };
            let middle = low + share * (high - low);
            if middle <= low || middle >= high {
                break;
            }
            here = y(middle);
            let value = self.along(&here);
            if value >= self.c {
                (high, values[1], best) = (middle, value, here);
            } else {
                (low, values[0]) = (middle, value);
            }
        }
        (best, high)
    }

    /// The shortest step to the hyperplane between these bounds of y, with its multiplier.
    fn nearest(&self, bounds: &dyn Fn(usize) -> [f64; 2], start: f64) -> (Vec<f64>, f64) {
        let y = |l: f64| {
            self.values(|i| {
                let [low, high] = bounds(i);
                (self.x[i] + l * self.g[i]).clamp(low, high)
            })
        };
        self.root(y, start)
    }

    /// y = clip(x + t (x0 - x) + l g) with the largest t up to 1 of which the length is at most r.
    fn l2(&self, shortest: Vec<f64>) -> Vec<f64> {
        let at = |t: f64, start: f64| {
            self.root(|l| self.values(|i| (self.mix(i, t) + l * self.g[i]).clamp(0.0, 1.0)), start)
        };
        let (whole, start) = at(1.0, 0.0);
        if self.length(&whole) <= self.r {
            return whole;
        }
        let (mut low, mut high, mut best, mut start) = (0.0, 1.0, shortest, start);
        for _ in 0..OUTER {
            let middle = f64::midpoint(low, high);
            let (y, l) = at(middle, start);
            start = l;
            if self.length(&y) <= self.r {
                (low, best) = (middle, y);
            } else {
                high = middle;
            }
        }
        best
    }

    /// The smallest ball around x0 in which the hyperplane can be reached.
    fn linf(&self) -> Vec<f64> {
        let (mut low, mut high, mut start) = (0.0, 1.0, 0.0);
        let mut best = self.nearest(&|_| [0.0, 1.0], 0.0).0;
        for _ in 0..OUTER {
            let eps = f64::midpoint(low, high);
            let bounds = |i: usize| [(self.x0[i] - eps).max(0.0), (self.x0[i] + eps).min(1.0)];
            let [least, most] = self.extremes(&bounds);
            let reachable = (least..=most).contains(&self.c);
            let found = reachable.then(|| self.nearest(&bounds, start));
            match found.filter(|(y, _)| self.length(y) <= self.r) {
                Some((y, l)) => (high, best, start) = (eps, y, l),
                None => low = eps,
            }
        }
        best
    }

    /// What is missing of c at x0.
    fn missing(&self) -> f64 {
        self.c - self.along(self.x0)
    }

    /// How far value i of the clean image can go in the direction that changes g . y by the sign of `by`.
    fn room(&self, i: usize, by: f64) -> f64 {
        if self.g[i] * by > 0.0 { 1.0 - self.x0[i] } else { self.x0[i] }
    }

    /// L1 and L0: without the ball the values that are `worth` most go to the ends of the box, one after the other, until
    /// the hyperplane is reached. If that is too far, the multiplier of the ball is looked for, from the shortest step on.
    fn few(&self, shortest: Vec<f64>, worth: &dyn Fn(usize) -> f64) -> Vec<f64> {
        if let Some(free) = self.greedy(worth).filter(|y| self.length(y) <= self.r) {
            return free;
        }
        let (mut low, mut high, mut start) = (0.0, f64::INFINITY, 0.0);
        let (mut best, mut tau) = (shortest, 1e-3);
        for _ in 0..OUTER {
            let (y, l) = self.root(|l| self.values(|i| self.shrunk(i, l, tau)), start);
            let y = if self.norm == Norm::L1 { y } else { self.touched_up(y) };
            if self.length(&y) <= self.r {
                (low, start) = (tau, l);
                // In L0 neither is certain.
                let there = (self.along(&y) - self.c).abs() <= 1e-6 * self.c.abs().max(1e-6);
                if self.norm == Norm::L1 || (there && self.changed(&y) <= self.changed(&best)) {
                    best = y;
                }
            } else {
                high = tau;
            }
            tau = if high.is_finite() { f64::midpoint(low, high) } else { 4.0 * tau };
        }
        best
    }

    /// The best of value i at multipliers l, of the hyperplane, and 1 / tau, of the ball: in L1 the way from x0 is shortened
    /// by tau, in L0 it is worth tau or not gone.
    fn shrunk(&self, i: usize, l: f64, tau: f64) -> f64 {
        let (x, x0, to) = (self.x[i], self.x0[i], self.x[i] + l * self.g[i]);
        if self.norm == Norm::L1 {
            let change = to - x0;
            let kept = (change.abs() - tau).max(0.0);
            return if kept == 0.0 { x0 } else { (x0 + kept.copysign(change)).clamp(0.0, 1.0) };
        }
        let cost = |y: f64| 0.5 * (y - x) * (y - x) - l * self.g[i] * (y - x);
        let to = to.clamp(0.0, 1.0);
        if cost(x0) <= tau + cost(to) { x0 } else { to }
    }

    /// The closest image without the ball; `None` if the box is too small.
    fn greedy(&self, worth: &dyn Fn(usize) -> f64) -> Option<Vec<f64>> {
        let mut missing = self.missing();
        let by = missing;
        let mut order: Vec<usize> = (0..self.x.len()).collect();
        order.sort_by(|a, b| worth(*b).total_cmp(&worth(*a)).then_with(|| a.cmp(b)));
        let mut y = self.x0.to_vec();
        for i in order {
            if missing * by <= 0.0 {
                return Some(y);
            }
            let whole = self.room(i, by).copysign(self.g[i] * by);
            let needed = missing / self.g[i];
            if needed.abs() <= whole.abs() {
                y[i] = (y[i] + needed).clamp(0.0, 1.0);
                return Some(y);
            }
            y[i] = (y[i] + whole).clamp(0.0, 1.0);
            missing -= whole * self.g[i];
        }
        None
    }

    fn changed(&self, y: &[f64]) -> usize {
        y.iter().zip(self.x0).filter(|(y, x0)| y != x0).count()
    }

    /// In L0 g . (y - x) jumps with the multiplier, past c. One of the changed values makes up for it, the one that leaves
    /// the step shortest, if there is one that can.
    fn touched_up(&self, mut y: Vec<f64>) -> Vec<f64> {
        let excess = self.along(&y) - self.c;
        let instead = |i: usize| {
            let new = y[i] - excess / self.g[i];
            let gained = (new - self.x[i]).powi(2) - (y[i] - self.x[i]).powi(2);
            (y[i] != self.x0[i] && (0.0..=1.0).contains(&new)).then_some((i, new, gained))
        };
        let best = (0..y.len()).filter_map(instead).min_by(|a, b| a.2.total_cmp(&b.2));
        if let Some((i, new, _)) = best {
            y[i] = new;
        }
        y
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    const NORMS: [Norm; 4] = [Norm::L2, Norm::Linf, Norm::L1, Norm::L0];

    fn distance(norm: Norm, y: &[f64], x0: &[f64]) -> f64 {
        let changes = y.iter().zip(x0).map(|(y, x0)| (y - x0).abs());
        match norm {
            Norm::Linf => changes.fold(0.0, f64::max),
            Norm::L2 => changes.map(|v| v * v).sum::<f64>().sqrt(),
            Norm::L1 => changes.sum(),
            _ => changes.filter(|v| *v != 0.0).count() as f64,
        }
    }

    /// Three values: x0, x, g, c and r of the problem `number`.
    fn problem(number: u64) -> ([f64; 3], [f64; 3], [f64; 3], f64, f64) {
        let mut u = [0.0_f32; 11];
        Stream::new(2, "problems").draw(number, 0).uniform(&mut u);
        let u = u.map(f64::from);
        let x0 = [u[0], u[1], if number.is_multiple_of(3) { 0.0 } else { u[2] }];
        let x = [u[3], if number.is_multiple_of(4) { 1.0 } else { u[4] }, u[5]];
        let g = [2.0 * u[6] - 1.0, 2.0 * u[7] - 1.0, 2.0 * u[8] - 1.0];
        (x0, x, g, 0.5 * (2.0 * u[9] - 1.0), 0.05 + u[10])
    }

    /// Every feasible point of a grid over two values, the third of which the hyperplane decides, and the points with
    /// values of the clean image.
    fn best_of_grid(p: &Problem<'_>) -> Option<f64> {
        let steps = 200;
        let grid = |i: usize| {
            let points = (0..=steps).map(move |k| f64::from(k) / f64::from(steps));
            points.chain([p.x0[i], p.x[i]]).collect::<Vec<f64>>()
        };
        let mut best: Option<f64> = None;
        for free in 0..3 {
            let [a, b] = [(free + 1) % 3, (free + 2) % 3];
            for ya in grid(a) {
                for yb in grid(b) {
                    let mut y = [0.0; 3];
                    (y[a], y[b]) = (ya, yb);
                    let rest = p.c - p.g[a] * (ya - p.x[a]) - p.g[b] * (yb - p.x[b]);
                    y[free] = p.x[free] + rest / p.g[free];
                    if (0.0..=1.0).contains(&y[free]) && p.length(&y) <= p.r {
                        let here = distance(p.norm, &y, p.x0);
                        best = Some(best.map_or(here, |best| best.min(here)));
                    }
                }
            }
        }
        best
    }

    #[test]
    fn no_point_of_a_grid_is_closer() {
        let (mut met, mut gaps) = (0, 0);
        for number in 0..60 {
            let (x0, x, g, c, r) = problem(number);
            for norm in NORMS {
                let p = Problem { norm, x0: &x0, x: &x, g: &g, c, r };
                let y = p.solve();
                assert!(y.iter().all(|y| (0.0..=1.0).contains(y)), "{norm} {number}: {y:?}");
                assert!(p.length(&y) <= r * (1.0 + 1e-6), "{norm} {number}: {y:?}");
                let Some(best) = best_of_grid(&p) else { continue };
                met += 1;
                assert!((p.along(&y) - c).abs() < 1e-5, "{norm} {number}: {} {c}", p.along(&y));
                let found = distance(norm, &y, &x0);
                if norm == Norm::L0 {
                    // The gap of the dual.
                    gaps += usize::from(found > best);
                    assert!(found <= best + 1.0, "{norm} {number}: {found} {best}");
                } else {
                    assert!(found <= best + 1e-4, "{norm} {number}: {found} {best}");
                }
            }
        }
        assert!(met > 120 && gaps < 12, "{met} problems have solutions, {gaps} gaps");
    }

    /// Then no point of ball and box is farther in its direction.
    #[test]
    fn a_hyperplane_that_is_out_of_reach_is_approached() {
        let mut met = 0;
        for number in 0..200 {
            let (x0, x, g, _, r) = problem(number);
            for c in [2.0, -2.0] {
                let p = Problem { norm: Norm::L2, x0: &x0, x: &x, g: &g, c, r: 0.3 * r };
                let [least, most] = p.extremes(&|_| [0.0, 1.0]);
                if (least..=most).contains(&c)
                    && p.length(&p.nearest(&|_| [0.0, 1.0], 0.0).0) <= p.r
                {
                    continue;
                }
                met += 1;
                let y = p.solve();
                assert!(p.length(&y) <= p.r * (1.0 + 1e-9));
                for other in 0..100 {
                    let mut u = [0.0_f32; 3];
                    Stream::new(3, "others").draw(other, number as u32).uniform(&mut u);
                    let aside: Vec<f64> = u.iter().map(|u| f64::from(*u)).collect();
                    let share = (p.r / p.length(&aside)).min(1.0);
                    let inside: Vec<f64> =
                        (0..3).map(|i| x[i] + share * (aside[i] - x[i])).collect();
                    let gain = |y: &[f64]| p.along(y) * c.signum();
                    assert!(gain(&y) >= gain(&inside) - 1e-6, "{number}: {y:?} {inside:?}");
                }
            }
        }
        assert!(met > 300, "{met}");
    }

    #[test]
    fn without_a_gradient_the_way_back_is_free() {
        let (x0, x, g) = ([0.2, 0.4], [0.5, 0.8], [0.0, 0.0]);
        let p = |r| Problem { norm: Norm::L0, x0: &x0, x: &x, g: &g, c: 0.1, r };
        assert_eq!(p(1.0).solve(), x0);
        let y = p(0.25).solve();
        assert!((y[0] - 0.35).abs() < 1e-12 && (y[1] - 0.6).abs() < 1e-12, "{y:?}");
    }
}
