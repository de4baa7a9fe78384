//! SVHN's cropped digits (Netzer et al. 2011) as published: a MATLAB level 5 MAT file with the images `X`,
//! bytes of shape `[32, 32, 3, N]` in column-major order, and the labels `y`, where 10 means the digit 0.
//! A compressed `X` is unpacked into memory, a plain one is read on demand; other variables are passed over.

use std::io::{BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;

use flate2::read::ZlibDecoder;

use super::element::Element;
use super::records::{Order, Records};
use super::source::{self, Source, Unpacking};
use super::{DataInfo, Dataset, Format, label_file};
use crate::error::{Error, Result};
use crate::regular;

pub(super) const FORMAT: Format = Format {
    name: "svhn",
    usage: "svhn:FILE.mat",
    sign: "a file ending in _32x32.mat",
    fits: |path| label_file::name(path).ends_with("_32x32.mat") && path.is_file(),
    open: |path| open(path.as_ref()),
};

const AGAIN: &str = "get test_32x32.mat again from http://ufldl.stanford.edu/housenumbers/";
const PLAIN: &str =
    "save it without compression: scipy.io.savemat('a_32x32.mat', {'X': X, 'y': y})";

/// Bytes before the first variable.
const HEADER: u64 = 128;

/// Shape of an image as MATLAB has it, `[H, W, C]`.
const IMAGE: [usize; 3] = [32, 32, 3];

/// Types of data elements that are no arrays of numbers.
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

fn open(path: &Path) -> Result<Box<dyn Dataset>> {
    let file = Source::open(path)?;
    check_header(&file)?;
    let (mut images, mut labels) = (None, None);
    let mut at = HEADER;
    while at < file.len() && (images.is_none() || labels.is_none()) {
        let tag = Tag::new(&file.read(at, 8)?);
        let end = at + 8 + u64::from(tag.len);
        if end > file.len() {
            let problem = format!("the one at byte {at} ends at {end}, the file at {}", file.len());
            return Err(Error::file(path, "variables", problem, AGAIN));
        }
        match variable(path, at + 8, &tag)? {
            Some(found) if found.name == "X" && images.is_none() => images = Some(found),
            Some(found) if found.name == "y" && labels.is_none() => labels = Some(found),
            _ => {}
        }
        at = end;
    }
    let missing = |name| Error::file(path, name, "the file has no such variable", AGAIN);
    let (images, labels) =
        (images.ok_or_else(|| missing("X"))?, labels.ok_or_else(|| missing("y"))?);
    Ok(Box::new(records(path, images, labels)?))
}

/// The text, version and byte order that a file begins with.
fn check_header(file: &Source) -> Result<()> {
    let error = |problem, remedy| Err(Error::file(file.path(), "header", problem, remedy));
    if file.len() >= 4 && file.read(0, 4)? == *b"\x89HDF" {
        return error("is an HDF5 file, which MATLAB calls version 7.3", PLAIN);
    }
    if file.len() < HEADER {
        return error("a MAT file begins with 128 bytes, these are fewer", AGAIN);
    }
    match file.read(124, 4)?.as_slice() {
        [0, 1, b'I', b'M'] => Ok(()),
        [0, 2, b'I', b'M'] => error("is of version 7.3, which is HDF5", PLAIN),
        [1, 0, b'M', b'I'] => error("is big-endian", PLAIN),
        _ => error("is not of a MATLAB level 5 MAT file", AGAIN),
    }
}

/// What precedes every element: the type of its numbers and their length in bytes, or for at most four
/// bytes the numbers too.
struct Tag {
    kind: u32,
    len: u32,
    small: Option<Vec<u8>>,
}

impl Tag {
    fn new(bytes: &[u8]) -> Self {
        let mut words = bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word));
        let (kind, len) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        match kind >> 16 {
            0 => Self { kind, len, small: None },
            small => {
                let content = bytes[4..].iter().take(small as usize).copied().collect();
                Self { kind: kind & 0xffff, len: small, small: Some(content) }
            }
        }
    }

    fn element(&self) -> Option<Element> {
        Some(match self.kind {
            1 => Element::I8,
            2 => Element::U8,
            3 => Element::I16,
            4 => Element::U16,
            5 => Element::I32,
            6 => Element::U32,
            7 => Element::F32,
            9 => Element::F64,
            12 => Element::I64,
            13 => Element::U64,
            _ => return None,
        })
    }
}

/// The numbers of a variable, as long as its shape says.
struct Variable {
    name: &'static str,
    shape: Vec<usize>,
    element: Element,
    source: Source,
    offset: u64,
}

/// Reads one variable from its beginning, compressed or not.
struct Stream<'a> {
    reader: Box<dyn Read>,
    path: &'a Path,
    /// Bytes read so far.
    read: u64,
}

impl Stream<'_> {
    fn bytes(&mut self, len: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.reader.read_exact(&mut bytes).map_err(|source| {
            let problem = format!("cannot be read to its end: {source}");
            Error::file(self.path, "variables", problem, AGAIN)
        })?;
        self.read += len as u64;
        Ok(bytes)
    }

    /// The numbers of an element that is `limit` bytes at most, without what pads it to eight.
    fn short(&mut self, limit: u32) -> Result<Vec<u8>> {
        let tag = Tag::new(&self.bytes(8)?);
        if tag.len > limit {
            let problem = format!("{} bytes where at most {limit} belong", tag.len);
            return Err(Error::file(self.path, "variables", problem, AGAIN));
        }
        if let Some(small) = tag.small {
            return Ok(small);
        }
        let len = tag.len as usize;
        let mut bytes = self.bytes(len.next_multiple_of(8))?;
        bytes.truncate(len);
        Ok(bytes)
    }
}

