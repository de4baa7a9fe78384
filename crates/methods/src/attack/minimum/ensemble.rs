//! `min-norm`: several minimum-norm attacks, of which every image keeps the closest adversarial image. No single attack is
//! the best on every image, and far less on every network; beside the ensemble one sees what each of them misses.

use super::super::fab::Keep;
use super::super::{Attack, Configured, Entry, HyperParameters, Objective, Search, configure};
use super::{ALL_NORMS, norm_of};
use crate::error::{Error, Result};
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::threat::{Norm, Threat};

pub(in crate::attack) const MIN_NORM: Entry = Entry {
    name: "min-norm",
    about: "several attacks without a radius; every image keeps the closest of all",
    threats: ALL_NORMS,
    is_control: false,
    fields: &[MinNorm::FIELDS],
    build: |parameters, threat| MinNorm::new(norm_of(threat)).build(parameters),
};

/// The attacks that it may consist of.
const PARTS: [&str; 12] = [
    "ddn",
    "fmn",
    "deepfool",
    "superdeepfool",
    "alma",
    "pdgd",
    "pdpgd",
    "ead",
    "trust-region",
    "sigma-zero",
    "vfga",
    "fab-t",
];

documented! {
    /// `min-norm`: the closest adversarial image of several attacks.
    #[derive(Debug, Clone, PartialEq)]
    pub struct MinNorm {
        /// The norm that is to be small.
        pub norm: Norm,
        /// Names of the attacks, with spaces or commas in between.
        pub attacks: String,
        /// Steps of DDN, FMN, ALMA, PDGD, PDPGD and sigma-zero, at least 1; the others have their own numbers.
        pub steps: usize,
    }
}

impl MinNorm {
    /// For each norm the attacks of the list that are strong in it, with 1000 steps.
    pub fn new(norm: Norm) -> Self {
        let attacks = match norm {
            Norm::Linf => "fmn deepfool pdpgd fab-t",
            Norm::L2 => "ddn fmn superdeepfool alma pdgd fab-t",
            Norm::L1 => "fmn alma pdpgd fab-t",
            Norm::L0 | Norm::L0Pixels => "sigma-zero fmn vfga",
        };
        Self { norm, attacks: attacks.into(), steps: 1000 }
    }

    fn part(&self, name: &str) -> Result<Configured> {
        let given = match name {
            "ddn" | "fmn" | "alma" | "pdgd" | "pdpgd" | "sigma-zero" => {
                vec![("steps", self.steps.to_string())]
            }
            "fab-t" => vec![("keep", Keep::Closest.to_string())],
            "deepfool" | "superdeepfool" | "ead" | "trust-region" | "vfga" => vec![],
            other => return Err(Error::unknown("attack of min-norm", other, PARTS)),
        };
        let given = given.into_iter().map(|(name, value)| (name.to_owned(), value));
        configure(name, &self.threat(), &given.collect())
    }
}

impl HyperParameters for MinNorm {
    fn entry(&self) -> &'static Entry {
        &MIN_NORM
    }

    fn threat(&self) -> Threat {
        Threat::ball(self.norm, f32::INFINITY)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.steps = parameters.count("steps", self.steps)?;
        self.attacks = parameters.take("attacks", self.attacks)?;
        let names = self.attacks.split([' ', ',']).filter(|name| !name.is_empty());
        let parts: Vec<Configured> = names.map(|name| self.part(name)).collect::<Result<_>>()?;
        if parts.is_empty() {
            return Err(Error::setting(
                "min-norm: attacks",
                "there are none",
                format!("name some of: {}", PARTS.join(", ")),
            ));
        }
        Ok(Box::new(Closest { parts }))
    }
}

struct Closest {
    parts: Vec<Configured>,
}

impl Attack for Closest {
    fn objective(&self) -> Objective {
        Objective::Minimal
    }

    fn parts(&self) -> &[Configured] {
        &self.parts
    }

    fn losses(&self) -> Vec<Loss> {
        self.parts.iter().flat_map(|part| part.search.losses()).collect()
    }

    fn most_passes(&self, shape: [usize; 3], classes: usize) -> Option<f64> {
        self.parts.iter().map(|part| part.search.most_passes(shape, classes)).sum()
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let all: Vec<usize> = (0..search.len()).collect();
        for part in &self.parts {
            let run = (part.name, part.search.objective(), &all[..]);
            search.part(run, all.len(), &mut |images, _| part.search.run(images))?;
        }
        Ok(())
    }
}
