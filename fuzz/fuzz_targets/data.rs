//! Data sets of numbers. The first byte chooses the format, the next two are the length of the labels,
//! which come before the images where they are a file or an array of their own. Checksums and lengths that
//! a fuzzer cannot guess are made here.
#![no_main]

use std::io::Write as _;

use epsball::data;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use libfuzzer_sys::fuzz_target;

#[path = "shared.rs"]
mod shared;

fuzz_target!(|bytes: &[u8]| {
    let [choice, low, high, rest @ ..] = bytes else { return };
    let length = usize::from(u16::from_le_bytes([*low, *high]));
    let (labels, images) = rest.split_at(length.min(rest.len()));
    let one = |format: &str, name: &str, bytes: &[u8]| {
        format!("{format}:{}", shared::text(&shared::file(name, bytes)))
    };
    let two = |format: &str, names: [&str; 2], images: &[u8], labels: &[u8]| {
        let labels = shared::text(&shared::file(names[1], labels));
        format!("{},{labels}", one(format, names[0], images))
    };
    let members: [(&str, &[u8]); 2] = [("images.npy", images), ("labels.npy", labels)];
    read(&match choice % 16 {
        0 => two("idx", ["images-idx3", "labels-idx1"], images, labels),
        1 => two("idx", ["images-idx3.gz", "labels-idx1.gz"], &gzip(images), &gzip(labels)),
        2 => one("idx", "t-images-idx3", images),
        3 => two("npy", ["images.npy", "labels.npy"], images, labels),
        4 => one("npz", "as-it-is.npz", rest),
        5 => one("npz", "stored.npz", &shared::archive(&members, false)),
        6 => one("npz", "deflated.npz", &shared::archive(&members, true)),
        7 => one("cifar10", "ten.bin", rest),
        8 => one("cifar100", "hundred.bin", rest),
        9 => one("safetensors", "as-it-is.safetensors", rest),
        10 => one("safetensors", "header.safetensors", &shared::safetensors(rest)),
        11 => one("svhn", "as_it_is_32x32.mat", rest),
        12 => one("svhn", "packed_32x32.mat", &packed(images, labels)),
        13 => {
            shared::file("corruptions/labels.npy", labels);
            shared::file("corruptions/fog.npy", images);
            format!(
                "cifar-c:{},fog,{}",
                shared::text(&shared::folder().join("corruptions")),
                low % 7
            )
        }
        14 => {
            // By its path alone: the formats decide who takes it.
            let names =
                ["a.npy", "a.npz", "a.bin", "a.safetensors", "a_32x32.mat", "test_batch", "a"];
            shared::text(&shared::file(names[usize::from(*low) % names.len()], rest))
        }
        _ => String::from_utf8_lossy(rest).replace(['/', '\\'], "_"),
    });
});

fn read(specification: &str) {
    if let Ok(data) = data::open(specification) {
        let last = data.info().len.saturating_sub(1);
        let _ = data.read(&[last, 0]);
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// A MAT file of two compressed variables.
fn packed(first: &[u8], second: &[u8]) -> Vec<u8> {
    let mut file = vec![b' '; 124];
    file.extend([0, 1, b'I', b'M']);
    for variable in [first, second] {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(variable).expect("memory takes it");
        let content = encoder.finish().expect("memory takes it");
        file.extend(15_u32.to_le_bytes());
        file.extend((content.len() as u32).to_le_bytes());
        file.extend(content);
    }
    file
}
