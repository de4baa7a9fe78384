//! The sampling engine: the network's class counts under noise, for many images at once. A network
//! batch is filled from the queue of jobs in order, so an image that needs few samples shares it with
//! the next ones, a finished one leaves its places at once, and only the last batch of a run is
//! short.
//!
//! Sample s of an image sees noise keyed by (stream, image, s) and by nothing else: its count does
//! not depend on the batch size, the order of images, the threads, or where a run was resumed.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Instant;

use rayon::prelude::*;

use super::noise::Noise;
use crate::error::{Error, Result};
use crate::model::{Classifier, Noisy};
use crate::rng::Stream;
use crate::rows::{self, Rows};

/// Samples to draw of one image.
#[derive(Debug, Clone)]
pub struct Job<'a> {
    /// Index of the image in its data set: the key of its noise.
    pub image: u64,
    /// Its `C * H * W` pixels in [0, 1].
    pub pixels: &'a [f32],
    /// Purpose and seed of the noise. Counts that have to be independent need different streams.
    pub stream: Stream,
    /// Numbers of the samples. A later job of the same stream and image that starts where this one
    /// ends continues it.
    pub samples: Range<u32>,
}

/// What a finished job counted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    /// Index of the image in its data set.
    pub image: u64,
    /// `classes[c]` samples were put in class c.
    pub classes: Vec<u64>,
    /// Share of the job in the wall time of its batches.
    pub seconds: f64,
}

/// Draws samples and counts the network's classes; [`submit`](Self::submit) jobs, then
/// [`step`](Self::step) until nothing is [`pending`](Self::pending).
pub struct Sampler<'a> {
    model: &'a dyn Classifier,
    noise: &'a dyn Noise,
    batch_size: usize,
    queue: VecDeque<Active<'a>>,
}

/// A job on its way; its `samples` are those not drawn yet.
struct Active<'a> {
    job: Job<'a>,
    counts: Counts,
}

impl<'a> Sampler<'a> {
    /// A sampler that gives `model` batches of `batch_size` images.
    ///
    /// # Errors
    /// If `batch_size` is 0.
    pub fn new(model: &'a dyn Classifier, noise: &'a dyn Noise, batch_size: usize) -> Result<Self> {
        if batch_size == 0 {
            return Err(Error::setting(
                "batch size",
                "a batch of 0 images samples nothing",
                "choose 1 or more; larger batches are faster until memory runs out",
            ));
        }
        Ok(Self { model, noise, batch_size, queue: VecDeque::new() })
    }

    /// Appends a job. Jobs finish in the order in which they were submitted.
    ///
    /// # Errors
    /// If the image has not as many pixels as the network's input.
    pub fn submit(&mut self, job: Job<'a>) -> Result<()> {
        let info = self.model.info();
        if job.pixels.len() != info.input_shape.iter().product::<usize>() {
            return Err(Error::setting(
                format!("image {}", job.image),
                format!("has {} values, the input is {:?}", job.pixels.len(), info.input_shape),
                "choose a data set of the network's input shape",
            ));
        }
        let counts = Counts { image: job.image, classes: vec![0; info.classes], seconds: 0.0 };
        self.queue.push_back(Active { job, counts });
        Ok(())
    }

    /// Number of submitted samples that are not drawn yet.
    pub fn pending(&self) -> u64 {
        self.queue.iter().map(|active| active.job.samples.len() as u64).sum()
    }

    /// Number of images per batch.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// The noise.
    pub fn noise(&self) -> &dyn Noise {
        self.noise
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.model.info().classes
    }

    /// What has been counted of the jobs that are not finished, in the order of their submission.
    pub fn under_way(&self) -> impl Iterator<Item = &Counts> {
        self.queue.iter().map(|active| &active.counts)
    }

    /// Whether every submitted job has been returned.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// Runs one batch through the network and returns the jobs that it finished.
    ///
    /// # Errors
    /// If the network fails, returns logits of another shape than `[N, classes]`, or returns NaN.
    pub fn step(&mut self) -> Result<Vec<Counts>> {
        let start = Instant::now();
        let places = self.fill();
        if !places.is_empty() {
            let classes = self.classify(&places)?;
            let share = start.elapsed().as_secs_f64() / places.len() as f64;
            for (place, class) in places.iter().zip(classes) {
                let counts = &mut self.queue[place.active].counts;
                counts.classes[class] += 1;
                counts.seconds += share;
            }
        }
        let done = self.queue.iter().take_while(|active| active.job.samples.is_empty()).count();
        Ok(self.queue.drain(..done).map(|active| active.counts).collect())
    }

