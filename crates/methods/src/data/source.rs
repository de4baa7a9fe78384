//! Bytes at positions: an open file, or memory for what was compressed. Readers keep a [`Source`]
//! and fetch one record at a time, so a plain file may be larger than memory.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use flate2::read::MultiGzDecoder;

pub(crate) use crate::digest::{sha256, sha256_file};
use crate::error::{Error, Result};

/// Most bytes that a compressed file may unpack to: it is held in memory.
const UNPACKED_LIMIT: u64 = 2 << 30;

/// A file, or bytes that stand for one.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    bytes: Bytes,
    len: u64,
}

#[derive(Debug)]
enum Bytes {
    /// Seek and read under the lock: the portable form of a positioned read.
    File(Mutex<File>),
    Memory(Cow<'static, [u8]>),
}

impl Source {
    /// Opens a plain file.
    ///
    /// # Errors
    /// If it cannot be opened or is not a file.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io("read", path))?;
        let metadata = file.metadata().map_err(Error::io("read", path))?;
        if !metadata.is_file() {
            return Err(Error::file(path, "file", "is a folder or a device", "name a data file"));
        }
        Ok(Self { path: path.into(), bytes: Bytes::File(Mutex::new(file)), len: metadata.len() })
    }

    /// Opens a file that may be compressed with gzip, as its first bytes tell. If it is, all of it is
    /// unpacked into memory.
    ///
    /// # Errors
    /// If it cannot be opened, is damaged, or unpacks to more than 2 GiB.
    pub(super) fn open_gzip_or_plain(path: &Path) -> Result<Self> {
        let plain = Self::open(path)?;
        if plain.len < 2 || plain.read(0, 2)? != [0x1f, 0x8b] {
            return Ok(plain);
        }
        let file = File::open(path).map_err(Error::io("read", path))?;
        let bytes = unpack(MultiGzDecoder::new(file), path, "gzip", "unpack it with gunzip")?;
        Ok(Self::memory(path, bytes))
    }

    /// Bytes in memory; `path` is what errors name.
    pub(super) fn memory(path: &Path, bytes: impl Into<Cow<'static, [u8]>>) -> Self {
        let bytes = bytes.into();
        Self { path: path.into(), len: bytes.len() as u64, bytes: Bytes::Memory(bytes) }
    }

    /// The file, for errors.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Number of bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// # Errors
    /// If there are not that many.
    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        match &self.bytes {
            Bytes::File(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(offset))
                    .and_then(|_| file.read_exact(buffer))
                    .map_err(Error::io("read", &self.path))
            }
            Bytes::Memory(bytes) => {
                let from = usize::try_from(offset).ok();
                let part = from.and_then(|from| bytes.get(from..)?.get(..buffer.len()));
                buffer.copy_from_slice(part.ok_or_else(|| self.too_short(offset, buffer.len()))?);
                Ok(())
            }
        }
    }

    /// The `len` bytes from `offset` on; the length is checked before memory is asked for.
    ///
    /// # Errors
    /// If there are not that many.
    pub(super) fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        if offset.checked_add(len as u64).is_none_or(|end| end > self.len) {
            return Err(self.too_short(offset, len));
        }
        let mut buffer = vec![0; len];
        self.read_at(offset, &mut buffer)?;
        Ok(buffer)
    }

    fn too_short(&self, offset: u64, len: usize) -> Error {
        let end = u128::from(offset) + len as u128;
        Error::file(
            &self.path,
            "length",
            format!("at least {end} bytes expected, {} found", self.len),
            "the file is cut short or not of this format",
        )
    }
}

/// Everything that `reader` unpacks to.
///
/// # Errors
/// If the stream is damaged or longer than 2 GiB; `remedy` says how to do without the compression.
pub(super) fn unpack(reader: impl Read, path: &Path, field: &str, remedy: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match reader.take(UNPACKED_LIMIT + 1).read_to_end(&mut bytes) {
        Ok(_) if bytes.len() as u64 > UNPACKED_LIMIT => Err(Error::file(
            path,
            field,
            "unpacks to more than 2 GiB, and compressed data is held in memory",
            remedy,
        )),
        Ok(_) => Ok(bytes),
        Err(source) => {
            let problem = format!("cannot be unpacked: {source}");
            Err(Error::file(path, field, problem, "the file is damaged: get it again"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_and_memory_agree_on_where_they_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"0123456789").unwrap();
        let plain = Source::open(file.path()).unwrap();
        let memory = Source::memory(file.path(), b"0123456789".as_slice());
        for source in [plain, memory] {
            assert_eq!(source.read(3, 4).unwrap(), b"3456");
            assert_eq!(source.read(10, 0).unwrap(), b"");
            assert!(source.read_at(7, &mut [0; 4]).is_err());
            for (offset, len) in [(7, 4), (11, 0), (u64::MAX, 1), (0, usize::MAX)] {
                let error = source.read(offset, len).unwrap_err().to_string();
                assert!(error.contains("10 found"), "{error}");
            }
        }
    }
}
