//! Tables as the hub writes them, written here by the crate that reads them, and one by its own library.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::column::writer::ColumnWriter;
use ::parquet::data_type::ByteArray;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use image::{DynamicImage, GrayImage, ImageFormat, Rgb, RgbImage};

use crate::data::{Dataset, open};
use crate::error::Result;

const SCHEMA: &str = "message schema { \
    OPTIONAL GROUP img { OPTIONAL BINARY bytes; OPTIONAL BINARY path (UTF8); } \
    OPTIONAL INT64 label; }";

/// An image and a label, either of which may be missing.
type Row = (Option<Vec<u8>>, Option<i64>);

/// How a table is written.
struct Write {
    schema: &'static str,
    compression: Compression,
    dictionary: bool,
}

impl Default for Write {
    fn default() -> Self {
        Self { schema: SCHEMA, compression: Compression::SNAPPY, dictionary: false }
    }
}

impl Write {
    /// A file of these row groups, two rows to a page, of ten classes as the hub says it.
    fn table(&self, groups: &[Vec<Row>]) -> Vec<u8> {
        let properties = WriterProperties::builder()
            .set_compression(self.compression)
            .set_dictionary_enabled(self.dictionary)
            .set_data_page_row_count_limit(2)
            .set_write_batch_size(1)
            .build();
        let schema = Arc::new(parse_message_type(self.schema).unwrap());
        let mut writer =
            SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
        for rows in groups {
            let mut group = writer.next_row_group().unwrap();
            let mut integers = false;
            while let Some(mut column) = group.next_column().unwrap() {
                let images: Vec<ByteArray> =
                    rows.iter().filter_map(|row| row.0.clone()).map(ByteArray::from).collect();
                let has = |yes: bool, level| if yes { level } else { level - 1 };
                match column.untyped() {
                    ColumnWriter::Int64ColumnWriter(column) => {
                        let labels: Vec<i64> = rows.iter().filter_map(|row| row.1).collect();
                        let levels: Vec<i16> =
                            rows.iter().map(|row| has(row.1.is_some(), 1)).collect();
                        column.write_batch(&labels, Some(&levels), None).unwrap();
                        integers = true;
                    }
                    ColumnWriter::ByteArrayColumnWriter(column) => {
                        let levels: Vec<i16> =
                            rows.iter().map(|row| has(row.0.is_some(), 2)).collect();
                        column.write_batch(&images, Some(&levels), None).unwrap();
                    }
                    _ => panic!("a column of another type"),
                }
                column.close().unwrap();
            }
            assert!(integers || !self.schema.contains("INT64"));
            group.close().unwrap();
        }
        let names = "\"names\": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]";
        let about = format!("{{\"info\": {{\"features\": {{\"label\": {{{names}}}}}}}}}");
        writer.append_key_value_metadata(KeyValue::new("huggingface".into(), about));
        writer.into_inner().unwrap()
    }
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Option<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    Some(bytes.into_inner())
}

/// An image three wide and two high, every value of which tells its place and the image's number.
fn colours(number: u8) -> RgbImage {
    RgbImage::from_fn(3, 2, |x, y| {
        let at = |channel: u8| 20 * number + 9 * channel + 3 * y as u8 + x as u8;
        Rgb([at(0), at(1), at(2)])
    })
}

fn coloured(numbers: std::ops::Range<u8>) -> Vec<Row> {
    numbers.map(|n| (encoded(colours(n), ImageFormat::Png), Some((n % 10).into()))).collect()
}

/// A good file of one image.
pub(in crate::data) fn file() -> Vec<u8> {
    Write::default().table(&[coloured(0..1)])
}

/// Writes the tables to a folder; the specification of it.
fn folder(tables: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, String) {
    let root = tempfile::tempdir().unwrap();
    for (name, bytes) in tables {
        std::fs::write(root.path().join(name), bytes).unwrap();
    }
    let spec = format!("parquet:{}", root.path().display());
    (root, spec)
}

