//! The adversarial images of one job, if the suite asks for them: a safetensors file beside the job's
//! table that grows with it. Its size is known when a session begins, so the header and every offset are
//! written first and the images are appended in place; nothing is copied at the end, when the file gets
//! its name. Every image is the one whose digest stands in its row.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::row::AttackRow;
use super::stored::{Stored, another};
use crate::attack::Outcome;
use crate::data::{image_check, image_digest};
use crate::error::{Error, Result};
use crate::persist;
use crate::record::{FORMAT_VERSION, JobRecord};
use crate::regular;

/// Ending of the file, instead of the table's.
const ENDING: &str = "adversarial.safetensors";

/// Its ending while the job is unfinished.
const PART: &str = "adversarial.part";

/// The file of one job, open for appending. Row i of every tensor is row i of the table: `ids` and
/// `labels` `[N]`, `images` `[N, C, H, W]` in [0, 1] (the clean image where nothing was found), `found`
/// `[N]`, 0 or 1, and `checks` `[N]`, a checksum of the four.
pub(super) struct AdversarialImages {
    file: File,
    part: PathBuf,
    path: PathBuf,
    shape: [usize; 3],
    /// Images written so far.
    len: usize,
    /// Where `ids` begin; `labels`, `checks` and `images` follow.
    ids_at: u64,
    /// Where `found` begins.
    found_at: u64,
}

impl AdversarialImages {
    /// Opens the file of `job` with the table at `table`, which has these `rows`. Images that are there
    /// are kept if they are those of the first rows. `None` if the file is complete.
    ///
    /// # Errors
    /// If it cannot be opened, or an image is not the one that its row says.
    pub(super) fn open(
        table: &Path,
        job: &JobRecord,
        shape: [usize; 3],
        rows: &[AttackRow],
    ) -> Result<Option<Self>> {
        let (path, part) = (table.with_extension(ENDING), table.with_extension(PART));
        let from = if path.exists() { &path } else { &part };
        let mut stored = Stored::open(from, shape)?;
        let kept = match &mut stored {
            Some(stored) => stored.verified(rows, shape)?,
            None => 0,
        };
        let header = header(&part, job, shape)?;
        let whole = stored.as_ref().is_some_and(|stored| stored.header == header);
        if whole && from == &path && kept == job.images {
            return Ok(None);
        }
        let image = 4 * shape.iter().product::<usize>() as u64;
        let ids_at = header.len() as u64;
        let images_at = ids_at + 24 * job.images as u64;
        let end = images_at + image * kept as u64;
        if !(whole && from == &part) {
            rewrite(&part, &header, images_at, stored, kept as u64 * image)?;
        }
        regular::check(&part).map_err(Error::io("open", &part))?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&part)
            .map_err(Error::io("open", &part))?;
        // Drops images without a row.
        file.set_len(end).map_err(Error::io("resize", &part))?;
        file.seek(SeekFrom::End(0)).map_err(Error::io("seek in", &part))?;
        let found_at = images_at + image * job.images as u64;
        Ok(Some(Self { file, part, path, shape, len: kept, ids_at, found_at }))
    }

    /// Images are kept beside the table at `table`, in the order of its rows.
    pub(super) fn are_kept(table: &Path) -> bool {
        [ENDING, PART].iter().any(|ending| table.with_extension(ending).exists())
    }

    /// Images that are there.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Appends the images of `outcomes`, which are those of the next of the table's `rows`. They are
    /// appended before their rows are: an image without a row is dropped on resuming.
    ///
    /// # Errors
    /// If the file cannot be written, or an image is not the one that its row says.
    pub(super) fn append(&mut self, outcomes: &[Outcome], rows: &[AttackRow]) -> Result<()> {
        for (outcome, row) in outcomes.iter().zip(rows.iter().skip(self.len)) {
            let digest = image_digest(outcome.label, self.shape, &outcome.image);
            if outcome.id != row.idx || digest != row.adversarial {
                return Err(another(&self.part, row));
            }
        }
        let pixels = outcomes.iter().flat_map(|outcome| &outcome.image);
        let bytes: Vec<u8> = pixels.flat_map(|pixel| pixel.to_le_bytes()).collect();
        self.file.write_all(&bytes).map_err(Error::io("append to", &self.part))?;
        self.len += outcomes.len();
        Ok(())
    }

    /// Writes what the finished table `rows` says and gives the file its name.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn finish(mut self, rows: &[AttackRow]) -> Result<()> {
        let check = |row: &AttackRow| image_check(row.idx, row.found, &row.adversarial);
        let mut numbers: Vec<u8> = Vec::new();
        numbers.extend(rows.iter().flat_map(|row| row.idx.to_le_bytes()));
        numbers.extend(rows.iter().flat_map(|row| u64::from(row.label).to_le_bytes()));
        numbers.extend(rows.iter().flat_map(|row| check(row).to_le_bytes()));
        let found: Vec<u8> = rows.iter().map(|row| row.found).collect();
        let written = (|| {
            self.file.seek(SeekFrom::Start(self.ids_at))?;
            self.file.write_all(&numbers)?;
            self.file.seek(SeekFrom::Start(self.found_at))?;
            self.file.write_all(&found)?;
            self.file.sync_all()
        })();
        written.map_err(Error::io("write", &self.part))?;
        drop(self.file);
        std::fs::rename(&self.part, &self.path).map_err(Error::io("replace", &self.path))?;
        persist::sync_folder(&self.path)
    }
}

