//! How images of any size come to the size that a network takes, under the names that RobustBench gives
//! these steps, and names of the same form for other sizes. Resizing and cropping are torchvision's, so that published accuracies can be repeated.

use std::borrow::Cow;
use std::path::Path;

use super::resize::{Filter, Image};
use crate::error::{Error, Result};

/// Steps from a decoded image to the input of a network.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Preprocessing {
    /// Name in a specification.
    pub(super) name: Cow<'static, str>,
    resize: Resize,
    filter: Filter,
    /// Side of the square cut out of the middle, 0 for none.
    crop: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Resize {
    None,
    /// The shorter side to this length, the other in proportion.
    Shorter(usize),
    /// Both sides to this length.
    Both(usize),
}

/// The longest side that an image is brought to.
const LONGEST: usize = 4096;

/// Those with names of their own; [`find`] knows the form of more.
pub(super) const ALL: &[Preprocessing] = &[
    Preprocessing {
        name: Cow::Borrowed("Res256Crop224"),
        resize: Resize::Shorter(256),
        filter: Filter::Bilinear,
        crop: 224,
    },
    Preprocessing {
        name: Cow::Borrowed("BicubicRes256Crop224"),
        resize: Resize::Shorter(256),
        filter: Filter::Bicubic,
        crop: 224,
    },
    // RobustBench has no name for this one, which it takes from timm's settings of XCiT.
    Preprocessing {
        name: Cow::Borrowed("BicubicRes224Crop224"),
        resize: Resize::Shorter(224),
        filter: Filter::Bicubic,
        crop: 224,
    },
    Preprocessing {
        name: Cow::Borrowed("Res224"),
        resize: Resize::Both(224),
        filter: Filter::Bilinear,
        crop: 0,
    },
    Preprocessing {
        name: Cow::Borrowed("Crop288"),
        resize: Resize::None,
        filter: Filter::Bilinear,
        crop: 288,
    },
];

/// Splits `PATH[,PREPROCESSING]`. A comma inside the name of a path that exists does not separate.
///
/// # Errors
/// If there is no such preprocessing.
pub(super) fn split(spec: &str) -> Result<(&Path, Option<Preprocessing>)> {
    match spec.rsplit_once(',') {
        Some((path, name)) if !Path::new(spec).exists() => Ok((path.as_ref(), Some(find(name)?))),
        _ => Ok((spec.as_ref(), None)),
    }
}

/// The preprocessing of this name.
///
/// # Errors
/// If there is none.
pub(super) fn find(name: &str) -> Result<Preprocessing> {
    let known = ALL.iter().find(|p| p.name == name).cloned();
    known.or_else(|| of_form(name)).ok_or_else(|| {
        let known = ALL.iter().map(|p| p.name.to_string());
        let form = "[Bicubic]Res{N}Crop{M} for other sizes, N at least M".to_owned();
        Error::unknown("preprocessing", name, known.chain([form]))
    })
}

/// `[Bicubic]Res{N}Crop{M}`: the shorter side to N pixels, then M x M pixels in the middle.
fn of_form(name: &str) -> Option<Preprocessing> {
    let (filter, rest) = match name.strip_prefix("Bicubic") {
        Some(rest) => (Filter::Bicubic, rest),
        None => (Filter::Bilinear, name),
    };
    let (side, crop) = rest.strip_prefix("Res")?.split_once("Crop")?;
    let (side, crop) = (side.parse().ok()?, crop.parse().ok()?);
    let fits = (1..=LONGEST).contains(&side) && (1..=side).contains(&crop);
    // Another spelling of the numbers would be another name of the same images.
    let is_usual = rest == format!("Res{side}Crop{crop}");
    let resize = Resize::Shorter(side);
    (fits && is_usual).then(|| Preprocessing { name: name.to_owned().into(), resize, filter, crop })
}

impl Preprocessing {
    /// Both sides of the result.
    pub(super) fn side(&self) -> usize {
        match self.resize {
            Resize::Both(side) => side,
            _ => self.crop,
        }
    }

    /// Width and height after resizing, before the crop.
    pub(super) fn resized(&self, width: usize, height: usize) -> (usize, usize) {
        match self.resize {
            Resize::None => (width, height),
            Resize::Shorter(side) => shorter_to(side, width, height),
            Resize::Both(side) => (side, side),
        }
    }

