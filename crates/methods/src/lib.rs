//! What epsball does with a network: attacks and certificates, and what these work on.
//!
//! [`data`] reads images, [`threat`] says what an attack may do to them, [`attack`] searches and [`certify`] proves;
//! [`train`] makes the bundled models. [`stats`] keeps the numbers sound, [`parameters`] are the settings of a method
//! by name, and [`record`] is what a run leaves on disk. The engine below is named by its rooms, as everything here.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod attack;
pub mod certify;
pub mod data;
pub mod parameters;
pub mod record;
pub mod stats;
pub mod threat;
pub mod train;

#[cfg(all(test, feature = "cuda"))]
use epsball_engine::cuda;
pub(crate) use epsball_engine::{
    device, digest, error, hidden, hub, loss, model, nn, onnx, ops, persist, pickle, regular, rng,
    rows, tensor_header, zoo,
};
