//! PGD in ever larger balls: one run in place of one for every radius. An image goes on in the next ball from where it
//! stood in the last one, which lies inside, and it is done with the first ball in which it breaks. So a sweep costs far
//! less than its radii apart, and no robust accuracy of it rises with the radius.
//!
//! What it saves are the steps on images that a smaller ball has broken, and the way out through the ball. It is PGD, no
//! search for the closest image: the distance that it reports is where the last step ended, and only the ball that it is
//! in says something.

use super::super::gradient::CONVEX;
use super::super::{Attack, Entry, HyperParameters, Objective, Search};
use super::boundary::RunState;
use super::norm_of;
use crate::attack::ImageState as _;
use crate::error::{Error, Result};
use crate::loss::Loss;
use crate::parameters::{Parameters, documented, parse_number};
use crate::rows::{self, Kernel, kernel};
use crate::threat::{Norm, Threat};

pub(in crate::attack) const PGD_SWEEP: Entry = Entry {
    name: "pgd-sweep",
    about: "PGD in ever larger balls, each from where the last one ended (Madry et al. 2018)",
    threats: CONVEX,
    is_control: false,
    fields: &[PgdSweep::FIELDS],
    build: |parameters, threat| PgdSweep::new(norm_of(threat)).build(parameters),
};

documented! {
    /// `pgd-sweep`: PGD (Madry et al., ICLR 2018) in several balls.
    #[derive(Debug, Clone, PartialEq)]
    pub struct PgdSweep {
        /// Norm of the balls.
        pub norm: Norm,
        /// Radii of the balls in pixel units, as numbers or fractions, with spaces or commas in between; above 0. In a
        /// suite and on the command line they are those of `eps` unless given.
        pub radii: String,
        /// Steps in a ball, at least 1: a forward and a backward pass each, and a forward pass after the last.
        pub steps: usize,
        /// Length of a step as a share of the radius, above 0.
        pub alpha: f64,
        /// What the steps climb.
        pub loss: Loss,
    }
}

impl PgdSweep {
    /// The radii of most tables, and in each ball the steps that PGD takes by default.
    pub fn new(norm: Norm) -> Self {
        let (radii, steps, alpha) = match norm {
            Norm::Linf => ("1/255 2/255 4/255 8/255 16/255", 40, 1.0 / 30.0),
            Norm::L2 => ("0.25 0.5 1 2", 100, 1.0 / 40.0),
            Norm::L1 | Norm::L0 | Norm::L0Pixels => ("3 6 12 24", 100, 1.0 / 40.0),
        };
        Self { norm, radii: radii.into(), steps, alpha, loss: Loss::CrossEntropy }
    }
}

impl HyperParameters for PgdSweep {
    fn entry(&self) -> &'static Entry {
        &PGD_SWEEP
    }

    fn threat(&self) -> Threat {
        Threat::ball(self.norm, f32::INFINITY)
    }

    fn build(self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        let Self { norm, radii, steps, alpha, loss } = self;
        let radii = parameters.take("radii", radii)?;
        Ok(Box::new(Sweep {
            norm,
            radii: parse(&radii)?,
            steps: parameters.count("steps", steps)?,
            alpha: parameters.positive("alpha", alpha)?,
            loss: parameters.take("loss", loss)?,
        }))
    }
}

/// The radii in `text`, ascending and each once.
fn parse(text: &str) -> Result<Vec<f32>> {
    let refuse = |problem: String| {
        Err(Error::setting(
            "pgd-sweep: radii",
            problem,
            "give radii like \"2/255 4/255\" or \"0.25, 0.5\"",
        ))
    };
    let mut radii = Vec::new();
    for part in text.split([' ', ',']).filter(|part| !part.is_empty()) {
        match parse_number(part).map(|radius| radius as f32) {
            Some(radius) if radius > 0.0 && radius.is_finite() => radii.push(radius),
            _ => return refuse(format!("`{part}` is no radius above 0")),
        }
    }
    if radii.is_empty() {
        return refuse("there are none".into());
    }
    radii.sort_by(f32::total_cmp);
    radii.dedup();
    Ok(radii)
}

/// The attack while it runs.
struct Sweep {
    norm: Norm,
    /// Ascending.
    radii: Vec<f32>,
    steps: usize,
    /// See [`PgdSweep::alpha`].
    alpha: f64,
    loss: Loss,
}

impl Attack for Sweep {
    fn objective(&self) -> Objective {
        Objective::Minimal
    }

    fn losses(&self) -> Vec<Loss> {
        vec![self.loss]
    }

