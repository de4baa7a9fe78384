//! The alarm: an attack found an adversarial image inside a ball that bounds proved to be safe. One
//! of them is wrong. Smoothing is not looked at: its certificates are about another function.

use serde::Serialize;

use super::gather::Job;
use super::table::Table;
use crate::record::Work;

/// An image on which an attack and a certificate of one network contradict each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contradiction {
    /// Index of the image.
    pub image: u64,
    /// Label of the attack.
    pub attack: String,
    /// Distance of its adversarial image, in its own norm.
    pub distance: f64,
    /// Label of the certificate.
    pub certificate: String,
    /// The radius it proved, in its own norm.
    pub radius: f64,
}

impl std::fmt::Display for Contradiction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { image, attack, distance, certificate, radius } = self;
        write!(
            f,
            "attack and certificate contradict each other on image {image}: {attack} broke it at \
             distance {distance}, {certificate} proved radius {radius}"
        )
    }
}

/// All contradictions between `jobs`, which are of one network on one data set.
pub(super) fn contradictions(jobs: &[&Job]) -> Vec<Contradiction> {
    let mut found = Vec::new();
    for bound in jobs {
        let (Work::Bound { label: certificate, threat: proven, .. }, Table::Bound(balls)) =
            (&bound.work, &bound.table)
        else {
            continue;
        };
        for attack in jobs {
            let (Work::Attack { label, threat, .. }, Table::Attack(rows)) =
                (&attack.work, &attack.table)
            else {
                continue;
            };
            if !at_least(threat, proven) {
                continue;
            }
            for (image, row) in rows {
                let Some(ball) = balls.get(image).filter(|ball| ball.correct == 1) else {
                    continue;
                };
                let broken = row.found == 1 && row.clean_correct() && row.prediction != row.label;
                if broken && row.distance <= ball.radius {
                    found.push(Contradiction {
                        image: *image,
                        attack: label.clone(),
                        distance: row.distance,
                        certificate: certificate.clone(),
                        radius: ball.radius,
                    });
                }
            }
        }
    }
    found
}

/// Whether a distance in norm `a` is never below the distance in norm `b`: Linf <= L2 <= L1.
fn at_least(a: &str, b: &str) -> bool {
    let place = |norm: &str| ["Linf", "L2", "L1"].iter().position(|n| *n == norm);
    matches!((place(a), place(b)), (Some(a), Some(b)) if a >= b)
}
