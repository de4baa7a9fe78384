//! How a network behind an address is asked, as a suite says it and as a run records it.

use serde::{Deserialize, Serialize};

/// How a network that a service answers for is asked. What is left out is as the service describes itself, or else as
/// said here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceForm {
    /// A file with the description of the service, for one that does not give it itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<String>,
    /// How images are sent: `raw` (the default) or `json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<ServiceBody>,
    /// Images of a request at most, 64 unless the service takes fewer or the user says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// Requests per second at most, those that are repeated among them; no limit if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// How often a request is repeated that got no answer, 5 times unless the user says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Seconds that an answer may take, 60 unless the user says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    /// A header of every request and the environment variable that holds its value: `authorization=TOKEN`. The value
    /// is written nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
}

impl ServiceForm {
    /// Nothing is said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How images are sent to a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceBody {
    /// Their numbers as little-endian f32, `[N, C, H, W]`, which the header `x-shape` says.
    #[default]
    Raw,
    /// `{"shape": [N, C, H, W], "images": [..]}`, all numbers in one list.
    Json,
}

impl std::str::FromStr for ServiceBody {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "raw" => Ok(Self::Raw),
            "json" => Ok(Self::Json),
            _ => Err("one of raw, json"),
        }
    }
}
