//! Running what is left of a job of a certificate against patches.

use crate::certify::patch::{PatchCertificate, certify_patches};
use crate::data::Batch;
use crate::error::Result;
use crate::network::Network;
use crate::record::Row as _;
use crate::work::remaining::{CERTIFIED_PORTION, Remaining, SAMPLES_PER_PASS};
use crate::work::task::{JobContext, JobRequest, Progress, Task};

/// A certificate against patches with its settings.
pub(super) struct PatchTask(pub(super) Box<dyn PatchCertificate>);

impl Task for PatchTask {
    fn run(&self, context: &JobContext<'_>, progress: &mut dyn Progress) -> Result<()> {
        let (network, stop) = (context.network, context.stop);
        Remaining::open(context)?.image_by_image(progress, |batch, on_row| {
            certify_patches(network, batch, &*self.0, SAMPLES_PER_PASS, stop, on_row)
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
        let (batch, mut text) = (images(&[idx])?, None);
        certify_patches(network, &batch, &*self.0, SAMPLES_PER_PASS, &|| false, &mut |row| {
            text = Some(format!("{:?}", row.untimed()));
            Ok(())
        })?;
        Ok(text)
    }
}
