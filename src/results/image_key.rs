//! What makes an image the same one in every table: its digest. A data set may hold an image several
//! times; the k-th of them in one table is the k-th in every other.

use std::collections::HashMap;

use crate::record::Row;

/// An image, whatever its index in a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ImageKey {
    digest: String,
    /// How many images with this digest stand before it in its table, by index.
    nth: usize,
}

impl ImageKey {
    /// The digest of the image with its label.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    /// The key of an image that only its index is known of.
    pub(crate) fn of_index(idx: u64) -> Self {
        Self { digest: format!("{idx:020}"), nth: 0 }
    }
}

impl std::fmt::Display for ImageKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.digest, self.nth)
    }
}

/// The keys of the rows of one table, in their order.
pub(crate) fn keys<R: Row>(rows: &[R]) -> Vec<ImageKey> {
    let mut by_index: Vec<usize> = (0..rows.len()).collect();
    by_index.sort_by_key(|at| rows[*at].idx());
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut keys = vec![ImageKey::of_index(0); rows.len()];
    for at in by_index {
        let digest = rows[at].image();
        let count = seen.entry(digest).or_default();
        keys[at] = ImageKey { digest: digest.to_owned(), nth: *count };
        *count += 1;
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Named(u64, String);

    impl Row for Named {
        fn idx(&self) -> u64 {
            self.0
        }

        fn image(&self) -> &str {
            &self.1
        }

        fn label(&self) -> u32 {
            0
        }

        fn problem(&self) -> Option<String> {
            None
        }

        fn untimed(&self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn copies_of_an_image_are_counted_by_their_indices() {
        let rows = [(9, "a"), (4, "a"), (5, "b"), (7, "a")].map(|(i, d)| Named(i, d.to_owned()));
        let found: Vec<String> = keys(&rows).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["a 2", "a 0", "b 0", "a 1"]);
    }
}