/// The variable whose content begins at `offset` and is as long as `tag` says; `None` for any but `X` and
/// `y`, of which no more is read than the name.
fn variable(path: &Path, offset: u64, tag: &Tag) -> Result<Option<Variable>> {
    let mut file = regular::open(path).map_err(Error::io("read", path))?;
    file.seek(SeekFrom::Start(offset)).map_err(Error::io("read", path))?;
    let content = BufReader::new(file).take(tag.len.into());
    let mut stream = match tag.kind {
        MATRIX => Stream { reader: Box::new(content), path, read: 0 },
        COMPRESSED => Stream { reader: Box::new(ZlibDecoder::new(content)), path, read: 0 },
        _ => return Ok(None),
    };
    if tag.kind == COMPRESSED && Tag::new(&stream.bytes(8)?).kind != MATRIX {
        return Ok(None);
    }
    let flags = stream.short(8)?;
    let dimensions = stream.short(4 * 32)?;
    let name = match stream.short(64)?.as_slice() {
        b"X" => "X",
        b"y" => "y",
        _ => return Ok(None),
    };
    let error = |problem: String| Error::file(path, name, problem, AGAIN);
    let side = |side: &[u8; 4]| usize::try_from(i32::from_le_bytes(*side)).ok();
    let shape: Option<Vec<usize>> = dimensions.as_chunks().0.iter().map(side).collect();
    let shape = shape.ok_or_else(|| error("has a side that is negative".into()))?;
    let data = Tag::new(&stream.bytes(8)?);
    // The second byte tells of imaginary numbers; cells and structures have no numbers of their own.
    let element = data.element().filter(|_| flags.get(1).is_some_and(|byte| byte & 8 == 0));
    let element = element.ok_or_else(|| error("is not an array of real numbers".into()))?;
    let expected = shape.iter().try_fold(element.size(), |n, &side| n.checked_mul(side));
    if expected != Some(data.len as usize) {
        let problem = format!("{element} of shape {shape:?}, but {} bytes", data.len);
        return Err(error(problem));
    }
    let (source, offset) = match (data.small, tag.kind) {
        (Some(small), _) => (Source::memory(path, small), 0),
        (None, MATRIX) => (Source::open(path)?, offset + stream.read),
        (None, _) => {
            let packed = tag.len.into();
            let unpacking = Unpacking { path, field: name, packed, remedy: PLAIN };
            (Source::memory(path, unpacked(stream.reader, &unpacking, data.len)?), 0)
        }
    };
    Ok(Some(Variable { name, shape, element, source, offset }))
}

/// The next `len` bytes of `reader`, and whether the checksum behind them holds.
fn unpacked(mut reader: Box<dyn Read>, unpacking: &Unpacking<'_>, len: u32) -> Result<Vec<u8>> {
    let bytes = unpacking.bytes(&mut reader, len.into())?;
    unpacking.length(reader.take(8))?;
    if bytes.len() != len as usize {
        let problem = format!("{len} bytes expected, {} found", bytes.len());
        return Err(Error::file(unpacking.path, unpacking.field, problem, AGAIN));
    }
    Ok(bytes)
}

/// The data set of these two variables.
fn records(path: &Path, images: Variable, labels: Variable) -> Result<Records> {
    let error = |name, problem: String| Error::file(path, name, problem, AGAIN);
    // MATLAB drops a last side of 1.
    let len = match images.shape.as_slice() {
        [image @ .., len] if image == IMAGE && *len > 0 => *len,
        image if image == IMAGE => 1,
        shape => return Err(error("X", format!("has shape {shape:?}, not [32, 32, 3, N]"))),
    };
    if images.element != Element::U8 {
        return Err(error("X", format!("is {}, not uint8", images.element)));
    }
    if !matches!(labels.shape.as_slice(), [n, 1] | [1, n] if *n == len) {
        return Err(error("y", format!("has shape {:?} for {len} images", labels.shape)));
    }
    let bytes = labels.source.read(labels.offset, len * labels.element.size())?;
    let label = |(image, number)| match number {
        Some(number @ 0..=9) => Ok(number as u32),
        Some(10) => Ok(0),
        _ => Err(error("y", format!("the label of image {image} is not one of 1 to 10"))),
    };
    let labels = numbers(labels.element, &bytes).into_iter().enumerate().map(label);
    let [height, width, channels] = IMAGE;
    Ok(Records {
        info: DataInfo {
            name: path.file_stem().unwrap_or_default().to_string_lossy().into(),
            len,
            shape: [channels, height, width],
            classes: Some(10),
            sha256: source::sha256_file(path)?,
        },
        labels: labels.collect::<Result<_>>()?,
        source: images.source,
        first: images.offset,
        stride: IMAGE.iter().product::<usize>() as u64,
        element: Element::U8,
        white: 255.0,
        order: Order::ColumnMajor,
    })
}

/// Integers in any type of number, `None` for what is not whole.
fn numbers(element: Element, bytes: &[u8]) -> Vec<Option<i128>> {
    if let Some(numbers) = element.integers(bytes) {
        return numbers.into_iter().map(Some).collect();
    }
    let mut floats = vec![0.0; bytes.len() / element.size()];
    element.pixels(bytes, 1.0, &mut floats);
    floats.iter().map(|number| (number.fract() == 0.0).then_some(*number as i128)).collect()
}

#[cfg(test)]
pub(super) mod tests;
