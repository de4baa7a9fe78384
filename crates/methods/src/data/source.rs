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
use crate::regular;

/// Most bytes that a compressed file may unpack to: it is held in memory.
const UNPACKED_LIMIT: u64 = 768 << 20;

/// How many times its size a compressed file may unpack to, if that is more than [`ALWAYS`]. Published data sets come
/// to 12 times; a file of one repeated byte to 1000 times.
const MULTIPLE: u64 = 100;

/// Bytes that any compressed file may unpack to.
const ALWAYS: u64 = 64 << 20;

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
        let file = regular::open(path).map_err(Error::io("read", path))?;
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
    /// If it cannot be opened, is damaged, or unpacks to more than is allowed ([`Unpacking`]).
    pub(super) fn open_gzip_or_plain(path: &Path) -> Result<Self> {
        let plain = Self::open(path)?;
        if plain.len < 2 || plain.read(0, 2)? != [0x1f, 0x8b] {
            return Ok(plain);
        }
        let reader = || -> Result<_> {
            Ok(MultiGzDecoder::new(regular::open(path).map_err(Error::io("read", path))?))
        };
        let unpacking =
            Unpacking { path, field: "gzip", packed: plain.len, remedy: "unpack it with gunzip" };
        let len = unpacking.length(reader()?)?;
        Ok(Self::memory(path, unpacking.bytes(reader()?, len)?))
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

/// A part of a file that is unpacked into memory. It may unpack to 768 MiB and 100 times its size (64 MiB whatever
/// its size), which is known before memory is taken: what was not declared is counted first, and unpacked again.
pub(super) struct Unpacking<'a> {
    pub(super) path: &'a Path,
    /// What errors call it.
    pub(super) field: &'a str,
    /// Bytes that it takes in the file.
    pub(super) packed: u64,
    /// How to do without the compression.
    pub(super) remedy: &'a str,
}

impl Unpacking<'_> {
    fn limit(&self) -> u64 {
        self.packed.saturating_mul(MULTIPLE).clamp(ALWAYS, UNPACKED_LIMIT)
    }

    /// Number of bytes that `reader` unpacks to.
    ///
    /// # Errors
    /// If the stream is damaged, or longer than is allowed.
    pub(super) fn length(&self, reader: impl Read) -> Result<u64> {
        let mut reader = reader.take(self.limit() + 1);
        let len = std::io::copy(&mut reader, &mut std::io::sink()).map_err(|e| self.damaged(&e))?;
        self.check(len)?;
        Ok(len)
    }

    /// Refuses a declared length that is not allowed.
    ///
    /// # Errors
    /// If it is not.
    pub(super) fn check(&self, len: u64) -> Result<()> {
        if len <= self.limit() {
            return Ok(());
        }
        let problem = format!(
            "{} bytes unpack to more than {}, and compressed data is held in memory",
            self.packed,
            self.limit()
        );
        Err(Error::file(self.path, self.field, problem, self.remedy))
    }

    /// The first `len` bytes that `reader` unpacks to, fewer if it ends before.
    ///
    /// # Errors
    /// If the stream is damaged.
    pub(super) fn bytes(&self, reader: impl Read, len: u64) -> Result<Vec<u8>> {
        self.check(len)?;
        let mut bytes = Vec::with_capacity(len as usize);
        reader.take(len).read_to_end(&mut bytes).map_err(|e| self.damaged(&e))?;
        Ok(bytes)
    }

    fn damaged(&self, source: &std::io::Error) -> Error {
        let problem = format!("cannot be unpacked: {source}");
        Error::file(self.path, self.field, problem, "the file is damaged: get it again")
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

    #[test]
    fn a_file_made_to_fill_the_memory_is_refused_before_it_does() {
        use std::io::Write as _;
        let gzip = |len: usize| {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            let zeros = vec![0; 1 << 20];
            for _ in 0..len >> 20 {
                encoder.write_all(&zeros).unwrap();
            }
            encoder.finish().unwrap()
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), gzip(64 << 20)).unwrap();
        assert_eq!(Source::open_gzip_or_plain(file.path()).unwrap().len(), 64 << 20);
        std::fs::write(file.path(), gzip(65 << 20)).unwrap();
        let error = Source::open_gzip_or_plain(file.path()).unwrap_err();
        assert!(error.to_string().contains("unpack to more than 67108864"), "{error}");
        assert!(error.hint().is_some());
    }
}
