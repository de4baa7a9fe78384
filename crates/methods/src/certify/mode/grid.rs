//! A whole grid of radii with few samples: the votes are looked at 250 samples in, then each time after
//! about 2.4 times as many, and alpha is split evenly over the looks. By the union bound no look is
//! wrong with a probability above alpha, so whichever look ends the sampling may be believed. Horvath et
//! al. ("Boosting randomized smoothing with variance reduced classifiers", ICLR 2022) draw new samples
//! at each look; here the votes go on being counted, which the union bound allows too.

use super::{Look, Mode, Question, split};
use crate::stats::clopper_pearson;

pub(super) const MODE: Mode = Mode {
    name: "grid",
    about: "stops when every radius of the report is decided",
    guarantee: "alpha is split over the looks at the votes (Clopper-Pearson, union bound), of which the \
                first that decides every radius of the report is the last; radii between them, and \
                their mean, are understated",
    radii: 1..=usize::MAX,
    looks,
    lower: clopper_pearson::lower,
    proves: clopper_pearson::proves,
};

fn looks(question: &Question) -> Vec<Look> {
    split(question, 250)
}
