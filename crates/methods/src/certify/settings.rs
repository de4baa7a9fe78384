//! The settings of randomized smoothing, by their names in Cohen et al. 2019.

use super::batch::in_table;
use super::limits;
use super::mode::{Mode, Question, Rule, threshold};
use super::noise::{CertifiedNorm, Family, Noise};
use crate::error::{Error, Result};

/// CERTIFY's and PREDICT's parameters.
#[derive(Debug, Clone, PartialEq)]
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
    /// N, the samples that bound its probability; in a mode that stops early, the most of them.
    pub n: u64,
    /// One minus the confidence, per image.
    pub alpha: f64,
    /// How many of the N samples an image gets.
    pub mode: &'static Mode,
    /// The radii that a mode has to decide before it stops. Not used by CERTIFY as published.
    pub radii: Vec<f64>,
    /// Chance per image and radius that a mode gives up a radius that is true. What is barely true N
    /// samples would not prove either, so it costs far less than that; soundness is a matter of alpha
    /// alone.
    pub beta: f64,
    /// Seed of the noise. Runs with the same seed see the same random numbers, whatever the network
    /// and sigma.
    pub seed: u64,
}

impl Smoothing {
    /// The paper's defaults: Gaussian noise, L2, N0 = 100, N = 100 000, alpha = 0.001; seed 0.
    pub fn new(sigma: f64) -> Self {
        Self {
            family: Family::Gaussian,
            norm: CertifiedNorm::L2,
            sigma,
            n0: 100,
            n: 100_000,
            alpha: 0.001,
            mode: Mode::COHEN,
            radii: Vec::new(),
            beta: 0.05,
            seed: 0,
        }
    }

    /// The noise for images `shape`, `[C, H, W]`, which is sure to know radii in [`Self::norm`].
    ///
    /// # Errors
    /// If a parameter of the family is out of its range or it knows nothing about the norm.
    pub fn noise(&self, shape: [usize; 3]) -> Result<Box<dyn Noise>> {
        self.family.noise_for(self.norm, self.sigma, shape)
    }

    /// The rule by which images `shape`, `[C, H, W]`, are sampled and their pA is bounded.
    ///
    /// # Errors
    /// As [`noise`](Self::noise), or if the mode is for one radius and N samples cannot prove that.
    pub fn rule(&self, shape: [usize; 3]) -> Result<Rule> {
        let (noise, dimension) = (self.noise(shape)?, shape.iter().product());
        let reached = |radius: f64| {
            threshold(|p| {
                noise
                    .radius(self.norm, p, dimension)
                    .is_some_and(|proven| in_table(proven) >= radius)
            })
        };
        let mut targets: Vec<f64> = self.radii.iter().map(|radius| reached(*radius)).collect();
        targets.sort_by(f64::total_cmp);
        let rule =
            |n| Rule::new(self.mode, Question { n, targets: targets.clone(), ..self.question() });
        let decided = rule(self.n);
        if *self.mode.radii.end() == 1
            && let ([target], [radius]) = (&*targets, &*self.radii)
            && decided.lower(self.n, self.n) < *target
        {
            let enough =
                (0..32).map(|power| 1 << power).find(|n| rule(*n).lower(*n, *n) >= *target);
            return Err(Error::setting(
                "radii",
                format!("{} samples at alpha = {} never prove {radius}", self.n, self.alpha),
                match enough {
                    Some(n) => {
                        format!("N = {n} is enough if all samples agree; or take more noise")
                    }
                    None => "choose a smaller radius, or more noise".into(),
                },
            ));
        }
        Ok(decided)
    }

    fn question(&self) -> Question {
        Question { n: self.n, alpha: self.alpha, beta: self.beta, targets: Vec::new() }
    }

