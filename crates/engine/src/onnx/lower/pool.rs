//! Operators on windows of pixels, and how windows are described in ONNX, which convolutions share.

use super::budget::fitting;
use super::call::Call;
use super::held::{Held, Pixels};
use super::moving::padded;
use super::reduce::of_axes;
use super::writer::{Places, Writer, shape_of};
use crate::error::Result;
use crate::nn::{AvgPool, Function, MaxPool, Pointwise, Reduce, Reduction, Shape};
use crate::onnx::graph::Constant;
use crate::ops::pool::Window;

/// Windows on the axes from 2 on.
#[derive(Debug, Clone)]
pub(super) struct Windows {
    pub(super) kernel: Vec<usize>,
    pub(super) strides: Vec<usize>,
    pub(super) dilations: Vec<usize>,
    pub(super) before: Vec<usize>,
    pub(super) after: Vec<usize>,
    /// How many windows there are.
    pub(super) outputs: Vec<usize>,
}

/// Most places of an axis with its padding, and of a kernel.
const MOST_SIDE: usize = 1 << 20;

impl Windows {
    /// The windows of a node on these sides.
    pub(super) fn read(
        call: &Call<'_>,
        sides: &[usize],
        kernel: Vec<usize>,
        ceil: bool,
    ) -> Result<Self> {
        let axes = sides.len();
        let positive = |name: &str, least: i64| -> Result<Option<Vec<usize>>> {
            let Some(numbers) = call.node.ints(name)? else { return Ok(None) };
            let read = |number: i64| match usize::try_from(number) {
                Ok(number) if number as i64 >= least && number < MOST_SIDE => Ok(number),
                _ => Err(call.error(
                    format!("attribute {name}: {number} is out of range"),
                    "export the network again; crop with a Slice instead of negative padding",
                )),
            };
            numbers.into_iter().map(read).collect::<Result<_>>().map(Some)
        };
        let ones = || vec![1; axes];
        let strides = positive("strides", 1)?.unwrap_or_else(ones);
        let dilations = positive("dilations", 1)?.unwrap_or_else(ones);
        let pads = positive("pads", 0)?;
        let auto = call.node.text("auto_pad")?.unwrap_or("NOTSET").to_string();
        let lengths = [kernel.len(), strides.len(), dilations.len()];
        if lengths != [axes; 3] || pads.as_ref().is_some_and(|pads| pads.len() != 2 * axes) {
            let problem = format!("settings of windows are not those of {axes} axes of pixels");
            return Err(call.error(problem, "export the network again"));
        }
        let (mut before, mut after) = (vec![0; axes], vec![0; axes]);
        let mut outputs = Vec::new();
        for axis in 0..axes {
            let (side, stride) = (sides[axis], strides[axis]);
            if kernel[axis] == 0 || kernel[axis] > MOST_SIDE {
                return Err(call.error("the kernel has no size", "export the network again"));
            }
            let extent = (kernel[axis] - 1) * dilations[axis] + 1;
            match auto.as_str() {
                "NOTSET" => {
                    if let Some(pads) = &pads {
                        (before[axis], after[axis]) = (pads[axis], pads[axis + axes]);
                    }
                }
                "VALID" => {}
                "SAME_UPPER" | "SAME_LOWER" => {
                    let count = side.div_ceil(stride);
                    let missing = ((count - 1) * stride + extent).saturating_sub(side);
                    let (less, more) = (missing / 2, missing.div_ceil(2));
                    (before[axis], after[axis]) =
                        if auto == "SAME_UPPER" { (less, more) } else { (more, less) };
                }
                other => {
                    let problem = format!("attribute auto_pad: {other} is unknown");
                    return Err(call.error(problem, "export the network again"));
                }
            }
            let padded = side + before[axis] + after[axis];
            // A last window may reach beyond everything, and the first one may be the last.
            let beyond = if ceil { stride - 1 } else { 0 };
            let Some(room) = (padded + beyond).checked_sub(extent) else {
                let problem = format!("a kernel of {extent} places does not fit into {side}");
                return Err(call.error(problem, "export the network again"));
            };
            let mut count = room / stride + 1;
            // A window has to begin in the image or in what pads it in front.
            if ceil && (count - 1) * stride >= side + before[axis] {
                count -= 1;
            }
            outputs.push(count);
        }
        Ok(Self { kernel, strides, dilations, before, after, outputs })
    }

