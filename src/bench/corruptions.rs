//! The corruption benchmark (Hendrycks and Dietterich, ICLR 2019): clean accuracy under common corruptions
//! at five severities. There is nothing to search, so an evaluation is one number for each corruption and
//! severity, and these are what a resumed run keeps.

use std::path::{Path, PathBuf};

use super::models;
use super::preflight;
use super::suite::ModelEntry;
use super::work::{BATCH, Journal};
use crate::data::{self, Dataset, Subset, list_digest};
use crate::device::{Device, Precision};
use crate::error::{Error, Result};
use crate::model::{Classifier, FrozenNetwork, predicted};
use crate::record::{CorruptionRecord, CorruptionRow, FORMAT_VERSION, SEVERITIES};

/// The corruptions of the benchmark, grouped as in the paper: noise, blur, weather, digital.
pub const CORRUPTIONS: [&str; 15] = [
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
];

/// What to measure.
#[derive(Debug, Clone, Default)]
pub struct CorruptionSettings {
    /// The network.
    pub model: ModelEntry,
    /// Folder of CIFAR-C (`CORRUPTION.npy` and `labels.npy`), or of ImageNet-C or anything like it
    /// (`CORRUPTION/SEVERITY/CLASS/IMAGE`).
    pub data: PathBuf,
    /// How images of the second layout are resized and cropped; `Res224`, as RobustBench does, if not
    /// given.
    pub preprocessing: Option<String>,
    /// List of the images of ImageNet to take.
    pub ids: Option<PathBuf>,
    /// Only the first images of each corruption and severity.
    pub first: Option<usize>,
    /// Corruptions to measure; [`CORRUPTIONS`] if empty.
    pub only: Vec<String>,
    /// Images at a time; results do not depend on it.
    pub batch: Option<usize>,
    /// Where the network runs.
    pub device: Device,
}

impl CorruptionSettings {
    /// Data specification of one corruption and severity for a network of `classes` classes.
    fn specification(&self, corruption: &str, severity: &str, classes: usize) -> String {
        let folder = self.data.display();
        if self.data.join("labels.npy").is_file() {
            return format!("cifar-c:{folder},{corruption},{severity}");
        }
        // ImageNet's classes are numbered by their folders, of which none may be missing.
        let format = if classes == 1000 { "imagenet" } else { "folder" };
        let preprocessing = self.preprocessing.as_deref().unwrap_or("Res224");
        let ids = self.ids.as_ref().map_or_else(String::new, |ids| format!(",{}", ids.display()));
        format!("{format}:{folder}/{corruption}/{severity},{preprocessing}{ids}")
    }

    fn open(&self, corruption: &str, severity: usize, classes: usize) -> Result<Box<dyn Dataset>> {
        let whole = data::open(&self.specification(corruption, &severity.to_string(), classes))?;
        match self.first {
            Some(n) => Ok(Box::new(Subset::first(whole, n)?)),
            None => Ok(whole),
        }
    }
}

/// Measures what is missing in `folder`; `told` hears of every new row. The rows, in the order of the
/// corruptions.
///
/// # Errors
/// If the network or an image cannot be read, they do not fit, or the folder holds other settings; with
/// [`Error::Interrupted`] if the caller asked to stop.
pub fn measure_corruptions(
    settings: &CorruptionSettings,
    folder: &Path,
    stop: &dyn Fn() -> bool,
    told: &mut dyn FnMut(&CorruptionRow),
) -> Result<(CorruptionRecord, Vec<CorruptionRow>)> {
    let (mut network, model) = models::load(&settings.model, None)?;
    let device =
        models::place(std::slice::from_mut(&mut network), &settings.device, Precision::F32)?;
    let classes = network.info().classes;
    let corruptions: Vec<String> = match settings.only.as_slice() {
        [] => CORRUPTIONS.map(str::to_owned).to_vec(),
        only => only.to_vec(),
    };
    let record = CorruptionRecord {
        format_version: FORMAT_VERSION,
        epsball: env!("CARGO_PKG_VERSION").into(),
        data: settings.specification("CORRUPTION", "SEVERITY", classes),
        first: settings.first,
        corruptions: corruptions.clone(),
        device: device.to_string(),
        model,
    };
    // Every corruption is opened before the first is measured.
    for corruption in &corruptions {
        preflight::fits(&network, settings.open(corruption, 1, classes)?.as_ref())?;
    }
    let first = settings.open(&corruptions[0], 1, classes)?;
    preflight::returns_logits(&network, first.as_ref(), settings.model.returns_probabilities())?;
    let record = grow(record, folder)?;
    let table = CorruptionRecord::table(folder);
    let (mut journal, mut rows) = Journal::open::<CorruptionRow>(&table, &record.key())?;
    let batch = settings.batch.unwrap_or(BATCH);
    for corruption in &corruptions {
        for severity in 1..=SEVERITIES {
            let data = settings.open(corruption, severity, classes)?;
            let known = rows.iter().find(|r| r.corruption == *corruption && r.severity == severity);
            if let Some(known) = known {
                same_images(known, data.as_ref(), batch, &table, stop)?;
                continue;
            }
            let (correct, digest) = correct(&network, data.as_ref(), batch, stop)?;
            let start = |sha256: &str| sha256.get(..16).unwrap_or(sha256).to_owned();
            let row = CorruptionRow {
                corruption: corruption.clone(),
                severity,
                correct,
                images: data.info().len,
                data: start(&digest),
                model: start(&network.info().identity),
            };
            journal.append(std::slice::from_ref(&row))?;
            told(&row);
            rows.push(row);
        }
    }
    journal.sync()?;
    Ok((record, rows))
}

