//! PatchCleanser's set of masks (Xiang, Mahloujifar and Mittal, "PatchCleanser: certifiably robust
//! defense against adversarial patches for any image classifier", USENIX Security 2022, section 3.2):
//! few rectangles of which one covers the patch, wherever it is.

use crate::error::{Error, Result};
use crate::threat::{Patch, Window};

/// Rectangles of one size such that every place of a patch lies inside one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskSet {
    /// Size of a mask.
    pub size: Patch,
    /// Places of the masks, row by row.
    pub places: Vec<Window>,
}

impl MaskSet {
    /// The masks for `patch` in an image `[C, H, W]`, at most `k` along each side, so `k * k` in all.
    ///
    /// Along a side of n pixels and for a patch of p (section 3.2, "mask set generation"): stride
    /// s = ceil((n - p + 1) / k), mask m = min(p + s - 1, n), places 0, s, 2 s, .. below n - m, and
    /// n - m.
    ///
    /// # Errors
    /// If the patch is no rectangle, empty or larger than the image, or k is 0.
    pub fn new(patch: Patch, [_, h, w]: [usize; 3], k: usize) -> Result<Self> {
        only_rectangles(patch)?;
        if k == 0 {
            return Err(Error::setting(
                "k",
                "0 masks cover nothing",
                "choose the number of masks along a side, 6 in the paper",
            ));
        }
        let (height, rows) = along(h, patch.height, k)?;
        let (width, columns) = along(w, patch.width, k)?;
        let place = |top: usize| columns.iter().map(move |left| Window { top, left: *left });
        Ok(Self {
            size: Patch::rectangle(height, width),
            places: rows.into_iter().flat_map(place).collect(),
        })
    }
}

/// Refuses a patch of another form: what is proved here is of rectangles, and a window holds the patch.
///
/// # Errors
/// If it is one.
pub(super) fn only_rectangles(patch: Patch) -> Result<()> {
    match patch.is_rectangle() {
        true => Ok(()),
        false => Err(Error::setting(
            "patch",
            format!("certificates are about rectangles, and {patch} is none"),
            format!("certify {}x{}, which holds it", patch.height, patch.width),
        )),
    }
}

/// Size and places of the masks along a side of `n` pixels, for a patch of `p`.
fn along(n: usize, p: usize, k: usize) -> Result<(usize, Vec<usize>)> {
    if p == 0 || p > n {
        return Err(Error::setting(
            "patch",
            format!("a side of {p} pixels does not fit into an image side of {n}"),
            "choose a patch that is no larger than the image",
        ));
    }
    let stride = (n - p + 1).div_ceil(k);
    let mask = (p + stride - 1).min(n);
    let last = n - mask;
    let mut places: Vec<usize> = (0..last).step_by(stride).collect();
    places.push(last);
    Ok((mask, places))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(set: &MaskSet, patch: Patch, at: Window) -> bool {
        set.places.iter().any(|mask| {
            mask.top <= at.top
                && at.top + patch.height <= mask.top + set.size.height
                && mask.left <= at.left
                && at.left + patch.width <= mask.left + set.size.width
        })
    }

    #[test]
    fn a_mask_covers_every_place_of_the_patch() {
        for (h, w) in [(1, 1), (5, 5), (8, 8), (7, 12), (13, 6)] {
            for height in 1..=h {
                for width in 1..=w {
                    for k in 1..=7 {
                        let (patch, shape) = (Patch::rectangle(height, width), [1, h, w]);
                        let set = MaskSet::new(patch, shape, k).unwrap();
                        assert!(set.places.len() <= k * k, "{patch} in {h}x{w}, k={k}");
                        for index in 0..patch.places(shape) {
                            let at = patch.place(index, shape);
                            assert!(covers(&set, patch, at), "{patch} at {at:?}, k={k}: {set:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_patch_one_pixel_larger_is_not_covered() {
        // The masks are no larger than they need to be, unless they reach the whole side.
        let (patch, shape) = (Patch::rectangle(3, 3), [1, 20, 20]);
        let set = MaskSet::new(patch, shape, 4).unwrap();
        let larger = Patch::rectangle(4, 3);
        let exposed = (0..larger.places(shape))
            .any(|index| !covers(&set, larger, larger.place(index, shape)));
        assert!(exposed, "{set:?}");
    }

    #[test]
    fn the_masks_of_the_paper() {
        // 2 % of 224 x 224: stride ceil(193 / 6) = 33, masks of 64, places 0, 33, .. 132 and 160.
        let set = MaskSet::new(Patch::rectangle(32, 32), [3, 224, 224], 6).unwrap();
        assert_eq!((set.size, set.places.len()), (Patch::rectangle(64, 64), 36));
        let tops: Vec<usize> = set.places.iter().step_by(6).map(|place| place.top).collect();
        assert_eq!(tops, [0, 33, 66, 99, 132, 160]);
        let lefts: Vec<usize> = set.places[..6].iter().map(|place| place.left).collect();
        assert_eq!(lefts, tops);
    }

    #[test]
    fn what_cannot_be_covered_is_refused() {
        for (patch, k, field) in [
            (Patch::rectangle(9, 2), 6, "patch"),
            (Patch::rectangle(2, 0), 6, "patch"),
            (Patch::rectangle(2, 2), 0, "k"),
            (Patch::circle(5), 6, "patch"),
        ] {
            let error = MaskSet::new(patch, [1, 8, 8], k).unwrap_err();
            assert!(matches!(&error, Error::Setting { field: f, .. } if f == field), "{error}");
        }
    }
}
