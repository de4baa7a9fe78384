//! What makes an image the same one in every table: its digest. A data set may hold an image several
//! times; the k-th of them in one table is the k-th in every other.

use std::collections::{BTreeMap, HashMap};

use crate::record::Row;

/// An image, whatever its index in a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ImageKey {
    digest: String,
    /// How many images with this digest stand before it in its table, by index.
    nth: usize,
}

/// The rows of a table by image.
pub(super) type Rows<R> = BTreeMap<ImageKey, R>;

impl ImageKey {
    /// The digest of the image with its label.
    pub(super) fn digest(&self) -> &str {
        &self.digest
    }

    /// The key of an image that only its index is known of.
    pub(super) fn of_index(idx: u64) -> Self {
        Self { digest: format!("{idx:020}"), nth: 0 }
    }
}

impl std::fmt::Display for ImageKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.digest, self.nth)
    }
}

/// The rows of one table, by image.
pub(super) fn keyed<R: Row>(mut rows: Vec<R>) -> Rows<R> {
    rows.sort_by_key(Row::idx);
    let mut seen: HashMap<String, usize> = HashMap::new();
    let key = |row: &R| {
        let count = seen.entry(row.image().to_owned()).or_default();
        *count += 1;
        ImageKey { digest: row.image().to_owned(), nth: *count - 1 }
    };
    let keys: Vec<ImageKey> = rows.iter().map(key).collect();
    keys.into_iter().zip(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::AttackRow;
    use crate::report::fixture::attack_row;

    #[test]
    fn copies_of_an_image_are_counted_by_their_indices() {
        let row =
            |idx, image: &str| AttackRow { image: image.into(), ..attack_row(idx, true, None) };
        let rows = keyed(vec![row(9, "a"), row(4, "a"), row(5, "b"), row(7, "a")]);
        let found: Vec<(String, u64)> =
            rows.iter().map(|(key, row)| (key.to_string(), row.idx)).collect();
        let expected = [("a 0", 4), ("a 1", 7), ("a 2", 9), ("b 0", 5)];
        assert_eq!(found, expected.map(|(key, idx)| (key.to_owned(), idx)));
    }
}
