//! Working memory of a thread: allocated once, grown when a larger layer comes, lent to one operation
//! at a time.

use std::cell::RefCell;

use super::bf16::Line;

/// Numbers and indices without a meaning between two loans.
#[derive(Debug, Default)]
pub struct Scratch {
    numbers: Vec<f32>,
    indices: Vec<usize>,
    lines: Vec<Line>,
}

impl Scratch {
    /// Lends `numbers` numbers and `indices` indices, of any value.
    pub fn lend(&mut self, numbers: usize, indices: usize) -> (&mut [f32], &mut [usize]) {
        if self.numbers.len() < numbers {
            self.numbers.resize(numbers, 0.0);
        }
        if self.indices.len() < indices {
            self.indices.resize(indices, 0);
        }
        (&mut self.numbers[..numbers], &mut self.indices[..indices])
    }

    /// Lends `lines` lines of numbers in bf16, of any value.
    pub(crate) fn lend_lines(&mut self, lines: usize) -> &mut [Line] {
        if self.lines.len() < lines {
            self.lines.resize(lines, Line::default());
        }
        &mut self.lines[..lines]
    }
}

/// Calls `work` with this thread's memory. Not to be nested.
pub fn with<R>(work: impl FnOnce(&mut Scratch) -> R) -> R {
    thread_local! {
        static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::default());
    }
    SCRATCH.with_borrow_mut(work)
}
