//! The size of a patch as papers state it: in pixels, or in percent of the image; and its form.

use std::path::Path;

use super::patch::MOST;
use super::{Mask, Patch};
use crate::error::{Error, Result};

/// A size that becomes a [`Patch`] once the image is known.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum PatchSize {
    /// Rows and columns: `5x3`, or `5` for a square; `circle:5` for a disc of this diameter, `mask:FILE` for what is
    /// white in an image; `2x3x3` for two of `3x3`.
    Pixels(Patch),
    /// `2%`: the smallest square of at least this share of the image's area, in percent.
    Area(f64),
    /// `circle:2%`: the smallest disc of at least this share of the image's area, in percent.
    Disc(f64),
    /// `20%x10%`: at least these shares of the image's height and width, in percent.
    Sides(f64, f64),
}

/// Several patches of one size in pixels: `2x3x3` are two of `3x3`, `2xcircle:5` two discs.
fn several(text: &str) -> Option<Result<PatchSize>> {
    let (count, size) = text.split_once('x')?;
    let count = count.trim().parse().ok().filter(|count| (2..=MOST).contains(count))?;
    if !size.contains(['x', ':']) {
        return None;
    }
    match size.parse() {
        Ok(PatchSize::Pixels(patch)) if patch.count == 1 => {
            Some(Ok(PatchSize::Pixels(patch.times(count))))
        }
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    }
}

impl PatchSize {
    /// The patch in pixels in an image `[C, H, W]`. Shares are rounded up to whole pixels, so that
    /// what is proved of the patch holds for the share.
    ///
    /// # Errors
    /// If the patch is larger than the image.
    pub fn resolve(self, [_, h, w]: [usize; 3]) -> Result<Patch> {
        // A product that is a whole number but for its rounding must not gain a pixel.
        let up = |x: f64| (x * (1.0 - 1e-12)).ceil().max(1.0) as usize;
        let share = |percent: f64| percent * (h * w) as f64 / 100.0;
        let patch = match self {
            Self::Pixels(patch) => patch,
            Self::Area(percent) => {
                let side = up(share(percent).sqrt());
                Patch::rectangle(side, side)
            }
            Self::Disc(percent) => {
                let least = up(share(percent));
                // A disc has more than half the pixels of its square.
                let enough = |diameter: &usize| Patch::circle(*diameter).area() >= least;
                let first = up((least as f64).sqrt());
                Patch::circle((first..).find(enough).unwrap_or(first))
            }
            Self::Sides(rows, columns) => {
                Patch::rectangle(up(rows * h as f64 / 100.0), up(columns * w as f64 / 100.0))
            }
        };
        if patch.height > h || patch.width > w {
            return Err(Error::setting(
                "patch",
                format!("{patch} pixels do not fit into an image of {h}x{w}"),
                "choose a patch that is no larger than the image",
            ));
        }
        Ok(patch)
    }
}

