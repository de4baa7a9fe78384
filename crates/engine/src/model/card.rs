//! What a model file says about itself: one JSON text under the key `epsball` of the safetensors
//! metadata, enough to rebuild the network and to cite it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::onnx::{Graph, OnnxForm};
use crate::zoo::{self, Architecture, NetworkSettings, Normalisation, Parameters};

/// Version of the card's format.
pub const CARD_VERSION: u32 = 1;

/// The card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelCard {
    /// [`CARD_VERSION`] at the time of writing.
    pub format_version: u32,
    /// Name in tables.
    pub name: String,
    /// Architecture, as in the zoo, or `onnx`.
    pub architecture: String,
    /// `[C, H, W]` of one image.
    pub input_shape: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Sizes and choices in which the network differs from the architecture's defaults.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    /// Mean per channel that the network subtracts; empty for none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mean: Vec<f64>,
    /// Standard deviation per channel that the network divides by; empty for none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub std: Vec<f64>,
    /// The graph of a network that is of no architecture of the zoo; the file's tensors are its constants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<Graph>,
    /// What an image is for that graph.
    #[serde(default, skip_serializing_if = "OnnxForm::is_default")]
    pub onnx: OnnxForm,
    /// Where the weights come from: a paper, a page, the file that was converted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// How they were trained: the exact command, for the bundled models.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub training: String,
    /// Licence of the weights.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub licence: String,
    /// Numbers published for these weights, by name: `clean accuracy`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub published: BTreeMap<String, f64>,
    /// The forward pass draws random numbers.
    #[serde(default)]
    pub randomised: bool,
    /// The forward pass runs an optimisation.
    #[serde(default)]
    pub optimises_in_forward: bool,
}

impl ModelCard {
    /// A card with nothing but the architecture's defaults.
    pub fn new(name: impl Into<String>, architecture: &Architecture) -> Self {
        Self::of_settings(name, architecture, architecture.settings())
    }

    /// A card that says nothing but two names.
    pub(super) fn bare(name: impl Into<String>, architecture: &str) -> Self {
        Self {
            format_version: CARD_VERSION,
            name: name.into(),
            architecture: architecture.into(),
            input_shape: [0; 3],
            classes: 0,
            parameters: Parameters::new(),
            mean: Vec::new(),
            std: Vec::new(),
            graph: None,
            onnx: OnnxForm::default(),
            source: String::new(),
            training: String::new(),
            licence: String::new(),
            published: BTreeMap::new(),
            randomised: false,
            optimises_in_forward: false,
        }
    }

    /// A card for an architecture with everything its builder was told.
    pub fn of_settings(
        name: impl Into<String>,
        architecture: &Architecture,
        settings: NetworkSettings,
    ) -> Self {
        let defaults = architecture.parameters();
        let differs = |(name, value): &(String, _)| defaults.get(name) != Some(value);
        let (mean, std) = settings.normalisation.map_or_else(Default::default, |n| (n.mean, n.std));
        Self {
            input_shape: settings.input_shape,
            classes: settings.classes,
            parameters: settings.parameters.into_iter().filter(differs).collect(),
            mean,
            std,
            ..Self::bare(name, architecture.name)
        }
    }

    /// What the architecture's builder needs to know.
    ///
    /// # Errors
    /// If there is no such architecture.
    pub fn settings(&self) -> Result<NetworkSettings> {
        let mut parameters = zoo::find(&self.architecture)?.parameters();
        parameters.extend(self.parameters.clone());
        let normalisation = (!self.mean.is_empty())
            .then(|| Normalisation { mean: self.mean.clone(), std: self.std.clone() });
        Ok(NetworkSettings {
            input_shape: self.input_shape,
            classes: self.classes,
            normalisation,
            parameters,
        })
    }
}
