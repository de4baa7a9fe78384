//! The windows of window smoothing along one side of the image, and how many of them a patch can touch.

use crate::error::{Error, Result};

/// Windows of one size along a side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    length: usize,
    size: usize,
    starts: Vec<usize>,
}

impl Windows {
    /// Windows of `size` of `length` pixels that start at 0, `stride`, 2 `stride`, ... With `wrap` they
    /// go on at the other end of the side, as in Levine and Feizi 2020; without it they stay inside.
    ///
    /// # Errors
    /// If the size is not in 1..=length or the stride is 0.
    pub fn new(length: usize, size: usize, stride: usize, wrap: bool) -> Result<Self> {
        if size == 0 || size > length {
            return Err(Error::setting(
                "size",
                format!("a window of {size} pixels does not fit into an image side of {length}"),
                "choose the pixels that an ablated image keeps along the side, such as 4 of 32",
            ));
        }
        if stride == 0 {
            return Err(Error::setting("stride", "0 pixels lead nowhere", "choose 1 or more"));
        }
        let end = if wrap { length } else { length - size + 1 };
        Ok(Self { length, size, starts: (0..end).step_by(stride).collect() })
    }

    /// The one window that is the whole side.
    pub fn whole(length: usize) -> Self {
        Self { length, size: length, starts: vec![0] }
    }

    /// Number of windows.
    pub fn count(&self) -> usize {
        self.starts.len()
    }

    /// Whether window number `window` keeps pixel `at`.
    pub fn keeps(&self, window: usize, at: usize) -> bool {
        let start = self.starts[window];
        (at + self.length - start) % self.length < self.size
    }

    /// Number of windows that keep a pixel of a patch at `at .. at + patch`.
    fn hits(&self, at: usize, patch: usize) -> usize {
        (0..self.count())
            .filter(|window| (at..at + patch).any(|pixel| self.keeps(*window, pixel)))
            .count()
    }

    /// The most windows that a patch of `patch` pixels touches, over all its places: exact, by trying
    /// them. The formula of Salman et al. ("Certified patch robustness via smoothed vision
    /// transformers", CVPR 2022), ceil((patch + size - 1) / stride), is too small where windows wrap
    /// and the stride does not divide the length: the last start and the first are closer together.
    pub fn most_hits(&self, patch: usize) -> usize {
        let places = 0..=self.length.saturating_sub(patch);
        places.map(|at| self.hits(at, patch.min(self.length))).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formula(patch: usize, size: usize, stride: usize) -> usize {
        (patch + size - 1).div_ceil(stride)
    }

    #[test]
    fn the_published_formula_under_counts_where_windows_wrap_unevenly() {
        for (size, stride, exact, published) in
            [(19, 10, 6, 5), (19, 5, 11, 10), (19, 20, 4, 3), (37, 10, 8, 7)]
        {
            let windows = Windows::new(224, size, stride, true).unwrap();
            assert_eq!(windows.most_hits(32), exact, "size {size}, stride {stride}");
            assert_eq!(formula(32, size, stride), published);
        }
    }

    #[test]
    fn the_published_formula_is_right_for_strides_that_divide_the_side() {
        for stride in [1, 8, 16] {
            let windows = Windows::new(224, 19, stride, true).unwrap();
            assert_eq!(windows.most_hits(32), formula(32, 19, stride), "stride {stride}");
        }
        // Levine and Feizi's settings: m + s - 1 of W.
        for (length, size, patch) in [(28, 2, 5), (32, 4, 5), (224, 25, 42)] {
            let windows = Windows::new(length, size, 1, true).unwrap();
            assert_eq!((windows.count(), windows.most_hits(patch)), (length, patch + size - 1));
        }
    }

    #[test]
    fn counts_are_those_of_sets_of_pixels() {
        for (length, wrap) in [(9, true), (9, false), (12, true), (12, false)] {
            for size in 1..=length {
                for stride in 1..=5 {
                    let windows = Windows::new(length, size, stride, wrap).unwrap();
                    let pixels: Vec<Vec<usize>> = windows
                        .starts
                        .iter()
                        .map(|start| (*start..start + size).map(|p| p % length).collect())
                        .collect();
                    assert!(wrap || pixels.iter().all(|p| p.is_sorted()), "{windows:?}");
                    for patch in 1..=length {
                        let hits = |at: usize| {
                            let touched =
                                |p: &&Vec<usize>| p.iter().any(|p| (at..at + patch).contains(p));
                            pixels.iter().filter(touched).count()
                        };
                        let most = (0..=length - patch).map(hits).max().unwrap();
                        assert_eq!(windows.most_hits(patch), most, "{windows:?}, patch {patch}");
                    }
                }
            }
        }
    }

    #[test]
    fn windows_that_do_not_exist_are_refused() {
        for (size, stride, field) in [(0, 1, "size"), (9, 1, "size"), (4, 0, "stride")] {
            let error = Windows::new(8, size, stride, true).unwrap_err();
            assert!(matches!(&error, Error::Setting { field: f, .. } if f == field), "{error}");
        }
        assert_eq!(Windows::whole(8).most_hits(3), 1);
        // A patch larger than the side touches what it can.
        assert_eq!(Windows::new(8, 2, 2, true).unwrap().most_hits(20), 4);
    }
}
