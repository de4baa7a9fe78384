//! Whether claims are true: those of a run folder, which are computed again from its files, its models
//! and its data, and those of adversarial images that somebody else made. Nothing here searches.

pub mod foreign;
pub mod run;
