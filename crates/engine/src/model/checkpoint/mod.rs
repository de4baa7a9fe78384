//! Published checkpoints as named tensors. A `.pt` file is a program in Python's pickle language, and
//! loading one with Python runs whatever its author wrote; here it is only read: a restricted machine
//! follows the few instructions that describe tensors and refuses everything else. The model importer
//! maps the names found here to an architecture of the zoo.
//!
//! ```text
//! file -> recognise -> zip / legacy -> pickle -> sets ─┐
//!                   -> safetensors ────────────────────┴-> prefix, tensor -> WeightSet
//! ```

mod fold;
mod images;
mod legacy;
mod prefix;
mod recognise;
mod safetensors;
mod sets;
mod zip;

#[cfg(test)]
pub(crate) mod tests;

pub use images::Saved;

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::path::Path;

use candle_core::{DType, Tensor};

use self::recognise::{Format, HEAD};
use self::sets::Candidate;
use crate::error::{Error, Result};
use crate::pickle::file_part::{self, FilePart, quoted};
use crate::pickle::value;
use crate::regular;

/// A checkpoint file with all its sets of weights.
#[derive(Debug)]
pub struct Checkpoint {
    /// What kind of file it is, in words for the user.
    pub format: &'static str,
    /// The sets of weights, in the order of the file; at least one.
    pub sets: Vec<WeightSet>,
    /// Index of the set to take unless the user names another; `None` if there are several and none
    /// has a usual name.
    pub chosen: Option<usize>,
}

/// The weights of one network.
#[derive(Debug)]
pub struct WeightSet {
    /// The key they were saved under: `state_dict`, `last`, `ema`; keys of nested dicts are joined by
    /// dots. Empty if the file itself is the state dict.
    pub name: String,
    /// CPU tensors by name. Floating-point formats are widened (or, for f64, rounded) to f32; bytes
    /// and truth values are u8, other integers, such as `num_batches_tracked`, i64.
    pub tensors: BTreeMap<String, Tensor>,
    /// What was removed from the front of the names, such as `module.1.`; constants of an input
    /// normalisation that lie outside the wrapper keep their names.
    pub stripped_prefix: String,
    /// What a user should know before trusting the weights: values that are not finite, entries that
    /// were left out.
    pub warnings: Vec<String>,
}

/// Where the numbers are.
trait Storages {
    /// All bytes of the storage `key`.
    fn read(&mut self, key: &str) -> Result<Vec<u8>>;
    /// What the storage `key` is called in messages.
    fn field(&self, key: &str) -> String;
}

/// Reads all sets of weights of the checkpoint `path`: a file of `torch.save`, in its zip format or
/// the stream format before PyTorch 1.6, or a safetensors file. No code in the file is executed.
///
/// # Errors
/// If the file cannot be read, is incomplete or damaged, is no checkpoint, holds no weights, or names
/// anything beyond tensors and plain data.
pub fn read(path: &Path) -> Result<Checkpoint> {
    let mut contents = Contents::open(path)?;
    let chosen = contents.choose();
    let sets = std::mem::take(&mut contents.sets);
    let sets = sets.into_iter().map(|set| contents.load(set)).collect::<Result<_>>()?;
    Ok(Checkpoint { format: contents.format, sets, chosen })
}

/// Reads the set of weights `name` of the checkpoint `path`, or with `None` the one that is meant to
/// be evaluated. Only the storages of that set are read.
///
/// # Errors
/// As [`read`], and if there is no set of that name, or several and no name is given; the error lists
/// the sets.
pub fn read_set(path: &Path, name: Option<&str>) -> Result<WeightSet> {
    read_set_below(path, name, None)
}

