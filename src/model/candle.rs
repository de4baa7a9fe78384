//! Any `candle_nn::Module` as a classifier: gradients come from candle's autograd, which also
//! computes what only training needs, so this is several times slower than a network from the zoo.

use candle_core::Var;
use candle_nn::Module;

use super::{Classifier, ModelInfo, Pull};
use crate::error::Result;
use crate::rows::Rows;

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

    fn logits(&self, images: &Rows) -> Result<Rows> {
        Rows::of_tensor(&self.module.forward(&images.tensor()?)?)?.at(&images.place())
    }

    fn linearise(&self, images: &Rows) -> Result<(Rows, Pull<'_>)> {
        let (input, place) = (Var::from_tensor(&images.tensor()?)?, images.place());
        let logits = self.module.forward(input.as_tensor())?;
        let detached = Rows::of_tensor(&logits.detach())?.at(&place)?;
        let pull = move |cotangent: &Rows| {
            let grads = (&logits * cotangent.tensor()?)?.sum_all()?.backward()?;
            let gradient = match grads.get(input.as_tensor()) {
                Some(gradient) => Rows::of_tensor(gradient)?,
                None => Rows::of_tensor(&input.zeros_like()?)?,
            };
            gradient.at(&place)
        };
        Ok((detached, Box::new(pull)))
    }
}
