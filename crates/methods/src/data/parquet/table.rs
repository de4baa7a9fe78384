//! The data set that Parquet files make together: rows are numbered through all shards, and a batch is read
//! in the order of the file by a cursor that stays where the last batch ended, then decoded in parallel. In
//! memory are the labels, a page of a file, and the images of a batch.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ::bytes::Bytes;
use rayon::prelude::*;

use super::shard::{Images, Shard};
use crate::data::picture::Picture;
use crate::data::preprocess::Preprocessing;
use crate::data::{Batch, DataInfo, Dataset, source};
use crate::error::{Error, Result};

const ONE_SHAPE: &str =
    "bring all images to one shape beforehand, or name a preprocessing: parquet:FILE,Res256Crop224";

pub(super) struct Table {
    info: DataInfo,
    shards: Vec<Shard>,
    groups: Vec<Group>,
    labels: Vec<u32>,
    preprocessing: Option<Preprocessing>,
    cursor: Mutex<Option<Cursor>>,
}

/// A row group.
struct Group {
    /// Its shard, and its place there.
    shard: usize,
    number: usize,
    /// Index of its first image, and the row that this is in its file.
    start: usize,
    row: usize,
}

/// A place in the images.
struct Cursor {
    group: usize,
    /// The row of the group that comes next.
    next: usize,
    images: Images,
}

impl Table {
    /// The images of the table at `path`: all of one shape, or of any if there is a preprocessing.
    pub(super) fn open(path: &Path, preprocessing: Option<Preprocessing>) -> Result<Self> {
        let files = super::files(path)?;
        let (mut shards, mut groups, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        let mut hashes = String::new();
        for (at, file) in files.iter().enumerate() {
            let shard = Shard::open(file)?;
            let mut row = 0;
            for (number, rows) in shard.groups.iter().enumerate() {
                groups.push(Group { shard: at, number, start: labels.len() + row, row });
                row += rows;
            }
            labels.extend(shard.labels()?);
            shards.push(shard);
            hashes += &format!("{}\n", source::sha256_file(file)?);
        }
        if labels.is_empty() {
            let remedy = "check the export: a data set has at least one image";
            return Err(Error::file(path, "rows", "there are none", remedy));
        }
        // One file as it is has the hash that its page on the hub shows.
        let sha256 = match (files.len(), &preprocessing) {
            (1, None) => hashes.trim().to_owned(),
            (_, of) => source::sha256((hashes + of.as_ref().map_or("", |p| &p.name)).as_bytes()),
        };
        let classes = shards.iter().find_map(Shard::classes);
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into();
        let info = DataInfo { name, len: labels.len(), shape: [0; 3], classes, sha256 };
        let mut table =
            Self { info, shards, groups, labels, preprocessing, cursor: Mutex::default() };
        table.info.shape = table.shape()?;
        Ok(table)
    }

    /// That of the first image; the others are compared with it when they are read.
    fn shape(&self) -> Result<[usize; 3]> {
        if let Some(preprocessing) = &self.preprocessing {
            return Ok([3, preprocessing.side(), preprocessing.side()]);
        }
        let ((path, row), first) = (self.place(0), self.encoded(&[0])?);
        let size = Picture::in_row(&first[0], path, row)?.size()?;
        Ok(size.shape())
    }

    /// The group of an image.
    fn group(&self, index: usize) -> usize {
        self.groups.partition_point(|group| group.start <= index) - 1
    }

    /// The file and row of an image, for errors.
    fn place(&self, index: usize) -> (&Path, usize) {
        let group = &self.groups[self.group(index)];
        (&self.shards[group.shard].path, group.row + index - group.start)
    }

    /// The images at `indices` as they are stored.
    fn encoded(&self, indices: &[usize]) -> Result<Vec<Bytes>> {
        let mut order: Vec<usize> = (0..indices.len()).collect();
        order.sort_by_key(|&at| indices[at]);
        let mut found = vec![Bytes::new(); indices.len()];
        // The lock is held throughout: readers of one file share its position. After an error the next
        // batch begins at its group's first page.
        let mut place = self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cursor = place.take();
        for at in order {
            let next = self.seek(cursor, indices[at])?;
            cursor = Some(next.0);
            found[at] = next.1;
        }
        *place = cursor;
        Ok(found)
    }

    /// One image, from `cursor` on if it is not behind it; and the cursor behind the image.
    fn seek(&self, cursor: Option<Cursor>, index: usize) -> Result<(Cursor, Bytes)> {
        let at = self.group(index);
        let group = &self.groups[at];
        let (shard, row) = (&self.shards[group.shard], index - group.start);
        let mut cursor = match cursor.filter(|cursor| cursor.group == at && cursor.next <= row) {
            Some(cursor) => cursor,
            None => Cursor { group: at, next: 0, images: shard.images(group.number)? },
        };
        let image = shard.next(&mut cursor.images, row - cursor.next, group.row + row)?;
        cursor.next = row + 1;
        Ok((cursor, image))
    }

    fn decode(&self, index: usize, encoded: &Bytes, out: &mut [f32]) -> Result<()> {
        let (path, row) = self.place(index);
        let picture = Picture::in_row(encoded, path, row)?;
        match &self.preprocessing {
            None => picture.decode(self.info.shape, ONE_SHAPE, out),
            Some(preprocessing) => picture.prepare(preprocessing, out),
        }
    }
}

impl Dataset for Table {
    fn info(&self) -> &DataInfo {
        &self.info
    }

    fn read(&self, indices: &[usize]) -> Result<Batch> {
        self.info.check(indices)?;
        let encoded = self.encoded(indices)?;
        let size = self.info.pixels();
        let mut pixels = vec![0.0; indices.len() * size];
        let decoded: Vec<Result<()>> = indices
            .par_iter()
            .zip(&encoded)
            .zip(pixels.par_chunks_exact_mut(size))
            .map(|((&index, encoded), image)| self.decode(index, encoded, image))
            .collect();
        // In order, so that the error does not depend on which thread was first.
        decoded.into_iter().collect::<Result<()>>()?;
        self.info.batch(indices, pixels, |index| self.labels[index])
    }
}