/// Refuses a row that was measured on other pixels or labels than the data set has now.
fn same_images(
    row: &CorruptionRow,
    data: &dyn Dataset,
    batch: usize,
    table: &Path,
    stop: &dyn Fn() -> bool,
) -> Result<()> {
    if stop() {
        return Err(Error::Interrupted);
    }
    let images = preflight::readable(data, None, batch)?;
    let now = list_digest(&images.into_iter().map(|(_, image)| image).collect::<Vec<_>>());
    match now.starts_with(&row.data) {
        true => Ok(()),
        false => Err(Error::file(
            table,
            format!("{} {}", row.corruption, row.severity),
            format!(
                "its images or labels have changed: they were {}, they are {}",
                row.data,
                &now[..16]
            ),
            "choose another folder with --output, or delete this one",
        )),
    }
}

/// Number of images that the network classifies correctly, and the digest of their list.
fn correct(
    network: &FrozenNetwork,
    data: &dyn Dataset,
    batch: usize,
    stop: &dyn Fn() -> bool,
) -> Result<(usize, String)> {
    let all: Vec<usize> = (0..data.info().len).collect();
    data::ahead(data, &all, batch, |batches| {
        let (mut correct, mut images) = (0, Vec::new());
        for batch in batches {
            if stop() {
                return Err(Error::Interrupted);
            }
            let batch = batch?;
            let classes = predicted(network, &batch.images, &network.logits(&batch.images)?)?;
            correct +=
                classes.iter().zip(&batch.labels).filter(|(class, label)| class == label).count();
            images.extend(batch.digests()?);
        }
        Ok((correct, list_digest(&images)))
    })
}

