//! Any `candle_nn::Module` as a classifier: gradients come from candle's autograd, which also
//! computes what only training needs, so this is several times slower than a network from the zoo.

use candle_core::{Tensor, Var};
use candle_nn::Module;

use super::{Classifier, ModelInfo, Pullback};
use crate::error::Result;

/// A user's own module that maps images `[N, C, H, W]` in [0, 1] to logits `[N, K]`. Its
/// normalisation must be part of it, and layers such as dropout and batch norm must be in evaluation
/// mode: the module is called as it is.
pub struct CandleClassifier<M> {
    info: ModelInfo,
    module: M,
}

impl<M: Module + Send + Sync> CandleClassifier<M> {
    /// Wraps a module; says once that this path is slow. A module that draws random numbers or
    /// optimises in its forward has to declare it in `info`.
    pub fn new(info: ModelInfo, module: M) -> Self {
        tracing::warn!(
            model = info.name,
            "gradients come from candle's autograd, several times slower than a zoo architecture"
        );
        Self { info, module }
    }
}

impl<M: Module + Send + Sync> Classifier for CandleClassifier<M> {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn logits(&self, images: &Tensor) -> Result<Tensor> {
        Ok(self.module.forward(images)?)
    }

    fn vjp(&self, images: &Tensor) -> Result<(Tensor, Pullback<'_>)> {
        let input = Var::from_tensor(images)?;
        let logits = self.module.forward(input.as_tensor())?;
        let detached = logits.detach();
        let pullback = Pullback::new(move |g: &Tensor| {
            let grads = (&logits * g)?.sum_all()?.backward()?;
            match grads.get(input.as_tensor()) {
                Some(grad) => Ok(grad.clone()),
                None => Ok(input.zeros_like()?),
            }
        });
        Ok((detached, pullback))
    }
}
