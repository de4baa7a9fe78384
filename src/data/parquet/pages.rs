//! A file whose pages are unpacked only if they become about as large as they are: the parquet crate asks for
//! memory on the word of a page's header.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};

use ::bytes::Bytes;
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::reader::{ChunkReader, Length};

/// Most bytes that a page may unpack to however small it is, and how many times its own size beyond that.
/// Compressed images do not become smaller again, and pages of labels are about a megabyte.
const UNPACKED: u64 = 16 << 20;
const EXPANSION: u64 = 4;

/// A file whose page headers are looked at before they are believed.
pub(super) struct Pages {
    file: File,
    /// Where the footer ends in its length and magic bytes, which are read the same way.
    end: u64,
}

impl Pages {
    pub(super) fn new(file: File) -> Self {
        let end = Length::len(&file).saturating_sub(8);
        Self { file, end }
    }
}

impl Length for Pages {
    fn len(&self) -> u64 {
        Length::len(&self.file)
    }
}

impl ChunkReader for Pages {
    type T = Header;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(Header { reader: self.file.get_read(start)?, checked: start >= self.end })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.file.get_bytes(start, length)
    }
}

/// The file from a page header on. It is looked at when it is read: a header that is known already is asked
/// for once more, from the place behind it, and not read.
pub(super) struct Header {
    reader: BufReader<File>,
    checked: bool,
}

impl Read for Header {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        if !self.checked {
            check_sizes(self.reader.fill_buf()?).map_err(std::io::Error::other)?;
            self.checked = true;
        }
        self.reader.read(bytes)
    }
}

/// Refuses the page header at the beginning of `bytes` if memory for its page cannot be asked for. A header
/// is a Thrift structure in the compact protocol, which begins with three 32-bit integers: the type of the
/// page, its size and its size in the file. `bytes` are a buffer of the file, thus longer than these.
fn check_sizes(bytes: &[u8]) -> Result<()> {
    // A field one further than the last, of type i32.
    const FIELD: u8 = 0x15;
    let mut rest = bytes;
    let mut integer = || {
        let (&head, mut after) = rest.split_first()?;
        let mut value = 0_u64;
        for place in 0..5 {
            let (&byte, next) = after.split_first()?;
            after = next;
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                rest = after;
                // Zigzag: even numbers are the ones from 0 upwards.
                return (head == FIELD && value % 2 == 0).then_some(value / 2);
            }
        }
        None
    };
    let (Some(_), Some(unpacked), Some(stored)) = (integer(), integer(), integer()) else {
        return Err(error("a page header does not begin with the sizes of its page"));
    };
    if unpacked > UNPACKED.max(EXPANSION * stored) {
        return Err(error(format!("a page of {stored} bytes claims to unpack to {unpacked}")));
    }
    Ok(())
}

/// A complaint about a file, in the words of the crate.
pub(super) fn error(problem: impl Into<String>) -> ParquetError {
    ParquetError::General(problem.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number of a page header: what says that it is one, then seven bits to a byte, the last first.
    fn field(value: u64) -> Vec<u8> {
        let mut bytes = vec![0x15];
        let mut rest = 2 * value;
        while rest >= 0x80 {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
        bytes
    }

    fn sizes(unpacked: u64, stored: u64) -> String {
        let header = [field(0), field(unpacked), field(stored), vec![0; 8]].concat();
        check_sizes(&header).err().map_or_else(String::new, |e| e.to_string())
    }

    #[test]
    fn pages_unpack_to_about_what_is_stored() {
        assert_eq!(sizes(1 << 20, 10), "");
        assert_eq!(sizes(200 << 20, 100 << 20), "");
        assert!(sizes(i32::MAX as u64, 10).contains("10 bytes claims to unpack to 2147483647"));
        assert!(sizes(500 << 20, 100 << 20).contains("claims to unpack"));
        let size = field(9);
        for header in
            [&[][..], &size, &[0x15, 0x80, 0x80, 0x80, 0x80, 0x80, 0], &[0x19, 2, 0x15, 2]]
        {
            let error = check_sizes(header).unwrap_err().to_string();
            assert!(error.contains("does not begin with the sizes"), "{error}");
        }
        assert!(check_sizes(&[0x15, 0, 0x15, 1, 0x15, 0]).is_err(), "-1 bytes");
    }
}
