//! A network of a user's program as a [`Classifier`]. What it is made of is known to Python alone: an object of
//! `epsball/_models/` that turns arrays into arrays. It is asked by one thread at a time, for a whole batch; the
//! interpreter is taken for a pass and let go behind it.

use std::sync::{Mutex, PoisonError};

use epsball::loss::Loss;
use epsball::model::{Classifier, Evaluation, ModelInfo, Pull, Usage};
use epsball::rows::Rows;
use epsball::{Error, Result};
use pyo3::prelude::*;

use crate::arrays::{from_python, to_python};

/// An object of Python with these methods, whose arrays are f32 in the order of C:
///
/// - `logits(images)`: logits `[N, K]` of images `[N, C, H, W]`;
/// - `linearise(images, once)`: the logits, and a function from a cotangent `[N, K]` to the gradient
///   `[N, C, H, W]` of `sum(logits * cotangent)`, which is called once, if `once` is true, or any number of times.
pub(crate) struct PythonNetwork {
    info: ModelInfo,
    object: Py<PyAny>,
    /// Images at a time that it is asked about: with random numbers of PyTorch an attack has all images at once.
    batch: usize,
    /// What the object raised, until the caller gets it.
    raised: Mutex<Option<PyErr>>,
}

/// What Python computed with and keeps until it is let go: a graph of its autograd, which is not to wait for the
/// next pass.
struct Held(Option<Py<PyAny>>);

impl Drop for Held {
    fn drop(&mut self) {
        let held = self.0.take();
        // Without an interpreter there is nothing left to let go.
        let _ = Python::try_attach(|_| drop(held));
    }
}

impl PythonNetwork {
    pub(crate) fn new(info: ModelInfo, object: Py<PyAny>, batch: usize) -> Self {
        Self { info, object, batch: batch.max(1), raised: Mutex::new(None) }
    }

    /// Keeps an exception for the caller; of several the first.
    pub(crate) fn raised(&self, error: PyErr) {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// There is an exception that the caller has not got yet.
    pub(crate) fn has_raised(&self) -> bool {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The exception, once.
    pub(crate) fn take_raised(&self) -> Option<PyErr> {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What `ask` gets from the object.
    fn ask<T>(&self, ask: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<T>) -> Result<T> {
        Python::attach(|py| ask(self.object.bind(py))).map_err(|error| {
            let problem = error.to_string();
            self.raised(error);
            Error::setting(format!("model {}", self.info.name), problem, "")
        })
    }

    /// Logits of `images`, and what pulls cotangents back to them.
    fn around(&self, images: &Rows, once: bool) -> Result<(Rows, Held)> {
        let (logits, pull) = self.ask(|object| {
            let images = to_python(object.py(), images)?;
            let answer = object.call_method1("linearise", (images, once))?;
            let (logits, pull): (Bound<'_, PyAny>, Py<PyAny>) = answer.extract()?;
            Ok((from_python(&logits)?, Held(Some(pull))))
        })?;
        Ok((self.fitting(images, logits)?, pull))
    }

    fn pull(&self, pull: &Held, cotangent: &Rows, shape: &[usize]) -> Result<Rows> {
        let gradient = self.ask(|object| {
            let py = object.py();
            let pull = pull.0.as_ref().map(|pull| pull.bind(py).clone());
            let pull = pull.unwrap_or_else(|| py.None().into_bound(py));
            from_python(&pull.call1((to_python(py, cotangent)?,))?)
        })?;
        match gradient.shape() == shape {
            true => Ok(gradient),
            false => Err(Error::setting(
                format!("model {}", self.info.name),
                format!("its gradient has shape {:?}, its images {shape:?}", gradient.shape()),
                "return the gradient with respect to the images",
            )),
        }
    }

    /// Logits that are those of as many images and classes.
    fn fitting(&self, images: &Rows, logits: Rows) -> Result<Rows> {
        let expected = [images.len(), self.info.classes];
        match logits.shape() == expected {
            true => Ok(logits),
            false => Err(Error::setting(
                format!("model {}", self.info.name),
                format!("its logits have shape {:?}, not {expected:?}", logits.shape()),
                "return a row of logits for every image of the batch",
            )),
        }
    }
}

impl Classifier for PythonNetwork {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn logits(&self, images: &Rows) -> Result<Rows> {
        let of = |images: &Rows| {
            let logits = self.ask(|object| {
                let images = to_python(object.py(), images)?;
                from_python(&object.call_method1("logits", (images,))?)
            })?;
            self.fitting(images, logits)
        };
        if images.len() <= self.batch {
            return of(images);
        }
        let (all, width) = (images.values()?, images.width());
        let mut shape = images.shape().to_vec();
        let mut logits = Vec::with_capacity(images.len() * self.info.classes);
        for part in all.chunks(self.batch * width.max(1)) {
            shape[0] = part.len() / width.max(1);
            let part = Rows::new(&images.location(), shape.clone(), part.to_vec())?;
            logits.extend_from_slice(&of(&part)?.values()?);
        }
        Rows::new(&images.location(), [images.len(), self.info.classes], logits)
    }

    fn linearise(&self, images: &Rows) -> Result<(Rows, Pull<'_>)> {
        let (logits, pull) = self.around(images, false)?;
        let shape = images.shape().to_vec();
        Ok((logits, Box::new(move |cotangent: &Rows| self.pull(&pull, cotangent, &shape))))
    }

    /// As every network does it, but what Python keeps for the way back is let go as soon as it was used.
    fn evaluate(
        &self,
        images: &Rows,
        loss: Loss,
        labels: &Rows,
        targets: &Rows,
    ) -> Result<Evaluation> {
        let (logits, pull) = self.around(images, true)?;
        let targets = targets.given().map(Rows::to_classes).transpose()?;
        let at = loss.evaluate(&logits.tensor()?, &labels.to_classes()?, targets.as_deref())?;
        let cotangent = Rows::of_tensor(&at.cotangent)?;
        let gradient = self.pull(&pull, &cotangent, images.shape())?;
        Ok(Evaluation { logits, losses: Rows::numbers(&images.location(), at.values)?, gradient })
    }

    /// Python computes a batch with threads of its own.
    fn usage(&self) -> Usage {
        Usage { lanes: 1, ..Usage::default() }
    }
}
