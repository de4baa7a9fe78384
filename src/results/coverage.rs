//! Over which images a number is.

use std::collections::BTreeSet;

use serde::Serialize;

use super::ImageKey;
use crate::digest::sha256;

/// Some images of a data set.
pub(crate) type Images<'a> = BTreeSet<&'a ImageKey>;

/// Which images a number is over: two numbers are over the same images if their sets are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ImageSet {
    /// How many images they are.
    pub count: usize,
    /// First 16 hex digits of the SHA-256 of the sorted list of their digests.
    pub digest: String,
}

impl ImageSet {
    /// These images; `None` if there are none.
    pub(crate) fn of(images: &Images<'_>) -> Option<Self> {
        let list: String = images.iter().map(|key| format!("{key}\n")).collect();
        let digest = sha256(list.as_bytes())[..16].to_owned();
        (!images.is_empty()).then_some(Self { count: images.len(), digest })
    }
}

/// The images that are in every one of `sets`; none without sets.
pub(crate) fn common<'a: 'b, 'b>(mut sets: impl Iterator<Item = &'b Images<'a>>) -> Images<'a> {
    let first = sets.next().cloned().unwrap_or_default();
    sets.fold(first, |common, set| common.intersection(set).copied().collect())
}

/// The images that are in any of `sets`.
pub(crate) fn union<'a: 'b, 'b>(sets: impl Iterator<Item = &'b Images<'a>>) -> Images<'a> {
    sets.flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_known_by_their_images() {
        let keys: Vec<ImageKey> = (0..4).map(ImageKey::of_index).collect();
        let (low, high): (Images<'_>, Images<'_>) =
            (keys[..3].iter().collect(), keys[1..].iter().collect());
        let middle: Images<'_> = keys[1..3].iter().collect();
        assert_eq!(common([&low, &high].into_iter()), middle);
        assert_eq!(union([&low, &high].into_iter()).len(), 4);
        assert_eq!(common(std::iter::empty()), Images::new());
        let set = |images: &Images<'_>| ImageSet::of(images);
        assert_eq!(set(&low).map(|set| set.count), Some(3));
        assert_ne!(set(&low), set(&high));
        assert_eq!(set(&middle), set(&middle.clone()));
        assert_eq!(set(&Images::new()), None);
    }
}
