//! Whether a large file can be a network, before it is read into memory: its fields are stepped over by their lengths.

use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _};
use std::path::Path;

use super::check::LARGEST;
use super::wire::DAMAGED;
use crate::error::{Error, Result};

/// The most bytes that a message of protobuf may have.
const LONGEST: u64 = 2 << 30;

/// Most fields of a file. A model has a dozen.
const FIELDS: usize = 1 << 20;

/// Refuses a file whose fields do not end where it ends.
///
/// # Errors
/// If it is one, or longer than a file of ONNX can be.
pub fn probe(path: &Path, file: File) -> Result<()> {
    let io = || Error::io("read", path);
    let wrong = |problem: String| Error::file(path, "file", problem, DAMAGED);
    let length = file.metadata().map_err(io())?.len();
    let mut file = BufReader::new(file);
    let mut first = [0; 2];
    file.read_exact(&mut first).map_err(io())?;
    let most = if first == [0x1f, 0x8b] { LARGEST } else { LONGEST };
    if length > most {
        let problem = format!("it has {length} bytes, more than the {most} that are supported");
        let remedy = "export the network with external data";
        return Err(Error::file(path, "file", problem, remedy));
    }
    if first == [0x1f, 0x8b] {
        return Ok(());
    }
    file.rewind().map_err(io())?;
    let mut at = 0_u64;
    for _ in 0..FIELDS {
        if at == length {
            return Ok(());
        }
        let start = at;
        let broken = || wrong(format!("byte {start} begins no field of an ONNX file"));
        let mut varint = || -> Result<u64> {
            let mut number = 0;
            for place in 0..10 {
                let mut byte = [0];
                file.read_exact(&mut byte).map_err(|_| broken())?;
                at += 1;
                number |= u64::from(byte[0] & 0x7f) << (7 * place);
                if byte[0] & 0x80 == 0 {
                    return Ok(number);
                }
            }
            Err(broken())
        };
        let tag = varint()?;
        let rest = match tag & 7 {
            0 => varint().map(|_| 0)?,
            1 => 8,
            2 => varint()?,
            5 => 4,
            _ => return Err(broken()),
        };
        if tag >> 3 == 0 {
            return Err(broken());
        }
        at = at.checked_add(rest).filter(|end| *end <= length).ok_or_else(broken)?;
        let rest = i64::try_from(rest).map_err(|_| broken())?;
        file.seek_relative(rest).map_err(io())?;
    }
    Err(wrong(format!("it has more than {FIELDS} fields")))
}
