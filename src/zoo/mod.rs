//! The architectures epsball can build, each a tree of layers over named weights. An architecture is
//! one file here and one line in [`ALL`]; its keys are those of the published checkpoints.

mod abc_cnn_a;
mod cifar_resnet;
mod digits;
mod trades_cnn;
mod weights;

pub use weights::{Fresh, Source, Stored, Weights};

use crate::error::{Error, Result};
use crate::nn::{Layer, Shape};

/// Mean and standard deviation per channel that a network subtracts and divides by.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalisation {
    /// Mean per channel, in pixel units of [0, 1].
    pub mean: Vec<f64>,
    /// Standard deviation per channel.
    pub std: Vec<f64>,
}

/// One architecture: what it is called, what it looks like by default and how it is built.
pub struct Architecture {
    /// Name on the command line and in model files.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// `[C, H, W]` unless the model file says otherwise.
    pub input_shape: [usize; 3],
    /// Number of classes unless the model file says otherwise.
    pub classes: usize,
    /// Input normalisation of the published checkpoint, if it has one: mean and std per channel.
    pub normalisation: Option<(&'static [f64], &'static [f64])>,
    /// Builds the tree after the normalisation.
    pub build: fn(&mut Weights<'_>, &Plan) -> Result<Vec<Layer>>,
}

/// What the builder of an architecture is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// `[C, H, W]` of one image.
    pub input_shape: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Input normalisation, if any.
    pub normalisation: Option<Normalisation>,
}

/// Every architecture.
pub const ALL: &[Architecture] =
    &[digits::CNN, digits::MLP, trades_cnn::SMALL_CNN, cifar_resnet::RESNET20_A, abc_cnn_a::CNN_A];

/// The architecture of this name.
///
/// # Errors
/// If there is none; the error lists those there are.
pub fn find(name: &str) -> Result<&'static Architecture> {
    ALL.iter()
        .find(|a| a.name == name)
        .ok_or_else(|| Error::unknown("architecture", name, ALL.iter().map(|a| a.name)))
}

impl Architecture {
    /// The plan of the published checkpoint.
    pub fn plan(&self) -> Plan {
        Plan {
            input_shape: self.input_shape,
            classes: self.classes,
            normalisation: self
                .normalisation
                .map(|(mean, std)| Normalisation { mean: mean.to_vec(), std: std.to_vec() }),
        }
    }

    /// The network as a tree, with its normalisation as the first layer. The shapes of all layers
    /// are checked against the plan.
    ///
    /// # Errors
    /// If weights are missing, left over, of another shape or not finite (all of them listed), or
    /// if the input size does not fit.
    pub fn tree(&self, source: &mut dyn Source, plan: &Plan) -> Result<Layer> {
        let mut weights = Weights::new(source);
        let mut layers = Vec::new();
        if let Some(normalisation) = &plan.normalisation {
            layers.push(weights.normalise(normalisation)?);
        }
        layers.extend((self.build)(&mut weights, plan)?);
        weights.finish(self.name)?;
        let tree = crate::nn::seq(layers);
        let [c, h, w] = plan.input_shape;
        let output = crate::nn::Node::shape(&tree, Shape::of_image([h, w], c))?;
        if output != Shape::Flat(plan.classes) {
            return Err(Error::setting(
                "classes",
                format!("{} ends in {output} values, not in {} logits", self.name, plan.classes),
                "check the number of classes and the input shape of the model file",
            ));
        }
        Ok(tree)
    }
}