    /// The input of the network, [`Self::side`] pixels in square.
    pub(super) fn apply(&self, image: Image) -> Image {
        let (width, height) = self.resized(image.width, image.height);
        let resized = image.resize(width, height, self.filter);
        match self.crop {
            0 => resized,
            side => crop(&resized, side),
        }
    }
}

/// Sizes whose shorter one is `side`; the longer one is cut to a whole number.
fn shorter_to(side: usize, width: usize, height: usize) -> (usize, usize) {
    if width <= height { (side, side * height / width) } else { (side * width / height, side) }
}

/// The square in the middle; what lies outside the image is black.
fn crop(image: &Image, side: usize) -> Image {
    let (left, top) = (margin(image.width, side), margin(image.height, side));
    let mut bytes = vec![0; 3 * side * side];
    for (y, row) in bytes.chunks_exact_mut(3 * side).enumerate() {
        for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
            let (x, y) = (x as isize + left, y as isize + top);
            let inside = usize::try_from(x).is_ok_and(|x| x < image.width)
                && usize::try_from(y).is_ok_and(|y| y < image.height);
            if inside {
                let at = 3 * (y as usize * image.width + x as usize);
                pixel.copy_from_slice(&image.bytes[at..at + 3]);
            }
        }
    }
    Image { width: side, height: side, bytes }
}

/// How far from the edge of a line the middle begins; negative if the line is shorter. As torchvision
/// has it, halves go to the even number when something is cut off, and down when something is added.
fn margin(length: usize, side: usize) -> isize {
    if length < side {
        return -(((side - length) / 2) as isize);
    }
    let (half, odd) = ((length - side) / 2, (length - side) % 2);
    (half + odd * (half % 2)) as isize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shorter_side_decides() {
        assert_eq!(shorter_to(256, 500, 375), (341, 256));
        assert_eq!(shorter_to(256, 375, 500), (256, 341));
        assert_eq!(shorter_to(256, 100, 100), (256, 256));
        assert_eq!(shorter_to(224, 3, 1000), (224, 74_666));
    }

    /// `int(round((length - side) / 2))` in Python, which rounds halves to even.
    #[test]
    fn margins() {
        for (length, margin_of) in [(224, 0), (225, 0), (226, 1), (227, 2), (229, 2), (231, 4)] {
            assert_eq!(margin(length, 224), margin_of, "{length}");
        }
        // Black columns before the image; one more behind it when their number is odd.
        assert_eq!((margin(222, 224), margin(221, 224)), (-1, -1));
    }

    #[test]
    fn crops_cut_and_add() {
        let numbered = |width: usize, height: usize| Image {
            width,
            height,
            bytes: (1..=width * height).flat_map(|n| [n as u8; 3]).collect(),
        };
        let first = |image: Image| image.bytes.chunks(3).map(|p| p[0]).collect::<Vec<_>>();
        assert_eq!(first(crop(&numbered(4, 3), 2)), [2, 3, 6, 7]);
        assert_eq!(first(crop(&numbered(1, 5), 3)), [0, 2, 0, 0, 3, 0, 0, 4, 0]);
        assert_eq!(first(crop(&numbered(2, 1), 3)), [0, 0, 0, 1, 2, 0, 0, 0, 0]);
    }

    #[test]
    fn every_name_gives_its_square() {
        for preprocessing in ALL {
            assert_eq!(find(&preprocessing.name).unwrap(), *preprocessing);
            for (width, height) in [(300, 400), (17, 9), (1, 1)] {
                let bytes = vec![77; 3 * width * height];
                let image = preprocessing.apply(Image { width, height, bytes });
                let side = preprocessing.side();
                assert_eq!((image.width, image.height), (side, side));
                assert_eq!(image.bytes.len(), 3 * side * side);
            }
        }
        for name in
            ["Res224Crop256", "Res0224Crop224", "Res224Crop0", "Res9999Crop224", "Res+9Crop9"]
        {
            assert!(find(name).is_err(), "{name}");
        }
        let other = find("BicubicRes235Crop224").unwrap();
        assert_eq!((other.resized(470, 500), other.side()), ((235, 250), 224));
        assert_eq!(other.filter, Filter::Bicubic);
    }
}
