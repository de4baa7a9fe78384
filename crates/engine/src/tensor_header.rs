//! The header of a safetensors file: what every reader of one, of weights or of images, begins with. It is JSON and
//! may be long, so what no such file holds is refused before anything is made of it.

use safetensors::tensor::Metadata;

use crate::pickle::file_part::quoted;

/// The longest header that the format allows, in bytes.
pub const LONGEST: u64 = 100_000_000;

/// The most tensors of a file; networks have some thousands.
const MOST: usize = 100_000;

/// Whether a file that begins with `head` states a length for its header and goes on with JSON.
pub fn begins(head: &[u8]) -> bool {
    let length = head.first_chunk().map(|length| u64::from_le_bytes(*length));
    length.is_some_and(|length| length <= LONGEST) && head.get(8) == Some(&b'{')
}

/// What the header says, whose text is `header`: the format's own crate checks the offsets against the shapes, and
/// that the tensors lie without gaps or overlaps.
///
/// # Errors
/// If it is damaged, or lists more tensors than any network has.
pub fn parse(header: &[u8]) -> Result<Metadata, String> {
    // What is made of each tensor would take seconds.
    if header.windows(7).filter(|bytes| *bytes == b"\"dtype\"").nth(MOST).is_some() {
        return Err(format!("lists more than {MOST} tensors, which no network has"));
    }
    serde_json::from_slice(header)
        .map_err(|error| format!("is damaged: {}", quoted(&error.to_string())))
}
