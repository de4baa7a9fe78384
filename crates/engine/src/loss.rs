//! What an attack climbs: per-image losses of logits with their gradients, written out. All are
//! larger the worse the network does, so every attack maximises. Computed in f32 and in the order of
//! the published implementations, except for the cross-entropy of a class of which the network is
//! certain: there the published form cancels, and an attack stands still that need not.

use candle_core::{Device, Tensor};

use crate::error::Result;
use crate::ops::with_slice;

/// A loss. With a target class it becomes its targeted form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// Cross-entropy of the label; targeted: minus the cross-entropy of the target.
    CrossEntropy,
    /// Largest other logit minus the label's; targeted: the target's minus the largest other
    /// (Carlini and Wagner 2017, f6). Positive exactly when the attack has succeeded.
    Margin,
    /// Difference of logits ratio (Croce and Hein 2020, equation 6); targeted: equation 7. Its
    /// denominator needs three classes, targeted four. With three classes the third logit stands in
    /// for the mean of the third and the fourth; with two there is no denominator.
    Dlr,
}

/// Losses of a batch.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// One value per image.
    pub values: Vec<f32>,
    /// Gradient of the sum of the values with respect to the logits, `[N, K]`.
    pub cotangent: Tensor,
}

impl Loss {
    /// Values and gradients for logits `[N, K]`; `targets` makes it targeted.
    ///
    /// # Errors
    /// If the logits are not on the CPU.
    pub fn evaluate(
        self,
        logits: &Tensor,
        labels: &[u32],
        targets: Option<&[u32]>,
    ) -> Result<Evaluated> {
        let (n, classes) = logits.dims2()?;
        let mut values = Vec::with_capacity(n);
        let mut cotangent = vec![0.0_f32; n * classes];
        with_slice::<f32, _>(logits, |logits| {
            for (i, (z, g)) in
                logits.chunks_exact(classes).zip(cotangent.chunks_exact_mut(classes)).enumerate()
            {
                let target = targets.map(|t| t[i] as usize);
                values.push(self.of(z, labels[i] as usize, target, g));
            }
            Ok(())
        })?;
        Ok(Evaluated {
            values,
            cotangent: Tensor::from_vec(cotangent, (n, classes), &Device::Cpu)?,
        })
    }

    /// The value for the logits `z` of one image; its gradient is added to `g`.
    pub fn of(self, z: &[f32], label: usize, target: Option<usize>, g: &mut [f32]) -> f32 {
        match (self, target) {
            (Self::CrossEntropy, None) => cross_entropy(z, label, 1.0, g),
            (Self::CrossEntropy, Some(target)) => cross_entropy(z, target, -1.0, g),
            (Self::Margin, None) => margin(z, label, 1.0, g),
            (Self::Margin, Some(target)) => margin(z, target, -1.0, g),
            (Self::Dlr, None) => dlr(z, label, g),
            (Self::Dlr, Some(target)) => dlr_targeted(z, label, target, g),
        }
    }

    /// Its number in `kernels/attack/loss.cu`.
    pub fn number(self) -> usize {
        self as usize
    }
}

impl std::str::FromStr for Loss {
    type Err = String;

    fn from_str(s: &str) -> std::result::Result<Self, String> {
        match s {
            "ce" => Ok(Self::CrossEntropy),
            "margin" => Ok(Self::Margin),
            "dlr" => Ok(Self::Dlr),
            _ => Err("one of ce, margin, dlr".into()),
        }
    }
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::CrossEntropy => "ce",
            Self::Margin => "margin",
            Self::Dlr => "dlr",
        })
    }
}

/// Index of the largest value; the first one of equals.
pub fn argmax(z: &[f32]) -> usize {
    z.iter().enumerate().fold(0, |best, (i, v)| if *v > z[best] { i } else { best })
}

/// Index of the largest value other than number `class`.
fn argmax_other(z: &[f32], class: usize) -> usize {
    let first = usize::from(class == 0);
    (0..z.len()).fold(first, |best, i| if i != class && z[i] > z[best] { i } else { best })
}

/// Where the cross-entropy and its gradient are smaller (logits 46 apart), the loss goes on as a straight line
/// of the logarithm of the cross-entropy, with this slope. It has the same maxima, and neither it nor what a
/// network makes of its gradient on the way back is lost below the smallest f32.
const LEAST: f32 = 1e-20;

