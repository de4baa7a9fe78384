//! Sign-OPT (Cheng et al., ICLR 2020, algorithm 1): of an image only the class is seen. The distance to the boundary along
//! a direction is found by bisection, and is a function of the direction that is minimised: whether it grows or falls
//! along random changes takes a query each, and their signed mean takes the place of the gradient.
//!
//! Unlike in the published code, images are clipped to the box, and a direction along which the image is not adversarial
//! at the distance so far is given up after one query: there it is followed outwards until it is, which no step is made
//! for.

use super::bisection::{Bisection, along};
use super::{Answer, QuerySequence, ask, clean};
use crate::attack::{Asks, Attack, Entry, HyperParameters, Objective, Search, Threats};
use crate::error::Result;
use crate::parameters::{Parameters, documented};
use crate::rng::Draw;
use crate::threat::{Norm, Threat};

pub(in crate::attack) const SIGN_OPT: Entry = Entry {
    name: "sign-opt",
    about: "black box, classes only: direction of the nearest boundary by signs of changes (Cheng et al. 2020)",
    threats: Threats::Balls(&[Norm::L2]),
    is_control: false,
    fields: &[SignOpt::FIELDS],
    build: |parameters, _| SignOpt::new().build(parameters),
};

documented! {
    /// `sign-opt`: Sign-OPT (Cheng et al., ICLR 2020), which sees classes only.
    #[derive(Debug, Clone, PartialEq)]
    pub struct SignOpt {
        /// Queries of an image, at least 1; those of the start and of bisections count.
        pub queries: usize,
        /// Random directions that the search begins with the best of, at least 1.
        pub directions: usize,
        /// Random changes of the direction for a gradient, at least 1: a query each.
        pub k: usize,
        /// Length of the first step, above 0, of a direction of length 1.
        pub alpha: f64,
        /// Length of the random changes, above 0.
        pub beta: f64,
    }
}

impl SignOpt {
    /// The published values, and 10,000 queries. There is no radius: the search is for the closest image.
    pub fn new() -> Self {
        Self { queries: 10_000, directions: 100, k: 200, alpha: 0.2, beta: 0.001 }
    }
}

impl Default for SignOpt {
    fn default() -> Self {
        Self::new()
    }
}

impl HyperParameters for SignOpt {
    fn entry(&self) -> &'static Entry {
        &SIGN_OPT
    }

    fn threat(&self) -> Threat {
        Threat::ball(Norm::L2, f32::INFINITY)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.queries = parameters.count("queries", self.queries)?;
        self.directions = parameters.count("directions", self.directions)?;
        self.k = parameters.count("k", self.k)?;
        self.alpha = parameters.positive("alpha", self.alpha)?;
        self.beta = parameters.positive("beta", self.beta)?;
        Ok(Box::new(self))
    }
}

impl Attack for SignOpt {
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

/// What the first distances are bisected to, and the later ones as a share of the length of random changes.
const FIRST_TOLERANCE: f64 = 1e-3;
const TOLERANCE: f64 = 1.0 / 500.0;

/// By how much a distance falls until the image is not adversarial any more, before bisection.
const NEARER: f64 = 0.99;

/// Steps of a line search that grow, and that shrink.
const TRIES: usize = 15;

/// A step below this length goes back to 1 with smaller random changes, until these are below the second.
const SHORTEST: [f64; 2] = [1e-4, 1e-8];

impl SignOpt {
    fn sequence(&self, x0: Vec<f32>) -> Descent {
        Descent {
            best: Ray { direction: vec![0.0; x0.len()], distance: f64::INFINITY },
            next: Ray { direction: vec![0.0; x0.len()], distance: f64::INFINITY },
            gradient: vec![0.0; x0.len()],
            x0,
            alpha: self.alpha,
            beta: self.beta,
            tries: 0,
            grows: true,
            drawn: 0,
            state: State::Start,
            attack: self.clone(),
        }
    }
}

/// A direction of length 1 and how far the boundary is along it.
#[derive(Clone)]
struct Ray {
    direction: Vec<f32>,
    distance: f64,
}

/// The sequence of an image.
#[derive(Clone)]
struct Descent {
    attack: SignOpt,
    x0: Vec<f32>,
    best: Ray,
    /// The best of the line search.
    next: Ray,
    /// Signed mean of the random changes.
    gradient: Vec<f64>,
    alpha: f64,
    beta: f64,
    /// Steps of the line search, and whether they still grow.
    tries: usize,
    grows: bool,
    /// Random numbers that were drawn.
    drawn: u32,
    state: State,
}

/// What was asked last.
#[derive(Clone)]
enum State {
    Start,
    /// A random direction at its own length.
    Drawn(Vec<f32>, f64),
    /// It at the best distance so far.
    Shorter(Vec<f32>),
    /// Its distance.
    First(Bisection),
    /// A random change, the so manyth.
    Change(Vec<f32>, usize),
    /// A step of the line search at the distance so far.
    Step(Vec<f32>),
    /// It at a smaller distance; the adversarial one before.
    Nearer(Vec<f32>, f64),
    /// Its distance.
    Line(Bisection),
    Done,
}

/// `v` at length 1, and its length.
fn unit(v: &[f64]) -> (Vec<f32>, f64) {
    let length = v.iter().map(|v| v * v).sum::<f64>().sqrt();
    (v.iter().map(|v| (v / length.max(1e-30)) as f32).collect(), length)
}

impl Descent {
    fn image(&self, direction: &[f32], distance: f64) -> Vec<f32> {
        along(&self.x0, direction, distance)
    }