/// Adds what is to be measured to the folder's record, which is made if it is not there.
fn grow(record: CorruptionRecord, folder: &Path) -> Result<CorruptionRecord> {
    std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let known = CorruptionRecord::read_if_there(folder)?;
    if known.as_ref().is_some_and(|known| known.key() != record.key()) {
        return Err(Error::file(
            CorruptionRecord::path(folder),
            "settings",
            "the folder holds another network, another number of images or another device",
            "choose another folder with --output, or delete this one",
        ));
    }
    let mut corruptions = known.as_ref().map_or_else(Vec::new, |known| known.corruptions.clone());
    for new in &record.corruptions {
        if !corruptions.contains(new) {
            corruptions.push(new.clone());
        }
    }
    let record = CorruptionRecord { corruptions, ..record };
    if known.as_ref() != Some(&record) {
        record.write(folder)?;
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// The digits as a folder of classes, for these corruptions, all severities alike but the last,
    /// where half of the images lie in a wrong class.
    fn folder(corruptions: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let digits = data::open("digits").unwrap().read(&(0..20).collect::<Vec<_>>()).unwrap();
        let pixels = digits.images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for corruption in corruptions {
            for severity in 1..=SEVERITIES {
                for class in 0..10 {
                    let path = format!("{corruption}/{severity}/{class}");
                    std::fs::create_dir_all(root.path().join(path)).unwrap();
                }
                for (i, image) in pixels.chunks(64).enumerate() {
                    let wrong = usize::from(severity == SEVERITIES && i % 2 == 0);
                    let class = (digits.labels[i] as usize + wrong) % 10;
                    let bytes = image.iter().map(|p| (p * 255.0).round() as u8).collect();
                    let path = format!("{corruption}/{severity}/{class}/{i}.png");
                    let image = image::GrayImage::from_raw(8, 8, bytes).unwrap();
                    image.save(root.path().join(path)).unwrap();
                }
            }
        }
        root
    }

    fn npy(shape: &str, bytes: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header.as_bytes());
        file.extend(bytes);
        file
    }

    /// The same in the layout of CIFAR-C, four images per severity.
    fn stacked() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let digits = data::open("digits").unwrap().read(&[0, 1, 2, 3]).unwrap();
        let pixels = digits.images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let bytes: Vec<u8> = pixels.iter().map(|p| (p * 255.0).round() as u8).collect();
        let labels: Vec<u8> = digits.labels.iter().map(|label| *label as u8).collect();
        std::fs::write(root.path().join("fog.npy"), npy("(20, 1, 8, 8)", &bytes.repeat(5)))
            .unwrap();
        std::fs::write(root.path().join("labels.npy"), npy("(20,)", &labels.repeat(5))).unwrap();
        root
    }

    fn settings(data: &Path, only: &[&str]) -> CorruptionSettings {
        CorruptionSettings {
            model: ModelEntry { path: "bundled:digits-pgd".into(), ..ModelEntry::default() },
            data: data.into(),
            only: only.iter().map(|name| (*name).to_owned()).collect(),
            batch: Some(3),
            ..CorruptionSettings::default()
        }
    }

    #[test]
    fn stacked_files_give_the_accuracy_of_their_severities() {
        let (data, output) = (stacked(), tempfile::tempdir().unwrap());
        let settings = settings(data.path(), &["fog"]);
        let mut told = 0;
        let (record, rows) =
            measure_corruptions(&settings, output.path(), &|| false, &mut |_| told += 1).unwrap();
        assert_eq!((rows.len(), told), (5, 5));
        // The first four digits of the test split are ones the network knows.
        assert!(rows.iter().all(|row| row.correct == 4 && row.images == 4), "{rows:?}");
        let (read, read_rows) = CorruptionRecord::read(output.path()).unwrap();
        assert_eq!((read, read_rows), (record, rows));
    }

    #[test]
    fn a_stopped_run_goes_on_and_other_settings_are_refused() {
        let (data, output) = (stacked(), tempfile::tempdir().unwrap());
        let settings = settings(data.path(), &["fog"]);
        let asked = Cell::new(0);
        // Two batches per severity: stops in the middle of the third.
        let stop = || {
            asked.set(asked.get() + 1);
            asked.get() == 6
        };
        let ended = measure_corruptions(&settings, output.path(), &stop, &mut |_| {});
        assert!(matches!(ended, Err(Error::Interrupted)));
        assert_eq!(CorruptionRecord::read(output.path()).unwrap().1.len(), 2);
        let mut told = Vec::new();
        let (_, rows) = measure_corruptions(&settings, output.path(), &|| false, &mut |row| {
            told.push(row.severity);
        })
        .unwrap();
        assert_eq!((told, rows.len()), (vec![3, 4, 5], 5));
        // Another label, and nothing is believed to be finished.
        let labels = data.path().join("labels.npy");
        let good = std::fs::read(&labels).unwrap();
        let mut bad = good.clone();
        *bad.last_mut().unwrap() ^= 1;
        std::fs::write(&labels, bad).unwrap();
        let error =
            measure_corruptions(&settings, output.path(), &|| false, &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("fog 5: its images or labels have changed"), "{error}");
        std::fs::write(&labels, good).unwrap();
        let other = CorruptionSettings { first: Some(2), ..settings };
        let error = measure_corruptions(&other, output.path(), &|| false, &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("another number of images"), "{error}");
    }

    #[test]
    fn what_does_not_fit_is_found_before_the_first_image() {
        let output = tempfile::tempdir().unwrap();
        let data = stacked();
        let missing = settings(data.path(), &["fog", "snow"]);
        let error =
            measure_corruptions(&missing, output.path(), &|| false, &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("snow.npy"), "{error}");
        // Folders of images come through a preprocessing, to which this network does not fit.
        let folders = folder(&["fog"]);
        let settings = settings(folders.path(), &["fog"]);
        let error =
            measure_corruptions(&settings, output.path(), &|| false, &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("takes images [1, 8, 8]"), "{error}");
        assert!(!output.path().join("corruptions.csv").exists());
        let data = settings.open("fog", 5, 10).unwrap();
        assert_eq!((data.info().len, data.info().shape), (20, [3, 224, 224]));
    }
}
