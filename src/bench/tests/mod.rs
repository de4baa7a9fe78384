//! Whole runs of each kind of work: what is stopped, grown or set wrongly.

mod certificates;
mod corruptions;
mod counts;
