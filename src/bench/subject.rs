//! A network and a threat model by themselves, as suites name them, for what runs no jobs.

use super::models;
use super::suite::ModelEntry;
use crate::device::{Device, Precision};
use crate::error::{Error, Result};
use crate::network::Network;
use crate::threat::{Norm, PatchSize, Threat};
use crate::work::Number;

/// The network of an entry, at the place where it will run.
///
/// # Errors
/// If its files cannot be used, or the device cannot.
pub fn network(entry: &ModelEntry, wish: &Device, precision: Precision) -> Result<Network> {
    let (mut network, _) = models::load(entry, None)?;
    let device = models::place(&mut network, wish, precision)?;
    models::warn_of_slow(&device, precision);
    Ok(network)
}

/// The threat model of a norm and a radius, or of a patch in images of `shape`, `[C, H, W]`.
///
/// # Errors
/// If it is neither or both, or a value cannot be used.
pub fn threat(
    norm: Option<&str>,
    eps: Option<&str>,
    patch: Option<&str>,
    shape: [usize; 3],
) -> Result<Threat> {
    match (norm, eps, patch) {
        (None, None, Some(size)) => Ok(Threat::Patch(size.parse::<PatchSize>()?.resolve(shape)?)),
        (Some(norm), Some(eps), None) => {
            let eps = Number::Text(eps.to_owned()).positive("eps")?;
            let norm: Norm = norm.parse()?;
            norm.check_radius(eps, shape)?;
            Ok(Threat::ball(norm, eps as f32))
        }
        (_, _, Some(_)) => Err(Error::setting(
            "threat model",
            "there are both a patch and a norm or eps",
            "choose one of them",
        )),
        _ => Err(Error::setting(
            "threat model",
            match (norm, eps) {
                (Some(_), _) => "the norm has no eps",
                (_, Some(_)) => "eps has no norm",
                _ => "there is none",
            },
            "give --norm Linf and --eps 8/255, or --patch 5x5",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threat::Patch;

    #[test]
    fn a_threat_model_is_a_ball_or_a_patch() {
        let of = |norm, eps, patch| threat(norm, eps, patch, [1, 8, 8]);
        for name in ["L2", "l2"] {
            assert_eq!(of(Some(name), Some("1/4"), None).unwrap(), Threat::ball(Norm::L2, 0.25));
        }
        let patch = Threat::Patch(Patch::rectangle(2, 3));
        assert_eq!(of(None, None, Some("2x3")).unwrap(), patch);
        for (norm, eps, patch, problem) in [
            (None, None, None, "threat model: there is none"),
            (Some("L2"), None, None, "the norm has no eps"),
            (None, Some("1"), None, "eps has no norm"),
            (Some("L2"), Some("1"), Some("2x2"), "both a patch and a norm"),
            (Some("l3"), Some("1"), None, "unknown norm `l3`"),
            (Some("L0"), Some("8/255"), None, "is not a whole number"),
            (Some("L2"), Some("-1"), None, "`-1` is not a number above 0"),
            (None, None, Some("9x9"), "do not fit into an image of 8x8"),
        ] {
            let error = of(norm, eps, patch).unwrap_err();
            assert!(error.to_string().contains(problem), "{error}");
            assert!(error.hint().is_some());
        }
    }
}
