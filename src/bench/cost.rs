//! What the jobs of a plan will cost at most, told before they begin: their passes are known beforehand, and what a
//! pass takes is measured with a few steps of PGD on the first images.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;

use super::plan::{Plan, PlannedJob};
use crate::attack::{Asks, Configured, Iterate, Pgd, Request, attack};
use crate::error::Result;
use crate::model::Classifier as _;
use crate::network::Network;
use crate::threat::Norm;

/// Images that a pass is measured with: few first, and many if these are fast.
const IMAGES: [usize; 2] = [2, 64];

/// Seconds of few images from which on they are enough.
const ENOUGH: f64 = 0.1;

/// The cost of a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobCost {
    /// Id of the job.
    pub job: String,
    /// Number of its images.
    pub images: usize,
    /// Forward and backward passes, together, that an image costs at most; none where that is not known.
    pub most_passes: Option<f64>,
    /// Seconds of the whole job at most, on this machine as it is now; images that are broken early cost less.
    pub most_seconds: Option<f64>,
}

/// The costs of all jobs, in their order; a pass of each network is measured where a job wants to know it.
///
/// # Errors
/// If a network or its images cannot be read, or the network fails.
pub fn costs(plan: &Plan) -> Result<Vec<JobCost>> {
    let mut passes: BTreeMap<(usize, usize), Option<f64>> = BTreeMap::new();
    let jobs = plan.jobs.iter().zip(&plan.record.jobs);
    let cost = |(planned, record): (&PlannedJob, &crate::record::JobRecord)| {
        let most = planned.most_passes.map(|most| most * record.images as f64);
        let at = (planned.model, planned.data);
        if most.is_some() && !passes.contains_key(&at) {
            let network = plan.networks.get(at.0)?;
            passes.insert(at, seconds_of_a_pass(&network, plan, at.1)?);
        }
        let one = most.and(passes.get(&at).copied().flatten());
        Ok(JobCost {
            job: record.id.clone(),
            images: record.images,
            most_passes: planned.most_passes,
            most_seconds: most.zip(one).map(|(most, one)| most * one),
        })
    };
    jobs.map(cost).collect()
}

/// Seconds of a pass of one image among others; `None` if the network classifies none of them correctly.
fn seconds_of_a_pass(network: &Network, plan: &Plan, data: usize) -> Result<Option<f64>> {
    // No image leaves before the last step.
    let pgd = Pgd { steps: 2, iterate: Iterate::Last, ..Pgd::new(Norm::Linf, 1e-3) };
    let pgd = Configured::of(pgd)?;
    let mut seconds = None;
    for count in IMAGES {
        let images: Vec<usize> = (0..plan.data[data].info().len.min(count)).collect();
        let batch = plan.data[data].read(&images)?;
        let began = Instant::now();
        if network.tells() < Asks::Gradients {
            network.logits(&batch.rows()?)?;
            let elapsed = began.elapsed().as_secs_f64();
            // Those of the last question; the first one had no pause before it.
            seconds = Some(elapsed / images.len() as f64);
            continue;
        }
        let outcomes = attack(&pgd, network, &batch, &Request::default())?;
        let elapsed = began.elapsed().as_secs_f64();
        let searched: u64 = outcomes.iter().map(|one| one.forwards + one.backwards).sum();
        // Every image is asked about once before.
        let passes = searched + images.len() as u64;
        seconds = (searched > 0).then(|| elapsed / passes as f64);
        if elapsed > ENOUGH {
            break;
        }
    }
    Ok(seconds)
}
