//! L0-RS, the L0 attack of Sparse-RS (Croce et al., AAAI 2022, section 4): random search over which units of the image
//! are changed and to which corners of the box. A query exchanges some of the changed units for others, and the
//! exchange stays if the loss improves. A unit is one value here, the feature space of the published code; a pixel is
//! a unit of several values ([`SparseRs::sequence`]).
//!
//! Unlike there, no unit gets the corner that its clean value already is in, in exchanges of several units too: such a
//! unit would count as changed and change nothing, which on black and white images is every other one.

use super::{Answer, QuerySequence, ask, clean};
use crate::attack::gradient::ball;
use crate::attack::{Attack, Entry, HyperParameters, Search, Threats};
use crate::error::Result;
use crate::loss::Loss;
use crate::parameters::{Parameters, documented};
use crate::rng::Draw;
use crate::threat::{Norm, Threat};

pub(in crate::attack) const SPARSE_RS: Entry = Entry {
    name: "sparse-rs",
    about: "black box: random search over which values go to an end of the box (Croce et al. 2022)",
    threats: Threats::Balls(&[Norm::L0]),
    is_control: false,
    fields: &[SparseRs::FIELDS],
    build: |parameters, threat| SparseRs::new(ball(threat).1).build(parameters),
};

documented! {
    /// `sparse-rs`: L0-RS of Sparse-RS (Croce et al., AAAI 2022, section 4), random search without gradients.
    #[derive(Debug, Clone, PartialEq)]
    pub struct SparseRs {
        /// How many values may change, a whole number.
        pub eps: f32,
        /// Queries of an image, at least 1.
        pub queries: usize,
        /// Share of the changed values that is exchanged at first, above 0; it falls on the paper's schedule.
        pub alpha_init: f64,
    }
}

impl SparseRs {
    /// The paper's values for untargeted attacks. For targeted ones it has 100,000 queries and `alpha_init` 0.1.
    pub fn new(eps: f32) -> Self {
        Self { eps, queries: 10_000, alpha_init: 0.3 }
    }
}

impl HyperParameters for SparseRs {
    fn entry(&self) -> &'static Entry {
        &SPARSE_RS
    }

    fn threat(&self) -> Threat {
        Threat::ball(Norm::L0, self.eps)
    }

    fn build(mut self, parameters: &mut Parameters) -> Result<Box<dyn Attack>> {
        self.queries = parameters.count("queries", self.queries)?;
        self.alpha_init = parameters.positive("alpha_init", self.alpha_init)?;
        Ok(Box::new(self))
    }
}

impl Attack for SparseRs {
    fn most_passes(&self, _: [usize; 3], _: usize) -> Option<f64> {
        Some(self.queries as f64)
    }

    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let sequences = clean(search)?.into_iter().map(|x0| self.sequence(x0, 1)).collect();
        ask(search, sequences, self.queries)
    }
}

impl SparseRs {
    /// The sequence of the image `x0`, of which `eps` units of `values` values change: `values` is 1 for features, and
    /// the number of channels for pixels of an image `[C, H, W]`.
    fn sequence(&self, x0: Vec<f32>, values: usize) -> Exchange {
        let units = x0.len() / values.max(1);
        Exchange {
            attack: self.clone(),
            values,
            order: (0..units).collect(),
            changed: (f64::from(self.eps).floor() as usize).min(units),
            x: x0.clone(),
            x0,
            best: f32::NEG_INFINITY,
            query: 0,
            asked: None,
        }
    }

    /// How many of `changed` units query number `query` exchanges.
    fn exchanged(&self, query: usize, changed: usize) -> usize {
        let share = self.alpha_init / divisor(query, self.queries);
        ((share * changed as f64) as usize).clamp(1, changed.max(1))
    }
}

/// What the share of exchanged units is divided by at this query, on the paper's schedule for 10,000 queries.
fn divisor(query: usize, queries: usize) -> f64 {
    const AFTER: [usize; 9] = [0, 50, 200, 500, 1000, 2000, 4000, 6000, 8000];
    const DIVISORS: [f64; 10] = [1.0, 2.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0];
    let scaled = query.saturating_mul(10_000) / queries.max(1);
    DIVISORS[AFTER.iter().filter(|after| scaled > **after).count()]
}

/// How often a corner that changes nothing is drawn again.
const REDRAWS: usize = 16;

/// The sequence of an image.
#[derive(Clone)]
struct Exchange {
    attack: SparseRs,
    x0: Vec<f32>,
    /// Of a unit.
    values: usize,
    /// All units, those that are changed first.
    order: Vec<usize>,
    changed: usize,
    x: Vec<f32>,
    /// The loss at `x`.
    best: f32,
    query: usize,
    asked: Option<Asked>,
}

