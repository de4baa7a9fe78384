//! Convolutions, and transposed ones as convolutions of an image with zeros between its pixels.

use candle_core::{Device, Tensor};

use super::call::Call;
use super::held::{Held, Pixels};
use super::matrix::contract;
use super::moving::padded;
use super::pool::{Windows, image};
use super::writer::{Places, Writer};
use crate::error::Result;
use crate::nn::Conv2d;
use crate::onnx::graph::Constant;
use crate::ops::conv2d::Padding;

/// A convolution as the file describes it, on two axes of pixels.
struct Weights {
    /// `[O, I / groups, kh, kw]`.
    numbers: Vec<f32>,
    sides: [usize; 4],
    bias: Option<Vec<f32>>,
    groups: usize,
}

impl Weights {
    fn op(self) -> Result<Conv2d> {
        let Self { numbers, sides: [o, i, kh, kw], bias, groups } = self;
        let weight = Tensor::from_vec(numbers, (o, i, kh, kw), &Device::Cpu)?;
        let bias = match bias {
            Some(bias) => Some(Tensor::from_vec(bias, o, &Device::Cpu)?),
            None => None,
        };
        Ok(Conv2d::new(weight, bias)?.groups(groups))
    }
}

/// `x` with two axes of pixels, and whether one was added.
fn plane(call: &Call<'_>) -> Result<(Pixels, bool)> {
    let x = call.pixels(0)?;
    let rank = x.sides.len();
    if !(3..=4).contains(&rank) {
        let problem = format!("needs an image, gets sides {:?}", x.sides);
        return Err(call.error(problem, "convolutions of one and two axes of pixels are supported"));
    }
    call.apart(x, &(1..rank).collect::<Vec<_>>())?;
    if x.sides[0] != 1 {
        let problem = format!("{} images are made of one", x.sides[0]);
        return Err(call.error(problem, "a convolution of parts of an image is not supported"));
    }
    if rank == 4 {
        return Ok((x.clone(), false));
    }
    let mut x = x.clone();
    x.sides.push(1);
    x.order.push(3);
    Ok((x, true))
}

/// Sides of the kernel of `weight`, two of them; `kernel_shape` has to agree.
fn kernel(call: &Call<'_>, weight: &Constant, added: bool) -> Result<[usize; 4]> {
    let mut sides = weight.sides.clone();
    if let Some(kernel) = call.node.ints("kernel_shape")?
        && !kernel.iter().copied().eq(sides.iter().skip(2).map(|side| *side as i64))
    {
        let problem = format!("attribute kernel_shape: is {kernel:?}, the weights are {sides:?}");
        return Err(call.error(problem, "the file contradicts itself: export it again"));
    }
    if added {
        sides.push(1);
    }
    <[usize; 4]>::try_from(sides).map_err(|sides| {
        let problem = format!("weights of sides {sides:?} do not fit the axes of pixels");
        call.error(problem, "export the network again")
    })
}

fn groups(call: &Call<'_>) -> Result<usize> {
    let groups = call.node.int_or("group", 1)?;
    match usize::try_from(groups) {
        Ok(groups) if groups > 0 => Ok(groups),
        _ => Err(call.error(format!("attribute group: is {groups}"), "export the network again")),
    }
}

fn bias(call: &Call<'_>, outputs: usize) -> Result<Option<Vec<f32>>> {
    let Some(_) = call.input(2) else { return Ok(None) };
    let bias = call.weight(2)?;
    if bias.len() != outputs {
        let problem = format!("the bias has {} values for {outputs} channels", bias.len());
        return Err(call.error(problem, "the file contradicts itself: export it again"));
    }
    Ok(bias.as_floats().map(<[f32]>::to_vec))
}

/// Windows of two axes; one of one place may be added.
fn windows(
    call: &Call<'_>,
    x: &Pixels,
    [_, _, kh, kw]: [usize; 4],
    added: bool,
) -> Result<Windows> {
    if !added {
        return Windows::read(call, &x.sides[2..], vec![kh, kw], false);
    }
    let mut windows = Windows::read(call, &x.sides[2..3], vec![kh], false)?;
    for ones in
        [&mut windows.kernel, &mut windows.strides, &mut windows.dilations, &mut windows.outputs]
    {
        ones.push(1);
    }
    windows.before.push(0);
    windows.after.push(0);
    Ok(windows)
}

/// Without the axis that was added.
fn back(mut x: Pixels, added: bool) -> Vec<Held> {
    if added {
        x = super::matrix::without(&x, 3);
    }
    vec![x.into()]
}

