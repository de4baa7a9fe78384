//! The architectures epsball can build, each a program over named weights. An architecture is
//! one file here and one line in [`ALL`]; its keys are those of the published checkpoints.

mod abc_cnn_a;
mod activation;
mod card_resnet;
mod cifar_resnet;
mod constants;
mod convnext;
mod densenet;
mod digits;
mod dm_preact_resnet;
mod dm_wide_resnet;
mod lenet;
mod named;
mod parameters;
mod preact_resnet;
mod pretrained_ensemble;
mod pssilu_wide_resnet;
mod ra_wide_resnet;
mod recognise;
mod residual;
mod resnet_cifar;
mod resnet_imagenet;
mod resnet_smoothing;
mod resnext_cifar;
mod robust_wide_resnet;
mod swin;
mod trades_cnn;
mod transformer;
mod vgg;
mod vit;
mod weights;
mod wide_resnet;
mod xcit;

pub use named::Named;
pub use parameters::{Parameters, Value};
pub use recognise::{Doubt, Keys, Measured, Recognised, candidates, recognise, take_normalisation};
pub use weights::{Fresh, Source, Stored, Weights};

use crate::error::{Error, Result};
use crate::nn::{Layer, Program, Shape, seq};
use parameters::LARGEST;

/// Most classes that are taken.
const CLASSES: usize = 1 << 20;

/// Mean and standard deviation per channel that a network subtracts and divides by.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalisation {
    /// Mean per channel, in pixel units of [0, 1].
    pub mean: Vec<f64>,
    /// Standard deviation per channel.
    pub std: Vec<f64>,
}

impl From<(&[f64], &[f64])> for Normalisation {
    fn from((mean, std): (&[f64], &[f64])) -> Self {
        Self { mean: mean.to_vec(), std: std.to_vec() }
    }
}

/// One architecture: what it is called, what it looks like by default and how it is built.
#[derive(Debug)]
pub struct Architecture {
    /// Name on the command line and in model files.
    pub name: &'static str,
    /// Name of the architecture that this one is with other defaults; its own name if it is none.
    pub family: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// `[C, H, W]` unless the model file says otherwise.
    pub input_shape: [usize; 3],
    /// Number of classes unless the model file says otherwise.
    pub classes: usize,
    /// Input normalisation of the published checkpoint, if it has one: mean and std per channel.
    pub normalisation: Option<(&'static [f64], &'static [f64])>,
    /// Sizes and choices with their defaults.
    pub parameters: &'static [(&'static str, Value)],
    /// Reads the parameters from the names and shapes of a file's tensors; `None` from tensors that
    /// belong to something else. Without it the defaults are tried.
    pub measure: Option<fn(&Keys<'_>) -> Option<Measured>>,
    /// Whether published files hold a tensor of this name that the network never uses.
    pub unused: fn(&str) -> bool,
    /// Builds the layers after the normalisation.
    pub build: fn(&mut Weights<'_>, &NetworkSettings) -> Result<Vec<Layer>>,
}

/// What the builder of an architecture is told.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkSettings {
    /// `[C, H, W]` of one image.
    pub input_shape: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Input normalisation, if any.
    pub normalisation: Option<Normalisation>,
    /// Sizes and choices, all that the architecture names.
    pub parameters: Parameters,
}

impl NetworkSettings {
    fn number(&self, name: &str) -> Result<usize> {
        parameters::number(&self.parameters, name)
    }

    fn numbers(&self, name: &str) -> Result<&[usize]> {
        parameters::numbers(&self.parameters, name)
    }

    fn flag(&self, name: &str) -> Result<bool> {
        parameters::flag(&self.parameters, name)
    }
}

