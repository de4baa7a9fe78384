//! An architecture as a user names it, with what the tensors of a file do not tell:
//! `dm-wide-resnet:activation=relu`.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::parameters::{Parameters, Value};
use super::{Architecture, Normalisation, Recognised, find};
use crate::error::{Error, Result};

/// What stands in front of `[C, H, W]` in place of a parameter's name.
const SHAPE: &str = "input_shape";

/// `NAME[:PARAMETER=VALUE]...`; `input_shape=C,H,W` may be among the parameters.
#[derive(Debug, Clone)]
pub struct Named {
    /// The architecture.
    pub architecture: &'static Architecture,
    /// What was said about its sizes and choices.
    pub parameters: Parameters,
    /// `[C, H, W]`, if it was said.
    pub input_shape: Option<[usize; 3]>,
}

impl std::str::FromStr for Named {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.split(':');
        let architecture = find(parts.next().unwrap_or_default().trim())?;
        let mut named = Self { architecture, parameters: Parameters::new(), input_shape: None };
        for part in parts {
            let Some((name, value)) = part.split_once('=') else {
                return Err(Error::setting(
                    format!("architecture {text}"),
                    format!("`{part}` is not PARAMETER=VALUE"),
                    "write for example dm-wide-resnet:activation=relu",
                ));
            };
            let (name, value) = (name.trim(), value.trim().parse()?);
            match (name, value) {
                (SHAPE, Value::List(sides)) if sides.len() == 3 => {
                    named.input_shape = Some([sides[0], sides[1], sides[2]]);
                }
                (SHAPE, value) => {
                    let problem = format!("{value} is not three numbers");
                    let remedy = "write for example input_shape=3,32,32";
                    return Err(Error::setting(format!("architecture {text}"), problem, remedy));
                }
                (name, value)
                    if architecture.parameters.iter().any(|(known, _)| *known == name) =>
                {
                    named.parameters.insert(name.to_owned(), value);
                }
                (name, _) => {
                    let known = architecture.parameters.iter().map(|(known, _)| *known);
                    return Err(Error::unknown("parameter", name, known.chain([SHAPE])));
                }
            }
        }
        Ok(named)
    }
}

impl Named {
    /// The architecture with what the tensors tell about it and what the user said.
    pub fn recognise(
        &self,
        tensors: &BTreeMap<String, Tensor>,
        normalisation: Option<&Normalisation>,
    ) -> Recognised {
        let architecture = self.architecture;
        let found = architecture.recognise(tensors, normalisation);
        let mut found = found.unwrap_or_else(|| Recognised {
            architecture,
            settings: architecture.settings(),
            doubts: Vec::new(),
        });
        for (name, value) in &self.parameters {
            found.settings.parameters.insert(name.clone(), value.clone());
            found.doubts.retain(|doubt| doubt.about != name);
        }
        found.settings.input_shape = self.input_shape.unwrap_or(found.settings.input_shape);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures_with_parameters() {
        let named: Named = "lenet:padded=false:channels=6,16:input_shape=1,32,32".parse().unwrap();
        assert_eq!((named.architecture.name, named.input_shape), ("lenet", Some([1, 32, 32])));
        assert_eq!(named.parameters["padded"], false.into());
        assert_eq!(named.parameters["channels"], vec![6, 16].into());
        assert!("dm-wrn-28-10".parse::<Named>().unwrap().parameters.is_empty());
        for (text, problem) in [
            ("lenet5", "unknown architecture `lenet5`"),
            ("lenet:padded", "`padded` is not PARAMETER=VALUE"),
            ("lenet:depth=3", "unknown parameter `depth`"),
            ("lenet:input_shape=32", "32 is not three numbers"),
            ("lenet:", "`` is not PARAMETER=VALUE"),
            ("", "unknown architecture ``"),
        ] {
            let error = text.parse::<Named>().unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn what_the_user_says_is_no_longer_in_doubt() {
        let named: Named = "lenet:activation=tanh".parse().unwrap();
        let mut fresh = super::super::Fresh::new(0);
        named.architecture.program(&mut fresh, &named.architecture.settings()).unwrap();
        let tensors =
            fresh.variables.iter().map(|(name, v)| (name.clone(), v.as_tensor().clone())).collect();
        let found = named.recognise(&tensors, None);
        assert_eq!(found.settings.parameters["activation"], "tanh".into());
        let about: Vec<&str> = found.doubts.iter().map(|doubt| doubt.about).collect();
        assert_eq!(about, ["padded", "average_pool", "normalisation"]);
    }
}
