//! A bound that holds after every sample at once ([`betting`]), so that looks cost nothing: there is one
//! every 50 samples, and later at every twentieth more. What it costs is a wider bound than a single
//! look would give.

use super::{Look, Mode, Question};
use crate::stats::betting;

pub(super) const MODE: Mode = Mode {
    name: "anytime",
    about: "as grid, with a bound that holds after every sample (betting)",
    guarantee: "the bound holds after every sample at once (betting, Ville's inequality), and sampling \
                stops when every radius of the report is decided; radii between them, and their mean, \
                are understated",
    radii: 1..=usize::MAX,
    looks,
    lower: betting::lower,
    proves: betting::proves,
};

fn looks(question: &Question) -> Vec<Look> {
    let Question { n, alpha, beta, .. } = *question;
    let after = |samples: &u64| Some(samples + (samples / 20).max(50)).filter(|next| *next < n);
    let samples = std::iter::successors(Some(50).filter(|first| *first < n), after);
    samples.chain([n]).map(|samples| Look { samples, alpha, beta }).collect()
}
