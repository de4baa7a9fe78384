//! A network in f64: what its answers owe to the rounding of f32.

use candle_core::DType;
use rayon::prelude::*;

use super::frozen::FrozenNetwork;
use crate::error::Result;
use crate::rows::Rows;

impl FrozenNetwork {
    /// The same function in f64, by the CPU: logits `[N, K]` of images in f32. It tells what an answer owes to
    /// the rounding of f32; it is slow, as its convolutions are written as their definition reads.
    ///
    /// # Errors
    /// As [`Classifier::logits`](super::Classifier::logits).
    pub fn logits_in_f64(&self, images: &Rows) -> Result<Vec<f64>> {
        let (program, chunks, pixels) =
            (self.program.in_f64()?, self.chunks(images)?, images.values()?);
        let logits = |chunk| {
            let logits = program.forward(&self.read(&pixels, chunk)?.to_dtype(DType::F64)?)?;
            Ok(logits.flatten_all()?.to_vec1::<f64>()?)
        };
        let logits = chunks.into_par_iter().map(logits).collect::<Result<Vec<_>>>()?;
        Ok(logits.concat())
    }
}

#[cfg(test)]
mod tests {
    use crate::model::Classifier as _;
    use crate::model::file::{Declared, load};
    use crate::rng::Stream;
    use crate::rows::{Location, Rows};

    /// The rounding of f32 is all that the two differ by, and it is there.
    #[test]
    fn logits_in_f64_are_those_in_f32_but_for_rounding() {
        for name in ["digits-trades", "digits-standard"] {
            let path = format!("../../benchmarks/models/{name}.safetensors");
            let network = load(path.as_ref(), &Declared::default()).unwrap().0;
            let mut pixels = vec![0.0; 20 * 64];
            Stream::new(1, "frozen test").draw(0, 0).uniform(&mut pixels);
            let images = Rows::new(&Location::default(), [20, 1, 8, 8], pixels).unwrap();
            let (narrow, wide) =
                (network.logits(&images).unwrap(), network.logits_in_f64(&images).unwrap());
            let narrow = narrow.values().unwrap();
            let farthest = narrow
                .iter()
                .zip(&wide)
                .map(|(narrow, wide)| (f64::from(*narrow) - wide).abs())
                .fold(0.0, f64::max);
            assert!(farthest > 0.0 && farthest < 1e-4, "{name}: {farthest}");
            assert_eq!(narrow.len(), wide.len());
        }
    }
}
