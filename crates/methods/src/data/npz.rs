//! NumPy archives: a zip file with one npy member for the images and one for the labels. Members that
//! `numpy.savez` stored plainly are read on demand; those of `numpy.savez_compressed` are unpacked
//! into memory.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use zip::{CompressionMethod, ZipArchive};

use super::array::{self, Array};
use super::source::{self, Source, Unpacking};
use super::{Dataset, Format, npy};
use crate::error::{Error, Result};
use crate::regular;

pub(super) const FORMAT: Format = Format {
    name: "npz",
    usage: "npz:FILE.npz",
    sign: "a file ending in .npz",
    fits: |path| path.extension().is_some_and(|ending| ending == "npz"),
    open: |path| open(path.as_ref()),
};

/// What the arrays may be called, in the order in which they are looked for.
const IMAGES: [&str; 4] = ["images", "x", "test_images", "x_test"];
const LABELS: [&str; 4] = ["labels", "y", "test_labels", "y_test"];

fn open(path: &Path) -> Result<Box<dyn Dataset>> {
    let (images, labels) = (member(path, &IMAGES)?, member(path, &LABELS)?);
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into();
    Ok(Box::new(array::pair(name, source::sha256_file(path)?, images, &labels)?))
}

/// The names of its arrays, in the order of the file.
pub(super) fn names(path: &Path) -> Result<Vec<String>> {
    let members = members(&archive(path)?);
    Ok(members.iter().filter_map(|m| m.strip_suffix(".npy")).map(str::to_owned).collect())
}

fn archive(path: &Path) -> Result<ZipArchive<BufReader<File>>> {
    let file = regular::open(path).map_err(Error::io("read", path))?;
    ZipArchive::new(BufReader::new(file)).map_err(damaged(path))
}

fn members(archive: &ZipArchive<BufReader<File>>) -> Vec<String> {
    archive.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect()
}

fn damaged(path: &Path) -> impl Fn(zip::result::ZipError) -> Error {
    move |problem| Error::file(path, "archive", problem.to_string(), "write it with numpy.savez")
}

/// The first array of the archive that has one of `names`.
pub(super) fn member(path: &Path, names: &[&str]) -> Result<Array> {
    let mut archive = archive(path)?;
    if archive.has_duplicate_names() {
        let problem = "two arrays have the same name";
        return Err(Error::file(path, "archive", problem, "write it with numpy.savez"));
    }
    let members = members(&archive);
    let found = names.iter().find_map(|name| {
        let is = |same: &dyn Fn(&str) -> bool| {
            members.iter().find(|member| member.strip_suffix(".npy").is_some_and(same))
        };
        is(&|member| member == *name).or_else(|| is(&|member| member.eq_ignore_ascii_case(name)))
    });
    let Some(found) = found else {
        return Err(Error::file(
            path,
            names[0],
            format!(
                "no array has that name or {}; found: {}",
                names[1..].join(", "),
                members.join(", ")
            ),
            "save it as numpy.savez(path, images=..., labels=...)",
        ));
    };
    let mut member = archive.by_name(found).map_err(damaged(path))?;
    match (member.compression(), member.data_start()) {
        (CompressionMethod::Stored, Some(start)) => {
            // Its checksum is looked at behind the last byte; later it is read by pieces.
            std::io::copy(&mut member, &mut std::io::sink()).map_err(|problem| {
                let problem = format!("it does not fit its checksum or size: {problem}");
                Error::file(path, found, problem, "the file is damaged: get it again")
            })?;
            let end = start.saturating_add(member.size());
            npy::read_header(Source::open(path)?, (start, end), found)
        }
        _ => {
            let remedy = "save it with numpy.savez, which does not compress";
            let whole = std::fs::metadata(path).map_err(Error::io("read", path))?.len();
            let packed = member.compressed_size().min(whole);
            let unpacking = Unpacking { path, field: found, packed, remedy };
            // What the directory says has to be true: its checksum is looked at behind the last byte.
            let declared = member.size();
            let bytes = unpacking.bytes(&mut member, declared)?;
            if unpacking.length(&mut member)? > 0 {
                let problem = format!("it unpacks to more than the {declared} bytes it claims");
                return Err(Error::file(path, found, problem, "write it with numpy.savez"));
            }
            let source = Source::memory(path, bytes);
            let end = source.len();
            npy::read_header(source, (0, end), found)
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::{Cursor, Write};

    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::npy::tests::npy;
    use super::*;

    /// A zip file with these members.
    pub(in crate::data) fn archive(
        members: &[(&str, Vec<u8>)],
        method: CompressionMethod,
    ) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in members {
            let options = SimpleFileOptions::default().compression_method(method);
            writer.start_file(*name, options).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn open_bytes(bytes: &[u8]) -> Result<Box<dyn Dataset>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        open(file.path())
    }

    #[test]
    fn stored_and_compressed_archives_read_the_same() {
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            for (images, labels) in
                [("x.npy", "y.npy"), ("images.npy", "labels.npy"), ("X.npy", "Y.npy")]
            {
                let members = [
                    (labels, npy("'<i4'", "(2,)", &[4, 0, 0, 0, 9, 0, 0, 0])),
                    ("else.npy", npy("'|b1'", "(1,)", &[0])),
                    (images, npy("'|u1'", "(2, 1, 1, 2)", &[0, 51, 102, 255])),
                ];
                let data = open_bytes(&archive(&members, method)).unwrap();
                let batch = data.read(&[0, 1]).unwrap();
                assert_eq!(batch.labels, [4, 9]);
                let pixels = batch.images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                assert_eq!(pixels, [0.0, 0.2, 0.4, 1.0]);
            }
        }
    }

    #[test]
    fn bad_files() {
        let images = npy("'|u1'", "(2, 1, 1)", &[0, 51]);
        let labels = npy("'|u1'", "(2,)", &[0, 1]);
        let short = images[..images.len() - 1].to_vec();
        let mut other = archive(
            &[("x.npy", images.clone()), ("y.npy", labels.clone())],
            CompressionMethod::Stored,
        );
        let at = other.windows(2).position(|two| two == [0, 51]).unwrap();
        other[at + 1] = 52;
        let good = archive(
            &[("x.npy", images.clone()), ("y.npy", labels.clone())],
            CompressionMethod::Stored,
        );
        for (bytes, problem) in [
            (good[..good.len() - 30].to_vec(), "archive: "),
            (vec![], "archive: "),
            (other, "x.npy: it does not fit its checksum"),
            (
                archive(
                    &[("a.npy", images.clone()), ("y.npy", labels.clone())],
                    CompressionMethod::Stored,
                ),
                "images: no array has that name or x, test_images, x_test; found: a.npy, y.npy",
            ),
            (archive(&[("x.npy", images)], CompressionMethod::Stored), "labels: no array"),
            (
                archive(&[("x.npy", short), ("y.npy", labels)], CompressionMethod::Deflated),
                "x.npy: uint8 of shape [2, 1, 1] needs 2 bytes, 1 found",
            ),
        ] {
            let error = open_bytes(&bytes).err().expect(problem);
            assert!(error.to_string().contains(problem), "{error}, not {problem}");
            assert!(error.hint().is_some(), "{error}");
        }
    }
}