/// The gradient is softmax(z), less one at the class. That component is computed as minus the sum of the others:
/// p - 1 cancels where p is near 1, and an image of which the network is certain would not move. The value is
/// log(1 + sum of the others' exponentials) for the same reason.
fn cross_entropy(z: &[f32], class: usize, sign: f32, g: &mut [f32]) -> f32 {
    let max = z[argmax(z)];
    let log_sum = z.iter().map(|v| (v - max).exp()).sum::<f32>().ln();
    let mut others = 0.0_f64;
    for (_, (g, v)) in g.iter_mut().zip(z).enumerate().filter(|(i, _)| *i != class) {
        let p = (v - max - log_sum).exp();
        others += f64::from(p);
        *g = sign * p;
    }
    if others < f64::from(LEAST) && z.len() > 1 {
        return certain(z, class, sign, g);
    }
    g[class] = -sign * others as f32;
    if z[class] == max {
        let of = |(i, v): (usize, &f32)| if i == class { 0.0 } else { (v - max).exp() };
        let rest: f32 = z.iter().enumerate().map(of).sum();
        return sign * rest.ln_1p();
    }
    -sign * (z[class] - max - log_sum)
}

/// The cross-entropy below [`LEAST`].
fn certain(z: &[f32], class: usize, sign: f32, g: &mut [f32]) -> f32 {
    let most = z[argmax_other(z, class)];
    // Of classes that cannot be, none is nearer than another.
    if most == f32::NEG_INFINITY {
        return sign * most;
    }
    let weight = |i: usize| if i == class { 0.0 } else { (z[i] - most).exp() };
    let sum: f32 = (0..z.len()).map(weight).sum();
    for (i, g) in g.iter_mut().enumerate() {
        *g = sign * LEAST * (weight(i) / sum);
    }
    g[class] = -sign * LEAST;
    sign * LEAST * (1.0 - LEAST.ln() + (most - z[class] + sum.ln()))
}

fn margin(z: &[f32], class: usize, sign: f32, g: &mut [f32]) -> f32 {
    let other = argmax_other(z, class);
    g[other] += sign;
    g[class] -= sign;
    sign * (z[other] - z[class])
}

/// Indices of the logits from the largest down; of equals the later one first, as a reversed
/// ascending stable sort has them.
pub fn descending(z: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..z.len()).collect();
    order.sort_by(|a, b| z[*a].total_cmp(&z[*b]));
    order.reverse();
    order
}

fn dlr(z: &[f32], label: usize, g: &mut [f32]) -> f32 {
    if z.len() < 3 {
        return margin(z, label, 1.0, g);
    }
    let order = descending(z);
    let other = if order[0] == label { order[1] } else { order[0] };
    let numerator = z[label] - z[other];
    let scale = z[order[0]] - z[order[2]] + 1e-12;
    g[label] -= 1.0 / scale;
    g[other] += 1.0 / scale;
    g[order[0]] += numerator / (scale * scale);
    g[order[2]] -= numerator / (scale * scale);
    -numerator / scale
}

