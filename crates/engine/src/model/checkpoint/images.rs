//! Tensors that `torch.save` wrote and that are no weights, such as adversarial images: a tensor alone, or
//! those in a dict, a list or a tuple. They are read as checkpoints are, and nothing in the file is
//! executed.

use std::path::Path;
use std::rc::Rc;

use candle_core::Tensor;

use super::Contents;
use super::sets::Candidate;
use crate::error::{Error, Result};
use crate::pickle::dtype::DType;
use crate::pickle::tensor::View;
use crate::pickle::value::{Heap, Object, Value};

/// How deep containers may be nested, and how many values are looked at.
const DEPTH: usize = 3;
const STEPS: usize = 2000;
/// The longest key, in bytes.
const KEY: usize = 1000;

/// The tensors of a file; their numbers are not read yet.
pub struct Saved<'p> {
    contents: Contents<'p>,
}

/// What is known of a tensor before it is read.
pub struct SavedTensor {
    /// Keys that lead to it, joined by dots; a place in a list counts from 0. Empty for a tensor alone.
    pub name: String,
    /// Extent of each dimension, as the file describes it.
    pub shape: Vec<u64>,
    /// The name of its type in the words of NumPy.
    pub type_name: &'static str,
    /// Pixels may have this type: bytes or floats.
    pub is_pixel: bool,
}

impl<'p> Saved<'p> {
    /// Opens the file `path` and follows its pickle.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, holds no tensor, or names anything beyond tensors and plain
    /// data.
    pub fn open(path: &'p Path) -> Result<Self> {
        let mut contents = Contents::open_with(path, find)?;
        // A safetensors file comes as one set.
        let sets = std::mem::take(&mut contents.sets);
        let single = |tensor: (String, Rc<View>)| Candidate {
            name: tensor.0.clone(),
            tensors: vec![tensor],
            left_out: Vec::new(),
        };
        contents.sets = sets.into_iter().flat_map(|set| set.tensors).map(single).collect();
        Ok(Self { contents })
    }

    /// The tensors, in the order of the file.
    pub fn list(&self) -> impl Iterator<Item = SavedTensor> + '_ {
        self.contents.sets.iter().flat_map(|set| &set.tensors).map(|(name, view)| {
            let (type_name, is_pixel) = described(view.storage.dtype);
            SavedTensor { name: name.clone(), shape: view.shape.clone(), type_name, is_pixel }
        })
    }

    /// Reads tensor number `index` of [`Saved::list`]: f32 for all floats, u8 for bytes, i64 for other
    /// integers.
    ///
    /// # Errors
    /// If its numbers are not in the file.
    pub fn read(&mut self, index: usize) -> Result<Tensor> {
        let missing = || Error::file(self.contents.path, "tensor", "there is none", "");
        let set = self.contents.sets.get(index).ok_or_else(missing)?;
        let set = Candidate {
            name: set.name.clone(),
            tensors: set.tensors.clone(),
            left_out: Vec::new(),
        };
        let loaded = self.contents.load(set)?;
        let missing = || Error::file(self.contents.path, "tensor", "there is none", "");
        loaded.tensors.into_values().next().ok_or_else(missing)
    }
}

fn described(dtype: DType) -> (&'static str, bool) {
    match dtype {
        DType::F16 => ("float16", true),
        DType::BF16 => ("bfloat16", true),
        DType::F32 => ("float32", true),
        DType::F64 => ("float64", true),
        DType::U8 => ("uint8", true),
        DType::I8 => ("int8", false),
        DType::I16 => ("int16", false),
        DType::I32 => ("int32", false),
        DType::I64 => ("int64", false),
        DType::U16 => ("uint16", false),
        DType::U32 => ("uint32", false),
        DType::Bool => ("bool", false),
    }
}

/// The tensors below `root`.
fn find(heap: &Heap, root: Value, path: &Path) -> Result<Vec<Candidate>> {
    let mut walk = Walk { heap, steps: 0, found: Vec::new() };
    walk.visit(root, "", DEPTH);
    if walk.found.is_empty() {
        let problem = format!("no tensor found: the file holds {}", heap.kind(root));
        let remedy = "save the images as a tensor: torch.save({\"x_adv\": x_adv}, \"images.pt\")";
        return Err(Error::file(path, "top level", problem, remedy));
    }
    Ok(vec![Candidate { name: String::new(), tensors: walk.found, left_out: Vec::new() }])
}

/// The walk through the containers. They may hold each other any number of times, so the depth and the
/// steps bound it.
struct Walk<'h> {
    heap: &'h Heap,
    steps: usize,
    found: Vec<(String, Rc<View>)>,
}

impl Walk<'_> {
    /// Adds the tensors at `value` and below.
    fn visit(&mut self, value: Value, name: &str, depth: usize) {
        self.steps += 1;
        if self.steps > STEPS {
            return;
        }
        let heap = self.heap;
        let key_of = |key: &str| match name {
            "" => key.to_owned(),
            _ => format!("{name}.{key}"),
        };
        match heap.get(value) {
            // Of equal keys the last one counts, and it is seen first.
            Some(Object::Tensor(view)) if !self.found.iter().any(|(known, _)| known == name) => {
                self.found.push((name.to_owned(), Rc::clone(view)));
            }
            Some(Object::Dict(pairs)) if depth > 0 => {
                for (key, child) in pairs.iter().rev().take(STEPS) {
                    if let Some(key) = heap.text(*key).filter(|key| key.len() <= KEY) {
                        self.visit(*child, &key_of(key), depth - 1);
                    }
                }
            }
            Some(Object::List(items) | Object::Tuple(items)) if depth > 0 => {
                for (number, child) in items.iter().enumerate().take(STEPS) {
                    self.visit(*child, &key_of(&number.to_string()), depth - 1);
                }
            }
            _ => {}
        }
    }
}
