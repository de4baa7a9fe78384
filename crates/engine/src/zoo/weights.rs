//! Named weights on their way into a network: read from a file, or fresh variables for training. An
//! architecture asks for layers by name and shape; what does not fit is collected, so that one error
//! names every key.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Device, Tensor, Var};

use super::{Architecture, Normalisation};
use crate::error::{Error, Result};
use crate::nn::{Affine, Conv2d, Layer, LayerNorm, Linear, Normalise};
use crate::rng::Stream;

/// Most tensors that are missed before it is clear that the file is of another network: its sizes may come
/// from a damaged file, and make any number of layers.
const MISSED: usize = 1 << 14;

/// Where weights come from.
pub trait Source {
    /// The tensor of this name and shape. `Ok(None)`: there is none, or it does not fit, which the
    /// source remembers for [`Source::problems`].
    ///
    /// # Errors
    /// If the device fails.
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Option<Tensor>>;

    /// What did not fit, once everything was taken: one line per key. Keys that are `unused` may be
    /// left over.
    fn problems(&self, unused: fn(&str) -> bool) -> Vec<String>;
}

/// Weights that were read from a file.
pub struct Stored {
    tensors: BTreeMap<String, Tensor>,
    taken: BTreeSet<String>,
    problems: Vec<String>,
}

impl Stored {
    /// Takes tensors of any float type; they become f32.
    pub fn new(tensors: BTreeMap<String, Tensor>) -> Self {
        Self { tensors, taken: BTreeSet::new(), problems: Vec::new() }
    }
}

impl Source for Stored {
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Option<Tensor>> {
        self.taken.insert(name.to_string());
        if self.problems.len() > MISSED {
            return Err(Error::setting(
                "weights",
                format!("more than {MISSED} tensors are missing or of another shape"),
                "correct the parameters of the model file or convert the checkpoint again",
            ));
        }
        let Some(tensor) = self.tensors.get(name) else {
            self.problems.push(format!("missing: {name} {shape:?}"));
            return Ok(None);
        };
        if tensor.dims() != shape {
            let found = tensor.dims();
            self.problems.push(format!("wrong shape: {name} is {found:?} instead of {shape:?}"));
            return Ok(None);
        }
        let tensor = tensor.to_dtype(DType::F32)?;
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            self.problems.push(format!("not finite: {name} holds {} at element {i}", values[i]));
            return Ok(None);
        }
        Ok(Some(tensor))
    }

    fn problems(&self, unused: fn(&str) -> bool) -> Vec<String> {
        let left_over = self
            .tensors
            .keys()
            .filter(|name| !self.taken.contains(*name) && !name.ends_with("num_batches_tracked"))
            .filter(|name| !unused(name))
            .map(|name| format!("unexpected: {name}"));
        self.problems.iter().cloned().chain(left_over).collect()
    }
}

/// Variables for training, made when they are first asked for: uniform in +-1/sqrt(fan in), a function
/// of the seed and the names; norms start as the identity. Asked again, it gives the same variables,
/// so a network built later shares them.
pub struct Fresh {
    seed: u64,
    /// The variables by name, in the order of the names.
    pub variables: BTreeMap<String, Var>,
}

impl Fresh {
    /// No variables yet; building a network makes them.
    pub fn new(seed: u64) -> Self {
        Self { seed, variables: BTreeMap::new() }
    }
}

impl Source for Fresh {
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Option<Tensor>> {
        if let Some(variable) = self.variables.get(name) {
            return Ok(Some(variable.as_tensor().clone()));
        }
        // A bias has the fan in of the weight it belongs to, which was asked for just before it.
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let weight = self.variables.get(&format!("{stem}.weight"));
        let weight = if shape.len() == 1 { weight.map(|w| w.dims()) } else { Some(shape) };
        let fan_in: Option<usize> =
            weight.filter(|w| w.len() > 1).map(|weight| weight[1..].iter().product());
        let mut values = vec![0.0_f32; shape.iter().product()];
        match fan_in {
            Some(fan_in) => {
                let bound = 1.0 / (fan_in.max(1) as f32).sqrt();
                Stream::new(self.seed, name).draw(0, 0).uniform(&mut values);
                values.iter_mut().for_each(|v| *v = (2.0 * *v - 1.0) * bound);
            }
            // Of a norm: weight and variance are 1, bias and mean 0.
            None => {
                let one = name.ends_with("weight") || name.ends_with("var");
                values.fill(if one { 1.0 } else { 0.0 });
            }
        }
        let variable = Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu)?)?;
        let tensor = variable.as_tensor().clone();
        self.variables.insert(name.to_string(), variable);
        Ok(Some(tensor))
    }

    fn problems(&self, _: fn(&str) -> bool) -> Vec<String> {
        Vec::new()
    }
}

