//! HopSkipJump (Chen, Jordan and Wainwright, IEEE S&P 2020, algorithm 2): of an image only the class is seen. A point
//! on the boundary moves along a direction that is estimated from random points around it, and back to the boundary by
//! bisection. As published, directions are counted with their mean taken off, and the steps fall with the square root
//! of their number. Unlike there, under Linf the first bisection is over balls too and not over the line to the noise.
//! A targeted search begins only where some noise is of the target class.

use super::{Answer, QuerySequence, ask, clean};
use crate::attack::gradient::ball;
use crate::attack::{Asks, Attack, Entry, HyperParameters, Objective, Search, Threats};
use crate::error::Result;
use crate::parameters::{Parameters, documented};
use crate::rng::Draw;
use crate::threat::{Norm, Threat};

pub(in crate::attack) const HOP_SKIP_JUMP: Entry = Entry {
    name: "hop-skip-jump",
    about: "black box, classes only: smallest perturbation along the boundary (Chen et al. 2020)",
    threats: Threats::Balls(&[Norm::Linf, Norm::L2]),
    is_control: false,
    fields: &[HopSkipJump::FIELDS],
    build: |parameters, threat| HopSkipJump::new(ball(threat).0).build(parameters),
};

documented! {
    /// `hop-skip-jump`: HopSkipJump (Chen, Jordan and Wainwright, IEEE S&P 2020), which sees classes only.
    #[derive(Debug, Clone, PartialEq)]
    pub struct HopSkipJump {
        /// The norm that is to be small: Linf or L2.
        pub norm: Norm,
        /// Queries of an image, at least 1; those of the start and of bisections count.
        pub queries: usize,
        /// Random points for the first direction, at least 1; for later ones more by the square root of their number.
        pub initial_evaluations: usize,
        /// What bisections end at, in units that shrink with the number of pixel values; above 0.
        pub gamma: f64,
    }
}

impl HopSkipJump {
    /// The published values, and 10,000 queries. There is no radius: the search is for the closest image.
    pub fn new(norm: Norm) -> Self {
        Self { norm, queries: 10_000, initial_evaluations: 100, gamma: 1.0 }
    }
}

impl HyperParameters for HopSkipJump {
    fn entry(&self) -> &'static Entry {
        &HOP_SKIP_JUMP
    }

    fn threat(&self) -> Threat {
        Threat::ball(self.norm, f32::INFINITY)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.queries = parameters.count("queries", self.queries)?;
        self.initial_evaluations =
            parameters.count("initial_evaluations", self.initial_evaluations)?;
        self.gamma = parameters.positive("gamma", self.gamma)?;
        Ok(Box::new(self))
    }
}

impl Attack for HopSkipJump {
    fn objective(&self) -> Objective {
        Objective::Minimal
    }

    fn asks(&self) -> Asks {
        Asks::Classes
    }

    fn most_passes(&self, _: [usize; 3], _: usize) -> Option<f64> {
        Some(self.queries as f64)
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let sequence = |x0: Vec<f32>| Jump {
            attack: self.clone(),
            x: x0.clone(),
            distance: 0.0,
            x0,
            iteration: 0,
            drawn: 0,
            state: State::Start,
        };
        let sequences = clean(search)?.into_iter().map(sequence).collect();
        ask(search, sequences, self.queries)
    }
}

/// Images of noise that are tried as a start.
const STARTS: u32 = 100;

/// The largest number of points for one direction.
const MOST_EVALUATIONS: usize = 10_000;

/// How far the points around an image are from it in a pixel, at least: below that f32 does not tell pixels apart, and
/// in large images the published distance is.
const FINEST: f64 = 1e-6;

/// How often a step is halved before it is given up.
const HALVINGS: u32 = 40;

/// The image's random numbers, by the number of the draw.
type Random<'a> = &'a dyn Fn(u32) -> Draw;

/// The sequence of an image.
#[derive(Clone)]
struct Jump {
    attack: HopSkipJump,
    x0: Vec<f32>,
    /// The adversarial image on the boundary, and how far it is.
    x: Vec<f32>,
    distance: f64,
    /// Of the steps, from 1 on; 0 before the first one.
    iteration: usize,
    /// Random numbers that were drawn.
    drawn: u32,
    state: State,
}