    /// A random direction and its length.
    fn random(&mut self, draw: &dyn Fn(u32) -> Draw) -> (Vec<f32>, f64) {
        let mut normal = vec![0.0_f32; self.x0.len()];
        draw(self.drawn).normal(&mut normal);
        self.drawn += 1;
        unit(&normal.into_iter().map(f64::from).collect::<Vec<_>>())
    }

    /// The next direction to begin with, or, after the last one, the descent from the best.
    fn begin(&mut self, draw: &dyn Fn(u32) -> Draw) -> Option<Vec<f32>> {
        if (self.drawn as usize) < self.attack.directions {
            let (direction, length) = self.random(draw);
            let image = self.image(&direction, length);
            self.state = State::Drawn(direction, length);
            return Some(image);
        }
        if self.best.distance.is_infinite() {
            return None;
        }
        self.estimate(draw)
    }

    fn first(&mut self, search: Bisection, draw: &dyn Fn(u32) -> Draw) -> Option<Vec<f32>> {
        if let Some(question) = search.question(&self.x0) {
            self.state = State::First(search);
            return Some(question);
        }
        if search.high < self.best.distance {
            self.best = Ray { distance: search.high, direction: search.direction };
        }
        self.begin(draw)
    }

    /// Begins to estimate a gradient.
    fn estimate(&mut self, draw: &dyn Fn(u32) -> Draw) -> Option<Vec<f32>> {
        self.gradient.fill(0.0);
        Some(self.change(0, draw))
    }

    fn change(&mut self, number: usize, draw: &dyn Fn(u32) -> Draw) -> Vec<f32> {
        let (u, _) = self.random(draw);
        let changed = self.moved(self.beta, &u);
        self.state = State::Change(u, number);
        self.image(&changed, self.best.distance)
    }

    /// The best direction with `factor` times `v` added, at length 1.
    fn moved<T: Copy + Into<f64>>(&self, factor: f64, v: &[T]) -> Vec<f32> {
        let moved = self.best.direction.iter().zip(v);
        unit(&moved.map(|(d, v)| f64::from(*d) + factor * (*v).into()).collect::<Vec<_>>()).0
    }

    /// The next step of the line search.
    fn step(&mut self) -> Vec<f32> {
        let direction = self.moved(-self.alpha, &self.gradient);
        let image = self.image(&direction, self.next.distance);
        self.state = State::Step(direction);
        image
    }

    fn nearer(&mut self, direction: Vec<f32>, adversarial: f64) -> Vec<f32> {
        let image = self.image(&direction, NEARER * adversarial);
        self.state = State::Nearer(direction, adversarial);
        image
    }

    fn line(&mut self, search: Bisection, draw: &dyn Fn(u32) -> Draw) -> Option<Vec<f32>> {
        if let Some(question) = search.question(&self.x0) {
            self.state = State::Line(search);
            return Some(question);
        }
        self.judge(Some(Ray { distance: search.high, direction: search.direction }), draw)
    }

    /// What comes of a step of the line search: steps grow as long as each is better than the one before, or shrink
    /// until one is better than where they began.
    fn judge(&mut self, found: Option<Ray>, draw: &dyn Fn(u32) -> Draw) -> Option<Vec<f32>> {
        self.tries += 1;
        let better = found.filter(|ray| ray.distance < self.next.distance);
        let is_better = better.is_some();
        if let Some(ray) = better {
            self.next = ray;
        }
        if self.grows {
            self.alpha *= 2.0;
            if is_better && self.tries < TRIES {
                return Some(self.step());
            }
            if self.next.distance < self.best.distance {
                return self.end_line(draw);
            }
            (self.grows, self.tries) = (false, 0);
        } else if is_better || self.tries >= TRIES {
            return self.end_line(draw);
        }
        self.alpha *= 0.25;
        Some(self.step())
    }

