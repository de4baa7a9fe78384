//! Whole runs of each kind of work: what is stopped, grown or set wrongly.

mod certificates;
mod control;
mod corruptions;
mod counts;
mod patches;
