//! ImageNet's validation set (Russakovsky et al. 2015) in class subfolders, and everything with the same
//! layout, such as a severity of a corruption of ImageNet-C: a folder of images with one of the
//! preprocessings by which published networks were measured, and the list of images that were.

use std::collections::HashMap;
use std::path::Path;

use super::classes::Classes;
use super::folder::Folder;
use super::{Dataset, Format, Selection, Subset, preprocess};
use crate::error::{Error, Result};
use crate::regular;

pub(super) const FORMAT: Format = Format {
    name: "imagenet",
    usage: "imagenet:FOLDER[,PREPROCESSING[,IDS.txt]]",
    sign: "by its name only",
    fits: |_| false,
    open,
};

/// Classes are the synsets of ImageNet, of which some may be missing, or a thousand folders in the order of their
/// names.
const CLASSES: usize = 1000;

/// What most published networks were measured with.
const USUAL: &str = "Res256Crop224";

fn open(spec: &str) -> Result<Box<dyn Dataset>> {
    let mut parts = spec.split(',');
    let root = Path::new(parts.next().unwrap_or(spec));
    let preprocessing = preprocess::find(parts.next().unwrap_or(USUAL))?;
    let ids = parts.next();
    if let Some(rest) = parts.next() {
        let problem = format!("`{rest}` follows after the list of images");
        return Err(Error::setting("data", problem, format!("write {}", FORMAT.usage)));
    }
    let folder = Folder::open(root, Some(preprocessing), &Classes::Found)?;
    let classes = folder.info.classes.unwrap_or(0);
    if classes != CLASSES {
        return Err(Error::file(
            root,
            "classes",
            format!("{classes} classes, {CLASSES} expected"),
            "name the folder whose subfolders are n01440764, n01443537, ..; `folder:` takes any others",
        ));
    }
    match ids {
        None => Ok(Box::new(folder)),
        Some(ids) => {
            let indices = indices(&folder, Path::new(ids))?;
            Ok(Box::new(Subset::new(Box::new(folder), &Selection::Indices(indices))?))
        }
    }
}

/// The images that a list names, in its order: a line each, `n09468604/ILSVRC2012_val_00015253.JPEG`.
fn indices(folder: &Folder, list: &Path) -> Result<Vec<usize>> {
    let text = regular::text(list).map_err(Error::io("read", list))?;
    let known: HashMap<String, usize> =
        (0..folder.files.len()).map(|index| (folder.name(index), index)).collect();
    let mut indices = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        match known.get(line.trim()) {
            Some(index) => indices.push(*index),
            None => {
                return Err(Error::file(
                    list,
                    format!("line {number}"),
                    format!("{} has no image `{}`", folder.info.name, line.trim()),
                    "a line is CLASS/IMAGE, with a slash and the ending of the file",
                ));
            }
        }
    }
    Ok(indices)
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;

    /// A thousand classes, images in three of them.
    fn validation() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for class in 0..1000 {
            std::fs::create_dir(root.path().join(format!("n{class:08}"))).unwrap();
        }
        for (class, image) in [(3, "b"), (3, "a"), (999, "c"), (41, "d")] {
            let path = root.path().join(format!("n{class:08}/{image}.JPEG"));
            let format = image::ImageFormat::Jpeg;
            RgbImage::new(30, 20).save_with_format(path, format).unwrap();
        }
        root
    }

    #[test]
    fn a_list_decides_which_images_and_in_which_order() {
        let root = validation();
        let spec = root.path().display().to_string();
        let whole = open(&spec).unwrap();
        assert_eq!((whole.info().len, whole.info().shape), (4, [3, 224, 224]));
        assert_eq!(whole.info().classes, Some(1000));
        assert_eq!(whole.read(&[0, 1, 2, 3]).unwrap().labels, [3, 3, 41, 999]);
        let list = root.path().join("ids.txt");
        std::fs::write(&list, "n00000999/c.JPEG\r\nn00000003/b.JPEG\n\n").unwrap();
        let part = open(&format!("{spec},Crop288,{}", list.display())).unwrap();
        assert_eq!((part.info().len, part.info().shape), (2, [3, 288, 288]));
        let batch = part.read(&[0, 1]).unwrap();
        assert_eq!((batch.labels, batch.ids), (vec![999, 3], vec![3, 1]));
    }

    /// Resident memory of this process in bytes.
    #[cfg(target_os = "linux")]
    fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/statm").unwrap();
        4096 * status.split(' ').nth(1).unwrap().parse::<usize>().unwrap()
    }

    /// Prints the images per second; `--nocapture` shows them.
    #[test]
    #[cfg(target_os = "linux")]
    #[ignore = "takes a minute"]
    #[allow(clippy::print_stderr)]
    fn memory_stays_flat_over_thousands_of_images() {
        let root = validation();
        let noise = |x: u32, y: u32| image::Rgb([(x * y) as u8, (x + 3 * y) as u8, (x / 2) as u8]);
        let first = root.path().join("n00000000/first.jpg");
        RgbImage::from_fn(500, 375, noise).save(&first).unwrap();
        for copy in 0..4000 {
            let path = root.path().join(format!("n{:08}/{copy}.jpg", copy % 1000));
            std::fs::hard_link(&first, path).unwrap();
        }
        let data = open(&root.path().display().to_string()).unwrap();
        let read = |from: usize, to: usize| {
            for start in (from..to).step_by(128) {
                data.read(&(start..(start + 128).min(to)).collect::<Vec<_>>()).unwrap();
            }
        };
        read(0, 500);
        let (before, started) = (resident(), std::time::Instant::now());
        read(500, 4000);
        let grown = resident().saturating_sub(before);
        let rate = 3500.0 / started.elapsed().as_secs_f64();
        eprintln!("{rate:.0} images of 500 x 375 per second, {grown} bytes more memory");
        assert!(grown < 64 << 20, "{grown} bytes more after 3,500 images");
    }

    #[test]
    fn what_does_not_fit() {
        let root = validation();
        let spec = root.path().display().to_string();
        let list = root.path().join("ids.txt");
        let refused = |spec: &str, problem: &str| {
            let error = open(spec).err().expect(problem);
            assert!(error.to_string().contains(problem), "{error}");
            assert!(error.hint().is_some(), "{error}");
        };
        for (ids, problem) in [
            ("n00000003/a.JPEG\nn00000003/z.JPEG", "line 2: "),
            ("n00000003/a.JPEG\nn00000003/a.JPEG", "image 0 is selected twice"),
            ("", "no image is selected"),
        ] {
            std::fs::write(&list, ids).unwrap();
            refused(&format!("{spec},Res224,{}", list.display()), problem);
        }
        refused(&format!("{spec},Res22"), "unknown preprocessing `Res22`");
        refused(&format!("{spec},Res224,a,b"), "`b` follows");
        std::fs::remove_dir(root.path().join("n00000500")).unwrap();
        refused(&spec, "999 classes, 1000 expected");
    }
}
