//! PatchCleanser (Xiang, Mahloujifar and Mittal, USENIX Security 2022): masks are moved over the image
//! until one hides the patch. Any network will do; those trained with cut-out regions lose least.

use super::{Examination, MaskSet, PatchCertificate, Verdict};
use crate::error::Result;
use crate::loss::argmax;
use crate::threat::Patch;

/// Double masking (algorithm 1) and its certificate (theorem 1: if the network gives the label under
/// every pair of masks, no patch that fits under one mask changes the defended prediction).
#[derive(Debug, Clone)]
pub struct PatchCleanser {
    masks: MaskSet,
    shape: [usize; 3],
    fill: Vec<f32>,
    /// The masks of each copy, `i <= j`: the single masks `(i, i)` first, then the pairs row by row.
    copies: Vec<(usize, usize)>,
}

impl PatchCleanser {
    /// The defence against `patch` in images `shape`, `[C, H, W]`, with at most `k` masks along a side
    /// (6 in the paper: 36 masks, 666 copies). `fill` is the pixel value under a mask for each
    /// channel, in [0, 1]; the paper's is what the normalisation maps to 0. No certificate depends on
    /// it.
    ///
    /// # Errors
    /// If the patch is larger than the image or k is 0.
    pub fn new(patch: Patch, shape: [usize; 3], k: usize, fill: Vec<f32>) -> Result<Self> {
        let masks = MaskSet::new(patch, shape, k)?;
        let count = masks.places.len();
        let pairs = (0..count).flat_map(|i| (i + 1..count).map(move |j| (i, j)));
        let copies = (0..count).map(|i| (i, i)).chain(pairs).collect();
        Ok(Self { masks, shape, fill, copies })
    }

    /// The masks.
    pub fn masks(&self) -> &MaskSet {
        &self.masks
    }

    /// Number of the copy under masks `i` and `j`.
    fn copy(&self, i: usize, j: usize) -> usize {
        let count = self.masks.places.len();
        let (i, j) = (i.min(j), i.max(j));
        // Row i of the pairs is preceded by i rows of count - 1, count - 2, .. pairs.
        if i == j { i } else { count + i * (2 * count - i - 1) / 2 + (j - i - 1) }
    }
}

impl PatchCertificate for PatchCleanser {
    fn copies(&self) -> usize {
        self.copies.len()
    }

    fn apply(&self, copy: usize, image: &[f32], out: &mut [f32]) {
        out.copy_from_slice(image);
        let area = self.shape[1] * self.shape[2];
        let (i, j) = self.copies[copy];
        for mask in [i, j] {
            for (element, _) in self.masks.size.elements(self.masks.places[mask], self.shape) {
                out[element] = self.fill.get(element / area).copied().unwrap_or(0.0);
            }
        }
    }

    fn examine(&self, label: u32, classes: usize) -> Box<dyn Examination + '_> {
        Box::new(DoubleMasking {
            of: self,
            label,
            classes,
            found: vec![None; self.copies.len()],
            stage: Stage::Begin,
            verdict: Verdict::default(),
        })
    }
}

/// One image on its way.
struct DoubleMasking<'a> {
    of: &'a PatchCleanser,
    label: u32,
    classes: usize,
    /// Class of each copy that has been answered.
    found: Vec<Option<u32>>,
    stage: Stage,
    verdict: Verdict,
}

enum Stage {
    Begin,
    /// The single masks have been asked for.
    First,
    /// The masks disagree: the second masks of this disagreer have been asked for, the others wait.
    Disagreer(usize, Vec<usize>),
    /// The masks agree on the label: the pairs up to this copy have been asked for.
    Pairs(usize),
    Done,
}

