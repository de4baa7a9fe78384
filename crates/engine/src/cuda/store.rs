//! Memory of a GPU that is kept for the next one who wants as much. The driver waits for all work before it
//! takes memory back; and as a GPU's work is done in the order of the calls, there is no need to: who gets
//! a block comes after those who had it.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::{CudaContext, DriverError, result, sys};

use super::gpu::Address;

/// Blocks larger than this and than a 64th of the memory of the GPU go back to the driver: filling one takes far
/// longer than allocating it.
const LARGEST_KEPT: usize = 256 << 20;

/// When more than this and than a 16th of the memory of the GPU is kept, blocks of those sizes are not wanted any
/// more, and all of them go back.
const MOST_KEPT: usize = 1 << 30;

/// The free blocks of a GPU.
pub(super) struct Store {
    context: Arc<CudaContext>,
    /// Bytes of the largest block that is kept, and of all that are.
    limits: [usize; 2],
    kept: Mutex<FreeBlocks>,
}

#[derive(Default)]
struct FreeBlocks {
    /// By size.
    blocks: HashMap<usize, Vec<Address>>,
    bytes: usize,
}

/// Memory of a GPU, given back when dropped.
pub(super) struct Memory {
    address: Address,
    bytes: usize,
    store: Arc<Store>,
}

impl Memory {
    /// Where it begins.
    pub(super) fn at(&self) -> Address {
        self.address
    }

    /// How much it is.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.store.put(self.address, size_of_block(self.bytes));
    }
}

/// How large the block for so many bytes is: similar sizes share blocks, which are an eighth too large at
/// most. When debugging they are as large as asked for, so that what is written behind them is noticed.
fn size_of_block(bytes: usize) -> usize {
    if cfg!(debug_assertions) { bytes.max(1) } else { round(bytes) }
}

fn round(bytes: usize) -> usize {
    let step = (bytes.next_power_of_two() / 16).max(512);
    bytes.max(1).next_multiple_of(step)
}

impl Store {
    /// An empty one for the GPU of `context`, which has `memory` bytes.
    pub(super) fn new(context: Arc<CudaContext>, memory: usize) -> Arc<Self> {
        let limits = [LARGEST_KEPT.max(memory / 64), MOST_KEPT.max(memory / 16)];
        Arc::new(Self { context, limits, kept: Mutex::default() })
    }

    /// Memory for `bytes` bytes, and whether somebody had it before. The caller has bound the context.
    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> Result<(Memory, bool), DriverError> {
        let size = size_of_block(bytes);
        let found = self.with(|kept| {
            let address = kept.blocks.get_mut(&size)?.pop()?;
            kept.bytes -= size;
            Some(address)
        });
        let address = match found {
            Some(address) => address,
            // SAFETY: the callers of `allocate` write before they read.
            None => match unsafe { result::malloc_sync(size) } {
                Err(DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY)) if self.empty() => {
                    // SAFETY: as above.
                    unsafe { result::malloc_sync(size) }?
                }
                other => other?,
            },
        };
        Ok((Memory { address, bytes, store: Arc::clone(self) }, found.is_some()))
    }

    /// Bytes that are there for the next one.
    pub(super) fn bytes(&self) -> usize {
        self.with(|kept| kept.bytes)
    }

    fn put(&self, address: Address, size: usize) {
        let [largest, most] = self.limits;
        if size > largest {
            self.free([address]);
            return;
        }
        let full = self.with(|kept| {
            let full = kept.bytes + size > most;
            let old = if full { std::mem::take(kept) } else { FreeBlocks::default() };
            kept.blocks.entry(size).or_default().push(address);
            kept.bytes += size;
            old
        });
        self.free(full.blocks.into_values().flatten());
    }

    /// Gives everything back to the driver; whether there was something.
    fn empty(&self) -> bool {
        let old = self.with(std::mem::take);
        self.free(old.blocks.into_values().flatten());
        old.bytes > 0
    }

    fn free(&self, addresses: impl IntoIterator<Item = Address>) {
        for (number, address) in addresses.into_iter().enumerate() {
            if number == 0 {
                self.context.record_err(self.context.bind_to_thread());
            }
            // SAFETY: it came from the driver and is nobody's any more; the driver waits for the work that
            // was asked for.
            self.context.record_err(unsafe { result::free_sync(address) });
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut FreeBlocks) -> T) -> T {
        work(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.empty();
    }
}

#[cfg(test)]
mod tests {
    use super::round;

    #[test]
    fn blocks_are_little_larger_than_asked_for() {
        let mut sizes = std::collections::BTreeSet::new();
        for bytes in (0..20_000).chain((20_000..40_000_000).step_by(997)) {
            let size = round(bytes);
            assert!(size >= bytes && size > 0 && size.is_multiple_of(512), "{bytes}: {size}");
            assert!(size - bytes <= (bytes / 8).max(512), "{bytes}: {size}");
            sizes.insert(size);
        }
        assert!(sizes.len() < 150, "{}", sizes.len());
    }
}
