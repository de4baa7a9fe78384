//! Leases: who does what in a run folder that several processes share, without a server and without locks, which
//! network file systems may not have.
//!
//! A lease is a file `NAME.lease.N` that is created exclusively, by a link, and says who holds it. Its holder
//! rewrites a stamp in it. Who wants it and has seen one stamp for as long as a lease lasts, on its own clock,
//! creates `NAME.lease.N+1`, which only one can: the highest number holds. Clocks of two machines are never
//! compared, and nothing is removed, so a holder that was paused finds its successor and gives up.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::holder::Holder;
use crate::error::{Error, Result};

/// How long a lease lasts that is not renewed.
const LASTS: Duration = Duration::from_secs(60);

/// Overrides [`LASTS`], in seconds.
const LASTS_VARIABLE: &str = "EPSBALL_LEASE_SECONDS";

/// Renewals in the time that a lease lasts.
const RENEWALS: u32 = 6;

/// A lease is held.
const HELD: &str = "held";

/// A lease was given back.
const FREE: &str = "free";

/// The leases of this process in a run folder, and what it has seen of those of others.
pub(super) struct Leases {
    pub(super) holder: Holder,
    lasts: Duration,
    /// What the lease files of others said, and since when on the clock of this process.
    seen: Mutex<HashMap<PathBuf, (String, Instant)>>,
    shared: Arc<Shared>,
    renewer: Option<JoinHandle<()>>,
}

/// What the thread that renews leases shares with those who hold them.
struct Shared {
    held: Mutex<Vec<Arc<Held>>>,
    ended: Mutex<bool>,
    end: Condvar,
}

/// A lease that is held here.
struct Held {
    /// The file.
    path: PathBuf,
    /// The file of a successor.
    next: PathBuf,
    /// Who holds it, as the file says it.
    text: String,
    /// The file, whatever became of its name.
    file: Mutex<File>,
    begun: Instant,
    /// Milliseconds after `begun` at which it was last renewed.
    renewed: AtomicU64,
    stamp: AtomicU64,
    lost: AtomicBool,
    lasts: Duration,
}

/// What became of the holder before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// There was none, it gave the lease back, or it is known to be dead.
    Gone,
    /// It was not heard of for too long, and may still be there.
    Silent,
}

/// A lease that this process holds; given back when it is dropped.
pub(super) struct Lease {
    held: Arc<Held>,
    shared: Arc<Shared>,
    pub(super) before: Before,
}

impl Leases {
    /// Leases that last a minute, or as the environment says.
    ///
    /// # Errors
    /// If the environment says something that is no number of seconds.
    pub(super) fn new() -> Result<Self> {
        let lasts = match std::env::var(LASTS_VARIABLE) {
            Err(_) => LASTS,
            Ok(text) => match text.parse::<f64>() {
                Ok(seconds) if (0.1..=86400.0).contains(&seconds) => {
                    Duration::from_secs_f64(seconds)
                }
                _ => {
                    let problem = format!("`{text}` is no number of seconds from 0.1 to 86400");
                    let remedy = "leave it out: leases last 60 s";
                    return Err(Error::setting(LASTS_VARIABLE, problem, remedy));
                }
            },
        };
        Ok(Self::lasting(lasts))
    }

    /// Leases that last so long.
    pub(super) fn lasting(lasts: Duration) -> Self {
        let shared = Arc::new(Shared {
            held: Mutex::default(),
            ended: Mutex::new(false),
            end: Condvar::new(),
        });
        let own = Arc::clone(&shared);
        let renewer = std::thread::Builder::new().name("leases".into());
        let renewer = renewer.spawn(move || own.renew_all(lasts / RENEWALS)).ok();
        Self { holder: Holder::here(), lasts, seen: Mutex::default(), shared, renewer }
    }

