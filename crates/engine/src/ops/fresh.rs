//! Memory for results: written once by the operation that computes them, not zeroed before.

use std::mem::MaybeUninit;

use crate::error::Result;

/// A vector of `len` elements, made by `write`.
///
/// # Errors
/// If `write` fails.
///
/// # Safety
/// `write` has to write every element or to fail.
#[allow(unsafe_code)]
pub(super) unsafe fn vector<T>(
    len: usize,
    write: impl FnOnce(&mut [MaybeUninit<T>]) -> Result<()>,
) -> Result<Vec<T>> {
    let mut values = Vec::with_capacity(len);
    write(&mut values.spare_capacity_mut()[..len])?;
    // SAFETY: `len` elements are reserved, and the caller promises that all of them are written.
    unsafe { values.set_len(len) };
    Ok(values)
}

/// Elements to be overwritten by an operation that fills fresh memory elsewhere.
///
/// # Safety
/// Nothing but elements may be written to it.
#[allow(unsafe_code)]
pub(super) unsafe fn overwrite<T: Copy>(values: &mut [T]) -> &mut [MaybeUninit<T>] {
    // SAFETY: the same memory; the caller promises that it holds elements at any time.
    unsafe { &mut *(std::ptr::from_mut(values) as *mut [MaybeUninit<T>]) }
}

/// The elements, after setting all of them to `value`.
#[allow(unsafe_code)]
pub(super) fn filled<T: Copy>(values: &mut [MaybeUninit<T>], value: T) -> &mut [T] {
    for element in values.iter_mut() {
        element.write(value);
    }
    // SAFETY: the same memory, and every element of it has just been written.
    unsafe { &mut *(std::ptr::from_mut(values) as *mut [T]) }
}
