//! The settings of randomized smoothing, by their names in Cohen et al. 2019.

use super::limits;
use super::noise::{CertifiedNorm, Family, Noise};
use crate::error::{Error, Result};

/// CERTIFY's and PREDICT's parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Smoothing {
    /// The noise.
    pub family: Family,
    /// The norm of the radii.
    pub norm: CertifiedNorm,
    /// Standard deviation of the noise, per value and in pixel units of [0, 1]; 0 for noise without
    /// one.
    pub sigma: f64,
    /// N0, the samples that select the class. PREDICT has no use for it.
    pub n0: u64,
    /// N, the samples that bound its probability.
    pub n: u64,
    /// One minus the confidence, per image.
    pub alpha: f64,
    /// Seed of the noise. Runs with the same seed see the same random numbers, whatever the network
    /// and sigma.
    pub seed: u64,
}

impl Smoothing {
    /// The paper's defaults: Gaussian noise, L2, N0 = 100, N = 100 000, alpha = 0.001; seed 0.
    pub fn new(sigma: f64) -> Self {
        let (family, norm) = (Family::Gaussian, CertifiedNorm::L2);
        Self { family, norm, sigma, n0: 100, n: 100_000, alpha: 0.001, seed: 0 }
    }

    /// The noise for images `shape`, `[C, H, W]`, which is sure to know radii in [`Self::norm`].
    ///
    /// # Errors
    /// If a parameter of the family is out of its range or it knows nothing about the norm.
    pub fn noise(&self, shape: [usize; 3]) -> Result<Box<dyn Noise>> {
        self.family.noise_for(self.norm, self.sigma, shape)
    }

    /// Checks the settings for CERTIFY.
    ///
    /// # Errors
    /// If sigma is not positive and finite, N0 or N is not in 1..2^32, alpha is not in (0, 1), or N
    /// is so small that every image abstains.
    pub fn validate(&self) -> Result<()> {
        self.validate_ranges()?;
        in_range("N0", self.n0, "100 is the paper's choice")?;
        if limits::smallest_n_a(self.n, self.alpha).is_none() {
            // alpha^(1/N) >= 1/2, that is N >= log2(1/alpha).
            let enough = (1..).find(|n| limits::smallest_n_a(*n, self.alpha).is_some());
            return Err(self.always_abstains("image", enough));
        }
        Ok(())
    }

    /// Checks the settings for PREDICT.
    ///
    /// # Errors
    /// As [`validate`](Self::validate), but N0 is not looked at.
    pub fn validate_predict(&self) -> Result<()> {
        self.validate_ranges()?;
        if limits::smallest_c1(self.n, self.alpha).is_none() {
            let enough = (1..).find(|n| limits::smallest_c1(*n, self.alpha).is_some());
            return Err(self.always_abstains("prediction", enough));
        }
        Ok(())
    }

    fn validate_ranges(&self) -> Result<()> {
        let Self { family, sigma, n, alpha, .. } = *self;
        if family.has_sigma() && !(sigma > 0.0 && sigma.is_finite()) {
            return Err(Error::setting(
                "sigma",
                format!("{sigma} is not a standard deviation"),
                "choose a positive number in pixel units of [0, 1], such as 0.25",
            ));
        }
        if !(alpha > 0.0 && alpha < 1.0) {
            return Err(Error::setting(
                "alpha",
                format!("{alpha} is not between 0 and 1"),
                "choose the share of certificates that may be wrong, such as 0.001",
            ));
        }
        in_range("N", n, "the paper uses 100000, a first look 1000")
    }

    fn always_abstains(&self, what: &str, enough: Option<u64>) -> Error {
        let remedy = match enough {
            Some(n) => format!("{n} samples are the fewest that can decide at this alpha"),
            None => String::new(),
        };
        let problem =
            format!("with {} samples every {what} abstains at alpha = {}", self.n, self.alpha);
        Error::setting("N", problem, remedy)
    }
}

/// Sample numbers are 32-bit words of the noise's key.
fn in_range(field: &str, samples: u64, advice: &str) -> Result<()> {
    match samples {
        0 => Err(Error::setting(field, "0 samples say nothing", advice)),
        1..=0xffff_ffff => Ok(()),
        _ => Err(Error::setting(field, format!("{samples} is more than 2^32 - 1"), advice)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        Smoothing::new(0.25).validate().unwrap();
        Smoothing::new(0.25).validate_predict().unwrap();
    }

    #[test]
    fn bad_settings_are_named_and_come_with_a_remedy() {
        let good = Smoothing::new(0.25);
        let table = [
            (Smoothing { sigma: 0.0, ..good }, "sigma"),
            (Smoothing { sigma: -0.5, ..good }, "sigma"),
            (Smoothing { sigma: f64::NAN, ..good }, "sigma"),
            (Smoothing { sigma: f64::INFINITY, ..good }, "sigma"),
            (Smoothing { n0: 0, ..good }, "N0"),
            (Smoothing { n0: 1 << 32, ..good }, "N0"),
            (Smoothing { n: 0, ..good }, "N"),
            (Smoothing { n: 1 << 32, ..good }, "N"),
            (Smoothing { n: 9, ..good }, "N"),
            (Smoothing { alpha: 0.0, ..good }, "alpha"),
            (Smoothing { alpha: 1.0, ..good }, "alpha"),
            (Smoothing { alpha: -0.1, ..good }, "alpha"),
            (Smoothing { alpha: f64::NAN, ..good }, "alpha"),
        ];
        for (settings, name) in table {
            let error = settings.validate().unwrap_err();
            assert!(
                matches!(&error, Error::Setting { field, .. } if field == name),
                "{settings:?}"
            );
            assert!(error.hint().is_some_and(|h| !h.is_empty()), "{settings:?}");
            assert_eq!(settings.validate_predict().is_ok(), name == "N0", "{settings:?}");
        }
    }

    #[test]
    fn too_few_samples_are_told_how_many_would_do() {
        let error = Smoothing { n: 9, ..Smoothing::new(0.25) }.validate().unwrap_err();
        assert_eq!(error.to_string(), "N: with 9 samples every image abstains at alpha = 0.001");
        let hint = error.hint().unwrap();
        assert_eq!(hint, "10 samples are the fewest that can decide at this alpha");
        Smoothing { n: 10, ..Smoothing::new(0.25) }.validate().unwrap();
        let hint =
            Smoothing { n: 10, ..Smoothing::new(0.25) }.validate_predict().unwrap_err().hint();
        assert_eq!(hint.unwrap(), "11 samples are the fewest that can decide at this alpha");
    }
}
