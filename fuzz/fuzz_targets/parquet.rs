//! Parquet tables of images and labels.
#![no_main]

use epsball::data;
use libfuzzer_sys::fuzz_target;

#[path = "shared.rs"]
mod shared;

/// The parquet crate (60.1) passes over a list or map of truth values that it does not know entry by entry, as
/// many as it claims to have and without reading any: two thousand million steps for six bytes. It ends, and
/// nothing can be done about it here.
fn is_slow(bytes: &[u8]) -> bool {
    let more = |byte: &u8| *byte >= 0x80;
    bytes.windows(5).any(|part| {
        let list = matches!(part[0], 0xf1 | 0xf2) && part[1..4].iter().all(more);
        let map = part[..3].iter().all(more)
            && part[3..].iter().any(|b| matches!(b, 0x11 | 0x12 | 0x21 | 0x22));
        list || map
    })
}

fuzz_target!(|bytes: &[u8]| {
    if is_slow(bytes) {
        return;
    }
    let path = shared::text(&shared::file("a.parquet", bytes));
    if let Ok(data) = data::open(&format!("parquet:{path}")) {
        // A page is read forwards; the second batch begins again.
        let last = data.info().len - 1;
        let _ = data.read(&[0, last.min(3)]);
        let _ = data.read(&[last, last / 2]);
    }
});
