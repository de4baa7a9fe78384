//! The format that `torch.save` has written since PyTorch 1.6: an uncompressed zip archive with the
//! record `data.pkl` and one record per storage. Every record is read to its end, so that its CRC-32
//! is checked, which PyTorch's own loader does not do.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use ::zip::ZipArchive;
use ::zip::result::ZipError;

use super::Storages;
use crate::error::{Error, Result};
use crate::pickle;
use crate::pickle::file_part::{DOWNLOAD_AGAIN, FilePart, quoted};
use crate::pickle::source::Source;
use crate::pickle::value::{Heap, Value};

/// The records may hold this many times the bytes of the file. PyTorch stores them as they are, and
/// trained weights hardly compress, so more than that is an archive made to fill the memory.
const EXPANSION: u64 = 4;

/// The open archive.
pub(super) struct Archive {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
    /// Folder in front of every record name, with its slash.
    root: String,
    /// Index of each record.
    records: HashMap<String, usize>,
}

impl Archive {
    /// Opens the archive `file` of `length` bytes.
    ///
    /// # Errors
    /// If it is no complete zip archive, is not one of `torch.save`, or expands too much.
    pub(super) fn open(path: &Path, file: File, length: u64) -> Result<Self> {
        let place = FilePart::new(path, "zip directory");
        let archive = ZipArchive::new(BufReader::new(file)).map_err(|error| match error {
            ZipError::Io(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
                Error::io("read", path)(source)
            }
            error => {
                let cause = quoted(&error.to_string());
                let problem = format!(
                    "the directory at the end of this zip archive of {length} bytes is missing or \
                     damaged ({cause}), as after an interrupted download"
                );
                place.error(problem, DOWNLOAD_AGAIN)
            }
        })?;
        if archive.has_duplicate_names() {
            return Err(place.error("lists a record twice", DOWNLOAD_AGAIN));
        }
        let mut total = 0_u64;
        let mut records = HashMap::new();
        for index in 0..archive.len() {
            let entry = archive.by_index_data(index).map_err(|e| damaged(&place, &e))?;
            total = total.saturating_add(entry.size());
            records.insert(String::from_utf8_lossy(entry.name_raw()).into_owned(), index);
        }
        if total > length.saturating_mul(EXPANSION) {
            let problem = format!("{length} bytes claim to unpack to {total}");
            return Err(place.error(problem, "get the checkpoint from a source you trust"));
        }
        let root = root(&place, &records)?;
        Ok(Self { path: path.to_path_buf(), archive, root, records })
    }

    /// Reads `data.pkl`.
    ///
    /// # Errors
    /// If the record is damaged, or the pickle is refused.
    pub(super) fn pickle(&mut self) -> Result<(Heap, Value)> {
        if self.records.contains_key(&format!("{}byteorder", self.root)) {
            let order = self.record("byteorder")?;
            if order != b"little" {
                let problem = format!(
                    "the byte order is {}, and only `little` can be read",
                    quoted(&String::from_utf8_lossy(&order))
                );
                let remedy = "save the weights again on a little-endian machine, such as any PC";
                return Err(self.place("byteorder").error(problem, remedy));
            }
        }
        let bytes = self.record("data.pkl")?;
        let length = bytes.len() as u64;
        pickle::read(&mut Source::new(bytes.as_slice(), length, self.place("data.pkl")))
    }

    fn place(&self, record: &str) -> FilePart {
        FilePart::new(&self.path, format!("record {record}"))
    }

    /// All bytes of a record.
    fn record(&mut self, name: &str) -> Result<Vec<u8>> {
        let place = self.place(name);
        let Some(index) = self.records.get(&format!("{}{name}", self.root)) else {
            return Err(place.error("is missing from the archive", DOWNLOAD_AGAIN));
        };
        let entry = self.archive.by_index(*index).map_err(|e| damaged(&place, &e))?;
        let size = entry.size();
        // `open` has compared the sizes with the length of the file. The reader may still end
        // early, so nothing is allocated ahead of the bytes by more than that.
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        let mut entry = entry.take(size.saturating_add(1));
        entry.read_to_end(&mut bytes).map_err(|source| match source.kind() {
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput => {
                let problem = format!("its bytes fail the check of their CRC-32 ({source})");
                place.error(problem, DOWNLOAD_AGAIN)
            }
            std::io::ErrorKind::UnexpectedEof => {
                place.error("ends before its stated size", DOWNLOAD_AGAIN)
            }
            std::io::ErrorKind::Unsupported | std::io::ErrorKind::Other => {
                place.error(format!("cannot be unpacked: {source}"), DOWNLOAD_AGAIN)
            }
            _ => Error::io("read", &place.path)(source),
        })?;
        if bytes.len() as u64 != size {
            let problem = format!("holds {} bytes instead of {size}", bytes.len());
            return Err(place.error(problem, DOWNLOAD_AGAIN));
        }
        Ok(bytes)
    }
}

impl Storages for Archive {
    fn read(&mut self, key: &str) -> Result<Vec<u8>> {
        self.record(&format!("data/{key}"))
    }

    fn field(&self, key: &str) -> String {
        format!("record data/{key}")
    }
}

/// The folder that holds `data.pkl`.
fn root(place: &FilePart, records: &HashMap<String, usize>) -> Result<String> {
    let mut roots = records
        .keys()
        .filter_map(|name| name.strip_suffix("data.pkl"))
        .filter(|root| root.is_empty() || root.ends_with('/'));
    let (Some(root), None) = (roots.next(), roots.next()) else {
        return Err(place.error(
            "lists no record data.pkl, or several: this zip archive was not written by torch.save",
            "give the .pt or .pth file itself; if it lies inside this archive, unpack it first",
        ));
    };
    if records.contains_key(&format!("{root}constants.pkl")) {
        return Err(place.error(
            "lists constants.pkl: this is a TorchScript program, not a file of weights",
            "in Python: torch.save(torch.jit.load(file).state_dict(), \"weights.pt\")",
        ));
    }
    Ok(root.to_owned())
}

fn damaged(place: &FilePart, error: &ZipError) -> Error {
    place.error(format!("cannot be unpacked: {error}"), DOWNLOAD_AGAIN)
}