pub(super) fn conv(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let (x, added) = plane(call)?;
    let weight = call.weight(1)?;
    let sides = kernel(call, &weight, added)?;
    let [outputs, inputs, kh, kw] = sides;
    let (groups, channels) = (groups(call)?, x.sides[1]);
    if inputs.checked_mul(groups) != Some(channels) || outputs % groups != 0 || outputs == 0 {
        let wanted = inputs.saturating_mul(groups);
        let problem = format!("{channels} channels where the weights want {wanted}");
        return Err(call.error(problem, "the file contradicts itself: export it again"));
    }
    let bias = bias(call, outputs)?;
    let windows = windows(call, &x, sides, added)?;
    let numbers = weight.as_floats().unwrap_or_default().to_vec();
    let padded = windows.before.iter().chain(&windows.after).any(|pad| *pad > 0);
    if [kh, kw, x.sides[2], x.sides[3], groups] == [1; 5] && !padded {
        // The image is a vector.
        let product = contract(writer, &x, 1, numbers, outputs, bias)?;
        return Ok(back(product, added));
    }
    writer.hold(numbers.len())?;
    let x = image(writer, &x)?;
    let conv = Weights { numbers, sides, bias, groups }
        .op()?
        .strides([windows.strides[0], windows.strides[1]])
        .dilations([windows.dilations[0], windows.dilations[1]])
        .padding_sides(Padding {
            top: windows.before[0],
            bottom: windows.after[0],
            left: windows.before[1],
            right: windows.after[1],
        });
    let value = writer.push(conv, &[x.value])?;
    let sides = vec![1, outputs, windows.outputs[0], windows.outputs[1]];
    Ok(back(Pixels { value, sides, ..x }, added))
}

pub(super) fn transposed(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let (x, added) = plane(call)?;
    let weight = call.weight(1)?;
    let [inputs, per_group, kh, kw] = kernel(call, &weight, added)?;
    let (groups, channels) = (groups(call)?, x.sides[1]);
    if inputs != channels || inputs % groups != 0 || inputs == 0 || per_group == 0 {
        let problem = format!("{channels} channels where the weights want {inputs}");
        return Err(call.error(problem, "the file contradicts itself: export it again"));
    }
    let outputs = per_group * groups;
    let bias = bias(call, outputs)?;
    let mut x = image(writer, &x)?;
    let axes = if added { 1 } else { 2 };
    let numbers = |name: &str, default: i64| -> Result<Vec<i64>> {
        let numbers = call.node.ints(name)?.unwrap_or_else(|| vec![default; axes]);
        match numbers.len() == axes && numbers.iter().all(|n| (default..1 << 20).contains(n)) {
            true => Ok(numbers),
            false => {
                Err(call.error(format!("attribute {name}: is {numbers:?}"), "export it again"))
            }
        }
    };
    let (strides, dilations) = (numbers("strides", 1)?, numbers("dilations", 1)?);
    let extra = numbers("output_padding", 0)?;
    let auto = call.node.text("auto_pad")?.unwrap_or("NOTSET").to_string();
    let pads = call.node.ints("pads")?.unwrap_or_else(|| vec![0; 2 * axes]);
    let wanted = call.node.ints("output_shape")?;
    if pads.len() != 2 * axes || wanted.as_ref().is_some_and(|wanted| wanted.len() != axes) {
        return Err(call.error("pads do not fit the axes of pixels", "export it again"));
    }
    for (i, kernel) in [kh, kw].into_iter().enumerate().take(axes) {
        let (side, stride, kernel) = (x.sides[i + 2] as i64, strides[i], kernel as i64);
        let extent = (kernel - 1) * dilations[i] + 1;
        let full = stride * (side - 1) + extra[i] + extent;
        let (mut before, mut after) = (pads[i], pads[i + axes]);
        let same = matches!(auto.as_str(), "SAME_UPPER" | "SAME_LOWER");
        if same || wanted.is_some() {
            let length = wanted.as_ref().map_or(side * stride, |wanted| wanted[i]);
            let missing = full - length;
            (before, after) = (missing / 2, missing - missing / 2);
            if auto != "SAME_UPPER" {
                (before, after) = (after, before);
            }
            // What is there beyond the full result is behind it.
            if missing < 0 {
                (before, after) = (0, missing);
            }
        } else if auto == "VALID" {
            (before, after) = (0, 0);
        }
        // Zeros between the pixels and as many around them as the turned kernel reaches.
        let length = full - before - after + extent - 1;
        if !(1..1 << 20).contains(&length) {
            return Err(call.error("pads leave nothing of the image", "export it again"));
        }
        let first = extent - 1 - before;
        let places: Places = (0..length)
            .map(|place| {
                let at = place - first;
                (at >= 0 && at % stride == 0 && at / stride < side)
                    .then_some((at / stride) as usize)
            })
            .collect();
        x = padded(writer, &x, i + 2, places, 0.0)?;
    }
    let x = image(writer, &x)?;
    // [I, O / groups, kh, kw] to [O, I / groups, kh, kw] with the kernel turned by half.
    let (own, per_input) = (weight.as_floats().unwrap_or_default(), inputs / groups);
    writer.hold(own.len())?;
    let mut turned = Vec::with_capacity(own.len());
    for output in 0..outputs {
        let (group, output) = (output / per_group, output % per_group);
        for input in 0..per_input {
            let start = ((group * per_input + input) * per_group + output) * kh * kw;
            turned.extend(own[start..start + kh * kw].iter().rev());
        }
    }
    let dilations = [dilations[0] as usize, dilations.get(1).map_or(1, |d| *d as usize)];
    let sides = [outputs, per_input, kh, kw];
    let conv = Weights { numbers: turned, sides, bias, groups }.op()?.dilations(dilations);
    let value = writer.push(conv, &[x.value])?;
    let [height, width, _] = writer.shape(value).sides();
    Ok(back(Pixels { value, sides: vec![1, outputs, height, width], ..x }, added))
}