impl DoubleMasking<'_> {
    fn masks(&self) -> usize {
        self.of.masks.places.len()
    }

    /// After the first round: case I, or who disagrees with the majority.
    fn count_first_round(&mut self) -> Vec<usize> {
        let mut votes = vec![0; self.classes];
        let first = &self.found[..self.masks()];
        for class in first.iter().flatten() {
            if let Some(votes) = votes.get_mut(*class as usize) {
                *votes += 1;
            }
        }
        self.verdict = Verdict::of_votes(&votes);
        let majority = Some(self.verdict.predict);
        let mut disagreers: Vec<usize> =
            (0..first.len()).filter(|mask| first[*mask] != majority).collect();
        if !disagreers.is_empty() {
            disagreers.reverse();
            return self.next_disagreer(disagreers);
        }
        if self.verdict.predict != self.label {
            self.stage = Stage::Done;
            return Vec::new();
        }
        self.next_pairs(self.masks())
    }

    /// Asks for the second masks of the last of `waiting`; without any, the majority stands (case III).
    fn next_disagreer(&mut self, mut waiting: Vec<usize>) -> Vec<usize> {
        let Some(mask) = waiting.pop() else {
            self.stage = Stage::Done;
            return Vec::new();
        };
        let copies = (0..self.masks()).map(|second| self.of.copy(mask, second));
        let asked = copies.filter(|copy| self.found[*copy].is_none()).collect();
        self.stage = Stage::Disagreer(mask, waiting);
        asked
    }

    /// After the second masks of a disagreer: if all of them leave its class, it is the class under the
    /// patch (case II).
    fn judge_disagreer(&mut self, mask: usize, waiting: Vec<usize>) -> Vec<usize> {
        let own = self.found[mask];
        let agrees = |second| self.found[self.of.copy(mask, second)] == own;
        if let (true, Some(class)) = ((0..self.masks()).all(agrees), own) {
            let votes = self.found[..self.masks()].iter().filter(|found| **found == own).count();
            // The majority is now the strongest of the others.
            self.verdict = Verdict {
                predict: class,
                certified: false,
                votes: votes as u64,
                runner_up: self.verdict.votes,
            };
            self.stage = Stage::Done;
            return Vec::new();
        }
        self.next_disagreer(waiting)
    }

    /// Asks for as many pairs as there are masks, from copy number `from` on; the image is certified
    /// when none is left. The number is fixed, so that what an image costs depends on nothing else.
    fn next_pairs(&mut self, from: usize) -> Vec<usize> {
        let to = (from + self.masks()).min(self.found.len());
        if from == to {
            self.verdict.certified = true;
            self.stage = Stage::Done;
        } else {
            self.stage = Stage::Pairs(to);
        }
        (from..to).collect()
    }
}

