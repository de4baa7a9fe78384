//! What results of every kind of work are made of: which images a number is over, shares with their
//! intervals, fields and tables of text, lines of figures. Kinds of work ([`crate::work`]) fill them in,
//! and boards and pages ([`crate::report`]) print them.

mod coverage;
mod drawing;
mod field;
mod figure;
pub(crate) mod format;
mod image_key;
mod proportion;
mod region;
mod sheet;

pub use coverage::ImageSet;
pub(crate) use coverage::{Images, common, union};
pub(crate) use drawing::{Drawing, number, on_page, printed};
pub use drawing::{Print, PrintFormat};
pub(crate) use field::{Field, mark_best};
pub(crate) use figure::{Figure, Look, Series, file_name, marked, steps};
pub(crate) use format::{Cell, Marks};
pub(crate) use image_key::{ImageKey, keys};
pub use proportion::Proportion;
pub(crate) use region::Region;
pub(crate) use sheet::{Head, Line, Sheet};

/// Every value once, in the order of the first ones.
pub(crate) fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    values.fold(Vec::new(), |mut all, value| {
        if !all.contains(&value) {
            all.push(value);
        }
        all
    })
}
