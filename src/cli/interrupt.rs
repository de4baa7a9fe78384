//! Ctrl-C: the first one gives up the batch in flight and ends in order, the second one ends at once.

use std::sync::atomic::{AtomicBool, Ordering};

use super::exit;
use super::output::say;
use crate::service;

static STOP: AtomicBool = AtomicBool::new(false);

/// Starts listening; call once.
pub(super) fn listen() {
    service::stop_if(requested);
    let installed = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            std::process::exit(exit::INTERRUPTED.into());
        }
        say("\nstopping; finished batches are saved, and the same command goes on behind them");
    });
    if let Err(error) = installed {
        tracing::warn!(%error, "Ctrl-C will stop at once; finished batches are saved anyway");
    }
}

/// Whether the user asked to stop.
pub(super) fn requested() -> bool {
    STOP.load(Ordering::SeqCst)
}
