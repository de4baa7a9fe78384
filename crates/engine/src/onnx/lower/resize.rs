//! Larger and smaller images: interpolation, axis by axis, and channels that become pixels and back.

use super::call::Call;
use super::held::{Held, Pixels};
use super::matrix::transpose;
use super::moving::padded;
use super::reshape::renamed;
use super::writer::{Places, Writer};
use crate::error::Result;
use crate::nn::Sum;
use crate::onnx::graph::Constant;

/// How places of the result are places of the image.
struct Rule {
    mode: String,
    coordinates: String,
    nearest: String,
    cubic: f64,
    /// Neighbours outside the image do not count.
    inside_only: bool,
}

impl Rule {
    /// Where place `i` of `to` is on an axis of `from` places.
    fn source(&self, call: &Call<'_>, i: usize, from: usize, to: usize, scale: f64) -> Result<f64> {
        let place = i as f64;
        let half = (place + 0.5) / scale - 0.5;
        Ok(match self.coordinates.as_str() {
            "half_pixel" => half,
            "pytorch_half_pixel" => {
                if to > 1 {
                    half
                } else {
                    0.0
                }
            }
            // The length that is asked for, which may not be whole.
            "align_corners" if to > 1 => place * (from - 1) as f64 / (scale * from as f64 - 1.0),
            "align_corners" => 0.0,
            "asymmetric" => place / scale,
            "half_pixel_symmetric" => {
                let adjustment = to as f64 / (scale * from as f64);
                from as f64 / 2.0 * (1.0 - adjustment) + half
            }
            other => {
                let problem = format!("coordinate_transformation_mode {other} is not supported");
                return Err(call.error(problem, "use half_pixel, asymmetric or align_corners"));
            }
        })
    }

    /// The neighbours of a place and their weights.
    fn taps(&self, call: &Call<'_>, x: f64) -> Result<Vec<(i64, f64)>> {
        let floor = x.floor();
        let (first, part) = (floor as i64, x - floor);
        Ok(match self.mode.as_str() {
            "nearest" => {
                let place = match self.nearest.as_str() {
                    "round_prefer_floor" => (x - 0.5).ceil(),
                    "round_prefer_ceil" => (x + 0.5).floor(),
                    "floor" => floor,
                    "ceil" => x.ceil(),
                    other => {
                        let problem = format!("nearest_mode {other} is unknown");
                        return Err(call.error(problem, "export the network again"));
                    }
                };
                vec![(place as i64, 1.0)]
            }
            "linear" | "bilinear" => vec![(first, 1.0 - part), (first + 1, part)],
            "cubic" => {
                // Keys 1981 with the parameter of the file.
                let a = self.cubic;
                let near = |t: f64| ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0;
                let far = |t: f64| ((a * t - 5.0 * a) * t + 8.0 * a) * t - 4.0 * a;
                vec![
                    (first - 1, far(part + 1.0)),
                    (first, near(part)),
                    (first + 1, near(1.0 - part)),
                    (first + 2, far(2.0 - part)),
                ]
            }
            other => {
                let problem = format!("mode {other} is unknown");
                return Err(call.error(problem, "nearest, linear and cubic are supported"));
            }
        })
    }
}

