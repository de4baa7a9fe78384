//! The lines between which a relu or a max pool lies while its inputs stay in a box. Any line that
//! is on the right side at the ends of the box is sound, so the slopes may carry rounding errors and
//! only the intercepts are rounded upwards.

use super::Method;
use super::interval::Bound;
use crate::ops::pool::Window;

/// See the module.
#[derive(Debug, Clone)]
pub(super) enum Relaxation {
    Relu(Vec<Lines>),
    MaxPool(Vec<Choice>),
}

/// `low x <= max(x, 0) <= slope x + intercept` for x in the box.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines {
    low: f64,
    slope: f64,
    intercept: f64,
}

/// A window's maximum is at least its element `from` and at most `ceiling`, or exactly that element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    from: usize,
    ceiling: f64,
    exact: bool,
}

impl Relaxation {
    /// Of a relu whose inputs are in `input`.
    pub(super) fn relu(input: &Bound, method: Method) -> Self {
        let pairs = input.lower.iter().zip(&input.upper);
        Self::Relu(pairs.map(|(l, u)| Lines::new(*l, *u, method)).collect())
    }

    /// Of a max pool from `shape` to `output`, with the box of its values and the largest magnitude
    /// in each window.
    pub(super) fn max_pool(
        input: &Bound,
        window: Window,
        [_, width, channels]: [usize; 3],
        [height_out, width_out]: [usize; 2],
    ) -> (Self, Bound) {
        let magnitude = input.magnitude();
        let count = height_out * width_out * channels;
        let mut choices = Vec::with_capacity(count);
        let mut values = Bound::of(Vec::with_capacity(count), Vec::with_capacity(count));
        for out in 0..count {
            let (pixel, channel) = (out / channels, out % channels);
            let (y, x) = (pixel / width_out * window.stride, pixel % width_out * window.stride);
            let elements = || {
                let taps = 0..window.size * window.size;
                taps.map(|tap| {
                    let (y, x) = (y + tap / window.size, x + tap % window.size);
                    (y * width + x) * channels + channel
                })
            };
            let from = elements()
                .max_by(|i, j| input.lower[*i].total_cmp(&input.lower[*j]))
                .unwrap_or_default();
            let low = input.lower[from];
            let ceiling = elements().map(|i| input.upper[i]).fold(f64::NEG_INFINITY, f64::max);
            choices.push(Choice {
                from,
                ceiling,
                exact: elements().all(|i| i == from || input.upper[i] <= low),
            });
            values.lower.push(low);
            values.upper.push(ceiling);
            values.slack.push(elements().map(|i| magnitude[i]).fold(0.0, f64::max));
        }
        (Self::MaxPool(choices), values)
    }

    /// Replaces the coefficients `a` of the output by ones of the input, in the zeros of `into`, such
    /// that `a y >= into x + constant`; returns the constant.
    pub(super) fn substitute(&self, a: &[f64], into: &mut [f64]) -> f64 {
        let mut constant = 0.0;
        match self {
            Self::Relu(lines) => {
                for ((a, line), into) in a.iter().zip(lines).zip(into) {
                    if *a >= 0.0 {
                        *into = a * line.low;
                    } else {
                        *into = a * line.slope;
                        constant += a * line.intercept;
                    }
                }
            }
            Self::MaxPool(choices) => {
                for (a, choice) in a.iter().zip(choices) {
                    if *a >= 0.0 || choice.exact {
                        into[choice.from] += a;
                    } else {
                        constant += a * choice.ceiling;
                    }
                }
            }
        }
        constant
    }
}

impl Lines {
    fn new(l: f64, u: f64, method: Method) -> Self {
        if l >= 0.0 {
            return Self { low: 1.0, slope: 1.0, intercept: 0.0 };
        }
        if u <= 0.0 {
            return Self { low: 0.0, slope: 0.0, intercept: 0.0 };
        }
        let slope = (u / (u - l)).clamp(0.0, 1.0);
        // A convex function is below a line that is above it at both ends.
        let at_l = (-l * slope).next_up();
        let at_u = (u - (u * slope).next_down()).next_up();
        let low = match method {
            Method::FastLin => slope,
            _ if u > -l => 1.0,
            _ => 0.0,
        };
        Self { low, slope, intercept: at_l.max(at_u) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relu_is_between_its_lines() {
        for (l, u) in [
            (-1.0, 2.0),
            (-2.0, 1.0),
            (-1e-9, 3.0),
            (-3.0, 1e-9),
            (0.0, 1.0),
            (-1.0, 0.0),
            (-0.1, 0.3),
        ] {
            for method in Method::ALL {
                let Lines { low, slope, intercept } = Lines::new(l, u, method);
                assert!((0.0..=1.0).contains(&low));
                for k in 0..=1000 {
                    let x = (l + (u - l) * f64::from(k) / 1000.0).clamp(l, u);
                    let y = x.max(0.0);
                    assert!(low * x <= y, "{l} {u} {method:?} at {x}");
                    // One more unit in the last place than the two roundings of the line itself.
                    assert!(slope * x + intercept >= y - 2.0 * f64::EPSILON * u, "{l} {u} at {x}");
                }
                // Tight: the upper line meets both ends.
                assert!((slope * l + intercept - l.max(0.0)).abs() < 1e-12);
                assert!((slope * u + intercept - u.max(0.0)).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn slopes_are_those_of_the_papers() {
        let lines = |l, u, method| {
            let Lines { low, slope, intercept } = Lines::new(l, u, method);
            [low, slope, intercept].map(|v| (v * 1e9).round() / 1e9)
        };
        assert_eq!(lines(-1.0, 3.0, Method::Crown), [1.0, 0.75, 0.75]);
        assert_eq!(lines(-3.0, 1.0, Method::Crown), [0.0, 0.25, 0.75]);
        assert_eq!(lines(-3.0, 1.0, Method::FastLin), [0.25, 0.25, 0.75]);
    }
}
