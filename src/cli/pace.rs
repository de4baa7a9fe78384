//! How fast a job is, and how long it may still take. Inside a long batch no image is finished for hours, but passes
//! are made all the time, and how many an image can cost at most is known.

use std::time::Instant;

use crate::attack::passes_made;
use crate::results::format;

/// The course of a job.
pub(super) struct Pace {
    /// When it began, or went on.
    pub(super) since: Instant,
    /// Passes of this process by then, and when an image was finished last.
    began: u64,
    last: u64,
    /// Images finished since then.
    finished: usize,
    /// Images that are not finished.
    left: usize,
    /// Passes that an image costs at most.
    most: Option<f64>,
}

impl Pace {
    pub(super) fn new(left: usize, most: Option<f64>) -> Self {
        let began = passes_made();
        Self { since: Instant::now(), began, last: began, finished: 0, left, most }
    }

    /// Takes note of the number of finished images.
    pub(super) fn finish(&mut self, images: usize) {
        self.finished += images;
        self.left = self.left.saturating_sub(images);
        self.last = passes_made();
    }

    /// The rate and the time that is left, `seconds` after the beginning, when this process has made so many passes:
    /// by finished images, and before there is one by passes.
    pub(super) fn text(&self, made: u64, seconds: f64) -> String {
        let passes = made.saturating_sub(self.began);
        if self.finished > 0 {
            let rate = self.finished as f64 / seconds.max(1e-9);
            return format!(
                "{rate:.1} images/s  eta {}",
                format::duration(self.left as f64 / rate)
            );
        }
        if passes == 0 {
            return String::new();
        }
        let rate = passes as f64 / seconds.max(1e-9);
        let Some(most) = self.most else { return format!("{rate:.0} passes/s") };
        let all = self.left as f64 * most;
        let left = (all - made.saturating_sub(self.last) as f64).max(0.0);
        format!("{rate:.0} passes/s  eta at most {}", format::duration(left / rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_tell_the_pace_until_an_image_is_finished() {
        let (since, most) = (Instant::now(), Some(1000.0));
        let mut pace = Pace { since, began: 50, last: 50, finished: 0, left: 10, most };
        assert_eq!(pace.text(50, 1.0), "");
        // 200 of at most 10,000 passes.
        assert_eq!(pace.text(250, 2.0), "100 passes/s  eta at most 1.63 min");
        let unknown = Pace { most: None, ..pace };
        assert_eq!(unknown.text(250, 2.0), "100 passes/s");
        pace = Pace { since, began: 0, last: 0, finished: 0, left: 10, most };
        pace.finish(4);
        assert_eq!(pace.text(0, 8.0), "0.5 images/s  eta 12.0 s");
    }
}
