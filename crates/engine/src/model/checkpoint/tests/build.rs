//! Writes small checkpoints, correct and otherwise, instruction by instruction.

use std::io::{Cursor, Write};

use ::zip::write::SimpleFileOptions;
use ::zip::{CompressionMethod, ZipWriter};

/// A pickle in the making. Each method appends one instruction.
#[derive(Clone, Default)]
pub(crate) struct Pickle(pub(super) Vec<u8>);

impl Pickle {
    pub(crate) fn new() -> Self {
        Self(vec![0x80, 2])
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        let length = u32::try_from(text.len()).unwrap();
        self.raw(b"X").raw(&length.to_le_bytes()).raw(text.as_bytes())
    }

    pub(crate) fn int(self, value: i32) -> Self {
        self.raw(b"J").raw(&value.to_le_bytes())
    }

    pub(crate) fn long(self, value: i64) -> Self {
        self.raw(&[0x8a, 8]).raw(&value.to_le_bytes())
    }

    pub(crate) fn global(self, module: &str, name: &str) -> Self {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    pub(crate) fn ints(self, values: &[i64]) -> Self {
        values.iter().fold(self.raw(b"("), |p, value| p.long(*value)).raw(b"t")
    }

    /// A reference to the storage `key` of `class` with `numel` numbers; `end` closes the tuple.
    pub(crate) fn storage(self, class: &str, key: &str, numel: i64, end: &[u8]) -> Self {
        let p = self.raw(b"(").text("storage").global("torch", class).text(key).text("cpu");
        p.long(numel).raw(end).raw(b"tQ")
    }

    /// A tensor on the storage `key` of f32 with `numel` numbers.
    pub(crate) fn tensor(
        self,
        (key, numel): (&str, i64),
        offset: i64,
        shape: &[i64],
        stride: &[i64],
    ) -> Self {
        let p = self.global("torch._utils", "_rebuild_tensor_v2").raw(b"(");
        let p = p.storage("FloatStorage", key, numel, b"").long(offset).ints(shape).ints(stride);
        p.raw(b"\x89}tR")
    }

    pub(crate) fn stop(self) -> Vec<u8> {
        self.raw(b".").0
    }
}

/// The state dict {"fc.weight": [2, 3], "fc.bias": [2]} on the storages 0 and 1.
pub(crate) fn state_dict() -> Vec<u8> {
    let p = Pickle::new().global("collections", "OrderedDict").raw(b")R(");
    let p = p.text("fc.weight").tensor(("0", 6), 0, &[2, 3], &[3, 1]);
    p.text("fc.bias").tensor(("1", 2), 0, &[2], &[1]).raw(b"u").stop()
}

/// f32 values as a storage record.
pub(crate) fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// The storages that [`state_dict`] refers to.
pub(crate) fn storages() -> Vec<(&'static str, Vec<u8>)> {
    vec![("0", floats(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])), ("1", floats(&[6.0, 7.0]))]
}

/// A zip archive of `records`.
pub(crate) fn archive(records: &[(String, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in records {
        let options = SimpleFileOptions::default().compression_method(method);
        zip.start_file(name.as_str(), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A checkpoint in the zip format.
pub(crate) fn zip(pickle: Vec<u8>, storages: Vec<(&str, Vec<u8>)>) -> Vec<u8> {
    let mut records = vec![("net/data.pkl".to_owned(), pickle)];
    records.extend(storages.into_iter().map(|(key, b)| (format!("net/data/{key}"), b)));
    archive(&records, CompressionMethod::Stored)
}

/// A checkpoint in the old stream format, with storages of f32.
pub(crate) fn stream(pickle: &[u8], storages: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let magic = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";
    let version = Pickle::new().int(1001).stop();
    let system = Pickle::new().raw(b"}").text("little_endian").raw(b"\x88s").stop();
    let keys = storages.iter().fold(Pickle::new().raw(b"]("), |p, (key, _)| p.text(key));
    let mut file = [&magic[..], &version, &system, pickle, &keys.raw(b"e").stop()].concat();
    for (_, bytes) in storages {
        file.extend_from_slice(&(bytes.len() as u64 / 4).to_le_bytes());
        file.extend_from_slice(bytes);
    }
    file
}
