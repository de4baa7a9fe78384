//! The activation of networks whose source lets the user choose one. It has no weights, so it leaves no
//! trace in a checkpoint: recognition assumes the usual one, and says so.

use super::parameters::{choice, word};
use super::{Measured, Plan, Value};
use crate::error::Result;
use crate::nn::{Layer, Scale, gelu, relu, seq, sigmoid, silu, sum};

/// Name of the parameter.
pub(super) const NAME: &str = "activation";

/// Makes a layer of a kind.
type Make = fn() -> Layer;

/// Every activation by its name.
const ALL: [(&str, Make); 5] =
    [("relu", relu), ("silu", silu), ("gelu", gelu), ("tanh", tanh), ("sigmoid", sigmoid)];

/// The entry of a table of defaults.
pub(super) const fn by_default(name: &'static str) -> (&'static str, Value) {
    (NAME, word(name))
}

/// What makes the activations of this network.
pub(super) fn of(plan: &Plan) -> Result<Make> {
    choice(&plan.parameters, NAME, &ALL)
}

/// `tanh(x)` as `sigmoid(2x) - sigmoid(-2x)`.
fn tanh() -> Layer {
    let half = |sign: f64| seq([Scale(2.0 * sign).layer(), sigmoid(), Scale(sign).layer()]);
    sum([half(1.0), half(-1.0)])
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

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::nn::{Program, Shape};

    #[test]
    fn tanh_and_its_slope() {
        let program = Program::new(&tanh(), Shape::Flat(5)).unwrap();
        let points = [-3.0_f64, -0.5, 0.0, 1e-3, 2.0];
        let x = Tensor::new(&[points], &Device::Cpu).unwrap();
        let (y, kept) = program.save(&x).unwrap();
        let slope = program.pullback(&kept, &x.ones_like().unwrap()).unwrap();
        let [y, slope] = [y, slope].map(|t| t.flatten_all().unwrap().to_vec1::<f64>().unwrap());
        for ((x, y), slope) in points.iter().zip(y).zip(slope) {
            assert!((y - x.tanh()).abs() < 1e-15, "{x}: {y}");
            assert!((slope - (1.0 - x.tanh().powi(2))).abs() < 1e-15, "{x}: {slope}");
        }
    }
}
