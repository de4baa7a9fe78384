//! MAT files built byte by byte as the format's description has them, and one that SciPy wrote.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::*;

/// An element, padded to eight bytes, in the short form if its content fits there.
fn element(kind: u32, content: &[u8]) -> Vec<u8> {
    let len = content.len() as u32;
    let mut bytes = match len {
        1..=4 => (kind | len << 16).to_le_bytes().to_vec(),
        _ => [kind.to_le_bytes(), len.to_le_bytes()].concat(),
    };
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn matrix(name: &str, class: u8, shape: &[i32], data: &[u8]) -> Vec<u8> {
    let shape: Vec<u8> = shape.iter().flat_map(|side| side.to_le_bytes()).collect();
    let flags = element(6, &[class, 0, 0, 0, 0, 0, 0, 0]);
    let content = [flags, element(5, &shape), element(1, name.as_bytes()), data.to_vec()].concat();
    [&14_u32.to_le_bytes()[..], &(content.len() as u32).to_le_bytes(), &content].concat()
}

fn compressed(matrix: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(matrix).unwrap();
    let content = encoder.finish().unwrap();
    [&15_u32.to_le_bytes()[..], &(content.len() as u32).to_le_bytes(), &content].concat()
}

fn mat(variables: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"MATLAB 5.0 MAT-file".to_vec();
    bytes.resize(124, b' ');
    [bytes, vec![0, 1, b'I', b'M'], variables.concat()].concat()
}

/// Value of a pixel of an image, all different within a plane's row or column.
fn value(image: usize, channel: usize, row: usize, column: usize) -> u8 {
    (row + 5 * column + 70 * channel + 40 * image) as u8
}

/// `X` of so many images, the first side changing fastest.
fn x(images: usize) -> Vec<u8> {
    let mut data = Vec::new();
    for image in 0..images {
        for channel in 0..3 {
            for column in 0..32 {
                data.extend((0..32).map(|row| value(image, channel, row, column)));
            }
        }
    }
    matrix("X", 9, &[32, 32, 3, images as i32], &element(2, &data))
}

/// `y`, of class double, its numbers stored in the type `kind`.
fn y(kind: u32, labels: usize, data: &[u8]) -> Vec<u8> {
    matrix("y", 6, &[labels as i32, 1], &element(kind, data))
}

fn doubles(labels: &[f64]) -> Vec<u8> {
    y(9, labels.len(), &labels.iter().flat_map(|label| label.to_le_bytes()).collect::<Vec<_>>())
}

/// A good file of one image.
pub(in crate::data) fn file(packed: bool) -> Vec<u8> {
    let variables = [x(1), y(2, 1, &[10])];
    if packed { mat(&variables.map(|variable| compressed(&variable))) } else { mat(&variables) }
}

fn open_bytes(bytes: &[u8]) -> Result<Box<dyn Dataset>> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    open(file.path())
}

/// Opens two images and looks at every pixel.
fn check(bytes: &[u8], labels: [u32; 2]) {
    let data = open_bytes(bytes).unwrap();
    let info = data.info();
    assert_eq!((info.len, info.shape, info.classes), (2, [3, 32, 32], Some(10)));
    let batch = data.read(&[1, 0]).unwrap();
    assert_eq!((batch.ids, batch.labels), (vec![1, 0], vec![labels[1], labels[0]]));
    let mut pixels = batch.images.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter();
    for image in [1, 0] {
        for (channel, row) in (0..3).flat_map(|channel| (0..32).map(move |row| (channel, row))) {
            for column in 0..32 {
                let expected = f32::from(value(image, channel, row, column)) / 255.0;
                let found = pixels.next().unwrap();
                assert_eq!(found, expected, "image {image} at {channel}, {row}, {column}");
            }
        }
    }
}

#[test]
fn plain_and_compressed_with_labels_of_any_type() {
    let other = || matrix("meta", 6, &[1, 1], &element(9, &7_f64.to_le_bytes()));
    for labels in [doubles(&[10.0, 3.0]), y(2, 2, &[10, 3]), y(4, 2, &[10, 0, 3, 0])] {
        check(&mat(&[other(), x(2), labels.clone()]), [0, 3]);
        check(&mat(&[labels.clone(), other(), x(2)]), [0, 3]);
        check(&mat(&[compressed(&other()), compressed(&x(2)), compressed(&labels)]), [0, 3]);
        check(&mat(&[x(2), compressed(&labels)]), [0, 3]);
    }
}

