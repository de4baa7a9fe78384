//! The families of noise by name, with the parameters that only some of them have.

use super::{CertifiedNorm, Gaussian, Laplace, Lattice, Noise, RandomAblation, Uniform};
use crate::error::{Error, Result};

/// A family of noise, chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Family {
    /// See [`Gaussian`].
    #[default]
    Gaussian,
    /// See [`Uniform`].
    Uniform,
    /// See [`Laplace`].
    Laplace,
    /// See [`Lattice`].
    Lattice {
        /// Steps of the pixel grid between 0 and 1: 255 for 8-bit images.
        levels: u32,
    },
    /// See [`RandomAblation`].
    Ablation {
        /// Pixels that stay visible.
        k: usize,
        /// Value of the others, in all channels.
        fill: f32,
    },
}

impl Family {
    /// Names, as suites write them.
    pub const NAMES: [&str; 5] = ["gaussian", "uniform", "laplace", "lattice", "ablation"];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gaussian => "gaussian",
            Self::Uniform => "uniform",
            Self::Laplace => "laplace",
            Self::Lattice { .. } => "lattice",
            Self::Ablation { .. } => "ablation",
        }
    }

    /// Whether sigma means anything to it.
    pub fn has_sigma(self) -> bool {
        !matches!(self, Self::Ablation { .. })
    }

    /// The noise of standard deviation `sigma` per value, in pixel units of [0, 1], for images `shape`,
    /// `[C, H, W]`.
    ///
    /// # Errors
    /// If a parameter is out of its range.
    pub fn noise(self, sigma: f64, [c, h, w]: [usize; 3]) -> Result<Box<dyn Noise>> {
        Ok(match self {
            Self::Gaussian => Box::new(Gaussian { sigma }),
            Self::Uniform => Box::new(Uniform { sigma }),
            Self::Laplace => Box::new(Laplace { sigma }),
            Self::Lattice { levels } => Box::new(Lattice::new(sigma, levels)?),
            Self::Ablation { k, fill } => {
                if k == 0 || k > h * w {
                    return Err(Error::setting(
                        "k",
                        format!("{k} of {} pixels cannot stay visible", h * w),
                        "choose from 1 to all of them; fewer certify more and classify less",
                    ));
                }
                Box::new(RandomAblation { k, channels: c, fill })
            }
        })
    }

    /// As [`noise`](Self::noise), and it knows radii in `norm`.
    ///
    /// # Errors
    /// Also if it does not.
    pub fn noise_for(
        self,
        norm: CertifiedNorm,
        sigma: f64,
        shape: [usize; 3],
    ) -> Result<Box<dyn Noise>> {
        let noise = self.noise(sigma, shape)?;
        if noise.norms().contains(&norm) {
            return Ok(noise);
        }
        let known: Vec<String> = noise.norms().iter().map(ToString::to_string).collect();
        Err(Error::setting(
            "norm",
            format!("{} noise certifies nothing in {norm}", self.name()),
            format!("choose {}, or another noise", known.join(" or ")),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_refuse_norms_they_know_nothing_about() {
        let shape = [3, 8, 8];
        for (family, norms) in [
            (Family::Gaussian, "L2 L1 Linf"),
            (Family::Uniform, "L1 Linf"),
            (Family::Laplace, "L1"),
            (Family::Lattice { levels: 255 }, "L2 L1 Linf"),
            (Family::Ablation { k: 10, fill: 0.0 }, "L0"),
        ] {
            assert!(Family::NAMES.contains(&family.name()));
            for norm in CertifiedNorm::ALL {
                let known = norms.split(' ').any(|name| name == norm.to_string());
                let noise = family.noise_for(norm, 0.25, shape);
                assert_eq!(noise.is_ok(), known, "{} {norm}", family.name());
                let radius = family.noise(0.25, shape).unwrap().radius(norm, 0.9, 192);
                assert_eq!(radius.is_some(), known, "{} {norm}", family.name());
            }
        }
        let error = Family::Laplace.noise_for(CertifiedNorm::L2, 0.25, shape).err().unwrap();
        assert_eq!(error.to_string(), "norm: laplace noise certifies nothing in L2");
        for k in [0, 65] {
            assert!(Family::Ablation { k, fill: 0.0 }.noise(0.0, shape).is_err(), "{k}");
        }
    }
}
