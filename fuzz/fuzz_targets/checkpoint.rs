//! Checkpoints of every kind as they are: the zip and the stream format of `torch.save`, safetensors. An
//! input that begins as a pickle is also put into an archive with right checksums, and read as a batch of
//! CIFAR; one that begins as JSON becomes the header of a safetensors file.
#![no_main]

use std::path::Path;

use epsball::model::checkpoint;
use epsball::{data, zoo};
use libfuzzer_sys::fuzz_target;

#[path = "shared.rs"]
mod shared;

/// Numbers for the storages that seeds refer to.
const NUMBERS: &[u8] = &[0x3f; 256];

fuzz_target!(|bytes: &[u8]| {
    read(&shared::file("checkpoint.pt", bytes));
    match bytes.first() {
        Some(0x80) => {
            let members: [(&str, &[u8]); 4] = [
                ("a/data.pkl", bytes),
                ("a/byteorder", b"little"),
                ("a/data/0", NUMBERS),
                ("a/data/1", &NUMBERS[..24]),
            ];
            read(&shared::file("pickle.pt", &shared::archive(&members, false)));
            for (format, name) in [("cifar10", "test_batch"), ("cifar100", "test")] {
                let path = shared::text(&shared::file(name, bytes));
                if let Ok(data) = data::open(&format!("{format}:{path}")) {
                    let _ = data.read(&[0]);
                }
            }
        }
        Some(b'{') => read(&shared::file("header.safetensors", &shared::safetensors(bytes))),
        _ => {}
    }
});

/// Reads it as `epsball convert` does.
fn read(path: &Path) {
    let Ok(found) = checkpoint::read(path) else { return };
    for mut set in found.sets {
        if let Ok(normalisation) = zoo::take_normalisation(&mut set.tensors) {
            let _ = zoo::recognise(&set.tensors, normalisation.as_ref());
        }
    }
}
