//! Certified accuracy as columns of the board: one for each norm that smoothing certified, and one for
//! each size of a patch.

use serde::Serialize;

use super::coverage::ImageSet;
use super::format::{self, Cell};
use super::gather::Job;
use super::proportion::Proportion;
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
    /// The best of the finished certificates of a network, with the images it is over.
    fn best<'a>(&self, standing: &'a Standing) -> Option<(Proportion, Option<&'a ImageSet>)> {
        match self.radius {
            Some(radius) => {
                let (certificate, share) = standing.certified(&self.threat, radius)?;
                Some((share, certificate.image_set.as_ref()))
            }
            None => {
                let own =
                    standing.patches.iter().filter(|c| c.patch == self.threat && c.finished());
                let own = own.filter_map(|c| Some(((), c.certified?, c.image_set.as_ref())));
                standing.best(own).map(|((), share, images)| (share, images))
            }
        }
    }

    /// The images that the field of a network is over.
    pub(super) fn image_set(&self, standing: &Standing) -> Option<ImageSet> {
        self.best(standing).and_then(|(_, images)| images.cloned())
    }

    /// Field of a network: the best of its finished certificates.
    pub(super) fn cell(&self, standing: &Standing) -> Cell {
        if let Some((share, images)) = self.best(standing) {
            return Cell::measured(share, images.is_some_and(|set| standing.elsewhere(set)));
        }
        let running = match self.radius {
            Some(_) => {
                let mut own = standing.certificates.iter().filter(|c| c.norm == self.threat);
                own.find(|c| !c.finished()).map(|c| (c.done, c.images))
            }
            None => {
                let mut own = standing.patches.iter().filter(|c| c.patch == self.threat);
                own.find(|c| !c.finished()).map(|c| (c.done, c.images))
            }
        };
        running.map_or(Cell::Absent, |(done, images)| Cell::Unfinished(done, images))
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
