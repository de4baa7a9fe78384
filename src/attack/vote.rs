//! What a network says of an image. One that declares itself randomised is asked several times and
//! the most frequent answer counts, for clean images as for adversarial ones: a single draw would
//! reward an attack, or a defence, for luck.

use candle_core::Tensor;

use super::driver::predictions;
use crate::error::Result;
use crate::model::Classifier;

/// Forwards behind one prediction of a network that declares itself randomised.
pub(super) const VOTES: usize = 11;

/// Predicted classes of `images`, given the `logits` of one forward. Those of a randomised network
/// are the most frequent of [`VOTES`] forwards, that one among them; of equally frequent classes the
/// smallest.
pub(crate) fn predicted(
    model: &dyn Classifier,
    images: &Tensor,
    logits: &Tensor,
) -> Result<Vec<u32>> {
    let first = predictions(logits)?;
    if !model.info().randomised || first.is_empty() {
        return Ok(first);
    }
    let mut ballots = vec![first];
    for _ in 1..VOTES {
        ballots.push(predictions(&model.judged(images)?)?);
    }
    let winner = |row: usize| {
        let mut votes: Vec<u32> = ballots.iter().map(|ballot| ballot[row]).collect();
        votes.sort_unstable();
        let runs = votes.chunk_by(|a, b| a == b);
        // The first of the longest: `max_by_key` would give the last.
        runs.rev().max_by_key(|run| run.len()).map_or(ballots[0][row], |run| run[0])
    };
    Ok((0..ballots[0].len()).map(winner).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use candle_core::Device;

    use super::*;
    use crate::attack::tests::{info, linear, run};
    use crate::data::Batch;
    use crate::model::{FrozenNetwork, ModelInfo, Pullback};
    use crate::threat::{Norm, Threat};

    const SHAPE: [usize; 3] = [1, 2, 2];

    /// Two classes whose logits change places in forwards whose number is in a list, in turn.
    struct Moody {
        inner: FrozenNetwork,
        info: ModelInfo,
        forwards: AtomicUsize,
        moods: Vec<bool>,
    }

    impl Moody {
        fn new(randomised: bool, moods: &[bool]) -> Self {
            let inner = linear(&[1.0, 0.0, 0.0, 0.0], -0.25, SHAPE);
            let info = ModelInfo { randomised, ..info(SHAPE, 2) };
            Self { inner, info, forwards: AtomicUsize::new(0), moods: moods.to_vec() }
        }

        fn mood(&self, logits: Tensor) -> Result<Tensor> {
            let forward = self.forwards.fetch_add(1, Ordering::Relaxed);
            Ok(if self.moods[forward % self.moods.len()] { logits.neg()? } else { logits })
        }
    }

    impl Classifier for Moody {
        fn info(&self) -> &ModelInfo {
            &self.info
        }

        fn logits(&self, images: &Tensor) -> Result<Tensor> {
            self.mood(self.inner.logits(images)?)
        }

        fn vjp(&self, images: &Tensor) -> Result<(Tensor, Pullback<'_>)> {
            let (logits, pullback) = self.inner.vjp(images)?;
            Ok((self.mood(logits)?, pullback))
        }
    }

    /// An image of class 0 at Linf distance 0.25 of class 1.
    fn batch() -> Batch {
        let images = Tensor::new(&[0.5_f32, 0.5, 0.5, 0.5], &Device::Cpu).unwrap();
        Batch { ids: vec![3], images: images.reshape((1, 1, 2, 2)).unwrap(), labels: vec![0] }
    }

    #[test]
    fn the_most_frequent_class_wins_and_the_smaller_of_equals() {
        let images = batch().images;
        let vote = |moods: &[bool]| {
            let model = Moody::new(true, moods);
            let logits = model.logits(&images).unwrap();
            let winner = predicted(&model, &images, &logits).unwrap();
            assert_eq!(model.forwards.into_inner(), VOTES);
            winner[0]
        };
        assert_eq!(vote(&[false]), 0);
        assert_eq!(vote(&[true]), 1);
        let mut moods = [true; VOTES];
        moods[..VOTES / 2].fill(false);
        assert_eq!(vote(&moods), 1);
        moods[..=VOTES / 2].fill(false);
        assert_eq!(vote(&moods), 0);
        let model = Moody::new(false, &[true]);
        let logits = model.logits(&images).unwrap();
        assert_eq!(predicted(&model, &images, &logits).unwrap(), [1]);
        assert_eq!(model.forwards.into_inner(), 1);
    }

    /// One forward in five errs on any image: an attack that believed it would have broken it.
    #[test]
    fn luck_breaks_no_image_of_a_randomised_network() {
        let moody = Moody::new(true, &[false, true, false, false, false]);
        let pgd = [("steps", "10"), ("alpha", "0.1"), ("restarts", "2")];
        let small = run("pgd", &pgd, Threat::ball(Norm::Linf, 0.1), &moody, &batch());
        assert_eq!((small[0].clean_prediction, small[0].found), (0, false));
        // It went on after the lucky draws, which cost a vote each.
        assert!(small[0].forwards > 20 + VOTES as u64, "{}", small[0].forwards);
        let large = run("pgd", &pgd, Threat::ball(Norm::Linf, 0.4), &moody, &batch());
        assert!(large[0].found && large[0].distance > 0.25, "{large:?}");
    }

    #[test]
    fn a_declaration_alone_changes_nothing_but_the_cost() {
        let threat = Threat::ball(Norm::Linf, 0.4);
        let [plain, declared] = [false, true].map(|randomised| {
            run("fgsm", &[], threat, &Moody::new(randomised, &[false]), &batch())
        });
        assert!(plain[0].found);
        assert_eq!(declared[0].image, plain[0].image);
        assert_eq!(declared[0].forwards, plain[0].forwards + VOTES as u64);
    }
}
