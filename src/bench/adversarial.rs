//! The adversarial images of one job, if the suite asks for them: a safetensors file beside the job's
//! table that grows with it. Its size is known when the job begins, so the header and every offset are
//! written first and the images are appended in place; nothing is copied at the end, when the file gets
//! its name.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::attack::Outcome;
use crate::error::{Error, Result};
use crate::record::{AttackRow, FORMAT_VERSION, JobRecord};

/// Ending of the file, instead of the table's.
const ENDING: &str = "adversarial.safetensors";

/// Its ending while the job is unfinished.
const PART: &str = "adversarial.part";

/// The file of one job, open for appending. Row i of every tensor is row i of the table: `ids` and
/// `labels` `[N]`, `images` `[N, C, H, W]` in [0, 1] (the clean image where nothing was found), `found`
/// `[N]`, 0 or 1.
pub(super) struct AdversarialImages {
    file: File,
    part: PathBuf,
    path: PathBuf,
    /// Where `ids` begin; `labels` and `images` follow.
    ids_at: u64,
    /// Where `found` begins.
    found_at: u64,
}

impl AdversarialImages {
    /// Opens the file of `job` with the table at `table`, of whose rows `done` exist. `None` if it is
    /// complete.
    ///
    /// # Errors
    /// If it cannot be opened or lacks images of rows that exist.
    pub(super) fn open(
        table: &Path,
        job: &JobRecord,
        shape: [usize; 3],
        done: usize,
    ) -> Result<Option<Self>> {
        let (path, part) = (table.with_extension(ENDING), table.with_extension(PART));
        if done == job.images && path.exists() {
            return Ok(None);
        }
        let header = header(&part, job, shape)?;
        let image = 4 * shape.iter().product::<usize>() as u64;
        let ids_at = header.len() as u64;
        let images_at = ids_at + 16 * job.images as u64;
        let found_at = images_at + image * job.images as u64;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(done == 0)
            .open(&part)
            .map_err(Error::io("open", &part))?;
        if done == 0 {
            // Of an earlier computation whose table was deleted.
            if path.exists() {
                std::fs::remove_file(&path).map_err(Error::io("delete", &path))?;
            }
            file.write_all(&header).map_err(Error::io("write", &part))?;
        } else {
            let kept = images_at + image * done as u64;
            let mut found = vec![0; header.len()];
            let whole = file.metadata().map_err(Error::io("read", &part))?.len() >= kept
                && file.read_exact(&mut found).is_ok()
                && found == header;
            if !whole {
                return Err(Error::file(
                    &part,
                    "images",
                    format!("those of the first {done} rows of the table are not all there"),
                    format!("delete {} to compute the job again", table.display()),
                ));
            }
        }
        // Zeros for what is written last; on resuming also drops images without a row.
        file.set_len(images_at + image * done as u64).map_err(Error::io("resize", &part))?;
        file.seek(SeekFrom::End(0)).map_err(Error::io("seek in", &part))?;
        Ok(Some(Self { file, part, path, ids_at, found_at }))
    }