/// What was asked last: `x` with these values, and so many units of the front of the order exchanged for those that
/// follow the changed ones.
#[derive(Clone)]
struct Asked {
    values: Vec<(usize, f32)>,
    exchanged: usize,
}

impl Exchange {
    /// Moves `count` random units of a part of the order to its front, each set of them alike; draws `count` numbers
    /// from `element` on.
    fn pick(&mut self, part: std::ops::Range<usize>, count: usize, draw: Draw, element: usize) {
        for i in 0..count.min(part.len()) {
            let other = draw.below((element + i) as u32, part.len() - i);
            self.order.swap(part.start + i, part.start + i + other);
        }
    }

    /// Where the values of a unit are in the image.
    fn places(&self, unit: usize) -> impl Iterator<Item = usize> + use<> {
        let units = self.order.len();
        (0..self.values).map(move |value| unit + value * units)
    }

    /// A corner of the box for a unit, which is another one than it has in `from`; its numbers begin at `element`.
    fn corner(&self, unit: usize, from: &[f32], draw: Draw, element: usize) -> Vec<(usize, f32)> {
        let mut corner = Vec::with_capacity(self.values);
        for attempt in 0..REDRAWS {
            let first = element + attempt * self.values;
            let end = |number: usize| draw.below((first + number) as u32, 2) as f32;
            corner = self.places(unit).enumerate().map(|(i, place)| (place, end(i))).collect();
            if corner.iter().any(|(place, value)| from[*place] != *value) {
                break;
            }
        }
        corner
    }

    /// The first image: random units at random corners.
    fn first(&mut self, draw: Draw) -> Asked {
        let (units, changed) = (self.order.len(), self.changed);
        self.pick(0..units, changed, draw, 0);
        let values = self.corners(0..changed, false, draw, changed);
        Asked { values, exchanged: 0 }
    }

    /// Some changed units go back to what they were, and as many others change.
    fn exchange(&mut self, draw: Draw) -> Asked {
        let (units, changed) = (self.order.len(), self.changed);
        let count = self.attack.exchanged(self.query, changed);
        self.pick(0..changed, count, draw, 0);
        // Where every unit may change there is none to exchange them for, and they change again.
        if changed == units {
            let values = self.corners(0..count, true, draw, count);
            return Asked { values, exchanged: 0 };
        }
        let count = count.min(units - changed);
        self.pick(changed..units, count, draw, count);
        let mut values = self.corners(changed..changed + count, false, draw, 2 * count);
        let back = self.order[..count].iter().flat_map(|unit| self.places(*unit));
        values.extend(back.map(|place| (place, self.x0[place])));
        Asked { values, exchanged: count }
    }

    /// Corners for the units of a part of the order, which they do not have in the clean image, or not have `now`.
    fn corners(
        &self,
        part: std::ops::Range<usize>,
        now: bool,
        draw: Draw,
        element: usize,
    ) -> Vec<(usize, f32)> {
        let from = if now { &self.x } else { &self.x0 };
        let element = |number: usize| element + number * REDRAWS * self.values;
        let units = self.order[part].iter().enumerate();
        units.flat_map(|(i, unit)| self.corner(*unit, from, draw, element(i))).collect()
    }

    fn keep(&mut self, asked: &Asked) {
        for (place, value) in &asked.values {
            self.x[*place] = *value;
        }
        for i in 0..asked.exchanged {
            self.order.swap(i, self.changed + i);
        }
    }
}

impl QuerySequence for Exchange {
    fn next(
        &mut self,
        answer: Option<&Answer<'_>>,
        draw: &dyn Fn(u32) -> Draw,
    ) -> Option<Vec<f32>> {
        if self.changed == 0 {
            return None;
        }
        if let (Some(answer), Some(asked)) = (answer, self.asked.take()) {
            // With a target the paper uses the cross-entropy, which also sees the other logits.
            let targeted = answer.target.is_some();
            let loss = answer.loss(if targeted { Loss::CrossEntropy } else { Loss::Margin });
            if loss > self.best {
                self.best = loss;
                self.keep(&asked);
            }
        }
        let numbers = draw(self.query as u32);
        let asked = if self.query == 0 { self.first(numbers) } else { self.exchange(numbers) };
        self.query += 1;
        let mut image = self.x.clone();
        for (place, value) in &asked.values {
            image[*place] = *value;
        }
        self.asked = Some(asked);
        Some(image)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device::Cpu, Tensor};

    use super::*;
    use crate::attack::tests::{linear, run};
    use crate::data::Batch;
    use crate::rng::Stream;

