//! The statistics behind certificates and leaderboards, in f64. Special functions come from
//! `statrs`; what is added here is the side on which an answer may err: a bound that carries a
//! guarantee is moved outward by more than the error of the function that it was computed with.
//! One file per noun; a further test or interval is one more file.

pub mod betting;
pub mod binomial;
pub mod bootstrap;
pub mod clopper_pearson;
pub mod holm;
pub mod mcnemar;
pub mod normal;
pub mod rounding;
pub mod wilson;
