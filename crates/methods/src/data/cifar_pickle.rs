//! The batches of the Python versions of CIFAR: a pickled dict with an array of `N` x 3072 bytes under
//! `data` and a list of labels. Read by [`crate::pickle`], so nothing in the file is executed.

use std::io::{BufReader, Read as _};
use std::path::Path;

use crate::error::{Error, Result};
use crate::pickle::file_part::FilePart;
use crate::pickle::source::Source;
use crate::pickle::value::{Heap, Object, Value};
use crate::regular;

/// What a pickle begins with: the instruction that states its protocol.
pub(super) const FIRST_BYTE: u8 = 0x80;

const PIXELS: u64 = 3072;
const AGAIN: &str =
    "get the Python version of the data set again from its own page, or the binary one";

/// Whether the file at `path` begins as a pickle.
pub(super) fn is_pickle(path: &Path) -> bool {
    let mut first = [0];
    regular::open(path).and_then(|mut file| file.read_exact(&mut first)).is_ok()
        && first == [FIRST_BYTE]
}

/// The pixels, `[N, 3, 32, 32]` bytes, and the labels under the key `labels`, all below `classes`.
///
/// # Errors
/// If the file is damaged, wants anything executed, or is another pickle.
pub(super) fn read(path: &Path, labels: &str, classes: usize) -> Result<(Vec<u8>, Vec<u32>)> {
    let error = |field: &str, problem: &str| Error::file(path, field, problem, AGAIN);
    let file = regular::open(path).map_err(Error::io("read", path))?;
    let length = file.metadata().map_err(Error::io("read", path))?.len();
    let mut source = Source::new(BufReader::new(file), length, FilePart::new(path, "pickle"));
    let (heap, batch) = crate::pickle::read(&mut source).map_err(|error| match error {
        // The remedies of the room are for checkpoints.
        Error::File { path, field, problem, .. } => Error::file(path, field, problem, AGAIN),
        other => other,
    })?;
    let entry = |name: &str| {
        entry(&heap, batch, name).ok_or_else(|| error(name, "no such entry in the batch"))
    };

    let Some(Object::List(numbers)) = heap.get(entry(labels)?) else {
        return Err(error(labels, "is not a list"));
    };
    let class = |value: &Value| match value {
        Value::Int(number) => u32::try_from(*number).ok().filter(|n| (*n as usize) < classes),
        _ => None,
    };
    let Some(labels_list) = numbers.iter().map(class).collect::<Option<Vec<u32>>>() else {
        return Err(error(labels, "holds something that is no class of the data set"));
    };

    let Some(Object::Array(Some(array))) = heap.get(entry("data")?) else {
        return Err(error("data", "is not an array of numpy"));
    };
    let (images, bytes) = match (array.shape.as_slice(), heap.bytes(array.numbers)) {
        (&[images, PIXELS], Some(bytes)) if images > 0 => (images, bytes),
        _ => return Err(error("data", &format!("has shape {:?}, not [N, 3072]", array.shape))),
    };
    if images.checked_mul(PIXELS) != Some(bytes.len() as u64) {
        let problem = format!("{images} images of {PIXELS} bytes expected, {} found", bytes.len());
        return Err(error("data", &problem));
    }
    if labels_list.len() as u64 != images {
        let problem = format!("{} labels for {images} images", labels_list.len());
        return Err(error(labels, &problem));
    }
    let pixels = match array.column_major {
        false => bytes.to_vec(),
        true => {
            let (images, size) = (images as usize, PIXELS as usize);
            (0..images * size).map(|at| bytes[at % size * images + at / size]).collect()
        }
    };
    Ok((pixels, labels_list))
}