fn dlr_targeted(z: &[f32], label: usize, target: usize, g: &mut [f32]) -> f32 {
    let numerator = z[label] - z[target];
    let (first, third, fourth) = match descending(z)[..] {
        [first, _, third, fourth, ..] => (first, third, fourth),
        [first, _, third] => (first, third, third),
        _ => {
            g[label] -= 1.0;
            g[target] += 1.0;
            return -numerator;
        }
    };
    let scale = z[first] - 0.5 * (z[third] + z[fourth]) + 1e-12;
    g[label] -= 1.0 / scale;
    g[target] += 1.0 / scale;
    let slope = numerator / (scale * scale);
    g[first] += slope;
    g[third] -= 0.5 * slope;
    g[fourth] -= 0.5 * slope;
    -numerator / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    const Z: [f32; 10] = [0.3, -1.2, 2.0, 0.9, -0.4, 1.3, -2.2, 0.1, 0.6, -0.7];

    fn evaluate(loss: Loss, z: &[f32], label: u32, target: Option<u32>) -> (f32, Vec<f32>) {
        let z = Tensor::new(z, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        let target = target.map(|t| [t]);
        let e = loss.evaluate(&z, &[label], target.as_ref().map(|t| &t[..])).unwrap();
        (e.values[0], e.cotangent.flatten_all().unwrap().to_vec1().unwrap())
    }

    #[test]
    fn gradients_equal_finite_differences() {
        for loss in [Loss::CrossEntropy, Loss::Margin, Loss::Dlr] {
            for (label, target) in [(2, None), (0, None), (2, Some(5)), (0, Some(3))] {
                let (_, gradient) = evaluate(loss, &Z, label, target);
                for (i, g) in gradient.iter().enumerate() {
                    let along = |h: f32| {
                        let mut z = Z;
                        z[i] += h;
                        f64::from(evaluate(loss, &z, label, target).0)
                    };
                    let want = (along(1e-2) - along(-1e-2)) / 2e-2;
                    assert!(
                        (f64::from(*g) - want).abs() < 2e-3,
                        "{loss} label {label} target {target:?} logit {i}: {g} instead of {want}"
                    );
                }
            }
        }
    }

    /// The gradient of the cross-entropy in f64, by the definition, and the loss.
    fn exact(z: &[f32], label: usize) -> (f64, Vec<f64>) {
        let z: Vec<f64> = z.iter().map(|v| f64::from(*v)).collect();
        let others = |i: &usize| *i != label;
        let rest: f64 = (0..z.len()).filter(others).map(|i| (z[i] - z[label]).exp()).sum();
        let p = |i: usize| (z[i] - z[label]).exp() / (1.0 + rest);
        let g = |i: usize| if i == label { -rest / (1.0 + rest) } else { p(i) };
        (rest.ln_1p(), (0..z.len()).map(g).collect())
    }

    #[test]
    fn the_cross_entropy_of_a_certain_class_does_not_cancel() {
        for ahead in [-30.0, 0.0, 5.0, 12.0, 17.0, 20.0, 40.0] {
            let mut z = Z;
            z[2] += ahead;
            for (target, sign) in [(None, 1.0), (Some(2), -1.0)] {
                let (value, gradient) = evaluate(Loss::CrossEntropy, &z, 2, target);
                let (want, slopes) = exact(&z, 2);
                assert!(
                    (f64::from(value) - sign * want).abs() <= 3e-6 * want,
                    "{ahead}: {value} {want}"
                );
                for (got, want) in gradient.iter().zip(slopes) {
                    assert!((f64::from(*got) - sign * want).abs() <= 1e-5 * want.abs(), "{ahead}");
                }
            }
        }
    }

    /// Beyond what f32 holds the loss still falls as the network becomes more certain, and the gradient points
    /// where that of the definition does.
    #[test]
    fn the_cross_entropy_of_saturated_logits_keeps_its_direction() {
        let at = |ahead: f32| {
            let mut z = Z;
            z[2] += ahead;
            (z, evaluate(Loss::CrossEntropy, &z, 2, None))
        };
        let mut before = f32::INFINITY;
        for ahead in [40.0, 44.9, 45.1, 46.0, 60.0, 100.0, 120.0, 600.0] {
            let (z, (value, gradient)) = at(ahead);
            assert!(value < before, "{ahead}: {value}");
            before = value;
            let loss = exact(&z, 2).0;
            let want = if loss < 1e-20 { 1e-20 * (1.0 + (loss / 1e-20).ln()) } else { loss };
            assert!((f64::from(value) - want).abs() < 1e-4 * want.abs(), "{ahead}: {value} {want}");
            let slopes = exact(&z, 2).1;
            for (got, want) in gradient.iter().zip(&slopes) {
                let shares = [f64::from(*got) / f64::from(gradient[2]), want / slopes[2]];
                assert!((shares[0] - shares[1]).abs() < 1e-4, "{ahead}: {shares:?}");
            }
        }
        // Logits without a limit are no reason for NaN.
        let z = [3.0, f32::NEG_INFINITY, f32::NEG_INFINITY];
        assert!(evaluate(Loss::CrossEntropy, &z, 0, None).1.iter().all(|g| g.is_finite()));
    }

    #[test]
    fn values_are_those_of_the_definitions() {
        assert!((evaluate(Loss::Margin, &Z, 2, None).0 - (1.3 - 2.0)).abs() < 1e-6);
        assert!((evaluate(Loss::Margin, &Z, 0, None).0 - (2.0 - 0.3)).abs() < 1e-6);
        assert!((evaluate(Loss::Margin, &Z, 2, Some(5)).0 - (1.3 - 2.0)).abs() < 1e-6);
        assert!((evaluate(Loss::Dlr, &Z, 2, None).0 - -(2.0 - 1.3) / (2.0 - 0.9)).abs() < 1e-6);
        let targeted = -(2.0 - 0.6) / (2.0 - 0.5 * (0.9 + 0.6));
        assert!((evaluate(Loss::Dlr, &Z, 2, Some(8)).0 - targeted).abs() < 1e-6);
    }

    #[test]
    fn dlr_works_with_two_and_three_classes() {
        let three = [0.3, 2.0, 0.9];
        assert!((evaluate(Loss::Dlr, &three, 1, None).0 - -(2.0 - 0.9) / (2.0 - 0.3)).abs() < 1e-6);
        let (value, gradient) = evaluate(Loss::Dlr, &three, 1, Some(0));
        assert!((value - -1.0).abs() < 1e-6);
        assert!(gradient.iter().sum::<f32>().abs() < 1e-6);
        assert!((evaluate(Loss::Dlr, &three, 1, Some(2)).0 - -1.1 / 1.7).abs() < 1e-6);
        let two = [0.3, 2.0];
        assert_eq!(evaluate(Loss::Dlr, &two, 1, None), (0.3 - 2.0, vec![1.0, -1.0]));
        assert_eq!(evaluate(Loss::Dlr, &two, 1, Some(0)), (0.3 - 2.0, vec![1.0, -1.0]));
    }

    #[test]
    fn a_margin_with_only_negative_logits_is_right() {
        let z = [-3.0, -1.0, -2.0];
        assert!((evaluate(Loss::Margin, &z, 1, None).0 - -1.0).abs() < 1e-6);
        assert!((evaluate(Loss::Margin, &z, 0, None).0 - 2.0).abs() < 1e-6);
    }
}
