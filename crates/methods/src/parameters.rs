//! Hyper-parameters by name: what the user gave, with the defaults for the rest, checked, and written
//! down for the report.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The parameters of one attack while it is being built.
pub struct Parameters {
    attack: String,
    given: BTreeMap<String, String>,
    used: BTreeMap<String, String>,
    choices: BTreeMap<String, String>,
}

impl Parameters {
    /// What the user gave for the attack of this name.
    pub fn new(attack: &str, given: &BTreeMap<String, String>) -> Self {
        Self {
            attack: attack.into(),
            given: given.clone(),
            used: BTreeMap::new(),
            choices: BTreeMap::new(),
        }
    }

    /// The parameter of this name, or `default`, which a program may have set: it is checked like what is given.
    ///
    /// # Errors
    /// If what was given is not of the type.
    pub fn take<T: FromStr + Display>(&mut self, name: &str, default: T) -> Result<T>
    where
        T::Err: Display,
    {
        // What is none of the values tells which there are.
        if let Err(error) = "?".parse::<T>() {
            self.choices.insert(name.into(), words(error.to_string()));
        }
        let value = match self.given.remove(name) {
            Some(text) => {
                let parsed = text.trim().parse();
                parsed.map_err(|e: T::Err| self.bad(name, &text, words(e.to_string())))?
            }
            None => default,
        };
        self.used.insert(name.into(), value.to_string());
        Ok(value)
    }

    /// A number above 0, which may be given as a fraction (`8/255`).
    ///
    /// # Errors
    /// If it is not a number above 0 that an f32 can hold.
    pub fn positive(&mut self, name: &str, default: f64) -> Result<f64> {
        self.number(name, default, "a number above 0 that an f32 can hold", |v| {
            v > 0.0 && fits_f32(v)
        })
    }

    /// A number of at least 0.
    ///
    /// # Errors
    /// If it is not.
    pub fn at_least_zero(&mut self, name: &str, default: f64) -> Result<f64> {
        self.number(name, default, "a number of at least 0", |v| v >= 0.0)
    }

    /// A number above 0 and below 1.
    ///
    /// # Errors
    /// If it is not.
    pub fn share(&mut self, name: &str, default: f64) -> Result<f64> {
        self.number(name, default, "a number above 0 and below 1", |v| v > 0.0 && v < 1.0)
    }

    /// A number above 1.
    ///
    /// # Errors
    /// If it is not.
    pub fn above_one(&mut self, name: &str, default: f64) -> Result<f64> {
        self.number(name, default, "a number above 1", |v| v > 1.0)
    }

    /// A number of at least 0 and below `most`.
    ///
    /// # Errors
    /// If it is not.
    pub fn below(&mut self, name: &str, default: f64, most: f64) -> Result<f64> {
        let what = format!("a number of at least 0 and below {most}");
        self.number(name, default, &what, |v| v >= 0.0 && v < most)
    }

    /// A whole number of at least 1.
    ///
    /// # Errors
    /// If it is not.
    pub fn count(&mut self, name: &str, default: usize) -> Result<usize> {
        let value = self.take(name, default)?;
        if value == 0 {
            return Err(self.bad(name, "0", "must be at least 1"));
        }
        Ok(value)
    }

    fn number(
        &mut self,
        name: &str,
        default: f64,
        what: &str,
        allowed: impl Fn(f64) -> bool,
    ) -> Result<f64> {
        let (text, value) = match self.given.remove(name) {
            Some(text) => {
                let value = parse_number(&text);
                (text, value)
            }
            // What was an f32 is written as one: its further digits in f64 are noise.
            None if default == f64::from(default as f32) => {
                ((default as f32).to_string(), Some(default))
            }
            None => (default.to_string(), Some(default)),
        };
        match value {
            Some(value) if value.is_finite() && allowed(value) => {
                self.used.insert(name.into(), text);
                Ok(value)
            }
            _ => Err(self.bad(name, &text, format!("must be {what}"))),
        }
    }

    fn bad(&self, name: &str, text: &str, problem: impl Display) -> Error {
        Error::setting(
            format!("{}: {name}", self.attack),
            format!("`{text}`: {problem}"),
            format!("change `{name}` or leave it out for its default"),
        )
    }

    /// What a parameter of a few values can be, in words: `one of any, last`.
    pub fn choices(&self, name: &str) -> Option<&str> {
        let words = self.choices.get(name)?;
        // A number goes by what is said of it.
        (!words.contains("number")).then_some(words.strip_prefix("must be ").unwrap_or(words))
    }