/// `x` with `to` places on `axis`.
fn stretched(
    writer: &mut Writer,
    call: &Call<'_>,
    rule: &Rule,
    x: &Pixels,
    (axis, to, scale): (usize, usize, f64),
) -> Result<Pixels> {
    let from = x.sides[axis];
    let mut taps: Vec<(Places, Vec<f32>)> = Vec::new();
    for i in 0..to {
        let source = rule.source(call, i, from, to, scale)?;
        let mut neighbours = rule.taps(call, source)?;
        if rule.inside_only {
            let inside = |place: i64| (0..from as i64).contains(&place);
            let total: f64 = neighbours.iter().filter(|n| inside(n.0)).map(|n| n.1).sum();
            for (place, weight) in &mut neighbours {
                *weight = if inside(*place) { *weight / total } else { 0.0 };
            }
        }
        for (k, (place, weight)) in neighbours.into_iter().enumerate() {
            if taps.len() <= k {
                taps.push((Vec::new(), Vec::new()));
            }
            let place = place.clamp(0, from as i64 - 1) as usize;
            taps[k].0.push(Some(place));
            taps[k].1.push(weight as f32);
        }
    }
    let mut terms = Vec::new();
    let mut result = x.clone();
    for (places, weights) in taps {
        let term = padded(writer, x, axis, places, 0.0)?;
        let mut sides = vec![1; x.sides.len()];
        sides[axis] = to;
        result = match weights.iter().all(|weight| *weight == 1.0) {
            true => term,
            false => writer.affine(&term, Some(&Constant::floats(sides, weights)), None)?,
        };
        terms.push(result.value);
    }
    if terms.len() > 1 {
        let shape = writer.shape(terms[0]);
        for term in &mut terms {
            *term = writer.view(*term, shape)?;
        }
        result.value = writer.push(Sum, &terms)?;
    }
    Ok(result)
}

/// The places and the scale of each axis, by scales or by sizes.
fn lengths(
    call: &Call<'_>,
    x: &Pixels,
    axes: &[usize],
    scales: Option<&Constant>,
    sizes: Option<Vec<i64>>,
) -> Result<Vec<(usize, usize, f64)>> {
    let mut lengths = Vec::new();
    for (i, axis) in axes.iter().enumerate() {
        let side = x.sides[*axis];
        let (to, scale) = match (scales.and_then(Constant::as_floats), &sizes) {
            (Some(scales), _) if scales.len() == axes.len() => {
                let scale = f64::from(scales[i]);
                ((side as f64 * scale).floor(), scale)
            }
            (_, Some(sizes)) if sizes.len() == axes.len() => {
                (sizes[i] as f64, sizes[i] as f64 / side as f64)
            }
            _ => return Err(call.error("neither scales nor sizes fit", "export it again")),
        };
        if !(1.0..=1_048_576.0).contains(&to) || !scale.is_finite() {
            return Err(call.error(format!("{side} places become {to}"), "export it again"));
        }
        lengths.push((*axis, to as usize, scale));
    }
    Ok(lengths)
}

fn by_axes(
    writer: &mut Writer,
    call: &Call<'_>,
    rule: &Rule,
    lengths: Vec<(usize, usize, f64)>,
) -> Result<Vec<Held>> {
    let mut x = call.pixels(0)?.clone();
    for (axis, to, scale) in lengths {
        let images = if writer.fixed { writer.many } else { 1 };
        let counted = x.batch_axis() == Some(axis) && to == images * x.sides[axis];
        if (to == x.sides[axis] && scale == 1.0) || counted {
            continue;
        }
        call.apart(&x, &[axis])?;
        x = stretched(writer, call, rule, &x, (axis, to, scale))?;
    }
    Ok(vec![x.into()])
}

pub(super) fn resize(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    let (node, rank) = (call.node, x.sides.len());
    let text = |name: &str, default: &str| -> Result<String> {
        Ok(node.text(name)?.unwrap_or(default).to_string())
    };
    // The first version of the operator had no settings but the mode, and two inputs.
    let first = call.opset < 11;
    let mut rule = Rule {
        mode: text("mode", "nearest")?,
        coordinates: text("coordinate_transformation_mode", "half_pixel")?,
        nearest: text("nearest_mode", "round_prefer_floor")?,
        cubic: f64::from(node.float_or("cubic_coeff_a", -0.75)?),
        inside_only: node.flag_or("exclude_outside", false)?,
    };
    if first {
        (rule.coordinates, rule.nearest) = ("asymmetric".into(), "floor".into());
    }
    let policy = text("keep_aspect_ratio_policy", "stretch")?;
    if node.flag_or("antialias", false)? || policy != "stretch" {
        return Err(call.error(
            "antialias and keep_aspect_ratio_policy are not supported",
            "export the network without them",
        ));
    }
    let axes = match node.ints("axes")? {
        None => (0..rank).collect(),
        Some(axes) => {
            axes.into_iter().map(|axis| node.axis(axis, rank)).collect::<Result<Vec<_>>>()?
        }
    };
    let given = |constant: &std::sync::Arc<Constant>| !constant.is_empty();
    let scales = call.constant(if first { 1 } else { 2 })?.filter(given);
    let sizes = match first {
        true => None,
        false => call.ints_of_both("", 3)?,
    };
    let sizes = match sizes {
        None => None,
        Some([one, many]) => {
            // Only the axis of the images may be longer for more of them.
            let counted = axes.iter().zip(one.iter().zip(&many));
            if counted.clone().any(|(axis, (a, b))| a != b && x.batch_axis() != Some(*axis)) {
                return Err(call.mixes());
            }
            Some(one)
        }
    };
    let lengths = lengths(call, x, &axes, scales.as_deref(), sizes)?;
    by_axes(writer, call, &rule, lengths)
}

