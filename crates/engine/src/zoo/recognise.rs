//! Which architecture the tensors of a file belong to, from their names and shapes alone. A family
//! measures its parameters; what counts in the end is that the whole network can be built from the
//! tensors with none missing and none left over. What names and shapes cannot tell is a doubt, said in
//! words for the user.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};

use super::constants::for_classes;
use super::parameters::{Parameters, Value};
use super::{ALL, Architecture, NetworkSettings, Normalisation, Stored};
use crate::error::Result;
use crate::nn::Program;

/// One way to read the tensors.
#[derive(Debug, Clone)]
pub struct Recognised {
    /// The architecture.
    pub architecture: &'static Architecture,
    /// Its parameters and everything else its builder needs.
    pub settings: NetworkSettings,
    /// What names and shapes do not tell and was assumed; empty if nothing was.
    pub doubts: Vec<Doubt>,
}

/// Something that was assumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// The parameter it is about, or `normalisation`.
    pub about: &'static str,
    /// What was assumed, as a sentence for the user.
    pub text: String,
}

/// Names and shapes of the tensors of a file.
pub struct Keys<'a>(&'a BTreeMap<String, Tensor>);

/// What a family measured.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// Its parameters, all of them.
    pub parameters: Parameters,
    /// Number of classes.
    pub classes: usize,
    /// `[C, H, W]`, if it shows in the tensors.
    pub input_shape: Option<[usize; 3]>,
    /// What was assumed.
    pub doubts: Vec<Doubt>,
}

impl Measured {
    /// Parameters by name.
    pub(super) fn new<const N: usize>(classes: usize, parameters: [(&str, Value); N]) -> Self {
        let parameters = parameters.map(|(name, value)| (name.to_string(), value)).into();
        Self { parameters, classes, ..Self::default() }
    }

    /// With images of this shape `[C, H, W]`.
    pub(super) fn of_images(mut self, shape: [usize; 3]) -> Self {
        self.input_shape = Some(shape);
        self
    }

    /// Adds a doubt.
    pub(super) fn doubt(mut self, about: &'static str, text: impl Into<String>) -> Self {
        self.doubts.push(Doubt { about, text: text.into() });
        self
    }
}

impl Keys<'_> {
    /// The shape of the tensor `name`.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.0.get(name).map(Tensor::dims)
    }

    /// Length of axis `axis` of the tensor `name`.
    pub fn size(&self, name: &str, axis: usize) -> Option<usize> {
        self.shape(name)?.get(axis).copied()
    }

    /// Whether there is a tensor `name`.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether some name starts with `prefix`.
    pub fn any(&self, prefix: &str) -> bool {
        self.0.range(prefix.to_string()..).next().is_some_and(|(name, _)| name.starts_with(prefix))
    }

    /// How many of `PREFIX0.`, `PREFIX1.`, ... start some name.
    pub fn children(&self, prefix: &str) -> usize {
        (0..).take_while(|i| self.any(&format!("{prefix}{i}."))).count()
    }

    /// [`Keys::children`] of each of several prefixes; `None` if one has none.
    pub fn blocks(&self, prefixes: &[&str]) -> Option<Vec<usize>> {
        prefixes.iter().map(|prefix| Some(self.children(prefix)).filter(|n| *n > 0)).collect()
    }
}

/// Names under which published files keep mean and standard deviation of the input normalisation.
const NORMALISATION: [(&str, &str); 7] = [
    ("mu", "sigma"),
    ("normalize.mean", "normalize.std"),
    ("mean", "std"),
    ("normalizer.mean", "normalizer.std"),
    // MadryLab's `robustness`.
    ("normalizer.new_mean", "normalizer.new_std"),
    ("normalize.new_mean", "normalize.new_std"),
    ("new_mean", "new_std"),
];

