//! Convolution of NHWC images with fixed weights: the forward pass and its pullback to the images.
//! There is no weight gradient: a network under test is frozen. Weights are packed once per network and
//! direction ([`pack_forward`], [`pack_backward`]), for the form that is fastest for them.

mod depthwise;
mod direct;
pub mod gelu;
mod plain;
mod rounded;
mod view;
mod winograd;

use std::mem::MaybeUninit;

use candle_core::{DType, Device, Tensor};

use view::View;

use crate::error::{Error, Result};
use crate::ops::bf16::Unit;
use crate::ops::product::{Finish, Weights};
use crate::ops::{Real, activation, elementwise, fresh, scratch, with_slice};

/// Zero padding of the four sides, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns on the left.
    pub left: usize,
    /// Columns on the right.
    pub right: usize,
}

impl Padding {
    /// The same padding on all sides.
    pub fn all(pixels: usize) -> Self {
        Self { top: pixels, bottom: pixels, left: pixels, right: pixels }
    }
}

/// Everything about a convolution but its weights and the size of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Geometry {
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal step.
    pub stride: [usize; 2],
    /// Zero padding.
    pub padding: Padding,
    /// Distance between kernel taps.
    pub dilation: [usize; 2],
    /// Number of groups of channels that do not see each other.
    pub groups: usize,
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
}

impl Geometry {
    /// Height and width of the output for an input of this size; `None` if the kernel does not fit.
    pub fn output(&self, height: usize, width: usize) -> Option<[usize; 2]> {
        let p = self.padding;
        let along = |size: usize, axis: usize| {
            let reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            Some(size.checked_sub(reach)? / self.stride[axis] + 1)
        };
        Some([along(height + p.top + p.bottom, 0)?, along(width + p.left + p.right, 1)?])
    }

    /// Input channels of one group.
    fn group_inputs(&self) -> usize {
        self.inputs / self.groups
    }

    /// Output channels of one group.
    fn group_outputs(&self) -> usize {
        self.outputs / self.groups
    }

    /// Length of the dot product behind one output value.
    pub(crate) fn depth(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.group_inputs()
    }

    /// Whether the forward pass in f32 is by minimal filtering and not by the definition.
    pub(crate) fn filters_minimally(&self) -> bool {
        !depthwise::is(self) && winograd::pays(self)
    }

    /// Whether factors are rounded to bf16 if the network's are to be.
    pub(crate) fn rounds(&self) -> bool {
        !depthwise::is(self) && rounded::pays(self)
    }

    /// Whether the pullback is computed as a convolution of the cotangent with the turned kernel. It
    /// needs stride 1; with very few input channels the other form has the better-shaped product.
    fn pullback_is_convolution(&self) -> bool {
        self.stride == [1, 1]
            && (self.group_inputs() >= 8 || depthwise::is(self))
            && self.turned().is_some()
    }

    /// The convolution that maps the cotangent to the gradient, for stride 1.
    fn turned(&self) -> Option<Self> {
        let p = self.padding;
        let reach = [0, 1].map(|axis| self.dilation[axis] * (self.kernel[axis] - 1));
        Some(Self {
            padding: Padding {
                top: reach[0].checked_sub(p.top)?,
                bottom: reach[0].checked_sub(p.bottom)?,
                left: reach[1].checked_sub(p.left)?,
                right: reach[1].checked_sub(p.right)?,
            },
            inputs: self.outputs,
            outputs: self.inputs,
            ..*self
        })
    }
}

/// Weights, packed for one direction.
#[derive(Debug, Clone)]
pub struct Packed(Method);

#[derive(Debug, Clone)]
enum Method {
    /// A convolution by minimal filtering.
    Winograd(Vec<Weights>),
    /// A convolution by the definition, a factor per group.
    Direct(Vec<Weights>),
    /// A convolution of every channel with itself.
    Depthwise(Vec<f32>),
    /// The pullback of a convolution with stride, a factor per group.
    Scatter(Vec<Weights>),
    /// One of the directions with factors in bf16.
    Rounded(rounded::Correlations),
    /// One of the directions in f64.
    Plain(Vec<f64>),
}

/// The form and the packed weights of a convolution.
fn pack(geo: &Geometry, at: impl Fn(usize, usize, usize, usize) -> f32) -> Method {
    if depthwise::is(geo) {
        Method::Depthwise(depthwise::pack(geo, at))
    } else if geo.filters_minimally() {
        Method::Winograd(winograd::pack(geo, |tap, i, o| at(0, tap, i, o)))
    } else {
        Method::Direct(direct::pack(geo, at))
    }
}

/// Reads weights `[O, I / groups, kh, kw]` as (group, tap, input, output).
fn reader<T: Real>(w: &[T], geo: &Geometry) -> impl Fn(usize, usize, usize, usize) -> T {
    let (depth, outputs, taps) = (geo.depth(), geo.group_outputs(), geo.kernel[0] * geo.kernel[1]);
    move |group, tap, i, o| w[(group * outputs + o) * depth + i * taps + tap]
}

