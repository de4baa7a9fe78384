//! One Parquet file of an image data set: which of its columns are images and labels, all labels at once,
//! and images one after the other. Only the pages that an image lies in are read.

use std::path::{Path, PathBuf};

use ::bytes::Bytes;
use ::parquet::basic::{Compression, Encoding, Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::ColumnChunkMetaData;
use ::parquet::file::reader::FileReader as _;
use ::parquet::file::serialized_reader::SerializedFileReader;

use super::column::{Column, Plain};
use super::pages::Pages;
use crate::error::{Error, Result};
use crate::regular;

/// The columns that the hub's image data sets have, in the order in which they are looked for.
const IMAGES: [&str; 2] = ["image.bytes", "img.bytes"];
const LABELS: [&str; 2] = ["label", "fine_label"];

/// Most rows of a file: a few bytes can claim any number of equal labels.
const ROW_LIMIT: usize = 1 << 26;

/// Encodings of values that nobody uses for images.
const UNREAD: [Encoding; 4] = [
    Encoding::DELTA_BINARY_PACKED,
    Encoding::DELTA_LENGTH_BYTE_ARRAY,
    Encoding::DELTA_BYTE_ARRAY,
    Encoding::BYTE_STREAM_SPLIT,
];

const AGAIN: &str = "the file is cut short or damaged: get it again";

/// The images of a row group, read in order.
pub(super) type Images = Column<Bytes>;

pub(super) struct Shard {
    pub(super) path: PathBuf,
    /// Rows of each row group.
    pub(super) groups: Vec<usize>,
    file: SerializedFileReader<Pages>,
    /// Places of the two columns.
    image: usize,
    label: usize,
}

impl Shard {
    /// Reads what the file says of itself.
    ///
    /// # Errors
    /// If it is no Parquet file, lacks a column, or contradicts itself.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = regular::open(path).map_err(Error::io("read", path))?;
        let len = file.metadata().map_err(Error::io("read", path))?.len();
        let file = SerializedFileReader::new(Pages::new(file)).map_err(damaged(path, "footer"))?;
        let image = column(&file, path, &IMAGES, &[Type::BYTE_ARRAY])?;
        let label = column(&file, path, &LABELS, &[Type::INT64, Type::INT32])?;
        let (mut groups, mut rows) = (Vec::new(), 0_usize);
        for group in file.metadata().row_groups() {
            for column in [image, label] {
                check_chunk(group.column(column), len, path)?;
            }
            let own = usize::try_from(group.num_rows()).unwrap_or(usize::MAX);
            rows = rows.saturating_add(own);
            groups.push(own);
        }
        if rows > ROW_LIMIT {
            let problem = format!("{rows} rows, more than {ROW_LIMIT}");
            return Err(Error::file(path, "rows", problem, "split the file, or get it again"));
        }
        Ok(Self { path: path.into(), groups, file, image, label })
    }

    /// The number of classes that the hub's own description of the columns, kept in the file, declares.
    pub(super) fn classes(&self) -> Option<usize> {
        let metadata = self.file.metadata().file_metadata();
        let entry =
            metadata.key_value_metadata()?.iter().find(|entry| entry.key == "huggingface")?;
        let about: serde_json::Value = serde_json::from_str(entry.value.as_deref()?).ok()?;
        let column = metadata.schema_descr().column(self.label).path().string();
        Some(about.pointer(&format!("/info/features/{column}/names"))?.as_array()?.len())
    }

    /// The labels of all rows.
    ///
    /// # Errors
    /// If one is missing or no class number, or the column is damaged.
    pub(super) fn labels(&self) -> Result<Vec<u32>> {
        let mut labels = Vec::new();
        for (group, &rows) in self.groups.iter().enumerate() {
            let mut column: Column<i64> = self.column(group, self.label)?;
            for row in labels.len()..labels.len() + rows {
                let number = match column.next().map_err(damaged(&self.path, "label"))? {
                    Some(Some(number)) => number,
                    Some(None) => {
                        let remedy = "leave images without a label out";
                        return Err(self.error(row, "label", "has none", remedy));
                    }
                    None => {
                        return Err(self.error(row, "label", "the column ends before it", AGAIN));
                    }
                };
                labels.push(u32::try_from(number).map_err(|_| {
                    let problem = format!("{number} is not a class number");
                    let remedy = "choose a split with labels; the hub marks missing ones by -1";
                    self.error(row, "label", problem, remedy)
                })?);
            }
        }
        Ok(labels)
    }

    /// The images of a row group, before its first.
    ///
    /// # Errors
    /// If the group is damaged.
    pub(super) fn images(&self, group: usize) -> Result<Images> {
        self.column(group, self.image)
    }

    /// The file of the image that comes after `skip` others in `images`; `row` is its row, for errors.
    ///
    /// # Errors
    /// If there is none, or the column is damaged.
    pub(super) fn next(&self, images: &mut Images, skip: usize, row: usize) -> Result<Bytes> {
        let failed = |problem| damaged(&self.path, &format!("row {row}: image"))(problem);
        let skipped = images.skip(skip).map_err(failed)?;
        match images.next().map_err(failed)? {
            Some(Some(image)) if skipped == skip => Ok(image),
            Some(None) if skipped == skip => {
                let remedy = "store the images in the table, not the names of their files";
                Err(self.error(row, "image", "has no bytes", remedy))
            }
            _ => Err(self.error(row, "image", "the column ends before it", AGAIN)),
        }
    }

    fn column<V: Plain>(&self, group: usize, column: usize) -> Result<Column<V>> {
        let failed = damaged(&self.path, "row group");
        let group = self.file.get_row_group(group).map_err(&failed)?;
        let pages = group.get_column_page_reader(column).map_err(&failed)?;
        Ok(Column::new(pages, group.metadata().column(column).column_descr()))
    }

    fn error(&self, row: usize, field: &str, problem: impl Into<String>, remedy: &str) -> Error {
        Error::file(&self.path, format!("row {row}: {field}"), problem, remedy)
    }
}

