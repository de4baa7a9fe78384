//! Which array of a file holds the adversarial images, which image of the data set each row is about, and
//! the rows as images `[C, H, W]`.

use std::collections::HashMap;
use std::path::Path;

use super::Foreign;
use super::file::{Entry, File, Numbers};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::pickle::file_part::quoted;

/// Names that adversarial images usually have, where a file holds other images too.
const USUAL: [&str; 10] = [
    "x_adv",
    "adv",
    "adv_complete",
    "adv_inputs",
    "adv_images",
    "adv_x",
    "adversarial",
    "adversarial_images",
    "adversarial_examples",
    "adversarials",
];

/// Names that true classes usually have. `targets` is not one: an attack has targets too.
const LABELS: [&str; 5] = ["labels", "label", "y", "y_test", "y_true"];

/// The adversarial images of a file.
pub(super) struct Images {
    /// Name of their array; empty if it has none.
    pub(super) name: String,
    /// Position in the data set of the image that each row is about.
    pub(super) positions: Vec<usize>,
    /// What was done to the numbers of the file to make them images, a sentence each.
    pub(super) notes: Vec<String>,
    /// True classes by the file's account, a row each.
    pub(super) labels: Option<Vec<i128>>,
    numbers: Numbers,
    /// Rows are `[H, W, C]`.
    channels_last: bool,
    shape: [usize; 3],
}

impl Images {
    /// Opens the images that are about `data`.
    ///
    /// # Errors
    /// If the file cannot be read, it is not clear which array is meant, or the number, the shape or the
    /// indices of its images are not those of `data`.
    pub(super) fn open(foreign: &Foreign, data: &dyn Dataset) -> Result<Self> {
        let path = foreign.path.as_path();
        let mut file = File::open(path)?;
        let entries = file.entries();
        let (info, shape) = (data.info(), data.info().shape);
        let index = choose(path, &entries, foreign.key.as_deref())?;
        let chosen = &entries[index];
        let Some((len, channels_last)) = layout(&chosen.shape, shape) else {
            let problem = format!(
                "{} has shape {:?}, and the images of {} are {shape:?}",
                title(chosen),
                chosen.shape,
                info.name
            );
            let remedy = "save the images as [N, C, H, W], in the size of the data set";
            return Err(Error::file(path, "images", problem, remedy));
        };
        if len != info.len {
            let problem = format!("{len} adversarial images, and {} has {}", info.name, info.len);
            let remedy = "choose the images that the file is about with --first or --every";
            return Err(Error::file(path, "images", problem, remedy));
        }
        let mut list = |names: &[&str]| -> Result<Option<Vec<i128>>> {
            let found = entries.iter().position(|entry| {
                names.contains(&&*entry.name.to_lowercase())
                    && matches!(entry.shape[..], [_] | [_, 1])
                    && entry.type_name.contains("int")
            });
            let Some(found) = found else { return Ok(None) };
            let numbers = file.read(path, found)?.integers()?;
            match &numbers {
                Some(numbers) if numbers.len() != len => Err(Error::file(
                    path,
                    &entries[found].name,
                    format!("{} numbers for {len} images", numbers.len()),
                    "save a number for each image",
                )),
                _ => Ok(numbers),
            }
        };
        let (ids, labels) = (list(&["ids"])?, list(&LABELS)?);
        let positions = match ids {
            Some(ids) => positions(path, &ids, data)?,
            None => (0..len).collect(),
        };
        let notes = notes(chosen, channels_last);
        let name = chosen.name.clone();
        let numbers = file.read(path, index)?;
        Ok(Self { name, positions, notes, labels, numbers, channels_last, shape })
    }

    /// The images of `rows`, one after the other as `[C, H, W]`.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn read(&self, rows: std::ops::Range<usize>) -> Result<Vec<f32>> {
        let size = self.shape.iter().product::<usize>();
        let mut pixels = vec![0.0; rows.len() * size];
        for (row, image) in rows.zip(pixels.chunks_exact_mut(size.max(1))) {
            self.numbers.image(row, image)?;
            if self.channels_last {
                to_planes(image, self.shape[0]);
            }
        }
        Ok(pixels)
    }
}

/// Turns `[H, W, C]` into `[C, H, W]`.
fn to_planes(image: &mut [f32], channels: usize) {
    let (stored, area) = (image.to_vec(), image.len() / channels.max(1));
    for (position, pixel) in stored.chunks_exact(channels.max(1)).enumerate() {
        for (channel, value) in pixel.iter().enumerate() {
            image[channel * area + position] = *value;
        }
    }
}

