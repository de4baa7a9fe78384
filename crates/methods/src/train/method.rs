//! The four objectives: what the network sees in a step and what is minimised.

use candle_core::{D, Tensor};
use candle_nn::loss::cross_entropy;
use candle_nn::ops::log_softmax;

use crate::data::Batch;
use crate::error::{Error, Result};
use crate::loss::Loss;
use crate::model::Classifier;
use crate::nn::Program;
use crate::parameters::fits_f32;
use crate::rng::Stream;
use crate::rows::{self, Kernel, Location, Rows, kernel};
use crate::threat::Norm;

/// A training objective.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// Cross-entropy on the clean images.
    Standard,
    /// Cross-entropy on PGD images (Madry et al., ICLR 2018, equation 2.1).
    Pgd(Inner),
    /// Cross-entropy plus beta times the divergence to the worst image nearby (Zhang et al., ICML
    /// 2019, equation 5).
    Trades {
        /// The maximisation inside.
        inner: Inner,
        /// Weight of the divergence, 1 / lambda in the paper.
        beta: f64,
    },
    /// Cross-entropy on images with Gaussian noise (Cohen et al., ICML 2019, section 3.3).
    Gaussian {
        /// Standard deviation, in pixel units of [0, 1].
        sigma: f64,
    },
}

/// The maximisation inside adversarial training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Inner {
    /// Norm of the ball.
    pub norm: Norm,
    /// Its radius.
    pub eps: f32,
    /// Steps of length 2.5 eps / steps.
    pub steps: usize,
}

impl Method {
    /// The method of this name; settings that it does not use are ignored.
    ///
    /// # Errors
    /// If the name is unknown or a setting that it uses is not above 0.
    pub fn new(
        name: &str,
        norm: Norm,
        eps: f64,
        steps: usize,
        beta: f64,
        sigma: f64,
    ) -> Result<Self> {
        let positive = |field: &str, value: f64| match value > 0.0 && fits_f32(value) {
            true => Ok(()),
            false => Err(Error::setting(
                field,
                format!("{value} is not a number above 0 that an f32 can hold"),
                "give a number above 0 and of an ordinary size, such as 0.3 or 8/255",
            )),
        };
        let inner = || -> Result<Inner> {
            positive("eps", eps)?;
            positive("steps", steps as f64)?;
            if norm.counts() {
                let norm = norm.to_string();
                return Err(Error::unknown("norm of training", norm, ["Linf", "L2", "L1"]));
            }
            Ok(Inner { norm, eps: eps as f32, steps })
        };
        match name {
            "standard" => Ok(Self::Standard),
            "pgd" => Ok(Self::Pgd(inner()?)),
            "trades" => {
                positive("beta", beta)?;
                Ok(Self::Trades { inner: inner()?, beta })
            }
            "gaussian" => {
                positive("sigma", sigma)?;
                Ok(Self::Gaussian { sigma })
            }
            other => Err(Error::unknown(
                "training method",
                other,
                ["standard", "pgd", "trades", "gaussian"],
            )),
        }
    }

    /// Refuses a ball that holds all images of `shape`, `[C, H, W]`.
    ///
    /// # Errors
    /// If it does.
    pub(super) fn fits(&self, shape: [usize; 3]) -> Result<()> {
        match self {
            Self::Standard | Self::Gaussian { .. } => Ok(()),
            Self::Pgd(inner) | Self::Trades { inner, .. } => {
                inner.norm.check_radius(f64::from(inner.eps), shape)
            }
        }
    }

    /// The images of a step, `[N, C, H, W]`.
    pub(super) fn perturb(
        &self,
        network: &dyn Classifier,
        batch: &Batch,
        stream: Stream,
    ) -> Result<Tensor> {
        match self {
            Self::Standard => Ok(batch.images.clone()),
            Self::Gaussian { sigma } => {
                let clean = batch.rows()?;
                let noisy = rows::map(Kernel::NONE, [&clean], |row, [clean], x| {
                    stream.draw(batch.ids[row], 0).normal(x);
                    for (x, clean) in x.iter_mut().zip(clean) {
                        *x = clean + *sigma as f32 * *x;
                    }
                })?;
                noisy.tensor()
            }
            Self::Pgd(inner) => {
                let place = network.location();
                let (labels, none) = (Rows::classes(&place, &batch.labels)?, Rows::none(&place)?);
                inner.maximise(&place, batch, stream, |x| {
                    Ok(network.evaluate(x, Loss::CrossEntropy, &labels, &none)?.gradient)
                })
            }
            Self::Trades { inner, .. } => {
                let place = network.location();
                let clean = batch.rows()?.at(&place)?;
                let clean = network.logits(&clean)?;
                inner.maximise(&place, batch, stream, |x| {
                    let (logits, pull) = network.linearise(x)?;
                    pull(&divergence_slope(&logits, &clean)?)
                })
            }
        }
    }

    /// The scalar to minimise, given the logits of the perturbed images.
    pub(super) fn loss(
        &self,
        program: &Program,
        clean: &Tensor,
        logits: &Tensor,
        labels: &Tensor,
    ) -> Result<Tensor> {
        let Self::Trades { beta, .. } = self else { return Ok(cross_entropy(logits, labels)?) };
        let clean_logits = program.reference(clean)?;
        let log_p = log_softmax(&clean_logits, D::Minus1)?;
        let log_q = log_softmax(logits, D::Minus1)?;
        let divergence = (log_p.exp()? * (log_p - log_q)?)?.sum(D::Minus1)?.mean(0)?;
        Ok((cross_entropy(&clean_logits, labels)? + (divergence * *beta)?)?)
    }
}

impl Inner {
    /// Projected gradient steps from a random point of the ball, all images to the last step.
    fn maximise(
        &self,
        place: &Location,
        batch: &Batch,
        stream: Stream,
        gradient: impl Fn(&Rows) -> Result<Rows>,
    ) -> Result<Tensor> {
        let geometry = self.norm.geometry();
        let alpha = 2.5 * self.eps / self.steps as f32;
        let clean = batch.rows()?.at(place)?;
        let mut x = rows::map(Kernel::NONE, [&clean], |row, [x0], x| {
            geometry.random(stream.draw(batch.ids[row], 0), x0, self.eps, x);
            geometry.project(x, x0, self.eps);
        })?;
        for _ in 0..self.steps {
            let g = gradient(&x)?;
            let kernel = kernel!("pgd_step", self.norm.number(), alpha, self.eps);
            x = rows::map(kernel, [&x, &g, &clean], |_, [x, g, x0], next| {
                next.copy_from_slice(x);
                geometry.ascend(next, g, alpha);
                geometry.project(next, x0, self.eps);
            })?;
        }
        x.tensor()
    }
}

/// The gradient of the divergence KL(p || q) with respect to the logits z of q = softmax(z), which is
/// q - p; p is the softmax of the clean logits.
fn divergence_slope(logits: &Rows, clean: &Rows) -> Result<Rows> {
    let softmax = |z: &[f32], out: &mut [f32]| {
        let most = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        out.iter_mut().zip(z).for_each(|(out, z)| *out = (z - most).exp());
        let total: f32 = out.iter().sum();
        out.iter_mut().for_each(|out| *out /= total);
    };
    rows::map(kernel!("divergence_slope"), [logits, clean], |_, [z, clean], slope| {
        softmax(z, slope);
        let mut p = vec![0.0; clean.len()];
        softmax(clean, &mut p);
        slope.iter_mut().zip(p).for_each(|(slope, p)| *slope -= p);
    })
}