/// Written by `scipy.io.savemat(path, {'X': X, 'y': y}, do_compression=True)` of SciPy 1.17, `X` with the
/// pixels of [`value`] and `y` doubles.
#[test]
fn as_scipy_writes_it() {
    check(include_bytes!("../../../../../tests/fixtures/svhn_32x32.mat"), [0, 3]);
}

#[test]
fn one_image_whose_last_side_matlab_drops() {
    let mut data = x(1);
    // Three sides instead of four: 12 bytes and their padding.
    let sides = data.iter().position(|byte| *byte == 5).unwrap();
    data[sides + 4] = 12;
    data[sides + 20] = 0;
    let data = open_bytes(&mat(&[data, y(2, 1, &[1])])).unwrap();
    assert_eq!((data.info().len, data.read(&[0]).unwrap().labels), (1, vec![1]));
}

#[test]
fn bad_files() {
    let good = file(false);
    let packed = file(true);
    let header = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    let images = |shape: &[i32], kind, bytes: &[u8]| {
        mat(&[matrix("X", 9, shape, &element(kind, bytes)), y(2, 1, &[1])])
    };
    let labels = |labels: Vec<u8>| mat(&[x(1), labels]);
    // The data that the packed X promises, but not its end.
    let short = [&x(1)[..2000], &[]].concat();
    let mut sum = packed.clone();
    let end = packed.len() - compressed(&y(2, 1, &[10])).len();
    sum[end - 1] ^= 1;
    for (bytes, problem) in [
        (vec![], "header: a MAT file begins with 128 bytes"),
        (b"\x89HDF\r\n\x1a\n".to_vec(), "header: is an HDF5 file"),
        (header(124, &[0, 2]), "header: is of version 7.3"),
        (header(124, &[1, 0, b'M', b'I']), "header: is big-endian"),
        (header(124, b"????"), "header: is not of a MATLAB level 5"),
        (good[..good.len() - 8].to_vec(), "variables: the one at byte"),
        (packed[..packed.len() - 1].to_vec(), "variables: the one at byte"),
        (good[..128].to_vec(), "X: the file has no such variable"),
        (mat(&[x(1)]), "y: the file has no such variable"),
        (mat(&[compressed(&short), y(2, 1, &[1])]), "X: 3072 bytes expected, 1"),
        (mat(&[compressed(&x(1)[..30])]), "variables: cannot be read to its end"),
        (sum, "X: cannot be unpacked"),
        (images(&[32, 32, 3, i32::MAX], 2, &[0; 3072]), "2147483647], but 3072 bytes"),
        (images(&[i32::MAX; 32], 2, &[0; 3072]), "but 3072 bytes"),
        (images(&[i32::MAX; 33], 2, &[0; 3072]), "132 bytes where at most 128 belong"),
        (images(&[32, 32, 3, -1], 2, &[0; 3072]), "X: has a side that is negative"),
        (images(&[32, 32, 3, 0], 2, &[]), "X: has shape [32, 32, 3, 0], not [32, 32, 3, N]"),
        (images(&[3, 32, 32, 1], 2, &[0; 3072]), "X: has shape [3, 32, 32, 1]"),
        (images(&[32, 32, 3, 1], 1, &[0; 3072]), "X: is int8, not uint8"),
        (images(&[32, 32, 3, 1], 16, &[0; 3072]), "X: is not an array of real numbers"),
        (labels(y(2, 2, &[1, 2])), "y: has shape [2, 1] for 1 images"),
        (labels(y(2, 1, &[11])), "y: the label of image 0 is not one of 1 to 10"),
        (labels(doubles(&[1.5])), "y: the label of image 0"),
        (labels(doubles(&[f64::NAN])), "y: the label of image 0"),
        (labels(y(1, 1, &[0xff])), "y: the label of image 0"),
    ] {
        let error = open_bytes(&bytes).err().expect(problem);
        assert!(error.to_string().contains(problem), "{error}, not {problem}");
        assert!(error.hint().is_some(), "{error}");
    }
}