/// Packs weights `[O, I / groups, kh, kw]`, f32 or f64, for [`forward`]. With a `unit`, f32 factors are rounded
/// to bf16 and multiplied by it, where that is not slower than in f32.
///
/// # Errors
/// If the tensor is not on the CPU or of another type.
pub fn pack_forward(weight: &Tensor, geo: &Geometry, unit: Option<Unit>) -> Result<Packed> {
    Ok(Packed(match weight.dtype() {
        DType::F64 => {
            with_slice::<f64, _>(weight, |w| Ok(Method::Plain(plain::pack(geo, reader(w, geo)))))?
        }
        _ => with_slice::<f32, _>(weight, |w| {
            let at = reader(w, geo);
            Ok(match unit {
                Some(unit) if geo.rounds() => Method::Rounded(rounded::pack(geo, unit, at)),
                _ => pack(geo, at),
            })
        })?,
    }))
}

/// Packs weights `[O, I / groups, kh, kw]`, f32 or f64, for [`pullback`]; `unit` as for [`pack_forward`].
///
/// # Errors
/// If the tensor is not on the CPU or of another type.
pub fn pack_backward(weight: &Tensor, geo: &Geometry, unit: Option<Unit>) -> Result<Packed> {
    if weight.dtype() == DType::F64 {
        let pack = |w: &[f64]| Ok(Method::Plain(plain::pack_pullback(geo, reader(w, geo))));
        return Ok(Packed(with_slice::<f64, _>(weight, pack)?));
    }
    Ok(Packed(with_slice::<f32, _>(weight, |w| {
        let at = reader(w, geo);
        if let Some(unit) = unit
            && geo.rounds()
        {
            return Ok(Method::Rounded(rounded::pack_pullback(geo, unit, at)));
        }
        Ok(match geo.turned() {
            Some(turned) if geo.pullback_is_convolution() => {
                let last = geo.kernel[0] * geo.kernel[1] - 1;
                pack(&turned, |group, tap, o, i| at(group, last - tap, i, o))
            }
            _ if depthwise::is(geo) => Method::Depthwise(depthwise::pack(geo, at)),
            _ => Method::Scatter(direct::pack_scatter(geo, at)),
        })
    })?))
}

/// What is added to the sums of a convolution, and what is done to them then.
#[derive(Debug, Clone, Copy, Default)]
pub struct End<'a> {
    /// `[O]`.
    pub bias: Option<&'a Tensor>,
    /// Of the shape of the result, added after the bias; not with factors in bf16.
    pub onto: Option<&'a Tensor>,
    /// They are cut at 0.
    pub relu: bool,
    /// With factors in bf16, the result is stored in it.
    pub narrow: bool,
}

/// Convolves `x` `[N, H, W, I]` with packed weights, and ends as `end` says; gives `[N, H', W', O]`. With factors in
/// bf16, `x` may be stored in it.
///
/// # Errors
/// If the kernel does not fit into the padded image, or a tensor is not on the CPU, of another type
/// than the weights or of another number of channels.
#[allow(unsafe_code)]
pub fn forward(x: &Tensor, packed: &Packed, end: End<'_>, geo: &Geometry) -> Result<Tensor> {
    let End { bias, onto, relu, narrow } = end;
    let (n, height, width, channels) = x.dims4()?;
    check_channels(geo, channels, geo.inputs)?;
    let Some([out_height, out_width]) = geo.output(height, width) else {
        return Err(kernel_too_large(geo, height, width));
    };
    let view = View { height, width, out_height, out_width };
    let shape = (n, out_height, out_width, geo.outputs);
    let len = n * view.pixels() * geo.outputs;
    if let Method::Plain(weights) = &packed.0 {
        let bias = bias.map(Tensor::to_vec1::<f64>).transpose()?;
        let mut out = vec![0.0; len];
        with_slice::<f64, _>(x, |x| {
            let cut = relu && onto.is_none();
            plain::convolve(x, weights, bias.as_deref(), cut, geo, view, &mut out);
            Ok(())
        })?;
        let y = Tensor::from_vec(out, shape, &Device::Cpu)?;
        return match onto {
            Some(onto) if relu => activation::relu(&elementwise::add(&y, onto)?),
            Some(onto) => elementwise::add(&y, onto),
            None => Ok(y),
        };
    }
    let bias = bias.map(Tensor::to_vec1::<f32>).transpose()?;
    if let Method::Rounded(correlations) = &packed.0 {
        let finish = Finish { bias: bias.as_deref(), onto: None, relu };
        return match onto {
            Some(_) => Err(foreign_weights()),
            None => rounded::apply(x, correlations, finish, view, narrow),
        };
    }
    let out = with_slice::<f32, _>(x, |x| {
        with_summands(onto, &[n, out_height, out_width, geo.outputs], |onto| {
            let finish = Finish { bias: bias.as_deref(), onto, relu };
            // SAFETY: `convolve` writes every element.
            unsafe { fresh::vector(len, |out| convolve(x, packed, finish, geo, view, out)) }
        })
    })?;
    Ok(Tensor::from_vec(out, shape, &Device::Cpu)?)
}

