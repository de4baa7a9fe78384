//! Derandomised smoothing (Levine and Feizi, "(De)randomized smoothing for certifiable defense against
//! patch attacks", NeurIPS 2020): the network classifies every ablated image, of which only a band or
//! a block is visible, and they vote. A patch touches few of the windows, so it changes few votes.

use super::masks::only_rectangles;
use super::windows::Windows;
use super::{Examination, PatchCertificate, Verdict};
use crate::certify::cohen::argmax as argmax_votes;
use crate::error::Result;
use crate::loss::argmax;
use crate::threat::Patch;

/// What an ablated image keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// A band of columns ("band smoothing" in the paper).
    Columns,
    /// A band of rows.
    Rows,
    /// A rectangle.
    Block,
}

/// How the image is ablated.
#[derive(Debug, Clone, PartialEq)]
pub struct Ablation {
    /// What stays.
    pub keep: Keep,
    /// Rows (columns) of a band, side of a block.
    pub size: usize,
    /// Distance between windows, 1 in the paper.
    pub stride: usize,
    /// Windows go on at the opposite end of the image, as in the paper.
    pub wrap: bool,
    /// theta, in (0, 1]: an ablated image votes for every class whose softmax is at least this. `None`:
    /// for its largest logit (Salman et al., CVPR 2022).
    pub threshold: Option<f64>,
    /// Value of the hidden pixels for each channel, in [0, 1].
    pub fill: Vec<f32>,
}

/// See the module's documentation.
#[derive(Debug, Clone)]
pub struct WindowSmoothing {
    shape: [usize; 3],
    rows: Windows,
    columns: Windows,
    threshold: Option<f64>,
    fill: Vec<f32>,
    affected: u64,
}

impl WindowSmoothing {
    /// The defence against `patch` in images `shape`, `[C, H, W]`.
    ///
    /// # Errors
    /// If the patch is no rectangle, a window is empty or larger than the image, or the stride is 0.
    pub fn new(patch: Patch, shape: [usize; 3], ablation: Ablation) -> Result<Self> {
        only_rectangles(patch)?;
        let Ablation { keep, size, stride, wrap, threshold, fill } = ablation;
        let [_, h, w] = shape;
        let windows = |length, banded| match banded {
            true => Windows::new(length, size, stride, wrap),
            false => Ok(Windows::whole(length)),
        };
        let rows = windows(h, keep != Keep::Columns)?;
        let columns = windows(w, keep != Keep::Rows)?;
        // Touching a block means touching its rows and its columns, and the patch's place along one
        // side is free of its place along the other.
        let affected = (rows.most_hits(patch.height) * columns.most_hits(patch.width)) as u64;
        Ok(Self { shape, rows, columns, threshold, fill, affected })
    }

    /// Delta, the most windows that a patch can touch.
    pub fn affected(&self) -> u64 {
        self.affected
    }

    /// Classes that an ablated image with these logits votes for.
    fn votes(&self, logits: &[f32]) -> Vec<usize> {
        let first = argmax(logits);
        let Some(threshold) = self.threshold else { return vec![first] };
        let largest = f64::from(logits[first]);
        let weights: Vec<f64> = logits
            .iter()
            .map(|z| if f64::from(*z) == largest { 1.0 } else { (f64::from(*z) - largest).exp() })
            .collect();
        let sum: f64 = weights.iter().sum();
        (0..weights.len()).filter(|class| weights[*class] / sum >= threshold).collect()
    }
}

/// Whether no patch that touches `affected` windows changes the class with the most of `votes` (ties go
/// to the lowest class): each window may lose a vote for it and gain one for another (theorem 1), so
/// it has to lead class c by more than twice `affected`, or by exactly as much and come before c.
pub fn unchangeable(votes: &[u64], affected: u64) -> bool {
    let first = argmax_votes(votes);
    let Some(most) = votes.get(first) else { return false };
    votes.iter().enumerate().filter(|(class, _)| *class != first).all(|(class, other)| {
        let (lead, needed) = (most - other, 2 * affected);
        lead > needed || (lead == needed && first < class)
    })
}

impl PatchCertificate for WindowSmoothing {
    fn copies(&self) -> usize {
        self.rows.count() * self.columns.count()
    }