/// Every architecture.
pub const ALL: &[Architecture] = &[
    digits::CNN,
    digits::MLP,
    trades_cnn::SMALL_CNN,
    lenet::LENET,
    abc_cnn_a::CNN_A,
    abc_cnn_a::CIFAR_CNN_A,
    cifar_resnet::RESNET_A,
    cifar_resnet::RESNET20_A,
    preact_resnet::PREACT_RESNET18,
    preact_resnet::PREACT_RESNET18_V2,
    resnet_cifar::RESNET,
    resnet_cifar::RESNET18,
    resnet_cifar::RESNET50,
    wide_resnet::WIDE_RESNET,
    wide_resnet::WRN_28_10,
    wide_resnet::WRN_34_10,
    wide_resnet::WRN_70_16,
    dm_wide_resnet::DM_WIDE_RESNET,
    dm_wide_resnet::DM_WRN_28_10,
    dm_wide_resnet::DM_WRN_70_16,
    dm_preact_resnet::DM_PREACT_RESNET18,
    resnet_smoothing::RESNET110,
    resnet_imagenet::RESNET,
    resnet_imagenet::RESNET18,
    resnet_imagenet::RESNET50,
    resnet_imagenet::WIDE_RESNET50_2,
    resnet_imagenet::RESNEXT50_32X4D,
    robust_wide_resnet::WRN_34_R,
    robust_wide_resnet::WRN_A4,
    ra_wide_resnet::RA_WIDE_RESNET,
    pssilu_wide_resnet::PSSILU_WIDE_RESNET,
    resnext_cifar::RESNEXT29,
    vgg::CIFAR_VGG,
    vgg::VGG,
    densenet::CIFAR_DENSENET,
    densenet::DENSENET,
    card_resnet::LRR_RESNET18,
    card_resnet::WIDE_PREACT_RESNET,
    pretrained_ensemble::PRETRAINED_ENSEMBLE,
    vit::VIT,
    vit::VIT_BASE,
    vit::VIT_SMALL,
    vit::TORCHVISION_VIT,
    vit::TORCHVISION_VIT_BASE,
    vit::VIT_CONVSTEM,
    vit::VIT_SMALL_CONVSTEM,
    vit::VIT_BASE_CONVSTEM,
    convnext::CONVNEXT,
    convnext::TORCHVISION_CONVNEXT,
    convnext::CONVNEXT_CONVSTEM,
    swin::SWIN,
    swin::MIMIR_SWIN_BASE,
    swin::MIMIR_SWIN_LARGE,
    swin::TORCHVISION_SWIN,
    xcit::XCIT,
    xcit::XCIT_S12,
    xcit::XCIT_M12,
    xcit::XCIT_L12,
    xcit::CIFAR_XCIT_S12,
    xcit::CIFAR_XCIT_M12,
    xcit::CIFAR_XCIT_L12,
];

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
    /// What an architecture without parameters leaves open, for `..Architecture::FIXED`.
    const FIXED: Self = Self {
        name: "",
        family: "",
        about: "",
        input_shape: [3, 32, 32],
        classes: 10,
        normalisation: None,
        parameters: &[],
        measure: None,
        unused: |_| false,
        build: |_, _| Ok(Vec::new()),
    };

    /// The settings of the published checkpoint.
    pub fn settings(&self) -> NetworkSettings {
        NetworkSettings {
            input_shape: self.input_shape,
            classes: self.classes,
            normalisation: self.normalisation.map(Normalisation::from),
            parameters: self.parameters(),
        }
    }

    /// The defaults by name.
    pub fn parameters(&self) -> Parameters {
        self.parameters.iter().map(|(name, value)| ((*name).to_string(), value.clone())).collect()
    }

    /// The network, with its normalisation as the first step. All shapes are checked against the settings.
    ///
    /// # Errors
    /// If weights are missing, left over, of another shape or not finite (all of them listed), if a
    /// parameter is missing or out of bounds, or if the input size does not fit.
    pub fn program(&self, source: &mut dyn Source, settings: &NetworkSettings) -> Result<Program> {
        let named = |name: &String| self.parameters.iter().any(|(known, _)| known == name);
        if let Some(name) = settings.parameters.keys().find(|name| !named(name)) {
            let known = self.parameters.iter().map(|(name, _)| *name);
            return Err(Error::unknown("parameter", name, known));
        }
        let sizes = settings.input_shape.iter().all(|side| (1..=LARGEST).contains(side));
        if !sizes || !(1..=CLASSES).contains(&settings.classes) {
            return Err(Error::setting(
                "input shape",
                format!(
                    "no network takes {:?} and has {} classes",
                    settings.input_shape, settings.classes
                ),
                "correct them in the model file or convert the checkpoint again",
            ));
        }
        let mut weights = Weights::new(source);
        let mut layers = Vec::new();
        if let Some(normalisation) = &settings.normalisation {
            layers.push(weights.normalise(normalisation)?);
        }
        layers.extend((self.build)(&mut weights, settings)?);
        weights.finish(self)?;
        let [c, h, w] = settings.input_shape;
        let program = Program::new(&seq(layers), Shape::of_image([h, w], c))?;
        let output = program.output_shape();
        if output != Shape::Flat(settings.classes) {
            return Err(Error::setting(
                "classes",
                format!(
                    "{} ends in {output} values, not in {} logits",
                    self.name, settings.classes
                ),
                "check the number of classes and the input shape of the model file",
            ));
        }
        Ok(program)
    }
}

#[cfg(test)]
mod tests;
