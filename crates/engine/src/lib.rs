//! The engine of epsball: networks that are values, the files they come from, and where they run.
//!
//! From the ground up: [`ops`] computes, [`nn`] holds a network as a program of operations, [`onnx`] and [`zoo`]
//! make programs of files and of published architectures, and [`model`] puts weights into them and answers for
//! them. A batch is [`rows`], in memory or on a GPU; [`loss`] says what an attack climbs, [`rng`] draws numbers
//! that belong to an image. Nothing here knows of attacks or of results. Imports run downwards only.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod device;
pub mod error;
pub mod loss;
pub mod model;
pub mod nn;
pub mod onnx;
pub mod ops;
pub mod rng;
pub mod rows;
pub mod zoo;

// The house's own: public because the floors above are crates of their own, and not for programs of others.
#[doc(hidden)]
pub mod cuda;
#[doc(hidden)]
pub mod digest;
#[doc(hidden)]
pub mod hidden;
#[doc(hidden)]
pub mod hub;
#[doc(hidden)]
pub mod persist;
#[doc(hidden)]
pub mod pickle;
#[doc(hidden)]
pub mod regular;
#[doc(hidden)]
pub mod tensor_header;

pub use error::{Error, Result};