    /// For pooling: `kernel_shape` and `ceil_mode` are attributes.
    fn of_pool(call: &Call<'_>, sides: &[usize]) -> Result<Self> {
        let kernel = call.node.ints("kernel_shape")?.unwrap_or_default();
        let kernel = kernel.into_iter().map(|side| usize::try_from(side).unwrap_or(0)).collect();
        let windows = Self::read(call, sides, kernel, call.node.flag_or("ceil_mode", false)?)?;
        let same = call.node.text("auto_pad")?.is_some_and(|auto| auto.starts_with("SAME"));
        if same && windows.dilations.iter().any(|dilation| *dilation > 1) {
            return Err(call.error(
                "pads automatically for dilated windows: how far is not agreed on",
                "export the network with the attribute pads",
            ));
        }
        Ok(windows)
    }

    /// Size and stride, if the engine has such windows: square, of neighbouring pixels.
    fn square(&self) -> Option<Window> {
        match (&self.kernel[..], &self.strides[..], &self.dilations[..]) {
            ([size, other], [stride, same], [1, 1]) if size == other && stride == same => {
                Some(Window { size: *size, stride: *stride })
            }
            _ => None,
        }
    }

    /// `x` with what the windows read beside it, filled with `fill`, and nothing that they do not read.
    fn padded(&self, writer: &mut Writer, x: &Pixels, fill: f64) -> Result<Pixels> {
        let mut x = x.clone();
        for (i, kernel) in self.kernel.iter().enumerate() {
            let (axis, side) = (i + 2, x.sides[i + 2]);
            let extent = (kernel - 1) * self.dilations[i] + 1;
            let length = (self.outputs[i] - 1) * self.strides[i] + extent;
            if self.before[i] == 0 && length <= side {
                continue;
            }
            let places: Places = (0..length)
                .map(|place| place.checked_sub(self.before[i]).filter(|place| *place < side))
                .collect();
            x = padded(writer, &x, axis, places, fill)?;
        }
        Ok(x)
    }

    /// `reduction` of every window.
    fn reduced(&self, writer: &mut Writer, x: &Pixels, reduction: Reduction) -> Result<Pixels> {
        let (strides, n) = (x.strides(), self.kernel.len());
        // The axes as they lie, those of pixels counting windows; then the places of a window.
        let mut axes: Vec<Places> = Vec::new();
        for axis in &x.order {
            let step = axis.checked_sub(2).map_or(1, |i| self.strides[i]);
            let count = axis.checked_sub(2).map_or(x.sides[*axis], |i| self.outputs[i]);
            axes.push((0..count).map(|i| Some(i * step * strides[*axis])).collect());
        }
        for i in 0..n {
            let step = self.dilations[i] * strides[i + 2];
            axes.push((0..self.kernel[i]).map(|k| Some(k * step)).collect());
        }
        let value = writer.pick(x, &axes, 0.0)?;
        let length: usize = self.kernel.iter().product();
        let mut sides = x.sides.clone();
        sides[2..].copy_from_slice(&self.outputs);
        let rows = sides.iter().product::<usize>();
        let value = writer.view(value, Shape::of_image([rows, 1], length))?;
        let value = writer.push(Reduce(reduction), &[value])?;
        let stored: Vec<usize> = x.order.iter().map(|axis| sides[*axis]).collect();
        let value = writer.view(value, shape_of(&stored))?;
        Ok(Pixels { value, sides, ..x.clone() })
    }

    /// `op` on images `[H, W, C]`.
    fn on_image(
        &self,
        writer: &mut Writer,
        x: &Pixels,
        op: impl Into<crate::nn::Op>,
    ) -> Result<Pixels> {
        let x = image(writer, x)?;
        let mut sides = x.sides.clone();
        sides[2..].copy_from_slice(&self.outputs);
        Ok(Pixels { value: writer.push(op, &[x.value])?, sides, ..x })
    }
}

/// `x` of sides `[1, C, H, W]` as an image of the engine.
pub(super) fn image(writer: &mut Writer, x: &Pixels) -> Result<Pixels> {
    let mut x = writer.arrange(x, &[0, 2, 3, 1])?;
    let shape = Shape::of_image([x.sides[2], x.sides[3]], x.sides[1]);
    x.value = writer.view(x.value, shape)?;
    Ok(x)
}

