//! epsball measures how robust image classifiers are: it attacks them inside an epsilon-ball and
//! certifies how large a ball is safe.
//!
//! The house has three floors, a crate each. The engine (`epsball-engine`): [`ops`] computes, [`nn`] composes layers
//! into networks that are values, [`zoo`] and [`onnx`] build networks from names and files and [`model`] reads their
//! weights; [`rng`] draws numbers that belong to an image, [`loss`] says what an attack climbs. The methods
//! (`epsball-methods`): [`data`] reads images, [`threat`] says what an attack may do, [`attack`] and [`certify`] are
//! what epsball exists for, [`stats`] keeps their numbers sound, and [`record`] is what a run leaves on disk. This
//! crate, the program, has [`work`], the kinds of work that a job can be, each from its settings to its results;
//! [`mod@bench`] runs suites and [`report`] makes leaderboards of runs. It hands on the rooms below under their own
//! names. Imports run downwards only.
//!
//! A network of a file, attacked: its robust accuracy is the share of the images that no attack breaks.
//!
//! ```
//! use epsball::attack::{Apgd, Configured, Pgd, Request, attack};
//! use epsball::data;
//! use epsball::model::file::{Declared, load};
//! use epsball::threat::Norm;
//!
//! let model = load("benchmarks/models/digits-standard.safetensors".as_ref(), &Declared::default())?.0;
//! let batch = data::open("digits:test")?.read(&(0..20).collect::<Vec<_>>())?;
//!
//! let (norm, eps) = (Norm::Linf, 0.1);
//! let attacks = [
//!     Configured::of(Pgd { steps: 20, restarts: 2, ..Pgd::new(norm, eps) })?,
//!     Configured::of(Apgd { n_iter: 20, ..Apgd::dlr(norm, eps) })?,
//! ];
//! let mut robust = vec![true; batch.len()];
//! for one in &attacks {
//!     for (robust, outcome) in robust.iter_mut().zip(attack(one, &model, &batch, &Request::default())?) {
//!         *robust &= !outcome.found;
//!     }
//! }
//! println!("{} of {} images are robust", robust.iter().filter(|r| **r).count(), batch.len());
//! # assert!(robust.contains(&true) && robust.contains(&false));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An attack by its name is [`attack::configure`]; a network of your own is a [`model::CandleClassifier`]; a ball
//! that is proven safe is the matter of [`certify::certify_batch`] and [`certify::bounds::bound_batch`], a suite of
//! all of these of [`mod@bench`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[cfg(feature = "program")]
pub mod bench;
#[cfg(feature = "program")]
pub mod cite;
#[cfg(feature = "program")]
pub mod cli;
#[cfg(feature = "program")]
pub mod doctor;
#[cfg(feature = "program")]
pub mod evaluate;
#[cfg(feature = "program")]
pub mod gallery;
#[cfg(feature = "program")]
pub mod network;
#[cfg(feature = "program")]
pub mod published;
#[cfg(feature = "program")]
pub mod report;
#[cfg(feature = "program")]
pub mod results;
#[cfg(feature = "program")]
pub mod service;
#[cfg(feature = "program")]
pub mod sweep;
#[cfg(feature = "program")]
pub mod verify;
#[cfg(feature = "program")]
pub mod work;

pub use epsball_engine::{Error, Result};
#[cfg(feature = "program")]
pub(crate) use epsball_engine::{
    cuda, digest, hidden, hub, persist, pickle, regular, tensor_header,
};
pub use epsball_engine::{device, error, loss, model, nn, onnx, ops, rng, rows, zoo};
pub use epsball_methods::{attack, certify, data, parameters, record, stats, threat, train};
