//! A run folder that grows: what a plan adds to the run that is there already. Models, data, images,
//! attacks, certificates, radii and seeds are added; a job that is there is taken up where it was; what
//! contradicts the folder is refused, because its rows would be about something else.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;

use super::names::distinguish;
use super::plan::Plan;
use super::share::Alone;
use crate::error::{Error, Result};
use crate::record::{
    DataRecord, FORMAT_VERSION, JobRecord, ModelRecord, RunRecord, SessionRecord, Work,
    table_images,
};
use crate::{regular, work};

/// Two ways out of a contradiction.
const WAYS_OUT: &str = "choose another folder with --output, or give it another name in the suite";

/// A job of a plan in a run folder.
#[derive(Debug)]
pub(super) struct Grown {
    /// Its record, with the images that its table has and those that the plan wants.
    pub(super) record: JobRecord,
    /// What is wrong with its table, which therefore stays as it is.
    pub(super) damage: Option<Error>,
}

/// Adds `plan` to the run in `folder`, which is made if it is not there. Returns the jobs of the plan.
///
/// # Errors
/// If the folder cannot be written to, its record was changed, or a model or an image of the plan is
/// another one than that of the same name in the folder.
pub(super) fn grow(plan: &Plan, folder: &Path) -> Result<Vec<Grown>> {
    let _lock = lock(folder)?;
    let mut record = match RunRecord::path(folder).exists() {
        true => RunRecord::read(folder)?,
        false => RunRecord {
            format_version: FORMAT_VERSION,
            name: plan.record.name.clone(),
            sessions: Vec::new(),
            models: Vec::new(),
            data: Vec::new(),
            jobs: Vec::new(),
        },
    };
    let before = record.clone();
    for model in &plan.record.models {
        add_model(&mut record, model, folder)?;
    }
    let (tables, mut damaged) = tables(&record, folder);
    for (data, wanted) in plan.record.data.iter().zip(&plan.images) {
        add_data(&mut record, data, wanted, &tables, folder)?;
    }
    let mut jobs = Vec::with_capacity(plan.jobs.len());
    for (planned, new) in plan.jobs.iter().zip(&plan.record.jobs) {
        let at = match record.jobs.iter().position(|known| known.key == new.key) {
            Some(at) => at,
            None => {
                let mut job = JobRecord { images: 0, ..new.clone() };
                distinguish(&mut job, (&planned.label, &planned.stem), &record.jobs);
                record.jobs.push(job);
                record.jobs.len() - 1
            }
        };
        let job = &mut record.jobs[at];
        if let Some(damage) = damaged.remove(&job.key) {
            jobs.push(Grown { record: job.clone(), damage: Some(damage) });
            continue;
        }
        let more = extend(&mut job.work, &new.work)?;
        let table = folder.join(&job.file);
        // A table that the record does not know of is this job's own, or the job says whose it is.
        let own = || table_images(&table, &job.key).ok();
        let done = tables.get(&job.key).cloned().or_else(own);
        // A table that was deleted is computed again; one that lost rows is damaged.
        if let Some(rows) = done.as_ref().map(Vec::len)
            && job.finished
            && rows < job.images
            && table.exists()
        {
            let damage = Some(cut(&table, rows, job.images));
            jobs.push(Grown { record: job.clone(), damage });
            continue;
        }
        let mut all: BTreeSet<u64> = done.iter().flatten().map(|(idx, _)| *idx).collect();
        match &planned.rows {
            Some(rows) => all.extend(rows),
            None => all.extend(plan.images[planned.data].iter().map(|(idx, _)| *idx)),
        }
        job.images = all.len();
        let whole = done.is_some_and(|done| done.len() == all.len());
        // A row about many images does not show how many there were to be.
        job.finished = whole && (planned.rows.is_none() || (job.finished && !more));
        jobs.push(Grown { record: job.clone(), damage: None });
    }
    let work = jobs.iter().any(|job| job.damage.is_none() && !job.record.finished);
    if work {
        record.sessions.push(plan.session.clone());
    }
    if work || record != before {
        record.write(folder)?;
    }
    Ok(jobs)
}

/// Notes in the folder's record that `jobs` are finished: all of their rows are on the disk.
///
/// # Errors
/// If the record cannot be read or written.
pub(super) fn finish_jobs(folder: &Path, jobs: &[JobRecord]) -> Result<()> {
    let finished: BTreeMap<&str, usize> =
        jobs.iter().map(|job| (job.key.as_str(), job.images)).collect();
    change(folder, |record| {
        let mut changed = false;
        for known in record.jobs.iter_mut().filter(|known| !known.finished) {
            known.finished = finished.get(known.key.as_str()) == Some(&known.images);
            changed |= known.finished;
        }
        changed
    })
}