    /// Takes the lease `name`, a path without the ending; `None` if another process holds it.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub(super) fn take(&self, name: &Path) -> Result<Option<Lease>> {
        let last = last(name)?;
        let before = match last {
            0 => Before::Gone,
            _ => {
                let path = file(name, last);
                // Another process has just finished with the folder and removed it.
                let Some(text) = read(&path)? else { return Ok(None) };
                let Some(before) = self.ended(&path, &text) else { return Ok(None) };
                before
            }
        };
        let lease = self.create(name, last + 1)?.map(|held| {
            lock(&self.shared.held).push(Arc::clone(&held));
            Lease { held, shared: Arc::clone(&self.shared), before }
        });
        Ok(lease)
    }

    /// Whether the lease in the file `path`, which says `text`, has ended, and how.
    fn ended(&self, path: &Path, text: &str) -> Option<Before> {
        let mut lines = text.lines();
        let state = lines.next().unwrap_or_default();
        let holder = lines.next().and_then(Holder::parse);
        if state.starts_with(FREE) || holder.is_some_and(|holder| holder.is_dead()) {
            return Some(Before::Gone);
        }
        let mut seen = lock(&self.seen);
        let (before, since) =
            seen.entry(path.to_owned()).or_insert_with(|| (text.to_owned(), Instant::now()));
        if before != text {
            (*before, *since) = (text.to_owned(), Instant::now());
        }
        (since.elapsed() >= self.lasts).then_some(Before::Silent)
    }

    /// Creates the lease file of this number; `None` if another process was first.
    fn create(&self, name: &Path, number: u64) -> Result<Option<Arc<Held>>> {
        let path = file(name, number);
        let text = self.holder.text();
        let own = name.with_file_name(format!(
            "{}.lease.{}.new",
            name.file_name().unwrap_or_default().to_string_lossy(),
            self.holder.name
        ));
        // Written and closed before it has the name by which others read it.
        match std::fs::write(&own, stamped(HELD, 0, &text)) {
            // Another process has just finished with the folder and removed it.
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            written => written.map_err(Error::io("write", &own))?,
        }
        let linked = link(&own, &path);
        // It may have been removed with the folder.
        let _ = std::fs::remove_file(&own);
        let opened = match linked {
            Ok(true) => OpenOptions::new().write(true).open(&path),
            Ok(false) => return Ok(None),
            Err(e) => Err(e),
        };
        let opened = match opened {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(Error::io("create", &path))?,
        };
        Ok(Some(Arc::new(Held {
            next: file(name, number + 1),
            path,
            text,
            file: Mutex::new(opened),
            begun: Instant::now(),
            renewed: AtomicU64::new(0),
            stamp: AtomicU64::new(0),
            lost: AtomicBool::new(false),
            lasts: self.lasts,
        })))
    }
}

impl Leases {
    /// Ends the thread. What is held runs out, as if the process were paused.
    pub(super) fn stop_renewing(&mut self) {
        *lock(&self.shared.ended) = true;
        self.shared.end.notify_all();
        if let Some(renewer) = self.renewer.take() {
            // It has nothing to say.
            let _ = renewer.join();
        }
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        self.stop_renewing();
    }
}

impl Shared {
    /// Renews what is held at this distance until the end.
    fn renew_all(&self, every: Duration) {
        let mut ended = lock(&self.ended);
        while !*ended {
            let waited = self.end.wait_timeout(ended, every);
            ended = waited.unwrap_or_else(PoisonError::into_inner).0;
            let held = lock(&self.held).clone();
            held.iter().for_each(|held| held.renew());
        }
    }
}

impl Held {
    /// Writes the next stamp, and looks whether there is a successor.
    fn renew(&self) {
        let at = self.begun.elapsed();
        let stamp = self.stamp.fetch_add(1, Ordering::Relaxed) + 1;
        // A lease that cannot be written runs out.
        if self.write(HELD, stamp).is_ok() && self.is_own() {
            let at = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
            self.renewed.store(at, Ordering::Relaxed);
        }
    }