fn pixels(data: &dyn Dataset, indices: &[usize]) -> Vec<f32> {
    data.read(indices).unwrap().images.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn images_are_channels_rows_columns() {
    let (_root, spec) = folder(&[("a.parquet", file())]);
    let data = open(&spec).unwrap();
    let info = data.info();
    assert_eq!((info.len, info.shape, info.classes), (1, [3, 2, 3], Some(10)));
    let expected: Vec<f32> = [0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 14, 18, 19, 20, 21, 22, 23]
        .map(|byte| byte as f32 / 255.0)
        .to_vec();
    assert_eq!(pixels(data.as_ref(), &[0]), expected);
    let png = colours(0);
    assert_eq!(png.get_pixel(2, 1).0, [5, 14, 23]);
}

#[test]
fn row_groups_and_shards_are_one_data_set() {
    for compression in
        [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::ZSTD(ZstdLevel::default())]
    {
        for dictionary in [false, true] {
            let write = Write { compression, dictionary, ..Write::default() };
            let first = write.table(&[coloured(0..5), vec![], coloured(5..6)]);
            let second = write.table(&[coloured(6..12)]);
            let (root, spec) = folder(&[
                ("test-00001-of-00002.parquet", second),
                ("test-00000-of-00002.parquet", first.clone()),
            ]);
            let data = open(&format!("{spec}/test")).unwrap();
            assert_eq!(data.info().len, 12);
            // Forwards and backwards, within groups and across them, and an image twice.
            for order in [
                (0..12).collect::<Vec<_>>(),
                (0..12).rev().collect(),
                vec![7, 2, 2, 11, 0],
                vec![11],
                vec![1, 3],
                vec![4],
            ] {
                let batch = data.read(&order).unwrap();
                let labels: Vec<u32> = order.iter().map(|i| *i as u32 % 10).collect();
                assert_eq!(batch.labels, labels);
                assert_eq!(batch.ids, order.iter().map(|i| *i as u64).collect::<Vec<_>>());
                let found = pixels(data.as_ref(), &order);
                for (image, number) in found.chunks(18).zip(&order) {
                    let first = (20 * number) as u8;
                    assert_eq!(image[0], f32::from(first) / 255.0);
                    assert_eq!(image[17], f32::from(first.wrapping_add(23)) / 255.0);
                }
            }
            let alone = root.path().join("test-00000-of-00002.parquet");
            let alone = open(alone.to_str().unwrap()).unwrap();
            let hash = crate::data::source::sha256(&first);
            assert_eq!((alone.info().len, &alone.info().sha256), (6, &hash));
            assert_ne!(alone.info().sha256, data.info().sha256);
        }
    }
}

#[test]
fn grey_images_and_other_names() {
    let schema = "message schema { OPTIONAL GROUP image { OPTIONAL BINARY bytes; } \
                  OPTIONAL INT64 fine_label; OPTIONAL INT64 coarse_label; }";
    let grey = GrayImage::from_raw(2, 1, vec![51, 255]).unwrap();
    let rows = vec![(encoded(grey, ImageFormat::Png), Some(7))];
    let (_root, spec) =
        folder(&[("a.parquet", Write { schema, ..Write::default() }.table(&[rows]))]);
    let data = open(&spec).unwrap();
    assert_eq!((data.info().shape, data.info().classes), ([1, 1, 2], None));
    assert_eq!(pixels(data.as_ref(), &[0]), [0.2, 1.0]);
    assert_eq!(data.read(&[0]).unwrap().labels, [7]);
}

#[test]
fn jpeg_of_any_size_with_a_preprocessing() {
    let image = |width, height, shade| {
        let image = RgbImage::from_pixel(width, height, Rgb([shade; 3]));
        (encoded(image, ImageFormat::Jpeg), Some(1))
    };
    let table = Write::default().table(&[vec![image(300, 260, 51), image(240, 500, 102)]]);
    let (_root, spec) = folder(&[("a.parquet", table)]);
    let data = open(&format!("{spec},Res256Crop224")).unwrap();
    assert_eq!((data.info().len, data.info().shape), (2, [3, 224, 224]));
    let found = pixels(data.as_ref(), &[1, 0]);
    for (image, value) in found.chunks(3 * 224 * 224).zip([0.4_f32, 0.2]) {
        assert!(image.iter().all(|pixel| (pixel - value).abs() < 0.01), "{}", image[0]);
    }
    let error = open(&spec).unwrap().read(&[0, 1]).unwrap_err();
    assert!(error.to_string().contains("a.parquet: row 1: size: 240x500, not 300x260"), "{error}");
    assert!(error.hint().unwrap().contains("name a preprocessing"));
}

/// Opens and reads everything.
fn read(table: Vec<u8>) -> Result<Vec<u32>> {
    let (_root, spec) = folder(&[("a.parquet", table)]);
    let data = open(&spec)?;
    Ok(data.read(&(0..data.info().len).collect::<Vec<_>>())?.labels)
}

#[test]
fn bad_tables() {
    let good = file();
    let mut footer = Write::default().table(&[coloured(0..12)]);
    let length =
        footer.last_chunk::<8>().map(|end| u32::from_le_bytes([end[0], end[1], end[2], end[3]]));
    footer.drain(..footer.len() - 8 - length.unwrap() as usize);
    let with = |schema| Write { schema, ..Write::default() };
    let png = || coloured(0..1)[0].0.clone();
    let rows = |second: Row| Write::default().table(&[vec![(png(), Some(1)), second]]);
    let mut torn = png().unwrap();
    torn.truncate(40);
    let grey = || encoded(GrayImage::new(3, 2), ImageFormat::Png);
    let larger = encoded(RgbImage::new(3, 3), ImageFormat::Png);
    let no_image = "message schema { OPTIONAL GROUP picture { OPTIONAL BINARY bytes; } \
                    OPTIONAL INT64 label; }";
    let no_label = "message schema { OPTIONAL GROUP image { OPTIONAL BINARY bytes; } \
                    OPTIONAL INT64 target; }";
    let text = "message schema { OPTIONAL GROUP image { OPTIONAL BINARY bytes; } \
                OPTIONAL GROUP label { OPTIONAL BINARY text; } }";
    let list = "message schema { OPTIONAL GROUP image { REPEATED BINARY bytes; } \
                OPTIONAL INT64 label; }";
    let mixed = Write::default().table(&[vec![(grey(), Some(1)), (png(), Some(1))]]);
    for (table, problem) in [
        (vec![], "footer: "),
        (b"PAR1 and nothing else PAR1".to_vec(), "footer: "),
        (good[..good.len() - 9].to_vec(), "footer: "),
        (footer, "lies outside of the file"),
        (with(no_image).table(&[coloured(0..1)]), "image.bytes: no column is called so or img"),
        (with(no_label).table(&[coloured(0..1)]), "label: no column is called so or fine_label"),
        (with(text).table(&[coloured(0..1)]), "found: image.bytes, label.text"),
        (with(list).table(&[]), "image.bytes: is a column of BYTE_ARRAY, or of lists"),
        (Write::default().table(&[]), "rows: there are none"),
        (Write::default().table(&[vec![]]), "rows: there are none"),
        (rows((None, Some(1))), "row 1: image: has no bytes"),
        (rows((png(), None)), "row 1: label: has none"),
        (rows((png(), Some(-1))), "row 1: label: -1 is not a class number"),
        (rows((png(), Some(1 << 40))), "row 1: label: 1099511627776 is not"),
        (rows((Some(torn), Some(1))), "row 1: image: "),
        (rows((Some(b"<svg>".to_vec()), Some(1))), "row 1: image: "),
        (rows((larger, Some(1))), "row 1: size: 3x3, not 3x2"),
        (mixed, "row 1: colour: has colours, the first image is grey"),
    ] {
        let error = read(table).expect_err(problem);
        assert!(error.to_string().contains(problem), "{error}, not {problem}");
        assert!(error.hint().is_some(), "{error}");
    }
    // A grey image among coloured ones has three equal channels.
    assert_eq!(read(rows((grey(), Some(3)))).unwrap(), [1, 3]);
}

/// Written by `to_parquet` of the library `datasets` 5.2: [`colours`] 0 and 1, labels 3 and 9.
#[test]
fn as_the_hub_writes_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/hub.parquet");
    let data = open(path.to_str().unwrap()).unwrap();
    let batch = data.read(&[0, 1]).unwrap();
    assert_eq!((data.info().classes, batch.labels), (Some(10), vec![3, 9]));
    let found = pixels(data.as_ref(), &[0, 1]);
    let (_root, spec) = folder(&[("a.parquet", Write::default().table(&[coloured(0..2)]))]);
    assert_eq!(found, pixels(open(&spec).unwrap().as_ref(), &[0, 1]));
}
