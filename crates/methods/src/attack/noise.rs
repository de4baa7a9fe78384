//! The random numbers of a search, from either source: every image's own, or one sequence for the
//! whole batch as PyTorch draws it. An attack that asks for them as a batch runs on both.

use super::{Request, Search};
use crate::error::Result;
use crate::rng::{Draw, Randomness, Stream, Torch};
use crate::rows::{Argument, Kernel, Rows, map_to};

/// The sources of one call of one attack on one batch.
pub(super) struct Noise {
    seed: u64,
    stream: Stream,
    torch: Option<Torch>,
}

impl Noise {
    pub(super) fn new(purpose: &str, request: &Request) -> Self {
        Self {
            seed: request.seed,
            stream: Stream::new(request.seed, purpose),
            torch: match request.randomness {
                Randomness::PerImage => None,
                Randomness::Torch => Some(Torch::new(request.seed)),
            },
        }
    }

    /// The sources of a part of an ensemble on one batch: those it would have alone.
    pub(super) fn part(&self, purpose: &str) -> Self {
        Self {
            seed: self.seed,
            stream: Stream::new(self.seed, purpose),
            torch: self.torch.is_some().then(|| Torch::new(self.seed)),
        }
    }
}

impl Search<'_> {
    /// Draw number `draw` of the image in row `row`, in restart `restart`; per image whatever the
    /// source of the batch draws below.
    pub fn draw(&self, row: usize, restart: u32, draw: u32) -> Draw {
        self.noise.stream.restart(restart).draw(self.active.ids[row], draw)
    }

    /// The key of restart `restart`, for kernels that draw themselves.
    pub(super) fn key(&self, restart: u32) -> [u32; 2] {
        self.noise.stream.restart(restart).key()
    }

    /// Where the batch draws below come from.
    pub fn randomness(&self) -> Randomness {
        if self.noise.torch.is_some() { Randomness::Torch } else { Randomness::PerImage }
    }

    /// Uniform numbers in [0, 1) for the active rows, `[N, shape...]`: draw number `draw` of every
    /// image in restart `restart`, or the next `torch.rand` of that shape.
    ///
    /// # Errors
    /// If the device fails.
    pub fn uniform_batch(&mut self, restart: u32, draw: u32, shape: &[usize]) -> Result<Rows> {
        self.batch("uniform_rows", restart, draw, shape, Torch::uniform, Draw::uniform)
    }

    /// Standard normal numbers for the active rows, `[N, shape...]`: draw number `draw` of every
    /// image in restart `restart`, or the next `torch.randn` of that shape.
    ///
    /// # Errors
    /// If the device fails.
    pub fn normal_batch(&mut self, restart: u32, draw: u32, shape: &[usize]) -> Result<Rows> {
        self.batch("normal_rows", restart, draw, shape, Torch::normal, Draw::normal)
    }

    /// Leaves out a draw that the published attack makes and does not use: the next `torch.randn`
    /// of the shape `[N, shape...]` is passed over.
    pub fn skip_normal_batch(&mut self, shape: &[usize]) {
        let numbers = self.len() * shape.iter().product::<usize>();
        if let Some(torch) = &mut self.noise.torch {
            torch.normal(&mut vec![0.0; numbers]);
        }
    }

    /// `count` uniform numbers in [0, 1) for each active row, `[N, count]`, where the published
    /// attack draws once for the whole batch: draw number `draw` of every image in restart
    /// `restart`, or the next `torch.rand(count)` in every row.
    ///
    /// # Errors
    /// If the device fails.
    pub fn uniform_shared(&mut self, restart: u32, draw: u32, count: usize) -> Result<Rows> {
        let Some(torch) = &mut self.noise.torch else {
            return self.uniform_batch(restart, draw, &[count]);
        };
        let mut one = vec![0.0; count];
        torch.uniform(&mut one);
        Rows::new(self.location(), [self.len(), count], one.repeat(self.len()))
    }

    fn batch(
        &mut self,
        kernel: &'static str,
        restart: u32,
        draw: u32,
        shape: &[usize],
        torch_draw: fn(&mut Torch, &mut [f32]),
        image_draw: fn(Draw, &mut [f32]),
    ) -> Result<Rows> {
        let len = self.len() * shape.iter().product::<usize>();
        if let Some(torch) = &mut self.noise.torch {
            let mut out = vec![0.0_f32; len];
            torch_draw(torch, &mut out);
            return Rows::new(self.location(), [&[self.len()], shape].concat(), out);
        }
        self.of_images(kernel, restart, draw, shape, image_draw)
    }

    /// [`Search::uniform_batch`] of every image's own numbers, whatever the source.
    ///
    /// # Errors
    /// If the device fails.
    pub fn uniform_of_images(&self, restart: u32, draw: u32, shape: &[usize]) -> Result<Rows> {
        self.of_images("uniform_rows", restart, draw, shape, Draw::uniform)
    }

    fn of_images(
        &self,
        kernel: &'static str,
        restart: u32,
        draw: u32,
        shape: &[usize],
        image_draw: fn(Draw, &mut [f32]),
    ) -> Result<Rows> {
        let [key0, key1] = self.key(restart);
        let arguments = [draw, key0, key1].map(Argument::from).to_vec();
        map_to(Kernel::new(kernel, arguments), shape, [self.id_words()], |row, _, out| {
            image_draw(self.draw(row, restart, draw), out);
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::attack::Objective;
    use crate::attack::tests::on_test_device;
    use crate::model::{Classifier as _, FrozenNetwork, ModelInfo};
    use crate::nn::{Linear, flatten, seq};
    use crate::threat::{Norm, Threat};

    fn network() -> FrozenNetwork {
        let info = ModelInfo::new("test", [1, 2, 3], 2);
        let weight = Tensor::ones((2, 6), candle_core::DType::F32, &Device::Cpu).unwrap();
        on_test_device(info, seq([flatten(), Linear::new(weight, None).layer()]))
    }

    fn with_search<R>(
        randomness: Randomness,
        ids: &[u64],
        read: impl FnOnce(&mut Search<'_>) -> R,
    ) -> R {
        let (network, threat, n) = (network(), Threat::ball(Norm::Linf, 0.1), ids.len());
        let request = Request { seed: 3, randomness, ..Request::default() };
        let clean = Rows::new(&network.location(), [n, 1, 2, 3], vec![0.0; n * 6]).unwrap();
        let mut search = Search::new(
            (&network, &|| false),
            threat,
            Objective::Budget,
            Noise::new("noise", &request),
            clean,
            vec![0; n],
            None,
            ids.to_vec(),
        )
        .unwrap();
        read(&mut search)
    }

    fn values(x: &Rows) -> Vec<f32> {
        x.values().unwrap().to_vec()
    }

    #[test]
    fn torch_draws_whole_batches_in_sequence() {
        let mut torch = Torch::new(3);
        let mut want = [0.0; 15];
        torch.uniform(&mut want[..12]);
        torch.uniform(&mut want[12..]);
        let mut normal = [0.0; 18];
        torch.normal(&mut normal);
        with_search(Randomness::Torch, &[8, 4, 6], |search| {
            let batch = search.uniform_batch(0, 0, &[1, 4]).unwrap();
            assert_eq!(batch.shape(), [3, 1, 4]);
            assert_eq!(values(&batch), want[..12]);
            let shared = search.uniform_shared(0, 1, 3).unwrap();
            assert_eq!(shared.shape(), [3, 3]);
            assert_eq!(values(&shared), want[12..].repeat(3));
            assert_eq!(values(&search.normal_batch(0, 2, &[6]).unwrap()), normal);
            search.skip_normal_batch(&[6]);
            torch.normal(&mut normal);
            torch.uniform(&mut want[..3]);
            assert_eq!(values(&search.uniform_batch(0, 3, &[1]).unwrap()), want[..3]);
        });
    }

    #[test]
    fn per_image_draws_do_not_know_the_batch() {
        let all = |ids: &[u64]| {
            with_search(Randomness::PerImage, ids, |search| {
                let mut rows = vec![Vec::new(); ids.len()];
                for x in [
                    search.uniform_batch(1, 0, &[2, 3]).unwrap(),
                    search.normal_batch(1, 1, &[4]).unwrap(),
                    search.uniform_shared(1, 2, 2).unwrap(),
                ] {
                    let width = x.width();
                    for (row, part) in rows.iter_mut().zip(values(&x).chunks(width)) {
                        row.extend_from_slice(part);
                    }
                }
                rows
            })
        };
        let (forwards, alone) = (all(&[8, 4]), all(&[4]));
        assert_eq!(forwards[1], alone[0]);
        assert_ne!(forwards[0], forwards[1]);
    }
}
