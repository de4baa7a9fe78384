//! The stream that `torch.save` wrote before PyTorch 1.6: five pickles (magic number, version,
//! system, the object, the list of storage keys), then each storage as a count and its raw numbers.
//! The format has no checksums; only its lengths can be checked.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::Storages;
use crate::error::{Error, Result};
use crate::pickle;
use crate::pickle::file_part::{DOWNLOAD_AGAIN, FilePart, quoted};
use crate::pickle::source::Source;
use crate::pickle::tensor::Storage;
use crate::pickle::value::{Heap, Object, Value};

/// The number that opens every such file, lowest byte first.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// The only version of the format.
const VERSION: i64 = 1001;

/// The open file, with the position of each storage.
pub(super) struct Stream {
    path: PathBuf,
    file: BufReader<File>,
    /// First byte and number of bytes of each storage.
    blocks: HashMap<String, (u64, u64)>,
}

impl Stream {
    /// Reads the pickles of the `file` of `length` bytes and locates the storages behind them.
    ///
    /// # Errors
    /// If the file is no such stream, ends early, or a pickle is refused.
    pub(super) fn open(path: &Path, file: File, length: u64) -> Result<(Self, Heap, Value)> {
        let place = |part: &str| FilePart::new(path, part);
        let mut source = Source::new(BufReader::new(file), length, place("magic number"));
        let (heap, magic) = pickle::read(&mut source)?;
        if !matches!(heap.get(magic), Some(Object::Long(number)) if *number == MAGIC) {
            return Err(source.place.error(
                "this is a Python pickle, but not one that torch.save wrote",
                "save the weights with torch.save(model.state_dict(), \"weights.pt\")",
            ));
        }
        source.place = place("format version");
        let (_, version) = pickle::read(&mut source)?;
        if version != Value::Int(VERSION) {
            return Err(source
                .place
                .error("is not 1001, the only one of the old torch.save format", DOWNLOAD_AGAIN));
        }
        source.place = place("system information");
        let (heap, system) = pickle::read(&mut source)?;
        if heap.entry(system, "little_endian") != Some(Value::Bool(true)) {
            return Err(source.place.error(
                "the byte order is not little-endian, and only that can be read",
                "save the weights again on a little-endian machine, such as any PC",
            ));
        }
        source.place = place("object pickle");
        let (heap, root) = pickle::read(&mut source)?;
        source.place = place("list of storages");
        let (key_heap, keys) = pickle::read(&mut source)?;
        let Some(Object::List(keys)) = key_heap.get(keys) else {
            return Err(source.place.error("is not a list", DOWNLOAD_AGAIN));
        };

        let (start, mut file) = source.into_reader();
        let declared = declared(&heap, &place("object pickle"))?;
        let mut blocks = HashMap::new();
        let mut at = start;
        for key in keys {
            let Some(key) = key_heap.text(*key) else {
                return Err(place("list of storages").error("holds no string", DOWNLOAD_AGAIN));
            };
            let place = place(&format!("storage {}", quoted(key)));
            let Some(storage) = declared.get(&**key) else {
                return Err(place.error("is used by no tensor", DOWNLOAD_AGAIN));
            };
            let block = locate(&mut file, at, length, storage, &place)?;
            at = block.0 + block.1;
            if blocks.insert(key.to_string(), block).is_some() {
                return Err(place.error("is listed twice", DOWNLOAD_AGAIN));
            }
        }
        Ok((Self { path: path.to_path_buf(), file, blocks }, heap, root))
    }
}

/// The storages that the object refers to. The count and the number format of each are written with
/// every reference and have to agree, since the stream itself does not repeat the format.
fn declared<'h>(heap: &'h Heap, place: &FilePart) -> Result<HashMap<&'h str, &'h Storage>> {
    let mut declared: HashMap<&str, &Storage> = HashMap::new();
    for storage in heap.storages() {
        if let Some(other) = declared.insert(&storage.key, storage)
            && (other.numel, other.dtype) != (storage.numel, storage.dtype)
        {
            let problem =
                format!("describes storage {} in two different ways", quoted(&storage.key));
            return Err(place.error(problem, DOWNLOAD_AGAIN));
        }
    }
    Ok(declared)
}

/// First byte and length of the numbers of `storage`, whose count stands at byte `at`.
fn locate(
    file: &mut BufReader<File>,
    at: u64,
    length: u64,
    storage: &Storage,
    place: &FilePart,
) -> Result<(u64, u64)> {
    let start = at.checked_add(8);
    let end = start.zip(storage.bytes()).and_then(|(start, bytes)| start.checked_add(bytes));
    let (Some(start), Some(end)) = (start, end.filter(|end| *end <= length)) else {
        let problem = format!(
            "needs {} numbers from byte {at}, but the file ends at byte {length}, as after an \
             interrupted download",
            storage.numel
        );
        return Err(place.error(problem, DOWNLOAD_AGAIN));
    };
    let mut count = [0; 8];
    file.seek(SeekFrom::Start(at)).map_err(Error::io("read", &place.path))?;
    file.read_exact(&mut count).map_err(Error::io("read", &place.path))?;
    let count = u64::from_le_bytes(count);
    if count != storage.numel {
        let problem = format!("holds {count} numbers, its tensors say {}", storage.numel);
        return Err(place.error(problem, DOWNLOAD_AGAIN));
    }
    Ok((start, end - start))
}

impl Storages for Stream {
    fn read(&mut self, key: &str) -> Result<Vec<u8>> {
        let place = FilePart::new(&self.path, self.field(key));
        let Some((start, length)) = self.blocks.get(key) else {
            return Err(place.error("is not in the file", DOWNLOAD_AGAIN));
        };
        // `open` has found the block inside the file.
        let mut bytes = vec![0; usize::try_from(*length).unwrap_or(0)];
        self.file.seek(SeekFrom::Start(*start)).map_err(Error::io("read", &self.path))?;
        self.file.read_exact(&mut bytes).map_err(Error::io("read", &self.path))?;
        Ok(bytes)
    }

    fn field(&self, key: &str) -> String {
        format!("storage {}", quoted(key))
    }
}
