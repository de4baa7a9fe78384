//! safetensors files of plain weights: a JSON header, then the numbers. The header is checked by the
//! format's own crate (offsets without gaps or overlaps, sizes that match shapes); the tensors are
//! read one at a time.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ::safetensors::Dtype;

use super::Storages;
use super::sets::Candidate;
use crate::error::{Error, Result};
use crate::pickle::dtype::DType;
use crate::pickle::file_part::{DOWNLOAD_AGAIN, FilePart, quoted};
use crate::pickle::tensor::{Storage, View};
use crate::tensor_header;

/// The open file, with the position of each tensor.
pub(super) struct Tensors {
    path: PathBuf,
    file: File,
    /// First byte and number of bytes of each tensor.
    blocks: HashMap<String, (u64, u64)>,
}

impl Tensors {
    /// Reads the header of the `file` of `length` bytes.
    ///
    /// # Errors
    /// If the header is damaged, the file ends early, or a number format cannot be read.
    pub(super) fn open(path: &Path, mut file: File, length: u64) -> Result<(Self, Candidate)> {
        let place = FilePart::new(path, "header");
        let io = || Error::io("read", path);
        let mut size = [0; 8];
        file.read_exact(&mut size).map_err(io())?;
        let size = u64::from_le_bytes(size);
        let start = size.saturating_add(8);
        if size > tensor_header::LONGEST || start > length {
            let problem = format!("states {size} bytes for itself in a file of {length}");
            return Err(place.error(problem, DOWNLOAD_AGAIN));
        }
        let mut header = vec![0; usize::try_from(size).unwrap_or(0)];
        file.read_exact(&mut header).map_err(io())?;
        let metadata = tensor_header::parse(&header)
            .map_err(|problem| place.error(problem, DOWNLOAD_AGAIN))?;
        let end = start.saturating_add(metadata.data_len() as u64);
        if end != length {
            let problem = format!("describes a file of {end} bytes, this one has {length}");
            return Err(place.error(problem, DOWNLOAD_AGAIN));
        }

        let mut blocks = HashMap::new();
        let mut tensors = Vec::new();
        for name in metadata.offset_keys() {
            let Some(info) = metadata.info(&name) else { continue };
            let Some(dtype) = dtype(info.dtype) else {
                let problem = format!("numbers of format {} cannot be read", info.dtype);
                return Err(FilePart::new(path, quoted(&name))
                    .error(problem, "convert the weights to float32 and save them again"));
            };
            let (from, to) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
            let shape: Vec<u64> = info.shape.iter().map(|extent| *extent as u64).collect();
            let numel = (to - from) / dtype.width();
            blocks.insert(name.clone(), (start + from, to - from));
            let storage = Storage { key: name.as_str().into(), dtype, numel };
            tensors.push((name, Rc::new(View::whole(storage, shape))));
        }
        if tensors.is_empty() {
            return Err(place.error("lists no tensors", "give a file that holds weights"));
        }
        let set = Candidate { name: String::new(), tensors, left_out: Vec::new() };
        Ok((Self { path: path.to_path_buf(), file, blocks }, set))
    }
}

impl Storages for Tensors {
    fn read(&mut self, key: &str) -> Result<Vec<u8>> {
        let Some((start, length)) = self.blocks.get(key) else {
            return Err(
                FilePart::new(&self.path, self.field(key)).error("is missing", DOWNLOAD_AGAIN)
            );
        };
        // `open` has compared the positions with the length of the file.
        let mut bytes = vec![0; usize::try_from(*length).unwrap_or(0)];
        self.file.seek(SeekFrom::Start(*start)).map_err(Error::io("read", &self.path))?;
        self.file.read_exact(&mut bytes).map_err(Error::io("read", &self.path))?;
        Ok(bytes)
    }

    fn field(&self, key: &str) -> String {
        quoted(key)
    }
}

fn dtype(format: Dtype) -> Option<DType> {
    Some(match format {
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
        Dtype::I8 => DType::I8,
        Dtype::I16 => DType::I16,
        Dtype::I32 => DType::I32,
        Dtype::I64 => DType::I64,
        Dtype::U8 => DType::U8,
        Dtype::U16 => DType::U16,
        Dtype::U32 => DType::U32,
        Dtype::BOOL => DType::Bool,
        _ => return None,
    })
}
