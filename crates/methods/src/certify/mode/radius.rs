//! One radius with the fewest samples: as [`grid`](super::grid), but where a small radius can be proved
//! by fewer than 250 unanimous votes the first look comes there. Also an image whose radius is refuted
//! leaves with a bound that holds, so its prediction and its smaller radius count.

use super::{Look, Mode, Question, split};
use crate::stats::clopper_pearson;

pub(super) const MODE: Mode = Mode {
    name: "radius",
    about: "stops when the one radius that is asked for is decided",
    guarantee: "alpha is split over the looks at the votes (Clopper-Pearson, union bound), of which the \
                first that decides the radius of the report is the last; other radii, and their mean, \
                are understated",
    radii: 1..=1,
    looks,
    lower: clopper_pearson::lower,
    proves: clopper_pearson::proves,
};

/// Bounds of the first look.
const FIRST: (u64, u64) = (40, 250);

fn looks(question: &Question) -> Vec<Look> {
    let looks = split(question, FIRST.0);
    let target = question.targets.first().copied().unwrap_or(f64::INFINITY);
    // With the level of the most looks there can be, target^n <= alpha from this n on.
    let level = looks.first().map_or(question.alpha, |look| look.alpha);
    let unanimous = (level.ln() / target.min(1.0).ln()).ceil();
    split(question, (unanimous as u64).clamp(FIRST.0, FIRST.1))
}