    /// Takes the next samples of the queue, at most a batch of them.
    fn fill(&mut self) -> Vec<Location> {
        let mut places = Vec::with_capacity(self.batch_size);
        for (active, Active { job, .. }) in self.queue.iter_mut().enumerate() {
            let room = self.batch_size - places.len();
            if room == 0 {
                break;
            }
            let samples = job.samples.by_ref().take(room);
            places.extend(samples.map(|sample| Location { active, sample }));
        }
        places
    }

    /// The network's class of the noisy image at each place.
    fn classify(&self, places: &[Location]) -> Result<Vec<usize>> {
        if let Some(classes) = self.classify_on_device(places)? {
            return Ok(classes);
        }
        let info = self.model.info();
        let [channels, height, width] = info.input_shape;
        let pixels = channels * height * width;
        let mut noisy = vec![0f32; places.len() * pixels];
        noisy.par_chunks_mut(pixels.max(1)).zip(places).for_each(|(out, place)| {
            let job = &self.queue[place.active].job;
            self.noise.apply(job.pixels, job.stream.draw(job.image, place.sample), out);
        });
        let shape = [places.len(), channels, height, width];
        let noisy = Rows::new(&rows::Location::default(), shape, noisy)?;
        let logits = self.model.logits(&noisy)?;
        if logits.shape() != [places.len(), info.classes] {
            return Err(Error::setting(
                format!("model `{}`", info.name),
                format!(
                    "logits of shape {:?} for {} images of {} classes",
                    logits.shape(),
                    places.len(),
                    info.classes
                ),
                "state the number of classes that the network has",
            ));
        }
        let values = logits.values()?;
        let class = |(row, place): (&[f32], &Location)| argmax(row).ok_or_else(|| self.nan(place));
        values.chunks_exact(info.classes.max(1)).zip(places).map(class).collect()
    }

    /// As [`Sampler::classify`], by a network that adds the noise on its own device; `None` if it or the
    /// noise is not made for that.
    fn classify_on_device(&self, places: &[Location]) -> Result<Option<Vec<usize>>> {
        let (Some(noise), Some(first)) = (self.noise.of_pixels(), places.first()) else {
            return Ok(None);
        };
        let last = places.last().map_or(first.active, |place| place.active);
        let jobs = self.queue.range(first.active..=last).map(|active| &active.job);
        let copy = |place: &Location| {
            let job = &self.queue[place.active].job;
            ((place.active - first.active) as u32, job.stream.draw(job.image, place.sample))
        };
        let noisy = Noisy {
            images: jobs.map(|job| job.pixels).collect(),
            copies: places.iter().map(copy).collect(),
            noise,
        };
        let Some(classes) = self.model.noisy_classes(&noisy)? else { return Ok(None) };
        let class = |(class, place): (&Option<u32>, &Location)| {
            class.map(|class| class as usize).ok_or_else(|| self.nan(place))
        };
        classes.iter().zip(places).map(class).collect::<Result<_>>().map(Some)
    }

    /// The error of a network that returns NaN.
    fn nan(&self, place: &Location) -> Error {
        let image = self.queue[place.active].job.image;
        Error::setting(
            format!("model `{}`", self.model.info().name),
            format!("the logits of image {image} under noise hold NaN"),
            "look for weights that are NaN or so large that f32 overflows",
        )
    }
}

/// One image of a batch: a sample of a job, by its position in the queue.
struct Location {
    active: usize,
    sample: u32,
}

