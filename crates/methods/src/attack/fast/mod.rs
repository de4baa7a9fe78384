//! `fast`: what AutoAttack leaves, for about a twentieth of its passes. AutoAttack spends the same on every
//! image that resists; most of them are far from the boundary of the ball, which a few steps show. So every
//! image gets a few short descents of the margin, and only those that they brought near get more: longer
//! rounds, and at last the attacks of AutoAttack themselves. How near an image is follows from its own margins
//! ([`ImageProgress::outlook`]), so its result depends on no other image.
//!
//! The pieces are those of A3 (Liu et al., CVPR 2022: random directions first, effort where it counts) and MALT
//! (Melamed et al. 2024: which class to aim at); the schedule is ours. What it may miss is measured: see
//! [`Reference`].

mod descent;
mod rank;
mod schedule;
#[cfg(test)]
mod tests;

use self::descent::Descent;
use self::schedule::{ROUNDS, Round, SPREAD, THOROUGH, Toward};
use super::ensemble::published;
use super::gradient::{CONVEX, ball};
use super::{
    Attack, AutoAttack, Configured, Entry, HyperParameters, Objective, Reference, Search, Version,
};
use crate::error::Result;
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::rows::Rows;
use crate::threat::{Norm, Threat};

pub(super) const FAST: Entry = Entry {
    name: "fast",
    about: "AutoAttack's parts on the images that short descents of the margin bring near, with a control",
    threats: CONVEX,
    is_control: false,
    fields: &[Fast::FIELDS],
    build: |parameters, threat| {
        let (norm, eps) = ball(threat);
        Fast::new(norm, eps).build(parameters)
    },
};

documented! {
    /// `fast`: what AutoAttack leaves, for a fraction of its passes.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Fast {
        /// Norm of the ball.
        pub norm: Norm,
        /// Radius of the ball, in pixel units.
        pub eps: f32,
        /// Classes that are ranked by their distance, at least 1.
        pub malt_classes: usize,
        /// Images per call of a stage, at least 1. Matters only where random numbers are drawn for a whole batch.
        pub batch_size: usize,
        /// The images left that AutoAttack is asked about: below 1 a share, but at least 5 images; from 1 on a
        /// number; 0 for none.
        pub control: f64,
        /// Goes over to AutoAttack for all images that are left if it breaks one of the control, or a safety
        /// check says that gradients mislead.
        pub escalate: bool,
    }
}

impl Fast {
    /// Nine classes, a control of 1 % of the images that are left, and all of them to AutoAttack if it fails.
    pub fn new(norm: Norm, eps: f32) -> Self {
        Self { norm, eps, malt_classes: 9, batch_size: 250, control: 0.01, escalate: true }
    }
}

impl HyperParameters for Fast {
    fn entry(&self) -> &'static Entry {
        &FAST
    }

    fn threat(&self) -> Threat {
        Threat::ball(self.norm, self.eps)
    }

    fn build(self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        let Self { norm, eps, malt_classes, batch_size, control, escalate } = self;
        Ok(Box::new(Stages {
            norm,
            eps,
            malt_classes: parameters.count("malt_classes", malt_classes)?,
            batch: parameters.count("batch_size", batch_size)?,
            parts: published(Version::Standard, norm, eps)?,
            reference: Reference {
                attack: Configured::of(AutoAttack::new(norm, eps))?,
                control: parameters.at_least_zero("control", control)?,
                escalate: parameters.take("escalate", escalate)?,
            },
        }))
    }
}

/// The attack while it runs.
struct Stages {
    norm: Norm,
    eps: f32,
    malt_classes: usize,
    /// See [`Fast::batch_size`].
    batch: usize,
    /// The attacks of AutoAttack.
    parts: Vec<Configured>,
    reference: Reference,
}

/// What is known of an image.
#[derive(Debug, Clone, Default)]
struct ImageProgress {
    /// Margin of the label on the clean image: its logit minus the largest other one.
    clean: f32,
    /// The smallest margin that was reached in the ball.
    best: f32,
    /// The excess after the first descent; in the L1 ball, where that one is of another kind, after the second.
    first: f32,
    /// The largest excess that a descent towards no class in particular ended with, the first one among them.
    worst: f32,
    /// The other classes, nearest first; empty under a targeted goal.
    classes: Vec<u32>,
}

impl ImageProgress {
    /// By how much the ball is too small to break the image, as a share of its radius, if the margin falls
    /// evenly on the way out: exact for a linear network. An image whose margin did not move counts as near.
    fn excess(&self) -> f32 {
        self.excess_at(self.best)
    }

    /// The same of a run that reached this margin.
    fn excess_at(&self, margin: f32) -> f32 {
        let fallen = self.clean - margin;
        if fallen > 0.0 { margin / fallen } else { 0.0 }
    }

