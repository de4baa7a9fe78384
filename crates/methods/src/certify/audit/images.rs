//! Which images a table is about: each once, and in papers every k-th of a test set.

use serde::Serialize;

use super::subject::Subject;
use super::{Check, Seen, counted, some};

pub(super) const CHECK: Check =
    Check { name: "images", about: "every image of the pattern comes once", run: check };

/// The images of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pattern {
    /// Smallest index.
    pub first: u64,
    /// Largest index.
    pub last: u64,
    /// The distance of neighbours, if more than half of them have the same.
    pub step: Option<u64>,
    /// Images that come more than once.
    pub repeated: Vec<u64>,
    /// Images of the pattern, between the first and the last, that do not come.
    pub missing: Vec<u64>,
    /// Images that are not of the pattern.
    pub astray: Vec<u64>,
    /// Indices ascend.
    pub ascending: bool,
}

impl Pattern {
    /// The pattern of one or more indices.
    pub(super) fn of(indices: impl Iterator<Item = u64>) -> Self {
        let all: Vec<u64> = indices.collect();
        let mut sorted = all.clone();
        sorted.sort_unstable();
        let mut repeated: Vec<u64> =
            sorted.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        repeated.dedup();
        sorted.dedup();
        let (first, last) =
            (sorted.first().copied().unwrap_or(0), sorted.last().copied().unwrap_or(0));
        let mut steps: Vec<u64> = sorted.windows(2).map(|pair| pair[1] - pair[0]).collect();
        steps.sort_unstable();
        // If more than half agree, the median is one of them.
        let median = steps.get(steps.len() / 2).copied();
        let step = median.filter(|m| 2 * steps.iter().filter(|s| *s == m).count() > steps.len());
        let (mut missing, mut astray) = (Vec::new(), Vec::new());
        if let Some(step) = step {
            // Most images agree where the pattern starts, as a stray one may be the first.
            let offset = mode(sorted.iter().map(|idx| idx % step));
            astray = sorted.iter().copied().filter(|idx| idx % step != offset).collect();
            let mut expected = None;
            for idx in sorted.iter().copied().filter(|idx| idx % step == offset) {
                // Gaps as long as the table say that the pattern is not one.
                let from = expected.unwrap_or(idx);
                let left = all.len() - missing.len();
                missing.extend((from..idx).step_by(step as usize).take(left));
                expected = idx.checked_add(step);
            }
        }
        let ascending = all.is_sorted();
        Self { first, last, step, repeated, missing, astray, ascending }
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.first == self.last {
            return write!(f, "image {}", self.first);
        }
        write!(f, "images {} to {}", self.first, self.last)?;
        match self.step {
            Some(1) => Ok(()),
            Some(step) => write!(f, ", every {step}{}", ordinal(step)),
            None => f.write_str(", in no pattern"),
        }
    }
}

fn ordinal(n: u64) -> &'static str {
    match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    }
}

/// The most frequent value, the smallest of several; 0 without values.
fn mode(values: impl Iterator<Item = u64>) -> u64 {
    let mut counts = std::collections::BTreeMap::new();
    values.for_each(|value| *counts.entry(value).or_insert(0usize) += 1);
    let most = counts.values().copied().max();
    counts.into_iter().find(|(_, count)| Some(*count) == most).map_or(0, |(value, _)| value)
}

fn check(subject: &Subject) -> Vec<Seen> {
    let pattern = Pattern::of(subject.table.rows.iter().map(|row| row.idx));
    let mut seen = Vec::new();
    if subject.table.torn {
        seen.push(Seen::note("the last line ends in the middle and was left out"));
    }
    if !pattern.repeated.is_empty() {
        seen.push(Seen::contradiction(format!(
            "{} more than once ({})",
            counted(pattern.repeated.len(), "image comes", "images come"),
            some(&pattern.repeated)
        )));
    }
    if !pattern.missing.is_empty() {
        seen.push(Seen::contradiction(format!(
            "{} missing from the pattern, every {}{} ({})",
            counted(pattern.missing.len(), "image is", "images are"),
            pattern.step.unwrap_or(1),
            ordinal(pattern.step.unwrap_or(1)),
            some(&pattern.missing)
        )));
    }
    if !pattern.astray.is_empty() {
        seen.push(Seen::contradiction(format!(
            "{} not of the pattern ({})",
            counted(pattern.astray.len(), "image is", "images are"),
            some(&pattern.astray)
        )));
    }
    if pattern.step.is_none() && pattern.first != pattern.last {
        seen.push(Seen::note("the images follow no pattern such as every 20th"));
    }
    if !pattern.ascending {
        seen.push(Seen::note("the images are not in their order"));
    }
    let rows = subject.table.rows.len();
    match subject.images {
        Some(images) if rows < images => seen.push(Seen::contradiction(format!(
            "the run was to certify {images} images and the table has {rows}"
        ))),
        _ => {}
    }
    if let (Some(labels), Some(step)) = (&subject.labels, pattern.step) {
        let next = pattern.last.checked_add(step);
        let beyond = labels.last.filter(|last| next.is_some_and(|next| next <= *last));
        if let Some(last) = beyond {
            seen.push(Seen::note(format!(
                "it ends at image {} while {} goes on to {last}: a part of it, or a table cut short",
                pattern.last, labels.name
            )));
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(indices: &[u64]) -> Pattern {
        Pattern::of(indices.iter().copied())
    }

    #[test]
    fn patterns_in_words() {
        for (indices, words) in [
            (&[0, 1, 2][..], "images 0 to 2"),
            (&[0, 20, 40], "images 0 to 40, every 20th"),
            (&[5, 8, 11], "images 5 to 11, every 3rd"),
            (&[0, 1, 5, 17], "images 0 to 17, in no pattern"),
            (&[7], "image 7"),
        ] {
            assert_eq!(pattern(indices).to_string(), words);
        }
    }

    #[test]
    fn gaps_repetitions_and_strays() {
        let found = pattern(&[0, 20, 20, 40, 80, 85, 100, 120, 140, 160]);
        assert_eq!(found.step, Some(20));
        assert_eq!((found.repeated, found.missing, found.astray), (vec![20], vec![60], vec![85]));
        let found = pattern(&[40, 0, 20, 60]);
        assert!(!found.ascending && found.missing.is_empty());
        // A stray first image does not shift the pattern, nor is a distant one filled up to.
        let found = pattern(&[3, 10, 20, 30, 40, 1_000_000_000_000]);
        assert_eq!((found.step, found.astray), (Some(10), vec![3]));
        assert_eq!(found.missing.len(), 6);
        // However many gaps there are, and wherever it ends.
        let far: Vec<u64> = (0..5).flat_map(|k| [k << 40, (k << 40) + 1, (k << 40) + 2]).collect();
        let found = pattern(&[&far[..], &[u64::MAX - 1, u64::MAX]].concat());
        assert_eq!((found.step, found.missing.len()), (Some(1), 17));
    }
}
