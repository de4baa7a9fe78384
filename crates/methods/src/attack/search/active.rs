//! The active set: the images that are not yet broken, and what a search knows of them.

use super::image_state::image_state;
use crate::attack::criterion::Criterion;
use crate::error::Result;
use crate::rows::Rows;

/// The columns of a search, a row for each active image.
pub(in crate::attack) struct Active {
    /// `[N, C, H, W]`.
    pub(super) clean: Rows,
    pub(super) labels: Vec<u32>,
    pub(super) targets: Option<Vec<u32>>,
    /// Indices in the data set.
    pub(in crate::attack) ids: Vec<u64>,
    /// Places in the batch.
    pub(super) places: Vec<usize>,
    /// The same four again, where the images are.
    pub(super) rows: Known,
}

/// What is known of each active image, for kernels.
pub(super) struct Known {
    pub(super) labels: Rows,
    /// [`Rows::none`] in an untargeted search.
    pub(super) targets: Rows,
    /// The two words of an index in the data set, `[N, 2]`.
    pub(super) ids: Rows,
    pub(super) places: Rows,
}

image_state!(Active { clean, labels, targets, ids, places, rows });
image_state!(Known { labels, targets, ids, places });

impl Active {
    /// All images of a batch `[N, C, H, W]`.
    pub(super) fn new(
        clean: Rows,
        labels: Vec<u32>,
        targets: Option<Vec<u32>>,
        ids: Vec<u64>,
    ) -> Result<Self> {
        let (n, place) = (clean.len(), clean.location());
        let places: Vec<usize> = (0..n).collect();
        let rows = Known {
            labels: Rows::classes(&place, &labels)?,
            targets: match &targets {
                Some(targets) => Rows::classes(&place, targets)?,
                None => Rows::none(&place)?,
            },
            ids: Rows::new(&place, [n, 2], ids.iter().flat_map(|id| words(*id)).collect())?,
            places: Rows::numbers(&place, places.iter().map(|place| *place as f32).collect())?,
        };
        let active = Self { clean, labels, targets, ids, places, rows };
        super::image_state::check(&active, n)?;
        Ok(active)
    }

    /// Number of active images.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// What is a success for the image of a row.
    pub(in crate::attack) fn criterion(&self, row: usize) -> Criterion {
        Criterion::new(self.labels[row], self.targets.as_ref().map(|targets| targets[row]))
    }

    /// These are all active rows, in order.
    pub(super) fn are_all(&self, of: &[usize]) -> bool {
        of.len() == self.len() && of.iter().enumerate().all(|(i, row)| i == *row)
    }
}

/// The bits of a number in two words.
pub(super) fn words(number: u64) -> [f32; 2] {
    [f32::from_bits(number as u32), f32::from_bits((number >> 32) as u32)]
}
