//! One job by several processes at once. One of them has the job's table, holding its lease, and computes the job
//! piece by piece into it, as a process alone does; the others compute pieces apart, which it takes up. Which piece
//! is whose is said by leases. A table is in the order of the images when the job is finished, so its bytes are
//! those of one process.

mod holder;
mod lease;
mod pieces;
#[cfg(test)]
mod tests;
mod told;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use self::lease::{Before, Lease, Leases};
use self::pieces::{Folder, Piece, cut};
use self::told::{Telling, Told};
use super::marks::Marks;
use super::plan::Plan;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::persist;
use crate::record::{JobRecord, RunRecord, TableLines};
use crate::work::{JobContext, Part, Progress, Silent};

/// This process among those that run a plan in a folder.
pub(super) struct Crew<'a> {
    plan: &'a Plan,
    folder: &'a Path,
    stop: &'a (dyn Fn() -> bool + Sync),
    marks: &'a Marks<'a>,
    leases: Leases,
}

/// A job that is not known to be finished.
pub(super) struct Open {
    /// Number in the plan.
    pub(super) number: usize,
    pub(super) record: JobRecord,
    told: Told,
}

impl Open {
    pub(super) fn new(number: usize, record: JobRecord) -> Self {
        Self { number, record, told: Told::default() }
    }
}

/// What became of a job that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tried {
    /// All that is asked of this process is done.
    Done,
    /// Something was done, and the rest is in the hands of others for now.
    Moved,
    /// Nothing could be done.
    Busy,
}

/// How a turn with a job's table ends.
enum Turn {
    /// Every row of the job is on the disk.
    Whole,
    /// Every row of the share of this process is.
    Share,
    /// Others compute what is left. Whether rows were added.
    Left(bool),
}

impl<'a> Crew<'a> {
    /// # Errors
    /// If leases are to last no time.
    pub(super) fn new(
        plan: &'a Plan,
        folder: &'a Path,
        stop: &'a (dyn Fn() -> bool + Sync),
        marks: &'a Marks<'a>,
    ) -> Result<Self> {
        Ok(Self { plan, folder, stop, marks, leases: Leases::new()? })
    }

    /// Nothing of this job is in the share of this process: a job that cannot be cut is in one share.
    pub(super) fn is_elsewhere(&self, job: &Open) -> bool {
        let other = || self.plan.shard.is_some_and(|shard| !shard.has(&job.record.key));
        self.portion(job.number, &job.record).is_none() && other()
    }

    fn portion(&self, number: usize, record: &JobRecord) -> Option<usize> {
        let request = self.plan.request(number, record, self.folder);
        self.plan.jobs[number].task.portion(&request)
    }

    /// The network of a job, which may have to be read: call it only to compute.
    fn network(&self, number: usize) -> Result<Arc<Network>> {
        self.plan.networks.get(self.plan.jobs[number].model)
    }

