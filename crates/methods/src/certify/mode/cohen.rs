//! The published algorithm (Cohen et al. 2019, section 3.2.2): one look, after N samples.

use super::{Look, Mode, Question};
use crate::stats::clopper_pearson;

pub(super) const MODE: Mode = Mode {
    name: "cohen",
    about: "N samples of every image (Cohen et al. 2019)",
    guarantee: "every image gets N samples and one exact Clopper-Pearson bound",
    radii: 0..=usize::MAX,
    looks,
    lower: clopper_pearson::lower,
    proves: clopper_pearson::proves,
};

fn looks(question: &Question) -> Vec<Look> {
    vec![Look { samples: question.n, alpha: question.alpha, beta: question.beta }]
}
