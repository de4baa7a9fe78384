//! An entry of a suite: what stands there, as it stands there. Which kind of work it asks for follows from
//! its section and its method, and that kind alone knows its fields.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::misfit::{unknown_field, words};
use crate::error::{Error, Result, nearest};

/// An `[[attack]]`, `[[certificate]]` or `[[corruption]]` of a suite. The typed entries of the kinds
/// ([`AttackEntry`](super::AttackEntry), …) become one by `into()`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Entry(pub toml::Table);

impl Entry {
    /// The text in a field.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field)?.as_str()
    }

    /// The same with the name of its method, which stands in the field `method`, in lower case: methods are known
    /// by their names in any case, and recorded under one.
    pub(super) fn normalised(&self, method: &str) -> Self {
        let mut entry = self.clone();
        if let Some(toml::Value::String(name)) = entry.0.get_mut(method) {
            name.make_ascii_lowercase();
        }
        entry
    }

    /// Names of the models that it is for; all if there are none.
    ///
    /// # Errors
    /// If the field is something else.
    pub fn models(&self) -> Result<Vec<String>> {
        let Some(models) = self.0.get("models") else { return Ok(Vec::new()) };
        models.clone().try_into().map_err(|_| {
            let remedy = "write models = [\"NAME\", \"NAME\"]";
            Error::setting("models", format!("{models} is no list of names"), remedy)
        })
    }

    /// Its fields as those of `T`; `subject` is for the error.
    ///
    /// # Errors
    /// If a field is missing, is one that `T` has no use for, or holds something else.
    pub(crate) fn read<T: DeserializeOwned>(&self, subject: &str) -> Result<T> {
        let mut table = self.0.clone();
        table.remove("models");
        // A reader takes a date for its text.
        if let Some((field, _)) = table.iter().find(|(_, value)| holds_date(value)) {
            let problem = format!("{field}: a date stands where a text or a number is expected");
            return Err(Error::setting(subject, problem, "put a text in quotes"));
        }
        toml::Value::Table(table).try_into().map_err(|e: toml::de::Error| misfit(subject, &e))
    }

    /// The entry whose fields are those of `entry`.
    pub(crate) fn of(entry: &impl Serialize) -> Self {
        // The entries of the kinds are tables of plain values.
        Self(toml::Table::try_from(entry).unwrap_or_default())
    }
}

/// Whether a date is in a value.
fn holds_date(value: &toml::Value) -> bool {
    match value {
        toml::Value::Datetime(_) => true,
        toml::Value::Array(values) => values.iter().any(holds_date),
        toml::Value::Table(table) => table.values().any(holds_date),
        _ => false,
    }
}

/// An error for a field that cannot be used, from that of the parser.
fn misfit(subject: &str, error: &toml::de::Error) -> Error {
    if let Some((field, known)) = unknown_field(error.message()) {
        let near = nearest(&field, &known)
            .map_or(String::new(), |near| format!("did you mean `{near}`? "));
        let remedy = format!("{near}it has {}", known.join(", "));
        return Error::setting(subject, format!("has no use for {field}"), remedy);
    }
    // The text of the error says in which field behind its message.
    let text = error.to_string();
    let place = text.strip_prefix(error.message()).unwrap_or_default();
    let field = place.split('`').nth(1).map_or(String::new(), |field| format!("{field}: "));
    let problem = format!("{field}{}", words(error.message()));
    Error::setting(subject, problem, "see benchmarks/suites/ for examples")
}

/// The field that an entry of this kind has no use for, if that is the error.
pub(crate) fn needless(error: &Error) -> Option<String> {
    let text = error.to_string();
    text.rsplit_once("has no use for ").map(|(_, field)| field.to_owned())
}

/// The field is left out of an entry that is written.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