    fn apply(&self, copy: usize, image: &[f32], out: &mut [f32]) {
        let [_, h, w] = self.shape;
        let (row_window, column_window) =
            (copy / self.columns.count(), copy % self.columns.count());
        let columns: Vec<bool> = (0..w).map(|x| self.columns.keeps(column_window, x)).collect();
        for (line, (out, image)) in out.chunks_exact_mut(w).zip(image.chunks_exact(w)).enumerate() {
            let fill = self.fill.get(line / h).copied().unwrap_or(0.0);
            let row = self.rows.keeps(row_window, line % h);
            for ((out, x), column) in out.iter_mut().zip(image).zip(&columns) {
                *out = if row && *column { *x } else { fill };
            }
        }
    }

    fn examine(&self, label: u32, classes: usize) -> Box<dyn Examination + '_> {
        Box::new(Count { of: self, label, votes: vec![0; classes], asked: false })
    }
}

/// The votes about one image.
struct Count<'a> {
    of: &'a WindowSmoothing,
    label: u32,
    votes: Vec<u64>,
    asked: bool,
}

impl Examination for Count<'_> {
    fn ask(&mut self) -> Vec<usize> {
        if std::mem::replace(&mut self.asked, true) {
            return Vec::new();
        }
        (0..self.of.copies()).collect()
    }

    fn answer(&mut self, _: usize, logits: &[f32]) {
        for class in self.of.votes(logits) {
            self.votes[class] += 1;
        }
    }

    fn verdict(&self) -> Verdict {
        let verdict = Verdict::of_votes(&self.votes);
        let certified =
            verdict.predict == self.label && unchangeable(&self.votes, self.of.affected);
        Verdict { certified, ..verdict }
    }
}

#[cfg(test)]
mod tests {

    use super::super::search::{Tiny, certified_and_broken, images, rows};
    use super::*;
    use crate::model::{Classifier, ModelInfo, Pull};
    use crate::rows::Rows;

    fn ablation(keep: Keep, size: usize) -> Ablation {
        Ablation { keep, size, stride: 1, wrap: true, threshold: None, fill: vec![0.5] }
    }

    /// The numbers of the test of ART's `DeRandomizedSmoothing.certify`.
    #[test]
    fn certified_as_by_the_adversarial_robustness_toolbox() {
        let patch = Patch::rectangle(4, 4);
        let smoothing =
            WindowSmoothing::new(patch, [1, 28, 28], ablation(Keep::Columns, 4)).unwrap();
        assert_eq!(smoothing.affected(), 7);
        let found = [[20, 5, 1], [10, 5, 1], [1, 16, 1]]
            .map(|votes| unchangeable(&votes, smoothing.affected()));
        assert_eq!(found, [true, false, true]);
    }

    #[test]
    fn a_lead_of_twice_the_windows_is_enough_for_the_lower_class_only() {
        assert!(unchangeable(&[14, 0], 7));
        assert!(!unchangeable(&[0, 14], 7));
        assert!(unchangeable(&[0, 15], 7));
        // The runner-up that comes first decides, not the first runner-up.
        assert!(!unchangeable(&[6, 20, 6], 7));
        assert!(unchangeable(&[5, 20, 6], 7));
        assert!(!unchangeable(&[], 0));
        assert!(!unchangeable(&[0, 0], 1));
    }

    #[test]
    fn copies_keep_their_window_and_nothing_else() {
        let image: Vec<f32> = (1..=40).map(|i| i as f32 / 100.0).collect();
        for keep in [Keep::Columns, Keep::Rows, Keep::Block] {
            let settings = Ablation { fill: vec![0.0, 0.9], ..ablation(keep, 3) };
            let patch = Patch::rectangle(1, 1);
            let smoothing = WindowSmoothing::new(patch, [2, 5, 4], settings).unwrap();
            let expected = match keep {
                Keep::Columns => 4,
                Keep::Rows => 5,
                Keep::Block => 20,
            };
            assert_eq!(smoothing.copies(), expected);
            let mut out = vec![0.0; 40];
            for copy in 0..smoothing.copies() {
                smoothing.apply(copy, &image, &mut out);
                let (top, left) = match keep {
                    Keep::Columns => (0, copy),
                    Keep::Rows => (copy, 0),
                    Keep::Block => (copy / 4, copy % 4),
                };
                let (rows, columns) = match keep {
                    Keep::Columns => (5, 3),
                    Keep::Rows => (3, 4),
                    Keep::Block => (3, 3),
                };
                for (element, value) in out.iter().enumerate() {
                    let (row, column) = (element % 20 / 4, element % 4);
                    let kept = (row + 5 - top) % 5 < rows && (column + 4 - left) % 4 < columns;
                    let fill = if element < 20 { 0.0 } else { 0.9 };
                    assert_eq!(*value, if kept { image[element] } else { fill }, "{keep:?} {copy}");
                }
            }
        }
    }

