//! CIFAR-10-C and CIFAR-100-C (Hendrycks and Dietterich, "Benchmarking neural network robustness to common
//! corruptions and perturbations", ICLR 2019): a folder with an npy file per corruption, in which the
//! test set lies five times, severity 1 to 5, and one `labels.npy` for all of them.

use std::path::{Path, PathBuf};

use super::source::{self, Source};
use super::{Dataset, Format, Selection, Subset, array, npy};
use crate::error::{Error, Result, nearest};

pub(super) const FORMAT: Format = Format {
    name: "cifar-c",
    usage: "cifar-c:FOLDER,CORRUPTION,SEVERITY",
    sign: "by its name only",
    fits: |_| false,
    open,
};

const SEVERITIES: usize = 5;

/// The file of the labels, without its ending.
pub const LABELS: &str = "labels";

/// Images keep their index in the file of the corruption as their id.
fn open(spec: &str) -> Result<Box<dyn Dataset>> {
    let usage = |problem: String| {
        Error::setting("data", problem, format!("write {}, severity 1 to 5", FORMAT.usage))
    };
    let mut parts = spec.rsplitn(3, ',');
    let (Some(severity), Some(corruption), Some(folder)) =
        (parts.next(), parts.next(), parts.next())
    else {
        return Err(usage(format!("`{spec}` does not name corruption and severity")));
    };
    let severity = match severity.parse::<usize>() {
        Ok(severity @ 1..=SEVERITIES) => severity,
        _ => return Err(usage(format!("`{severity}` is no severity"))),
    };
    let folder = Path::new(folder);
    let whole = |name: &str, field: &str| -> Result<_> {
        let path = file(folder, name, field)?;
        let source = Source::open(&path)?;
        let end = source.len();
        Ok((npy::read_header(source, (0, end), field)?, path))
    };
    let ((images, path), (labels, _)) = (whole(corruption, "images")?, whole(LABELS, "labels")?);
    let name = format!("{corruption}-{severity}");
    let all = array::pair_quietly(name, source::sha256_file(&path)?, images, &labels)?;
    let len = all.info.len;
    if !len.is_multiple_of(SEVERITIES) {
        return Err(Error::file(
            &path,
            "images",
            format!("{len} images are not {SEVERITIES} severities of one size"),
            "the file is not of CIFAR-C, or cut: get it again",
        ));
    }
    let each = len / SEVERITIES;
    let indices = ((severity - 1) * each..severity * each).collect();
    Ok(Box::new(Subset::new(Box::new(all), &Selection::Indices(indices))?))
}

/// The file `NAME.npy` of the folder; `field` is for the error.
///
/// # Errors
/// If there is none: the error says which there are.
pub fn file(folder: &Path, name: &str, field: &str) -> Result<PathBuf> {
    let path = folder.join(format!("{name}.npy"));
    if path.is_file() {
        return Ok(path);
    }
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = files
        .filter_map(|file| Some(file.file_name().to_str()?.strip_suffix(".npy")?.to_owned()))
        .filter(|name| name != LABELS)
        .collect();
    names.sort();
    let remedy = match (names.is_empty(), nearest(name, &names)) {
        (true, _) => "name a folder of CIFAR-C; `epsball data list` says how to get one".into(),
        (false, _) if name == LABELS => {
            "copy it from the archive of CIFAR-C: one file has the labels of all corruptions".into()
        }
        (false, Some(near)) => format!("did you mean `{near}`? there are {}", names.join(", ")),
        (false, None) => format!("there are {}", names.join(", ")),
    };
    Err(Error::file(path, field, "there is no such file", remedy))
}

#[cfg(test)]
mod tests {
    use super::npy::tests::npy;
    use super::*;

    /// Ten images of one colour pixel, two per severity; image i is i / 51 bright.
    fn folder(images: usize) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let pixels: Vec<u8> = (0..images).flat_map(|i| [5 * i as u8; 12]).collect();
        let shape = format!("({images}, 2, 2, 3)");
        std::fs::write(root.path().join("fog.npy"), npy("'|u1'", &shape, &pixels)).unwrap();
        let labels: Vec<u8> = (0..images).map(|i| i as u8 % 2 + 7).collect();
        let shape = format!("({images},)");
        std::fs::write(root.path().join("labels.npy"), npy("'|u1'", &shape, &labels)).unwrap();
        root
    }

    #[test]
    fn a_severity_is_a_fifth_of_the_file() {
        let root = folder(10);
        for severity in 1..=5 {
            let data = open(&format!("{},fog,{severity}", root.path().display())).unwrap();
            assert_eq!((data.info().len, data.info().shape), (2, [3, 2, 2]));
            assert_eq!(data.info().name, format!("fog-{severity}"));
            let batch = data.read(&[0, 1]).unwrap();
            let first = 2 * (severity - 1);
            assert_eq!(batch.ids, [first as u64, first as u64 + 1]);
            assert_eq!(batch.labels, [7, 8]);
            let pixels = batch.images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(pixels[12], 5.0 * (first + 1) as f32 / 255.0);
        }
    }

    #[test]
    fn bad_specifications() {
        let (good, odd) = (folder(10), folder(9));
        let spec = |rest: &str| format!("{}{rest}", good.path().display());
        for (spec, problem) in [
            (spec(",fog,0"), "`0` is no severity"),
            (spec(",fog,6"), "`6` is no severity"),
            (spec(",fog"), "does not name"),
            (spec(",snow,1"), "snow.npy: images: there is no such file"),
            (format!("{},fog,1", odd.path().display()), "9 images are not 5 severities"),
        ] {
            let error = open(&spec).err().expect(problem);
            assert!(error.to_string().contains(problem), "{error}");
            assert!(error.hint().is_some(), "{error}");
        }
        let hint = |spec: String| open(&spec).err().unwrap().hint().unwrap();
        assert_eq!(hint(spec(",fgo,1")), "did you mean `fog`? there are fog");
        assert_eq!(hint(spec(",snow,1")), "there are fog");
        std::fs::remove_file(good.path().join("labels.npy")).unwrap();
        assert!(hint(spec(",fog,1")).starts_with("copy it from the archive"));
    }
}
