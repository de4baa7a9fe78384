//! The size of a patch as papers state it: in pixels, or in percent of the image.

use super::Patch;
use crate::error::{Error, Result};

/// A size that becomes a [`Patch`] once the image is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PatchSize {
    /// Rows and columns: `5x3`, or `5` for a square.
    Pixels(Patch),
    /// `2%`: the smallest square of at least this share of the image's area, in percent.
    Area(f64),
    /// `20%x10%`: at least these shares of the image's height and width, in percent.
    Sides(f64, f64),
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
        let patch = match self {
            Self::Pixels(patch) => patch,
            Self::Area(percent) => {
                let side = up((percent * (h * w) as f64 / 100.0).sqrt());
                Patch { height: side, width: side }
            }
            Self::Sides(rows, columns) => {
                Patch { height: up(rows * h as f64 / 100.0), width: up(columns * w as f64 / 100.0) }
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
        let pixels = |side: &str| side.trim().parse::<usize>().ok().filter(|n| *n > 0);
        let percent = |side: &str| {
            let share = side.trim().strip_suffix('%')?.trim().parse::<f64>().ok()?;
            (share > 0.0 && share <= 100.0).then_some(share)
        };
        let size = match text.split_once('x') {
            None => percent(text).map(Self::Area).or_else(|| {
                pixels(text).map(|side| Self::Pixels(Patch { height: side, width: side }))
            }),
            Some((height, width)) => match (percent(height), percent(width)) {
                (Some(rows), Some(columns)) => Some(Self::Sides(rows, columns)),
                _ => pixels(height)
                    .zip(pixels(width))
                    .map(|(height, width)| Self::Pixels(Patch { height, width })),
            },
        };
        size.ok_or_else(|| {
            Error::setting(
                "patch",
                format!("`{text}` is not a size in pixels or percent"),
                "write HEIGHTxWIDTH such as 5x5, 2% of the area, or 20%x10% of the sides",
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
    fn sizes_that_are_none() {
        for text in ["", "0", "0x3", "5x", "x5", "5x5x5", "-1", "1.5", "0%", "101%", "5%x5", "NaN%"]
        {
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
