//! RayS (Chen and Gu, KDD 2020, algorithm 3): of an image only the class is seen. The perturbation is a radius times a
//! vector of signs; the signs are turned block by block, in ever smaller blocks, and a turn that stays adversarial at
//! the radius brings the radius down by bisection.

use super::{Answer, QuerySequence, ask, clean};
use crate::attack::gradient::ball;
use crate::attack::{Asks, Attack, Entry, HyperParameters, Search, Threats};
use crate::error::Result;
use crate::parameters::{Parameters, documented};
use crate::rng::Draw;
use crate::threat::{Norm, Threat};

pub(in crate::attack) const RAYS: Entry = Entry {
    name: "rays",
    about: "black box, classes only: signs turned block by block along a ray (Chen and Gu 2020)",
    threats: Threats::Balls(&[Norm::Linf]),
    is_control: false,
    fields: &[Rays::FIELDS],
    build: |parameters, threat| Rays::new(ball(threat).1).build(parameters),
};

documented! {
    /// `rays`: RayS (Chen and Gu, KDD 2020), which sees classes only.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Rays {
        /// Radius of the ball, in pixel units.
        pub eps: f32,
        /// Queries of an image, at least 1; those of bisections count.
        pub queries: usize,
        /// What the Euclidean length of the perturbation is bisected to, above 0: the radius to this by the square root
        /// of the number of pixel values.
        pub tolerance: f64,
    }
}

impl Rays {
    /// The paper's 10,000 queries and its tolerance.
    pub fn new(eps: f32) -> Self {
        Self { eps, queries: 10_000, tolerance: 1e-3 }
    }
}

impl HyperParameters for Rays {
    fn entry(&self) -> &'static Entry {
        &RAYS
    }

    fn threat(&self) -> Threat {
        Threat::ball(Norm::Linf, self.eps)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.queries = parameters.count("queries", self.queries)?;
        self.tolerance = parameters.positive("tolerance", self.tolerance)?;
        Ok(Box::new(self))
    }
}

impl Attack for Rays {
    fn asks(&self) -> Asks {
        Asks::Classes
    }

    fn most_passes(&self, _: [usize; 3], _: usize) -> Option<f64> {
        Some(self.queries as f64)
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let sequences = clean(search)?.into_iter().map(|x0| self.sequence(x0)).collect();
        ask(search, sequences, self.queries)
    }
}

impl Rays {
    fn sequence(&self, x0: Vec<f32>) -> Ray {
        let n = x0.len();
        Ray {
            // The paper's radius is the Euclidean length of the perturbation before the box.
            tolerance: (self.tolerance / (n as f64).sqrt()) as f32,
            signs: vec![1.0; n],
            radius: None,
            blocks: Blocks { level: 0, number: 0 },
            turned: false,
            state: State::Beginning,
            x0,
        }
    }
}

/// The sequence of an image.
#[derive(Clone)]
struct Ray {
    x0: Vec<f32>,
    tolerance: f32,
    signs: Vec<f32>,
    /// The smallest radius at which the image is adversarial along its signs; none before there is one.
    radius: Option<f32>,
    blocks: Blocks,
    /// A sign was turned since the last pass over single pixels began.
    turned: bool,
    state: State,
}

/// What was asked last.
#[derive(Clone)]
enum State {
    Beginning,
    /// Whether these signs are adversarial at the radius.
    Signs(Vec<f32>),
    /// Whether they are at the middle of these radii.
    Radius(Vec<f32>, [f32; 2]),
    Done,
}

/// Which block is turned next: on level l there are 2^l of them.
#[derive(Clone, Copy)]
struct Blocks {
    level: u32,
    number: usize,
}

impl Blocks {
    fn size(self, elements: usize) -> usize {
        elements.div_ceil(1_usize.checked_shl(self.level).unwrap_or(usize::MAX).max(1)).max(1)
    }
}

impl Ray {
    fn image(&self, signs: &[f32], radius: f32) -> Vec<f32> {
        let pixels = self.x0.iter().zip(signs);
        pixels.map(|(x, sign)| (x + radius * sign).clamp(0.0, 1.0)).collect()
    }

    /// The farthest that is worth looking at: the radius so far, or the whole box.
    fn reach(&self) -> f32 {
        self.radius.unwrap_or(1.0)
    }

    /// Turns the next block and asks about it. Single pixels are gone through again as long as that helps.
    fn turn(&mut self) -> Option<Vec<f32>> {
        let n = self.signs.len();
        let size = self.blocks.size(n);
        let (start, end) = (self.blocks.number * size, ((self.blocks.number + 1) * size).min(n));
        if start >= n {
            if size == 1 && !std::mem::take(&mut self.turned) {
                self.state = State::Done;
                return None;
            }
            let level = if size == 1 { self.blocks.level } else { self.blocks.level + 1 };
            self.turned &= size == 1;
            self.blocks = Blocks { level, number: 0 };
            return self.turn();
        }
        self.blocks.number += 1;
        let mut signs = self.signs.clone();
        signs[start..end].iter_mut().for_each(|sign| *sign = -*sign);
        let image = self.image(&signs, self.reach());
        self.state = State::Signs(signs);
        Some(image)
    }

    fn bisect(&mut self, signs: Vec<f32>, [low, high]: [f32; 2]) -> Option<Vec<f32>> {
        if high - low <= self.tolerance {
            if self.radius.is_none_or(|radius| high < radius) {
                (self.signs, self.radius, self.turned) = (signs, Some(high), true);
            }
            return self.turn();
        }
        let image = self.image(&signs, f32::midpoint(low, high));
        self.state = State::Radius(signs, [low, high]);
        Some(image)
    }
}

impl QuerySequence for Ray {
    fn next(&mut self, answer: Option<&Answer<'_>>, _: &dyn Fn(u32) -> Draw) -> Option<Vec<f32>> {
        let success = answer.is_some_and(|answer| answer.success);
        match std::mem::replace(&mut self.state, State::Done) {
            State::Beginning => {
                let image = self.image(&self.signs, self.reach());
                self.state = State::Signs(self.signs.clone());
                Some(image)
            }
            State::Signs(signs) if success => {
                let reach = self.reach();
                self.bisect(signs, [0.0, reach])
            }
            State::Signs(_) => self.turn(),
            State::Radius(signs, [low, high]) => {
                let middle = f32::midpoint(low, high);
                self.bisect(signs, if success { [low, middle] } else { [middle, high] })
            }
            State::Done => None,
        }
    }
}
