//! One run of `fast`: from a point of the ball, steps along a random direction of the logits, so that runs go
//! different ways, and then down the margin, shorter and shorter. Every point is judged, and none is evaluated
//! twice: logits and gradient come from one pass. In the L1 ball a run is one of APGD.

use std::f64::consts::PI;

use crate::attack::Search;
use crate::attack::apgd::descend_l1;
use crate::error::Result;
use crate::loss::Loss;
use crate::rows::{self, Kernel, Rows, kernel};
use crate::threat::Norm;

/// Where a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// A corner of the Linf ball, where adversarial images usually are; in other norms the clean image.
    Corner,
    /// A random point of the ball.
    Inside,
}

/// A run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Descent {
    pub(super) norm: Norm,
    pub(super) eps: f32,
    pub(super) start: Start,
    /// Steps along the random direction (ADI: Liu et al., "Practical evaluation of adversarial robustness via
    /// adaptive auto attack", CVPR 2022, section 3.2).
    pub(super) adi: usize,
    /// Steps down the margin after them.
    pub(super) steps: usize,
}

/// The last step, as a share of eps.
const LAST_STEP: f64 = 0.001;

impl Descent {
    /// Run number `number` towards `targets`, `[N]`, or towards the class that is nearest at every step.
    /// Returns for each image that is left its place in `search` and the largest loss
    /// ([`Loss::Margin`]) that was reached.
    ///
    /// # Errors
    /// If the network fails.
    pub(super) fn run(
        &self,
        search: &mut Search<'_>,
        number: u32,
        targets: Option<Rows>,
    ) -> Result<Vec<(usize, f32)>> {
        let most = match self.norm {
            // Sign steps and projections are weak there: APGD has a step of its own.
            Norm::L1 | Norm::L0 | Norm::L0Pixels => {
                // The first run, which most images do not survive, spends nothing in larger balls, where it can break none.
                let run = (self.eps, self.adi + self.steps, self.start != Start::Corner);
                descend_l1(search, run, number, targets)?
            }
            Norm::Linf | Norm::L2 => self.descend(search, number, targets)?,
        };
        let most = most.values()?;
        Ok(search.places().iter().copied().zip(most.iter().copied()).collect())
    }

    /// The largest loss of each image that is left, `[N]`.
    fn descend(
        &self,
        search: &mut Search<'_>,
        number: u32,
        mut targets: Option<Rows>,
    ) -> Result<Rows> {
        let geometry = self.norm.geometry();
        let mut x = self.begin(search, number)?;
        let mut most = Rows::numbers(search.location(), vec![f32::NEG_INFINITY; search.len()])?;
        let mut along = match self.adi {
            0 => None,
            _ => Some(self.direction(search, number, targets.as_ref())?),
        };
        for step in 0..=self.adi + self.steps {
            let (logits, mut gradient) = match &along {
                _ if step == self.adi + self.steps => {
                    (search.logits(&x)?, Rows::none(search.location())?)
                }
                Some(along) if step < self.adi => {
                    let at = search.linearise(&x)?;
                    let gradient = search.pull(&at, along)?;
                    (at.logits, gradient)
                }
                _ => {
                    let at = search.gradient_toward(&x, Loss::Margin, targets.as_ref())?;
                    (at.logits, at.gradient)
                }
            };
            let losses = search.losses(&logits, Loss::Margin)?;
            most = rows::map(kernel!("larger"), [&most, &losses], |_, [most, loss], larger| {
                larger[0] = most[0].max(loss[0]);
            })?;
            let candidates = x.clone();
            let columns = ((&mut x, &mut most), (&mut gradient, &mut along), &mut targets);
            search.propose(&candidates, &logits, columns)?;
            if search.is_empty() || step == self.adi + self.steps {
                break;
            }
            let alpha = self.step_size(step);
            let kernel = kernel!("pgd_step", self.norm.number(), alpha, self.eps);
            x = rows::map(kernel, [&x, &gradient, search.clean()], |_, [x, g, x0], next| {
                next.copy_from_slice(x);
                geometry.ascend(next, g, alpha);
                geometry.project(next, x0, self.eps);
            })?;
        }
        search.sync(&mut most)?;
        Ok(most)
    }

    /// Length of step number `step`: eps along the random direction, then half a cosine down from eps.
    fn step_size(&self, step: usize) -> f32 {
        let eps = f64::from(self.eps);
        let Some(step) = step.checked_sub(self.adi) else { return self.eps };
        let cosine = (PI * step as f64 / (self.steps as f64 + 1.0)).cos();
        (eps * (LAST_STEP + (1.0 - LAST_STEP) * (1.0 + cosine) / 2.0)) as f32
    }

    fn begin(&self, search: &mut Search<'_>, number: u32) -> Result<Rows> {
        let (norm, eps, geometry) = (self.norm, self.eps, self.norm.geometry());
        match (self.start, norm) {
            (Start::Corner, Norm::Linf) => {
                let shape = search.shape();
                let noise = search.uniform_batch(number, 0, &shape)?;
                rows::map(Kernel::NONE, [search.clean(), &noise], |_, [x0, noise], x| {
                    for ((x, x0), noise) in x.iter_mut().zip(x0).zip(noise) {
                        *x = x0 + if *noise < 0.5 { -eps } else { eps };
                    }
                    geometry.project(x, x0, eps);
                })
            }
            (Start::Corner, _) => Ok(search.clean().clone()),
            (Start::Inside, _) => rows::map(Kernel::NONE, [search.clean()], |row, [x0], x| {
                geometry.random(search.draw(row, number, 0), x0, eps, x);
                geometry.project(x, x0, eps);
            }),
        }
    }

    /// A random direction of the logits, `[N, K]`, that leads away from the label and towards the target: the
    /// form that A3 arrives at, with its constants.
    fn direction(
        &self,
        search: &mut Search<'_>,
        number: u32,
        targets: Option<&Rows>,
    ) -> Result<Rows> {
        let classes = search.classes();
        let noise = search.uniform_batch(number, 1, &[classes + 1])?;
        let none = Rows::none(search.location())?;
        let inputs = [&noise, search.label_rows(), targets.unwrap_or(&none)];
        rows::map_to(Kernel::NONE, &[classes], inputs, |_, [noise, label, target], w| {
            for (w, noise) in w.iter_mut().zip(noise) {
                *w = 2.0 * noise - 1.0;
            }
            w[label[0] as usize] = 0.6 * noise[classes] - 0.5;
            if let Some(target) = target.first() {
                w[*target as usize] = 0.8;
            }
        })
    }
}
