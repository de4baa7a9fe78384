//! SuperDeepFool (Abdollahpoorrostam, Abroshan and Moosavi-Dezfooli, ICLR 2024 workshop; the form SDF(inf, 1)): DeepFool until
//! the image is adversarial, then one projection that turns the perturbation towards the normal of the boundary, and so on
//! until the projected image is adversarial itself. A bisection between it and the clean image ends it.
//!
//! As in the paper the projection is added to the clean image; some code adds it to the image before DeepFool.
//! DeepFool's steps go from the present image and are lengthened by the overshoot each. Unlike in the paper the image stays
//! inside the box.

use super::super::{Attack, Entry, HyperParameters, Objective, Search, Threats};
use super::boundary::{RunState, toward};
use crate::attack::ImageState as _;
use crate::error::Result;
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::rows::{self, Kernel, Rows};
use crate::threat::{Norm, Threat};

pub(in crate::attack) const SUPERDEEPFOOL: Entry = Entry {
    name: "superdeepfool",
    about: "DeepFool, and projections on the normal of what it crosses (Abdollahpoorrostam et al. 2024)",
    threats: Threats::Balls(&[Norm::L2]),
    is_control: false,
    fields: &[SuperDeepFool::FIELDS],
    build: |parameters, _| SuperDeepFool::new().build(parameters),
};

documented! {
    /// `superdeepfool`: a small L2 perturbation (Abdollahpoorrostam, Abroshan and Moosavi-Dezfooli 2024, SDF(inf, 1)).
    #[derive(Debug, Clone, PartialEq)]
    pub struct SuperDeepFool {
        /// Largest number of linearisations, at least 1: a forward pass, and a backward pass for each class or one for a
        /// projection; and a forward pass where the last one has led to.
        pub steps: usize,
        /// Share by which every step of DeepFool is lengthened, at least 0.
        pub overshoot: f64,
        /// How many wrong classes are looked at, by their clean logits; at least 1.
        pub classes: usize,
        /// Bisections at the end, a forward pass each.
        pub search_steps: usize,
    }
}

impl SuperDeepFool {
    /// 100 linearisations, DeepFool's overshoot and classes, ten bisections. There is no radius.
    pub fn new() -> Self {
        Self { steps: 100, overshoot: 0.02, classes: 9, search_steps: 10 }
    }
}

impl Default for SuperDeepFool {
    fn default() -> Self {
        Self::new()
    }
}

impl HyperParameters for SuperDeepFool {
    fn entry(&self) -> &'static Entry {
        &SUPERDEEPFOOL
    }

    fn threat(&self) -> Threat {
        Threat::ball(Norm::L2, f32::INFINITY)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.steps = parameters.count("steps", self.steps)?;
        self.overshoot = parameters.at_least_zero("overshoot", self.overshoot)?;
        self.classes = parameters.count("classes", self.classes)?;
        self.search_steps = parameters.take("search_steps", self.search_steps)?;
        Ok(Box::new(self))
    }
}

/// The closest adversarial image of every image of the search and its distance; infinite without one.
struct Closest {
    x: Rows,
    distance: Vec<f64>,
}

impl Attack for SuperDeepFool {
    fn objective(&self) -> Objective {
        Objective::Minimal
    }

    fn losses(&self) -> Vec<Loss> {
        // Differences of two logits.
        vec![Loss::Margin]
    }

    fn most_passes(&self, _: [usize; 3], classes: usize) -> Option<f64> {
        let classes = self.classes.min(classes.saturating_sub(1)).max(1);
        Some(self.steps as f64 * (1.0 + classes as f64) + 1.0 + self.search_steps as f64)
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let mut state = RunState::new(search, self.classes)?;
        let mut closest =
            Closest { x: search.clean().clone(), distance: vec![f64::INFINITY; search.len()] };
        for _ in 0..self.steps {
            let at = search.linearise_of(&state.of, &state.x)?;
            let adversarial = state.propose(search, &at.logits)?;
            closest.record(&state, &adversarial)?;
            // What a projection has made adversarial is where the boundary has its normal towards the clean image.
            let projected = state.projected.values()?;
            let (left, done): (Vec<usize>, Vec<usize>) =
                (0..state.of.len()).partition(|i| !adversarial[*i] || projected[*i] == 0.0);
            if left.is_empty() {
                return self.bisect(search, closest);
            }
            let mut crossed = adversarial.clone();
            done.iter().for_each(|i| crossed[*i] = false);
            let boundary = state.boundary(search, &at, Norm::L2, (&adversarial, &crossed))?;
            let behind = crossed.iter().map(|crossed| f32::from(u8::from(*crossed))).collect();
            let behind = Rows::numbers(search.location(), behind)?;
            self.advance(&mut state, [&boundary.w, &boundary.f, &behind])?;
            if !done.is_empty() {
                state.keep(&left)?;
            }
        }
        let logits = search.logits_of(&state.of, &state.x)?;
        let adversarial = state.propose(search, &logits)?;
        closest.record(&state, &adversarial)?;
        self.bisect(search, closest)
    }
}

