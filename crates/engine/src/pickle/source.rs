//! The bytes of a pickle, read in order with their position. Lengths written in the file are
//! compared with what is left of it before anything is allocated for them.

use std::io::Read;

use super::file_part::{DOWNLOAD_AGAIN, FilePart, quoted};
use crate::error::{Error, Result};

/// A reader that knows how far it may go.
pub struct Source<R> {
    reader: R,
    position: u64,
    end: u64,
    pub(crate) place: FilePart,
}

impl<R: Read> Source<R> {
    /// The longest name of a module or class.
    const LINE: usize = 1000;

    /// The `length` bytes of `reader`; `place` is what errors say they are.
    pub fn new(reader: R, length: u64, place: FilePart) -> Self {
        Self { reader, position: 0, end: length, place }
    }

    /// How many bytes have been read.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The position and the reader, which stands there.
    pub(crate) fn into_reader(self) -> (u64, R) {
        (self.position, self.reader)
    }

    fn ends_early(&self) -> Error {
        self.place.error_at(self.position, "ends in the middle of the pickle", DOWNLOAD_AGAIN)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.reader.read_exact(bytes).map_err(|source| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => self.ends_early(),
            _ => Error::io("read", &self.place.path)(source),
        })?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// The next `length` bytes.
    pub(crate) fn bytes(&mut self, length: u64) -> Result<Vec<u8>> {
        let left = self.end.saturating_sub(self.position);
        let Some(length) = usize::try_from(length).ok().filter(|_| length <= left) else {
            return Err(self.ends_early());
        };
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// The text up to the next line feed.
    pub(crate) fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => break,
                byte if line.len() < Self::LINE => line.push(byte),
                _ => {
                    let shown = quoted(&String::from_utf8_lossy(&line));
                    let problem = format!("holds a name without end: {shown}");
                    return Err(self.place.error_at(self.position, problem, DOWNLOAD_AGAIN));
                }
            }
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}
