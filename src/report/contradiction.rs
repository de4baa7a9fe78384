//! The alarm: an adversarial image lies inside a ball that was proven safe for the network itself. One of them is wrong.
//! Certificates of a network behind a defence are not looked at: they are about another function.

use serde::Serialize;

use crate::work::Job;

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
    for attack in jobs {
        for (key, image, _, seen) in attack.rows.seen() {
            let Some(adversarial) = seen.adversarial else { continue };
            for proof in jobs {
                let radius = proof.rows.proven(key);
                let distance = adversarial.change.length(&proof.work.threat);
                let Some((radius, distance)) = radius.zip(distance) else { continue };
                if distance <= radius {
                    found.push(Contradiction {
                        image,
                        attack: attack.work.label.clone(),
                        distance,
                        certificate: proof.work.label.clone(),
                        radius,
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