fn damaged(path: &Path, field: &str) -> impl Fn(ParquetError) -> Error {
    move |problem| Error::file(path, field, problem.to_string(), AGAIN)
}

/// The place of the first column that has one of `names`; it has one of `types` and a value in every row.
fn column(
    file: &SerializedFileReader<Pages>,
    path: &Path,
    names: &[&str],
    types: &[Type],
) -> Result<usize> {
    const COLUMNS: &str =
        "image data sets of the hub have image or img {bytes, path}, and label or fine_label";
    let schema = file.metadata().file_metadata().schema_descr();
    let all: Vec<String> = schema.columns().iter().map(|column| column.path().string()).collect();
    let Some(at) = names.iter().find_map(|name| all.iter().position(|column| column == name))
    else {
        let problem = format!("no column is called so or {}; found: {}", names[1], all.join(", "));
        return Err(Error::file(path, names[0], problem, COLUMNS));
    };
    let column = schema.column(at);
    if !types.contains(&column.physical_type()) || column.max_rep_level() > 0 {
        let problem = format!("is a column of {}, or of lists", column.physical_type());
        return Err(Error::file(path, &all[at], problem, COLUMNS));
    }
    Ok(at)
}

/// The reader takes the place of a column in the file for granted.
fn check_chunk(chunk: &ColumnChunkMetaData, len: u64, path: &Path) -> Result<()> {
    let name = chunk.column_path().string();
    let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
    let end = start.checked_add(chunk.compressed_size());
    let inside = [start, chunk.data_page_offset(), chunk.compressed_size(), chunk.num_values()]
        .iter()
        .all(|number| *number >= 0)
        && end.is_some_and(|end| u64::try_from(end).is_ok_and(|end| end <= len));
    if !inside {
        return Err(Error::file(path, name, "lies outside of the file", AGAIN));
    }
    if let Some(other) = chunk.encodings().find(|encoding| UNREAD.contains(encoding)) {
        let problem = format!("is encoded as {other}");
        return Err(Error::file(path, name, problem, "write it with plain or dictionary encoding"));
    }
    match chunk.compression() {
        Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_) => Ok(()),
        other => {
            let problem = format!("is compressed by {other}");
            Err(Error::file(path, name, problem, "write it with snappy or zstd"))
        }
    }
}