/// The entry of the dict `batch` under `name`, a string or, read by Python 3, bytes.
fn entry(heap: &Heap, batch: Value, name: &str) -> Option<Value> {
    let pairs = heap.dict(batch)?;
    pairs.iter().rev().find(|(key, _)| heap.bytes(*key) == Some(name.as_bytes())).map(|(_, v)| *v)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A batch as Python 2 wrote it: protocol 2, names and numbers as byte strings.
    pub(in crate::data) fn batch(
        key: &str,
        labels: &[u8],
        shape: [u16; 2],
        column_major: bool,
        pixels: &[u8],
    ) -> Vec<u8> {
        let short = |text: &str| [&[b'U', text.len() as u8], text.as_bytes()].concat();
        let mut pickle = vec![FIRST_BYTE, 2, b'}', b'q', 1, b'('];
        pickle.extend([short("batch_label"), short("testing batch 1 of 1")].concat());
        pickle.extend(short(key));
        pickle.extend(b"]q\x05(");
        labels.iter().for_each(|label| pickle.extend([b'K', *label]));
        pickle.push(b'e');
        pickle.extend(short("data"));
        pickle
            .extend(b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85");
        pickle.extend([&short("b")[..], b"\x87Rq\x09(K\x01"].concat());
        shape.iter().for_each(|side| pickle.extend([&b"M"[..], &side.to_le_bytes()].concat()));
        pickle.extend(b"\x86cnumpy\ndtype\nq\x0a");
        pickle.extend([&short("u1")[..], b"K\x00K\x01\x87R(K\x03", &short("|")].concat());
        pickle.extend(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb");
        pickle.push(if column_major { 0x88 } else { 0x89 });
        pickle.push(b'T');
        pickle.extend((pixels.len() as u32).to_le_bytes());
        pickle.extend(pixels);
        pickle.extend(b"tb");
        pickle.extend([&short("filenames")[..], b"]q\x0b(", &short("a.png"), b"eu."].concat());
        pickle
    }

    fn read_bytes(bytes: &[u8]) -> Result<(Vec<u8>, Vec<u32>)> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        read(file.path(), "labels", 10)
    }

    /// Bytes of two images, all values, not UTF-8.
    fn pixels() -> Vec<u8> {
        (0..2 * 3072).map(|i| (i * 7 % 256) as u8).collect()
    }

    #[test]
    fn batches_of_python_2() {
        let (bytes, labels) =
            read_bytes(&batch("labels", &[3, 9], [2, 3072], false, &pixels())).unwrap();
        assert_eq!((bytes, labels), (pixels(), vec![3, 9]));
        // Dark enough images are valid text.
        let dark: Vec<u8> = pixels().iter().map(|byte| byte / 2).collect();
        let read = read_bytes(&batch("labels", &[3, 9], [2, 3072], false, &dark)).unwrap();
        assert_eq!(read.0, dark);
        let columns: Vec<u8> = (0..3072).flat_map(|i| [pixels()[i], pixels()[3072 + i]]).collect();
        let read = read_bytes(&batch("labels", &[3, 9], [2, 3072], true, &columns)).unwrap();
        assert_eq!(read.0, pixels());
    }

    /// Written by Python 3.11 and NumPy 2.4 with protocol 4, keys as bytes.
    #[test]
    fn batches_of_python_3() {
        let (bytes, labels) =
            read_bytes(include_bytes!("../../../../tests/fixtures/cifar_python3.pkl")).unwrap();
        assert_eq!((bytes, labels), (pixels(), vec![4, 0]));
    }

    /// The same with protocol 2, in which Python 3 writes bytes as text and the name of its encoding.
    #[test]
    fn batches_of_python_3_in_protocol_2() {
        let file = include_bytes!("../../../../tests/fixtures/cifar_python3_protocol2.pkl");
        assert_eq!(read_bytes(file).unwrap(), (pixels(), vec![4, 0]));
    }

    #[test]
    fn what_is_no_batch() {
        let good = batch("labels", &[3, 9], [2, 3072], false, &pixels());
        let hostile = b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00exit\x85R.";
        for (bytes, problem) in [
            (&good[..good.len() - 2000], "ends in the middle"),
            (&good[..20], "ends in the middle"),
            (hostile, "nothing was executed"),
            (b"\x80\x02}.", "labels: no such entry"),
            (b"\x80\x02K\x01.", "labels: no such entry"),
            (&batch("fine_labels", &[3, 9], [2, 3072], false, &pixels()), "labels: no such entry"),
            (&batch("labels", &[3, 10], [2, 3072], false, &pixels()), "no class of the data set"),
            (&batch("labels", &[3], [2, 3072], false, &pixels()), "1 labels for 2 images"),
            (&batch("labels", &[3, 9], [2, 3071], false, &pixels()), "not [N, 3072]"),
            (&batch("labels", &[3, 9], [3, 3072], false, &pixels()), "6144 found"),
            (&batch("labels", &[], [0, 3072], false, &[]), "not [N, 3072]"),
        ] {
            let error = read_bytes(bytes).expect_err(problem);
            assert!(error.to_string().contains(problem), "{error}, not {problem}");
            assert_eq!(error.hint().as_deref(), Some(AGAIN));
        }
    }
}
