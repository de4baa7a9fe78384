//! What a service says of itself, as JSON: the shape of its images, its number of classes, and what it answers.

use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::sha256;
use crate::error::{Error, Result};
use crate::record::ServiceBody;
use crate::regular;

/// More values than an image of any data set here has.
const MOST_VALUES: usize = 1 << 28;

/// More classes than any classifier has.
const MOST_CLASSES: usize = 1 << 20;

/// What to write.
const REMEDY: &str = "answer GET with JSON such as {\"shape\": [3, 32, 32], \"classes\": 10, \"answers\": \"logits\"}, or \
                      give such a file with --card";

/// What a service answers of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answers {
    /// A logit for each class.
    Logits,
    /// A probability for each class. Their logarithms are its logits.
    Probabilities,
    /// The class alone.
    Classes,
}

impl Answers {
    /// The field of the answer that holds it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::Probabilities => "probabilities",
            Self::Classes => "classes",
        }
    }
}

/// The description of a service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Card {
    /// Its name.
    pub name: Option<String>,
    /// `[C, H, W]` of its images, whose values are in [0, 1].
    pub shape: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// What it answers.
    pub answers: Answers,
    /// Images of a request at most.
    pub batch: Option<usize>,
    /// How it wants images sent.
    pub body: Option<ServiceBody>,
    /// It draws random numbers.
    pub randomised: bool,
    /// SHA-256 of the whole description, whatever else stands in it, in one way of writing it.
    pub digest: String,
}

/// The fields of a description that are understood.
#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    name: Option<String>,
    shape: [usize; 3],
    classes: usize,
    answers: Answers,
    #[serde(default)]
    batch: Option<usize>,
    #[serde(default)]
    body: Option<ServiceBody>,
    #[serde(default)]
    randomised: bool,
}

impl Card {
    /// Reads a description in a file.
    ///
    /// # Errors
    /// If it cannot be read or is none.
    pub fn read(path: &Path) -> Result<Self> {
        let text = regular::text(path).map_err(Error::io("read", path))?;
        Self::parse(text.as_bytes(), &path.display().to_string())
    }

    /// Reads a description; `place` is for errors.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &[u8], place: &str) -> Result<Self> {
        let bad = |problem: String| {
            Error::setting(place, format!("its description is not one: {problem}"), REMEDY)
        };
        let value: Value = serde_json::from_slice(text).map_err(|error| bad(error.to_string()))?;
        let mut written = String::new();
        write(&value, &mut written);
        let fields = Fields::deserialize(value).map_err(|error| bad(error.to_string()))?;
        let Fields { name, shape, classes, answers, batch, body, randomised } = fields;
        let values = shape.iter().try_fold(1_usize, |n, side| n.checked_mul(*side));
        if values.is_none_or(|n| n == 0 || n > MOST_VALUES) {
            return Err(bad(format!("no image has the shape {shape:?}")));
        }
        if !(2..=MOST_CLASSES).contains(&classes) {
            return Err(bad(format!("no classifier has {classes} classes")));
        }
        if batch == Some(0) {
            return Err(bad("batch is 0".into()));
        }
        let digest = sha256(written.as_bytes());
        Ok(Self { name, shape, classes, answers, batch, body, randomised, digest })
    }
}

/// Writes JSON in one way, the keys of objects in order, since programs write them in any.
fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            out.push('{');
            for key in keys {
                let _ = write!(out, "{}:", Value::from(key.as_str()));
                write(&map[key], out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(values) => {
            out.push('[');
            for value in values {
                write(value, out);
                out.push(',');
            }
            out.push(']');
        }
        other => {
            let _ = write!(out, "{other}");
        }
    }
}
