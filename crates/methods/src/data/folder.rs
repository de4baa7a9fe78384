//! A folder with one subfolder per class, png or jpeg images in each: what ImageNet's validation set
//! and most people's own data look like. Subfolders sorted by name are classes 0, 1, ... unless a list says
//! otherwise ([`Classes`]); within one, files sorted by name. All images have one size or are brought to one; they are decoded when read, in
//! parallel.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::classes::Classes;
use super::picture::{Picture, Size};
use super::preprocess::{self, Preprocessing};
use super::{Batch, DataInfo, Dataset, Format, source};
use crate::error::{Error, Result};

pub(super) const FORMAT: Format = Format {
    name: "folder",
    usage: "folder:FOLDER[,PREPROCESSING][,classes=FILE|imagenet|sorted]",
    sign: "a folder with subfolders",
    fits: |path| entries(path).is_ok_and(|all| all.iter().any(|entry| entry.is_dir())),
    open,
};

const LAYOUT: &str = "the layout is FOLDER/CLASS/IMAGE.png (or .jpg, .jpeg), one size for all";

/// All sizes were read when the folder was opened.
const CHANGED: &str = "the file changed since it was opened";

fn open(spec: &str) -> Result<Box<dyn Dataset>> {
    let (spec, classes) = Classes::split(spec);
    let (root, preprocessing) = preprocess::split(spec)?;
    Ok(Box::new(Folder::open(root, preprocessing, &classes)?))
}

pub(super) struct Folder {
    pub(super) info: DataInfo,
    /// Image file and class.
    pub(super) files: Vec<(PathBuf, u32)>,
    preprocessing: Option<Preprocessing>,
}

impl Folder {
    /// The images below `root`: all of one size, or of any if there is a preprocessing.
    ///
    /// # Errors
    /// If there are none, they are not of one size, or a folder has no class.
    pub(super) fn open(
        root: &Path,
        preprocessing: Option<Preprocessing>,
        classes: &Classes,
    ) -> Result<Self> {
        let folders: Vec<_> = entries(root)?.into_iter().filter(|entry| entry.is_dir()).collect();
        let folder_names: Vec<String> = folders.iter().map(|folder| file_name(folder)).collect();
        let (labels, classes) = classes.number(root, &folder_names)?;
        let (mut files, mut ignored, mut names) = (Vec::new(), Vec::new(), String::new());
        for (folder, class) in folders.iter().zip(labels) {
            for path in entries(folder)? {
                if is_image(&path) {
                    names += &format!("{}/{}\n", file_name(folder), file_name(&path));
                    files.push((path, class));
                } else {
                    ignored.push(path);
                }
            }
        }
        if files.is_empty() {
            let problem = format!("no png or jpeg images in {} subfolders", folders.len());
            return Err(Error::file(root, "images", problem, LAYOUT));
        }
        if let Some(first) = ignored.first() {
            let (count, first) = (ignored.len(), first.display());
            tracing::warn!("{count} entries that are not png or jpeg are left out, {first} first");
        }
        let shape = match &preprocessing {
            None => common_shape(&files)?,
            Some(preprocessing) => {
                // Other inputs of the network are another data set.
                names += &preprocessing.name;
                [3, preprocessing.side(), preprocessing.side()]
            }
        };
        Ok(Self {
            info: DataInfo {
                name: file_name(root),
                len: files.len(),
                shape,
                classes: Some(classes),
                sha256: source::sha256(names.as_bytes()),
            },
            files,
            preprocessing,
        })
    }

    /// `CLASS/IMAGE` of the image at `index`.
    pub(super) fn name(&self, index: usize) -> String {
        let path = &self.files[index].0;
        let class = path.parent().map_or_else(String::new, file_name);
        format!("{class}/{}", file_name(path))
    }

    fn decode(&self, index: usize, out: &mut [f32]) -> Result<()> {
        let path = &self.files[index].0;
        match &self.preprocessing {
            None => Picture::open(path)?.decode(self.info.shape, CHANGED, out),
            Some(preprocessing) => Picture::open(path)?.prepare(preprocessing, out),
        }
    }
}

impl Dataset for Folder {
    fn info(&self) -> &DataInfo {
        &self.info
    }

