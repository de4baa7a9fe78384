//! epsball measures how robust image classifiers are: it attacks them inside an epsilon-ball and
//! certifies how large a ball is safe.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod attack;
pub mod data;
pub mod error;
pub mod loss;
pub mod model;
pub mod nn;
pub mod ops;
pub mod record;
pub mod rng;
pub mod threat;
pub mod train;
pub mod zoo;

pub use error::{Error, Result};