impl Examination for DoubleMasking<'_> {
    fn ask(&mut self) -> Vec<usize> {
        loop {
            let asked = match std::mem::replace(&mut self.stage, Stage::Done) {
                Stage::Begin => {
                    self.stage = Stage::First;
                    (0..self.masks()).collect()
                }
                Stage::First => self.count_first_round(),
                Stage::Disagreer(mask, waiting) => self.judge_disagreer(mask, waiting),
                // One lost pair loses the certificate; the prediction stands since the first round.
                Stage::Pairs(to) => {
                    let lost = self.found[..to].iter().flatten().any(|class| *class != self.label);
                    if lost { Vec::new() } else { self.next_pairs(to) }
                }
                Stage::Done => Vec::new(),
            };
            // The second masks of a disagreer may all be known from earlier ones.
            if !asked.is_empty() || matches!(self.stage, Stage::Done) {
                return asked;
            }
        }
    }

    fn answer(&mut self, copy: usize, logits: &[f32]) {
        self.found[copy] = Some(argmax(logits) as u32);
    }

    fn verdict(&self) -> Verdict {
        self.verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers by `class(i, j)` until the verdict stands; returns it with the copies asked for.
    fn examine(
        cleanser: &PatchCleanser,
        label: u32,
        class: impl Fn(usize, usize) -> usize,
    ) -> (Verdict, usize) {
        let mut examination = cleanser.examine(label, 3);
        let mut seen = vec![false; cleanser.copies()];
        loop {
            let asked = examination.ask();
            if asked.is_empty() {
                return (examination.verdict(), seen.iter().filter(|seen| **seen).count());
            }
            for copy in asked {
                assert!(!std::mem::replace(&mut seen[copy], true), "copy {copy} asked for twice");
                let (i, j) = cleanser.copies[copy];
                let mut logits = [0.0; 3];
                logits[class(i, j)] = 1.0;
                examination.answer(copy, &logits);
            }
        }
    }

    fn cleanser(k: usize) -> PatchCleanser {
        PatchCleanser::new(Patch::rectangle(5, 5), [1, 16, 16], k, vec![0.5]).unwrap()
    }

    #[test]
    fn a_certificate_costs_666_copies_with_36_masks() {
        for (k, copies) in [(1, 1), (2, 10), (3, 45), (6, 666)] {
            let cleanser = cleanser(k);
            assert_eq!(cleanser.copies(), copies);
            let (verdict, cost) = examine(&cleanser, 2, |_, _| 2);
            let votes = (k * k) as u64;
            assert_eq!(verdict, Verdict { predict: 2, certified: true, votes, runner_up: 0 });
            assert_eq!(cost, copies);
        }
    }

    #[test]
    fn every_pair_has_one_copy() {
        for k in [1, 2, 3, 6] {
            let cleanser = cleanser(k);
            for (copy, (i, j)) in cleanser.copies.iter().enumerate() {
                assert_eq!((cleanser.copy(*i, *j), cleanser.copy(*j, *i)), (copy, copy));
            }
        }
    }

    #[test]
    fn a_lost_pair_ends_the_examination() {
        let cleanser = cleanser(6);
        let (verdict, cost) = examine(&cleanser, 1, |i, j| if (i, j) == (0, 1) { 0 } else { 1 });
        assert_eq!(verdict, Verdict { predict: 1, certified: false, votes: 36, runner_up: 0 });
        assert_eq!(cost, 72);
        // Unanimously wrong: nothing to certify.
        let (verdict, cost) = examine(&cleanser, 1, |_, _| 0);
        assert_eq!((verdict.predict, verdict.certified, cost), (0, false, 36));
        // The last pair of all.
        let (verdict, cost) = examine(&cleanser, 1, |i, j| if (i, j) == (34, 35) { 0 } else { 1 });
        assert_eq!((verdict.certified, cost), (false, 666));
    }

    #[test]
    fn a_disagreer_that_second_masks_confirm_is_right() {
        let cleanser = cleanser(3);
        // Mask 4 hides the patch: with it the class is 1, without it 2.
        let hides = |i: usize, j: usize| if i == 4 || j == 4 { 1 } else { 2 };
        let (verdict, cost) = examine(&cleanser, 1, hides);
        assert_eq!(verdict, Verdict { predict: 1, certified: false, votes: 1, runner_up: 8 });
        assert_eq!(cost, 9 + 8);
    }

    #[test]
    fn a_disagreer_that_second_masks_contradict_is_outvoted() {
        let cleanser = cleanser(3);
        // Masks 4 and 5 hide something that belongs to the object, but not together with mask 0.
        let hides = |i: usize, j: usize| {
            if (i == 4 || i == 5 || j == 4 || j == 5) && i != 0 { 0 } else { 2 }
        };
        let (verdict, cost) = examine(&cleanser, 2, hides);
        assert_eq!(verdict, Verdict { predict: 2, certified: false, votes: 7, runner_up: 2 });
        // Of the second masks of 5, the one with 4 was known.
        assert_eq!(cost, 9 + 8 + 7);
    }

    #[test]
    fn copies_are_hidden_under_their_masks_and_clean_elsewhere() {
        let (patch, shape) = (Patch::rectangle(2, 1), [2, 5, 4]);
        let cleanser = PatchCleanser::new(patch, shape, 2, vec![0.25, 0.75]).unwrap();
        let image: Vec<f32> = (0..40).map(|i| i as f32 / 100.0).collect();
        let masks = cleanser.masks();
        let mut out = vec![0.0; 40];
        for (copy, (i, j)) in cleanser.copies.clone().into_iter().enumerate() {
            cleanser.apply(copy, &image, &mut out);
            let hidden = |element: usize| {
                let (row, column) = (element % 20 / 4, element % 4);
                [i, j].iter().any(|mask| {
                    let at = masks.places[*mask];
                    (at.top..at.top + masks.size.height).contains(&row)
                        && (at.left..at.left + masks.size.width).contains(&column)
                })
            };
            for (element, value) in out.iter().enumerate() {
                let fill = if element < 20 { 0.25 } else { 0.75 };
                let expected = if hidden(element) { fill } else { image[element] };
                assert_eq!(*value, expected, "copy {copy}, element {element}");
            }
        }
    }
}

