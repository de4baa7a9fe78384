//! The engine of epsball: networks that are values, the files they come from, and where they run.
//!
//! From the ground up: [`ops`] computes, [`nn`] holds a network as a program of operations, [`onnx`] and [`zoo`]
//! make programs of files and of published architectures, and [`model`] puts weights into them and answers for
//! them. A batch is [`rows`], in memory or on a GPU; [`loss`] says what an attack climbs, [`rng`] draws numbers
//! that belong to an image. Nothing here knows of attacks or of results. Imports run downwards only.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod cuda;
pub mod device;
pub mod digest;
pub mod error;
pub mod hub;
pub mod loss;
pub mod model;
pub mod nn;
pub mod onnx;
pub mod ops;
pub mod persist;
pub mod pickle;
pub mod rng;
pub mod rows;
pub mod zoo;

pub use error::{Error, Result};
