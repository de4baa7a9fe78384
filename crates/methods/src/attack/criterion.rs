//! What counts as a success: the one place that says it for the judges of a search, for votes, for the
//! driver and for rows of results. Its kernel on a GPU is `meets` in `kernels/attack/criterion.cuh`.

use crate::error::Result;
use crate::loss::argmax;
use crate::rows::{Rows, kernel, map_to};

/// What the attacker wants a network to say of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Criterion {
    /// Any class but the true one.
    Untargeted {
        /// The true class.
        label: u32,
    },
    /// This class.
    Targeted {
        /// The class that is aimed at.
        target: u32,
    },
}

impl Criterion {
    /// For an image of class `label`; with `target`, which is another class, the goal is that one.
    pub fn new(label: u32, target: Option<u32>) -> Self {
        target.map_or(Self::Untargeted { label }, |target| Self::Targeted { target })
    }

    /// Whether this predicted class is a success.
    pub fn met_by(self, class: u32) -> bool {
        match self {
            Self::Untargeted { label } => class != label,
            Self::Targeted { target } => class == target,
        }
    }

    /// Whether the class of these logits, the first of the largest, is a success.
    pub fn met_by_logits(self, z: &[f32]) -> bool {
        self.met_by(argmax(z) as u32)
    }

    /// 1 where each row of the logits `[N, K]` is a success and 0 elsewhere, `[N]`, for these labels and
    /// targets, `[N]`; [`Rows::none`] instead of targets if there are none.
    ///
    /// # Errors
    /// If the batches have not as many rows, or the device fails.
    pub(crate) fn met_by_rows(logits: &Rows, labels: &Rows, targets: &Rows) -> Result<Rows> {
        let kernel = kernel!("succeeded", logits.width());
        map_to(kernel, &[], [logits, labels, targets], |_, [z, label, target], flag| {
            let target = target.first().map(|target| *target as u32);
            let criterion = Self::new(label[0] as u32, target);
            flag[0] = f32::from(u8::from(criterion.met_by_logits(z)));
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::tests::linear;
    use crate::model::Classifier as _;
    use crate::rng::Stream;
    use crate::rows::Location;

    #[test]
    fn another_class_is_a_success_or_one_certain_class() {
        let wrong = Criterion::new(1, None);
        assert_eq!([0, 1, 2].map(|class| wrong.met_by(class)), [true, false, true]);
        let aimed = Criterion::new(1, Some(2));
        assert_eq!([0, 1, 2].map(|class| aimed.met_by(class)), [false, false, true]);
    }

    #[test]
    fn of_equal_logits_the_first_is_the_class() {
        let z = [0.5, 2.0, 2.0];
        assert!(!Criterion::new(1, None).met_by_logits(&z));
        assert!(Criterion::new(2, None).met_by_logits(&z));
        assert!(!Criterion::new(0, Some(2)).met_by_logits(&z));
    }

    /// With `EPSBALL_TEST_DEVICE=cuda` the kernel's answer beside the host's.
    #[test]
    fn rows_meet_it_as_their_logits_do() {
        let place: Location = linear(&[1.0], 0.0, [1, 1, 1]).location();
        for (number, classes) in [2, 3, 10, 1000].into_iter().enumerate() {
            let rows = 64;
            let mut z = vec![0.0; rows * classes];
            Stream::new(1, "logits").draw(number as u64, 0).uniform(&mut z);
            // Few values, so that many are equal; infinities of both signs among them.
            for z in &mut z {
                *z = match (*z * 6.0) as u32 {
                    0 => f32::NEG_INFINITY,
                    5 if classes < 10 => f32::INFINITY,
                    value => value as f32 - 3.0,
                };
            }
            let class = |i: usize| (i % classes.min(3)) as u32;
            let labels: Vec<u32> = (0..rows).map(class).collect();
            let targets: Vec<u32> = (0..rows).map(|i| class(i + 1)).collect();
            let there = |of: &[u32]| Rows::classes(&place, of).unwrap();
            let logits = Rows::new(&place, [rows, classes], z.clone()).unwrap();
            for targets in [None, Some(targets)] {
                let none = || Rows::none(&place).unwrap();
                let target_rows = targets.as_deref().map_or_else(none, there);
                let met = Criterion::met_by_rows(&logits, &there(&labels), &target_rows).unwrap();
                let met = met.values().unwrap();
                for (row, z) in z.chunks_exact(classes).enumerate() {
                    let target = targets.as_ref().map(|targets| targets[row]);
                    let want = Criterion::new(labels[row], target).met_by_logits(z);
                    assert_eq!(met[row] != 0.0, want, "{z:?} {} {target:?}", labels[row]);
                }
                let yes = met.iter().filter(|flag| **flag == 1.0).count();
                assert!((1..rows).contains(&yes), "{classes} classes: {yes}");
            }
        }
    }
}
