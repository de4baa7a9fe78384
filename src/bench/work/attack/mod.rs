//! Attacks as work: an entry of a suite, the task it becomes, the rows of its table and what lies beside
//! the table.

mod adversarial;
mod checks;
mod entry;
mod rows;
mod stored;
mod task;

pub(in crate::bench) use entry::resolve;
