//! Verified accuracy as columns of the board.

use super::NAME;
use super::result::BoundResult;
use crate::results::{distinct, format};
use crate::work::entrant::Entrant;
use crate::work::job::Job;
use crate::work::method::union;
use crate::work::outcome::KindColumn;

/// A column for each threat model and radius: threats in the order of the jobs, radii ascending.
pub(super) fn columns(jobs: &[&Job]) -> Vec<KindColumn> {
    let of = |threat: &str| {
        let mut radii = Vec::new();
        let own = jobs.iter().filter(|job| job.work.threat == threat);
        own.for_each(|job| union(&mut radii, &job.work.eps));
        let column = |eps: f64| KindColumn {
            kind: NAME,
            title: format!("verified {}", format::title(threat, Some(eps))),
            word: "verified",
            threat: threat.to_owned(),
            eps: Some(eps),
            lower_bound: true,
        };
        radii.into_iter().map(column).collect::<Vec<_>>()
    };
    distinct(jobs.iter().map(|job| job.work.threat.as_str())).into_iter().flat_map(of).collect()
}

/// What the columns mean.
pub(super) fn reading(columns: &[&KindColumn], entrants: &[&Entrant]) -> Vec<String> {
    if columns.is_empty() {
        return Vec::new();
    }
    let several = entrants.iter().any(|entrant| entrant.results::<BoundResult>().count() > 1);
    vec![format!(
        "Verified: correct, and bounds of the network itself prove that nothing within the ball changes \
         that{}. The truth lies between verified and robust accuracy.",
        if several { ", by the model's best bounds" } else { "" },
    )]
}