    /// Into the file that was created, which may have lost its name, and never into that of a successor.
    fn write(&self, state: &str, stamp: u64) -> std::io::Result<()> {
        let mut file = lock(&self.file);
        file.seek(SeekFrom::Start(0))?;
        file.write_all(stamped(state, stamp, &self.text).as_bytes())?;
        // A network file system hands it on now.
        file.sync_data()
    }

    /// Looks whether the file is there and has no successor.
    fn is_own(&self) -> bool {
        let own = read(&self.path).ok().flatten().is_some_and(|text| text.contains(&self.text));
        let own = own && matches!(self.next.try_exists(), Ok(false));
        if !own {
            self.lost.store(true, Ordering::Relaxed);
        }
        own
    }

    fn is_lost(&self) -> bool {
        let renewed = Duration::from_millis(self.renewed.load(Ordering::Relaxed));
        // A process that was paused did not renew.
        self.lost.load(Ordering::Relaxed)
            || self.begun.elapsed().saturating_sub(renewed) >= self.lasts
    }
}

impl Lease {
    /// The lease has run out, or another process has taken it. Costs nothing.
    pub(super) fn is_lost(&self) -> bool {
        self.held.is_lost()
    }

    /// The same, after a look at the files.
    pub(super) fn is_taken(&self) -> bool {
        self.held.is_lost() || !self.held.is_own()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        lock(&self.shared.held).retain(|held| !Arc::ptr_eq(held, &self.held));
        let stamp = self.held.stamp.load(Ordering::Relaxed);
        // One that cannot be given back runs out.
        let _ = self.held.write(FREE, stamp);
    }
}

/// The file of a lease. Numbers are those of its holders, from 1 on.
fn file(name: &Path, number: u64) -> PathBuf {
    let stem = name.file_name().unwrap_or_default().to_string_lossy();
    name.with_file_name(format!("{stem}.lease.{number}"))
}

/// Number of the last lease file; 0 if there is none. All before it are there.
fn last(name: &Path) -> Result<u64> {
    let is_there = |number: u64| {
        let path = file(name, number);
        path.try_exists().map_err(Error::io("look for", &path))
    };
    let (mut last, mut beyond) = (0, 1);
    while is_there(beyond)? {
        (last, beyond) = (beyond, 2 * beyond);
    }
    while beyond - last > 1 {
        let middle = last.midpoint(beyond);
        if is_there(middle)? {
            last = middle;
        } else {
            beyond = middle;
        }
    }
    Ok(last)
}

/// What a lease file says; of the same length whatever the stamp is.
fn stamped(state: &str, stamp: u64, holder: &str) -> String {
    format!("{state} {stamp:020}\n{holder}\n")
}

/// The text of a file; `None` if there is none.
fn read(path: &Path) -> Result<Option<String>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", path)(e)),
    }
}

/// Gives the file `own` the name `path` too; `false` if there is one of that name. The answer of a network file
/// system may get lost, so it is the file that says whether it was done.
///
/// # Errors
/// If the folder cannot be written to.
pub(super) fn link(own: &Path, path: &Path) -> std::io::Result<bool> {
    match std::fs::hard_link(own, path) {
        Ok(()) => Ok(true),
        Err(_) if is_linked(own, path) => Ok(true),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(e) if e.kind() == ErrorKind::NotFound => Err(e),
        // There are file systems without links; whoever creates the file is first there.
        Err(_) => {
            let content = std::fs::read(own)?;
            match OpenOptions::new().write(true).create_new(true).open(path) {
                Ok(mut file) => file.write_all(&content).map(|()| true),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
                Err(e) => Err(e),
            }
        }
    }
}

/// Both names are of one file.
fn is_linked(own: &Path, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let (own, there) = (std::fs::metadata(own), std::fs::metadata(path));
        own.ok().zip(there.ok()).is_some_and(|(a, b)| (a.dev(), a.ino()) == (b.dev(), b.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = (own, path);
        false
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
