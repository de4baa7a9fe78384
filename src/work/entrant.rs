//! A network on a board with the results of all kinds of work, as the kinds see it when they make their
//! columns and tables.

use super::outcome::{KindColumn, KindResult, Outcome};
use crate::record::ModelRecord;
use crate::results::{Cell, ImageSet, Proportion};

/// A network on a board.
#[derive(Debug, Clone, PartialEq)]
pub struct Entrant {
    /// The network.
    pub model: ModelRecord,
    /// Images of its row: those of the worst case, or of the board if it has none.
    pub images: usize,
    /// The images of its row; `None` if no attack has finished.
    pub image_set: Option<ImageSet>,
    /// The results of all methods, kind by kind.
    pub outcomes: Vec<Outcome>,
}

impl Entrant {
    /// The results of this type.
    pub fn results<T: KindResult>(&self) -> impl Iterator<Item = &T> {
        self.outcomes.iter().filter_map(Outcome::as_result)
    }

    /// The results of a kind.
    pub(crate) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(move |outcome| outcome.kind == kind)
    }

    /// A number over `images` is not over the images of the row.
    pub(crate) fn elsewhere(&self, images: &ImageSet) -> bool {
        self.image_set.as_ref().map_or(images.count != self.images, |own| own != images)
    }

    /// The highest of the shares over the images of the row; without one, of those over the most images.
    pub(crate) fn best<'b, T>(
        &self,
        shares: impl Iterator<Item = (T, Proportion, Option<&'b ImageSet>)>,
    ) -> Option<(T, Proportion, Option<&'b ImageSet>)> {
        let here = |images: Option<&ImageSet>| !images.is_none_or(|set| self.elsewhere(set));
        shares.max_by(|a, b| {
            (here(a.2), a.1.total).cmp(&(here(b.2), b.1.total)).then(a.1.rate.total_cmp(&b.1.rate))
        })
    }

    /// The finished result that has the highest share in a column of its kind.
    pub fn best_in(&self, column: &KindColumn) -> Option<(&Outcome, Proportion)> {
        let own = self.of_kind(column.kind).filter(|o| o.finished() && o.result.is_in(column));
        let shares = own.filter_map(|outcome| {
            Some((outcome, outcome.result.share(column)?, outcome.result.image_set()))
        });
        self.best(shares).map(|(outcome, share, _)| (outcome, share))
    }

    /// Field of [`Self::best_in`].
    pub(crate) fn cell(&self, column: &KindColumn) -> Cell {
        if let Some((outcome, share)) = self.best_in(column) {
            let other = outcome.result.image_set().is_some_and(|set| self.elsewhere(set));
            return Cell::measured(share, other);
        }
        let mut own = self.of_kind(column.kind).filter(|o| o.result.is_in(column));
        let running = own.find(|outcome| !outcome.finished());
        running.map_or(Cell::Absent, |outcome| {
            let (done, images) = outcome.result.progress();
            Cell::Unfinished(done, images)
        })
    }
}
