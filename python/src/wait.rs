//! Waiting for Rust while Python goes on. Rust computes without the interpreter's lock, so other threads of the
//! program run meanwhile, and Ctrl-C ends what computes before its next pass.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use epsball::{Error, Result};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::errors::raise;
use crate::network::Network;

/// How often Ctrl-C is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// Whether to stop, which is asked before every pass.
pub(crate) type Stop<'a> = &'a (dyn Fn() -> bool + Sync);

/// Does `work` with `network`. One of Python is asked by the thread that is here, in whose contexts (the device, the
/// gradient mode) the caller has put it; what it raises is raised again.
pub(crate) fn for_network<T: Send>(
    py: Python<'_>,
    network: &Network,
    work: impl FnOnce(Stop<'_>) -> Result<T> + Send,
) -> PyResult<T> {
    let Some(own) = network.python() else { return aside(py, work) };
    let stop = || match Python::attach(|py| py.check_signals()) {
        Ok(()) => own.has_raised(),
        Err(signal) => {
            own.raised(signal);
            true
        }
    };
    let ended = py.detach(|| work(&stop));
    match own.take_raised() {
        Some(raised) => Err(raised),
        None => ended.map_err(raise),
    }
}

/// Does `work` on a thread of its own, while this one listens to Ctrl-C.
pub(crate) fn aside<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(Stop<'_>) -> Result<T> + Send,
) -> PyResult<T> {
    let stopped = AtomicBool::new(false);
    let stop = || stopped.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        let (sender, receiver) = channel();
        let (stop, stopped) = (&stop, &stopped);
        scope.spawn(move || {
            // Nobody listens any more only where the program ends.
            drop(sender.send(work(stop)));
        });
        let mut receiver = Some(receiver);
        let mut signal = None;
        loop {
            let mut listening = receiver.take();
            let heard;
            (listening, heard) = py.detach(move || {
                let heard = listening.as_ref().map(|receiver| receiver.recv_timeout(LOOK));
                (listening, heard)
            });
            receiver = listening;
            match heard {
                Some(Ok(ended)) => {
                    return match (signal, ended) {
                        (Some(signal), Err(Error::Interrupted)) => Err(signal),
                        (_, ended) => ended.map_err(raise),
                    };
                }
                Some(Err(RecvTimeoutError::Timeout)) => {
                    if let Err(error) = py.check_signals() {
                        stopped.store(true, Ordering::Relaxed);
                        signal.get_or_insert(error);
                    }
                }
                _ => {
                    return Err(PyRuntimeError::new_err(
                        "a thread of epsball ended in a panic: please report it",
                    ));
                }
            }
        }
    })
}