/// Removes the constants of an input normalisation from the tensors, if they hold one; constants that
/// cannot be one stay, and fit no architecture.
///
/// # Errors
/// If the device fails.
pub fn take_normalisation(tensors: &mut BTreeMap<String, Tensor>) -> Result<Option<Normalisation>> {
    for (mean, std) in NORMALISATION {
        let (Some(m), Some(s)) = (tensors.get(mean), tensors.get(std)) else { continue };
        // [C], [C, 1, 1] or [1, C, 1, 1].
        let is_constant = |t: &Tensor| t.elem_count() <= 16 && t.dtype().is_float();
        if !is_constant(m) || m.dims() != s.dims() {
            continue;
        }
        let values =
            |t: &Tensor| t.to_dtype(DType::F64).and_then(|t| t.flatten_all()?.to_vec1::<f64>());
        let found = Normalisation { mean: values(m)?, std: values(s)? };
        let all = |values: &[f64], good: fn(f64) -> bool| values.iter().all(|v| good(*v));
        if !all(&found.mean, f64::is_finite) || !all(&found.std, |s| s.is_finite() && s > 0.0) {
            continue;
        }
        tensors.remove(mean);
        tensors.remove(std);
        return Ok(Some(found));
    }
    Ok(None)
}

/// The architectures that the tensors fit, with none missing and none left over. `normalisation` is
/// what [`take_normalisation`] found.
pub fn recognise(
    tensors: &BTreeMap<String, Tensor>,
    normalisation: Option<&Normalisation>,
) -> Vec<Recognised> {
    let mut found = candidates(tensors, normalisation);
    found.retain(|candidate| candidate.program(tensors).is_ok());
    found
}

/// The architectures that the tensors may belong to by some of their names.
pub fn candidates(
    tensors: &BTreeMap<String, Tensor>,
    normalisation: Option<&Normalisation>,
) -> Vec<Recognised> {
    let families = ALL.iter().filter(|a| a.name == a.family);
    families.filter_map(|family| family.recognise(tensors, normalisation)).collect()
}

impl Recognised {
    /// The network.
    ///
    /// # Errors
    /// As [`Architecture::program`].
    pub fn program(&self, tensors: &BTreeMap<String, Tensor>) -> Result<Program> {
        self.architecture.program(&mut Stored::new(tensors.clone()), &self.settings)
    }
}

impl Architecture {
    /// How the tensors would be read as this architecture or another of its family; `None` if they
    /// are clearly something else. Whether all tensors fit shows when the network is built.
    pub fn recognise(
        &self,
        tensors: &BTreeMap<String, Tensor>,
        normalisation: Option<&Normalisation>,
    ) -> Option<Recognised> {
        let Some(measure) = self.measure else {
            let mut settings = self.settings();
            settings.normalisation = normalisation.cloned().or(settings.normalisation);
            let architecture = find_in_family(self.family, &settings.parameters, None)?;
            return Some(Recognised { architecture, settings, doubts: Vec::new() });
        };
        let Measured { mut parameters, classes, input_shape, mut doubts } =
            measure(&Keys(tensors))?;
        if self.name != self.family {
            // Who names this architecture and not the family has said what the tensors do not tell.
            for doubt in std::mem::take(&mut doubts) {
                if let Some((name, value)) = self.parameters.iter().find(|(n, _)| *n == doubt.about)
                {
                    parameters.insert((*name).to_string(), value.clone());
                }
            }
        }
        let architecture = find_in_family(self.family, &parameters, input_shape)?;
        let input_shape = input_shape.unwrap_or(architecture.input_shape);
        // Grey images are no images of the data set that the constants are of.
        let usual = architecture.normalisation.filter(|(mean, _)| mean.len() == input_shape[0]);
        let usual = usual.map(|usual| for_classes(usual, classes).into());
        if normalisation.is_none() {
            let assumed = usual.as_ref().map_or("none is assumed".into(), |n: &Normalisation| {
                format!("mean {:?} and std {:?} are assumed", n.mean, n.std)
            });
            let text = format!("the file holds no input normalisation; {assumed}");
            doubts.push(Doubt { about: "normalisation", text });
        }
        let settings = NetworkSettings {
            input_shape,
            classes,
            normalisation: normalisation.cloned().or(usual),
            parameters,
        };
        Some(Recognised { architecture, settings, doubts })
    }
}

/// The member of a family with these parameters and for images of this shape, if it is known, or the one of
/// the family's own name.
fn find_in_family(
    family: &str,
    parameters: &Parameters,
    shape: Option<[usize; 3]>,
) -> Option<&'static Architecture> {
    let members = || ALL.iter().filter(|a| a.family == family);
    let is_it = |a: &&Architecture| {
        a.parameters() == *parameters && shape.is_none_or(|shape| shape == a.input_shape)
    };
    let exact = members().filter(|a| a.name != family).find(is_it);
    exact.or_else(|| members().find(|a| a.name == family))
}
