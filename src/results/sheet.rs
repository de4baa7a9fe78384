//! A table of a report, which Markdown and HTML print each in its way.

use super::field::{Field, mark_best};

/// A table with its title and what its numbers mean.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sheet {
    pub(crate) title: String,
    /// It belongs to the table before it.
    pub(crate) below: bool,
    /// It is on pages only: too wide, or of little use, as plain text.
    pub(crate) page_only: bool,
    /// It is printed below the board on a terminal.
    pub(crate) in_terminal: bool,
    pub(crate) columns: Vec<Head>,
    pub(crate) lines: Vec<Line>,
    /// What the numbers mean, under the table on a page.
    pub(crate) note: String,
    /// The same under a table in Markdown, if its title does not say it.
    pub(crate) short_note: String,
    /// What a page puts behind the note of a field.
    pub(crate) unit: &'static str,
}

/// The head of a column.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    pub(crate) title: String,
    /// Numbers, aligned right.
    pub(crate) right: bool,
    /// It is on pages only.
    pub(crate) page_only: bool,
}

/// A row of a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line {
    pub(crate) fields: Vec<Field>,
    /// It is about a control.
    pub(crate) control: bool,
}

impl Head {
    /// Of words.
    pub(crate) fn text(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// Of numbers.
    pub(crate) fn number(title: impl Into<String>) -> Self {
        Self { title: title.into(), right: true, ..Self::default() }
    }

    /// The same, on pages only.
    pub(crate) fn page_only(self) -> Self {
        Self { page_only: true, ..self }
    }
}

impl Line {
    /// Of these fields.
    pub(crate) fn of(fields: Vec<Field>) -> Self {
        Self { fields, control: false }
    }
}

impl Sheet {
    /// Marks the best share of the column `at`, among the lines that are there now.
    pub(crate) fn mark_best(&mut self, at: usize) {
        let mut fields: Vec<&mut Field> =
            self.lines.iter_mut().filter_map(|line| line.fields.get_mut(at)).collect();
        mark_best(&mut fields);
    }
}