/// The input of an operator on pixels.
fn pixels<'a>(call: &'a Call<'_>) -> Result<&'a Pixels> {
    let x = call.pixels(0)?;
    if x.sides.len() < 3 {
        let problem = format!("needs pixels, gets sides {:?}", x.sides);
        return Err(call.error(problem, "export the network again"));
    }
    call.apart(x, &(2..x.sides.len()).collect::<Vec<_>>())?;
    Ok(x)
}

pub(super) fn maximum(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = pixels(call)?;
    if call.node.outputs.get(1).is_some_and(|name| !name.is_empty()) {
        return Err(call.error(
            "gives the places of its maxima",
            "whole numbers have no gradient: export the network without MaxUnpool",
        ));
    }
    let windows = Windows::of_pool(call, &x.sides[2..])?;
    let x = windows.padded(writer, x, f64::NEG_INFINITY)?;
    let pooled = match windows.square() {
        Some(window) if x.sides[0] == 1 => windows.on_image(writer, &x, MaxPool(window))?,
        _ => windows.reduced(writer, &x, Reduction::Max)?,
    };
    Ok(vec![pooled.into()])
}

pub(super) fn average(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = pixels(call)?;
    let windows = Windows::of_pool(call, &x.sides[2..])?;
    let all = call.node.flag_or("count_include_pad", false)?;
    fitting(&windows.outputs)?;
    for (outputs, kernel) in windows.outputs.iter().zip(&windows.kernel) {
        fitting(&[*outputs, *kernel])?;
    }
    // How many places of each window count, axis by axis.
    let counts = (0..windows.kernel.len()).map(|i| {
        let (before, side) = (windows.before[i], x.sides[i + 2]);
        let (from, to) =
            if all { (0, before + side + windows.after[i]) } else { (before, before + side) };
        let inside = |place: usize| usize::from((from..to).contains(&place));
        let count = |o: usize| {
            let places =
                (0..windows.kernel[i]).map(|k| o * windows.strides[i] + k * windows.dilations[i]);
            places.map(inside).sum::<usize>()
        };
        (0..windows.outputs[i]).map(count).collect::<Vec<_>>()
    });
    let mut products = vec![1_usize];
    for counts in counts {
        products =
            products.iter().flat_map(|n| counts.iter().map(move |count| n * count)).collect();
    }
    let volume: usize = windows.kernel.iter().product();
    let padded = windows.padded(writer, x, 0.0)?;
    let (pooled, share) = match windows.square() {
        Some(window) if x.sides[0] == 1 => {
            (windows.on_image(writer, &padded, AvgPool(window))?, volume as f32)
        }
        _ => (windows.reduced(writer, &padded, Reduction::Sum)?, 1.0),
    };
    let factors: Vec<f32> = products.iter().map(|count| share / (*count).max(1) as f32).collect();
    let factors = match factors.first() {
        Some(first) if factors.iter().all(|factor| factor == first) => Constant::scalar(*first),
        _ => Constant::floats(windows.outputs.clone(), factors),
    };
    if factors.as_floats() == Some(&[1.0]) {
        return Ok(vec![pooled.into()]);
    }
    Ok(vec![writer.affine(&pooled, Some(&factors), None)?.into()])
}

/// The `p`-norm of every window.
pub(super) fn power(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = pixels(call)?;
    let windows = Windows::of_pool(call, &x.sides[2..])?;
    let p = match call.node.attributes.get("p") {
        Some(crate::onnx::graph::Attribute::Float(p)) => f64::from(*p),
        _ => call.node.int_or("p", 2)? as f64,
    };
    let x = windows.padded(writer, x, 0.0)?;
    let pooled = if p == 2.0 {
        windows.reduced(writer, &x, Reduction::L2)?
    } else {
        let absolute = writer.map(&x, Pointwise(Function::Abs))?;
        let powers = writer.map(&absolute, Pointwise(Function::Power(p)))?;
        let sums = windows.reduced(writer, &powers, Reduction::Sum)?;
        writer.map(&sums, Pointwise(Function::Power(1.0 / p)))?
    };
    Ok(vec![pooled.into()])
}

pub(super) fn global_average(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = pixels(call)?;
    let axes: Vec<usize> = (2..x.sides.len()).collect();
    Ok(vec![of_axes(writer, x, &axes, Reduction::Mean)?.into()])
}

pub(super) fn global_maximum(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = pixels(call)?;
    let axes: Vec<usize> = (2..x.sides.len()).collect();
    Ok(vec![of_axes(writer, x, &axes, Reduction::Max)?.into()])
}
