//! Checksums of what a run leaves on disk: a row of a table, a text file as a whole. They tell damage
//! and edits from what was written; a row's also says which job it belongs to.

use crate::digest::sha256;

/// Hex digits of a checksum: 64 bits, so that damage is missed once in 10^19 times.
const DIGITS: usize = 16;

/// Start of the last line of a text file with a checksum.
const MARK: &str = "# checksum: ";

/// Checksum of the line `line` under `header` in the table of the job `key`.
pub(super) fn of_line(key: &str, header: &str, line: &str) -> String {
    sha256(format!("{key}\n{header}\n{line}").as_bytes())[..DIGITS].to_owned()
}

/// `text` with a last line that holds the checksum of it and of `key`.
pub(super) fn sealed(key: &str, text: &str) -> String {
    format!("{text}{MARK}{}\n", sha256(format!("{key}\n{text}").as_bytes()))
}

/// The text that [`sealed`] was given; `None` if it is not the one that was written.
pub(super) fn opened<'a>(key: &str, sealed: &'a str) -> Option<&'a str> {
    let line = sealed.strip_suffix('\n')?;
    let start = line.rfind('\n').map_or(0, |at| at + 1);
    let text = &sealed[..start];
    let checksum = line[start..].strip_prefix(MARK)?;
    // A fuzzer guesses no checksum.
    let fits = cfg!(fuzzing) || checksum == sha256(format!("{key}\n{text}").as_bytes());
    fits.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen() {
        let text = sealed("job", "name = \"a\"\n[b]\nc = 1\n");
        assert_eq!(opened("job", &text), Some("name = \"a\"\n[b]\nc = 1\n"));
        assert_eq!(opened("other", &text), None);
        for at in 0..text.len() {
            assert_eq!(opened("job", &text[..at]), None, "cut at {at}");
            for bit in 0..7 {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let flipped = String::from_utf8(bytes).unwrap();
                assert_eq!(opened("job", &flipped), None, "bit {bit} of byte {at}");
            }
        }
    }
}
