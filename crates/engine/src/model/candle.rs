//! Any `candle_nn::Module` as a classifier, on any device of candle: gradients come from candle's autograd,
//! which also computes what only training needs, so this is several times slower than a network from the
//! zoo.

use candle_core::{Device, Tensor, Var};
use candle_nn::Module;

use super::{Classifier, ModelInfo, Pull, Usage};
use crate::error::Result;
use crate::rows::{Location, Rows};

/// A user's own module, or a closure `Fn(&Tensor) -> candle_core::Result<Tensor>`, that maps f32 images
/// `[N, C, H, W]` in [0, 1] to f32 logits `[N, K]`. Its normalisation must be part of it, and layers such as
/// dropout and batch norm must be in evaluation mode: the module is called as it is. It may be on any device
/// of candle ([`CandleClassifier::on`]).
pub struct CandleClassifier<M> {
    info: ModelInfo,
    module: M,
    device: Device,
}

impl<M: Module + Send + Sync> CandleClassifier<M> {
    /// Wraps a module whose weights are in the computer's memory; says once that this path is slow. A
    /// module that draws random numbers or optimises in its forward has to declare it in `info`.
    pub fn new(info: ModelInfo, module: M) -> Self {
        tracing::warn!(
            model = info.name,
            "gradients come from candle's autograd, several times slower than a zoo architecture"
        );
        Self { info, module, device: Device::Cpu }
    }

    /// Says that the weights of the module are on `device`: batches are copied there, and logits and
    /// gradients back. A GPU needs the feature `candle-cuda`, and is to be opened by
    /// `Device::new_cuda_with_stream`: attacks call the module from more than one thread, and a device of
    /// `Device::new_cuda` gives each thread a stream of its own, which does not wait for the others.
    #[must_use]
    pub fn on(self, device: Device) -> Self {
        Self { device, ..self }
    }

    /// A batch as the module wants it.
    fn send(&self, rows: &Rows) -> Result<Tensor> {
        Ok(rows.tensor()?.to_device(&self.device)?)
    }
}

/// What the module answered, where its images came from.
fn fetch(tensor: &Tensor, place: &Location) -> Result<Rows> {
    Rows::of_tensor(&tensor.to_device(&Device::Cpu)?)?.at(place)
}

impl<M: Module + Send + Sync> Classifier for CandleClassifier<M> {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn logits(&self, images: &Rows) -> Result<Rows> {
        fetch(&self.module.forward(&self.send(images)?)?, &images.location())
    }

    fn linearise(&self, images: &Rows) -> Result<(Rows, Pull<'_>)> {
        let (input, place) = (Var::from_tensor(&self.send(images)?)?, images.location());
        let logits = self.module.forward(input.as_tensor())?;
        let detached = fetch(&logits.detach(), &place)?;
        let pull = move |cotangent: &Rows| {
            let grads = (&logits * self.send(cotangent)?)?.sum_all()?.backward()?;
            match grads.get(input.as_tensor()) {
                Some(gradient) => fetch(gradient, &place),
                None => fetch(&input.zeros_like()?, &place),
            }
        };
        Ok((detached, Box::new(pull)))
    }

    /// Off the CPU, all work is on one stream: shares of a batch would wait for each other.
    fn usage(&self) -> Usage {
        match self.device {
            Device::Cpu => Usage::default(),
            _ => Usage { lanes: 1, ..Usage::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> ModelInfo {
        ModelInfo::new("by hand", [1, 1, 3], 2)
    }

    fn rows(shape: &[usize], numbers: &[f32]) -> Rows {
        Rows::new(&Location::default(), shape, numbers.to_vec()).unwrap()
    }

    /// The logits are the sum of the squares, and the first minus the last pixel.
    fn quadratic(images: &Tensor) -> candle_core::Result<Tensor> {
        let pixels = images.flatten_from(1)?;
        let first = (pixels.narrow(1, 0, 1)? - pixels.narrow(1, 2, 1)?)?;
        Tensor::cat(&[pixels.sqr()?.sum_keepdim(1)?, first], 1)
    }

    #[test]
    fn logits_and_gradients_are_those_of_the_module() {
        let images = rows(&[2, 1, 1, 3], &[0.5, 0.25, 0.0, 1.0, 0.0, 0.5]);
        for model in [
            CandleClassifier::new(info(), quadratic),
            CandleClassifier::new(info(), quadratic).on(Device::Cpu),
        ] {
            let expected = [0.3125, 0.5, 1.25, 0.5];
            assert_eq!(model.logits(&images).unwrap().values().unwrap()[..], expected);
            let (logits, pull) = model.linearise(&images).unwrap();
            assert_eq!(logits.values().unwrap()[..], expected);
            // a (2 x) + b (1, 0, -1), image by image, as often as wanted.
            for _ in 0..2 {
                let gradient = pull(&rows(&[2, 2], &[1.0, 0.0, 2.0, 3.0])).unwrap();
                assert_eq!(gradient.shape(), images.shape());
                assert_eq!(gradient.values().unwrap()[..], [1.0, 0.5, 0.0, 7.0, 0.0, -1.0]);
            }
            assert_eq!(model.usage(), Usage::default());
        }
    }

    #[test]
    fn a_module_that_ignores_its_images_has_no_gradient() {
        let constant =
            |images: &Tensor| Tensor::ones((images.dim(0)?, 2), images.dtype(), images.device());
        let model = CandleClassifier::new(info(), constant);
        let (_, pull) = model.linearise(&rows(&[1, 1, 1, 3], &[0.1, 0.2, 0.3])).unwrap();
        assert_eq!(pull(&rows(&[1, 2], &[1.0, 1.0])).unwrap().values().unwrap()[..], [0.0; 3]);
    }

    /// candle's stand-in for a GPU refuses all data that is sent to it.
    #[cfg(not(feature = "candle-cuda"))]
    #[test]
    fn batches_are_sent_to_the_device() {
        let never = |_: &Tensor| -> candle_core::Result<Tensor> { panic!("images are elsewhere") };
        let model = CandleClassifier::new(info(), never).on(Device::Cuda(candle_core::CudaDevice));
        let images = rows(&[1, 1, 1, 3], &[0.1, 0.2, 0.3]);
        for refused in [model.logits(&images).err(), model.linearise(&images).err()] {
            let refused = refused.unwrap().to_string();
            assert!(refused.contains("not been built with cuda support"), "{refused}");
        }
        assert_eq!(model.usage().lanes, 1);
    }
}
