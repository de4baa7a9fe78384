//! Where a patch may be: the threat model allows every place, and an attack may be told to stay at one, as a sticker on
//! a thing does.

use super::{Patch, Window};
use crate::error::{Error, Result};

/// The places that an attack tries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Place {
    /// All that it wants to.
    #[default]
    Any,
    /// This one.
    At(Window),
}

impl Place {
    /// Every `stride`-th place of `patch` in images of `shape`, `[C, H, W]`, or the one that there is.
    pub fn grid(self, patch: Patch, shape: [usize; 3], stride: usize) -> Vec<Window> {
        match self {
            Self::Any => patch.grid(shape, stride),
            Self::At(window) => vec![window],
        }
    }

    /// Refuses a place at which `patch` does not lie inside images of `shape`, `[C, H, W]`.
    ///
    /// # Errors
    /// If it is one.
    pub fn check(self, patch: Patch, [_, h, w]: [usize; 3]) -> Result<()> {
        let Self::At(Window { top, left }) = self else { return Ok(()) };
        if patch.count > 1 {
            let remedy = "leave place out, or attack with one patch";
            return Err(Error::setting("place", "one place is not for several patches", remedy));
        }
        let fits = |from: usize, size: usize, side: usize| from.saturating_add(size) <= side;
        if fits(top, patch.height, h) && fits(left, patch.width, w) {
            return Ok(());
        }
        Err(Error::setting(
            "place",
            format!("a patch {patch} at `{self}` leaves an image of {h}x{w}"),
            "give the row and the column of its upper left pixel, counted from 0",
        ))
    }
}

impl std::str::FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if text == "any" {
            return Ok(Self::Any);
        }
        let window = text.split_once(',').and_then(|(top, left)| {
            Some(Window { top: top.trim().parse().ok()?, left: left.trim().parse().ok()? })
        });
        window.map(Self::At).ok_or_else(|| "any, or a row and a column such as 4,7".into())
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::At(Window { top, left }) => write!(f, "{top},{left}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_written_and_checked() {
        for text in ["any", "0,0", "4,7"] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
        }
        for text in ["", "4", "4,", "-1,2", "1,2,3", "all"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
        let (patch, shape) = (Patch::rectangle(2, 3), [1, 8, 9]);
        for (place, fits) in [("any", true), ("6,6", true), ("7,6", false), ("6,7", false)] {
            let place = place.parse::<Place>().unwrap();
            assert_eq!(place.check(patch, shape).is_ok(), fits, "{place}");
        }
        let far = Place::At(Window { top: usize::MAX, left: 0 });
        assert!(far.check(patch, shape).unwrap_err().to_string().starts_with("place: "));
        assert_eq!(Place::Any.grid(patch, shape, 2), patch.grid(shape, 2));
        let at = Window { top: 1, left: 2 };
        assert_eq!(Place::At(at).grid(patch, shape, 2), [at]);
    }
}