    fn end_line(&mut self, draw: &dyn Fn(u32) -> Draw) -> Option<Vec<f32>> {
        self.best = self.next.clone();
        if self.alpha < SHORTEST[0] {
            (self.alpha, self.beta) = (1.0, 0.1 * self.beta);
            if self.beta < SHORTEST[1] {
                return None;
            }
        }
        self.estimate(draw)
    }
}

impl QuerySequence for Descent {
    fn next(
        &mut self,
        answer: Option<&Answer<'_>>,
        draw: &dyn Fn(u32) -> Draw,
    ) -> Option<Vec<f32>> {
        let success = answer.is_some_and(|answer| answer.success);
        match std::mem::replace(&mut self.state, State::Done) {
            State::Drawn(direction, length) if success => {
                // Longer than the best one it is of no use.
                if length > self.best.distance {
                    let image = self.image(&direction, self.best.distance);
                    self.state = State::Shorter(direction);
                    return Some(image);
                }
                self.first(Bisection::new(direction, [0.0, length], FIRST_TOLERANCE), draw)
            }
            State::Shorter(direction) if success => {
                let lengths = [0.0, self.best.distance];
                self.first(Bisection::new(direction, lengths, FIRST_TOLERANCE), draw)
            }
            State::Start | State::Drawn(..) | State::Shorter(_) => self.begin(draw),
            State::First(mut search) => {
                search.answered(success);
                self.first(search, draw)
            }
            State::Change(u, number) => {
                // Adversarial at this distance, the boundary has come nearer.
                let sign = if success { -1.0 } else { 1.0 } / self.attack.k as f64;
                self.gradient.iter_mut().zip(&u).for_each(|(g, u)| *g += sign * f64::from(*u));
                if number + 1 < self.attack.k {
                    return Some(self.change(number + 1, draw));
                }
                (self.tries, self.grows, self.next) = (0, true, self.best.clone());
                Some(self.step())
            }
            State::Step(direction) if success => Some(self.nearer(direction, self.next.distance)),
            State::Step(_) => self.judge(None, draw),
            State::Nearer(direction, adversarial) if success => {
                Some(self.nearer(direction, NEARER * adversarial))
            }
            State::Nearer(direction, adversarial) => {
                let lengths = [NEARER * adversarial, adversarial];
                self.line(Bisection::new(direction, lengths, TOLERANCE * self.beta), draw)
            }
            State::Line(mut search) => {
                search.answered(success);
                self.line(search, draw)
            }
            State::Done => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    /// Plays the network whose boundary is the plane of the points at `distance` along the unit vector `normal`, and
    /// returns the search after so many queries with how many were asked.
    fn play(attack: &SignOpt, normal: &[f32], distance: f64, queries: usize) -> (Descent, usize) {
        let draw = |number: u32| Stream::new(5, "sign-opt").draw(7, number);
        let mut search = attack.sequence(vec![0.5; normal.len()]);
        let mut question = search.next(None, &draw);
        for asked in 0..queries {
            let Some(image) = question else { return (search, asked) };
            let far: f64 =
                image.iter().zip(normal).map(|(x, v)| f64::from(*v) * f64::from(x - 0.5)).sum();
            let success = far > distance;
            let answer = Answer { logits: &[], label: 0, target: None, success };
            question = search.next(Some(&answer), &draw);
        }
        (search, queries)
    }

    #[test]
    fn the_direction_turns_to_the_normal_of_a_plane() {
        let raw: Vec<f64> = (0..20).map(|i| f64::from(i) * 0.7).map(|i| i.sin() + 0.1).collect();
        let (normal, _) = unit(&raw);
        let (search, _) = play(&SignOpt::new(), &normal, 0.1, 10_000);
        let cosine: f32 = search.best.direction.iter().zip(&normal).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.999, "{cosine}");
        assert!((search.best.distance - 0.1 / f64::from(cosine)).abs() < 1e-5);
        // The first distance is that of a random direction.
        let (first, _) = play(&SignOpt::new(), &normal, 0.1, 300);
        assert!(first.best.distance > 1.2 * search.best.distance, "{}", first.best.distance);
    }

    /// Directions that are not adversarial cost a query each, and so do those that are at their length and not at the
    /// best distance: the start gives up after them if none is.
    #[test]
    fn without_an_adversarial_direction_the_search_ends() {
        let normal = unit(&[1.0; 20]).0;
        let (search, asked) = play(&SignOpt::new(), &normal, 100.0, 10_000);
        assert!(search.best.distance.is_infinite() && asked == 100, "{asked}");
    }
}
