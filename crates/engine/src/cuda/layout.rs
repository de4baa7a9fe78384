//! Where the values of a program lie in one block of memory. All sizes are known beforehand, so
//! nothing is allocated while a network runs: values, cotangents and what pullbacks need get places that
//! they leave to others when nothing reads them any more.

use crate::device::Precision;
use crate::nn::{Keeps, Program, Shape, Value};

/// Places are multiples of this, in words: 128 bytes for each image.
const ALIGNMENT: usize = 32;

/// What the numbers of a value are stored as, and those of its cotangent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Number {
    F32,
    Bf16,
}

impl Number {
    /// What they are in a network of this precision: in bf16 it has its images, and vectors in f32.
    pub(super) fn of(shape: Shape, precision: Precision) -> Self {
        match (shape, precision) {
            (Shape::Image { .. }, Precision::Bf16) => Self::Bf16,
            _ => Self::F32,
        }
    }

    pub(super) fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }
}

/// First word of a place, for a batch of one; a batch of n has n times that.
pub(super) type Offset = usize;

/// A plan of the memory for a forward pass, with or without a pullback behind it.
#[derive(Debug)]
pub(super) struct Layout {
    /// Where each value is.
    pub(super) values: Vec<Offset>,
    /// Where each step keeps its bits, origins or scores.
    pub(super) kept: Vec<Offset>,
    /// Where the cotangent of each value is.
    pub(super) cotangents: Vec<Offset>,
    /// Words for one image.
    pub(super) words: usize,
}

/// Something that lies in memory from one moment to another, both included.
struct Tenant {
    words: usize,
    from: usize,
    to: usize,
}

/// Bytes in words.
pub(super) fn words_of(bytes: usize) -> usize {
    bytes.div_ceil(4)
}

impl Layout {
    /// The plan for values that are stored as `numbers` and steps that keep `keeps`; `pullback` tells whether
    /// there is one.
    pub(super) fn new(
        program: &Program,
        keeps: &[Keeps],
        numbers: &[Number],
        pullback: bool,
    ) -> Self {
        let shapes = program.shapes();
        let words = |value: Value| words_of(shapes[value].len() * numbers[value].bytes());
        let (values, steps) = (shapes.len(), keeps.len());
        // Moments: step i runs at i + 1, the logits are read and the cotangent written at the turn, and
        // the pullback of step i runs at `back(i)`. What pullbacks need stays to the end: there may be
        // several of one forward pass.
        let turn = steps + 1;
        let back = |step: usize| 2 * turn - (step + 1);
        let end = 2 * turn;
        let mut tenants = Vec::new();
        let mut last = vec![0; values];
        let mut first_back = vec![end; values];
        let mut made = vec![end; values];
        last[program.output()] = turn;
        first_back[program.output()] = turn;
        for (i, (step, keeps)) in program.steps().iter().zip(keeps).enumerate() {
            made[i + 1] = back(i);
            for value in &step.inputs {
                let stays = pullback && matches!(keeps, Keeps::Inputs | Keeps::Scores(_));
                last[*value] = last[*value].max(if stays { end } else { i + 1 });
                first_back[*value] = first_back[*value].min(back(i));
            }
        }
        // Value i + 1 is made by step i, at the moment i + 1.
        for (value, read) in last.into_iter().enumerate() {
            tenants.push(Tenant { words: words(value), from: value, to: read.max(value) });
        }
        for (i, keeps) in keeps.iter().enumerate() {
            let elements = shapes[i + 1].len();
            let words = match *keeps {
                // A batch has its bits in one row: an image's own may begin inside a byte.
                Keeps::Bits if pullback => words_of(elements.div_ceil(8)),
                Keeps::Origins if pullback => words_of(elements),
                // Needed for the forward pass alone, too.
                Keeps::Scores(numbers) => numbers,
                _ => 0,
            };
            tenants.push(Tenant { words, from: i + 1, to: if pullback { end } else { i + 1 } });
        }
        if pullback {
            for value in 0..values {
                let (from, to) = (first_back[value], made[value]);
                tenants.push(Tenant { words: words(value), from, to });
            }
        }
        let (places, words) = arrange(&tenants);
        let part = |from: usize, count: usize| {
            places.get(from..from + count).map_or_else(Vec::new, <[Offset]>::to_vec)
        };
        Self {
            values: part(0, values),
            kept: part(values, steps),
            cotangents: part(values + steps, values),
            words,
        }
    }
}

/// A place for every tenant, and how many words there are in all: the largest first, each as far in front
/// as those allow that are there at the same time.
fn arrange(tenants: &[Tenant]) -> (Vec<Offset>, usize) {
    let round = |words: usize| words.div_ceil(ALIGNMENT) * ALIGNMENT;
    let mut order: Vec<usize> = (0..tenants.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(tenants[*i].words));
    let mut places = vec![0; tenants.len()];
    let mut settled: Vec<usize> = Vec::new();
    let mut total = 0;
    for i in order {
        let one = &tenants[i];
        let mut taken: Vec<(Offset, Offset)> = settled
            .iter()
            .filter(|j| tenants[**j].from <= one.to && one.from <= tenants[**j].to)
            .map(|j| (places[*j], places[*j] + round(tenants[*j].words)))
            .collect();
        taken.sort_unstable();
        let mut place = 0;
        for (from, to) in taken {
            if place + round(one.words) <= from {
                break;
            }
            place = place.max(to);
        }
        places[i] = place;
        total = total.max(place + round(one.words));
        settled.push(i);
    }
    (places, total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_of_the_same_time_have_places_of_their_own() {
        let mut tenants = Vec::new();
        for i in 0..60_usize {
            let from = i * 7 % 40;
            tenants.push(Tenant { words: 1 + i * 37 % 200, from, to: from + i % 9 });
        }
        let (places, words) = arrange(&tenants);
        for (i, a) in tenants.iter().enumerate() {
            assert!(places[i] + a.words <= words && places[i] % ALIGNMENT == 0);
            for (j, b) in tenants.iter().enumerate().skip(i + 1) {
                let together = a.from <= b.to && b.from <= a.to;
                let apart = places[i] + a.words <= places[j] || places[j] + b.words <= places[i];
                assert!(apart || !together, "{i} and {j}");
            }
        }
        assert!(words < tenants.iter().map(|t| t.words + ALIGNMENT).sum::<usize>() / 2);
    }
}