impl std::str::FromStr for PatchSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(file) = text.strip_prefix("mask:") {
            return Ok(Self::Pixels(Patch::mask(Mask::read(Path::new(file))?)));
        }
        if let Some(several) = several(text) {
            return several;
        }
        let pixels = |side: &str| side.trim().parse::<usize>().ok().filter(|n| *n > 0);
        let percent = |side: &str| {
            let share = side.trim().strip_suffix('%')?.trim().parse::<f64>().ok()?;
            (share > 0.0 && share <= 100.0).then_some(share)
        };
        let size = match (text.strip_prefix("circle:"), text.split_once('x')) {
            (Some(diameter), _) => percent(diameter)
                .map(Self::Disc)
                .or_else(|| pixels(diameter).map(|d| Self::Pixels(Patch::circle(d)))),
            (None, None) => percent(text)
                .map(Self::Area)
                .or_else(|| pixels(text).map(|side| Self::Pixels(Patch::rectangle(side, side)))),
            (None, Some((height, width))) => match (percent(height), percent(width)) {
                (Some(rows), Some(columns)) => Some(Self::Sides(rows, columns)),
                _ => pixels(height)
                    .zip(pixels(width))
                    .map(|(height, width)| Self::Pixels(Patch::rectangle(height, width))),
            },
        };
        size.ok_or_else(|| {
            Error::setting(
                "patch",
                format!("`{text}` is not a size in pixels or percent"),
                "write HEIGHTxWIDTH such as 5x5, 2% of the area, 20%x10% of the sides, circle:5 for a disc, \
                 mask:FILE.png, or 2x5x5 for two of 5x5",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str, h: usize, w: usize) -> Result<(usize, usize)> {
        text.parse::<PatchSize>()?.resolve([3, h, w]).map(|patch| (patch.height, patch.width))
    }

    #[test]
    fn sizes_of_papers() {
        // The shares that PatchCleanser's tables name, with their pixels.
        for (text, side) in [("1%", 23), ("2%", 32), ("3%", 39), ("2.4%", 35)] {
            assert_eq!(resolved(text, 224, 224).unwrap(), (side, side), "{text}");
        }
        assert_eq!(resolved("5", 32, 32).unwrap(), (5, 5));
        assert_eq!(resolved("5x3", 32, 32).unwrap(), (5, 3));
        assert_eq!(resolved("20%x10%", 20, 40).unwrap(), (4, 4));
        assert_eq!(resolved("21%x 9 %", 20, 40).unwrap(), (5, 4));
        // Whole numbers gain nothing from rounding up.
        assert_eq!(resolved("2.25%", 20, 20).unwrap(), (3, 3));
        assert_eq!(resolved("100%", 8, 8).unwrap(), (8, 8));
        assert_eq!(resolved("0.01%", 8, 8).unwrap(), (1, 1));
    }

    #[test]
    fn discs_are_given_by_diameter_or_share() {
        let of = |text: &str| text.parse::<PatchSize>().unwrap().resolve([3, 32, 32]);
        assert_eq!(of("circle:5").unwrap(), Patch::circle(5));
        assert_eq!(of("circle: 5").unwrap().to_string(), "circle:5");
        // 2 % of 1024 pixels are 20.48: a disc of 4 pixels has 12, one of 5 has 21.
        assert_eq!(of("circle:2%").unwrap(), Patch::circle(5));
        let error = of("circle:33").unwrap_err().to_string();
        assert_eq!(error, "patch: circle:33 pixels do not fit into an image of 32x32");
        assert!(of("circle:100%").is_err());
        assert_eq!(of("2x3x4").unwrap(), Patch::rectangle(3, 4).times(2));
        assert_eq!(of("4xcircle:5").unwrap().to_string(), "4xcircle:5");
    }

    #[test]
    fn masks_are_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mask.png");
        image::GrayImage::from_raw(3, 1, vec![255, 0, 255]).unwrap().save(&path).unwrap();
        let size = format!("mask:{}", path.display()).parse::<PatchSize>().unwrap();
        let patch = size.resolve([3, 32, 32]).unwrap();
        assert_eq!((patch.height, patch.width, patch.area()), (1, 3, 2));
        assert!(size.resolve([3, 32, 2]).is_err());
        assert!("mask:nowhere.png".parse::<PatchSize>().is_err());
    }

    #[test]
    fn sizes_that_are_none() {
        for text in [
            "",
            "0",
            "0x3",
            "5x",
            "x5",
            "5x5x5",
            "-1",
            "1.5",
            "0%",
            "101%",
            "5%x5",
            "NaN%",
            "circle:",
            "circle:0",
            "circle:5x5",
            "circle:0%",
            "disc:5",
            "1x2x2",
            "5x2x2",
            "2x20%x10%",
            "2x2%",
        ] {
            let error = resolved(text, 32, 32).unwrap_err();
            assert!(error.to_string().starts_with("patch: `"), "{text}: {error}");
            assert!(error.hint().is_some());
        }
        let error = resolved("9x2", 8, 8).unwrap_err().to_string();
        assert_eq!(error, "patch: 9x2 pixels do not fit into an image of 8x8");
        // A square of the whole area does not fit into a rectangle.
        assert!(resolved("100%", 4, 16).is_err());
    }
}