/// [`read_set`] of the weights whose keys begin with `prefix`, which is cut off; the others are left out.
///
/// # Errors
/// As [`read_set`], and if no key begins so.
pub fn read_set_below(path: &Path, name: Option<&str>, prefix: Option<&str>) -> Result<WeightSet> {
    let mut contents = Contents::open(path)?;
    let index = match name {
        Some(name) => contents.sets.iter().position(|set| set.name == name),
        None => contents.choose(),
    };
    let Some(index) = index else {
        let names: Vec<String> = contents.sets.iter().map(|set| quoted(&set.name)).collect();
        let problem = match name {
            Some(name) => format!("there is no set {} in this file", quoted(name)),
            None => "there are several and none has a usual name".to_owned(),
        };
        let remedy = format!("name one of the sets in this file: {}", names.join(", "));
        return Err(Error::file(path, "sets of weights", problem, remedy));
    };
    let mut set = contents.sets.swap_remove(index);
    if let Some(prefix) = prefix {
        let keys: Vec<String> = set.tensors.iter().map(|(key, _)| quoted(key)).take(8).collect();
        set.tensors.retain(|(key, _)| key.len() > prefix.len() && key.starts_with(prefix));
        if set.tensors.is_empty() {
            let problem =
                format!("no key begins with {} ({}, ...)", quoted(prefix), keys.join(", "));
            return Err(Error::file(
                path,
                "keys",
                problem,
                "give the beginning of the keys as it is",
            ));
        }
        set.tensors.iter_mut().for_each(|(key, _)| *key = key[prefix.len()..].to_owned());
    }
    contents.load(set)
}

/// Looks at what `path` says about itself, which is little even if the file is large.
///
/// # Errors
/// As [`read`], as far as the numbers do not matter.
pub fn probe(path: &Path) -> Result<()> {
    Contents::open(path).map(drop)
}

/// An open checkpoint: what it holds is known, the numbers are not read yet.
struct Contents<'p> {
    path: &'p Path,
    format: &'static str,
    sets: Vec<Candidate>,
    storages: Box<dyn Storages>,
    /// How many elements may still be made. Views may repeat the numbers of the file, so its size
    /// alone bounds nothing.
    elements_left: u64,
}

/// Finds what is wanted of a pickle's objects.
type Find = fn(&value::Heap, value::Value, &Path) -> Result<Vec<Candidate>>;

impl<'p> Contents<'p> {
    fn open(path: &'p Path) -> Result<Self> {
        Self::open_with(path, find_sets)
    }

    fn open_with(path: &'p Path, find: Find) -> Result<Self> {
        let io = || Error::io("read", path);
        let mut file = regular::open(path).map_err(io())?;
        let length = file.metadata().map_err(io())?.len();
        let mut head = Vec::with_capacity(HEAD);
        file.by_ref().take(HEAD as u64).read_to_end(&mut head).map_err(io())?;
        file.rewind().map_err(io())?;

        let place = FilePart::new(path, "file");
        let (format, storages, sets): (_, Box<dyn Storages>, _) =
            match recognise::recognise(&head, &place)? {
                Format::Zip => {
                    let mut archive = zip::Archive::open(path, file, length)?;
                    let (heap, root) = archive.pickle()?;
                    let sets = find(&heap, root, path)?;
                    ("PyTorch checkpoint (zip)", Box::new(archive), sets)
                }
                Format::Legacy => {
                    let (stream, heap, root) = legacy::Stream::open(path, file, length)?;
                    let sets = find(&heap, root, path)?;
                    ("PyTorch checkpoint (stream, before 1.6)", Box::new(stream), sets)
                }
                Format::Safetensors => {
                    let (tensors, set) = safetensors::Tensors::open(path, file, length)?;
                    ("safetensors", Box::new(tensors), vec![set])
                }
            };
        let elements_left = length.saturating_mul(4).saturating_add(1 << 20);
        Ok(Self { path, format, sets, storages, elements_left })
    }

    fn choose(&self) -> Option<usize> {
        sets::choose(self.sets.iter().map(|set| set.name.as_str()))
    }