    #[test]
    fn classes_above_the_threshold_get_a_vote() {
        let patch = Patch::rectangle(1, 1);
        let with = |threshold| {
            let settings = Ablation { threshold, ..ablation(Keep::Columns, 1) };
            WindowSmoothing::new(patch, [1, 4, 4], settings).unwrap()
        };
        // Softmax 0.4, 0.2, 0.4 to rounding.
        let logits = [2f32.ln(), 0.0, 2f32.ln()];
        assert_eq!(with(None).votes(&logits), [0]);
        assert_eq!(with(Some(0.3)).votes(&logits), [0, 2]);
        assert_eq!(with(Some(0.1)).votes(&logits), [0, 1, 2]);
        assert!(with(Some(0.5)).votes(&logits).is_empty());
        // Infinite logits are no reason for a NaN.
        assert_eq!(with(Some(0.4)).votes(&[f32::INFINITY, 0.0, 1.0]), [0]);
    }

    #[test]
    fn no_content_at_any_place_breaks_a_certified_image() {
        let cases = [
            (Keep::Columns, 2, 1, true, None, [1, 5, 12], (2, 2)),
            (Keep::Columns, 2, 3, true, None, [1, 4, 13], (3, 1)),
            (Keep::Columns, 3, 1, false, Some(0.4), [1, 4, 14], (1, 2)),
            (Keep::Rows, 2, 1, true, Some(0.3), [1, 12, 5], (2, 2)),
            (Keep::Block, 3, 1, true, None, [1, 8, 8], (1, 1)),
            (Keep::Block, 2, 2, true, None, [1, 9, 9], (2, 1)),
        ];
        for (keep, size, stride, wrap, threshold, shape, (height, width)) in cases {
            let settings = Ablation { keep, size, stride, wrap, threshold, fill: vec![0.5] };
            let patch = Patch::rectangle(height, width);
            let smoothing = WindowSmoothing::new(patch, shape, settings).unwrap();
            let mut sum = (0, 0);
            for seed in 0..4 {
                let network = Tiny::new(seed, shape);
                let images = images(seed, 10, shape);
                let found = certified_and_broken(&network, &smoothing, &images, patch, &[0.0, 1.0]);
                sum = (sum.0 + found.0, sum.1 + found.1);
            }
            assert!(sum.0 >= 4, "{keep:?} {size} {stride}: {} certified test little", sum.0);
            assert_eq!(sum.1, 0, "{keep:?} {size} {stride}: of {} certified", sum.0);
        }
    }

    /// Class 0 if a visible pixel is bright, else class 1.
    struct Bright(ModelInfo);

    impl Classifier for Bright {
        fn info(&self) -> &ModelInfo {
            &self.0
        }

        fn logits(&self, images: &Rows) -> Result<Rows> {
            let logits: Vec<f32> = images
                .values()?
                .chunks_exact(images.width())
                .flat_map(|row| if row.contains(&1.0) { [1.0, 0.0] } else { [0.0, 1.0] })
                .collect();
            Rows::new(&images.location(), [images.len(), 2], logits)
        }

        fn linearise(&self, _: &Rows) -> Result<(Rows, Pull<'_>)> {
            Err(candle_core::Error::Msg("certificates need no gradients".into()).into())
        }
    }

    /// The published count of affected windows certifies an image that a patch breaks; the exact
    /// count does not.
    #[test]
    fn the_published_formula_certifies_what_a_patch_breaks() {
        let shape = [1, 1, 22];
        let network = Bright(ModelInfo::new("bright", shape, 2));
        // Windows of 3 at 0, 3, .. 21: the last goes on at the first two columns.
        let patch = Patch::rectangle(1, 3);
        let settings = Ablation { stride: 3, ..ablation(Keep::Columns, 3) };
        let smoothing = WindowSmoothing::new(patch, shape, settings).unwrap();
        let published = (3u64 + 3 - 1).div_ceil(3);
        assert_eq!((published, smoothing.affected()), (2, 3));
        let mut image = vec![0.0; 22];
        image[10] = 1.0;
        let mut attacked = image.clone();
        attacked[1..4].fill(1.0);
        let found = rows(&network, &smoothing, &[image, attacked], &[1, 1], 8);
        let votes = |row: usize| (found[row].predict, found[row].votes, found[row].runner_up);
        assert_eq!((votes(0), votes(1)), ((1, 7, 1), (0, 4, 4)));
        assert!(unchangeable(&[1, 7], published), "what the formula claims");
        assert_eq!((found[0].certified, found[1].certified), (0, 0));
    }
}