    /// Index and digest of the images of a job.
    fn images(&self, number: usize) -> &'a [(u64, String)] {
        &self.plan.images[self.plan.jobs[number].data]
    }

    /// Takes the job's table if no other process has it, and computes into it what no other process computes.
    ///
    /// # Errors
    /// If the network, the data or a file fails; [`Error::Interrupted`] if the caller asked to stop.
    pub(super) fn own(&self, job: &mut Open, progress: &mut dyn Progress) -> Result<Tried> {
        loop {
            let folder = Folder::of(self.folder, &job.record)?;
            let Some(lease) = self.leases.take(&folder.table())? else { return Ok(Tried::Busy) };
            match self.turn(&lease, &folder, job, progress) {
                Err(_) if !(self.stop)() && lease.is_taken() => return Ok(Tried::Busy),
                Err(error) => return Err(error),
                Ok(Turn::Whole) if lease.is_taken() => return Ok(Tried::Busy),
                Ok(Turn::Whole) => {
                    self.marks.add(&job.record)?;
                    folder.remove();
                    return Ok(Tried::Done);
                }
                Ok(Turn::Left(moved)) => {
                    return Ok(if moved { Tried::Moved } else { Tried::Busy });
                }
                Ok(Turn::Share) => {}
            }
            drop(lease);
            // Who left rows here while the lease was held has relied on their being taken up.
            let table = TableLines::read(&self.folder.join(&job.record.file), &job.record.key)?;
            if folder.indices()?.is_subset(&table.indices()) {
                return Ok(Tried::Done);
            }
        }
    }

    fn turn(
        &self,
        lease: &Lease,
        folder: &Folder,
        job: &mut Open,
        progress: &mut dyn Progress,
    ) -> Result<Turn> {
        let Open { number, record, told } = job;
        let (path, task) = (self.folder.join(&record.file), &self.plan.jobs[*number].task);
        if lease.before == Before::Silent {
            detach(&path)?;
        }
        let mut progress = Telling::new(told, progress);
        let stop = || (self.stop)() || lease.is_lost();
        let still = || !lease.is_taken();
        let images = self.images(*number);
        let Some(portion) = self.portion(*number, record) else {
            // Rows of another folder.
            let rows = folder.lines(&folder.whole()?, |_, _| true)?;
            if !rows.lines.is_empty() {
                TableLines::append(&path, &record.key, rows, &still)?;
            }
            let network = self.network(*number)?;
            let context = self.plan.context(*number, &network, record, self.folder, &stop);
            return task.run(&context, &mut progress).map(|()| Turn::Whole);
        };
        let pieces = cut(images, portion, self.plan.shard);
        let digests = digests(images);
        let fits = |idx: u64, image: &str| digests.get(&idx).is_some_and(|known| *known == image);
        let mut moved = false;
        let table = loop {
            let rows = folder.lines(&folder.whole()?, fits)?;
            let table = take_up(&path, &record.key, rows, &still)?;
            progress.job(record, table.lines.len());
            let done = table.indices();
            let mut open = pieces.iter().filter(|piece| !is_done(piece, &done)).peekable();
            if open.peek().is_none() {
                break table;
            }
            let Some((piece, own)) = self.first_free(folder, open)? else {
                return Ok(Turn::Left(moved));
            };
            moved = true;
            // What a holder before began for another table.
            let rows = folder.lines(&folder.begun(piece)?, fits)?;
            let done = take_up(&path, &record.key, rows, &still)?.indices();
            folder.inherit(piece, &path)?;
            let left = piece.images.iter().copied().filter(|idx| !done.contains(idx));
            let left: HashSet<u64> = left.collect();
            if left.is_empty() {
                continue;
            }
            let stop = || stop() || own.is_lost();
            let part = Some(Part { images: &left, apart: false });
            let network = self.network(*number)?;
            let context = self.plan.context(*number, &network, record, self.folder, &stop);
            match task.run(&JobContext { part, ..context }, &mut progress) {
                // The piece was taken by another process.
                Err(Error::Interrupted) if !(self.stop)() && !lease.is_lost() => {}
                ended => ended?,
            }
        };
        if table.lines.len() < record.images {
            sync(&path)?;
            return Ok(Turn::Share);
        }
        if let Some(sorted) = sorted(table, images) {
            if !still() {
                return Err(Error::Interrupted);
            }
            persist::replace(&path, &sorted.bytes())?;
        }
        let network = self.network(*number)?;
        let context = self.plan.context(*number, &network, record, self.folder, &stop);
        task.run(&context, &mut progress).map(|()| Turn::Whole)
    }

    /// Computes one piece of a job whose table another process has.
    ///
    /// # Errors
    /// As [`Self::own`].
    pub(super) fn help(&self, job: &mut Open, progress: &mut dyn Progress) -> Result<Tried> {
        let (record, task) = (&job.record, &self.plan.jobs[job.number].task);
        let Some(portion) = self.portion(job.number, record) else { return Ok(Tried::Busy) };
        let folder = Folder::of(self.folder, record)?;
        let path = self.folder.join(&record.file);
        let done = || -> Result<HashSet<u64>> {
            let table = TableLines::read(&path, &record.key)?.indices();
            Ok(table.into_iter().chain(folder.indices()?).collect())
        };
        let all = self.images(job.number);
        let pieces = cut(all, portion, self.plan.shard);
        let before = done()?;
        let mut open = pieces.iter().filter(|piece| !is_done(piece, &before)).peekable();
        if open.peek().is_none() {
            // With all rows of a share there, the job is up to who has its table.
            let share = self.plan.shard.is_some();
            return Ok(if share { Tried::Done } else { Tried::Busy });
        }
        let Some((piece, lease)) = self.first_free(&folder, open)? else { return Ok(Tried::Busy) };
        let done = done()?;
        let images: HashSet<u64> =
            piece.images.iter().copied().filter(|idx| !done.contains(idx)).collect();
        if images.is_empty() {
            return Ok(Tried::Moved);
        }
        let digests = digests(all);
        let fits = |idx: u64, image: &str| {
            images.contains(&idx) && digests.get(&idx).is_some_and(|known| *known == image)
        };
        let file = folder.own(piece, &self.leases.holder.name);
        let own = self.folder.join(&file);
        let ended = (|| {
            if !own.exists() {
                let rows = folder.lines(&folder.begun(piece)?, fits)?;
                persist::replace(&own, &rows.bytes())?;
            }
            folder.inherit(piece, &own)?;
            let record = JobRecord { file, images: images.len(), ..record.clone() };
            let stop = || (self.stop)() || lease.is_lost();
            let part = Some(Part { images: &images, apart: true });
            let network = self.network(job.number)?;
            let context = self.plan.context(job.number, &network, &record, self.folder, &stop);
            task.run(&JobContext { part, ..context }, &mut Silent)?;
            folder.publish(&own)
        })();
        match ended {
            Ok(()) => progress.helped(record, images.len()),
            // The piece was taken by another process, or the job is finished without it.
            Err(_) if !(self.stop)() && lease.is_taken() => {}
            Err(error) => return Err(error),
        }
        Ok(Tried::Moved)
    }

    /// Leaves rows of other run folders, `from`, with their records, for the job of the same key here. Returns how many
    /// there are.
    ///
    /// # Errors
    /// If a table of them was changed.
    pub(super) fn adopt(&self, job: &Open, from: &[(PathBuf, RunRecord)]) -> Result<usize> {
        let record = &job.record;
        let planned = &self.plan.jobs[job.number];
        let by_image = planned.rows.is_none();
        let digests = digests(self.images(job.number));
        let fits = |idx: u64, image: &str| {
            !by_image || digests.get(&idx).is_some_and(|known| *known == image)
        };
        let mut rows = TableLines::default();
        for (run, there) in from {
            for other in there.jobs.iter().filter(|job| job.key == record.key) {
                let mut lines = TableLines::read(&run.join(&other.file), &record.key)?;
                lines.lines.retain(|line| fits(line.idx, &line.image));
                rows.take_up(lines);
            }
        }
        if !rows.lines.is_empty() {
            Folder::of(self.folder, record)?.put(&rows)?;
        }
        Ok(rows.lines.len())
    }

    /// The first of these pieces that no other process computes, with its lease.
    fn first_free<'p>(
        &self,
        folder: &Folder,
        pieces: impl Iterator<Item = &'p Piece>,
    ) -> Result<Option<(&'p Piece, Lease)>> {
        for piece in pieces {
            if let Some(lease) = self.leases.take(&folder.lease(piece))? {
                return Ok(Some((piece, lease)));
            }
        }
        Ok(None)
    }
}

