//! Images under way: each is sampled as far as its votes ask for, shares the network's batches with the
//! others, and leaves its places to the next once it is decided. What an image is asked for depends on
//! its own counts alone, so neither batches nor an interruption in its middle change them.

use std::collections::VecDeque;

use candle_core::{DType, Device};

use super::{Counts, Job, Sampler};
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::rng::Stream;

/// What was counted of an image so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    /// Index of the image in its data set.
    pub idx: u64,
    /// The N0 samples, or those of them drawn so far, by class.
    pub selection: Vec<u64>,
    /// The samples that bound the probability of the selected class, by class.
    pub votes: Vec<u64>,
    /// Share of the image in the wall time of its batches.
    pub seconds: f64,
}

impl Tally {
    /// Nothing counted of the image `idx` in `classes` classes.
    pub fn new(idx: u64, classes: usize) -> Self {
        Self { idx, selection: vec![0; classes], votes: vec![0; classes], seconds: 0.0 }
    }

    /// Number of samples in `votes`.
    pub fn drawn(&self) -> u64 {
        self.votes.iter().sum()
    }

    fn selected(&self) -> u64 {
        self.selection.iter().sum()
    }

    fn add(&mut self, part: Part, counts: &Counts) {
        let sum = match part {
            Part::Selection => &mut self.selection,
            Part::Votes => &mut self.votes,
        };
        sum.iter_mut().zip(&counts.classes).for_each(|(sum, count)| *sum += count);
        self.seconds += counts.seconds;
    }
}

/// Keeps the counts of unfinished images, so that another call can go on with them.
pub trait Keeper {
    /// Hands over what was kept of the image `idx`.
    fn take(&mut self, idx: u64) -> Option<Tally>;

    /// Is told after every network batch that there are new counts, which `tallies` collects: those of
    /// all images under way. `last`: the call ends here, unfinished.
    ///
    /// # Errors
    /// If they cannot be kept.
    fn keep(&mut self, tallies: &dyn Fn() -> Vec<Tally>, last: bool) -> Result<()>;
}

/// Keeps nothing: unfinished images begin again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Forget;

impl Keeper for Forget {
    fn take(&mut self, _: u64) -> Option<Tally> {
        None
    }

    fn keep(&mut self, _: &dyn Fn() -> Vec<Tally>, _: bool) -> Result<()> {
        Ok(())
    }
}

/// What is sampled of every image.
pub(super) struct SamplingPlan<'p> {
    /// Noise and number of the samples that select the class.
    pub(super) selection: (Stream, u64),
    /// Noise of the others. The two counts must be independent: the class was chosen by looking at the
    /// first.
    pub(super) votes: Stream,
    /// The number of votes up to which an image is sampled next, at least as many as it has; `None` once
    /// it is decided. Asked when the selection is complete, or nothing is counted yet.
    pub(super) next: &'p dyn Fn(&Tally) -> Option<u64>,
}

/// Samples every image of `batch` as `plan` says, and calls `done` with its position and its counts, in
/// order.
pub(super) fn sample_batch(
    sampler: Sampler<'_>,
    batch: &Batch,
    plan: &SamplingPlan<'_>,
    keeper: &mut dyn Keeper,
    stop: &dyn Fn() -> bool,
    done: &mut dyn FnMut(usize, Tally) -> Result<()>,
) -> Result<()> {
    let images = batch.images.to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
    let images = images.flatten_all()?.to_vec1::<f32>()?;
    let length = (images.len() / batch.len().max(1)).max(1);
    let mut waiting = batch.ids.iter().zip(images.chunks_exact(length));
    let mut engine =
        Engine { plan, sampler, active: VecDeque::new(), handed: 0, asked: VecDeque::new() };
    loop {
        // Enough for the next batch is enough: every image under way holds a count per class.
        while engine.sampler.pending() < engine.sampler.batch_size() as u64
            && let Some((idx, pixels)) = waiting.next()
        {
            engine.admit(pixels, *idx, keeper.take(*idx))?;
        }
        while engine.active.front().is_some_and(|image| image.decided)
            && let Some(image) = engine.active.pop_front()
        {
            done(engine.handed, image.tally)?;
            engine.handed += 1;
        }
        if engine.active.is_empty() && waiting.len() == 0 {
            return Ok(());
        }
        if stop() {
            keeper.keep(&|| engine.tallies(), true)?;
            return Err(Error::Interrupted);
        }
        engine.step()?;
        keeper.keep(&|| engine.tallies(), false)?;
    }
}