/// Puts a file with this header into the place of `part`, its first images being those `stored`: `bytes`
/// of them, from `images_at` on. What is written last is zeros.
fn rewrite(
    part: &Path,
    header: &[u8],
    images_at: u64,
    stored: Option<Stored>,
    bytes: u64,
) -> Result<()> {
    let folder = part.parent().unwrap_or(Path::new("."));
    let mut new = persist::temporary(folder).map_err(Error::io("write in", folder))?;
    let written = (|| -> std::io::Result<()> {
        new.write_all(header)?;
        new.as_file().set_len(images_at)?;
        new.seek(SeekFrom::Start(images_at))?;
        if let Some(mut stored) = stored {
            stored.file.seek(SeekFrom::Start(stored.images_at))?;
            std::io::copy(&mut stored.file.take(bytes), &mut new)?;
        }
        Ok(())
    })();
    written.map_err(Error::io("write", part))?;
    new.persist(part).map_err(|e| Error::io("replace", part)(e.error))?;
    Ok(())
}

/// Length and text of the header, padded so that every tensor is aligned.
fn header(path: &Path, job: &JobRecord, [c, h, w]: [usize; 3]) -> Result<Vec<u8>> {
    let bug = |e: String| Error::file(path, "header", e, "report this as a bug");
    let n = job.images;
    let mut end = 0;
    let mut tensor = |name: &str, dtype: Dtype, shape: Vec<usize>, size: usize| {
        let start = end;
        end += size * shape.iter().product::<usize>();
        (name.to_string(), TensorInfo { dtype, shape, data_offsets: (start, end) })
    };
    let tensors = vec![
        tensor("ids", Dtype::I64, vec![n], 8),
        tensor("labels", Dtype::I64, vec![n], 8),
        tensor("checks", Dtype::U64, vec![n], 8),
        tensor("images", Dtype::F32, vec![n, c, h, w], 4),
        tensor("found", Dtype::U8, vec![n], 1),
    ];
    let about = serde_json::json!({
        "format_version": FORMAT_VERSION,
        "job": job.id,
        "key": job.key,
        "model": job.model,
        "data": job.data,
    });
    // One key: the order of several would differ from run to run.
    let about = HashMap::from([("epsball".to_string(), about.to_string())]);
    let metadata = Metadata::new(Some(about), tensors).map_err(|e| bug(e.to_string()))?;
    let mut text = serde_json::to_vec(&metadata).map_err(|e| bug(e.to_string()))?;
    text.resize(text.len().next_multiple_of(8), b' ');
    Ok([&(text.len() as u64).to_le_bytes()[..], &text].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data;
    use crate::record::Work;

    const SHAPE: [usize; 3] = [1, 3, 1];

    fn job(images: usize) -> JobRecord {
        JobRecord {
            id: "model--pgd".into(),
            key: "key".into(),
            file: "job.csv".into(),
            model: "model".into(),
            data: "data".into(),
            images,
            finished: false,
            checked: false,
            seed: 0,
            rng: "per-image".into(),
            device: "cpu".into(),
            precision: "f32".into(),
            work: Work { label: "pgd".into(), ..Work::default() },
        }
    }

    fn outcome(id: u64) -> Outcome {
        let (label, image) = (id as u32 % 4, (0..3).map(|pixel| (id * 3 + pixel) as f32 / 32.0));
        let mut outcome = Outcome::untouched(10 + id, label, label, image.collect());
        outcome.found = id.is_multiple_of(2);
        outcome
    }

    fn row(id: u64) -> AttackRow {
        let Outcome { id, label, found, image, .. } = outcome(id);
        AttackRow {
            idx: id,
            image: String::new(),
            label,
            clean: label,
            target: None,
            by: String::new(),
            prediction: 0,
            found: found.into(),
            distance: 0.1,
            linf: 0.1,
            l2: 0.1,
            l1: 0.1,
            l0: 1,
            features: None,
            height: 1,
            width: 1,
            top: None,
            left: None,
            adversarial: image_digest(label, SHAPE, &image),
            found_8bit: 0,
            forwards: 0,
            backwards: 0,
            unconfirmed: None,
            reference: None,
            seconds: 0.0,
        }
    }

    fn rows(n: u64) -> Vec<AttackRow> {
        (0..n).map(row).collect()
    }

    /// The file of a job of five images, in batches of two, its bytes and those before it was finished.
    fn whole(table: &Path) -> (Vec<u8>, Vec<u8>) {
        let mut file = AdversarialImages::open(table, &job(5), SHAPE, &[]).unwrap().unwrap();
        let outcomes: Vec<Outcome> = (0..5).map(outcome).collect();
        outcomes.chunks(2).for_each(|batch| file.append(batch, &rows(5)).unwrap());
        let part = std::fs::read(table.with_extension(PART)).unwrap();
        file.finish(&rows(5)).unwrap();
        assert!(!table.with_extension(PART).exists());
        (std::fs::read(table.with_extension(ENDING)).unwrap(), part)
    }

    #[test]
    fn the_file_is_a_data_set_and_says_what_was_found() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("pgd-linf-0.1.csv");
        let (bytes, _) = whole(&table);
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor("found").unwrap().data(), [1, 0, 1, 0, 1]);
        let ids: Vec<u8> = (10..15_u64).flat_map(u64::to_le_bytes).collect();
        assert_eq!(file.tensor("ids").unwrap().data(), ids);
        let path = folder.path().join("pgd-linf-0.1.adversarial.safetensors");
        let data = data::open(path.to_str().unwrap()).unwrap();
        assert_eq!((data.info().len, data.info().shape), (5, SHAPE));
        let batch = data.read(&[4, 1]).unwrap();
        assert_eq!(batch.labels, [0, 1]);
        let pixels = batch.images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(pixels, [outcome(4).image, outcome(1).image].concat());
    }

    #[test]
    fn no_flipped_bit_is_read_as_another_image() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("job.csv");
        let (bytes, _) = whole(&table);
        let path = table.with_extension(ENDING);
        let read = || {
            let batch = data::open(path.to_str().unwrap())?.read(&[0, 1, 2, 3, 4])?;
            Ok::<_, Error>((batch.labels, batch.images.flatten_all()?.to_vec1::<f32>()?))
        };
        let right = read().unwrap();
        let mut refused = 0;
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                std::fs::write(&path, &damaged).unwrap();
                match read() {
                    Ok(read) => assert!(read == right, "bit {bit} of byte {at}"),
                    Err(_) => refused += 1,
                }
            }
        }
        // All but spaces and names inside the header.
        assert!(refused > 8 * (bytes.len() - 400), "{refused} of {}", 8 * bytes.len());
    }

    #[test]
    fn a_file_cut_anywhere_continues_to_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("job.csv");
        let (whole, _) = whole(&table);
        let (path, part_path) = (table.with_extension(ENDING), table.with_extension(PART));
        for cut in 0..=whole.len() {
            for done in 0..=5 {
                std::fs::remove_file(&path).unwrap();
                std::fs::write(&part_path, &whole[..cut]).unwrap();
                let table_rows = rows(done);
                let mut file =
                    AdversarialImages::open(&table, &job(5), SHAPE, &table_rows).unwrap().unwrap();
                // Images of rows that were written before their images were lost are made again.
                assert!(file.len() <= done as usize);
                let rest: Vec<Outcome> = (file.len() as u64..5).map(outcome).collect();
                file.append(&rest, &rows(5)).unwrap();
                file.finish(&rows(5)).unwrap();
                assert!(std::fs::read(&path).unwrap() == whole, "cut at {cut}, {done} rows");
            }
        }
        assert!(AdversarialImages::open(&table, &job(5), SHAPE, &rows(5)).unwrap().is_none());
    }

    #[test]
    fn a_file_grows_with_its_job() {
        let folder = tempfile::tempdir().unwrap();
        let (table, once) = (folder.path().join("job.csv"), folder.path().join("once.csv"));
        let (whole, _) = whole(&once);
        for images in [2, 3, 5] {
            let there = if images == 2 { 0 } else { images - if images == 3 { 1 } else { 2 } };
            let open = AdversarialImages::open(&table, &job(images), SHAPE, &rows(there as u64));
            let mut file = open.unwrap().unwrap();
            assert_eq!(file.len(), there);
            let rest: Vec<Outcome> = (there as u64..images as u64).map(outcome).collect();
            file.append(&rest, &rows(images as u64)).unwrap();
            file.finish(&rows(images as u64)).unwrap();
        }
        assert!(std::fs::read(table.with_extension(ENDING)).unwrap() == whole);
    }

    #[test]
    fn images_that_are_not_those_of_their_rows_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("job.csv");
        whole(&table);
        let mut other = rows(5);
        other[3].adversarial = "0".repeat(16);
        let error = AdversarialImages::open(&table, &job(5), SHAPE, &other).err().unwrap();
        assert!(error.to_string().contains("image 13: it is not the adversarial"), "{error}");
        let mut file = AdversarialImages::open(&table, &job(6), SHAPE, &rows(5)).unwrap().unwrap();
        assert!(file.append(&[outcome(4)], &rows(6)).is_err());
    }
}
