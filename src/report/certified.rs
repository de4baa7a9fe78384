//! Certified accuracy as columns of the board: one for each norm that smoothing certified, and one for
//! each size of a patch.

use serde::Serialize;

use super::format::{self, Cell};
use super::gather::Job;
use super::standing::Standing;
use crate::record::Work;

/// What certified accuracy is about.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CertifiedColumn {
    /// `certified L2 0.25`, `certified patch 2x2`.
    pub title: String,
    /// `L2`, or the patch in words.
    pub threat: String,
    /// The smallest positive radius that any certificate of the board reports in the norm; `None` for
    /// a patch.
    pub radius: Option<f64>,
}

/// The columns of these jobs, in their order.
pub(super) fn columns(jobs: &[&Job]) -> Vec<CertifiedColumn> {
    let mut columns: Vec<CertifiedColumn> = Vec::new();
    for job in jobs {
        let (threat, radius) = match &job.work {
            Work::Certificate { norm, radii, .. } => {
                let smallest = radii.iter().copied().filter(|r| *r > 0.0).min_by(f64::total_cmp);
                let Some(radius) = smallest else { continue };
                (norm, Some(radius))
            }
            Work::PatchCertificate { patch, .. } => (patch, None),
            Work::Attack { .. } | Work::Bound { .. } => continue,
        };
        match columns.iter_mut().find(|column| column.threat == *threat) {
            Some(known) => known.radius = known.radius.zip(radius).map(|(a, b)| a.min(b)),
            None => columns.push(CertifiedColumn {
                title: String::new(),
                threat: threat.clone(),
                radius,
            }),
        }
    }
    for column in &mut columns {
        column.title = format!("certified {}", format::title(&column.threat, column.radius));
    }
    columns
}

impl CertifiedColumn {
    /// Field of a network: the best of its finished certificates.
    pub(super) fn cell(&self, standing: &Standing) -> Cell {
        let (best, running) = match self.radius {
            Some(radius) => {
                let of = || standing.certificates.iter().filter(|c| c.norm == self.threat);
                let best = standing.certified(&self.threat, radius).map(|(_, share)| share);
                (best, of().find(|c| !c.finished()).map(|c| (c.done, c.images)))
            }
            None => {
                let of = || standing.patches.iter().filter(|c| c.patch == self.threat);
                let finished = of().filter(|c| c.finished()).filter_map(|c| c.certified);
                let best = finished.max_by(|a, b| a.rate.total_cmp(&b.rate));
                (best, of().find(|c| !c.finished()).map(|c| (c.done, c.images)))
            }
        };
        match (best, running) {
            (Some(share), _) => Cell::Value(share, false),
            (None, Some((done, images))) => Cell::Unfinished(done, images),
            (None, None) => Cell::Absent,
        }
    }

    /// What the column means, in a sentence.
    pub(super) fn reading(&self, standings: &[Standing], only: bool) -> String {
        let name = if only { "Certified".into() } else { capital(&self.title) };
        let count = |s: &Standing| match self.radius {
            Some(_) => s.certificates.iter().filter(|c| c.norm == self.threat).count(),
            None => s.patches.iter().filter(|c| c.patch == self.threat).count(),
        };
        let several = standings.iter().any(|s| count(s) > 1);
        let best = if several { ", by the model's best certificate" } else { "" };
        match self.radius {
            Some(radius) => format!(
                "{name}: correct, and proved not to change within an {} ball of radius {}{best}.",
                self.threat,
                format::eps(radius)
            ),
            None => format!(
                "{name}: correct with the defence in front, and proved not to change whatever a {} \
                 shows, wherever it is{best}.",
                self.threat
            ),
        }
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}