/// Notes the end of the session in the folder's record.
///
/// # Errors
/// If the record cannot be read or written.
pub(super) fn end_session(folder: &Path, session: &SessionRecord, ended: u64) -> Result<()> {
    change(folder, |record| {
        let own = record.sessions.iter_mut().rev().find(|known| *known == session);
        own.is_some_and(|own| std::mem::replace(&mut own.ended, ended) != ended)
    })
}

/// Changes the folder's record; `change` says whether it has.
fn change(folder: &Path, change: impl FnOnce(&mut RunRecord) -> bool) -> Result<()> {
    let _lock = lock(folder)?;
    let mut record = RunRecord::read(folder)?;
    if change(&mut record) { record.write(folder) } else { Ok(()) }
}

/// Keeps other processes from changing `run.toml` until it is dropped.
struct Guard {
    _lock: std::fs::File,
    _lease: Option<Alone>,
}

fn lock(folder: &Path) -> Result<Guard> {
    std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let path = folder.join(".run.lock");
    regular::check(&path).map_err(Error::io("open", &path))?;
    let file = std::fs::File::create(&path).map_err(Error::io("create", &path))?;
    let lease = match file.lock() {
        Ok(()) => None,
        Err(e) if e.kind() == ErrorKind::Interrupted => return lock(folder),
        // A file system without locks.
        Err(_) => Some(Alone::in_folder(folder)?),
    };
    Ok(Guard { _lock: file, _lease: lease })
}

/// Images (index and digest) of every table that the record knows of, by the key of its job.
type Tables = BTreeMap<String, Vec<(u64, String)>>;

/// The tables that can be read, and what is wrong with the others.
fn tables(record: &RunRecord, folder: &Path) -> (Tables, BTreeMap<String, Error>) {
    let (mut tables, mut damaged) = (Tables::new(), BTreeMap::new());
    for job in &record.jobs {
        match table_images(&folder.join(&job.file), &job.key) {
            Ok(images) => drop(tables.insert(job.key.clone(), images)),
            Err(error) => drop(damaged.insert(job.key.clone(), error)),
        }
    }
    (tables, damaged)
}

fn cut(table: &Path, rows: usize, images: usize) -> Error {
    Error::file(
        table,
        "rows",
        format!("{rows} of the {images} rows that were written are there: the table was cut"),
        "copy the file from a backup, or delete it: the run computes the job again",
    )
}

fn add_model(record: &mut RunRecord, model: &ModelRecord, folder: &Path) -> Result<()> {
    let Some(known) = record.models.iter_mut().find(|known| known.name == model.name) else {
        record.models.push(model.clone());
        return Ok(());
    };
    if known.identity != model.identity {
        return Err(Error::file(
            RunRecord::path(folder),
            format!("model `{}`", model.name),
            format!(
                "its weights or its architecture have changed: it was {}, it is {}",
                start(&known.identity),
                start(&model.identity)
            ),
            WAYS_OUT,
        ));
    }
    let published = model.published.clone().or_else(|| known.published.clone());
    *known = ModelRecord { published, ..model.clone() };
    Ok(())
}

fn add_data(
    record: &mut RunRecord,
    data: &DataRecord,
    wanted: &[(u64, String)],
    tables: &Tables,
    folder: &Path,
) -> Result<()> {
    let now: BTreeMap<u64, &str> = wanted.iter().map(|(idx, image)| (*idx, &**image)).collect();
    for job in record.jobs.iter().filter(|job| job.data == data.name) {
        if !work::of(&job.work)?.by_image() {
            continue;
        }
        for (idx, image) in tables.get(&job.key).into_iter().flatten() {
            if let Some(new) = now.get(idx).filter(|new| *new != image) {
                return Err(Error::file(
                    folder.join(&job.file),
                    format!("image {idx} of {}", data.name),
                    format!("its pixels or its label have changed: it was {image}, it is {new}"),
                    WAYS_OUT,
                ));
            }
        }
    }
    match record.data.iter_mut().find(|known| known.name == data.name) {
        Some(known) if known.shape != data.shape => Err(Error::file(
            RunRecord::path(folder),
            format!("data `{}`", data.name),
            format!("its images were {:?}, they are {:?}", known.shape, data.shape),
            WAYS_OUT,
        )),
        Some(known) => {
            // A part of what is there already says nothing new about the whole.
            if data.images >= known.images {
                *known = data.clone();
            }
            Ok(())
        }
        None => {
            record.data.push(data.clone());
            Ok(())
        }
    }
}

/// Adds the budgets that a report asks of `new` to those of `known`, if rows do not depend on them; else they
/// are the same. Returns whether rows that are there are to be about more images.
fn extend(known: &mut Work, new: &Work) -> Result<bool> {
    known.eps.extend(&new.eps);
    known.eps.sort_by(f64::total_cmp);
    known.eps.dedup();
    Ok(work::of(new)?.extend(known, new))
}

fn start(hash: &str) -> &str {
    hash.get(..16).unwrap_or(hash)
}
