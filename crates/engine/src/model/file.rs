//! Model files: one safetensors file with weights under their published keys and a [`ModelCard`] in
//! its metadata. Plain weights work too when the caller names the architecture.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::card::{CARD_VERSION, ModelCard};
use super::{FrozenNetwork, ModelInfo, checkpoint, onnx, timm};
use crate::digest::{Hash, sha256};
use crate::error::{Error, Result};
use crate::hub;
use crate::nn::Program;
use crate::onnx::OnnxForm;
use crate::regular;
use crate::tensor_header;
use crate::zoo::{self, Named, Recognised, Stored};

/// Key of the card in the safetensors metadata.
const CARD_KEY: &str = "epsball";

/// What the caller knows about a file that does not say it itself; each overrides the card.
#[derive(Debug, Clone, Default)]
pub struct Declared {
    /// Name in tables; otherwise the card's, the repository's or the file stem.
    pub name: Option<String>,
    /// Architecture, needed for plain weights: `NAME[:PARAMETER=VALUE]...`, see [`zoo::Named`].
    pub architecture: Option<String>,
    /// What an image is for an ONNX network.
    pub onnx: OnnxForm,
}

/// Reads a model file or an ONNX file: the network and the card that describes it. It may be one of the Hugging
/// Face Hub, `hf:OWNER/NAME[@REVISION][/FILE][#SHA256]`, which is fetched first; of weights of timm without a card,
/// `config.json` beside them says what they are.
///
/// # Errors
/// If the file cannot be fetched or read, is not safetensors, has no card and no architecture was
/// declared, or its weights do not fit the architecture.
pub fn load(path: &Path, declared: &Declared) -> Result<(FrozenNetwork, ModelCard)> {
    if declared.architecture.is_none() && !onnx::is_onnx(path) {
        timm::expected(path)?;
    }
    let file = hub::local(path)?;
    let bytes = whole(&file)?;
    build(&file, &bytes, declared, path)
}

/// [`load`] for a file that is already in memory; `path` is its name in errors.
///
/// # Errors
/// As [`load`].
pub fn load_bytes(
    path: &Path,
    bytes: &[u8],
    declared: &Declared,
) -> Result<(FrozenNetwork, ModelCard)> {
    build(path, bytes, declared, path)
}

/// Files of more bytes are looked at before they are read: what is no network should not fill the memory first.
const LARGE: u64 = 256 << 20;

/// All bytes of a file of weights. A large one that is none is refused before it fills the memory.
///
/// # Errors
/// If it cannot be read, or is large and its parts do not end where it ends.
pub fn whole(path: &Path) -> Result<Vec<u8>> {
    let io = || Error::io("read", path);
    let file = regular::open(path).map_err(io())?;
    if file.metadata().map_err(io())?.len() > LARGE {
        match onnx::is_onnx(path) {
            true => crate::onnx::probe(path, file)?,
            false => checkpoint::probe(path)?,
        }
    }
    regular::read(path).map_err(io())
}

/// The network; `origin` is the path or reference that the user named.
fn build(
    path: &Path,
    bytes: &[u8],
    declared: &Declared,
    origin: &Path,
) -> Result<(FrozenNetwork, ModelCard)> {
    let (mut card, tensors, program) = if onnx::is_onnx(path) {
        let opened = onnx::read(path, bytes, declared, &hub::stem(origin))?;
        (opened.card, opened.tensors, Some(opened.program))
    } else {
        let (card, tensors) = described(path, bytes, declared, origin)?;
        (card, tensors, None)
    };
    if let Some(name) = &declared.name {
        card.name.clone_from(name);
    }
    let info = ModelInfo {
        name: card.name.clone(),
        architecture: card.architecture.clone(),
        input_shape: card.input_shape,
        classes: card.classes,
        parameters: count_parameters(&tensors),
        sha256: sha256(bytes),
        identity: identity(&card, &tensors)?,
        randomised: card.randomised,
        optimises_in_forward: card.optimises_in_forward,
    };
    let program = match (program, &card.graph) {
        (Some(program), _) => Ok(program),
        (None, Some(graph)) => onnx::program(&card, graph, &tensors),
        (None, None) => of_the_zoo(&card, tensors),
    };
    Ok((FrozenNetwork::new(info, program.map_err(|error| name_file(error, path))?), card))
}

