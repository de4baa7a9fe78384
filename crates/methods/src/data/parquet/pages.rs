//! A file whose pages are unpacked only if they become about as large as they are: the parquet crate asks for
//! memory on the word of a page's header.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Seek as _, SeekFrom};

use ::bytes::Bytes;
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::reader::{ChunkReader, Length};

/// Most bytes that a page may unpack to however small it is, and how many times its own size beyond that.
/// Compressed images do not become smaller again, and pages of labels are about a megabyte.
const UNPACKED: u64 = 16 << 20;
const EXPANSION: u64 = 4;

/// More bytes than a page header has; most of them would be its smallest and largest value.
const HEADER: usize = 1 << 15;

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
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(start))?;
        Ok(Header { reader: BufReader::with_capacity(HEADER, file), checked: start >= self.end })
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
            check_header(self.reader.fill_buf()?).map_err(std::io::Error::other)?;
            self.checked = true;
        }
        self.reader.read(bytes)
    }
}

/// Refuses the page header at the beginning of `bytes` if memory for its page cannot be asked for, or it is
/// not as every writer has it: the crate takes for granted that what describes a page is there, and lets a
/// field that comes twice overrule the first.
///
/// A header is a Thrift structure in the compact protocol: three 32-bit integers (the kind of the page, its
/// size and its size in the file), perhaps a checksum, and a structure that belongs to the kind.
fn check_header(bytes: &[u8]) -> Result<()> {
    let mut rest = bytes;
    let [kind, unpacked, stored] = [(); 3].map(|()| integer(&mut rest).and_then(unsigned));
    let (Some(kind), Some(unpacked), Some(stored)) = (kind, unpacked, stored) else {
        return Err(error("a page header does not begin with the sizes of its page"));
    };
    if unpacked > UNPACKED.max(EXPANSION * stored) {
        return Err(error(format!("a page of {stored} bytes claims to unpack to {unpacked}")));
    }
    // Fields are numbered: how far it is from the last to this one stands before its type.
    let last = if integer(&mut rest).is_some() { 4 } else { 3 };
    let (number, fields): (u8, &[u8]) = match kind {
        0 => (5, &[I32, I32, I32, I32, STRUCTURE]),
        2 => (7, &[I32, I32, TRUTH]),
        3 => (8, &[I32, I32, I32, I32, I32, I32, TRUTH, STRUCTURE]),
        _ => return Err(error(format!("there are no pages of kind {kind}"))),
    };
    let described = rest.split_off_first() == Some(&((number - last) << 4 | STRUCTURE))
        && structure(&mut rest, fields).is_some()
        && rest.first() == Some(&0);
    described.then_some(()).ok_or_else(|| error("a page header does not describe its page"))
}

/// Types of fields; a truth value is one of two.
const TRUTH: u8 = 2;
const I32: u8 = 5;
const I64: u8 = 6;
const BYTES: u8 = 8;
const STRUCTURE: u8 = 12;

/// The smallest and largest values of a page and how many are missing, the one structure inside another.
const STATISTICS: &[u8] = &[BYTES, BYTES, I64, I64, BYTES, BYTES, TRUTH, TRUTH];

/// Cuts off a structure that has some of `fields`, in order; `None` if it is not one.
fn structure(rest: &mut &[u8], fields: &[u8]) -> Option<()> {
    let mut number = 0;
    loop {
        let head = rest.split_off_first()?;
        let (step, kind) = (usize::from(head >> 4), head & 15);
        if kind == 0 {
            return Some(());
        }
        number += step;
        if step == 0 || *fields.get(number - 1)? != kind.max(TRUTH) {
            return None;
        }
        match kind {
            I32 | I64 => drop(varint(rest)?),
            BYTES => {
                let length = usize::try_from(varint(rest)?).ok()?;
                rest.split_off(..length)?;
            }
            STRUCTURE => structure(rest, STATISTICS)?,
            _ => {}
        }
    }
}

/// Cuts off the next field if it is an integer and follows on the last.
fn integer(rest: &mut &[u8]) -> Option<u64> {
    rest.first().filter(|head| **head == 1 << 4 | I32)?;
    rest.split_off_first()?;
    varint(rest)
}

/// Cuts off seven bits to a byte, the lowest first.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for place in 0..10 {
        let byte = *rest.split_off_first()?;
        value |= u64::from(byte & 0x7f).checked_shl(7 * place)?;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Zigzag: even numbers are the ones from 0 upwards.
fn unsigned(value: u64) -> Option<u64> {
    (value.is_multiple_of(2) && value <= u64::from(u32::MAX)).then_some(value / 2)
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

    fn checked(parts: &[&[u8]]) -> String {
        check_header(&parts.concat()).err().map_or_else(String::new, |e| e.to_string())
    }

    #[test]
    fn pages_unpack_to_about_what_is_stored() {
        let sizes = |unpacked, stored| {
            checked(&[&field(0), &field(unpacked), &field(stored), &[0x2c, 0, 0]])
        };
        assert_eq!(sizes(1 << 20, 10), "");
        assert_eq!(sizes(200 << 20, 100 << 20), "");
        assert!(sizes(i32::MAX as u64, 10).contains("10 bytes claims to unpack to 2147483647"));
        assert!(sizes(500 << 20, 100 << 20).contains("claims to unpack"));
        let size = field(9);
        for header in
            [&[][..], &size, &[0x15, 0x80, 0x80, 0x80, 0x80, 0x80, 0], &[0x19, 2, 0x15, 2]]
        {
            let error = checked(&[header]);
            assert!(error.contains("does not begin with the sizes"), "{error}");
        }
        assert!(!checked(&[&[0x15, 0, 0x15, 1, 0x15, 0]]).is_empty(), "-1 bytes");
    }

    #[test]
    fn headers_describe_their_page() {
        let size = field(9);
        for (kind, plain, behind_a_checksum) in [(0, 0x2c, 0x1c), (2, 0x4c, 0x3c), (3, 0x5c, 0x4c)]
        {
            let start = [&field(kind)[..], &size, &size].concat();
            assert_eq!(checked(&[&start, &[plain, 0x15, 2, 0x15, 4, 0, 0]]), "");
            // A checksum is any number.
            assert_eq!(checked(&[&start, &[0x15, 3, behind_a_checksum, 0, 0]]), "");
            let twice = [plain, 0, 0x05, 2, 9, 0];
            let cases = [
                &[0, 0][..],
                &[0x15, 3, plain, 0, 0],
                &[behind_a_checksum, 0, 0],
                &[0x6c, 0, 0],
                &[],
                &[plain],
                &[plain, 0],
                &[plain, 0x11, 2, 0, 0],
                &[plain, 0x05, 2, 9, 0, 0],
                &twice,
            ];
            for other in cases {
                let error = checked(&[&start, other]);
                assert!(error.contains("does not describe its page"), "{kind} {other:?}: {error}");
            }
        }
        assert!(checked(&[&field(1), &size, &size, &[0x3c, 0, 0]]).contains("no pages of kind 1"));
        // Statistics: two bytes, a number, a truth value.
        let start = [&field(0)[..], &size, &size, &[0x2c, 0x5c]].concat();
        assert_eq!(checked(&[&start, &[0x18, 2, 7, 7, 0x26, 0x80, 1, 0x41, 0, 0, 0]]), "");
        for other in [&[0x18, 9, 7, 0, 0, 0][..], &[0x1c, 0, 0, 0], &[0x91, 0, 0, 0]] {
            assert!(checked(&[&start, other]).contains("does not describe its page"), "{other:?}");
        }
    }
}
