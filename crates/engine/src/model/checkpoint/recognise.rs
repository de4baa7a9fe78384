//! What kind of file it is, from its first bytes; names and extensions are not believed. The things
//! that end up under the name of a checkpoint without being one get a message of their own.

use crate::error::Error;
use crate::pickle::file_part::{DOWNLOAD_AGAIN, FilePart};
use crate::tensor_header;

/// The formats that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `torch.save` since PyTorch 1.6.
    Zip,
    /// `torch.save` before that.
    Legacy,
    /// safetensors.
    Safetensors,
}

/// How many bytes [`recognise`] wants to see.
pub(super) const HEAD: usize = 512;

/// First bytes of files that are no checkpoints: what the file is and what to do.
const OTHERS: [(&[u8], &str, &str); 6] = [
    (
        b"version https://git-lfs",
        "this is a Git LFS pointer, which stands for the file and does not hold it",
        "fetch the file itself: git lfs pull",
    ),
    (b"\x1f\x8b", "this is a gzip file", "unpack it first: gunzip, or tar xzf"),
    (b"\x93NUMPY", "this is a numpy array", "give a PyTorch checkpoint or a safetensors file"),
    (
        b"\x89HDF",
        "this is an HDF5 file, as Keras writes",
        "give a PyTorch checkpoint or a safetensors file",
    ),
    (b"PK", "this zip archive is empty or split", DOWNLOAD_AGAIN),
    (b"{", "this is a JSON text, perhaps the error message of a failed download", DOWNLOAD_AGAIN),
];

/// The format of a file that starts with `head`.
///
/// # Errors
/// If it is none of them.
pub(super) fn recognise(head: &[u8], place: &FilePart) -> Result<Format, Error> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    match head {
        [] => return Err(place.error("the file is empty", DOWNLOAD_AGAIN)),
        [b'P', b'K', 3, 4, ..] => return Ok(Format::Zip),
        // PROTO, the instruction that opens a pickle.
        [0x80, 2..=5, ..] => return Ok(Format::Legacy),
        _ if tensor_header::begins(head) => return Ok(Format::Safetensors),
        _ => {}
    }
    if text.starts_with(b"<") {
        return Err(place.error(
            "this looks like a web page saved by a failed download, not a checkpoint",
            "open the address in a browser, download the file itself and try again",
        ));
    }
    if head.get(257..262) == Some(b"ustar") {
        return Err(place.error(
            "this is a tar archive",
            "unpack it first; if PyTorch before 0.1.10 wrote it, save it again in a current one",
        ));
    }
    if let Some((_, problem, remedy)) = OTHERS.iter().find(|(start, ..)| head.starts_with(start)) {
        return Err(place.error(*problem, *remedy));
    }
    Err(place.error(
        "neither a checkpoint of torch.save nor a safetensors file starts like this",
        "give a file written by torch.save(model.state_dict(), ...) or a .safetensors file",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(head: &[u8]) -> String {
        match recognise(head, &FilePart::new("x.pt".as_ref(), "file")) {
            Ok(format) => format!("{format:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_first_bytes_tell() {
        let mut tar = [0_u8; HEAD];
        tar[257..262].copy_from_slice(b"ustar");
        for (head, expected) in [
            (&b"PK\x03\x04rest"[..], "Zip"),
            (b"\x80\x02\x8a\x0a", "Legacy"),
            (b"\x40\0\0\0\0\0\0\0{\"a\"", "Safetensors"),
            (b"", "empty"),
            (b"\n <!DOCTYPE html>", "web page"),
            (b"\xef\xbb\xbf<html>", "web page"),
            (b"<?xml version=\"1.0\"?><Error>", "web page"),
            (b"version https://git-lfs.github.com/spec/v1", "Git LFS pointer"),
            (b"\x1f\x8b\x08", "gzip"),
            (b"\x93NUMPY\x01", "numpy"),
            (b"\x89HDF\r\n", "HDF5"),
            (b"PK\x05\x06", "zip archive is empty"),
            (b"{\"error\": 404}", "JSON"),
            (&tar, "tar archive"),
            (b"\x7fELF", "neither"),
            (b"P", "neither"),
        ] {
            let outcome = outcome(head);
            assert!(outcome.contains(expected), "{expected}: {outcome}");
        }
    }
}
