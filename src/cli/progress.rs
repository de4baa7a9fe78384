//! Progress on stderr: a bar on a terminal, a line per job elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::output::{is_quiet, say};
use super::pace::Pace;
use crate::attack::passes_made;
use crate::bench::Plan;
use crate::error::Error;
use crate::hidden::escaped;
use crate::record::{Finding, JobRecord};
use crate::work::Progress;

/// Shows a run over `total` images (every job counts its own).
pub(super) struct Shown {
    bar: ProgressBar,
    terminal: bool,
    pace: Arc<Mutex<Pace>>,
    /// Passes that an image costs at most, by the keys of jobs.
    most: BTreeMap<String, f64>,
    jobs: usize,
    job: Option<Job>,
    /// Jobs that others went before, by their ids.
    left: BTreeMap<String, Job>,
    started: usize,
    /// Something was computed for another process.
    helped: bool,
    /// Network and check of every finding that was told.
    told: BTreeSet<(String, String)>,
}

struct Job {
    id: String,
    /// Passes that an image costs at most.
    most: Option<f64>,
    number: usize,
    images: usize,
    computed: usize,
    left: usize,
    since: Instant,
}

impl Shown {
    pub(super) fn new(plan: &Plan) -> Self {
        let jobs = &plan.record.jobs;
        let most = jobs.iter().zip(&plan.jobs);
        let most = most.filter_map(|(job, planned)| Some((job.key.clone(), planned.most_passes?)));
        let total = jobs.iter().map(|job| job.images as u64).sum();
        let terminal = std::io::stderr().is_terminal() && !is_quiet();
        let bar = if terminal { ProgressBar::new(total) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template(
            "{prefix:>7} {wide_bar} {pos}/{len} images  {pace}\n        {msg}",
        );
        let pace = Arc::new(Mutex::new(Pace::new(0, None)));
        if let Ok(style) = style {
            let shown = Arc::clone(&pace);
            let pace = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
                let pace = shown.lock().unwrap_or_else(PoisonError::into_inner);
                let _ =
                    out.write_str(&pace.text(passes_made(), pace.since.elapsed().as_secs_f64()));
            };
            bar.set_style(style.with_key("pace", pace));
        }
        bar.enable_steady_tick(Duration::from_millis(250));
        Self {
            bar,
            terminal,
            pace,
            most: most.collect(),
            jobs: jobs.len(),
            job: None,
            left: BTreeMap::new(),
            started: 0,
            helped: false,
            told: BTreeSet::new(),
        }
    }

    /// A job has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.started > 0 || self.helped
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Another job takes the place of the one that is shown.
    fn leave(&mut self) {
        if let Some(job) = self.job.take() {
            self.left.insert(job.id.clone(), job);
        }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, text: &str) {
        if self.terminal {
            self.bar.println(escaped(text));
        } else {
            say(text);
        }
    }
}

impl Progress for Shown {
    fn job(&mut self, job: &JobRecord, done: usize) {
        self.leave();
        self.started += 1;
        self.bar.set_prefix(format!("{}/{}", self.started, self.jobs));
        self.bar.set_message(escaped(&job.id));
        self.bar.inc(done as u64);
        let left = job.images.saturating_sub(done);
        let most = self.most.get(&job.key).copied();
        *self.pace() = Pace::new(left, most);
        self.job = Some(Job {
            id: job.id.clone(),
            most,
            number: self.started,
            images: job.images,
            computed: 0,
            left,
            since: Instant::now(),
        });
        if left == 0 && !self.terminal {
            self.line(&format!("{}/{} {}: already finished", self.started, self.jobs, job.id));
        }
    }

    fn images(&mut self, count: usize) {
        self.bar.inc(count as u64);
        self.pace().finish(count);
        let Some(job) = &mut self.job else { return };
        job.computed += count;
        job.left = job.left.saturating_sub(count);
        if job.left == 0 && !self.terminal {
            let seconds = job.since.elapsed().as_secs_f64();
            let rate = job.computed as f64 / seconds.max(1e-9);
            let text = format!(
                "{}/{} {}: {} images in {seconds:.1} s ({rate:.1} images/s)",
                job.number, self.jobs, job.id, job.images
            );
            self.line(&text);
        }
    }

    /// Told once per network; the leaderboard names every job.
    fn finding(&mut self, job: &JobRecord, finding: &Finding) {
        if self.told.insert((job.model.clone(), finding.check.clone())) {
            self.line(&format!("warning: {}: {}. {}", job.id, finding.seen, finding.meaning));
            self.line(&format!("hint: {}", finding.remedy));
        }
    }

    fn back(&mut self, job: &JobRecord, _: usize) {
        self.leave();
        self.job = self.left.remove(&job.id);
        if let Some(job) = &self.job {
            *self.pace() = Pace::new(job.left, job.most);
            self.bar.set_prefix(format!("{}/{}", job.number, self.jobs));
            self.bar.set_message(escaped(&job.id));
        }
    }

    fn helped(&mut self, job: &JobRecord, images: usize) {
        self.helped = true;
        match self.terminal {
            true => self.bar.set_message(escaped(&format!("helping with {}", job.id))),
            false => self.line(&format!(
                "{}: {images} images, for the process that has this job's table",
                job.id
            )),
        }
    }

    fn waiting(&mut self, job: &JobRecord) {
        let text = format!("waiting for other processes, which run what is left: {}", job.id);
        match self.terminal {
            true => self.bar.set_message(escaped(&text)),
            false => self.line(&text),
        }
    }

    fn failed(&mut self, job: &JobRecord, error: &Error) {
        self.line(&format!("failed: {}: {error}", job.id));
    }
}