/// Index of the largest logit, the lowest one in a tie; `None` if one is NaN.
pub(super) fn argmax(logits: &[f32]) -> Option<usize> {
    let mut best = 0;
    for (class, logit) in logits.iter().enumerate() {
        if logit.is_nan() {
            return None;
        }
        if *logit > logits[best] {
            best = class;
        }
    }
    Some(best)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::super::linear::Linear;
    use super::super::noise::Gaussian;
    use super::*;

    const NOISE: Gaussian = Gaussian { sigma: 0.5 };

    fn network() -> Linear {
        Linear::new([1, 1, 2], &[1.0, 1.0], -0.5)
    }

    fn job(image: u64, pixels: &[f32], samples: Range<u32>) -> Job<'_> {
        Job { image, pixels, stream: Stream::new(9, "smoothing-estimate"), samples }
    }

    fn run(network: &Linear, batch_size: usize, jobs: Vec<Job<'_>>) -> Result<Vec<Counts>> {
        let mut sampler = Sampler::new(network, &NOISE, batch_size)?;
        for job in jobs {
            sampler.submit(job)?;
        }
        let mut counts = Vec::new();
        while !sampler.is_idle() {
            counts.extend(sampler.step()?);
        }
        Ok(counts)
    }

    #[test]
    fn counts_are_those_of_sampling_one_by_one() {
        let network = network();
        let pixels = [0.25, 0.5];
        let counts = run(&network, 7, vec![job(3, &pixels, 0..50)]).unwrap();
        let mut expected = [0, 0];
        for sample in 0..50 {
            let mut noisy = [0.0; 2];
            let draw = Stream::new(9, "smoothing-estimate").draw(3, sample);
            NOISE.apply(&pixels, draw, &mut noisy);
            expected[usize::from(noisy[0] + noisy[1] - 0.5 < 0.0)] += 1;
        }
        assert_eq!(counts[0].classes, expected);
        assert!(expected.iter().all(|c| *c > 0), "{expected:?} tests little");
    }

    #[test]
    fn a_job_continues_where_another_ended() {
        let network = network();
        let pixels = [0.25, 0.5];
        let whole = run(&network, 16, vec![job(3, &pixels, 0..90)]).unwrap();
        let parts =
            run(&network, 16, vec![job(3, &pixels, 0..40), job(3, &pixels, 40..90)]).unwrap();
        let sum: Vec<u64> =
            parts[0].classes.iter().zip(&parts[1].classes).map(|(a, b)| a + b).collect();
        assert_eq!(sum, whole[0].classes);
    }

    #[test]
    fn short_jobs_leave_their_places_and_finish_in_order() {
        let network = network();
        let pixels = [0.25, 0.5];
        let mut sampler = Sampler::new(&network, &NOISE, 8).unwrap();
        for (image, samples) in [(5, 0..3), (1, 0..0), (2, 0..10), (9, 0..1)] {
            sampler.submit(job(image, &pixels, samples)).unwrap();
        }
        assert_eq!(sampler.pending(), 14);
        let names = |counts: Vec<Counts>| counts.iter().map(|c| c.image).collect::<Vec<_>>();
        assert_eq!(names(sampler.step().unwrap()), [5, 1]);
        assert_eq!(sampler.pending(), 6);
        // A late job still fills the batch.
        sampler.submit(job(4, &pixels, 0..2)).unwrap();
        assert_eq!(names(sampler.step().unwrap()), [2, 9, 4]);
        assert!(sampler.is_idle() && sampler.pending() == 0);
        assert_eq!(network.images.load(Ordering::Relaxed), 16);
        assert_eq!(network.batches.load(Ordering::Relaxed), 2);
        assert!(sampler.step().unwrap().is_empty());
    }

    #[test]
    fn nan_logits_name_the_image() {
        let network = network();
        let (good, bad) = ([0.25, 0.5], [f32::NAN, 0.5]);
        let error = run(&network, 8, vec![job(0, &good, 0..4), job(17, &bad, 0..4)])
            .unwrap_err()
            .to_string();
        assert_eq!(error, "model `linear`: the logits of image 17 under noise hold NaN");
    }

    #[test]
    fn an_image_of_another_size_is_refused() {
        let error = run(&network(), 8, vec![job(2, &[0.5; 3], 0..4)]).unwrap_err().to_string();
        assert_eq!(error, "image 2: has 3 values, the input is [1, 1, 2]");
    }

    #[test]
    fn ties_go_to_the_lowest_class_and_nan_to_none() {
        assert_eq!(argmax(&[1.0, 2.0, 2.0]), Some(1));
        assert_eq!(argmax(&[f32::NEG_INFINITY; 3]), Some(0));
        assert_eq!(argmax(&[0.0, f32::INFINITY, f32::NAN]), None);
        assert_eq!(argmax(&[f32::NAN, 1.0]), None);
    }
}
