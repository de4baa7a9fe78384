//! Opening what is meant to be a file. A named pipe would be waited for and a device read for ever, so neither is
//! opened; what a user has there belongs into a file first.

use std::fs::{File, FileType};
use std::io::{Error, ErrorKind, Read as _, Result};
use std::path::Path;

/// Refuses what is there and neither a regular file nor a folder.
///
/// # Errors
/// If it is something else; its kind is [`ErrorKind::InvalidInput`].
pub fn check(path: &Path) -> Result<()> {
    let Ok(there) = std::fs::metadata(path) else { return Ok(()) };
    match other(there.file_type()) {
        None => Ok(()),
        Some(what) => {
            Err(Error::new(ErrorKind::InvalidInput, format!("it is {what}, and not a file")))
        }
    }
}

#[cfg(unix)]
fn other(kind: FileType) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt as _;
    match kind {
        kind if kind.is_file() || kind.is_dir() => None,
        kind if kind.is_fifo() => Some("a named pipe"),
        kind if kind.is_socket() => Some("a socket"),
        _ => Some("a device"),
    }
}

#[cfg(not(unix))]
fn other(kind: FileType) -> Option<&'static str> {
    (!kind.is_file() && !kind.is_dir()).then_some("a device")
}

/// Opens a file for reading.
///
/// # Errors
/// If there is none, or it is no regular file.
pub fn open(path: impl AsRef<Path>) -> Result<File> {
    check(path.as_ref())?;
    File::open(path)
}

/// Reads a whole file.
///
/// # Errors
/// As [`open`], or if it cannot be read.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    check(path.as_ref())?;
    std::fs::read(path)
}

/// Reads a file that runs of this program write: a record or a table.
///
/// # Errors
/// As [`read`], or if it has more than 512 MiB, which is a row for each of a million images.
pub fn record(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    const MOST: u64 = 512 << 20;
    let mut bytes = Vec::new();
    let mut file = open(path)?;
    if file.metadata()?.len() <= MOST {
        file.read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    Err(Error::new(ErrorKind::InvalidData, "it has more than 512 MiB"))
}

/// Reads a file of text that a person writes, which has a size that a person writes.
///
/// # Errors
/// As [`read`], if it has more than 64 MiB, or is not UTF-8.
pub fn text(path: impl AsRef<Path>) -> Result<String> {
    const MOST: u64 = 64 << 20;
    let mut text = String::new();
    open(path)?.take(MOST + 1).read_to_string(&mut text)?;
    match text.len() as u64 > MOST {
        true => Err(Error::new(ErrorKind::InvalidData, "it has more than 64 MiB of text")),
        false => Ok(text),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "text").unwrap();
        assert_eq!(text(&file).unwrap(), "text");
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, problem) in [
            (pipe, "it is a named pipe, and not a file"),
            (socket, "it is a socket, and not a file"),
            ("/dev/zero".into(), "it is a device, and not a file"),
        ] {
            for error in [open(&path).err(), read(&path).err(), text(&path).err()] {
                assert_eq!(error.unwrap().to_string(), problem, "{}", path.display());
            }
        }
        assert_eq!(text(folder.path().join("none")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
