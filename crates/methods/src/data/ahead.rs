//! Reading ahead: while one batch is worked on, the next is read and decoded by a thread of its own. The jobs
//! of a run take their batches from here; what they get, and in which order, is what
//! [`Dataset::read`] gives.

use std::sync::mpsc::sync_channel;
use std::thread::Builder;

use super::{Batch, Dataset};
use crate::error::Result;

/// The images of `dataset` at `indices`, `size` at a time (the last batch may be smaller; 0 counts as 1),
/// as an iterator that `work` takes them from; returns what `work` does.
///
/// Two batches are in memory at most: the one that `work` has, and the next. The first error is the last
/// thing that the iterator gives. When `work` returns early, at most the batch being read is still read.
/// A single batch is read where it is wanted, without a thread.
pub fn ahead<T>(
    dataset: &dyn Dataset,
    indices: &[usize],
    size: usize,
    work: impl FnOnce(&mut dyn Iterator<Item = Result<Batch>>) -> T,
) -> T {
    let parts = indices.chunks(size.max(1));
    if parts.len() < 2 {
        return work(&mut parts.map(|part| dataset.read(part)));
    }
    std::thread::scope(|scope| {
        // No room in the channel: the thread holds the batch that comes next until it is taken.
        let (sender, receiver) = sync_channel(0);
        let all = parts.clone();
        let read = move || {
            for part in all {
                let batch = dataset.read(part);
                let failed = batch.is_err();
                // Nobody takes it once `work` has returned.
                if sender.send(batch).is_err() || failed {
                    break;
                }
            }
        };
        match Builder::new().name("reading ahead".into()).spawn_scoped(scope, read) {
            Ok(_) => work(&mut receiver.into_iter()),
            // No thread to be had: slower, and otherwise the same.
            Err(_) => work(&mut parts.map(|part| dataset.read(part))),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread::ThreadId;

    use super::*;
    use crate::data::{self, DataInfo};
    use crate::error::Error;

    /// The digits, which notes what is read by whom and has an image that cannot be read.
    struct Noted {
        digits: Box<dyn Dataset>,
        bad: Option<usize>,
        reads: Mutex<Vec<(usize, ThreadId)>>,
    }

    impl Noted {
        fn new(bad: Option<usize>) -> Self {
            Self { digits: data::open("digits").unwrap(), bad, reads: Mutex::default() }
        }

        fn reads(&self) -> Vec<(usize, ThreadId)> {
            self.reads.lock().unwrap().clone()
        }
    }

    impl Dataset for Noted {
        fn info(&self) -> &DataInfo {
            self.digits.info()
        }

        fn read(&self, indices: &[usize]) -> Result<Batch> {
            self.reads.lock().unwrap().push((indices[0], std::thread::current().id()));
            match self.bad.filter(|bad| indices.contains(bad)) {
                Some(bad) => Err(Error::setting("image", format!("{bad} is bad"), "none")),
                None => self.digits.read(indices),
            }
        }
    }

    fn pixels(batch: &Batch) -> Vec<f32> {
        batch.images.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn the_same_batches_in_the_same_order() {
        let data = Noted::new(None);
        let indices: Vec<usize> = (0..50).map(|i| i * 7 % 360).collect();
        for size in [0, 1, 7, 49, 50, 1000] {
            let batches: Vec<Batch> =
                ahead(&data, &indices, size, |batches| batches.collect::<Result<_>>()).unwrap();
            let expected = indices.chunks(size.max(1)).map(|part| data.digits.read(part).unwrap());
            assert_eq!(batches.len(), expected.len());
            for (batch, expected) in batches.iter().zip(expected) {
                assert_eq!((&batch.ids, &batch.labels), (&expected.ids, &expected.labels));
                assert_eq!(pixels(batch), pixels(&expected));
            }
        }
        assert_eq!(ahead(&data, &[], 3, |batches| batches.count()), 0);
    }

    #[test]
    fn no_more_than_one_batch_ahead_and_a_single_one_without_a_thread() {
        let data = Noted::new(None);
        let indices: Vec<usize> = (0..30).collect();
        ahead(&data, &indices, 3, |batches| {
            for (number, batch) in batches.enumerate() {
                // The thread may have begun the batch after this one, not the one after that.
                std::thread::sleep(std::time::Duration::from_millis(2));
                let begun = data.reads().len();
                assert!((number + 1..=number + 2).contains(&begun), "{begun} at {number}");
                assert_eq!(batch.unwrap().ids.len(), 3);
            }
        });
        let own = std::thread::current().id();
        assert!(data.reads().iter().all(|(_, thread)| *thread != own));
        let data = Noted::new(None);
        ahead(&data, &indices, 30, |batches| batches.for_each(drop));
        assert_eq!(data.reads(), [(0, own)]);
    }

    #[test]
    fn an_error_comes_in_its_turn_and_ends_the_reading() {
        let data = Noted::new(Some(10));
        let indices: Vec<usize> = (0..30).collect();
        let (mut good, mut problems) = (0, Vec::new());
        ahead(&data, &indices, 3, |batches| {
            batches.for_each(|batch| match batch {
                Ok(batch) => good += batch.len(),
                Err(error) => problems.push(error.to_string()),
            });
        });
        assert_eq!((good, problems), (9, vec!["image: 10 is bad".to_owned()]));
        assert_eq!(data.reads().len(), 4);
    }

    #[test]
    fn work_that_ends_early_ends_the_reading() {
        let data = Noted::new(None);
        let indices: Vec<usize> = (0..300).collect();
        let first = ahead(&data, &indices, 3, |batches| batches.next().unwrap().unwrap().len());
        assert_eq!(first, 3);
        assert!(data.reads().len() <= 2, "{}", data.reads().len());
        let work = std::panic::AssertUnwindSafe(|| ahead(&data, &indices, 3, |_| panic!("work")));
        let ended = std::panic::catch_unwind(work);
        assert!(ended.is_err());
    }
}
