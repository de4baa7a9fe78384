//! Numbers of an image in another order, some of them several times, some left out, some constant. Where
//! neighbours stay neighbours, whole runs are copied.

use candle_core::{Device, Tensor};

use crate::error::Result;
use crate::ops::{Real, for_real, with_slice};

/// Where the numbers of an image come from.
#[derive(Debug, PartialEq, Eq)]
pub struct GatherPlan {
    from: usize,
    to: usize,
    runs: Vec<Run>,
}

/// `count` numbers of the output, one behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    source: Source,
    count: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The constant.
    Fill,
    /// Neighbours, from this one on.
    From(usize),
    /// Every one the same.
    Repeat(usize),
}

impl GatherPlan {
    /// Of an image of `from` numbers: for each number of the output the place it is read from, or `None`
    /// for the constant. `None` if a place is beyond the image.
    pub fn new(from: usize, index: impl IntoIterator<Item = Option<usize>>) -> Option<Self> {
        let (mut runs, mut to) = (Vec::<Run>::new(), 0);
        for place in index {
            if place.is_some_and(|place| place >= from) {
                return None;
            }
            to += 1;
            let joined = runs.last_mut().is_some_and(|run| run.join(place));
            if !joined {
                runs.push(Run { source: place.map_or(Source::Fill, Source::From), count: 1 });
            }
        }
        Some(Self { from, to, runs })
    }
}

impl Run {
    /// Makes the run longer by a number that comes from `place`, if it goes on so.
    fn join(&mut self, place: Option<usize>) -> bool {
        match (self.source, place) {
            (Source::Fill, None) => {}
            (Source::From(first), Some(place)) if place == first + self.count => {}
            (Source::From(first), Some(place)) if place == first && self.count == 1 => {
                self.source = Source::Repeat(first);
            }
            (Source::Repeat(first), Some(place)) if place == first => {}
            _ => return false,
        }
        self.count += 1;
        true
    }
}

/// The picked numbers of every image of `x`, a tensor of the shape `dims`.
///
/// # Errors
/// If the shapes do not fit or the tensor is not on the CPU.
pub fn forward(x: &Tensor, plan: &GatherPlan, fill: f64, dims: &[usize]) -> Result<Tensor> {
    for_real!(x, forward_cpu(x, plan, fill, dims))
}

/// Pullback of [`forward`]: a tensor of the shape `dims`, to which the cotangents are added in the order
/// of the outputs.
///
/// # Errors
/// If the shapes do not fit or the tensor is not on the CPU.
pub fn pullback(g: &Tensor, plan: &GatherPlan, dims: &[usize]) -> Result<Tensor> {
    for_real!(g, pullback_cpu(g, plan, dims))
}

fn forward_cpu<T: Real>(
    x: &Tensor,
    plan: &GatherPlan,
    fill: f64,
    dims: &[usize],
) -> Result<Tensor> {
    let fill = T::from_f64(fill);
    let out = with_slice::<T, _>(x, |x| {
        let mut out = Vec::with_capacity(x.len() / plan.from.max(1) * plan.to);
        for image in x.chunks_exact(plan.from.max(1)) {
            for Run { source, count } in &plan.runs {
                match source {
                    Source::Fill => out.resize(out.len() + count, fill),
                    Source::From(first) if *count == 1 => out.push(image[*first]),
                    Source::From(first) => out.extend_from_slice(&image[*first..][..*count]),
                    Source::Repeat(place) => out.resize(out.len() + count, image[*place]),
                }
            }
        }
        Ok(out)
    })?;
    Ok(Tensor::from_vec(out, dims, &Device::Cpu)?)
}

fn pullback_cpu<T: Real>(g: &Tensor, plan: &GatherPlan, dims: &[usize]) -> Result<Tensor> {
    let out = with_slice::<T, _>(g, |g| {
        let mut out = vec![T::zero(); g.len() / plan.to.max(1) * plan.from];
        let images = out.chunks_exact_mut(plan.from.max(1));
        for (image, g) in images.zip(g.chunks_exact(plan.to.max(1))) {
            let mut rest = g;
            for Run { source, count } in &plan.runs {
                let (run, behind) = rest.split_at(*count);
                rest = behind;
                match source {
                    Source::Fill => {}
                    Source::From(first) => {
                        image[*first..][..*count].iter_mut().zip(run).for_each(|(to, g)| *to += *g);
                    }
                    Source::Repeat(place) => run.iter().for_each(|g| image[*place] += *g),
                }
            }
        }
        Ok(out)
    })?;
    Ok(Tensor::from_vec(out, dims, &Device::Cpu)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_repetitions_and_constants_are_found_and_read() {
        let index = [1, 2, 3, 9, 9, 0, 0, 0, 3, 2, 2, 3].map(|i| (i < 9).then_some(i));
        let plan = GatherPlan::new(4, index).unwrap();
        let sources = plan.runs.iter().map(|run| (run.source, run.count));
        let [from, repeat] = [Source::From, Source::Repeat];
        let want = [
            (from(1), 3),
            (Source::Fill, 2),
            (repeat(0), 3),
            (from(3), 1),
            (repeat(2), 2),
            (from(3), 1),
        ];
        assert!(sources.eq(want), "{plan:?}");
        let x = Tensor::arange(0_f32, 8.0, &Device::Cpu).unwrap().reshape((2, 4)).unwrap();
        let y = forward(&x, &plan, 7.5, &[2, 12]).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(y[0], [1.0, 2.0, 3.0, 7.5, 7.5, 0.0, 0.0, 0.0, 3.0, 2.0, 2.0, 3.0]);
        assert_eq!(y[1], [5.0, 6.0, 7.0, 7.5, 7.5, 4.0, 4.0, 4.0, 7.0, 6.0, 6.0, 7.0]);
        let g = Tensor::arange(1_f32, 25.0, &Device::Cpu).unwrap().reshape((2, 12)).unwrap();
        let gx = pullback(&g, &plan, &[2, 4]).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(gx[0], [21.0, 1.0, 23.0, 24.0]);
        assert_eq!(gx[1], [57.0, 13.0, 59.0, 60.0]);
        assert_eq!(GatherPlan::new(4, [Some(4)]), None);
    }
}
