//! Functions of every number: activations.

use super::call::Call;
use super::held::Held;
use super::writer::Writer;
use crate::error::Result;
use crate::nn::{Function, Gelu, Op, Pointwise, Relu, Scale, Sigmoid, Silu};

/// `op` of every number of the one input.
fn map(writer: &mut Writer, call: &Call<'_>, op: impl Into<Op>) -> Result<Vec<Held>> {
    Ok(vec![writer.map(call.pixels(0)?, op)?.into()])
}

/// The operators that have no attributes.
macro_rules! plain {
    ($($(#[$doc:meta])* $name:ident: $op:expr;)*) => {
        $(
            $(#[$doc])*
            pub(super) fn $name(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
                map(writer, call, $op)
            }
        )*
    };
}

plain! {
    abs: Pointwise(Function::Abs);
    ceil: Pointwise(Function::Ceil);
    cos: Pointwise(Function::Cos);
    erf: Pointwise(Function::Erf);
    exp: Pointwise(Function::Exp);
    hard_swish: Pointwise(Function::HardSwish);
    log: Pointwise(Function::Log);
    mish: Pointwise(Function::Mish);
    neg: Scale(-1.0);
    reciprocal: Pointwise(Function::Reciprocal);
    relu: Relu;
    sigmoid: Sigmoid;
    sin: Pointwise(Function::Sin);
    softplus: Pointwise(Function::Softplus);
    softsign: Pointwise(Function::Softsign);
    sqrt: Pointwise(Function::Sqrt);
    tanh: Pointwise(Function::Tanh);
}

/// A function whose slope is 0 wherever it has one.
fn steps(writer: &mut Writer, call: &Call<'_>, function: Function) -> Result<Vec<Held>> {
    let name = &call.node.operator;
    writer.notes.insert(format!(
        "operator {name}: its gradient is 0 everywhere; attacks that follow gradients see nothing behind it"
    ));
    map(writer, call, Pointwise(function))
}

pub(super) fn sign(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    steps(writer, call, Function::Sign)
}

pub(super) fn floor(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    steps(writer, call, Function::Floor)
}

pub(super) fn round(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    steps(writer, call, Function::Round)
}

/// An attribute as f64.
fn number(call: &Call<'_>, name: &str, default: f64) -> Result<f64> {
    Ok(call.node.float(name)?.map_or(default, f64::from))
}

pub(super) fn celu(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    map(writer, call, Pointwise(Function::Celu(number(call, "alpha", 1.0)?)))
}

pub(super) fn elu(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    map(writer, call, Pointwise(Function::Elu(number(call, "alpha", 1.0)?)))
}

pub(super) fn leaky_relu(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    map(writer, call, Pointwise(Function::LeakyRelu(number(call, "alpha", 0.01)?)))
}

pub(super) fn thresholded_relu(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    map(writer, call, Pointwise(Function::ThresholdedRelu(number(call, "alpha", 1.0)?)))
}

pub(super) fn hard_sigmoid(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let (alpha, beta) = (number(call, "alpha", 0.2)?, number(call, "beta", 0.5)?);
    map(writer, call, Pointwise(Function::HardSigmoid { alpha, beta }))
}

/// The constants of Klambauer et al. 2017, as the definition of the operator rounds them.
pub(super) fn selu(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let alpha = number(call, "alpha", 1.673_263_192_176_818_8)?;
    let gamma = number(call, "gamma", 1.050_700_903_472_442_6)?;
    map(writer, call, Pointwise(Function::Selu { alpha, gamma }))
}

pub(super) fn swish(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    match number(call, "alpha", 1.0)? {
        1.0 => map(writer, call, Silu),
        alpha => map(writer, call, Pointwise(Function::Swish(alpha))),
    }
}

pub(super) fn gelu(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    match call.node.text("approximate")?.unwrap_or("none") {
        "none" => map(writer, call, Gelu),
        "tanh" => map(writer, call, Pointwise(Function::GeluTanh)),
        other => {
            Err(call
                .error(format!("attribute approximate: {other} is unknown"), "use none or tanh"))
        }
    }
}

pub(super) fn clip(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let bound = |attribute: &str, input: usize, default: f64| -> Result<f64> {
        if let Some(number) = call.node.float(attribute)? {
            return Ok(f64::from(number));
        }
        match call.constant(input)? {
            None => Ok(default),
            Some(constant) => match constant.as_floats() {
                Some([number]) => Ok(f64::from(*number)),
                _ => Err(call.error(format!("input {input} is not one number"), "export it again")),
            },
        }
    };
    let least = bound("min", 1, f64::NEG_INFINITY)?;
    let most = bound("max", 2, f64::INFINITY)?;
    match (least, most) {
        (0.0, f64::INFINITY) => map(writer, call, Relu),
        _ => map(writer, call, Pointwise(Function::Clip { least, most })),
    }
}
