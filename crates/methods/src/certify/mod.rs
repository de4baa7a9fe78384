//! Certificates: how large a ball around an image is provably safe. Randomized smoothing (Cohen,
//! Rosenfeld and Kolter, "Certified adversarial robustness via randomized smoothing", ICML 2019)
//! replaces the network f by g(x), the class that f gives most often to x + noise; how often it does
//! bounds how far x can move before g changes its mind.
//!
//! The way of an image: [`Smoothing`] holds the settings; [`certify_batch`] has the engine ask the
//! [`Sampler`] for the two sets of counts of every image, as many samples as the [`mode`] finds
//! necessary, [`cohen::certify`] turns them into a class and a radius, and each image becomes a
//! [`CertificateRow`] as soon as it is done. A [`Keeper`] has the counts
//! of those that are not. Afterwards [`log`] reads such tables, and those of the paper's own scripts,
//! and [`analysis`] computes certified accuracies from them. [`limits`] says beforehand what settings
//! can reach, and [`audit`](mod@audit) whether a table can be what it claims to be.
//!
//! Beside smoothing, [`bounds`] proves radii for the network itself, without chance. Against patches
//! there are deterministic certificates of their own, in [`patch`].
//!
//! Room for more: a noise family is one file in [`noise`], a way to spend samples one in [`mode`]; a
//! further statistic of tables goes beside [`analysis`].
//!
//! What a certificate by smoothing says: with probability at least 1 - alpha over the noise, *per
//! image*, no perturbation of smaller norm (L2 for Gaussian noise, in pixel units of [0, 1]) changes
//! g. It is about g and not about f, and about real numbers: the rounding of noisy pixels to f32 is
//! accounted for by [`noise::Lattice`] only (Voracek and Hein, "Sound randomized smoothing in
//! floating-point arithmetic", ICLR 2023).

pub mod analysis;
pub mod audit;
mod batch;
mod bound_row;
pub mod bounds;
pub mod cohen;
#[cfg(all(test, feature = "cuda"))]
mod cuda;
mod engine;
pub mod limits;
#[cfg(test)]
mod linear;
pub mod log;
pub mod mode;
pub mod noise;
pub mod patch;
mod row;
mod sampler;
mod settings;
mod time;

pub use batch::{PredictRow, certify_batch, predict_batch};
pub use bound_row::BoundRow;
pub use cohen::ABSTAIN;
pub use engine::{Forget, Keeper, Tally};
pub use row::{CertificateRow, SMOOTHING};
pub use sampler::{Counts, Job, Sampler};
pub use settings::Smoothing;
pub use time::{format_time, parse_time};