#[cfg(test)]
mod soundness {
    use super::super::search::{Tiny, certified_and_broken, images, rows};
    use super::*;
    use crate::certify::patch::PatchRow;

    /// Counts over several networks.
    fn searched(
        patch: Patch,
        attacked: Patch,
        shape: [usize; 3],
        k: usize,
        values: &[f32],
    ) -> (usize, usize) {
        let cleanser = PatchCleanser::new(patch, shape, k, vec![0.5; shape[0]]).unwrap();
        let mut sum = (0, 0);
        for seed in 0..6 {
            let network = Tiny::new(seed, shape);
            let images = images(seed, 12, shape);
            let found = certified_and_broken(&network, &cleanser, &images, attacked, values);
            sum = (sum.0 + found.0, sum.1 + found.1);
        }
        sum
    }

    #[test]
    fn no_content_at_any_place_breaks_a_certified_image() {
        for (height, width, shape, k, values) in [
            (1, 1, [1, 4, 4], 2, &[0.0, 0.25, 0.5, 0.75, 1.0][..]),
            (2, 2, [1, 6, 6], 3, &[0.0, 1.0]),
            (1, 3, [1, 5, 7], 3, &[0.0, 1.0]),
            (2, 1, [2, 6, 5], 2, &[0.0, 1.0]),
        ] {
            let patch = Patch::rectangle(height, width);
            let (certified, broken) = searched(patch, patch, shape, k, values);
            assert!((5..72).contains(&certified), "{patch}: {certified} certified test little");
            assert_eq!(broken, 0, "{patch}: of {certified} certified images");
        }
    }

    #[test]
    fn the_search_finds_what_a_certificate_for_a_smaller_patch_misses() {
        let (small, large) = (Patch::rectangle(1, 1), Patch::rectangle(2, 2));
        let (certified, broken) = searched(small, large, [1, 6, 6], 6, &[0.0, 1.0]);
        assert!(broken > 0, "of {certified} certified images");
    }

    #[test]
    fn rows_do_not_depend_on_the_batch_size_or_the_company() {
        let shape = [1, 6, 6];
        let network = Tiny::new(0, shape);
        let images = images(0, 12, shape);
        let labels: Vec<u32> = (0..12).map(|i| i % 3).collect();
        let cleanser = PatchCleanser::new(Patch::rectangle(2, 2), shape, 3, vec![0.5]).unwrap();
        let reference = rows(&network, &cleanser, &images, &labels, 64);
        for batch_size in [1, 7, 1000] {
            assert_eq!(rows(&network, &cleanser, &images, &labels, batch_size), reference);
        }
        let alone = rows(&network, &cleanser, &images[5..6], &labels[5..6], 64);
        assert_eq!(PatchRow { idx: 5, ..alone[0].clone() }, reference[5]);
        assert!(reference.iter().all(|row| (9..=45).contains(&row.forwards)));
    }
}
