//! Sizes and choices of an architecture that has several: depth, widths, blocks per stage. An
//! architecture names them with their defaults, a model file holds those that differ, and `convert`
//! measures them from the shapes of the weights.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Largest number that is taken: no published network comes near, and it bounds what a damaged model
/// file can ask for.
pub(super) const LARGEST: usize = 1 << 13;

/// Most entries of a list that are taken.
const LONGEST: usize = 16;

/// One value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Whether something is there.
    Flag(bool),
    /// A depth, a width, a count.
    Number(usize),
    /// One number per stage.
    List(Cow<'static, [usize]>),
    /// One of several by its name, such as an activation.
    Word(Cow<'static, str>),
}

/// Values by name.
pub type Parameters = BTreeMap<String, Value>;

/// A list of numbers, for the tables of defaults.
pub(super) const fn list(numbers: &'static [usize]) -> Value {
    Value::List(Cow::Borrowed(numbers))
}

/// A name, for the tables of defaults.
pub(super) const fn word(name: &'static str) -> Value {
    Value::Word(Cow::Borrowed(name))
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(number)
    }
}

impl From<Vec<usize>> for Value {
    fn from(numbers: Vec<usize>) -> Self {
        Self::List(numbers.into())
    }
}

impl From<&'static str> for Value {
    fn from(name: &'static str) -> Self {
        word(name)
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::List(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
                write!(f, "{}", numbers.join(","))
            }
            Self::Word(name) => f.write_str(name),
        }
    }
}

impl std::str::FromStr for Value {
    type Err = Error;

    /// `true`, `28`, `3,4,6,3` or `relu`.
    fn from_str(text: &str) -> Result<Self> {
        if let Ok(flag) = text.parse() {
            return Ok(Self::Flag(flag));
        }
        if let Ok(number) = text.parse() {
            return Ok(Self::Number(number));
        }
        if text.starts_with(|c: char| c.is_ascii_lowercase()) && !text.contains(',') {
            return Ok(Self::Word(text.to_owned().into()));
        }
        let numbers: Result<Vec<usize>, _> = text.split(',').map(|n| n.trim().parse()).collect();
        numbers.map(Self::from).map_err(|_| {
            let problem =
                format!("`{text}` is neither true, false, a number, a list of them nor a name");
            Error::setting("parameter", problem, "write for example depth=28 or blocks=3,4,6,3")
        })
    }
}

/// The number `name`.
///
/// # Errors
/// If there is none or it is out of bounds.
pub(super) fn number(parameters: &Parameters, name: &str) -> Result<usize> {
    match parameters.get(name) {
        Some(Value::Number(number)) if (1..=LARGEST).contains(number) => Ok(*number),
        other => Err(misfit(name, other, format!("has to be a number from 1 to {LARGEST}"))),
    }
}

/// The list `name`.
///
/// # Errors
/// If there is none or a number is out of bounds.
pub(super) fn numbers<'p>(parameters: &'p Parameters, name: &str) -> Result<&'p [usize]> {
    match parameters.get(name) {
        Some(Value::List(list))
            if (1..=LONGEST).contains(&list.len())
                && list.iter().all(|n| (1..=LARGEST).contains(n)) =>
        {
            Ok(list)
        }
        other => {
            let problem = format!("has to be a list of 1 to {LONGEST} numbers up to {LARGEST}");
            Err(misfit(name, other, problem))
        }
    }
}

/// The flag `name`.
///
/// # Errors
/// If there is none.
pub(super) fn flag(parameters: &Parameters, name: &str) -> Result<bool> {
    match parameters.get(name) {
        Some(Value::Flag(flag)) => Ok(*flag),
        other => Err(misfit(name, other, "has to be true or false".into())),
    }
}

/// Which of `names` the word `name` is.
///
/// # Errors
/// If there is none or it is another one; the error lists them.
pub(super) fn choice<T: Copy>(
    parameters: &Parameters,
    name: &str,
    names: &[(&str, T)],
) -> Result<T> {
    let found = parameters.get(name);
    let known = match found {
        Some(Value::Word(word)) => names.iter().find(|(known, _)| word == known),
        _ => None,
    };
    known.map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = names.iter().map(|(known, _)| *known).collect();
        misfit(name, found, format!("has to be one of {}", known.join(", ")))
    })
}

fn misfit(name: &str, found: Option<&Value>, problem: String) -> Error {
    let found = found.map_or_else(|| "is missing".into(), |value| format!("is {value}"));
    Error::setting(
        format!("parameter {name}"),
        format!("{found}, {problem}"),
        "correct the parameters of the model file or convert the checkpoint again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_keep_the_value() {
        for (text, json) in
            [("true", "true"), ("28", "28"), ("3,4,6,3", "[3,4,6,3]"), ("relu", "\"relu\"")]
        {
            let value: Value = text.parse().unwrap();
            assert_eq!(value.to_string(), text);
            assert_eq!(serde_json::to_string(&value).unwrap(), json);
            assert_eq!(serde_json::from_str::<Value>(json).unwrap(), value);
        }
        for text in ["", "-3", "3,deep", "deep,3", "1e3"] {
            assert!(text.parse::<Value>().is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_out_of_bounds_are_refused() {
        let mut parameters = Parameters::new();
        for value in [Value::Number(0), Value::Number(usize::MAX), Value::Flag(true)] {
            parameters.insert("depth".into(), value);
            assert!(number(&parameters, "depth").is_err());
        }
        parameters.insert("blocks".into(), vec![3; 17].into());
        assert!(numbers(&parameters, "blocks").is_err());
        parameters.insert("pool".into(), "median".into());
        let error = choice(&parameters, "pool", &[("max", 1), ("average", 2)]).unwrap_err();
        assert_eq!(error.to_string(), "parameter pool: is median, has to be one of max, average");
        let error = flag(&parameters, "cosine_head").unwrap_err().to_string();
        assert_eq!(error, "parameter cosine_head: is missing, has to be true or false");
    }
}
