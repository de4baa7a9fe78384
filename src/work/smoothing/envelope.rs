//! The envelope: of several certificates of one network, the one that certifies most at each radius. Papers
//! report it over sigmas, and which one it is belongs to it.

use serde::Serialize;

use super::columns::certified;
use super::result::SmoothingResult;
use crate::results::{Proportion, format};
use crate::work::entrant::Entrant;
use crate::work::outcome::KindResult as _;

/// The best of a network's finished certificates in a norm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Envelope {
    /// Norm of the radii.
    pub norm: String,
    /// Radii ascending.
    pub points: Vec<EnvelopePoint>,
}

/// The best certificate at a radius.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EnvelopePoint {
    /// The radius.
    pub radius: f64,
    /// Its certified accuracy.
    pub accuracy: Proportion,
    /// Standard deviation of its noise; 0 for noise without one.
    pub sigma: f64,
    /// Label of the job.
    pub label: String,
}

/// The envelopes of a network, one for each norm in which it has at least two finished certificates.
pub(crate) fn envelopes(entrant: &Entrant) -> Vec<Envelope> {
    let finished = || entrant.results::<SmoothingResult>().filter(|c| c.finished());
    let mut norms: Vec<&str> = Vec::new();
    for certificate in finished() {
        let several = finished().filter(|c| c.norm == certificate.norm).count() > 1;
        if several && !norms.contains(&certificate.norm.as_str()) {
            norms.push(&certificate.norm);
        }
    }
    let envelope = |norm: &str| {
        let of = finished().filter(|c| c.norm == norm).flat_map(|c| &c.accuracy);
        let mut radii: Vec<f64> = of.map(|a| a.radius).collect();
        radii.sort_by(f64::total_cmp);
        radii.dedup();
        let point = |radius: f64| {
            let (best, accuracy) = certified(entrant, norm, radius)?;
            Some(EnvelopePoint { radius, accuracy, sigma: best.sigma, label: best.label.clone() })
        };
        Envelope { norm: norm.into(), points: radii.into_iter().filter_map(point).collect() }
    };
    norms.into_iter().map(envelope).collect()
}

impl Envelope {
    /// Which certificate a point is of, in as few words as the network's certificates allow.
    pub(crate) fn source(&self, point: &EnvelopePoint) -> String {
        // Two families of noise may share a sigma.
        let same = |other: &EnvelopePoint| other.sigma == point.sigma && other.label != point.label;
        match point.sigma > 0.0 && !self.points.iter().any(same) {
            true => format!("sigma {}", format::eps(point.sigma)),
            false => point.label.clone(),
        }
    }
}
