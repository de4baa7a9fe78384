//! Page-locked memory of the computer, from which and to which a GPU copies at its full speed and without
//! the processor: one buffer for each direction, which grow and are used again and again.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::ptr::copy_nonoverlapping;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::{CudaStream, DriverError, result};

use super::gpu::Address;

/// Bytes of a buffer at first and at most; what is larger is copied in parts.
const SMALLEST: usize = 1 << 20;
const LARGEST: usize = 64 << 20;

/// A part of a large copy to the GPU, at most: while it is under way the next one is put into the buffer.
const PART: usize = LARGEST / 4;

/// The buffers of a GPU.
pub(super) struct Staging {
    stream: Arc<CudaStream>,
    to: Mutex<Buffer>,
    from: Mutex<Buffer>,
}

struct Buffer {
    at: *mut u8,
    bytes: usize,
    /// The bytes before this one may be part of a copy that is under way.
    used: usize,
    /// How many copies there were.
    copies: u64,
    /// The driver gives none: copies go from where the numbers are.
    refused: bool,
}

// SAFETY: page-locked memory belongs to no thread; the lock lets one at a time use it.
unsafe impl Send for Buffer {}

impl Staging {
    /// Buffers for copies on `stream`.
    pub(super) fn new(stream: Arc<CudaStream>) -> Self {
        let none = || {
            Mutex::new(Buffer {
                at: std::ptr::null_mut(),
                bytes: 0,
                used: 0,
                copies: 0,
                refused: false,
            })
        };
        Self { stream, to: none(), from: none() }
    }

    /// Copies `numbers` to the GPU, behind all that was asked for before; they may change at once.
    ///
    /// # Safety
    /// There is room for them at `to`, and the context is bound.
    pub(super) unsafe fn write<T: Copy>(
        &self,
        mut to: Address,
        numbers: &[T],
    ) -> Result<(), DriverError> {
        let mut buffer = lock(&self.to);
        if numbers.is_empty() {
            return Ok(());
        }
        if !buffer.grow(size_of_val(numbers), &self.stream) {
            // SAFETY: by the caller; a copy from pageable memory has read it when the call returns.
            return unsafe { result::memcpy_htod_async(to, numbers, self.stream.cu_stream()) };
        }
        for part in numbers.chunks((PART / size_of::<T>().max(1)).max(1)) {
            let bytes = size_of_val(part);
            if buffer.used + bytes > buffer.bytes {
                self.stream.synchronize()?;
                buffer.used = 0;
            }
            // SAFETY: there are `bytes` bytes behind `used`, which no copy that is under way reads; the
            // caller has room for the part at `to`.
            unsafe {
                let place = buffer.at.add(buffer.used);
                copy_nonoverlapping(part.as_ptr().cast::<u8>(), place, bytes);
                let staged = std::slice::from_raw_parts(place, bytes);
                result::memcpy_htod_async(to, staged, self.stream.cu_stream())?;
            }
            buffer.used += bytes.next_multiple_of(64);
            buffer.copies += 1;
            to += bytes as Address;
        }
        Ok(())
    }

    /// Copies from the GPU, after all that was asked for before.
    ///
    /// # Safety
    /// There are as many numbers at `from`, any bytes are such a number, and the context is bound.
    pub(super) unsafe fn read<T: Copy>(
        &self,
        mut from: Address,
        numbers: &mut [T],
    ) -> Result<(), DriverError> {
        if numbers.is_empty() {
            return self.stream.synchronize();
        }
        let before = lock(&self.to).copies;
        let mut buffer = lock(&self.from);
        if !buffer.grow(size_of_val(numbers), &self.stream) {
            // SAFETY: by the caller; the stream is waited for before `numbers` is read.
            unsafe { result::memcpy_dtoh_async(numbers, from, self.stream.cu_stream()) }?;
            self.stream.synchronize()?;
        } else {
            for part in numbers.chunks_mut((buffer.bytes / size_of::<T>().max(1)).max(1)) {
                let bytes = size_of_val(part);
                // SAFETY: the buffer has room for the part, which the stream has written when it is read,
                // and nobody else uses the buffer.
                unsafe {
                    let staged = std::slice::from_raw_parts_mut(buffer.at, bytes);
                    result::memcpy_dtoh_async(staged, from, self.stream.cu_stream())?;
                    self.stream.synchronize()?;
                    copy_nonoverlapping(buffer.at, part.as_mut_ptr().cast::<u8>(), bytes);
                }
                from += bytes as Address;
            }
        }
        // The stream has done everything, so the other buffer is free, unless somebody has begun a copy.
        let mut other = lock(&self.to);
        if other.copies == before {
            other.used = 0;
        }
        Ok(())
    }
}

fn lock(buffer: &Mutex<Buffer>) -> MutexGuard<'_, Buffer> {
    buffer.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Buffer {
    /// Makes room for a copy of `bytes` bytes or for a part of it; `false` if there is none.
    fn grow(&mut self, bytes: usize, stream: &CudaStream) -> bool {
        let wanted = bytes.next_power_of_two().clamp(SMALLEST, LARGEST);
        if self.refused || wanted <= self.bytes {
            return !self.refused;
        }
        // Copies from the smaller buffer may be under way.
        let made = stream.synchronize().and_then(|()| {
            self.free();
            // SAFETY: written before it is read.
            unsafe { result::malloc_host(wanted, 0) }
        });
        match made {
            Ok(at) => (self.at, self.bytes, self.used) = (at.cast(), wanted, 0),
            Err(error) => {
                tracing::debug!(%error, "no page-locked memory: copies are slower");
                self.refused = true;
            }
        }
        !self.refused
    }

    fn free(&mut self) {
        if !self.at.is_null() {
            // SAFETY: it came from `malloc_host`, and no copy is under way. What it returns cannot be acted
            // upon.
            let _ = unsafe { result::free_host(self.at.cast::<c_void>()) };
            (self.at, self.bytes) = (std::ptr::null_mut(), 0);
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Copies may be under way.
        let _ = self.stream.context().bind_to_thread();
        let _ = self.stream.synchronize();
        for buffer in [&mut self.to, &mut self.from] {
            buffer.get_mut().unwrap_or_else(PoisonError::into_inner).free();
        }
    }
}
