//! The boundary attack (Brendel, Rauber and Bethge, ICLR 2018, algorithm 1): of an image only the class is seen. An
//! adversarial image walks on the sphere around the clean one in random directions and a little towards the clean one;
//! a step stays if it is adversarial and closer. How far a step goes, in both senses, follows for each image from how many
//! of its last steps were adversarial, as in the authors' implementation (foolbox). Unlike there, the walk begins after a
//! bisection to the boundary in place of a thousand trials along the line, and the questions about the sphere alone,
//! which only tell how far steps may go, count as queries too.

use std::collections::VecDeque;

use super::bisection::{Bisection, STARTS, in_box, noise};
use super::{Answer, QuerySequence, ask, clean};
use crate::attack::{Asks, Attack, Entry, HyperParameters, Objective, Search, Threats};
use crate::error::Result;
use crate::parameters::{Parameters, documented};
use crate::rng::Draw;
use crate::threat::{Norm, Threat};

pub(in crate::attack) const BOUNDARY: Entry = Entry {
    name: "boundary",
    about: "black box, classes only: random walk along the boundary towards the image (Brendel et al. 2018)",
    threats: Threats::Balls(&[Norm::L2]),
    is_control: false,
    fields: &[Boundary::FIELDS],
    build: |parameters, _| Boundary::new().build(parameters),
};

documented! {
    /// `boundary`: the boundary attack (Brendel, Rauber and Bethge, ICLR 2018), which sees classes only.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Boundary {
        /// Queries of an image, at least 1; those of the start count, and those that only adapt the steps.
        pub queries: usize,
        /// Length of the first steps on the sphere, above 0, as a share of the distance.
        pub spherical_step: f64,
        /// Length of the first steps towards the clean image, above 0 and below 1, as a share of the distance.
        pub source_step: f64,
        /// What steps are multiplied or divided by when they are adapted, above 1.
        pub step_adaptation: f64,
        /// Every so many steps are counted for that, at least 1, and ask once more.
        pub update_every: usize,
    }
}

impl Boundary {
    /// The authors' values, and 10,000 queries where they have 25,000 steps. There is no radius: the search is for the
    /// closest image.
    pub fn new() -> Self {
        Self {
            queries: 10_000,
            spherical_step: 0.01,
            source_step: 0.01,
            step_adaptation: 1.5,
            update_every: 10,
        }
    }
}

impl Default for Boundary {
    fn default() -> Self {
        Self::new()
    }
}

impl HyperParameters for Boundary {
    fn entry(&self) -> &'static Entry {
        &BOUNDARY
    }

    fn threat(&self) -> Threat {
        Threat::ball(Norm::L2, f32::INFINITY)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.queries = parameters.count("queries", self.queries)?;
        self.spherical_step = parameters.positive("spherical_step", self.spherical_step)?;
        self.source_step = parameters.share("source_step", self.source_step)?;
        self.step_adaptation = parameters.above_one("step_adaptation", self.step_adaptation)?;
        self.update_every = parameters.count("update_every", self.update_every)?;
        Ok(Box::new(self))
    }
}

impl Attack for Boundary {
    fn objective(&self) -> Objective {
        Objective::Minimal
    }

    fn most_passes(&self, _: [usize; 3], _: usize) -> Option<f64> {
        Some(self.queries as f64)
    }

    fn asks(&self) -> Asks {
        Asks::Classes
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let sequences = clean(search)?.into_iter().map(|x0| self.sequence(x0)).collect();
        ask(search, sequences, self.queries)
    }
}

/// The walk ends when it comes towards the image by less than this share of the distance.
const CONVERGED: f64 = 1e-7;

/// How many of the last counted steps decide, on the sphere and towards the image.
const WINDOWS: [usize; 2] = [100, 30];

impl Boundary {
    fn sequence(&self, x0: Vec<f32>) -> Walk {
        Walk {
            x: x0.clone(),
            x0,
            spherical_step: self.spherical_step,
            source_step: self.source_step,
            on_sphere: Rate::new(WINDOWS[0]),
            towards: Rate::new(WINDOWS[1]),
            drawn: 0,
            steps: 0,
            state: State::Start,
            attack: self.clone(),
        }
    }
}

/// How many of the last answers were adversarial.
#[derive(Clone)]
struct Rate {
    answers: VecDeque<bool>,
    window: usize,
}

impl Rate {
    fn new(window: usize) -> Self {
        Self { answers: VecDeque::with_capacity(window), window }
    }

    fn count(&mut self, success: bool) {
        if self.answers.len() == self.window {
            self.answers.pop_front();
        }
        self.answers.push_back(success);
    }

    /// 1 if more than the share `most` of a whole window was adversarial, and -1 if less than `least`: then it
    /// begins anew. 0 otherwise.
    fn verdict(&mut self, least: f64, most: f64) -> i32 {
        if self.answers.len() < self.window {
            return 0;
        }
        let rate = self.answers.iter().filter(|yes| **yes).count() as f64 / self.window as f64;
        let verdict = i32::from(rate > most) - i32::from(rate < least);
        if verdict != 0 {
            self.answers.clear();
        }
        verdict
    }
}