pub(super) fn upsample(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let x = call.pixels(0)?;
    let rule = Rule {
        mode: call.node.text("mode")?.unwrap_or("nearest").into(),
        coordinates: "asymmetric".into(),
        nearest: "floor".into(),
        cubic: -0.75,
        inside_only: false,
    };
    let scales = match call.node.floats("scales")? {
        Some(scales) => Constant::floats([scales.len()], scales),
        None => call.weight(1)?.as_ref().clone(),
    };
    let axes: Vec<usize> = (0..x.sides.len()).collect();
    let lengths = lengths(call, x, &axes, Some(&scales), None)?;
    by_axes(writer, call, &rule, lengths)
}

/// The side of a block, and the sides of an image that is made of blocks.
fn blocks(call: &Call<'_>) -> Result<(usize, [usize; 4])> {
    let x = call.pixels(0)?;
    let block = usize::try_from(call.node.int_or("blocksize", 0)?).unwrap_or(0);
    match <[usize; 4]>::try_from(x.sides.clone()) {
        Ok(sides) if block > 0 && block < 1 << 10 => Ok((block, sides)),
        _ => Err(call.error("needs an image and a block size", "export the network again")),
    }
}

pub(super) fn depth_to_space(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let (b, [n, c, h, w]) = blocks(call)?;
    if c % (b * b) != 0 {
        return Err(call.error(format!("{c} channels make no blocks of {b}"), "export it again"));
    }
    let depth = c / (b * b);
    let (sides, axes) = match call.node.text("mode")?.unwrap_or("DCR") {
        "DCR" => (vec![n, b, b, depth, h, w], [0, 3, 4, 1, 5, 2]),
        "CRD" => (vec![n, depth, b, b, h, w], [0, 1, 4, 2, 5, 3]),
        other => return Err(call.error(format!("mode {other} is unknown"), "export it again")),
    };
    let parts = renamed(writer, call, call.pixels(0)?, sides)?;
    let moved = transpose(&parts, &axes);
    Ok(vec![renamed(writer, call, &moved, vec![n, depth, h * b, w * b])?.into()])
}

pub(super) fn space_to_depth(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let (b, [n, c, h, w]) = blocks(call)?;
    if h % b != 0 || w % b != 0 {
        return Err(
            call.error(format!("{h} x {w} pixels make no blocks of {b}"), "export it again")
        );
    }
    let parts = renamed(writer, call, call.pixels(0)?, vec![n, c, h / b, b, w / b, b])?;
    // From operator set 28 on the channels of a block may come in either order.
    let axes = match call.node.text("mode")?.unwrap_or("DCR") {
        "DCR" => [0, 3, 5, 1, 2, 4],
        "CRD" => [0, 1, 3, 5, 2, 4],
        other => return Err(call.error(format!("mode {other} is unknown"), "export it again")),
    };
    let moved = transpose(&parts, &axes);
    Ok(vec![renamed(writer, call, &moved, vec![n, c * b * b, h / b, w / b])?.into()])
}
