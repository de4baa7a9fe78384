//! What an attacker wants, and for a targeted attack which class of which image.

use crate::data::Batch;
use crate::error::{Error, Result};
use crate::model::ModelInfo;
use crate::rng::Stream;
use crate::rows::Rows;

/// What the attacker wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Goal {
    /// Any wrong class.
    #[default]
    Untargeted,
    /// One class per image, chosen by the rule.
    Targeted(Targets),
}

/// How target classes are chosen; never the true class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Targets {
    /// The class with the smallest clean logit.
    LeastLikely,
    /// The class with the largest clean logit but the label's.
    Second,
    /// A class drawn per image.
    Random,
    /// The class after the label, cyclically.
    Next,
    /// This class; images that are of it are not attacked.
    Class(u32),
}

impl Goal {
    /// Refuses a class that the network does not have.
    ///
    /// # Errors
    /// If the goal is one.
    pub fn check(self, info: &ModelInfo) -> Result<()> {
        match self {
            Self::Targeted(Targets::Class(class)) if class as usize >= info.classes => {
                Err(Error::setting(
                    "goal",
                    format!("class {class} does not exist, {} has {}", info.name, info.classes),
                    "choose a class below that number",
                ))
            }
            _ => Ok(()),
        }
    }

    /// The class that each image of `batch` shall get; `None` if any other will do.
    ///
    /// # Errors
    /// If the logits `[N, K]` of the clean images cannot be read.
    pub(super) fn targets(
        self,
        batch: &Batch,
        clean_logits: &Rows,
        seed: u64,
    ) -> Result<Option<Vec<u32>>> {
        match self {
            Self::Untargeted => Ok(None),
            Self::Targeted(rule) => choose(rule, batch, clean_logits, seed).map(Some),
        }
    }
}

impl std::str::FromStr for Goal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match &*text.to_ascii_lowercase() {
            "untargeted" => Self::Untargeted,
            "least-likely" => Self::Targeted(Targets::LeastLikely),
            "second" => Self::Targeted(Targets::Second),
            "random" => Self::Targeted(Targets::Random),
            "next" => Self::Targeted(Targets::Next),
            class => Self::Targeted(Targets::Class(class.parse().map_err(|_| {
                let rules = ["untargeted", "least-likely", "second", "random", "next", "0"];
                Error::unknown("goal", text, rules)
            })?)),
        })
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Untargeted => f.write_str("untargeted"),
            Self::Targeted(Targets::LeastLikely) => f.write_str("least-likely"),
            Self::Targeted(Targets::Second) => f.write_str("second"),
            Self::Targeted(Targets::Random) => f.write_str("random"),
            Self::Targeted(Targets::Next) => f.write_str("next"),
            Self::Targeted(Targets::Class(class)) => write!(f, "{class}"),
        }
    }
}

/// The class that each image of `batch` shall get by the rule.
fn choose(rule: Targets, batch: &Batch, clean_logits: &Rows, seed: u64) -> Result<Vec<u32>> {
    let classes = clean_logits.width();
    let stream = Stream::new(seed, "target");
    let others = |label: usize| (0..classes).filter(move |class| *class != label);
    let target = |(i, z): (usize, &[f32])| {
        let label = batch.labels[i] as usize;
        let after = |k: usize| ((label + 1 + k) % classes) as u32;
        match rule {
            Targets::LeastLikely => {
                others(label).min_by(|a, b| z[*a].total_cmp(&z[*b])).unwrap_or(label) as u32
            }
            // Of equal logits the first class, as everywhere.
            Targets::Second => {
                others(label).rev().max_by(|a, b| z[*a].total_cmp(&z[*b])).unwrap_or(label) as u32
            }
            Targets::Random => after(stream.draw(batch.ids[i], 0).below(0, classes - 1)),
            Targets::Next => after(0),
            Targets::Class(class) => class,
        }
    };
    let logits = clean_logits.values()?;
    Ok(logits.chunks_exact(classes.max(1)).enumerate().map(target).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_those_of_the_rule() {
        let logits = Rows::new(
            &crate::rows::Location::default(),
            [3, 4],
            [[5.0, 1.0, 3.0, 0.0], [2.0, 9.0, 7.0, 7.0], [4.0, 4.0, 4.0, 8.0]].concat(),
        );
        let images = candle_core::Tensor::zeros(
            (3, 1, 1, 1),
            candle_core::DType::F32,
            &candle_core::Device::Cpu,
        );
        let batch = Batch { images: images.unwrap(), labels: vec![0, 1, 3], ids: vec![0, 1, 2] };
        let logits = logits.unwrap();
        let of = |goal: &str| goal.parse::<Goal>().unwrap().targets(&batch, &logits, 0).unwrap();
        assert_eq!(of("untargeted"), None);
        assert_eq!(of("least-likely").unwrap(), [3, 0, 0]);
        // Of equal logits the first class.
        assert_eq!(of("second").unwrap(), [2, 2, 0]);
        assert_eq!(of("next").unwrap(), [1, 2, 0]);
        assert_eq!(of("2").unwrap(), [2, 2, 2]);
        let random = of("random").unwrap();
        assert!(random.iter().zip(&batch.labels).all(|(target, label)| target != label));
        for name in ["untargeted", "least-likely", "second", "next", "random", "2"] {
            assert_eq!(name.parse::<Goal>().unwrap().to_string(), name);
        }
        assert!("seccond".parse::<Goal>().unwrap_err().hint().unwrap().contains("`second`"));
    }
}