    fn read(&self, indices: &[usize]) -> Result<Batch> {
        self.info.check(indices)?;
        let size = self.info.pixels();
        let mut pixels = vec![0.0; indices.len() * size];
        let decoded: Vec<Result<()>> = indices
            .par_iter()
            .zip(pixels.par_chunks_exact_mut(size))
            .map(|(&index, image)| self.decode(index, image))
            .collect();
        // In order, so that the error does not depend on which thread was first.
        decoded.into_iter().collect::<Result<()>>()?;
        self.info.batch(indices, pixels, |index| self.files[index].1)
    }
}

/// What lies in a folder, sorted by name, without hidden entries.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = std::fs::read_dir(folder).map_err(Error::io("read", folder))?;
    let mut paths = Vec::new();
    for entry in list {
        let entry = entry.map_err(Error::io("read", folder))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into()
}

fn is_image(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
    ending.is_some_and(|e| e == "png" || e == "jpg" || e == "jpeg") && path.is_file()
}

/// Reads the header of every file. One channel if all are grey, otherwise three.
fn common_shape(files: &[(PathBuf, u32)]) -> Result<[usize; 3]> {
    let sizes: Vec<Result<Size>> =
        files.par_iter().map(|(path, _)| Picture::open(path)?.size()).collect();
    let mut common: Option<Size> = None;
    for (size, (path, _)) in sizes.into_iter().zip(files) {
        let size = size?;
        let first = common.get_or_insert(size);
        if (size.width, size.height) != (first.width, first.height) {
            let other = format!("{} is {}x{}", files[0].0.display(), first.width, first.height);
            return Err(Error::file(
                path,
                "size",
                format!("{}x{}, but {other}", size.width, size.height),
                "resize or crop all images to the input size of the model beforehand",
            ));
        }
        first.color |= size.color;
    }
    Ok(common.map_or([0; 3], Size::shape))
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, GrayImage, ImageBuffer, Luma, LumaA, Rgb, RgbImage, Rgba};

    use super::super::picture::eight_bits_each;
    use super::*;

    fn save(root: &Path, name: &str, image: impl Into<DynamicImage>) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        image.into().save(path).unwrap();
    }

    fn grey(values: [u8; 2]) -> GrayImage {
        GrayImage::from_raw(2, 1, values.to_vec()).unwrap()
    }

    fn read_all(root: &Path) -> Result<(DataInfo, Vec<f32>, Vec<u32>)> {
        let data = Folder::open(root, None, &Classes::Found)?;
        let batch = data.read(&(0..data.info.len).collect::<Vec<_>>())?;
        Ok((data.info, batch.images.flatten_all()?.to_vec1()?, batch.labels))
    }

    #[test]
    fn classes_and_files_are_sorted_by_name() {
        let root = tempfile::tempdir().unwrap();
        save(root.path(), "cat/b.png", grey([0, 51]));
        save(root.path(), "cat/a.png", grey([102, 153]));
        save(root.path(), "ant/z.png", grey([204, 255]));
        // A class without images keeps its number; hidden and other files are passed over.
        std::fs::create_dir(root.path().join("bee")).unwrap();
        std::fs::write(root.path().join("cat/notes.txt"), "").unwrap();
        std::fs::write(root.path().join("cat/.a.png"), "").unwrap();
        std::fs::write(root.path().join("README.png"), "").unwrap();
        let (info, pixels, labels) = read_all(root.path()).unwrap();
        assert_eq!((info.len, info.shape, info.classes), (3, [1, 1, 2], Some(3)));
        assert_eq!(labels, [0, 2, 2]);
        assert_eq!(pixels, [0.8, 1.0, 0.4, 0.6, 0.0, 0.2]);
        assert_eq!(info.sha256, source::sha256(b"ant/z.png\ncat/a.png\ncat/b.png\n"));
    }

    #[test]
    fn one_colour_image_makes_all_three_channels() {
        let root = tempfile::tempdir().unwrap();
        let colour = RgbImage::from_raw(2, 1, vec![255, 0, 51, 0, 102, 0]).unwrap();
        save(root.path(), "a/0.png", grey([0, 51]));
        save(root.path(), "a/1.png", colour);
        let (info, pixels, _) = read_all(root.path()).unwrap();
        assert_eq!(info.shape, [3, 1, 2]);
        assert_eq!(pixels[..6], [0.0, 0.2, 0.0, 0.2, 0.0, 0.2]);
        assert_eq!(pixels[6..], [1.0, 0.0, 0.0, 0.4, 0.2, 0.0]);
    }

    #[test]
    fn sixteen_bits_and_jpeg() {
        // What Pillow 13 makes of these values: of grey the value itself, cut off, of colours the upper byte.
        let values = [0_u16, 1, 127, 128, 255, 256, 383, 384, 32768, 65279, 65280, 65535];
        let grey = [0_u8, 1, 127, 128, 255, 255, 255, 255, 255, 255, 255, 255];
        let upper = [0_u8, 0, 0, 0, 0, 1, 1, 1, 128, 254, 255, 255];
        let colour: Vec<u16> = values.iter().flat_map(|v| [*v; 3]).collect();
        let clear: Vec<u16> = values.iter().flat_map(|v| [*v; 4]).collect();
        let veiled: Vec<u16> = values.iter().flat_map(|v| [*v; 2]).collect();
        for (image, expected) in [
            (deep::<Luma<u16>>(values.to_vec()), grey),
            (deep::<Rgb<u16>>(colour), upper),
            (deep::<Rgba<u16>>(clear), upper),
            (deep::<LumaA<u16>>(veiled), upper),
        ] {
            let root = tempfile::tempdir().unwrap();
            save(root.path(), "a/0.png", image.clone());
            let pixels = read_all(root.path()).unwrap().1;
            let expected = expected.map(|v| f32::from(v) / 255.0);
            assert!(pixels.chunks(12).all(|plane| plane == expected), "{pixels:?}");
            // And on the way through a preprocessing.
            let at = Path::new("0.png");
            let made = eight_bits_each(image, at).into_rgb8();
            assert!(made.pixels().zip(expected).all(|(p, v)| f32::from(p[0]) / 255.0 == v));
        }

        let root = tempfile::tempdir().unwrap();
        save(root.path(), "a/0.JPEG", RgbImage::from_pixel(8, 8, Rgb([200, 30, 90])));
        let (info, pixels, _) = read_all(root.path()).unwrap();
        assert_eq!(info.shape, [3, 8, 8]);
        for (plane, expected) in pixels.chunks(64).zip([200.0, 30.0, 90.0]) {
            assert!(plane.iter().all(|v| (v * 255.0 - expected).abs() < 4.0), "{plane:?}");
        }
    }

    fn deep<P: image::PixelWithColorType<Subpixel = u16>>(values: Vec<u16>) -> DynamicImage
    where
        DynamicImage: From<ImageBuffer<P, Vec<u16>>>,
    {
        ImageBuffer::<P, _>::from_raw(12, 1, values).unwrap().into()
    }

    /// Without its last bytes, and with another picture inside or rubbish behind.
    #[test]
    fn a_jpeg_that_is_cut_short_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let noise = |x: u32, y: u32| Rgb([(x * 31) as u8, (y * 57) as u8, (x * y) as u8]);
        save(root.path(), "a/0.jpg", RgbImage::from_fn(40, 24, noise));
        let path = root.path().join("a/0.jpg");
        let whole = std::fs::read(&path).unwrap();
        let pixels = read_all(root.path()).unwrap().1;
        for cut in (1..=25).chain([100, whole.len() / 2]) {
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            let error = read_all(root.path()).unwrap_err().to_string();
            assert!(error.contains("0.jpg: image: "), "{cut}: {error}");
        }
        std::fs::write(&path, [&whole[..], b"behind"].concat()).unwrap();
        assert_eq!(read_all(root.path()).unwrap().1, pixels);
        // A thumbnail is a whole JPEG in a segment: its end is not that of the file.
        let length = (whole.len() as u16 + 2).to_be_bytes();
        let with = [&whole[..2], &[0xff, 0xe1], &length, &whole, &whole[2..]].concat();
        std::fs::write(&path, &with).unwrap();
        assert_eq!(read_all(root.path()).unwrap().1, pixels);
        std::fs::write(&path, &with[..with.len() - 1]).unwrap();
        assert!(read_all(root.path()).is_err());
    }

    #[test]
    fn images_of_any_size_are_brought_to_one() {
        let root = tempfile::tempdir().unwrap();
        let shade = |value: u8, width, height| RgbImage::from_pixel(width, height, Rgb([value; 3]));
        save(root.path(), "a/0.png", shade(51, 300, 400));
        save(root.path(), "a/1.png", shade(102, 20, 9));
        save(root.path(), "b/0.png", grey([255, 255]));
        let spec = root.path().display().to_string();
        let data = open(&format!("{spec},Res256Crop224")).unwrap();
        assert_eq!((data.info().len, data.info().shape), (3, [3, 224, 224]));
        let batch = data.read(&[0, 1, 2]).unwrap();
        let pixels = batch.images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (image, value) in pixels.chunks(3 * 224 * 224).zip([0.2, 0.4, 1.0]) {
            assert!(image.iter().all(|pixel| *pixel == value));
        }
        let other = open(&format!("{spec},Res224")).unwrap();
        assert_ne!(other.info().sha256, data.info().sha256);
        let error = open(&format!("{spec},Res225")).err().unwrap();
        assert_eq!(error.to_string(), "unknown preprocessing `Res225`");
        assert!(error.hint().unwrap().contains("did you mean `Res224`"));
        // A header of 70000x70000, which nothing is decoded for.
        let mut large = std::fs::read(root.path().join("a/1.png")).unwrap();
        let side = 70_000_u32.to_be_bytes();
        large[16..24].copy_from_slice(&[side, side].concat());
        let mut sum = flate2::Crc::new();
        sum.update(&large[12..29]);
        large[29..33].copy_from_slice(&sum.sum().to_be_bytes());
        std::fs::write(root.path().join("a/3.png"), large).unwrap();
        let error = open(&format!("{spec},Crop288")).unwrap().read(&[2]).unwrap_err();
        assert!(error.to_string().contains("3.png: size: 70000x70000 is not between 1"), "{error}");
        std::fs::remove_file(root.path().join("a/3.png")).unwrap();
        save(root.path(), "a/2.png", shade(0, 1, 70_000));
        let error = open(&format!("{spec},Res256Crop224")).unwrap().read(&[2]).unwrap_err();
        assert!(error.to_string().contains("would become 256x17920000"), "{error}");
    }

    #[test]
    fn bad_folders() {
        type Build = fn(&Path);
        let cases: [(Build, &str); 6] = [
            (|_| (), "no png or jpeg images in 0 subfolders"),
            (|root| std::fs::create_dir(root.join("a")).unwrap(), "images in 1 subfolders"),
            (
                |root| {
                    save(root, "a/0.png", grey([0, 0]));
                    save(root, "a/1.png", GrayImage::new(2, 3));
                    save(root, "b/0.png", GrayImage::new(9, 9));
                },
                "1.png: size: 2x3, but ",
            ),
            (
                |root| {
                    save(root, "a/0.png", grey([0, 0]));
                    std::fs::write(root.join("a/1.png"), "not an image").unwrap();
                },
                "1.png: image: ",
            ),
            (
                |root| {
                    save(root, "a/0.png", RgbImage::new(40, 40));
                    let bytes = std::fs::read(root.join("a/0.png")).unwrap();
                    std::fs::write(root.join("a/0.png"), &bytes[..bytes.len() / 2]).unwrap();
                },
                "0.png: image: ",
            ),
            (
                |root| {
                    save(root, "a/0.png", GrayImage::new(1, 1));
                    let mut bytes = std::fs::read(root.join("a/0.png")).unwrap();
                    // Width and height of the IHDR chunk, and the checksum that covers them.
                    bytes[16..24].copy_from_slice(&[0, 0, 0x4e, 0x20, 0, 0, 0x4e, 0x20]);
                    let mut sum = flate2::Crc::new();
                    sum.update(&bytes[12..29]);
                    bytes[29..33].copy_from_slice(&sum.sum().to_be_bytes());
                    std::fs::write(root.join("a/0.png"), bytes).unwrap();
                },
                "size: 20000x20000 is not between",
            ),
        ];
        for (build, problem) in cases {
            let root = tempfile::tempdir().unwrap();
            build(root.path());
            let error = read_all(root.path()).expect_err(problem);
            assert!(error.to_string().contains(problem), "{error}, not {problem}");
            assert!(error.hint().is_some());
        }
    }
}