/// Number of images in an array of this shape, and whether their channels come last; `None` if they are
/// not `[C, H, W]`. The channels come last only where they cannot come first.
fn layout(array: &[usize], [c, h, w]: [usize; 3]) -> Option<(usize, bool)> {
    match *array {
        [n, height, width] if c == 1 && [height, width] == [h, w] => Some((n, false)),
        [n, ref image @ ..] if *image == [c, h, w] => Some((n, false)),
        [n, ref image @ ..] if *image == [h, w, c] => Some((n, true)),
        _ => None,
    }
}

/// What is done to the numbers of this array to make them images.
fn notes(entry: &Entry, channels_last: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if entry.type_name == "uint8" {
        notes.push(format!("{} holds bytes: 0 to 255 becomes 0 to 1", title(entry)));
    }
    if channels_last {
        let title = title(entry);
        notes.push(format!("{title} is [N, H, W, C]: its channels are put first"));
    }
    notes
}

/// Index of the array of images.
fn choose(path: &Path, entries: &[Entry], key: Option<&str>) -> Result<usize> {
    let error = |problem: String, remedy: &str| Err(Error::file(path, "images", problem, remedy));
    let list = |entries: &[&Entry]| {
        entries.iter().map(|entry| described(entry)).collect::<Vec<_>>().join(", ")
    };
    let all: Vec<&Entry> = entries.iter().collect();
    if let Some(key) = key {
        let Some(index) = entries.iter().position(|entry| entry.name == key) else {
            let problem = format!("there is no array {}; found: {}", quoted(key), list(&all));
            return error(problem, "name one of these with --key, or leave it out");
        };
        if !entries[index].is_pixel {
            let problem = described(&entries[index]);
            return error(problem, "save images as float32 (0.0 to 1.0) or uint8 (0 to 255)");
        }
        return Ok(index);
    }
    let of_rank = |rank: usize| -> Vec<usize> {
        let fits = |entry: &Entry| entry.is_pixel && entry.shape.len() == rank;
        (0..entries.len()).filter(|index| fits(&entries[*index])).collect()
    };
    let mut candidates = of_rank(4);
    if candidates.is_empty() {
        candidates = of_rank(3);
    }
    let usual: Vec<usize> = candidates
        .iter()
        .copied()
        .filter(|index| {
            let name = entries[*index].name.to_lowercase();
            USUAL.contains(&name.rsplit('.').next().unwrap_or(&name))
        })
        .collect();
    match (candidates.as_slice(), usual.as_slice()) {
        ([index], _) | (_, [index]) => Ok(*index),
        ([], _) => {
            let problem = format!("no array holds images; found: {}", list(&all));
            error(problem, "save images [N, C, H, W] as float32 (0.0 to 1.0) or uint8 (0 to 255)")
        }
        _ => {
            let several: Vec<&Entry> = candidates.iter().map(|index| &entries[*index]).collect();
            let problem = format!("several arrays could be meant: {}", list(&several));
            error(problem, "name one of these with --key")
        }
    }
}

/// The array for messages: name, type and shape.
fn described(entry: &Entry) -> String {
    match entry.shape.as_slice() {
        [] => format!("{} ({})", title(entry), entry.type_name),
        shape => format!("{} ({} {shape:?})", title(entry), entry.type_name),
    }
}

fn title(entry: &Entry) -> String {
    if entry.name.is_empty() { "the array".into() } else { quoted(&entry.name) }
}

/// Positions in `data` of the images with these indices.
fn positions(path: &Path, ids: &[i128], data: &dyn Dataset) -> Result<Vec<usize>> {
    let name = &data.info().name;
    let mut left: HashMap<i128, usize> =
        (0..data.info().len).map(|at| (i128::from(data.id(at)), at)).collect();
    let take = |id: &i128| {
        left.remove(id).ok_or_else(|| {
            let problem = format!("image {id} is not among those of {name}, or comes twice");
            let remedy = "choose the images that the file is about with --first or --every";
            Error::file(path, "ids", problem, remedy)
        })
    };
    ids.iter().map(take).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_come_last_only_where_they_cannot_come_first() {
        assert_eq!(layout(&[9, 3, 4, 5], [3, 4, 5]), Some((9, false)));
        assert_eq!(layout(&[9, 4, 5, 3], [3, 4, 5]), Some((9, true)));
        assert_eq!(layout(&[9, 3, 3, 3], [3, 3, 3]), Some((9, false)));
        assert_eq!(layout(&[9, 4, 5], [1, 4, 5]), Some((9, false)));
        assert_eq!(layout(&[9, 4, 5, 1], [1, 4, 5]), Some((9, true)));
        assert_eq!(layout(&[9, 4, 5], [3, 4, 5]), None);
        assert_eq!(layout(&[9, 5, 4, 3], [3, 4, 5]), None);
        let mut image = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        to_planes(&mut image, 3);
        assert_eq!(image, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }
}
