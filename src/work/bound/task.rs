//! Running what is left of a job of bounds.

use crate::certify::bounds::{Bounds, bound_batch};
use crate::data::Batch;
use crate::error::Result;
use crate::network::Network;
use crate::record::Row as _;
use crate::work::remaining::{CERTIFIED_PORTION, Remaining};
use crate::work::task::{JobContext, JobRequest, Progress, Task};

/// Bounds with their settings.
pub(super) struct BoundTask(pub(super) Bounds);

impl Task for BoundTask {
    fn run(&self, context: &JobContext<'_>, progress: &mut dyn Progress) -> Result<()> {
        let (network, stop) = (context.network.looked_into(super::NAME)?, context.stop);
        Remaining::open(context)?.image_by_image(progress, |batch, on_row| {
            bound_batch(network, batch, &self.0, stop, on_row)
        })
    }

    fn portion(&self, job: &JobRequest<'_>) -> Option<usize> {
        Some(job.batch.unwrap_or(CERTIFIED_PORTION))
    }

    fn again(
        &self,
        network: &Network,
        images: &dyn Fn(&[u64]) -> Result<Batch>,
        (idx, _): (u64, usize),
    ) -> Result<Option<String>> {
        let (network, batch) = (network.looked_into(super::NAME)?, images(&[idx])?);
        let mut text = None;
        bound_batch(network, &batch, &self.0, &|| false, &mut |row| {
            text = Some(format!("{:?}", row.untimed()));
            Ok(())
        })?;
        Ok(text)
    }
}
