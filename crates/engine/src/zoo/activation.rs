//! The activation of networks whose source lets the user choose one. It has no weights, so it leaves no
//! trace in a checkpoint: recognition assumes the usual one, and says so.

use super::parameters::{choice, word};
use super::{Measured, NetworkSettings, Value};
use crate::error::Result;
use crate::nn::{Function, Layer, Pointwise, gelu, relu, sigmoid, silu};

/// Name of the parameter.
pub(super) const NAME: &str = "activation";

/// Makes a layer of a kind.
type Make = fn() -> Layer;

/// Every activation by its name.
const ALL: [(&str, Make); 6] = [
    ("relu", relu),
    ("silu", silu),
    ("gelu", gelu),
    ("tanh", tanh),
    ("sigmoid", sigmoid),
    ("softplus", softplus),
];

/// The entry of a table of defaults.
pub(super) const fn by_default(name: &'static str) -> (&'static str, Value) {
    (NAME, word(name))
}

/// What makes the activations of this network.
pub(super) fn of(settings: &NetworkSettings) -> Result<Make> {
    choice(&settings.parameters, NAME, &ALL)
}

/// `tanh(x)`.
fn tanh() -> Layer {
    Pointwise(Function::Tanh).layer()
}

/// `ln(1 + e^x)`.
fn softplus() -> Layer {
    Pointwise(Function::Softplus).layer()
}

impl Measured {
    /// With the activation that networks of this form usually have, and the doubt whether it is that one.
    pub(super) fn assume_activation(mut self, usual: &'static str) -> Self {
        self.parameters.insert(NAME.into(), usual.into());
        let others: Vec<&str> =
            ALL.iter().map(|(name, _)| *name).filter(|name| *name != usual).collect();
        let text = format!(
            "names and shapes do not tell the activation; {usual} is assumed, and --arch \
             NAME:{NAME}=VALUE says another, which may be {}",
            others.join(", ")
        );
        self.doubt(NAME, text)
    }
}