    /// All parameters as they were decided.
    ///
    /// # Errors
    /// If one was given that the attack does not have.
    pub fn finish(self) -> Result<BTreeMap<String, String>> {
        match self.given.keys().next() {
            None => Ok(self.used),
            Some(name) => Err(match Error::unknown("parameter", name.as_str(), self.used.keys()) {
                Error::Unknown { kind, known, .. } => {
                    let name = format!("{name}` of `{}", self.attack);
                    Error::Unknown { kind, name, known }
                }
                other => other,
            }),
        }
    }
}

/// A field of hyper-parameters: its name, and the lines of its doc comment.
pub type Documented = (&'static str, &'static [&'static str]);

/// Hyper-parameters as a struct, whose doc comments are kept for lists and manuals: what a parameter means is written
/// once.
#[doc(hidden)]
#[macro_export]
macro_rules! documented {
    (
        $(#[$about:meta])*
        pub struct $name:ident {
            $( $(#[doc = $doc:literal])+ $(#[serde($($serde:tt)*)])? pub $field:ident : $type:ty, )*
        }
    ) => {
        $(#[$about])*
        pub struct $name { $( $(#[doc = $doc])+ $(#[serde($($serde)*)])? pub $field: $type, )* }

        impl $name {
            pub(crate) const FIELDS: &'static [$crate::parameters::Documented] =
                &[ $( (stringify!($field), &[$($doc),+]), )* ];
        }
    };
}
#[doc(hidden)]
pub use documented;

/// An f32 can hold the number, to its full precision: it is neither lost nor infinite there.
pub fn fits_f32(value: f64) -> bool {
    (value as f32).is_normal()
}

/// A decimal number or a fraction of two.
pub fn parse_number(text: &str) -> Option<f64> {
    match text.split_once('/') {
        Some((a, b)) => Some(a.trim().parse::<f64>().ok()? / b.trim().parse::<f64>().ok()?),
        None => text.trim().parse().ok(),
    }
}

/// What Rust's parsers of numbers say, as what was to be given.
fn words(problem: String) -> String {
    let wanted = match problem.as_str() {
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            "must be a whole number of at least 0"
        }
        "number too large to fit in target type" => "is too large",
        "invalid float literal" | "cannot parse float from empty string" => "must be a number",
        "provided string was not `true` or `false`" => "must be true or false",
        _ => return problem,
    };
    wanted.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())).collect()
    }

    #[test]
    fn what_is_given_wins_and_everything_is_written_down() {
        let mut p = Parameters::new("pgd", &given(&[("steps", "7"), ("alpha", "2/255")]));
        assert_eq!(p.count("steps", 40).unwrap(), 7);
        assert!((p.positive("alpha", 0.1).unwrap() - 2.0 / 255.0).abs() < 1e-12);
        assert!(p.take("random_start", true).unwrap());
        let used = p.finish().unwrap();
        assert_eq!(used.keys().collect::<Vec<_>>(), ["alpha", "random_start", "steps"]);
    }

    #[test]
    fn bad_values_are_refused_by_name() {
        for (name, text) in [("steps", "0"), ("steps", "many"), ("steps", "-1")] {
            let mut p = Parameters::new("pgd", &given(&[(name, text)]));
            let error = p.count("steps", 40).unwrap_err().to_string();
            assert!(error.starts_with("pgd: steps: "), "{error}");
            assert_eq!(error.contains("must be a whole number"), text != "0", "{error}");
        }
        for text in ["0", "-1", "NaN", "inf", "1/0", "x"] {
            let mut p = Parameters::new("pgd", &given(&[("alpha", text)]));
            assert!(p.positive("alpha", 0.1).is_err(), "{text}");
        }
        for text in ["0", "1", "1.5", "-0.1", "NaN"] {
            let mut p = Parameters::new("ddn", &given(&[("gamma", text)]));
            assert!(p.share("gamma", 0.1).is_err(), "{text}");
        }
    }

    #[test]
    fn unknown_parameters_get_the_nearest_name() {
        let mut p = Parameters::new("pgd", &given(&[("step", "7")]));
        p.count("steps", 40).unwrap();
        let error = p.finish().unwrap_err();
        assert_eq!(error.to_string(), "unknown parameter `step` of `pgd`");
        assert!(error.hint().unwrap().contains("steps"));
    }
}
