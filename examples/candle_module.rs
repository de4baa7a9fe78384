//! Attack a network of your own, written with candle_nn: wrap it in `CandleClassifier`.
//!
//! ```sh
//! cargo run --release --example candle_module
//! # on a GPU, with nvcc in PATH and the CUDA libraries for the linker
//! cargo run --release --features candle-cuda --example candle_module -- --device cuda
//! ```

#![allow(clippy::print_stdout)]

use std::error::Error;

use candle_core::utils::cuda_is_available;
use candle_core::{DType, Device, Tensor};
use candle_nn::{Linear, Module, VarBuilder, VarMap, linear};
use epsball::attack::{Configured, Pgd, Request, attack};
use epsball::data::{self, Dataset as _, Selection, Subset};
use epsball::device::Device as Wish;
use epsball::model::{CandleClassifier, ModelInfo};
use epsball::threat::Norm;

/// Any module from images `[N, C, H, W]` in [0, 1] to logits `[N, K]`.
struct Network {
    fc1: Linear,
    fc2: Linear,
}

impl Network {
    fn new(device: &Device) -> candle_core::Result<Self> {
        let weights = VarMap::new();
        let vb = VarBuilder::from_varmap(&weights, DType::F32, device);
        Ok(Self { fc1: linear(64, 32, vb.pp("fc1"))?, fc2: linear(32, 10, vb.pp("fc2"))? })
    }
}

impl Module for Network {
    fn forward(&self, images: &Tensor) -> candle_core::Result<Tensor> {
        self.fc2.forward(&self.fc1.forward(&images.flatten_from(1)?)?.relu()?)
    }
}

/// candle's device that the arguments ask for, `--device cpu|cuda[:N]`.
fn device(mut arguments: impl Iterator<Item = String>) -> Result<Device, Box<dyn Error>> {
    const USAGE: &str = "usage: candle_module [--device cpu|cuda[:N]]";
    let wish = match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (None, ..) => Wish::Cpu,
        (Some("--device"), Some(wish), None) => wish.parse().map_err(|_| USAGE)?,
        _ => return Err(USAGE.into()),
    };
    match wish {
        Wish::Cpu => Ok(Device::Cpu),
        Wish::Cuda(_) if !cuda_is_available() => Err(format!(
            "--device {wish}: this program was built without candle's CUDA; build it with `--features candle-cuda`"
        )
        .into()),
        Wish::Cuda(numbers) if numbers.len() == 1 => Ok(Device::new_cuda_with_stream(numbers[0])?),
        _ => Err(USAGE.into()),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = device(std::env::args().skip(1))?;
    let module = Network::new(&device)?;
    let images = Subset::new(data::open("digits")?, &Selection::First(100))?;
    let mut batch = images.read(&(0..100).collect::<Vec<_>>())?;
    // This network is not trained: whatever it says counts as right.
    let logits = module.forward(&batch.images.to_device(&device)?)?;
    batch.labels = logits.argmax(1)?.to_vec1()?;

    let model =
        CandleClassifier::new(ModelInfo::new("my network", [1, 8, 8], 10), module).on(device);
    let eps = 0.1;
    let pgd = Configured::of(Pgd { steps: 20, ..Pgd::new(Norm::Linf, eps) })?;
    let outcomes = attack(&pgd, &model, &batch, &Request::default())?;
    let robust = outcomes.iter().filter(|o| !o.found).count();
    println!("robust accuracy under PGD at Linf {eps}: {robust} of {}", outcomes.len());
    Ok(())
}