    /// Slopes and an image of 24 values, some of which are at the ends of the box, and what each value gains there: the
    /// logits' difference falls by so much at most, in falling order.
    fn network() -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let w: Vec<f32> = (0..24).map(|i| (i as f32 * 1.3).sin()).collect();
        let x0: Vec<f32> =
            (0..24).map(|i| (0.5 + 0.7 * (i as f32 * 0.6).sin()).clamp(0.0, 1.0)).collect();
        let gain = |(w, x): (&f32, &f32)| if *w > 0.0 { w * x } else { w * (x - 1.0) };
        let mut gains: Vec<f32> = w.iter().zip(&x0).map(gain).collect();
        gains.sort_by(|a, b| b.total_cmp(a));
        (w, x0, gains)
    }

    /// The best values, one for one, and not one less: an exchange of one value for a better one exists from everywhere.
    #[test]
    fn the_fewest_values_of_a_linear_network_are_found() {
        let (w, x0, gains) = network();
        let start: f32 = w.iter().zip(&x0).map(|(w, x)| w * x).sum();
        for fewest in [1, 2, 5, 9] {
            let all: f32 = gains[..fewest].iter().sum();
            // The last value is needed for half of what it can do.
            let model = linear(&w, all - 0.5 * gains[fewest - 1] - start, [2, 3, 4]);
            let images = Tensor::from_vec(x0.clone(), (1, 2, 3, 4), &Cpu).unwrap();
            let batch = Batch { ids: vec![3], images, labels: vec![0] };
            let found = |eps: usize| {
                let given = [("queries", "3000")];
                let ball = Threat::ball(Norm::L0, eps as f32);
                run("sparse-rs", &given, ball, &model, &batch).remove(0)
            };
            let o = found(fewest);
            assert!(o.found && o.distance == fewest as f64, "{fewest}: {}", o.distance);
            let less = found(fewest - 1);
            assert!(!less.found, "{fewest}");
            assert_eq!(less.forwards, if fewest == 1 { 0 } else { 3000 }, "{fewest}");
        }
    }

    /// Where all values may change, their corners are searched.
    #[test]
    fn every_value_may_change() {
        let (w, x0, gains) = network();
        let start: f32 = w.iter().zip(&x0).map(|(w, x)| w * x).sum();
        let all: f32 = gains.iter().sum();
        let images = Tensor::from_vec(x0, (1, 2, 3, 4), &Cpu).unwrap();
        let batch = Batch { ids: vec![3], images, labels: vec![0] };
        for (share, breaks) in [(0.995, true), (1.005, false)] {
            let model = linear(&w, share * all - start, [2, 3, 4]);
            let ball = Threat::ball(Norm::L0, 100.0);
            let o = &run("sparse-rs", &[("queries", "3000")], ball, &model, &batch)[0];
            assert_eq!(o.found, breaks, "{share}");
        }
    }

    /// Every query is about another image than the best one, in which so many units are in another corner than in the
    /// clean one; a unit of three values has the values of one pixel.
    #[test]
    fn so_many_units_are_changed_and_every_one_is() {
        let draw = |number: u32| Stream::new(2, "sparse-rs").draw(8, number);
        for values in [1, 3] {
            // Black and white.
            let x0: Vec<f32> = (0..48).map(|i| (i / 5 % 2) as f32).collect();
            let attack = SparseRs { queries: 400, ..SparseRs::new(7.0) };
            let mut sequence = attack.sequence(x0.clone(), values);
            let mut asked = false;
            for query in 0..400 {
                // Some are better than all before, and are kept.
                let logits = [0.0, if query % 3 == 0 { query as f32 } else { -1.0 }];
                let answer = Answer { logits: &logits, label: 0, target: None, success: false };
                let answer = asked.then_some(&answer);
                let image = sequence.next(answer, &draw).unwrap();
                let units = 48 / values;
                let changed: Vec<usize> = (0..units)
                    .filter(|u| (0..values).any(|c| image[u + c * units] != x0[u + c * units]))
                    .collect();
                assert_eq!(changed.len(), 7, "{values} {query}");
                assert_ne!(image, sequence.x, "{values} {query}");
                asked = true;
            }
        }
    }

    /// The shares of the published schedule, rescaled to the budget.
    #[test]
    fn fewer_units_are_exchanged_later() {
        let attack = SparseRs { queries: 1000, ..SparseRs::new(200.0) };
        let counts = [0, 1, 5, 6, 20, 21, 51, 101, 201, 401, 601, 801, 999]
            .map(|query| attack.exchanged(query, 200));
        assert_eq!(counts, [60, 30, 30, 15, 15, 12, 10, 7, 6, 5, 4, 3, 3]);
        assert_eq!(attack.exchanged(900, 5), 1);
    }
}
