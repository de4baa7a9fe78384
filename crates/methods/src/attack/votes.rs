//! Attacks on networks that declare themselves randomised: every prediction is a vote, and luck breaks no
//! image.

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{Device, Tensor};

use super::tests::{info, linear, run};
use crate::data::Batch;
use crate::error::Result;
use crate::model::{Classifier, FrozenNetwork, ModelInfo, Pull, VOTES, predicted};
use crate::rows::{Kernel, Rows, map};
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
        let mut info = info(SHAPE, 2);
        info.randomised = randomised;
        Self { inner, info, forwards: AtomicUsize::new(0), moods: moods.to_vec() }
    }

    fn mood(&self, logits: Rows) -> Result<Rows> {
        let forward = self.forwards.fetch_add(1, Ordering::Relaxed);
        if !self.moods[forward % self.moods.len()] {
            return Ok(logits);
        }
        map(Kernel::NONE, [&logits], |_, [z], out| {
            for (out, z) in out.iter_mut().zip(z) {
                *out = -z;
            }
        })
    }
}

impl Classifier for Moody {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn logits(&self, images: &Rows) -> Result<Rows> {
        self.mood(self.inner.logits(images)?)
    }

    fn linearise(&self, images: &Rows) -> Result<(Rows, Pull<'_>)> {
        let (logits, pull) = self.inner.linearise(images)?;
        Ok((self.mood(logits)?, pull))
    }
}

/// An image of class 0 at Linf distance 0.25 of class 1.
fn batch() -> Batch {
    let images = Tensor::new(&[0.5_f32, 0.5, 0.5, 0.5], &Device::Cpu).unwrap();
    Batch { ids: vec![3], images: images.reshape((1, 1, 2, 2)).unwrap(), labels: vec![0] }
}

#[test]
fn the_most_frequent_class_wins_and_the_smaller_of_equals() {
    let images = batch().rows().unwrap();
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
    let [plain, declared] = [false, true]
        .map(|randomised| run("fgsm", &[], threat, &Moody::new(randomised, &[false]), &batch()));
    assert!(plain[0].found);
    assert_eq!(declared[0].image, plain[0].image);
    assert_eq!(declared[0].forwards, plain[0].forwards + VOTES as u64);
}
