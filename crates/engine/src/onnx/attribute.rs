//! The settings of a node, each of the type it has to be, and errors that say which node they are about. Between
//! [`super::graph`] and everything that gives operators a meaning.

use std::sync::Arc;

use super::graph::{Attribute, Constant, Node};
use crate::error::{Error, Result};

/// What to do about a file that contradicts itself or the operators' definition.
pub(super) const EXPORT_AGAIN: &str =
    "export the network again, or check the file with onnx.checker";

/// Defines one method of [`Node`] that reads an attribute of one type.
macro_rules! reads {
    ($(#[$doc:meta] $name:ident: $variant:ident as $type:ty, $wanted:literal, $convert:expr;)*) => {
        $(
            #[$doc]
            pub(super) fn $name(&self, name: &str) -> Result<Option<$type>> {
                match self.attributes.get(name) {
                    None => Ok(None),
                    Some(Attribute::$variant(value)) => Ok(Some($convert(value))),
                    Some(other) => Err(self.wrong_type(name, other, $wanted)),
                }
            }
        )*
    };
}

// Constant interpreter and lowering read different types; each method is here for whoever needs it next.
#[allow(dead_code)]
impl Node {
    reads! {
        /// An integer attribute, if the node has it.
        int: Int as i64, "an integer", |value: &i64| *value;
        /// A number attribute, if the node has it.
        float: Float as f32, "a number", |value: &f32| *value;
        /// A text attribute, if the node has it.
        text: Text as &str, "a text", String::as_str;
        /// An attribute of integers, if the node has it.
        ints: Ints as Vec<i64>, "integers", Vec::clone;
        /// An attribute of numbers, if the node has it.
        floats: Floats as Vec<f32>, "numbers", Vec::clone;
        /// A tensor attribute, if the node has it.
        constant: Constant as &Constant, "a tensor", Arc::as_ref;
    }

    /// An integer attribute, or what it is where the file leaves it out.
    pub(super) fn int_or(&self, name: &str, default: i64) -> Result<i64> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    /// A number attribute, or what it is where the file leaves it out.
    pub(super) fn float_or(&self, name: &str, default: f32) -> Result<f32> {
        Ok(self.float(name)?.unwrap_or(default))
    }

    /// An integer attribute that is 0 or 1.
    pub(super) fn flag_or(&self, name: &str, default: bool) -> Result<bool> {
        match self.int_or(name, i64::from(default))? {
            0 => Ok(false),
            1 => Ok(true),
            other => {
                Err(self.error(format!("attribute {name}: is {other}, not 0 or 1"), EXPORT_AGAIN))
            }
        }
    }

    /// Refuses attributes that are on no list: what they mean for the result is unknown.
    pub(super) fn known(&self, names: &[&str]) -> Result<()> {
        match self.attributes.keys().find(|name| !names.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(self.error(
                format!("unknown attribute {name}: what it means is unknown"),
                "export the network with an operator set this version knows",
            )),
        }
    }

    /// `axis` of a tensor with `rank` sides, counted from the end if it is negative.
    pub(super) fn axis(&self, axis: i64, rank: usize) -> Result<usize> {
        let counted = if axis < 0 { axis.checked_add_unsigned(rank as u64) } else { Some(axis) };
        counted.and_then(|axis| usize::try_from(axis).ok()).filter(|axis| *axis < rank).ok_or_else(
            || {
                self.error(
                    format!("axis {axis} does not exist in a tensor with {rank} sides"),
                    EXPORT_AGAIN,
                )
            },
        )
    }

    /// An error about this node.
    pub(super) fn error(&self, problem: impl Into<String>, remedy: impl Into<String>) -> Error {
        Error::setting(format!("node {} ({})", self.name, self.operator), problem, remedy)
    }

    fn wrong_type(&self, name: &str, found: &Attribute, wanted: &str) -> Error {
        let found = match found {
            Attribute::Int(_) => "an integer",
            Attribute::Float(_) => "a number",
            Attribute::Text(_) => "a text",
            Attribute::Ints(_) => "a list of integers",
            Attribute::Floats(_) => "a list of numbers",
            Attribute::Texts(_) => "a list of texts",
            Attribute::Constant(_) => "a tensor",
            Attribute::Graph(_) => "a graph",
            Attribute::Other(kind) => kind,
        };
        self.error(format!("attribute {name}: is {found}, not {wanted}"), EXPORT_AGAIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(attribute: Attribute) -> Node {
        Node {
            name: "join".into(),
            operator: "Concat".into(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            attributes: [("axis".into(), attribute)].into(),
        }
    }

    #[test]
    fn an_attribute_is_read_in_its_type_only() {
        let right = node(Attribute::Int(-1));
        assert_eq!(right.int("axis").unwrap(), Some(-1));
        assert_eq!(right.int_or("keepdims", 1).unwrap(), 1);
        let wrong = node(Attribute::Text("last".into()));
        assert_eq!(wrong.text("axis").unwrap(), Some("last"));
        let said = wrong.int("axis").unwrap_err().to_string();
        assert_eq!(said, "node join (Concat): attribute axis: is a text, not an integer");
        assert!(node(Attribute::Int(2)).flag_or("axis", false).is_err());
    }

    #[test]
    fn axes_count_from_both_ends() {
        let node = node(Attribute::Int(0));
        assert_eq!(node.axis(-1, 4).unwrap(), 3);
        assert_eq!(node.axis(0, 4).unwrap(), 0);
        for wrong in [4, -5, i64::MIN, i64::MAX] {
            assert!(node.axis(wrong, 4).is_err(), "{wrong}");
        }
        assert!(node.axis(0, 0).is_err());
    }

    #[test]
    fn an_unknown_attribute_is_refused() {
        let node = node(Attribute::Int(0));
        assert!(node.known(&["axis"]).is_ok());
        let said = node.known(&["axes"]).unwrap_err().to_string();
        assert_eq!(said, "node join (Concat): unknown attribute axis: what it means is unknown");
    }
}
