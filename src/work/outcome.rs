//! What a method did to one network, summed up over its jobs: a result of its kind, and what a board asks of
//! every kind.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use serde::Serialize;

use crate::results::{ImageSet, Proportion};

/// What a board asks of a result, whatever its kind.
pub trait KindResult: Debug + Any + Send + Sync {
    /// Label of the method.
    fn label(&self) -> &str;

    /// Images done, and images of its jobs.
    fn progress(&self) -> (usize, usize);

    /// All images are done.
    fn finished(&self) -> bool {
        let (done, images) = self.progress();
        done >= images
    }

    /// The images that its numbers are over.
    fn image_set(&self) -> Option<&ImageSet>;

    /// Number of images on a board without attacks.
    fn images(&self) -> usize {
        self.progress().1
    }

    /// It has a share in this column of its kind.
    fn is_in(&self, column: &KindColumn) -> bool {
        let _ = column;
        false
    }

    /// Its share in a column that [it is in](Self::is_in); `None` before the first image.
    fn share(&self, column: &KindColumn) -> Option<Proportion> {
        let _ = column;
        None
    }

    /// A lower bound of robust accuracy at every radius; `None` if it is none.
    fn lower_bound(&self) -> Option<LowerBound<'_>> {
        None
    }

    /// Mean effort per image; `None` if it is not counted in passes.
    fn cost(&self) -> Option<Cost> {
        None
    }

    /// All of it, for `summary.json`.
    fn json(&self) -> serde_json::Value;
}

/// A column of a board that a kind adds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KindColumn {
    /// Name of the kind.
    pub kind: &'static str,
    /// `certified L2 0.25`, `certified patch 2x2`, `verified Linf 0.1`.
    pub title: String,
    /// What the column is about before the threat: `certified`, `verified`.
    pub word: &'static str,
    /// Threat model in words.
    pub threat: String,
    /// Radius, if the threat has one.
    pub eps: Option<f64>,
    /// It is a lower bound of robust accuracy of the network itself, not of one behind a defence.
    pub lower_bound: bool,
}

/// What is proven, to be drawn below what attacks leave.
#[derive(Debug, Clone, Copy)]
pub struct LowerBound<'a> {
    /// Norm of the radii.
    pub norm: &'a str,
    /// (radius, share) where the share falls.
    pub curve: &'a [(f64, f64)],
    /// Mean radius.
    pub average_radius: Option<f64>,
    /// It is about another function than the network that is attacked: the smoothed one.
    pub smoothed: bool,
}

/// Mean effort per image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Forward passes.
    pub forwards: f64,
    /// Backward passes.
    pub backwards: f64,
    /// Wall time in seconds. Boards do not say it: they would change with every run.
    #[serde(skip)]
    pub seconds: f64,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.forwards += other.forwards;
        self.backwards += other.backwards;
        self.seconds += other.seconds;
    }
}

/// The result of one method on one network.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Name of the kind.
    pub kind: &'static str,
    /// Number of the method among those of the data set.
    pub(crate) order: usize,
    /// The result; [`Self::as_result`] gives it as its own type.
    pub result: Arc<dyn KindResult>,
}

impl Outcome {
    pub(crate) fn new(kind: &'static str, result: impl KindResult) -> Self {
        Self { kind, order: 0, result: Arc::new(result) }
    }

    /// The result as one of this type; `None` if it is another.
    pub fn as_result<T: KindResult>(&self) -> Option<&T> {
        let any: &dyn Any = self.result.as_ref();
        any.downcast_ref()
    }

    /// All images are done.
    pub fn finished(&self) -> bool {
        self.result.finished()
    }
}

impl PartialEq for Outcome {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.result.json() == other.result.json()
    }
}
