//! Normalisations: by fixed statistics, or by those of the image itself.

use candle_core::{Device, Tensor};

use super::arithmetic::times;
use super::budget::fitting;
use super::call::Call;
use super::held::{Held, Pixels};
use super::matrix::contract;
use super::reduce::of_axes;
use super::reshape::renamed;
use super::writer::Writer;
use crate::error::Result;
use crate::nn::{Function, LayerNorm, Pointwise, Reduction};
use crate::onnx::graph::Constant;

/// A constant per place of `axis` of a tensor of rank `rank`.
fn along(constant: &Constant, axis: usize, rank: usize) -> Constant {
    let mut sides = vec![1; rank];
    sides[axis] = constant.len();
    Constant { sides, ..constant.clone() }
}

/// Refuses weights that are not one for each of `count` places.
fn count(call: &Call<'_>, i: usize, weight: &Constant, count: usize) -> Result<()> {
    if weight.len() == count {
        return Ok(());
    }
    let problem = format!("input {i} has {} values for {count} channels", weight.len());
    Err(call.error(problem, "the file contradicts itself: export it again"))
}

/// Batch norm in evaluation mode: a scale and a shift per channel, computed in f64.
pub(super) fn batch(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    if call.node.flag_or("training_mode", false)? {
        return Err(call.error(
            "is in training mode: the logits of one image depend on the others",
            "export the network in evaluation mode: model.eval()",
        ));
    }
    let eps = f64::from(call.node.float_or("epsilon", 1e-5)?);
    let rank = x.sides.len();
    if rank < 2 {
        return Err(call.error("needs an axis of channels", "export the network again"));
    }
    let mut weights = Vec::new();
    for i in 1..5 {
        let weight = call.weight(i)?;
        count(call, i, &weight, x.sides[1])?;
        weights.push(weight);
    }
    let numbers = |i: usize| weights[i].as_floats().unwrap_or_default();
    let (mut scale, mut shift) = (Vec::new(), Vec::new());
    for channel in 0..x.sides[1] {
        let [gamma, beta, mean, variance] = [0, 1, 2, 3].map(|i| f64::from(numbers(i)[channel]));
        let factor = gamma / (variance + eps).sqrt();
        scale.push(factor as f32);
        shift.push((beta - mean * factor) as f32);
    }
    let vector = |numbers: Vec<f32>| along(&Constant::floats([numbers.len()], numbers), 1, rank);
    Ok(vec![writer.affine(x, Some(&vector(scale)), Some(&vector(shift)))?.into()])
}

/// `(x - mean) / sqrt(variance + eps)` over the numbers of `axes` together, times `weight` plus `bias`, which have
/// one value for each of these numbers.
fn standardised(
    writer: &mut Writer,
    x: &Pixels,
    axes: &[usize],
    eps: f64,
    weights: Option<(&[f32], &[f32])>,
) -> Result<Pixels> {
    let x = match axes {
        [axis] => writer.along(x, *axis)?,
        _ => writer.rows(x, axes)?,
    };
    let length: usize = axes.iter().map(|axis| x.sides[*axis]).product();
    writer.hold(2 * length)?;
    let tensor = |numbers: Vec<f32>| Tensor::from_vec(numbers, length, &Device::Cpu);
    let (weight, bias) = match weights {
        Some((weight, bias)) => (weight.to_vec(), bias.to_vec()),
        None => (vec![1.0; length], vec![0.0; length]),
    };
    writer.map(&x, LayerNorm::new(tensor(weight)?, tensor(bias)?, eps))
}

pub(super) fn layer(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    let rank = x.sides.len();
    let first = call.axis(-1, rank)?;
    let axes: Vec<usize> = (first..rank).collect();
    call.apart(x, &axes)?;
    let eps = f64::from(call.node.float_or("epsilon", 1e-5)?);
    let length: usize = axes.iter().map(|axis| x.sides[*axis]).product();
    let weight = call.weight(1)?;
    let bias = match call.input(2) {
        Some(_) => Some(call.weight(2)?),
        None => None,
    };
    let whole = |constant: &Constant| constant.len() == length && constant.sides.len() <= rank;
    if whole(&weight) && bias.as_ref().is_none_or(|bias| whole(bias)) {
        let zeros = vec![0.0; length];
        let bias = bias.as_ref().and_then(|bias| bias.as_floats()).unwrap_or(&zeros);
        let weights = (weight.as_floats().unwrap_or_default(), bias);
        return Ok(vec![standardised(writer, x, &axes, eps, Some(weights))?.into()]);
    }
    let plain = standardised(writer, x, &axes, eps, None)?;
    Ok(vec![writer.affine(&plain, Some(&weight), bias.as_deref())?.into()])
}

pub(super) fn instance(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    let rank = x.sides.len();
    let (weight, bias) = (call.weight(1)?, call.weight(2)?);
    if rank < 3 {
        return Err(call.error("needs pixels along axis 2 and on", "export the network again"));
    }
    for (i, weight) in [(1, &weight), (2, &bias)] {
        count(call, i, weight, x.sides[1])?;
    }
    let axes: Vec<usize> = (2..rank).collect();
    call.apart(x, &axes)?;
    let eps = f64::from(call.node.float_or("epsilon", 1e-5)?);
    let plain = standardised(writer, x, &axes, eps, None)?;
    let (weight, bias) = (along(&weight, 1, rank), along(&bias, 1, rank));
    Ok(vec![writer.affine(&plain, Some(&weight), Some(&bias))?.into()])
}

