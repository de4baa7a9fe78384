//! A job in pieces: which images each is about, and the folder `JOB.pieces` beside the job's table, in which
//! processes leave what the table does not have yet.
//!
//! | file | what it is |
//! |---|---|
//! | `table.lease.N` | who appends to the job's table |
//! | `PIECE.lease.N` | the process that computes the piece |
//! | `PIECE.HOLDER.csv` | rows of the piece, while that holder computes them for another one's table |
//! | `rows-DIGEST.csv` | rows of these images, whole: the table will take them up |

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::super::shard::Shard;
use super::lease::link;
use crate::digest::sha256;
use crate::error::{Error, Result};
use crate::persist;
use crate::record::{JobRecord, TableLines};

/// A job has about so many pieces, if these are not too small.
const PIECES: usize = 32;

/// Hex digits in names of files.
const DIGITS: usize = 16;

/// How the names of tables begin that are whole.
const WHOLE: &str = "rows-";

/// Some images of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// Digest of its list of images: processes that cut otherwise have other pieces.
    pub(super) name: String,
    /// Indices.
    pub(super) images: Vec<u64>,
}

/// Cuts the `images` of a job, index and digest each, or of these the share `shard`, into pieces of at least
/// `portion` images, but for the last.
pub(super) fn cut(images: &[(u64, String)], portion: usize, shard: Option<Shard>) -> Vec<Piece> {
    let own = |(_, digest): &&(u64, String)| shard.is_none_or(|shard| shard.has(digest));
    let own: Vec<&(u64, String)> = images.iter().filter(own).collect();
    let portion = portion.max(1);
    let size = own.len().div_ceil(PIECES).next_multiple_of(portion).max(portion);
    let piece = |images: &[&(u64, String)]| Piece {
        name: name(images.iter().map(|(idx, digest)| (*idx, digest.as_str()))),
        images: images.iter().map(|(idx, _)| *idx).collect(),
    };
    own.chunks(size).map(piece).collect()
}

/// Makes a folder that other processes may remove at any time.
fn make(path: &Path) -> Result<()> {
    loop {
        match std::fs::create_dir_all(path) {
            // It was there when it was to be made, and gone when it was looked at.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => match std::fs::metadata(path) {
                Ok(there) if there.is_dir() => return Ok(()),
                Ok(_) => return Err(Error::io("create", path)(e)),
                Err(_) => {}
            },
            made => return made.map_err(Error::io("create", path)),
        }
    }
}

/// Digest of a list of images.
fn name<'a>(images: impl Iterator<Item = (u64, &'a str)>) -> String {
    let text: String = images.map(|(idx, digest)| format!("{idx} {digest}\n")).collect();
    let mut name = sha256(text.as_bytes());
    name.truncate(DIGITS);
    name
}

/// The folder of a job's pieces.
pub(super) struct Folder {
    path: PathBuf,
    /// The same, relative to the run folder, with `/`.
    relative: String,
    /// How the names of tables end.
    ending: String,
    key: String,
}

impl Folder {
    fn relative(job: &JobRecord) -> String {
        Path::new(&job.file).with_extension("pieces").to_string_lossy().into_owned()
    }