    /// The image is near, with an excess of at most `within`, and may still be broken: its runs ended so differently that
    /// others may end elsewhere, or it is nearer than a tenth of that.
    fn is_open(&self, within: f32) -> bool {
        let excess = self.excess();
        excess <= within && (self.worst >= SPREAD * excess || excess <= within / 10.0)
    }

    /// The excess that further runs may come to, if they bring it down twice by the factor by which those after
    /// the first descent did. On a smooth network all runs end alike, and this is the excess itself. Where it is
    /// far below it, every run finds another valley: the network hides its gradients to some degree, and nothing
    /// is settled yet.
    fn outlook(&self) -> f32 {
        let excess = self.excess();
        if self.first > 0.0 { excess * (excess / self.first).powi(2) } else { 0.0 }
    }
}

impl Attack for Stages {
    fn parts(&self) -> &[Configured] {
        &self.parts
    }

    fn losses(&self) -> Vec<Loss> {
        let parts = self.parts.iter().flat_map(|part| part.search.losses());
        parts.chain([Loss::Margin]).collect()
    }

    fn reference(&self) -> Option<&Reference> {
        Some(&self.reference)
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let mut progress_of =
            vec![ImageProgress { best: f32::INFINITY, ..ImageProgress::default() }; search.len()];
        let first = if self.norm == Norm::L1 { 1 } else { 0 };
        for (number, round) in (0..).zip(ROUNDS) {
            if number == 1 {
                self.rank(search, &mut progress_of)?;
            }
            if number == first + 1 {
                for progress in &mut progress_of {
                    progress.first = progress.excess();
                    progress.worst = progress.first;
                }
            }
            self.round(search, &mut progress_of, number, round)?;
        }
        for (place, id) in search.places().iter().zip(&search.active.ids) {
            let progress = &progress_of[*place];
            let (excess, worst, outlook) = (progress.excess(), progress.worst, progress.outlook());
            tracing::trace!(image = id, excess, worst, outlook, "descended");
        }
        // Descents in the L1 ball are shorter than they would have to be to end alike.
        let share = if self.norm == Norm::L1 { 0.5 } else { 1.0 };
        for (part, within) in self.parts.iter().zip(THOROUGH) {
            let near: Vec<usize> = (0..search.len())
                .filter(|row| progress_of[search.places()[*row]].is_open(share * within))
                .collect();
            let run = (part.name, part.search.objective(), &near[..]);
            search.part(run, self.batch, &mut |images, _| part.search.run(images))?;
        }
        Ok(())
    }
}

impl Stages {
    /// Clean margins, and the order of the classes.
    fn rank(&self, search: &mut Search<'_>, progress_of: &mut [ImageProgress]) -> Result<()> {
        let most = if search.targets().is_some() { 0 } else { self.malt_classes };
        for (place, ranked) in
            search.places().to_vec().into_iter().zip(rank::classes(search, self.norm, most)?)
        {
            progress_of[place].clean = ranked.margin;
            progress_of[place].classes = ranked.nearest;
        }
        Ok(())
    }

    fn round(
        &self,
        search: &mut Search<'_>,
        progress_of: &mut [ImageProgress],
        number: u32,
        round: &Round,
    ) -> Result<()> {
        let Round { start, adi, steps, .. } = *round;
        let descent = Descent { norm: self.norm, eps: self.eps, start, adi, steps };
        let near = near(search, progress_of, round.within);
        search.part(("descent", Objective::Budget, &near), self.batch, &mut |images, places| {
            // Under a targeted goal there is one class to run towards, and the search knows it.
            let class = |rank: usize, place: &usize| {
                let classes = &progress_of[*place].classes;
                classes.get(rank).or(classes.last()).copied()
            };
            let towards: Option<Vec<u32>> = match round.toward {
                Toward::Any => None,
                Toward::Rank(rank) => places.iter().map(|place| class(rank, place)).collect(),
            };
            let towards = towards.map(|of| Rows::classes(images.location(), &of)).transpose()?;
            for (row, reached) in descent.run(images, number, towards)? {
                let progress = &mut progress_of[places[row]];
                progress.best = progress.best.min(-reached);
                if round.toward == Toward::Any {
                    // A run that led nowhere says nothing but that gradients mislead.
                    let moved = -reached < progress.clean;
                    let excess = if moved { progress.excess_at(-reached) } else { f32::INFINITY };
                    progress.worst = progress.worst.max(excess);
                }
            }
            Ok(())
        })
    }
}

/// The active rows whose images have at most this outlook.
fn near(search: &Search<'_>, progress_of: &[ImageProgress], within: f32) -> Vec<usize> {
    let is_near = |row: &usize| progress_of[search.places()[*row]].outlook() <= within;
    (0..search.len()).filter(|row| within == f32::INFINITY || is_near(row)).collect()
}
