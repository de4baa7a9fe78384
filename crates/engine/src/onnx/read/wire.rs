//! The wire format of protobuf, in which ONNX files are written: a message is a sequence of fields, each with a
//! number and a value of one of four shapes. Nothing here knows a schema: the reader of a field says what it should
//! be. Lengths are compared with the bytes that are there before anything is done with them.

use std::path::Path;

use crate::error::{Error, Result};

/// What helps against a damaged file.
pub(super) const DAMAGED: &str = "download the file again, or export the network again";

/// A message whose fields have not been read yet: an iterator over them, which ends after the first error.
#[derive(Debug, Clone)]
pub(super) struct Message<'a> {
    /// The file, for messages.
    pub(super) path: &'a Path,
    /// What the schema calls it.
    name: &'static str,
    /// Where in the file it begins.
    start: usize,
    bytes: &'a [u8],
    at: usize,
}

/// A field of a message.
#[derive(Debug, Clone)]
pub(super) struct Field<'a> {
    /// Its number in the schema.
    pub(super) number: u32,
    value: Value<'a>,
    /// The message that it lies in.
    message: &'static str,
    path: &'a Path,
    /// Where in the file its value begins, and where it ends.
    start: usize,
    end: usize,
}

#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Varint(u64),
    Eight([u8; 8]),
    Bytes(&'a [u8]),
    Four([u8; 4]),
}

impl<'a> Message<'a> {
    /// A whole file.
    pub(super) fn new(path: &'a Path, name: &'static str, bytes: &'a [u8]) -> Self {
        Self { path, name, start: 0, bytes, at: 0 }
    }

    /// Number of its bytes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// An error about the byte that is read next.
    fn error(&self, problem: impl Into<String>) -> Error {
        let field = format!("byte {}, {}", self.start.saturating_add(self.at), self.name);
        Error::file(self.path, field, problem, DAMAGED)
    }

    fn end(&self) -> String {
        match self.start {
            0 => "the end of the file".into(),
            _ => format!("the end of the {}", self.name),
        }
    }

    fn varint(&mut self) -> Result<u64> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let mut number = 0_u64;
        for (place, byte) in rest.iter().take(10).enumerate() {
            if place == 9 && *byte > 1 {
                return Err(self.error("a varint has more than ten bytes or 64 bits"));
            }
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                self.at += place + 1;
                return Ok(number);
            }
        }
        Err(self.error(format!("truncated: a varint runs past {}", self.end())))
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = usize::try_from(count).ok().and_then(|count| rest.get(..count));
        let taken = taken.ok_or_else(|| {
            let problem = format!(
                "truncated: a length of {count} bytes runs past {}, {} bytes are left",
                self.end(),
                rest.len()
            );
            self.error(problem)
        })?;
        self.at += taken.len();
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.take(N as u64)?;
        taken.try_into().map_err(|_| self.error("truncated"))
    }

    fn field(&mut self) -> Result<Field<'a>> {
        let tag_at = self.at;
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|n| (1..1 << 29).contains(n));
        let Some(number) = number else {
            self.at = tag_at;
            return Err(self.error(format!("{tag} is no valid field tag")));
        };
        let mut start = self.at;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Eight(self.array()?),
            2 => {
                let length = self.varint()?;
                start = self.at;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Four(self.array()?),
            wire @ (3 | 4) => {
                self.at = tag_at;
                return Err(self.error(format!(
                    "field {number} has the deprecated group wire type {wire}, which no ONNX file has"
                )));
            }
            wire => {
                self.at = tag_at;
                return Err(self.error(format!("field {number} has the invalid wire type {wire}")));
            }
        };
        let (start, end) = (self.start.saturating_add(start), self.start.saturating_add(self.at));
        Ok(Field { number, value, message: self.name, path: self.path, start, end })
    }
}

impl<'a> Iterator for Message<'a> {
    type Item = Result<Field<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.at = self.bytes.len();
        }
        Some(field)
    }
}

impl<'a> Field<'a> {
    /// An error about this field, which the schema calls `name`.
    pub(super) fn error(&self, name: &str, problem: &str) -> Error {
        let field = format!("byte {}, {}", self.start, self.message);
        let problem = format!("field {} ({name}) {problem}", self.number);
        Error::file(self.path, field, problem, DAMAGED)
    }

    fn wrong(&self, name: &str, wanted: &str) -> Error {
        let wire = match self.value {
            Value::Varint(_) => "varint",
            Value::Eight(_) => "64-bit",
            Value::Bytes(_) => "length-delimited",
            Value::Four(_) => "32-bit",
        };
        self.error(name, &format!("has wire type {wire} instead of {wanted}"))
    }

    /// Bytes as they are.
    pub(super) fn bytes(&self, name: &str) -> Result<&'a [u8]> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(self.wrong(name, "length-delimited")),
        }
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Result<&'a str> {
        std::str::from_utf8(self.bytes(name)?).map_err(|_| self.error(name, "is no UTF-8 text"))
    }

    /// A message, which the schema calls `kind`.
    pub(super) fn message(&self, name: &str, kind: &'static str) -> Result<Message<'a>> {
        let bytes = self.bytes(name)?;
        let start = self.end.saturating_sub(bytes.len());
        Ok(Message { path: self.path, name: kind, start, bytes, at: 0 })
    }

    /// An integer; a u64 as the i64 of the same bits.
    pub(super) fn int(&self, name: &str) -> Result<i64> {
        match self.value {
            Value::Varint(number) => Ok(number.cast_signed()),
            _ => Err(self.wrong(name, "varint")),
        }
    }

    /// A number.
    pub(super) fn float(&self, name: &str) -> Result<f32> {
        match self.value {
            Value::Four(bytes) => Ok(f32::from_le_bytes(bytes)),
            _ => Err(self.wrong(name, "32-bit")),
        }
    }

    /// One integer or many in a row are added to `into`.
    pub(super) fn ints(&self, name: &'static str, into: &mut Vec<i64>) -> Result<()> {
        match self.value {
            Value::Varint(number) => into.push(number.cast_signed()),
            Value::Bytes(_) => {
                let mut packed = self.message(name, name)?;
                while packed.at < packed.len() {
                    into.push(packed.varint()?.cast_signed());
                }
            }
            _ => return Err(self.wrong(name, "varint")),
        }
        Ok(())
    }

    /// One number or many in a row are added to `into`.
    pub(super) fn floats(&self, name: &str, into: &mut Vec<f32>) -> Result<()> {
        match self.value {
            Value::Four(bytes) => into.push(f32::from_le_bytes(bytes)),
            Value::Bytes(bytes) => {
                let (numbers, []) = bytes.as_chunks() else {
                    return Err(self.error(name, "does not end with a whole f32"));
                };
                into.extend(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)));
            }
            _ => return Err(self.wrong(name, "32-bit")),
        }
        Ok(())
    }

    /// One number or many in a row are added to `into`.
    pub(super) fn doubles(&self, name: &str, into: &mut Vec<f64>) -> Result<()> {
        match self.value {
            Value::Eight(bytes) => into.push(f64::from_le_bytes(bytes)),
            Value::Bytes(bytes) => {
                let (numbers, []) = bytes.as_chunks() else {
                    return Err(self.error(name, "does not end with a whole f64"));
                };
                into.extend(numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)));
            }
            _ => return Err(self.wrong(name, "64-bit")),
        }
        Ok(())
    }
}