    /// Checks the settings for CERTIFY.
    ///
    /// # Errors
    /// If sigma is not positive and finite, N0 or N is not in 1..2^32, alpha or beta is not in (0, 1),
    /// the mode is for another number of radii, or N is so small that every image abstains.
    pub fn validate(&self) -> Result<()> {
        self.validate_ranges()?;
        in_range("N0", self.n0, "100 is the paper's choice")?;
        let (name, count) = (self.mode.name, self.radii.len());
        if !self.mode.radii.contains(&count) {
            return Err(Error::setting(
                "radii",
                match count {
                    0 => format!("mode {name} stops when a radius is decided, and none is given"),
                    _ => format!("mode {name} decides one radius, not {count}"),
                },
                "give one such as 0.5, or choose mode grid for several",
            ));
        }
        in_unit("beta", self.beta, "true radii that may be given up, such as 0.05")?;
        let certifies = |n: &u64| {
            let rule = Rule::new(self.mode, Question { n: *n, ..self.question() });
            rule.lower(*n, *n) >= 0.5
        };
        if !certifies(&self.n) {
            // In mode cohen alpha^(1/N) >= 1/2, that is N >= log2(1/alpha).
            return Err(self.always_abstains("image", (1..).find(certifies)));
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
        in_unit("alpha", alpha, "certificates that may be wrong, such as 0.001")?;
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

fn in_unit(field: &str, value: f64, what: &str) -> Result<()> {
    if value > 0.0 && value < 1.0 {
        return Ok(());
    }
    let problem = format!("{value} is not between 0 and 1");
    Err(Error::setting(field, problem, format!("choose the share of {what}")))
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
    use crate::certify::mode;

    fn mode(name: &str) -> &'static Mode {
        mode::ALL.into_iter().find(|mode| mode.name == name).unwrap()
    }

    #[test]
    fn the_defaults_are_valid() {
        Smoothing::new(0.25).validate().unwrap();
        Smoothing::new(0.25).validate_predict().unwrap();
    }

    #[test]
    fn bad_settings_are_named_and_come_with_a_remedy() {
        let good = Smoothing::new(0.25);
        let table = [
            (Smoothing { sigma: 0.0, ..good.clone() }, "sigma"),
            (Smoothing { sigma: -0.5, ..good.clone() }, "sigma"),
            (Smoothing { sigma: f64::NAN, ..good.clone() }, "sigma"),
            (Smoothing { sigma: f64::INFINITY, ..good.clone() }, "sigma"),
            (Smoothing { n0: 0, ..good.clone() }, "N0"),
            (Smoothing { n0: 1 << 32, ..good.clone() }, "N0"),
            (Smoothing { n: 0, ..good.clone() }, "N"),
            (Smoothing { n: 1 << 32, ..good.clone() }, "N"),
            (Smoothing { n: 9, ..good.clone() }, "N"),
            (Smoothing { alpha: 0.0, ..good.clone() }, "alpha"),
            (Smoothing { alpha: 1.0, ..good.clone() }, "alpha"),
            (Smoothing { alpha: -0.1, ..good.clone() }, "alpha"),
            (Smoothing { alpha: f64::NAN, ..good.clone() }, "alpha"),
            (Smoothing { beta: 0.0, ..good.clone() }, "beta"),
            (Smoothing { mode: mode("grid"), ..good.clone() }, "radii"),
            (Smoothing { mode: mode("radius"), ..good.clone() }, "radii"),
            (Smoothing { mode: mode("radius"), radii: vec![0.1, 0.2], ..good.clone() }, "radii"),
        ];
        for (settings, name) in table {
            let error = settings.validate().unwrap_err();
            assert!(
                matches!(&error, Error::Setting { field, .. } if field == name),
                "{settings:?}"
            );
            assert!(error.hint().is_some_and(|h| !h.is_empty()), "{settings:?}");
            let of_certify = ["N0", "beta", "radii"].contains(&name);
            assert_eq!(settings.validate_predict().is_ok(), of_certify, "{settings:?}");
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

    #[test]
    fn a_radius_out_of_reach_is_told_how_many_samples_would_do() {
        let settings =
            Smoothing { mode: mode("radius"), radii: vec![0.75], n: 1000, ..Smoothing::new(0.25) };
        let error = settings.rule([1, 2, 2]).unwrap_err();
        assert_eq!(error.to_string(), "radii: 1000 samples at alpha = 0.001 never prove 0.75");
        // Phi(3)^n <= alpha / 8 or so: n >= 6700.
        assert!(error.hint().unwrap().starts_with("N = 8192 is enough"), "{:?}", error.hint());
        Smoothing { n: 8192, ..settings.clone() }.rule([1, 2, 2]).unwrap();
        let error = Smoothing { radii: vec![5.0], ..settings }.rule([1, 2, 2]).unwrap_err();
        assert!(error.hint().unwrap().starts_with("choose a smaller radius"));
    }
}