    /// Appends the images of `outcomes`, before their rows are appended to the table: an image without
    /// a row is dropped on resuming, a row without an image could not be made good.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn append(&mut self, outcomes: &[Outcome]) -> Result<()> {
        let pixels = outcomes.iter().flat_map(|outcome| &outcome.image);
        let bytes: Vec<u8> = pixels.flat_map(|pixel| pixel.to_le_bytes()).collect();
        self.file.write_all(&bytes).map_err(Error::io("append to", &self.part))
    }

    /// Writes what the finished table `rows` says and gives the file its name.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn finish(mut self, rows: &[AttackRow]) -> Result<()> {
        let mut numbers: Vec<u8> = Vec::new();
        numbers.extend(rows.iter().flat_map(|row| row.idx.to_le_bytes()));
        numbers.extend(rows.iter().flat_map(|row| u64::from(row.label).to_le_bytes()));
        let found: Vec<u8> = rows.iter().map(|row| row.found).collect();
        let written = (|| {
            self.file.seek(SeekFrom::Start(self.ids_at))?;
            self.file.write_all(&numbers)?;
            self.file.seek(SeekFrom::Start(self.found_at))?;
            self.file.write_all(&found)
        })();
        written.map_err(Error::io("write", &self.part))?;
        drop(self.file);
        std::fs::rename(&self.part, &self.path).map_err(Error::io("replace", &self.path))
    }
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
        tensor("images", Dtype::F32, vec![n, c, h, w], 4),
        tensor("found", Dtype::U8, vec![n], 1),
    ];
    let about = serde_json::json!({
        "format_version": FORMAT_VERSION,
        "job": job.id,
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
    use std::collections::BTreeMap;

    use super::*;
    use crate::data;
    use crate::record::Work;

    const SHAPE: [usize; 3] = [1, 3, 1];

    fn job(images: usize) -> JobRecord {
        JobRecord {
            id: "model--pgd".into(),
            file: "job.csv".into(),
            model: "model".into(),
            data: "data".into(),
            images,
            work: Work::Attack {
                label: "pgd".into(),
                attack: "pgd".into(),
                threat: "Linf".into(),
                eps: vec![0.1],
                minimal: false,
                control: false,
                parameters: BTreeMap::new(),
            },
        }
    }

    fn outcome(id: u64) -> Outcome {
        Outcome {
            id: 10 + id,
            label: id as u32 % 4,
            clean_prediction: id as u32 % 4,
            found: id.is_multiple_of(2),
            by: String::new(),
            image: (0..3).map(|pixel| (id * 3 + pixel) as f32 / 32.0).collect(),
            prediction: 0,
            distance: 0.1,
            found_8bit: false,
            forwards: 0,
            backwards: 0,
            unconfirmed: None,
        }
    }

    fn row(id: u64) -> AttackRow {
        let Outcome { id, label, found, .. } = outcome(id);
        AttackRow {
            idx: id,
            label,
            clean: label,
            by: String::new(),
            prediction: 0,
            found: found.into(),
            distance: 0.1,
            found_8bit: 0,
            forwards: 0,
            backwards: 0,
            unconfirmed: None,
            seconds: 0.0,
        }
    }

    fn rows(n: u64) -> Vec<AttackRow> {
        (0..n).map(row).collect()
    }

    /// The file of a job of five images, in batches of two, its bytes and those before it was finished.
    fn whole(table: &Path) -> (Vec<u8>, Vec<u8>) {
        let mut file = AdversarialImages::open(table, &job(5), SHAPE, 0).unwrap().unwrap();
        let outcomes: Vec<Outcome> = (0..5).map(outcome).collect();
        outcomes.chunks(2).for_each(|batch| file.append(batch).unwrap());
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
    fn a_file_cut_anywhere_continues_to_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("job.csv");
        let (whole, part) = whole(&table);
        let (path, part_path) = (table.with_extension(ENDING), table.with_extension(PART));
        let images_at = part.len() - 5 * 12;
        for cut in 0..=whole.len() {
            // All of the rows whose images are there may have been written before the kill.
            let complete = (cut.saturating_sub(images_at) / 12).min(5);
            for done in 0..=complete {
                std::fs::remove_file(&path).unwrap();
                std::fs::write(&part_path, &whole[..cut]).unwrap();
                let open = AdversarialImages::open(&table, &job(5), SHAPE, done);
                let mut file = open.unwrap().unwrap();
                let rest: Vec<Outcome> = (done as u64..5).map(outcome).collect();
                file.append(&rest).unwrap();
                file.finish(&rows(5)).unwrap();
                assert!(std::fs::read(&path).unwrap() == whole, "cut at {cut}, {done} rows");
            }
        }
        assert!(AdversarialImages::open(&table, &job(5), SHAPE, 5).unwrap().is_none());
    }

    #[test]
    fn missing_images_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("job.csv");
        let (_, part) = whole(&table);
        std::fs::remove_file(table.with_extension(ENDING)).unwrap();
        let refused = |bytes: &[u8], images: usize, done: usize| {
            std::fs::write(table.with_extension(PART), bytes).unwrap();
            let error = AdversarialImages::open(&table, &job(images), SHAPE, done).err().unwrap();
            assert!(error.to_string().contains(&format!("the first {done} rows")), "{error}");
            assert!(error.hint().unwrap().contains("job.csv"));
        };
        refused(&part[..part.len() - 1], 5, 5);
        refused(b"", 5, 1);
        // Of a job with other images.
        refused(&part, 4, 1);
    }
}
