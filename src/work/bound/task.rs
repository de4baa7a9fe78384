//! Running what is left of a job of bounds.

use crate::certify::bounds::{Bounds, bound_batch};
use crate::data::Batch;
use crate::error::Result;
use crate::model::FrozenNetwork;
use crate::record::Row as _;
use crate::work::remaining::{CERTIFIED_PORTION, Remaining};
use crate::work::task::{Place, Progress, Task, Terms};

/// Bounds with their settings.
pub(super) struct BoundTask(pub(super) Bounds);

impl Task for BoundTask {
    fn run(&self, place: &Place<'_>, progress: &mut dyn Progress) -> Result<()> {
        let (network, stop) = (place.network, place.stop);
        Remaining::open(place)?.image_by_image(progress, |batch, on_row| {
            bound_batch(network, batch, &self.0, stop, on_row)
        })
    }

    fn portion(&self, terms: &Terms<'_>) -> Option<usize> {
        Some(terms.batch.unwrap_or(CERTIFIED_PORTION))
    }

    fn again(
        &self,
        network: &FrozenNetwork,
        images: &dyn Fn(&[u64]) -> Result<Batch>,
        (idx, _): (u64, usize),
    ) -> Result<Option<String>> {
        let (batch, mut text) = (images(&[idx])?, None);
        bound_batch(network, &batch, &self.0, &|| false, &mut |row| {
            text = Some(format!("{:?}", row.untimed()));
            Ok(())
        })?;
        Ok(text)
    }
}