    fn most_passes(&self, _: [usize; 3], _: usize) -> Option<f64> {
        Some(2.0 * (self.radii.len() * self.steps) as f64 + 1.0)
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let geometry = self.norm.geometry();
        let mut state = RunState::new(search, 0)?;
        for (ball, eps) in self.radii.iter().enumerate() {
            let alpha = (self.alpha * f64::from(*eps)) as f32;
            if ball == 0 {
                state.x = rows::map(Kernel::NONE, [search.clean()], |row, [x0], x| {
                    geometry.random(search.draw(row, 0, 0), x0, *eps, x);
                    geometry.project(x, x0, *eps);
                })?;
            }
            for _ in 0..self.steps {
                let mut at = search.gradient_of(&state.of, &state.x, self.loss)?;
                let adversarial = state.propose(search, &at.logits)?;
                let left: Vec<usize> =
                    (0..state.of.len()).filter(|row| !adversarial[*row]).collect();
                if left.is_empty() {
                    return Ok(());
                }
                if left.len() < state.of.len() {
                    (&mut state, &mut at.gradient).keep(&left)?;
                }
                // x <- Proj(x + alpha * direction(g))
                let kernel = kernel!("pgd_step", self.norm.number(), alpha, *eps);
                state.x = rows::map(
                    kernel,
                    [&state.x, &at.gradient, &state.clean],
                    |_, [x, g, x0], next| {
                        next.copy_from_slice(x);
                        geometry.ascend(next, g, alpha);
                        geometry.project(next, x0, *eps);
                    },
                )?;
            }
        }
        // Where the last step in a smaller ball ended, the first one in the next ball has asked.
        let logits = search.logits_of(&state.of, &state.x)?;
        state.propose(search, &logits)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::super::fab::{dual, length};
    use super::super::super::tests::{grey, linear, random_network, run};
    use super::*;
    use crate::attack::configure;

    #[test]
    fn radii_are_numbers_and_fractions() {
        assert_eq!(parse("8/255, 2/255 8/255").unwrap(), [2.0 / 255.0, 8.0 / 255.0]);
        for text in ["", "0.1 x", "0", "-1", "1/0", "nan"] {
            assert!(parse(text).is_err(), "{text}");
        }
        let given = BTreeMap::from([("radii".to_owned(), "0.1 b".to_owned())]);
        let error = configure("pgd-sweep", &Threat::ball(Norm::Linf, 1.0), &given).err().unwrap();
        assert!(error.to_string().contains("`b` is no radius"), "{error}");
    }

    /// A linear network breaks in the first ball that is larger than margin / ||w||_q, and costs the smaller ones.
    #[test]
    fn the_first_ball_that_is_large_enough_breaks_a_linear_network() {
        let w: Vec<f32> = (0..12).map(|i| (i as f32 * 0.7).sin() + 0.1).collect();
        let margin = 0.08_f32;
        let model = linear(&w, margin - 0.5 * w.iter().sum::<f32>(), [1, 3, 4]);
        for norm in [Norm::Linf, Norm::L2, Norm::L1] {
            let distance = f64::from(margin) / length(dual(norm), &w);
            let radii = [0.5, 0.9, 1.1, 2.0].map(|share| format!("{}", share * distance)).join(" ");
            let given = [("radii", &*radii), ("steps", "60")];
            let o = &run("pgd-sweep", &given, Threat::ball(norm, 1.0), &model, &grey())[0];
            assert!(o.found, "{norm}");
            assert!(o.distance > 0.999 * distance && o.distance <= 1.1 * distance, "{norm}");
            assert!(o.backwards > 120 && o.backwards <= 180, "{norm}: {}", o.backwards);
        }
    }

    /// At every radius about as many images as PGD apart, for fewer passes.
    #[test]
    fn a_sweep_stands_beside_a_run_for_every_radius() {
        let (model, batch) = random_network(3, false);
        let radii = [0.02, 0.05, 0.1, 0.2];
        let text = radii.map(|radius: f64| radius.to_string()).join(" ");
        let threat = |eps| Threat::ball(Norm::Linf, eps);
        let given = [("radii", &*text), ("steps", "20")];
        let sweep = run("pgd-sweep", &given, threat(1.0), &model, &batch);
        let mut apart = 0;
        for radius in radii {
            let given = [("steps", "20")];
            let own = run("pgd", &given, threat(radius as f32), &model, &batch);
            apart += own.iter().map(|o| o.forwards + o.backwards).sum::<u64>();
            let broken = sweep.iter().filter(|o| o.distance <= radius * (1.0 + 1e-6)).count();
            let by_pgd = own.iter().filter(|o| o.found).count();
            assert!(broken >= by_pgd, "{radius}: {broken} and {by_pgd}");
        }
        let passes: u64 = sweep.iter().map(|o| o.forwards + o.backwards).sum();
        assert!(passes < apart, "{passes} and {apart}");
    }
}