impl SuperDeepFool {
    /// A step of DeepFool in front of the boundary, a projection on its normal behind it: w, f, and where an image is.
    fn advance(&self, state: &mut RunState, [w, f, behind]: [&Rows; 3]) -> Result<()> {
        rows::update(
            Kernel::NONE,
            [&mut state.x, &mut state.projected],
            [&state.clean, w, f, behind],
            |_, [x, projected], [x0, w, f, behind]| {
                projected[0] = behind[0];
                if behind[0] != 0.0 {
                    let term = |((x, x0), w): ((&f32, &f32), &f32)| {
                        (f64::from(*x) - f64::from(*x0)) * f64::from(*w)
                    };
                    let along: f64 = x.iter().zip(x0).zip(w).map(term).sum();
                    let squares: f64 = w.iter().map(|w| f64::from(*w) * f64::from(*w)).sum();
                    if squares > 0.0 {
                        for ((x, x0), w) in x.iter_mut().zip(x0).zip(w) {
                            let change = along / squares * f64::from(*w);
                            *x = (f64::from(*x0) + change).clamp(0.0, 1.0) as f32;
                        }
                    }
                } else {
                    let mut step = vec![0.0; w.len()];
                    toward(Norm::L2, w, f[0], f64::INFINITY, &mut step);
                    for (x, step) in x.iter_mut().zip(&step) {
                        let change = (1.0 + self.overshoot) * f64::from(*step);
                        *x = (f64::from(*x) + change).clamp(0.0, 1.0) as f32;
                    }
                }
            },
        )
    }

    /// Halves, `search_steps` times, the way between the closest adversarial image and the clean one.
    fn bisect(&self, search: &mut Search<'_>, closest: Closest) -> Result<()> {
        let of: Vec<usize> =
            (0..search.len()).filter(|row| closest.distance[*row].is_finite()).collect();
        if of.is_empty() {
            return Ok(());
        }
        let (clean, far) = (search.clean().select(&of)?, closest.x.select(&of)?);
        let mut bounds = vec![[0.0_f64, 1.0]; of.len()];
        for _ in 0..self.search_steps {
            let shares = bounds.iter().map(|[low, high]| f64::midpoint(*low, *high) as f32);
            let shares = Rows::numbers(search.location(), shares.collect())?;
            let x = rows::map(Kernel::NONE, [&clean, &far, &shares], |_, [x0, far, share], x| {
                for ((x, x0), far) in x.iter_mut().zip(x0).zip(far) {
                    *x = (x0 + share[0] * (far - x0)).clamp(0.0, 1.0);
                }
            })?;
            let logits = search.logits_of(&of, &x)?;
            search.propose_for(&of, &x, &logits, ())?;
            let adversarial = search.have_succeeded(&of, &logits)?;
            for ([low, high], adversarial) in bounds.iter_mut().zip(adversarial) {
                let middle = f64::midpoint(*low, *high);
                *(if adversarial { high } else { low }) = middle;
            }
        }
        Ok(())
    }
}

impl Closest {
    /// Takes over what is adversarial and closer.
    fn record(&mut self, state: &RunState, adversarial: &[bool]) -> Result<()> {
        let distances =
            rows::map_to(Kernel::NONE, &[], [&state.x, &state.clean], |_, [x, x0], d| {
                d[0] = Norm::L2.geometry().distance(x, x0) as f32;
            })?;
        let distances = distances.values()?;
        let mut from: Vec<Option<usize>> = vec![None; self.distance.len()];
        for (i, row) in state.of.iter().enumerate() {
            let distance = f64::from(distances[i]);
            if adversarial[i] && distance < self.distance[*row] {
                self.distance[*row] = distance;
                from[*row] = Some(i);
            }
        }
        if from.iter().all(Option::is_none) {
            return Ok(());
        }
        let x = state.x.values()?;
        let width = state.x.width();
        rows::update(Kernel::NONE, [&mut self.x], [], |row, [closest], []| {
            if let Some(i) = from[row] {
                closest.copy_from_slice(&x[i * width..][..width]);
            }
        })
    }
}
