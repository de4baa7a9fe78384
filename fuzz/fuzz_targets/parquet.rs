//! Parquet tables of images and labels.
#![no_main]

use epsball::data;
use libfuzzer_sys::fuzz_target;

#[path = "shared.rs"]
mod shared;

fuzz_target!(|bytes: &[u8]| {
    let path = shared::text(&shared::file("a.parquet", bytes));
    if let Ok(data) = data::open(&format!("parquet:{path}")) {
        // A page is read forwards; the second batch begins again.
        let last = data.info().len - 1;
        let _ = data.read(&[0, last.min(3)]);
        let _ = data.read(&[last, last / 2]);
    }
});
