//! The operators on constants: shape arithmetic and whatever else of a graph does not depend on the image is
//! computed once, when the file is read.

use super::graph::{Constant, Node};
use crate::error::Result;

/// The outputs of `node` for constant `inputs`; an absent optional input is `None`.
///
/// # Errors
/// If the operator is not known here, or its inputs or attributes do not fit.
pub(super) fn evaluate(
    node: &Node,
    inputs: &[Option<&Constant>],
    opset: u64,
) -> Result<Vec<Constant>> {
    let _ = (inputs, opset);
    Err(crate::error::Error::unknown::<&str>("operator", node.operator.clone(), []))
}
