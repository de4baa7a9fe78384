//! No parser: asks for memory, to show that the limit of `shared.rs` is in force.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "shared.rs"]
mod shared;

fuzz_target!(|bytes: &[u8]| {
    let megabytes = std::str::from_utf8(bytes).ok().and_then(|text| text.trim().parse().ok());
    if let Some(megabytes) = megabytes.filter(|megabytes: &usize| *megabytes < 1 << 20) {
        // Never touched, so that the resident memory stays small.
        std::hint::black_box(Vec::<u8>::with_capacity(megabytes << 20));
    }
});
