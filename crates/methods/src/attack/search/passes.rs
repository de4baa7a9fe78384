//! How many passes all attacks of this process have made, for whoever shows how fast they are. No result depends on it.

use std::sync::atomic::{AtomicU64, Ordering};

static MADE: AtomicU64 = AtomicU64::new(0);

/// Adds `each` passes of every one of `images`.
pub(super) fn add(images: usize, each: u64) {
    MADE.fetch_add(images as u64 * each, Ordering::Relaxed);
}

/// Forward and backward passes of single images that attacks of this process have made so far.
pub fn passes_made() -> u64 {
    MADE.load(Ordering::Relaxed)
}