/// A source with a place in the tree of names: what an architecture's builder sees.
pub struct Weights<'a> {
    source: &'a mut dyn Source,
    scope: String,
}

impl<'a> Weights<'a> {
    pub(super) fn new(source: &'a mut dyn Source) -> Self {
        Self { source, scope: String::new() }
    }

    /// The names below `scope`: `weights.at("layer1.0").conv("conv1", ...)`.
    pub fn at(&mut self, scope: impl std::fmt::Display) -> Weights<'_> {
        Weights { scope: format!("{}{scope}.", self.scope), source: &mut *self.source }
    }

    /// The tensor of this name; zeros stand in for one that does not fit, until `finish` reports it.
    ///
    /// # Errors
    /// If the device fails.
    pub fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        match self.source.take(&format!("{}{name}", self.scope), shape)? {
            Some(tensor) => Ok(tensor),
            // One zero seen many times: the shape may come from a damaged file.
            None => Ok(Tensor::zeros((), DType::F32, &Device::Cpu)?.broadcast_as(shape)?),
        }
    }

    /// A convolution without bias: `name.weight` `[outputs, inputs, kernel, kernel]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn conv(
        &mut self,
        name: &str,
        outputs: usize,
        inputs: usize,
        kernel: usize,
    ) -> Result<Conv2d> {
        Conv2d::new(
            self.tensor(&format!("{name}.weight"), &[outputs, inputs, kernel, kernel])?,
            None,
        )
    }

    /// A convolution without bias in groups: `name.weight` `[outputs, inputs / groups, kernel, kernel]`.
    ///
    /// # Errors
    /// If the device fails or the channels cannot be shared out evenly.
    pub fn conv_groups(
        &mut self,
        name: &str,
        outputs: usize,
        inputs: usize,
        kernel: usize,
        groups: usize,
    ) -> Result<Conv2d> {
        if groups == 0 || !inputs.is_multiple_of(groups) || !outputs.is_multiple_of(groups) {
            return Err(Error::setting(
                "groups",
                format!("{inputs} and {outputs} channels cannot be shared out to {groups} groups"),
                "correct the parameters of the model file or convert the checkpoint again",
            ));
        }
        Ok(self.conv(name, outputs, inputs / groups, kernel)?.groups(groups))
    }

    /// A convolution with `name.bias` `[outputs]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn conv_bias(
        &mut self,
        name: &str,
        outputs: usize,
        inputs: usize,
        kernel: usize,
    ) -> Result<Conv2d> {
        let weight = self.tensor(&format!("{name}.weight"), &[outputs, inputs, kernel, kernel])?;
        let bias = self.tensor(&format!("{name}.bias"), &[outputs])?;
        Conv2d::new(weight, Some(bias))
    }

    /// A fully connected layer with bias.
    ///
    /// # Errors
    /// If the device fails.
    pub fn linear(&mut self, name: &str, outputs: usize, inputs: usize) -> Result<Layer> {
        let weight = self.tensor(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = self.tensor(&format!("{name}.bias"), &[outputs])?;
        Ok(Linear::new(weight, Some(bias)).layer())
    }

    /// A fully connected layer that is published as a 1 x 1 convolution of a 1 x 1 image:
    /// `name.weight` `[outputs, inputs, 1, 1]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn pointwise(
        &mut self,
        name: &str,
        outputs: usize,
        inputs: usize,
        bias: bool,
    ) -> Result<Layer> {
        let weight = self.tensor(&format!("{name}.weight"), &[outputs, inputs, 1, 1])?;
        let bias = match bias {
            true => Some(self.tensor(&format!("{name}.bias"), &[outputs])?),
            false => None,
        };
        Ok(Linear::new(weight.squeeze(3)?.squeeze(2)?, bias).layer())
    }

    /// A fully connected layer behind [`crate::nn::flatten`] that is published as a convolution with a kernel as
    /// large as its image `[C, H, W]`: `name.weight` `[outputs, C, H, W]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn linear_of_image(
        &mut self,
        name: &str,
        outputs: usize,
        [channels, height, width]: [usize; 3],
    ) -> Result<Layer> {
        let shape = [outputs, channels, height, width];
        let weight = self.tensor(&format!("{name}.weight"), &shape)?.flatten_from(1)?;
        let bias = self.tensor(&format!("{name}.bias"), &[outputs])?;
        Ok(Linear::new(weight, Some(bias)).layer())
    }

    /// A fully connected layer of every pixel's channels, with bias: a convolution of 1 x 1 pixels.
    ///
    /// # Errors
    /// If the device fails.
    pub fn per_pixel(&mut self, name: &str, outputs: usize, inputs: usize) -> Result<Layer> {
        let [weight, bias] = ["weight", "bias"].map(|part| format!("{name}.{part}"));
        self.per_pixel_of(&weight, Some(&bias), outputs, inputs)
    }

    /// [`Weights::per_pixel`] with names of their own for the weight and the bias, if there is one.
    ///
    /// # Errors
    /// If the device fails.
    pub fn per_pixel_of(
        &mut self,
        weight: &str,
        bias: Option<&str>,
        outputs: usize,
        inputs: usize,
    ) -> Result<Layer> {
        let weight = self.tensor(weight, &[outputs, inputs])?.unsqueeze(2)?.unsqueeze(3)?;
        let bias = bias.map(|bias| self.tensor(bias, &[outputs])).transpose()?;
        Ok(Conv2d::new(weight, bias)?.layer())
    }

    /// A layer norm along the channels.
    ///
    /// # Errors
    /// If the device fails.
    pub fn layer_norm(&mut self, name: &str, channels: usize, eps: f64) -> Result<Layer> {
        let [weight, bias] =
            ["weight", "bias"].map(|part| self.tensor(&format!("{name}.{part}"), &[channels]));
        Ok(LayerNorm::new(weight?, bias?, eps).layer())
    }

    /// Factors per channel under `name`, of a shape with as many elements.
    ///
    /// # Errors
    /// If the device fails.
    pub fn layer_scale(&mut self, name: &str, shape: &[usize]) -> Result<Layer> {
        let scale = self.tensor(name, shape)?.flatten_all()?;
        let shift = scale.zeros_like()?;
        Ok(Affine::new(scale, shift).layer())
    }

    /// A batch norm without weights of its own: only the running statistics, epsilon 1e-5.
    ///
    /// # Errors
    /// If the device fails.
    pub fn batch_norm_fixed(&mut self, name: &str, channels: usize) -> Result<Layer> {
        let [mean, var] = ["running_mean", "running_var"]
            .map(|part| self.tensor(&format!("{name}.{part}"), &[channels]));
        Ok(Affine::batch_norm(&mean?, &var?, None, None, 1e-5)?.layer())
    }

    /// An evaluation-mode batch norm with its running statistics, epsilon 1e-5.
    ///
    /// # Errors
    /// If the device fails.
    pub fn batch_norm(&mut self, name: &str, channels: usize) -> Result<Layer> {
        let [weight, bias, mean, var] = ["weight", "bias", "running_mean", "running_var"]
            .map(|part| self.tensor(&format!("{name}.{part}"), &[channels]));
        Ok(Affine::batch_norm(&mean?, &var?, Some(&weight?), Some(&bias?), 1e-5)?.layer())
    }

    /// The input normalisation, which has constants, not weights.
    ///
    /// # Errors
    /// If the device fails.
    pub fn normalise(&mut self, normalisation: &Normalisation) -> Result<Layer> {
        let constant = |values: &[f64]| {
            let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
            Tensor::new(values, &Device::Cpu)
        };
        Ok(Normalise::new(constant(&normalisation.mean)?, constant(&normalisation.std)?).layer())
    }

    /// One error for everything that did not fit.
    pub(super) fn finish(self, architecture: &Architecture) -> Result<()> {
        let problems = self.source.problems(architecture.unused);
        if problems.is_empty() {
            return Ok(());
        }
        let shown = problems.iter().take(12).cloned().collect::<Vec<_>>().join("; ");
        let more = problems.len().saturating_sub(12);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        Err(Error::setting(
            "weights",
            format!("do not fit {}: {shown}{more}", architecture.name),
            "name the architecture the weights belong to, or export them again",
        ))
    }
}