/// Gradient `[N, height, width, I]` for a cotangent `g` `[N, H', W', O]`; `size` is the input's
/// height and width, `packed` comes from [`pack_backward`]; `onto`, of the shape of the gradient, is added to it;
/// `narrow` as for [`forward`].
///
/// # Errors
/// If a tensor is not on the CPU, of another type than the weights or of another number of channels.
#[allow(unsafe_code)]
pub fn pullback(
    g: &Tensor,
    packed: &Packed,
    [height, width]: [usize; 2],
    geo: &Geometry,
    onto: Option<&Tensor>,
    narrow: bool,
) -> Result<Tensor> {
    let (n, out_height, out_width, channels) = g.dims4()?;
    check_channels(geo, channels, geo.outputs)?;
    let view = View { height, width, out_height, out_width };
    let shape = (n, height, width, geo.inputs);
    let len = n * height * width * geo.inputs;
    if let Method::Plain(weights) = &packed.0 {
        let mut grad = vec![0.0; len];
        with_slice::<f64, _>(g, |g| {
            plain::pullback(g, weights, geo, view, &mut grad);
            Ok(())
        })?;
        let grad = Tensor::from_vec(grad, shape, &Device::Cpu)?;
        return onto.map_or_else(|| Ok(grad.clone()), |onto| elementwise::add(&grad, onto));
    }
    if let Method::Rounded(correlations) = &packed.0 {
        let view = view.turned();
        let grad = rounded::apply(g, correlations, Finish::default(), view, narrow)?;
        return onto.map_or_else(|| Ok(grad.clone()), |onto| elementwise::add(&grad, onto));
    }
    let grad = with_slice::<f32, _>(g, |g| {
        with_summands(onto, &[n, height, width, geo.inputs], |onto| {
            let mut grad = match (&packed.0, geo.turned()) {
                (_, Some(turned)) if geo.pullback_is_convolution() => {
                    let (finish, view) = (Finish { onto, ..Finish::default() }, view.turned());
                    let write = |out: &mut [_]| convolve(g, packed, finish, &turned, view, out);
                    // SAFETY: `convolve` writes every element.
                    return unsafe { fresh::vector(len, write) };
                }
                _ => vec![0.0; len],
            };
            match &packed.0 {
                Method::Scatter(weights) => {
                    scratch::with(|s| direct::scatter(g, weights, geo, view, s, &mut grad));
                }
                Method::Depthwise(weights) => depthwise::scatter(g, weights, geo, view, &mut grad),
                _ => return Err(foreign_weights()),
            }
            for (grad, onto) in grad.iter_mut().zip(onto.unwrap_or_default()) {
                *grad += *onto;
            }
            Ok(grad)
        })
    })?;
    Ok(Tensor::from_vec(grad, shape, &Device::Cpu)?)
}

/// Calls `work` with the numbers of `onto`, if there is such a tensor.
fn with_summands<R>(
    onto: Option<&Tensor>,
    shape: &[usize],
    work: impl FnOnce(Option<&[f32]>) -> Result<R>,
) -> Result<R> {
    match onto {
        None => work(None),
        Some(onto) if onto.dims() == shape => with_slice::<f32, _>(onto, |onto| work(Some(onto))),
        Some(onto) => {
            let problem = format!("{:?} is no summand of {shape:?}", onto.dims());
            Err(candle_core::Error::Msg(problem).into())
        }
    }
}

/// Writes every element of `out` or fails.
fn convolve(
    x: &[f32],
    packed: &Packed,
    finish: Finish<'_>,
    geo: &Geometry,
    view: View,
    out: &mut [MaybeUninit<f32>],
) -> Result<()> {
    match &packed.0 {
        Method::Winograd(weights) => {
            scratch::with(|s| winograd::convolve(x, weights, finish, geo, view, s, out));
        }
        Method::Direct(weights) => {
            scratch::with(|s| direct::convolve(x, weights, finish, geo, view, s, out));
        }
        Method::Depthwise(weights) => {
            scratch::with(|s| depthwise::convolve(x, weights, finish, geo, view, s, out));
        }
        Method::Rounded(_) | Method::Scatter(_) | Method::Plain(_) => return Err(foreign_weights()),
    }
    Ok(())
}

fn check_channels(geo: &Geometry, given: usize, wanted: usize) -> Result<()> {
    if given == wanted && [geo.inputs, geo.outputs].iter().all(|c| c.is_multiple_of(geo.groups)) {
        return Ok(());
    }
    Err(Error::setting(
        "convolution",
        format!(
            "{} -> {} channels in {} groups, given {given}",
            geo.inputs, geo.outputs, geo.groups
        ),
        "check the channels of the network",
    ))
}

fn foreign_weights() -> Error {
    candle_core::Error::Msg("convolution: the weights are packed for the other direction".into())
        .into()
}

fn kernel_too_large(geo: &Geometry, height: usize, width: usize) -> Error {
    Error::setting(
        "convolution",
        format!("kernel {:?} does not fit into an image of {height} x {width}", geo.kernel),
        "check the input size of the network",
    )
}

#[cfg(test)]
mod tests;
