//! Checkpoints read from disk: bundled small files, the files of the oracle, and hostile ones made
//! here.

pub(crate) mod build;
mod fixtures;
mod hostile;
mod oracle;

use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};

use super::{Checkpoint, WeightSet, read};
use crate::digest::sha256;
use crate::error::{Error, Result};

/// Little-endian bytes of the values in row-major order.
fn bytes(tensor: &Tensor) -> Vec<u8> {
    let flat = tensor.flatten_all().unwrap();
    match tensor.dtype() {
        DType::F32 => flat.to_vec1::<f32>().unwrap().iter().flat_map(|v| v.to_le_bytes()).collect(),
        DType::I64 => flat.to_vec1::<i64>().unwrap().iter().flat_map(|v| v.to_le_bytes()).collect(),
        DType::U8 => flat.to_vec1::<u8>().unwrap(),
        other => panic!("{other:?} is no output format"),
    }
}

/// All that an error says.
fn words(error: &Error) -> String {
    format!("{error} [{}]", error.hint().unwrap_or_default())
}

/// Reads a checkpoint that consists of `content`.
fn read_bytes(content: &[u8]) -> Result<Checkpoint> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.pt");
    std::fs::write(&path, content).unwrap();
    read(&path)
}

/// The set that is taken unasked.
fn chosen(checkpoint: &Checkpoint) -> &WeightSet {
    &checkpoint.sets[checkpoint.chosen.unwrap()]
}

/// Asserts that both sets have the same names, shapes, formats and bits.
fn assert_same(found: &WeightSet, expected: &WeightSet) {
    let names = |set: &WeightSet| set.tensors.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected));
    for (name, tensor) in &found.tensors {
        let other = &expected.tensors[name];
        assert_eq!((tensor.dims(), tensor.dtype()), (other.dims(), other.dtype()), "{name}");
        assert_eq!(bytes(tensor), bytes(other), "{name}");
    }
}

fn oracle(path: &str) -> PathBuf {
    let root = std::env::var("EPSBALL_ORACLE")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/oracle").into());
    Path::new(&root).join(path)
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/checkpoints").join(name)
}