/// The program of a card whose architecture is one of the zoo.
fn of_the_zoo(card: &ModelCard, tensors: BTreeMap<String, Tensor>) -> Result<Program> {
    zoo::find(&card.architecture)?.program(&mut Stored::new(tensors), &card.settings()?)
}

/// The card of a file that is no ONNX file, from the file itself or from what is known about its weights, and
/// the weights.
fn described(
    path: &Path,
    bytes: &[u8],
    declared: &Declared,
    origin: &Path,
) -> Result<(ModelCard, BTreeMap<String, Tensor>)> {
    let (stored, mut tensors) = read_tensors(path, bytes)?;
    onnx::only_onnx(&declared.onnx, stored.as_ref()).map_err(|error| name_file(error, path))?;
    let named = declared.architecture.as_ref().map(|text| text.parse::<Named>()).transpose()?;
    let card = match (named, stored) {
        (Some(named), Some(card)) if is_named(&card, &named) => corrected(card, named),
        (Some(named), _) => {
            let normalisation = zoo::take_normalisation(&mut tensors)?;
            card_of(path, origin, named.recognise(&tensors, normalisation.as_ref()))
        }
        (None, Some(card)) => card,
        (None, None) => {
            let Some(described) = timm::beside(origin)? else {
                let names = zoo::ALL.iter().map(|a| a.name).collect::<Vec<_>>().join(", ");
                return Err(Error::file(
                    path,
                    "metadata",
                    "the file does not say which architecture its weights belong to",
                    format!("name it with --arch (known: {names})"),
                ));
            };
            let normalisation = zoo::take_normalisation(&mut tensors)?;
            let found = described.recognise(&tensors, normalisation.as_ref())?;
            tracing::warn!("{}", described.advice());
            card_of(path, origin, found)
        }
    };
    Ok((card, tensors))
}

/// Whether the user names the architecture of the card, or the family of which it is a member.
fn is_named(card: &ModelCard, named: &Named) -> bool {
    let name = named.architecture.name;
    card.architecture == name || zoo::find(&card.architecture).is_ok_and(|own| own.family == name)
}

/// The card of a file, with what the user says before it.
fn corrected(mut card: ModelCard, named: Named) -> ModelCard {
    card.input_shape = named.input_shape.unwrap_or(card.input_shape);
    card.parameters.extend(named.parameters);
    if let Ok(own) = zoo::find(&card.architecture) {
        let defaults = own.parameters();
        card.parameters.retain(|name, value| defaults.get(name) != Some(value));
    }
    card
}

/// A card for plain weights that were read as this.
fn card_of(path: &Path, origin: &Path, found: Recognised) -> ModelCard {
    for doubt in &found.doubts {
        tracing::warn!("{}: {}", path.display(), doubt.text);
    }
    ModelCard::of_settings(hub::stem(origin), found.architecture, found.settings)
}

/// Writes weights with their card, replacing the file at once when it is complete.
///
/// # Errors
/// If the file cannot be written.
pub fn save(path: &Path, tensors: &BTreeMap<String, Tensor>, card: &ModelCard) -> Result<()> {
    let card = serde_json::to_string(card)
        .map_err(|e| Error::file(path, CARD_KEY, e.to_string(), "report this as a bug"))?;
    let metadata = HashMap::from([(CARD_KEY.to_string(), card)]);
    let bytes = safetensors::serialize(tensors, Some(metadata))
        .map_err(|e| Error::file(path, "weights", e.to_string(), "report this as a bug"))?;
    crate::persist::replace(path, &bytes)
}

/// The text of the card in the header of a model file; what is no such file has none.
fn card_in(bytes: &[u8]) -> Option<String> {
    let length = u64::from_le_bytes(*bytes.first_chunk().filter(|_| tensor_header::begins(bytes))?);
    let header = bytes.get(8..8 + usize::try_from(length).ok()?)?;
    tensor_header::parse(header).ok()?.metadata().as_ref()?.get(CARD_KEY).cloned()
}

