//! epsball measures how robust image classifiers are: it attacks them inside an epsilon-ball and
//! certifies how large a ball is safe.
//!
//! The rooms, from the ground up: [`ops`] computes, [`nn`] composes layers into networks that are
//! values, [`zoo`] builds published architectures from them and [`model`] reads their weights.
//! [`data`] reads images, [`rng`] draws numbers that belong to an image, [`loss`] says what an attack
//! climbs and [`threat`] what it may do. [`attack`] and [`certify`] are what epsball exists for;
//! [`stats`] keeps their numbers sound. [`record`] is what a run leaves on disk, [`work`] the kinds of work that a
//! job can be, each from its settings to its results; [`mod@bench`] runs suites and [`report`] makes leaderboards of
//! runs. Imports run downwards only.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
// What only the program asks of the rooms below it.
#![cfg_attr(not(feature = "program"), allow(dead_code, unused_imports))]

pub mod attack;
#[cfg(feature = "program")]
pub mod bench;
pub mod certify;
#[cfg(feature = "program")]
pub mod cli;
mod cuda;
pub mod data;
pub mod device;
mod digest;
pub mod error;
mod hub;
pub mod loss;
pub mod model;
pub mod nn;
pub mod onnx;
pub mod ops;
pub mod parameters;
mod persist;
mod pickle;
#[cfg(feature = "program")]
pub mod published;
pub mod record;
#[cfg(feature = "program")]
pub mod report;
#[cfg(feature = "program")]
pub mod results;
pub mod rng;
pub mod rows;
pub mod stats;
pub mod threat;
pub mod train;
#[cfg(feature = "program")]
pub mod verify;
#[cfg(feature = "program")]
pub mod work;
pub mod zoo;

pub use error::{Error, Result};
