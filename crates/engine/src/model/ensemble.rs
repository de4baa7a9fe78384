//! Several networks as one, whose answer is the mean of theirs. It is a program like any other, with the
//! members as branches, so attacks and certificates see no difference.

use super::{Classifier as _, FrozenNetwork, ModelInfo};
use crate::digest::sha256;
use crate::error::{Error, Result};
use crate::nn::{Layer, mean, seq, softmax};

/// What an ensemble averages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Average {
    /// The members' logits.
    #[default]
    Logits,
    /// The members' probabilities. What comes out are probabilities too, and attacks take them for
    /// logits, as published evaluations of such ensembles do.
    Probabilities,
}

impl std::fmt::Display for Average {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Logits => "logits",
            Self::Probabilities => "probabilities",
        })
    }
}

impl std::str::FromStr for Average {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "logits" => Ok(Self::Logits),
            "probabilities" => Ok(Self::Probabilities),
            other => Err(Error::unknown("average", other, ["logits", "probabilities"])),
        }
    }
}

/// The network whose answer is the mean of what `members` answer. Its identity is the SHA-256 of what is
/// averaged and of the members' in their order.
///
/// # Errors
/// If there is no member, or they differ in input shape or number of classes.
pub fn ensemble(members: &[FrozenNetwork], average: Average) -> Result<FrozenNetwork> {
    let infos: Vec<&ModelInfo> = members.iter().map(FrozenNetwork::info).collect();
    let Some(first) = infos.first() else {
        return Err(Error::setting("ensemble", "has no members", "name at least one model file"));
    };
    let fits = |m: &&&ModelInfo| (m.input_shape, m.classes) != (first.input_shape, first.classes);
    if let Some(other) = infos.iter().find(fits) {
        let says = |m: &ModelInfo| {
            format!("{} takes images {:?} and has {} classes", m.name, m.input_shape, m.classes)
        };
        return Err(Error::setting(
            "ensemble",
            format!("{}, {}", says(first), says(other)),
            "average networks for one data set",
        ));
    }
    let branches: Vec<Layer> = members
        .iter()
        .map(|member| {
            let layer = Layer::from(member.program().clone());
            match average {
                Average::Logits => layer,
                Average::Probabilities => seq([layer, softmax()]),
            }
        })
        .collect();
    let join = |part: fn(&ModelInfo) -> &str| {
        infos.iter().map(|info| part(info)).collect::<Vec<_>>().join("+")
    };
    let hash =
        |part: fn(&ModelInfo) -> &str| sha256(format!("{average} {}", join(part)).as_bytes());
    let info = ModelInfo {
        name: join(|info| &info.name),
        architecture: format!("mean of {average} of {}", join(|info| &info.architecture)),
        input_shape: first.input_shape,
        classes: first.classes,
        parameters: infos.iter().map(|info| info.parameters).sum(),
        sha256: hash(|info| &info.sha256),
        identity: hash(|info| &info.identity),
        randomised: infos.iter().any(|info| info.randomised),
        optimises_in_forward: infos.iter().any(|info| info.optimises_in_forward),
    };
    FrozenNetwork::build(info, &mean(branches))
}

#[cfg(test)]
mod tests {
    use candle_core::{D, Tensor};

    use super::*;
    use crate::model::Classifier;
    use crate::model::file::{Declared, load};
    use crate::rng::Stream;
    use crate::rows::{Location, Rows};

    fn member(name: &str) -> FrozenNetwork {
        let path = format!("../../benchmarks/models/{name}.safetensors");
        load(path.as_ref(), &Declared::default()).unwrap().0
    }

    fn images() -> Rows {
        let mut pixels = vec![0.0; 5 * 64];
        Stream::new(0, "ensemble test").draw(0, 0).uniform(&mut pixels);
        Rows::new(&Location::default(), [5, 1, 8, 8], pixels).unwrap()
    }

    fn logits(network: &FrozenNetwork) -> Tensor {
        network.logits(&images()).unwrap().tensor().unwrap()
    }

    fn furthest(a: &Tensor, b: &Tensor) -> f32 {
        (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
    }

    #[test]
    fn logits_and_gradients_are_the_mean_of_the_members() {
        let members = [member("digits-pgd"), member("digits-trades")];
        let both = ensemble(&members, Average::Logits).unwrap();
        let mut cotangent = vec![0.0; 5 * 10];
        Stream::new(1, "ensemble test").draw(0, 0).uniform(&mut cotangent);
        let cotangent = Rows::new(&Location::default(), [5, 10], cotangent).unwrap();
        let gradient = |network: &FrozenNetwork| {
            let (logits, pull) = network.linearise(&images()).unwrap();
            (logits.tensor().unwrap(), pull(&cotangent).unwrap().tensor().unwrap())
        };
        let [(za, ga), (zb, gb)] = members.each_ref().map(gradient);
        let (z, g) = gradient(&both);
        let half = |a: &Tensor, b: &Tensor| ((a + b).unwrap() * 0.5).unwrap();
        assert!(furthest(&z, &half(&za, &zb)) < 1e-4);
        let scale: f32 = g.abs().unwrap().max_all().unwrap().to_scalar().unwrap();
        assert!(furthest(&g, &half(&ga, &gb)) < 1e-5 * scale);
        assert_eq!(both.info().name, "digits-pgd+digits-trades");
    }

    #[test]
    fn averaged_probabilities_sum_to_one() {
        let members = [member("digits-pgd"), member("digits-trades")];
        let both = ensemble(&members, Average::Probabilities).unwrap();
        let p = logits(&both);
        let sums = p.sum(D::Minus1).unwrap();
        assert!(furthest(&sums, &sums.ones_like().unwrap()) < 1e-5);
        let [a, b] = members.map(|m| candle_nn::ops::softmax(&logits(&m), D::Minus1).unwrap());
        assert!(furthest(&p, &((a + b).unwrap() * 0.5).unwrap()) < 1e-5);
    }

    #[test]
    fn members_have_to_fit() {
        assert!(ensemble(&[], Average::Logits).is_err());
        let small = member("digits-pgd");
        let info = ModelInfo { classes: 3, ..small.info().clone() };
        let other = FrozenNetwork::new(info, small.program().clone());
        let error = ensemble(&[small, other], Average::Logits).unwrap_err().to_string();
        assert!(error.contains("has 10 classes") && error.contains("has 3 classes"), "{error}");
    }
}
