//! One field of a table, as text with what a page knows beyond it.

use super::distinct;
use super::format::{Cell, Marks};

/// One field.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Field {
    pub(crate) text: String,
    /// The share behind the text.
    pub(crate) rate: Option<f64>,
    /// Images of the share.
    pub(crate) total: usize,
    /// Highest of its column.
    pub(crate) best: bool,
    /// Unfinished, over fewer attacks than others, or marked by a safety check.
    pub(crate) warn: bool,
    /// Small, behind the text.
    pub(crate) note: String,
    /// Small, under the text; on pages only.
    pub(crate) about: String,
    /// A small drawing under the text; on pages only.
    pub(crate) drawing: String,
    /// Network and method of the job behind the text, which pages link to.
    pub(crate) job: Option<(String, String)>,
    /// Names and values, in place of a text; on pages only.
    pub(crate) pairs: Vec<(String, String)>,
}

impl Field {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// With a note behind it.
    pub(crate) fn noted(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// Of a job.
    pub(crate) fn of_job(self, model: &str, label: &str) -> Self {
        Self { job: Some((model.to_owned(), label.to_owned())), ..self }
    }

    /// With something small under it.
    pub(crate) fn about(self, about: impl Into<String>) -> Self {
        Self { about: about.into(), ..self }
    }
}

impl From<Cell> for Field {
    fn from(cell: Cell) -> Self {
        Self::with_digits(cell, None)
    }
}

impl Field {
    /// A percentage with so many decimals, by default as many as mean something.
    pub(crate) fn with_digits(cell: Cell, digits: Option<usize>) -> Self {
        Self {
            text: cell.text(digits),
            rate: cell.value().map(|p| p.rate),
            total: cell.value().map_or(0, |p| p.total),
            warn: match cell {
                Cell::Unfinished(..) => true,
                Cell::Value(_, marks) => marks != Marks::default(),
                Cell::Absent => false,
            },
            ..Self::default()
        }
    }
}

/// Marks the highest share of a column, if there is something to be higher than and all are over as many
/// images.
pub(crate) fn mark_best(fields: &mut [&mut Field]) {
    let shares = || fields.iter().filter_map(|f| Some((f.rate?, f.total)));
    let rates = || shares().map(|(rate, _)| rate);
    let best = rates().max_by(f64::total_cmp);
    let worst = rates().min_by(f64::total_cmp);
    let alike = distinct(shares().map(|(_, total)| total)).len() == 1;
    if alike && best != worst {
        fields.iter_mut().for_each(|f| f.best = f.rate.is_some() && f.rate == best);
    }
}
