//! Ctrl-C: the first one lets the batch in flight finish, the second one ends the program.

use std::sync::atomic::{AtomicBool, Ordering};

use super::exit;

static STOP: AtomicBool = AtomicBool::new(false);

/// Starts listening; call once.
pub(super) fn listen() {
    let installed = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            std::process::exit(exit::INTERRUPTED.into());
        }
        eprintln!("\nstopping after this batch; press Ctrl-C again to stop at once");
    });
    if let Err(error) = installed {
        tracing::warn!(%error, "Ctrl-C will stop at once; finished batches are saved anyway");
    }
}

/// Whether the user asked to stop.
pub(super) fn requested() -> bool {
    STOP.load(Ordering::SeqCst)
}
