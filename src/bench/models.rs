//! The networks of a suite: from an entry to a network that is ready, and to what a run records of it.

use std::path::Path;

use super::bundled;
use super::suite::ModelEntry;
use crate::device::{Device, Precision};
use crate::error::{Error, Result};
use crate::model::file::{self, Declared};
use crate::model::onnx::is_onnx;
use crate::model::{Classifier as _, FrozenNetwork, ensemble};
use crate::network::Network;
use crate::onnx::OnnxForm;
use crate::ops::bf16::Unit;
use crate::published;
use crate::record::ModelRecord;
use crate::service::{self, Service, is_address};

/// The network of an entry. `memory` is what its pullbacks may keep, in GiB, unless left to the
/// network.
pub(super) fn load(entry: &ModelEntry, memory: Option<f64>) -> Result<(Network, ModelRecord)> {
    entry.published.as_deref().map(published::find).transpose()?;
    let (network, note) = match (entry.path.as_str(), entry.members.as_slice()) {
        (_, members) if members.iter().any(|member| is_address(member)) => {
            let remedy = "ask for the ensemble behind one address";
            return Err(Error::setting("members", "one of them is an address", remedy));
        }
        ("", []) => {
            let remedy = "add path = \"model.safetensors\", or members = [..] for an ensemble";
            return Err(Error::setting("model", "names no file", remedy));
        }
        (_, []) if entry.average.is_some() => {
            let remedy = "leave average out, or name the members of an ensemble";
            return Err(Error::setting("average", "there is one network only", remedy));
        }
        (path, []) if is_address(path) => asked(path, entry)?,
        (_, _) if !entry.service.is_default() => {
            let remedy = "leave service out, or write path = \"http://HOST:PORT/PATH\"";
            return Err(Error::setting("service", "the network is in a file", remedy));
        }
        (path, []) => one(path, entry).map(|(network, note)| (network.into(), note))?,
        ("", members) => several(members, entry).map(|(network, note)| (network.into(), note))?,
        _ => {
            let problem = "has both a path and members";
            return Err(Error::setting("model", problem, "leave one of them out"));
        }
    };
    let network = match memory {
        Some(gib) => network.memory(bytes(gib)?),
        None => network,
    };
    let info = network.info();
    let record = ModelRecord {
        name: info.name.clone(),
        files: entry.files().map(str::to_owned).collect(),
        average: entry.average.map(|average| average.to_string()),
        arch: entry.arch.clone(),
        onnx: form(entry),
        service: entry.service.clone(),
        architecture: info.architecture.clone(),
        sha256: info.sha256.clone(),
        identity: info.identity.clone(),
        parameters: info.parameters,
        note,
        published: entry.published.clone(),
    };
    Ok((network, record))
}

/// Puts a network where it will run, and says where that is. A wish for whatever there is becomes the
/// CPU, with a warning, if the network cannot run on the GPU.
pub(super) fn place(network: &mut Network, wish: &Device, precision: Precision) -> Result<Device> {
    let device = match (&*network, wish) {
        // A service needs none.
        (Network::Service(_), _) => Device::Cpu,
        _ => wish.resolve()?,
    };
    if let Err(error) = network.place(&device, precision) {
        let may_be_the_cpu = *wish == Device::Auto && precision != Precision::Tf32;
        if device == Device::Cpu || !may_be_the_cpu {
            return Err(error);
        }
        let name = &network.info().name;
        tracing::warn!("all networks run on the CPU, because of {name}: {error}");
        network.place(&Device::Cpu, precision)?;
        return Ok(Device::Cpu);
    }
    Ok(device)
}

/// Tells if this precision is slow on the device.
pub(super) fn warn_of_slow(device: &Device, precision: Precision) {
    let unit = Unit::here();
    if *device == Device::Cpu && precision == Precision::Bf16 && unit != Unit::Amx {
        tracing::warn!("this processor has no AMX: bf16 by {unit} is slower than f32");
    }
}

/// What an image is for the ONNX networks of an entry. One that is declared to return probabilities returns them.
fn form(entry: &ModelEntry) -> OnnxForm {
    let probabilities = entry.probabilities && entry.files().all(|file| is_onnx(Path::new(file)));
    OnnxForm { keep_softmax: entry.onnx.keep_softmax || probabilities, ..entry.onnx.clone() }
}

/// The network that a service answers for, and what is to be known of it.
fn asked(address: &str, entry: &ModelEntry) -> Result<(Network, String)> {
    for (field, given) in [
        ("arch", entry.arch.is_some()),
        ("onnx", !entry.onnx.is_default()),
        ("probabilities", entry.probabilities),
    ] {
        if given {
            let problem = "says what is in a file, and the network is asked over HTTP";
            let remedy = "leave it out: the service says what it is";
            return Err(Error::setting(field, problem, remedy));
        }
    }
    let service = Service::open(address, &entry.service, entry.name.as_deref())?;
    let note = match service.card().answers {
        service::Answers::Logits => service::NOTE.to_owned(),
        answers => format!("{}, which tells {}", service::NOTE, answers.name()),
    };
    Ok((Network::Service(Box::new(service)), note))
}

/// A file's network and where it says that it comes from.
fn one(path: &str, entry: &ModelEntry) -> Result<(FrozenNetwork, String)> {
    let declared =
        Declared { name: entry.name.clone(), architecture: entry.arch.clone(), onnx: form(entry) };
    let (network, card) = match path.strip_prefix("bundled:") {
        Some(name) => bundled::load(name, &declared),
        None if bundled::bundled_models().any(|name| name == path) && !Path::new(path).exists() => {
            let remedy = format!("did you mean bundled:{path}?");
            return Err(Error::file(path, "model", "there is no such file", remedy));
        }
        None => file::load(Path::new(path), &declared),
    }?;
    Ok((network, card.source))
}

fn several(members: &[String], entry: &ModelEntry) -> Result<(FrozenNetwork, String)> {
    let unnamed = ModelEntry { name: None, ..entry.clone() };
    let (networks, notes): (Vec<_>, Vec<_>) = members
        .iter()
        .map(|path| one(path, &unnamed))
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .unzip();
    let mut network = ensemble(&networks, entry.average.unwrap_or_default())?;
    if let Some(name) = &entry.name {
        network = network.named(name);
    }
    let mut notes: Vec<_> = notes.into_iter().filter(|note| !note.is_empty()).collect();
    notes.dedup();
    Ok((network, notes.join("; ")))
}

fn bytes(gib: f64) -> Result<usize> {
    if gib.is_finite() && gib >= 0.0 {
        return Ok((gib * f64::from(1 << 30)) as usize);
    }
    Err(Error::setting("memory", format!("{gib} is not a number of GiB"), "write for example 2"))
}
