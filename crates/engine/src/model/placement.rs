//! Where a network runs, and in which arithmetic its searches do.

use std::sync::Arc;

use super::FrozenNetwork;
use crate::cuda;
use crate::device::{Device, Precision};
use crate::error::{Error, Result};
use crate::ops::bf16::Unit;

impl FrozenNetwork {
    /// Runs on `device`, which is resolved; searches compute in `precision`, results are judged in f32.
    ///
    /// # Errors
    /// If the CPU is to compute in tf32, an operation has no form for GPUs yet, or a GPU fails.
    pub fn place(&mut self, device: &Device, precision: Precision) -> Result<()> {
        match device {
            Device::Auto | Device::Cpu => {
                self.searched = match precision {
                    Precision::F32 => None,
                    // Without a convolution that gains by it the search is that of f32.
                    Precision::Bf16 => {
                        self.fused.rounds().then(|| self.fused.rounded(Unit::here()))
                    }
                    Precision::Tf32 => {
                        let problem = "tf32 is for GPUs, and networks run on the CPU";
                        let remedy = "take bf16, or leave --precision out";
                        return Err(Error::setting("precision", problem, remedy));
                    }
                };
                self.gpu = None;
            }
            Device::Cuda(gpus) => {
                let network = cuda::Network::open(&self.fused, self.info.classes, gpus, precision)?;
                self.gpu = Some((Arc::new(network), precision));
                self.searched = None;
            }
        }
        Ok(())
    }

    /// Runs where `other` does and as it does, on its GPUs, which are open already.
    ///
    /// # Errors
    /// As [`FrozenNetwork::place`].
    pub fn place_beside(&mut self, other: &Self) -> Result<()> {
        let beside = |(network, precision): &(Arc<cuda::Network>, Precision)| -> Result<_> {
            let network = network.open_beside(&self.fused, self.info.classes, *precision)?;
            Ok((Arc::new(network), *precision))
        };
        self.gpu = other.gpu.as_ref().map(beside).transpose()?;
        self.searched = other.searched.as_ref().map(|_| self.fused.rounded(Unit::here()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::Loss;
    use crate::model::{Classifier, Evaluation, ModelInfo};
    use crate::rng::Stream;
    use crate::rows::{Location, Rows};
    use crate::zoo;

    /// ResNet-20 with weights of its own.
    fn network() -> FrozenNetwork {
        let architecture = zoo::find("cifar-resnet20-a").unwrap();
        let settings = architecture.settings();
        let program = architecture.program(&mut zoo::Fresh::new(3), &settings).unwrap();
        let info = ModelInfo {
            name: "resnet".into(),
            architecture: architecture.name.into(),
            input_shape: settings.input_shape,
            classes: settings.classes,
            parameters: 0,
            sha256: String::new(),
            identity: String::new(),
            randomised: false,
            optimises_in_forward: false,
        };
        FrozenNetwork::new(info, program)
    }

    fn images(first: usize, count: usize) -> Rows {
        let mut pixels = vec![0.0; 23 * 3 * 32 * 32];
        Stream::new(0, "placement test").draw(0, 0).uniform(&mut pixels);
        let own = pixels[first * 3072..(first + count) * 3072].to_vec();
        Rows::new(&Location::default(), [count, 3, 32, 32], own).unwrap()
    }

    fn evaluated(network: &FrozenNetwork, images: &Rows) -> [Vec<f32>; 3] {
        let labels = Rows::classes(&Location::default(), &vec![3; images.len()]).unwrap();
        let none = Rows::none(&Location::default()).unwrap();
        let Evaluation { logits, losses, gradient } =
            network.evaluate(images, Loss::CrossEntropy, &labels, &none).unwrap();
        [logits, losses, gradient].map(|rows| rows.values().unwrap().to_vec())
    }

    #[test]
    fn in_bf16_an_image_has_the_same_bits_in_any_batch_at_any_place_on_any_threads() {
        let mut network = network();
        network.place(&Device::Cpu, Precision::Bf16).unwrap();
        let all = evaluated(&network, &images(0, 23));
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for (first, count) in [(0, 23), (0, 1), (5, 1), (4, 18)] {
                let part = pool.install(|| evaluated(&network, &images(first, count)));
                for (part, all) in part.iter().zip(&all) {
                    let width = all.len() / 23;
                    assert_eq!(part[..], all[first * width..(first + count) * width]);
                }
            }
        }
        let x = images(0, 23);
        assert_eq!(network.logits(&x).unwrap().values().unwrap()[..], all[0]);
        assert_eq!(network.linearise(&x).unwrap().0.values().unwrap()[..], all[0]);
    }

    #[test]
    fn a_search_in_bf16_is_judged_in_f32_and_tf32_is_refused() {
        let (mut network, x) = (network(), images(0, 4));
        let f32s = evaluated(&network, &x);
        assert!(!network.usage().approximates);
        network.place(&Device::Cpu, Precision::Bf16).unwrap();
        assert!(network.usage().approximates);
        assert!(evaluated(&network, &x).iter().zip(&f32s).all(|(a, b)| a != b));
        for exact in [network.exact_logits(&x).unwrap(), network.logits_on_cpu(&x).unwrap()] {
            assert_eq!(exact.values().unwrap()[..], f32s[0]);
        }
        let mut beside = self::network();
        beside.place_beside(&network).unwrap();
        assert_eq!(evaluated(&beside, &x), evaluated(&network, &x));
        let error = network.place(&Device::Cpu, Precision::Tf32).unwrap_err();
        assert!(error.to_string().starts_with("precision: tf32 is for GPUs"), "{error}");
        network.place(&Device::Cpu, Precision::F32).unwrap();
        assert_eq!(evaluated(&network, &x), f32s);
    }
}
