//! Numbers as a suite states them.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::parameters::{fits_f32, parse_number};

/// A number, or a text such as `"8/255"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Number {
    /// `0.3`.
    Float(f64),
    /// `1`.
    Integer(i64),
    /// `"8/255"`.
    Text(String),
}

impl Number {
    /// Its value; `field` is for the error.
    ///
    /// # Errors
    /// If it is not a number above 0 that an f32 can hold.
    pub fn positive(&self, field: &str) -> Result<f64> {
        let value = match self {
            Self::Float(value) => Some(*value),
            Self::Integer(value) => Some(*value as f64),
            Self::Text(text) => parse_number(text),
        };
        match value {
            Some(value) if value > 0.0 && !fits_f32(value) => Err(Error::setting(
                field,
                format!("{self} is no number that an f32 can hold"),
                match value < 1.0 {
                    true => "pixels are in [0, 1] and f32: give a number above 1e-37",
                    false => "pixels are in [0, 1]: give a number such as 0.3 or 8/255",
                },
            )),
            Some(value) if value.is_finite() && value > 0.0 => Ok(value),
            _ => Err(Error::setting(
                field,
                format!("{self} is not a number above 0"),
                "give a number above 0, such as 0.3 or 8/255",
            )),
        }
    }
}

impl Number {
    /// As it is written in a suite, without quotation marks.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            number => number.to_string(),
        }
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Float(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Text(text) => write!(f, "`{text}`"),
        }
    }
}

/// One value or a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// A single one.
    One(Number),
    /// Several, or none.
    Many(Vec<Number>),
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl OneOrMany {
    /// No value is there.
    pub fn is_empty(&self) -> bool {
        self.values().is_empty()
    }

    /// All of them.
    pub fn values(&self) -> &[Number] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}
