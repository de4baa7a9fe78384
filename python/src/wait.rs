//! Waiting for Rust while Python goes on. Rust computes without the interpreter's lock, so other threads of the
//! program run meanwhile, and Ctrl-C ends what computes before its next pass.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use epsball::{Error, Result};
use pyo3::prelude::*;

use crate::errors::{bug, raise};
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
    let ended = py.detach(|| catch_unwind(AssertUnwindSafe(|| work(&stop))));
    match own.take_raised() {
        Some(raised) => Err(raised),
        None => ended.map_err(|panic| bug(&said(panic.as_ref())))?.map_err(raise),
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
        let thread = scope.spawn(move || {
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
                // The thread is gone without an answer.
                _ => {
                    let panic = thread.join().err();
                    return Err(bug(&panic.map_or_else(String::new, |panic| said(panic.as_ref()))));
                }
            }
        }
    })
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// Panics on a thread of its own, for the tests of this module.
#[cfg(debug_assertions)]
#[pyfunction]
#[allow(clippy::panic)]
pub(crate) fn panics(py: Python<'_>, text: &str) -> PyResult<()> {
    aside(py, |_| panic!("{text}"))
}