/// The sequence of an image.
#[derive(Clone)]
struct Walk {
    attack: Boundary,
    x0: Vec<f32>,
    /// The closest adversarial image.
    x: Vec<f32>,
    spherical_step: f64,
    source_step: f64,
    on_sphere: Rate,
    towards: Rate,
    /// Random numbers that were drawn.
    drawn: u32,
    steps: usize,
    state: State,
}

/// What was asked last.
#[derive(Clone)]
enum State {
    Start,
    /// Noise.
    Noise(Vec<f32>),
    /// A point of the way to adversarial noise.
    Way(Bisection),
    /// The step on the sphere without the one towards the image, which follows.
    Sphere(Vec<f32>),
    /// A step, and whether it is counted.
    Step(Vec<f32>, bool),
    Done,
}

fn length(v: &[f64]) -> f64 {
    v.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// From `x` to `x0`.
fn difference(x0: &[f32], x: &[f32]) -> Vec<f64> {
    x0.iter().zip(x).map(|(x0, x)| f64::from(*x0) - f64::from(*x)).collect()
}

impl Walk {
    /// A random step on the sphere, and the same with the step towards the image, both in the box.
    fn proposals(&mut self, draw: &dyn Fn(u32) -> Draw) -> Option<[Vec<f32>; 2]> {
        let source = difference(&self.x0, &self.x);
        let distance = length(&source);
        // Nothing is closer than the clean image itself.
        if distance <= 0.0 {
            return None;
        }
        let mut normal = vec![0.0_f32; source.len()];
        draw(self.drawn).normal(&mut normal);
        self.drawn += 1;
        let dot: f64 = normal.iter().zip(&source).map(|(u, s)| f64::from(*u) * s).sum();
        let along = dot / (distance * distance);
        let tangent: Vec<f64> =
            normal.iter().zip(&source).map(|(u, s)| f64::from(*u) - along * s).collect();
        let scale = self.spherical_step * distance / length(&tangent).max(1e-30);
        // Back on the sphere.
        let shrink = 1.0 / (1.0 + self.spherical_step * self.spherical_step).sqrt();
        let offsets = tangent.iter().zip(&source).map(|(t, s)| shrink * (scale * t - s));
        let sphere: Vec<f32> = self
            .x0
            .iter()
            .zip(offsets)
            .map(|(x0, offset)| in_box((f64::from(*x0) + offset) as f32))
            .collect();
        // The box may have brought it closer than the step would.
        let left = difference(&self.x0, &sphere);
        let now = length(&left);
        let share = ((self.source_step * distance + now - distance) / now.max(1e-30)).max(0.0);
        let step = sphere
            .iter()
            .zip(&left)
            .map(|(x, left)| in_box((f64::from(*x) + share * left) as f32))
            .collect();
        Some([sphere, step])
    }

    /// The next step, or where it leads to on the sphere if it is counted.
    fn walk(&mut self, draw: &dyn Fn(u32) -> Draw) -> Option<Vec<f32>> {
        if self.source_step < CONVERGED {
            return None;
        }
        let [sphere, step] = self.proposals(draw)?;
        self.steps += 1;
        if self.steps.is_multiple_of(self.attack.update_every) {
            self.state = State::Sphere(step);
            return Some(sphere);
        }
        self.state = State::Step(step.clone(), false);
        Some(step)
    }

    fn approach(&mut self, way: Bisection, draw: &dyn Fn(u32) -> Draw) -> Option<Vec<f32>> {
        if let Some(question) = way.question(&self.x0) {
            self.state = State::Way(way);
            return Some(question);
        }
        self.x = way.end(&self.x0);
        self.walk(draw)
    }

    /// About half of the points of the sphere are adversarial near a boundary that is flat, if steps are short enough to
    /// see it so; steps towards the image are as long as one in some succeeds.
    fn adapt(&mut self) {
        let by = self.attack.step_adaptation;
        let factor = by.powi(self.on_sphere.verdict(0.2, 0.5));
        self.spherical_step *= factor;
        self.source_step *= factor * by.powi(self.towards.verdict(0.1, 0.25));
        // Longer ones would go beyond the clean image.
        self.source_step = self.source_step.min(0.5);
    }
}

impl QuerySequence for Walk {
    fn next(
        &mut self,
        answer: Option<&Answer<'_>>,
        draw: &dyn Fn(u32) -> Draw,
    ) -> Option<Vec<f32>> {
        let success = answer.is_some_and(|answer| answer.success);
        match std::mem::replace(&mut self.state, State::Done) {
            State::Noise(noise) if success => {
                let direction = noise.iter().zip(&self.x0).map(|(end, x0)| end - x0).collect();
                self.approach(Bisection::new(direction, [0.0, 1.0], 1e-3), draw)
            }
            State::Start | State::Noise(_) => {
                if self.drawn >= STARTS {
                    return None;
                }
                let noise = noise(draw(self.drawn), self.x0.len());
                self.drawn += 1;
                self.state = State::Noise(noise.clone());
                Some(noise)
            }
            State::Way(mut way) => {
                way.answered(success);
                self.approach(way, draw)
            }
            State::Sphere(step) => {
                self.on_sphere.count(success);
                self.state = State::Step(step.clone(), true);
                Some(step)
            }
            State::Step(step, counted) => {
                let distance = |x: &[f32]| length(&difference(&self.x0, x));
                if success && distance(&step) < distance(&self.x) {
                    self.x = step;
                }
                if counted {
                    self.towards.count(success);
                    self.adapt();
                }
                self.walk(draw)
            }
            State::Done => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    /// An image of 30 values in the middle of the box whose boundary is a plane at a distance of 0.5.
    fn walk(attack: &Boundary) -> Walk {
        let mut walk = attack.sequence(vec![0.5; 30]);
        walk.x = vec![0.5; 30];
        walk.x[3] = 0.9;
        walk.x[8] = 0.2;
        walk
    }

    /// A step keeps the distance on the sphere, is as far from where it began as it should be, and then goes towards the
    /// image by its share.
    #[test]
    fn a_step_is_on_the_sphere_and_then_towards_the_image() {
        let draw = |number: u32| Stream::new(3, "boundary").draw(1, number);
        let attack = Boundary { spherical_step: 0.3, source_step: 0.2, ..Boundary::new() };
        let mut walk = walk(&attack);
        let distance = |x: &[f32]| length(&difference(&walk.x0, x));
        assert!((distance(&walk.x) - 0.5).abs() < 1e-6);
        let (x0, x) = (walk.x0.clone(), walk.x.clone());
        for _ in 0..20 {
            let [sphere, step] = walk.proposals(&draw).unwrap();
            let distance = |x: &[f32]| length(&difference(&x0, x));
            assert!((distance(&sphere) - 0.5).abs() < 1e-6);
            // The angle's tangent is the step.
            let [a, b] = [&x, &sphere].map(|x| difference(&x0, x));
            let cosine = a.iter().zip(&b).map(|(a, b)| a * b).sum::<f64>() / 0.25;
            assert!((cosine - 1.0 / 1.09_f64.sqrt()).abs() < 1e-5, "{cosine}");
            assert!((distance(&step) - 0.4).abs() < 1e-6);
        }
    }

    /// What many adversarial answers and few do to the steps: whole windows count, and begin anew.
    #[test]
    fn steps_follow_their_rates() {
        let mut walk = walk(&Boundary::new());
        for count in 1..=100 {
            walk.on_sphere.count(count % 3 != 0);
            walk.adapt();
            let grown = if count == 100 { 1.5 } else { 1.0 };
            assert!((walk.spherical_step - 0.01 * grown).abs() < 1e-9, "{count}");
            assert!((walk.source_step - 0.01 * grown).abs() < 1e-9, "{count}");
        }
        for count in 0..99 {
            walk.on_sphere.count(count % 7 == 0);
        }
        walk.adapt();
        assert!((walk.spherical_step - 0.015).abs() < 1e-9);
        walk.on_sphere.count(false);
        walk.adapt();
        assert!((walk.spherical_step - 0.01).abs() < 1e-9);
        // Towards the image one in five is right, and one in thirty too few.
        (0..30).for_each(|count| walk.towards.count(count % 5 == 0));
        walk.adapt();
        assert!((walk.source_step - 0.01).abs() < 1e-9);
        (0..30).for_each(|count| walk.towards.count(count == 0));
        walk.adapt();
        assert!((walk.source_step - 0.01 / 1.5).abs() < 1e-9);
        assert!((walk.spherical_step - 0.01).abs() < 1e-9);
    }

    /// A counted step asks about the sphere first, and what is adversarial there alone is not walked to.
    #[test]
    fn every_tenth_step_asks_twice() {
        let draw = |number: u32| Stream::new(3, "boundary").draw(1, number);
        let mut walk = walk(&Boundary::new());
        let before = walk.x.clone();
        walk.walk(&draw).unwrap();
        let mut spheres = 0;
        for asked in 1..=54 {
            let on_sphere = matches!(walk.state, State::Sphere(_));
            assert_eq!(on_sphere, asked % 11 == 10, "{asked}");
            spheres += usize::from(on_sphere);
            let answer = Answer { logits: &[], label: 0, target: None, success: on_sphere };
            walk.next(Some(&answer), &draw).unwrap();
        }
        assert_eq!((spheres, walk.steps), (5, 50));
        assert_eq!(walk.x, before);
        assert_eq!(walk.on_sphere.answers, [true; 5]);
        assert_eq!(walk.towards.answers, [false; 4]);
    }
}