    /// Reads the numbers of `set`.
    fn load(&mut self, mut set: Candidate) -> Result<WeightSet> {
        if set.tensors.iter().any(|(name, _)| !prefix::is_beside(name)) {
            set.tensors.retain(|(name, _)| !prefix::is_beside(name));
        }
        let mut names: Vec<String> = set.tensors.iter().map(|(name, _)| name.clone()).collect();
        let stripped_prefix = prefix::strip(&mut names);
        let mut views: Vec<_> = names.into_iter().zip(set.tensors.drain(..)).collect();
        // Views of one storage together, so that it is read once and one at a time is in memory.
        views.sort_by(|(_, (_, a)), (_, (_, b))| a.storage.key.cmp(&b.storage.key));

        let mut tensors = BTreeMap::new();
        for group in views.chunk_by(|(_, (_, a)), (_, (_, b))| a.storage.key == b.storage.key) {
            let key = &group[0].1.1.storage.key;
            for (_, (original, view)) in group {
                // Before any number of it is read.
                view.elements().map_err(|problem| {
                    Error::file(self.path, quoted(original), problem, file_part::DOWNLOAD_AGAIN)
                })?;
            }
            let bytes = self.storages.read(key)?;
            for (name, (original, view)) in group {
                let wrong = |problem: String| {
                    let tensor = quoted(original);
                    let storage = self.storages.field(key);
                    let field =
                        if tensor == storage { tensor } else { format!("{tensor}, {storage}") };
                    Error::file(self.path, field, problem, file_part::DOWNLOAD_AGAIN)
                };
                if view.storage.bytes().is_none_or(|needed| needed > bytes.len() as u64) {
                    return Err(wrong(format!(
                        "extends past the end of its storage, which holds {} bytes instead of {} \
                         numbers",
                        bytes.len(),
                        view.storage.numel
                    )));
                }
                let elements = view.elements().map_err(wrong)?;
                let Some(left) = self.elements_left.checked_sub(elements) else {
                    return Err(Error::file(
                        self.path,
                        quoted(original),
                        "repeats the numbers in the file more often than a network needs",
                        "get the checkpoint from a source you trust",
                    ));
                };
                self.elements_left = left;
                let tensor = view.build(&bytes).map_err(wrong)?;
                tensors.insert(name.clone(), tensor);
            }
        }
        let mut warnings = Vec::new();
        let folded = fold::reparametrisations(&mut tensors)?;
        // Of what the network gets: a direction of length 0 makes a weight that is no number.
        for (name, tensor) in &tensors {
            warnings.extend(non_finite(name, tensor)?);
        }
        warnings.extend(folded);
        warnings.extend(integers(&tensors));
        for key in &set.left_out {
            warnings.push(format!("{} is no tensor and is left out", quoted(key)));
        }
        Ok(WeightSet { name: set.name, tensors, stripped_prefix, warnings })
    }
}

fn find_sets(heap: &value::Heap, root: value::Value, path: &Path) -> Result<Vec<Candidate>> {
    let sets = sets::find(heap, root);
    if sets.is_empty() {
        let problem = format!(
            "no state dict found: the file holds {} without a dict of named tensors",
            heap.kind(root)
        );
        let remedy = "save the weights by name: torch.save(model.state_dict(), \"weights.pt\")";
        return Err(Error::file(path, "top level", problem, remedy));
    }
    Ok(sets)
}

/// A warning if there are weights that are integers, as those of a quantised network are.
fn integers(tensors: &BTreeMap<String, Tensor>) -> Option<String> {
    // Counters and indices are integers in any network.
    let is_weight = |name: &str| {
        matches!(name.rsplit('.').next(), Some("weight" | "bias" | "running_mean" | "running_var"))
    };
    let whole = |(name, tensor): &(&String, &Tensor)| is_weight(name) && !tensor.dtype().is_float();
    let mut found = tensors.iter().filter(whole);
    let (first, tensor) = found.next()?;
    let (first, dtype) = (quoted(first), tensor.dtype().as_str());
    let (weights, are) = match found.count() {
        0 => (format!("{first} is {dtype}"), "it is"),
        others => (format!("{} weights are integers ({first} is {dtype})", 1 + others), "they are"),
    };
    Some(format!(
        "{weights}, as in a quantised network: {are} taken without the scale that belongs to integers"
    ))
}

/// A warning if some values of `tensor` are not finite.
fn non_finite(name: &str, tensor: &Tensor) -> Result<Option<String>> {
    if tensor.dtype() != DType::F32 {
        return Ok(None);
    }
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    let count = values.iter().filter(|value| !value.is_finite()).count();
    Ok((count > 0)
        .then(|| format!("{}: {count} of {} values are not finite", quoted(name), values.len())))
}