struct Engine<'a, 'p> {
    plan: &'p SamplingPlan<'p>,
    sampler: Sampler<'a>,
    /// Images under way and decided ones behind them, in order.
    active: VecDeque<Active<'a>>,
    /// Position of the first of them in the batch.
    handed: usize,
    /// The sampler's jobs in its order: position of the image, and what the counts are for.
    asked: VecDeque<(usize, Part)>,
}

struct Active<'a> {
    pixels: &'a [f32],
    tally: Tally,
    decided: bool,
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Selection,
    Votes,
}

impl<'a> Engine<'a, '_> {
    /// Begins with an image, or goes on with it where it was left.
    fn admit(&mut self, pixels: &'a [f32], idx: u64, kept: Option<Tally>) -> Result<()> {
        if let Some(problem) = self.sampler.noise().refuses(pixels) {
            return Err(Error::setting(
                format!("image {idx}"),
                problem,
                "choose images that the noise was made for, or another noise",
            ));
        }
        let (classes, (_, n0)) = (self.sampler.classes(), self.plan.selection);
        let tally = kept.unwrap_or_else(|| Tally::new(idx, classes));
        let selected = tally.selected();
        let fits = tally.selection.len() == classes && tally.votes.len() == classes;
        if !fits || selected > n0 || (selected < n0 && tally.drawn() > 0) {
            return Err(Error::setting(
                format!("image {idx}"),
                "its kept counts are not those of an interrupted run with these settings",
                "delete the file of counts beside the table: the image begins again",
            ));
        }
        let position = self.handed + self.active.len();
        self.active.push_back(Active { pixels, tally, decided: false });
        self.submit(position, Part::Selection, selected..n0)?;
        self.go_on(position)
    }

    /// Asks for the votes that an image needs next, if any.
    fn go_on(&mut self, position: usize) -> Result<()> {
        let image = &mut self.active[position - self.handed];
        let drawn = image.tally.drawn();
        match (self.plan.next)(&image.tally) {
            Some(until) => self.submit(position, Part::Votes, drawn..until),
            None => {
                image.decided = true;
                Ok(())
            }
        }
    }

    fn submit(&mut self, position: usize, part: Part, samples: std::ops::Range<u64>) -> Result<()> {
        if samples.is_empty() {
            return Ok(());
        }
        let Active { pixels, tally, .. } = &self.active[position - self.handed];
        let stream = match part {
            Part::Selection => self.plan.selection.0,
            Part::Votes => self.plan.votes,
        };
        // Sample numbers are 32-bit words; settings beyond are refused.
        let samples = samples.start as u32..samples.end as u32;
        self.sampler.submit(Job { image: tally.idx, pixels, stream, samples })?;
        self.asked.push_back((position, part));
        Ok(())
    }

    /// One network batch.
    fn step(&mut self) -> Result<()> {
        for counts in self.sampler.step()? {
            let Some((position, part)) = self.asked.pop_front() else { break };
            self.active[position - self.handed].tally.add(part, &counts);
            if matches!(part, Part::Votes) {
                self.go_on(position)?;
            }
        }
        Ok(())
    }

    /// The counts of all images under way, to the last sample.
    fn tallies(&self) -> Vec<Tally> {
        let mut tallies: Vec<Tally> = self.active.iter().map(|image| image.tally.clone()).collect();
        for ((position, part), counts) in self.asked.iter().zip(self.sampler.under_way()) {
            tallies[position - self.handed].add(*part, counts);
        }
        tallies
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeMap;
    use std::sync::atomic::Ordering;

    use candle_core::Tensor;

    use super::super::linear::Linear;
    use super::super::noise::Gaussian;
    use super::*;

    /// Keeps the counts of the last moment, in memory.
    #[derive(Default)]
    struct Memory(BTreeMap<u64, Tally>);

    impl Keeper for Memory {
        fn take(&mut self, idx: u64) -> Option<Tally> {
            self.0.remove(&idx)
        }

        fn keep(&mut self, tallies: &dyn Fn() -> Vec<Tally>, last: bool) -> Result<()> {
            if last {
                self.0.extend(tallies().into_iter().map(|tally| (tally.idx, tally)));
            }
            Ok(())
        }
    }

    const NOISE: Gaussian = Gaussian { sigma: 0.5 };

    fn batch() -> Batch {
        let pixels: Vec<f32> = (0..6).flat_map(|i| [i as f32 / 8.0, 0.25]).collect();
        let images = Tensor::from_vec(pixels, (6, 1, 1, 2), &Device::Cpu).unwrap();
        Batch { ids: vec![3, 1, 4, 15, 9, 2], images, labels: vec![0; 6] }
    }

    /// 30 samples select; then as many votes as make the winner lead by 20, in looks of 25, at most 300.
    fn next(tally: &Tally) -> Option<u64> {
        let [a, b] = tally.votes[..] else { return None };
        let look = (a + b) / 25 * 25;
        let open = look < a + b || (look < 300 && a.abs_diff(b) < 20);
        open.then_some(look + 25)
    }

    fn network() -> Linear {
        Linear::new([1, 1, 2], &[1.0, 1.0], -0.5)
    }

    /// At most `batches` batches of `batch_size`, going on behind what is `finished`.
    fn run(
        network: &Linear,
        keeper: &mut dyn Keeper,
        (batch_size, batches): (usize, usize),
        finished: &mut Vec<Tally>,
    ) -> Result<()> {
        let sampler = Sampler::new(network, &NOISE, batch_size)?;
        let plan = SamplingPlan {
            selection: (Stream::new(5, "smoothing-select"), 30),
            votes: Stream::new(5, "smoothing-estimate"),
            next: &next,
        };
        let asked = Cell::new(0);
        let stop = || asked.replace(asked.get() + 1) >= batches;
        let before = finished.len();
        let all = batch();
        let rest = Batch {
            ids: all.ids[before..].to_vec(),
            images: all.images.narrow(0, before, 6 - before)?,
            labels: all.labels[before..].to_vec(),
        };
        sample_batch(sampler, &rest, &plan, keeper, &stop, &mut |_, tally| {
            finished.push(Tally { seconds: 0.0, ..tally });
            Ok(())
        })
    }

    #[test]
    fn images_take_what_they_need_whatever_the_batches() {
        let mut whole = Vec::new();
        run(&network(), &mut Forget, (64, usize::MAX), &mut whole).unwrap();
        assert_eq!(whole.iter().map(|tally| tally.idx).collect::<Vec<_>>(), batch().ids);
        let drawn: Vec<u64> = whole.iter().map(Tally::drawn).collect();
        assert!(drawn.iter().all(|n| n.is_multiple_of(25)) && drawn.iter().max() > Some(&100));
        assert!(drawn.iter().min() < Some(&100), "{drawn:?} tests little");
        for batch_size in [1, 7, 1000] {
            let mut other = Vec::new();
            run(&network(), &mut Forget, (batch_size, usize::MAX), &mut other).unwrap();
            assert_eq!(other, whole, "{batch_size}");
        }
    }

    /// Stopped after any number of batches, again and again, also inside the selection and between looks.
    #[test]
    fn an_interruption_loses_no_sample() {
        let mut whole = Vec::new();
        run(&network(), &mut Forget, (64, usize::MAX), &mut whole).unwrap();
        for at_most in [(7, 1), (7, 3), (40, 2), (64, 5)] {
            let (network, mut memory) = (network(), Memory::default());
            let (mut finished, mut calls) = (Vec::new(), 1);
            while run(&network, &mut memory, at_most, &mut finished).is_err() {
                calls += 1;
                assert!(calls < 1000);
            }
            assert!(calls > 2, "{at_most:?} tests little");
            assert_eq!(finished, whole, "{at_most:?}");
            let samples: u64 = whole.iter().map(|tally| 30 + tally.drawn()).sum();
            assert_eq!(network.images.load(Ordering::Relaxed), samples as usize, "{at_most:?}");
        }
    }

    #[test]
    fn counts_of_other_settings_are_refused() {
        let kept = |selection: [u64; 2], votes: [u64; 2]| Tally {
            idx: 3,
            selection: selection.to_vec(),
            votes: votes.to_vec(),
            seconds: 0.0,
        };
        for bad in [kept([31, 0], [0, 0]), kept([29, 0], [1, 0]), Tally::new(3, 3)] {
            let mut memory = Memory(BTreeMap::from([(3, bad)]));
            let error = run(&network(), &mut memory, (8, usize::MAX), &mut Vec::new()).unwrap_err();
            assert!(
                matches!(&error, Error::Setting { field, .. } if field == "image 3"),
                "{error}"
            );
        }
    }
}