    /// The folder of `job` in the run folder `run`, which is made.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(super) fn of(run: &Path, job: &JobRecord) -> Result<Self> {
        let file = Path::new(&job.file);
        let relative = Self::relative(job);
        let path = run.join(&relative);
        make(&path)?;
        let ending = file.extension().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { path, relative, ending, key: job.key.clone() })
    }

    /// The lease of the job's table.
    pub(super) fn table(&self) -> PathBuf {
        self.path.join("table")
    }

    /// The lease of a piece.
    pub(super) fn lease(&self, piece: &Piece) -> PathBuf {
        self.path.join(&piece.name)
    }

    /// The table that `holder` makes of a piece, relative to the run folder.
    pub(super) fn own(&self, piece: &Piece, holder: &str) -> String {
        format!("{}/{}.{holder}.{}", self.relative, piece.name, self.ending)
    }

    /// The tables that are whole, in the order of their names.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub(super) fn whole(&self) -> Result<Vec<PathBuf>> {
        self.tables(|name| name.starts_with(WHOLE))
    }

    /// The tables of this piece that holders have left or are making.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub(super) fn begun(&self, piece: &Piece) -> Result<Vec<PathBuf>> {
        self.tables(|name| name.starts_with(&format!("{}.", piece.name)))
    }

    fn tables(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
        let wanted = |path: &PathBuf| {
            path.extension().is_some_and(|ending| *ending == *self.ending)
                && path.file_name().is_some_and(|name| wanted(&name.to_string_lossy()))
        };
        let mut files: Vec<PathBuf> = self.files()?.into_iter().filter(wanted).collect();
        files.sort();
        Ok(files)
    }

    /// Everything in it; nothing if another process has removed it.
    fn files(&self) -> Result<Vec<PathBuf>> {
        let entries = match std::fs::read_dir(&self.path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(Error::io("read", &self.path))?,
        };
        Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
    }

    /// The lines of these tables that are about the images `wanted`, each image once. A table that another
    /// process has removed meanwhile has none.
    ///
    /// # Errors
    /// If one cannot be read, or holds a line of another job.
    pub(super) fn lines(
        &self,
        tables: &[PathBuf],
        wanted: impl Fn(u64, &str) -> bool,
    ) -> Result<TableLines> {
        let mut all = TableLines::default();
        for table in tables {
            let mut lines = TableLines::read(table, &self.key)?;
            lines.lines.retain(|line| wanted(line.idx, &line.image));
            all.take_up(lines);
        }
        Ok(all)
    }

    /// Puts what other holders of `piece` left beside their tables, counts of unfinished images, beside `own`.
    ///
    /// # Errors
    /// If a file cannot be copied.
    pub(super) fn inherit(&self, piece: &Piece, own: &Path) -> Result<()> {
        let start = format!("{}.", piece.name);
        for file in self.files()? {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some((holder, kind)) =
                name.strip_prefix(&start).and_then(|rest| rest.split_once('.'))
            else {
                continue;
            };
            let to = own.with_extension(kind);
            if holder == "lease" || kind == self.ending || to.exists() {
                continue;
            }
            match std::fs::copy(&file, &to) {
                // The process that left it was not dead, and has finished.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                copied => drop(copied.map_err(Error::io("copy", &file))?),
            }
        }
        Ok(())
    }

    /// Gives the finished table at `own` the name under which it will be taken up. Of two tables about the same
    /// images only the first gets it: they say the same.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub(super) fn publish(&self, own: &Path) -> Result<()> {
        let lines = TableLines::read(own, &self.key)?;
        let images = lines.lines.iter().map(|line| (line.idx, line.image.as_str()));
        let path = self.path.join(format!("{WHOLE}{}.{}", name(images), self.ending));
        link(own, &path).map_err(Error::io("create", &path))?;
        persist::sync_folder(&path)?;
        std::fs::remove_file(own).map_err(Error::io("remove", own))
    }

    /// Indices of the images that whole tables have rows of.
    ///
    /// # Errors
    /// As [`Self::lines`].
    pub(super) fn indices(&self) -> Result<HashSet<u64>> {
        Ok(self.lines(&self.whole()?, |_, _| true)?.indices())
    }

    /// Puts lines into the folder as a table that is whole.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub(super) fn put(&self, lines: &TableLines) -> Result<()> {
        let images = lines.lines.iter().map(|line| (line.idx, line.image.as_str()));
        let path = self.path.join(format!("{WHOLE}{}.{}", name(images), self.ending));
        // Another process may have finished the job and removed the folder.
        make(&self.path)?;
        persist::replace(&path, &lines.bytes())
    }

    /// The job is finished: nothing in the folder is needed.
    pub(super) fn remove(&self) {
        // Another process may be removing it.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(n: u64) -> Vec<(u64, String)> {
        (0..n).map(|idx| (idx, sha256(&idx.to_le_bytes())[..DIGITS].to_owned())).collect()
    }

    #[test]
    fn pieces_are_all_images_once_and_no_smaller_than_worth_it() {
        for (n, portion, pieces) in [(40, 8, 5), (41, 8, 6), (1000, 48, 21), (10_000, 48, 30)] {
            let images = images(n);
            let cut = cut(&images, portion, None);
            assert_eq!(cut.len(), pieces, "{n} by {portion}");
            let all: Vec<u64> = cut.iter().flat_map(|piece| piece.images.clone()).collect();
            assert_eq!(all, (0..n).collect::<Vec<_>>());
            assert!(cut[..pieces - 1].iter().all(|piece| piece.images.len() >= portion));
        }
        assert!(cut(&[], 8, None).is_empty());
    }

    #[test]
    fn a_folder_is_made_whoever_removes_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.pieces");
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..2000).for_each(|_| make(&path).unwrap()));
            }
            scope.spawn(|| (0..2000).for_each(|_| drop(std::fs::remove_dir_all(&path))));
        });
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(make(&folder.path().join("file")).is_err());
    }

    #[test]
    fn shares_are_cut_from_what_images_show() {
        let images = images(100);
        let mut turned = images.clone();
        turned.reverse();
        let shards: Vec<Shard> = (1..=3).map(|k| format!("{k}/3").parse().unwrap()).collect();
        let of = |images: &[(u64, String)], shard| -> HashSet<u64> {
            cut(images, 8, Some(shard)).into_iter().flat_map(|piece| piece.images).collect()
        };
        let shares: Vec<HashSet<u64>> = shards.iter().map(|shard| of(&images, *shard)).collect();
        assert_eq!(shares.iter().map(HashSet::len).sum::<usize>(), 100);
        for (share, shard) in shares.iter().zip(shards) {
            assert_eq!(&of(&turned, shard), share);
            // Images that are added change nothing of it.
            assert!(share.is_superset(&of(&images[..60], shard)));
        }
    }
}
