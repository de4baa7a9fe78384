//! What a caller hears of a job that this process takes up several times, between others: it begins once, and an
//! image counts once, whoever computed it.

use std::collections::BTreeSet;

use crate::error::Error;
use crate::record::{Finding, JobRecord};
use crate::work::Progress;

/// What was told of one job.
#[derive(Debug, Default)]
pub(super) struct Told {
    begun: bool,
    images: usize,
    findings: BTreeSet<String>,
}

/// Tells of one job until it is left for another.
pub(super) struct Telling<'a> {
    told: &'a mut Told,
    to: &'a mut dyn Progress,
    /// It was told in this turn that the job goes on.
    here: bool,
}

impl<'a> Telling<'a> {
    pub(super) fn new(told: &'a mut Told, to: &'a mut dyn Progress) -> Self {
        Self { told, to, here: false }
    }
}

impl Progress for Telling<'_> {
    fn job(&mut self, job: &JobRecord, done: usize) {
        if !self.told.begun {
            self.told.begun = true;
            self.told.images = done;
            self.to.job(job, done);
        } else {
            if !self.here {
                self.to.back(job, self.told.images);
            }
            let new = done.saturating_sub(self.told.images);
            if new > 0 {
                self.images(new);
            }
        }
        self.here = true;
    }

    fn images(&mut self, count: usize) {
        self.told.images += count;
        self.to.images(count);
    }

    fn finding(&mut self, job: &JobRecord, finding: &Finding) {
        if self.told.findings.insert(finding.check.clone()) {
            self.to.finding(job, finding);
        }
    }

    fn failed(&mut self, job: &JobRecord, error: &Error) {
        self.to.failed(job, error);
    }
}
