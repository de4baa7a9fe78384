//! epsball measures how robust image classifiers are: it attacks them inside an epsilon-ball and
//! certifies how large a ball is safe.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod data;
pub mod error;
pub mod model;
pub mod record;
pub mod report;
pub mod rng;

pub use error::{Error, Result};