/// The only process that changes a run folder's record, where the file system has no locks. Until it is dropped,
/// and no longer than a lease lasts.
pub(super) struct Alone {
    // It is given back before those who renew it end.
    _lease: Lease,
    _leases: Leases,
}

impl Alone {
    /// Waits until this process is the only one.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub(super) fn in_folder(folder: &Path) -> Result<Self> {
        let leases = Leases::new()?;
        loop {
            if let Some(lease) = leases.take(&folder.join(".run"))? {
                return Ok(Self { _lease: lease, _leases: leases });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Digests of a job's images by index.
fn digests(images: &[(u64, String)]) -> HashMap<u64, &str> {
    images.iter().map(|(idx, digest)| (*idx, digest.as_str())).collect()
}

fn is_done(piece: &Piece, done: &HashSet<u64>) -> bool {
    piece.images.iter().all(|idx| done.contains(idx))
}

/// Takes rows up into the table at `path`. Returns what it has then.
fn take_up(
    path: &Path,
    key: &str,
    rows: TableLines,
    still: &dyn Fn() -> bool,
) -> Result<TableLines> {
    match rows.lines.is_empty() {
        true => TableLines::read(path, key),
        false => TableLines::append(path, key, rows, still),
    }
}

/// The table in the order of `images`, behind the rows of other images; `None` if it is.
fn sorted(mut table: TableLines, images: &[(u64, String)]) -> Option<TableLines> {
    let places: HashMap<u64, usize> = images.iter().map(|(idx, _)| *idx).zip(1..).collect();
    let place = |idx: &u64| places.get(idx).copied().unwrap_or(0);
    if table.lines.is_sorted_by_key(|line| place(&line.idx)) {
        return None;
    }
    table.lines.sort_by_key(|line| place(&line.idx));
    Some(table)
}

/// Gives the files to which rows of the table at `path` are appended to this process alone: whoever has them open,
/// paused since it was last heard of, writes on into files without a name.
fn detach(path: &Path) -> Result<()> {
    for ending in [None, Some("pending.csv"), Some("adversarial.part")] {
        let file = ending.map_or_else(|| path.to_owned(), |ending| path.with_extension(ending));
        if !file.exists() {
            continue;
        }
        let folder = file.parent().unwrap_or(Path::new("."));
        let mut copy = persist::temporary(folder).map_err(Error::io("write in", folder))?;
        let mut old = crate::regular::open(&file).map_err(Error::io("read", &file))?;
        std::io::copy(&mut old, &mut copy).map_err(Error::io("copy", &file))?;
        copy.persist(&file).map_err(|e| Error::io("replace", &file)(e.error))?;
    }
    Ok(())
}

/// Waits until the rows are on the disk.
fn sync(path: &Path) -> Result<()> {
    match std::fs::File::open(path) {
        // The share has no images.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        opened => {
            let synced = opened.and_then(|file| file.sync_all());
            synced.map_err(Error::io("write", path))?;
            persist::sync_folder(path)
        }
    }
}
