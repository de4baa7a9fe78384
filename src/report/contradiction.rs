//! The alarm: an adversarial image lies inside a ball that bounds proved to be safe. One of them is wrong.
//! Certificates of smoothing and against patches are not looked at: they are about another function.

use serde::Serialize;

use super::gather::Job;
use super::region::distance;
use super::table::Table;
use crate::record::Work;

/// An image on which an attack and a certificate of one network contradict each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contradiction {
    /// Index of the image in the attack's table.
    pub image: u64,
    /// Label of the attack.
    pub attack: String,
    /// Distance of its adversarial image, in the norm of the certificate.
    pub distance: f64,
    /// Label of the certificate.
    pub certificate: String,
    /// The radius it proved.
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

/// All contradictions between `jobs`, which are of one network on one data set, in however many runs.
pub(super) fn contradictions(jobs: &[&Job]) -> Vec<Contradiction> {
    let mut found = Vec::new();
    for bound in jobs {
        let (Work::Bound { label: certificate, threat: norm, .. }, Table::Bound(balls)) =
            (&bound.work, &bound.table)
        else {
            continue;
        };
        for attack in jobs {
            let Table::Attack(rows) = &attack.table else { continue };
            for (key, row) in rows.iter().filter(|(_, row)| row.adversarial()) {
                let ball = balls.get(key).filter(|ball| ball.correct == 1);
                let Some((ball, distance)) = ball.zip(distance(row, norm)) else { continue };
                if distance <= ball.radius {
                    found.push(Contradiction {
                        image: row.idx,
                        attack: attack.work.label().to_owned(),
                        distance,
                        certificate: certificate.clone(),
                        radius: ball.radius,
                    });
                }
            }
        }
    }
    found.sort_by(|a, b| {
        let names = |c: &Contradiction| (c.image, c.attack.clone(), c.certificate.clone());
        names(a)
            .cmp(&names(b))
            .then(a.distance.total_cmp(&b.distance))
            .then(a.radius.total_cmp(&b.radius))
    });
    found.dedup();
    found
}