/// What was asked last.
#[derive(Clone)]
enum State {
    Start,
    /// Noise.
    Noise(Vec<f32>),
    /// The middle of these shares of the way to an adversarial image.
    Way {
        end: Vec<f32>,
        low: f64,
        high: f64,
        until: f64,
    },
    /// A point around the image.
    Point {
        estimate: Estimate,
        u: Vec<f32>,
    },
    /// Where a step of this length leads to, halved so often.
    Step {
        direction: Vec<f32>,
        length: f64,
        halvings: u32,
    },
    Done,
}

/// A direction while it is estimated.
#[derive(Clone)]
struct Estimate {
    delta: f64,
    points: usize,
    asked: usize,
    adversarial: usize,
    /// Sum of the directions, and of those to adversarial points less the others.
    sum: Vec<f64>,
    signed: Vec<f64>,
}

impl Jump {
    fn elements(&self) -> f64 {
        self.x0.len() as f64
    }

    /// The published threshold of bisections.
    fn theta(&self) -> f64 {
        let d = self.elements();
        match self.attack.norm {
            Norm::Linf => self.attack.gamma / (d * d),
            _ => self.attack.gamma / (d.sqrt() * d),
        }
    }

    /// The image at `share` of the way from the clean image to `end`: on the line between them, or in the ball of this
    /// radius.
    fn on_the_way(&self, end: &[f32], share: f64) -> Vec<f32> {
        let pixels = self.x0.iter().zip(end);
        match self.attack.norm {
            Norm::Linf => {
                let radius = share as f32;
                pixels
                    .map(|(x0, end)| end.clamp(x0 - radius, x0 + radius).clamp(0.0, 1.0))
                    .collect()
            }
            _ => {
                let mix = |x0: f32, end: f32| {
                    ((1.0 - share) * f64::from(x0) + share * f64::from(end)) as f32
                };
                pixels.map(|(x0, end)| mix(*x0, *end).clamp(0.0, 1.0)).collect()
            }
        }
    }

    fn approach(&mut self, end: Vec<f32>, draw: Random<'_>) -> Option<Vec<f32>> {
        let distance = self.attack.norm.geometry().distance(&end, &self.x0);
        let (high, until) = match self.attack.norm {
            Norm::Linf if self.iteration > 0 => {
                (distance, self.theta().min(distance * self.theta()))
            }
            Norm::Linf => (distance, 1e-3),
            _ if self.iteration > 0 => (1.0, self.theta()),
            _ => (1.0, 1e-3),
        };
        // f32 has no finer differences.
        self.bisect(end, [0.0, high], until.max(1e-7 * high), draw)
    }

    fn bisect(
        &mut self,
        end: Vec<f32>,
        [low, high]: [f64; 2],
        until: f64,
        draw: Random<'_>,
    ) -> Option<Vec<f32>> {
        if high - low > until {
            let image = self.on_the_way(&end, f64::midpoint(low, high));
            self.state = State::Way { end, low, high, until };
            return Some(image);
        }
        self.x = self.on_the_way(&end, high);
        self.distance = self.attack.norm.geometry().distance(&self.x, &self.x0);
        self.iteration += 1;
        self.estimate(draw)
    }

    /// Begins to estimate the direction of a step.
    fn estimate(&mut self, draw: Random<'_>) -> Option<Vec<f32>> {
        let d = self.elements();
        let delta = match self.attack.norm {
            _ if self.iteration == 1 => 0.1,
            Norm::Linf => d * self.theta() * self.distance,
            _ => d.sqrt() * self.theta() * self.distance,
        };
        let delta = delta.max(FINEST * d.sqrt());
        let points = self.attack.initial_evaluations as f64 * (self.iteration as f64).sqrt();
        let n = self.x0.len();
        let estimate = Estimate {
            delta,
            points: (points as usize).clamp(1, MOST_EVALUATIONS),
            asked: 0,
            adversarial: 0,
            sum: vec![0.0; n],
            signed: vec![0.0; n],
        };
        // Nothing is closer than the clean image itself.
        if self.distance <= 0.0 {
            self.state = State::Done;
            return None;
        }
        Some(self.point(estimate, draw))
    }

