//! Reading what an earlier session left of a job's adversarial images, each checked against its row.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::Dtype;

use super::row::AttackRow;
use crate::data::image_digest;
use crate::error::{Error, Result};
use crate::{regular, tensor_header};

/// A file of adversarial images as it lies on the disk, of a finished session or of one that was killed.
pub(super) struct Stored {
    path: PathBuf,
    pub(super) file: File,
    /// Length and text of the header.
    pub(super) header: Vec<u8>,
    /// Where the images begin, and how many there are in full.
    pub(super) images_at: u64,
    images: usize,
}

impl Stored {
    /// The file at `path`; `None` if there is none, or it was killed before its header was written.
    pub(super) fn open(path: &Path, shape: [usize; 3]) -> Result<Option<Self>> {
        let mut file = match regular::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", path)(e)),
        };
        let size = file.metadata().map_err(Error::io("read", path))?.len();
        let mut length = [0; 8];
        if size < 8 {
            return Ok(None);
        }
        file.read_exact(&mut length).map_err(Error::io("read", path))?;
        let text = u64::from_le_bytes(length);
        if text > size - 8 {
            return Ok(None);
        }
        let damaged = |problem: String| {
            let remedy = "the file was changed: delete it, and the images are computed again";
            Error::file(path, "header", problem, remedy)
        };
        if text > tensor_header::LONGEST {
            return Err(damaged(format!("claims to have {text} bytes")));
        }
        let mut header = vec![0; text as usize];
        file.read_exact(&mut header).map_err(Error::io("read", path))?;
        let metadata = tensor_header::parse(&header).map_err(damaged)?;
        let Some(info) = metadata.info("images") else {
            return Err(damaged("there is no tensor `images`".into()));
        };
        if info.shape.get(1..) != Some(&shape[..]) || info.dtype != Dtype::F32 {
            return Err(damaged(format!("its images are {} {:?}", info.dtype, info.shape)));
        }
        let image = 4 * shape.iter().product::<usize>().max(1) as u64;
        let images_at = 8 + text + info.data_offsets.0 as u64;
        let there = size.saturating_sub(images_at) / image;
        let images = there.min(info.shape[0] as u64) as usize;
        let header = [&length[..], &header].concat();
        Ok(Some(Self { path: path.into(), file, header, images_at, images }))
    }

    /// Number of images that are there and have a row, each of them checked against it.
    pub(super) fn verified(&mut self, rows: &[AttackRow], shape: [usize; 3]) -> Result<usize> {
        let kept = self.images.min(rows.len());
        let mut bytes = vec![0; 4 * shape.iter().product::<usize>()];
        self.file
            .seek(SeekFrom::Start(self.images_at))
            .map_err(Error::io("seek in", &self.path))?;
        for row in &rows[..kept] {
            self.file.read_exact(&mut bytes).map_err(Error::io("read", &self.path))?;
            let pixels: Vec<f32> =
                bytes.as_chunks().0.iter().map(|pixel| f32::from_le_bytes(*pixel)).collect();
            if image_digest(row.label, shape, &pixels) != row.adversarial {
                return Err(another(&self.path, row));
            }
        }
        Ok(kept)
    }
}

/// An image that is not the one of its row.
pub(super) fn another(path: &Path, row: &AttackRow) -> Error {
    Error::file(
        path,
        format!("image {}", row.idx),
        "it is not the adversarial image that its row in the table says",
        "the file was changed: delete it, and the images are computed again",
    )
}