/// Wu and He 2018. Weights are one for each group up to operator set 20, one for each channel from 21 on.
pub(super) fn group(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    let groups = usize::try_from(call.node.int_or("num_groups", 0)?).unwrap_or(0);
    let [images, channels, pixels @ ..] = &x.sides[..] else {
        return Err(call.error("needs an axis of channels", "export the network again"));
    };
    if groups == 0 || channels % groups != 0 {
        let problem = format!("{channels} channels do not make {groups} groups");
        return Err(call.error(problem, "export the network again"));
    }
    call.apart(x, &(1..x.sides.len()).collect::<Vec<_>>())?;
    let eps = f64::from(call.node.float_or("epsilon", 1e-5)?);
    let inner = channels / groups * pixels.iter().product::<usize>();
    let parts = renamed(writer, call, x, vec![*images, groups, inner])?;
    let mut plain = standardised(writer, &parts, &[2], eps, None)?;
    let (weight, bias) = (call.weight(1)?, call.weight(2)?);
    let by_group = weight.len() == groups && groups != *channels;
    if by_group {
        count(call, 2, &bias, groups)?;
        plain = writer.affine(&plain, Some(&along(&weight, 1, 3)), Some(&along(&bias, 1, 3)))?;
    }
    let whole = renamed(writer, call, &plain, x.sides.clone())?;
    if by_group {
        return Ok(vec![whole.into()]);
    }
    for (i, weight) in [(1, &weight), (2, &bias)] {
        count(call, i, weight, *channels)?;
    }
    let rank = x.sides.len();
    let (weight, bias) = (along(&weight, 1, rank), along(&bias, 1, rank));
    Ok(vec![writer.affine(&whole, Some(&weight), Some(&bias))?.into()])
}

/// `x` times one number per row, which is `1 / sqrt(mean of x^2 + eps)`.
pub(super) fn root_mean_square(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    let rank = x.sides.len();
    let axes: Vec<usize> = (call.axis(-1, rank)?..rank).collect();
    call.apart(x, &axes)?;
    let eps = call.node.float_or("epsilon", 1e-5)?;
    let squares = writer.map(x, Pointwise(Function::Power(2.0)))?;
    let mean = of_axes(writer, &squares, &axes, Reduction::Mean)?;
    let mean = writer.affine(&mean, None, Some(&Constant::scalar(eps)))?;
    let factor = writer.map(&mean, Pointwise(Function::Power(-0.5)))?;
    let scaled = times(writer, call, x, &factor)?;
    Ok(vec![writer.affine(&scaled, Some(&*call.weight(1)?), None)?.into()])
}

/// Mean 0 and variance 1 over some axes; the operator's definition divides by the standard deviation plus 1e-9.
pub(super) fn mean_variance(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    let rank = x.sides.len();
    let axes = call.axes(1, rank)?.unwrap_or_else(|| vec![0, 2, 3]);
    call.apart(x, &axes)?;
    Ok(vec![standardised(writer, x, &axes, 1e-18, None)?.into()])
}

/// A vector divided by its length.
pub(super) fn length(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    let axis = call.axis(-1, x.sides.len())?;
    call.apart(x, &[axis])?;
    let reduction = match call.node.int_or("p", 2)? {
        1 => Reduction::L1,
        2 => Reduction::L2,
        p => return Err(call.error(format!("attribute p: is {p}"), "1 and 2 are supported")),
    };
    let norm = of_axes(writer, x, &[axis], reduction)?;
    // A vector without a length stays as it is.
    let least = Function::Clip { least: 1e-30, most: f64::INFINITY };
    let norm = writer.map(&norm, Pointwise(least))?;
    let factor = writer.map(&norm, Pointwise(Function::Reciprocal))?;
    Ok(vec![times(writer, call, x, &factor)?.into()])
}

/// Local response normalisation (Krizhevsky et al. 2012): the sum over neighbouring channels is a product with a
/// band of ones.
pub(super) fn local_response(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    let size = usize::try_from(call.node.int_or("size", 1)?).unwrap_or(0).max(1);
    let alpha = f64::from(call.node.float_or("alpha", 1e-4)?);
    let beta = f64::from(call.node.float_or("beta", 0.75)?);
    let bias = call.node.float_or("bias", 1.0)?;
    if x.sides.len() < 2 {
        return Err(call.error("needs an axis of channels", "export the network again"));
    }
    call.apart(x, &[1])?;
    let channels = x.sides[1];
    // A weight for each pair of channels.
    fitting(&[channels, channels])?;
    let (before, after) = ((size - 1) / 2, (size - 1).div_ceil(2));
    let factor = (alpha / size as f64) as f32;
    let band = |to: usize, from: usize| {
        if from + before >= to && from <= to + after { factor } else { 0.0 }
    };
    let weight = (0..channels).flat_map(|to| (0..channels).map(move |from| band(to, from)));
    let squares = writer.map(x, Pointwise(Function::Power(2.0)))?;
    let bias = Some(vec![bias; channels]);
    let sums = contract(writer, &squares, 1, weight.collect(), channels, bias)?;
    let factor = writer.map(&sums, Pointwise(Function::Power(-beta)))?;
    Ok(vec![times(writer, call, x, &factor)?.into()])
}
