//! Running what is left of a job of smoothing.

use super::counts::JobCounts;
use crate::certify::{CertificateRow, Forget, Smoothing, certify_batch};
use crate::data::Batch;
use crate::error::Result;
use crate::model::Classifier as _;
use crate::network::Network;
use crate::record::Row as _;
use crate::work::remaining::{CERTIFIED_PORTION, Remaining, SAMPLES_PER_PASS};
use crate::work::task::{JobContext, JobRequest, Progress, Task};

/// CERTIFY with its settings.
pub(super) struct SmoothingTask(pub(super) Smoothing);

impl Task for SmoothingTask {
    fn run(&self, context: &JobContext<'_>, progress: &mut dyn Progress) -> Result<()> {
        let (network, stop) = (context.network, context.stop);
        let work = Remaining::open(context)?;
        let done = work.rows.iter().map(CertificateRow::idx);
        let classes = network.info().classes;
        let mut counts = JobCounts::open(&work.path, &context.job.record.key, classes, done)?;
        work.image_by_image(progress, |batch, on_row| {
            let counts = &mut counts;
            certify_batch(network, batch, &self.0, SAMPLES_PER_PASS, counts, stop, on_row)
        })?;
        counts.finish(context.part.is_none_or(|part| part.apart))
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
        let (batch, keeper, mut text) = (images(&[idx])?, &mut Forget, None);
        certify_batch(network, &batch, &self.0, SAMPLES_PER_PASS, keeper, &|| false, &mut |row| {
            text = Some(format!("{:?}", row.untimed()));
            Ok(())
        })?;
        Ok(text)
    }
}