/// The card, if the file has one, and the tensors under their published keys.
fn read_tensors(
    path: &Path,
    bytes: &[u8],
) -> Result<(Option<ModelCard>, BTreeMap<String, Tensor>)> {
    let Some(card) = card_in(bytes) else {
        return Ok((None, checkpoint::read_set(path, None)?.tensors));
    };
    let bad = |problem: String| {
        Error::file(path, CARD_KEY, problem, "write the file again with `epsball convert`")
    };
    let card: ModelCard = serde_json::from_str(&card).map_err(|e| bad(e.to_string()))?;
    if card.format_version > CARD_VERSION {
        return Err(bad(format!("version {} is newer than {CARD_VERSION}", card.format_version)));
    }
    if card.mean.len() != card.std.len() || card.std.iter().any(|s| *s <= 0.0 || !s.is_finite()) {
        return Err(bad("mean and std must have one value per channel, std above 0".into()));
    }
    let tensors = candle_core::safetensors::load_buffer(bytes, &Device::Cpu).map_err(|e| {
        Error::file(
            path,
            "weights",
            e.to_string(),
            "the file is damaged: copy or download it again",
        )
    })?;
    Ok((Some(card), tensors.into_iter().collect()))
}

/// See [`ModelInfo::identity`].
fn identity(card: &ModelCard, tensors: &BTreeMap<String, Tensor>) -> Result<String> {
    let ModelCard { architecture, input_shape, classes, parameters, mean, std, .. } = card;
    let about = format!(
        "{architecture} {input_shape:?} {classes} {parameters:?} {mean:?} {std:?} {} {}",
        card.randomised, card.optimises_in_forward
    );
    let mut hash = Hash::new();
    hash.add(about.as_bytes());
    if let Some(graph) = &card.graph {
        let text = serde_json::to_string(&(graph, &card.onnx));
        hash.add(text.map_err(|e| Error::setting("graph", e.to_string(), ""))?.as_bytes());
    }
    // Counters of batches are no part of the function.
    for (name, tensor) in tensors.iter().filter(|(name, _)| !name.ends_with("num_batches_tracked"))
    {
        hash.add(format!("\n{name} {:?}\n", tensor.dims()).as_bytes());
        // What integers a graph's constants are matters; those of a zoo network are counters and places.
        if card.graph.is_some() && tensor.dtype() == DType::I64 {
            hash.add(b"i64");
            let values = tensor.flatten_all()?.to_vec1::<i64>()?;
            hash.add(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
            continue;
        }
        let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        for part in values.chunks(1 << 14) {
            hash.add(&part.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
        }
    }
    Ok(hash.finish())
}

fn count_parameters(tensors: &BTreeMap<String, Tensor>) -> usize {
    const STATISTICS: [&str; 3] = ["running_mean", "running_var", "num_batches_tracked"];
    let is_weight = |(name, tensor): &(&String, &Tensor)| {
        tensor.dtype().is_float() && !STATISTICS.iter().any(|s| name.ends_with(s))
    };
    tensors.iter().filter(is_weight).map(|(_, t)| t.elem_count()).sum()
}

/// An error about weights, which knows no file, as one about this file.
pub fn name_file(error: Error, path: &Path) -> Error {
    match error {
        Error::Setting { field, problem, remedy } => Error::file(path, field, problem, remedy),
        Error::Unknown { kind, .. } => {
            let remedy = error.hint().unwrap_or_default();
            Error::file(path, kind, error.to_string(), remedy)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_of_a_card_corrects_it_and_does_not_replace_it() {
        let mut card = ModelCard::new("net", zoo::find("dm-wrn-28-10").unwrap());
        card.mean = vec![0.1, 0.2, 0.3];
        let named: Named = "dm-wide-resnet:activation=relu".parse().unwrap();
        assert!(is_named(&card, &named));
        let corrected = corrected(card.clone(), named);
        assert_eq!(corrected.parameters["activation"].to_string(), "relu");
        assert_eq!(
            (corrected.architecture, corrected.mean),
            (card.architecture.clone(), card.mean.clone())
        );
        assert!(!is_named(&card, &"dm-wrn-70-16".parse().unwrap()));
    }
}