    /// The next point of an estimate.
    fn point(&mut self, estimate: Estimate, draw: Random<'_>) -> Vec<f32> {
        let mut u = vec![0.0_f32; self.x.len()];
        match self.attack.norm {
            Norm::Linf => {
                draw(self.drawn).uniform(&mut u);
                u.iter_mut().for_each(|u| *u = 2.0 * *u - 1.0);
            }
            _ => draw(self.drawn).normal(&mut u),
        }
        self.drawn += 1;
        let length = u.iter().map(|u| f64::from(*u).powi(2)).sum::<f64>().sqrt().max(1e-12);
        let scale = estimate.delta / length;
        let image: Vec<f32> = self
            .x
            .iter()
            .zip(&u)
            .map(|(x, u)| ((f64::from(*x) + scale * f64::from(*u)) as f32).clamp(0.0, 1.0))
            .collect();
        // What is left of the direction inside the box.
        let inside = image.iter().zip(&self.x);
        let u = inside.map(|(y, x)| ((f64::from(*y) - f64::from(*x)) / estimate.delta) as f32);
        let u = u.collect();
        self.state = State::Point { estimate, u };
        image
    }

    /// The direction that the points tell, and the first step along it.
    fn step(&mut self, estimate: &Estimate) -> Vec<f32> {
        let n = estimate.points as f64;
        let mean = match estimate.adversarial {
            0 => -1.0,
            all if all == estimate.points => 1.0,
            some => 2.0 * some as f64 / n - 1.0,
        };
        let alike = mean.abs() == 1.0;
        let sums = estimate.signed.iter().zip(&estimate.sum);
        let raw: Vec<f64> = sums
            .map(|(signed, sum)| if alike { mean * sum / n } else { (signed - mean * sum) / n })
            .collect();
        let length = raw.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-30);
        let direction = match self.attack.norm {
            Norm::Linf => {
                raw.iter().map(|v| if *v == 0.0 { 0.0 } else { v.signum() as f32 }).collect()
            }
            _ => raw.iter().map(|v| (v / length) as f32).collect(),
        };
        let length = self.distance / (self.iteration as f64).sqrt();
        self.go(direction, length, 0)
    }

    fn go(&mut self, direction: Vec<f32>, length: f64, halvings: u32) -> Vec<f32> {
        let moved = self.x.iter().zip(&direction);
        let image = moved.map(|(x, v)| (x + length as f32 * v).clamp(0.0, 1.0)).collect();
        self.state = State::Step { direction, length, halvings };
        image
    }
}

impl QuerySequence for Jump {
    fn next(
        &mut self,
        answer: Option<&Answer<'_>>,
        draw: &dyn Fn(u32) -> Draw,
    ) -> Option<Vec<f32>> {
        let success = answer.is_some_and(|answer| answer.success);
        match std::mem::replace(&mut self.state, State::Done) {
            State::Noise(noise) if success => self.approach(noise, draw),
            State::Start | State::Noise(_) => {
                if self.drawn >= STARTS {
                    return None;
                }
                let mut noise = vec![0.0_f32; self.x0.len()];
                draw(self.drawn).uniform(&mut noise);
                self.drawn += 1;
                self.state = State::Noise(noise.clone());
                Some(noise)
            }
            State::Way { end, low, high, until } => {
                let middle = f64::midpoint(low, high);
                self.bisect(end, if success { [low, middle] } else { [middle, high] }, until, draw)
            }
            State::Point { mut estimate, u } => {
                let sign = if success { 1.0 } else { -1.0 };
                estimate.asked += 1;
                estimate.adversarial += usize::from(success);
                for ((sum, signed), u) in estimate.sum.iter_mut().zip(&mut estimate.signed).zip(&u)
                {
                    *sum += f64::from(*u);
                    *signed += sign * f64::from(*u);
                }
                match estimate.asked < estimate.points {
                    true => Some(self.point(estimate, draw)),
                    false => Some(self.step(&estimate)),
                }
            }
            State::Step { direction, length, .. } if success => {
                let end = self.go(direction, length, 0);
                self.approach(end, draw)
            }
            State::Step { direction, length, halvings } if halvings < HALVINGS => {
                Some(self.go(direction, 0.5 * length, halvings + 1))
            }
            // Another direction from the same point.
            State::Step { .. } => {
                self.iteration += 1;
                self.estimate(draw)
            }
            State::Done => None,
        }
    }
}
