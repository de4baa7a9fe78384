//! Run folders made up for the tests of this module: rows with chosen outcomes, and a full board of
//! four networks that behave as such networks do.

use std::collections::BTreeMap;
use std::path::Path;

use crate::digest::sha256;
use crate::record::{
    AttackRow, BoundRow, CertificateRow, CheckRecord, DataRecord, FORMAT_VERSION, Finding, JobRecord,
    ModelRecord, PatchRow, RunRecord, SessionRecord, Work, encode_table,
};

/// Digest of image `idx`.
pub(super) fn image(idx: u64) -> String {
    format!("{idx:016x}")
}

/// A row of image `idx`, label 0: `correct` on the clean image, broken at `distance` if there is one. How far
/// that is in other norms than the attack's is left open, until [`Fixture::attack`] makes it far.
pub(super) fn attack_row(idx: u64, correct: bool, distance: Option<f64>) -> AttackRow {
    let found = !correct || distance.is_some_and(f64::is_finite);
    let far = if correct { f64::INFINITY } else { 0.0 };
    let side = if correct && found { u64::MAX } else { 0 };
    AttackRow {
        idx,
        image: image(idx),
        label: 0,
        clean: u32::from(!correct),
        target: None,
        linf: far,
        l2: far,
        l1: far,
        l0: side,
        height: side,
        width: side,
        adversarial: format!("{:016x}", if correct && found { !idx } else { idx }),
        by: if found { "pgd".into() } else { String::new() },
        prediction: u32::from(found),
        found: u8::from(found),
        distance: if correct { distance.unwrap_or(f64::INFINITY) } else { 0.0 },
        found_8bit: u8::from(found),
        forwards: 10,
        backwards: 9,
        unconfirmed: None,
        seconds: 0.01,
    }
}

/// A row of image `idx`, label 0.
pub(super) fn certificate_row(idx: u64, predict: i64, radius: f64) -> CertificateRow {
    CertificateRow {
        idx,
        label: 0,
        predict,
        radius,
        correct: u8::from(predict == 0),
        time: "0:00:00.250000".into(),
        sigma: 0.25,
        n0: 100,
        n: 1000,
        alpha: 0.001,
        n_a: 990,
        selected: predict.max(0) as u32,
        p_low: if predict < 0 { 0.4 } else { 0.9 },
        seed: 0,
        model: String::new(),
        mode: "cohen".into(),
        level: 0.001,
        image: image(idx),
    }
}

/// A row of image `idx`, label 0.
pub(super) fn bound_row(idx: u64, correct: bool, radius: f64) -> BoundRow {
    BoundRow {
        idx,
        label: 0,
        predict: u32::from(!correct),
        radius,
        correct: u8::from(correct),
        time: "0:00:00.250000".into(),
        margin: 0.5,
        tried: 4,
        model: String::new(),
        image: image(idx),
    }
}

/// A run folder being made.
#[derive(Clone)]
pub(super) struct Fixture {
    record: RunRecord,
    /// By job.
    tables: Vec<Rows>,
    /// By the number of the job.
    checks: Vec<(usize, CheckRecord)>,
}

#[derive(Clone)]
enum Rows {
    Attack(Vec<AttackRow>),
    Certificate(Vec<CertificateRow>),
    Patch(Vec<PatchRow>),
    Bound(Vec<BoundRow>),
}

impl Fixture {
    /// A run without jobs on `images` images of the data set `digits`.
    pub(super) fn new(name: &str, images: usize) -> Self {
        let data = DataRecord {
            name: "digits".into(),
            sha256: "d".repeat(64),
            shape: [1, 8, 8],
            images,
            digest: "e".repeat(64),
        };
        let session = SessionRecord {
            command: "run".into(),
            epsball: "0.1.0".into(),
            machine: "a processor".into(),
            device: "cpu".into(),
            started: 1,
            ended: 2,
        };
        let record = RunRecord {
            format_version: FORMAT_VERSION,
            name: name.into(),
            sessions: vec![session],
            models: vec![],
            data: vec![data],
            jobs: vec![],
        };
        Self { record, tables: vec![], checks: vec![] }
    }

    /// Adds a network whose hash and identity start with `sha`.
    pub(super) fn model(mut self, name: &str, sha: &str, note: &str) -> Self {
        self.record.models.push(ModelRecord {
            name: name.into(),
            architecture: "digits-cnn".into(),
            sha256: format!("{sha:0<64}"),
            identity: format!("{sha:0<64}"),
            parameters: 25_450,
            note: note.into(),
            published: None,
        });
        self
    }

    /// Adds an attack job with its rows; distances that they leave open are `distance` in the norm of the
    /// attack and too far in others.
    pub(super) fn attack(self, model: &str, work: Work, rows: &[AttackRow]) -> Self {
        let Work::Attack { threat, goal, .. } = &work else { panic!() };
        let size = threat.strip_prefix("patch ").and_then(|size| size.split_once('x'));
        let side = |text: &str| text.parse::<u64>().unwrap();
        let target = goal.parse().ok();
        let rows = rows.iter().map(|row| {
            let mut row = row.clone();
            if row.found == 1 {
                let near = |value: f64, norm| match value.is_finite() || threat != norm {
                    true => value,
                    false => row.distance,
                };
                (row.linf, row.l2, row.l1) =
                    (near(row.linf, "Linf"), near(row.l2, "L2"), near(row.l1, "L1"));
                if let Some((height, width)) = size {
                    (row.height, row.width) =
                        (row.height.min(side(height)), row.width.min(side(width)));
                }
            }
            AttackRow { target: row.target.or(target), ..row }
        });
        let rows = rows.collect();
        self.job(model, work, "csv", Rows::Attack(rows))
    }

    /// Adds a certificate job with its rows.
    pub(super) fn certificate(self, model: &str, work: Work, rows: &[CertificateRow]) -> Self {
        let start = self.identity(model);
        let rows = rows.iter().map(|r| CertificateRow { model: start.clone(), ..r.clone() });
        let rows = rows.collect();
        self.job(model, work, "tsv", Rows::Certificate(rows))
    }

    /// Adds a job of a certificate against patches: a character per image, `c` certified, `.` right,
    /// `x` wrong.
    pub(super) fn patches(self, model: &str, certificate: &str, size: &str, rows: &str) -> Self {
        let start = self.identity(model);
        let row = |(idx, outcome): (u64, char)| PatchRow {
            idx,
            label: 0,
            predict: u32::from(outcome == 'x'),
            certified: u8::from(outcome == 'c'),
            correct: u8::from(outcome != 'x'),
            time: "0:00:00.250000".into(),
            votes: 30,
            runner_up: 6,
            forwards: if outcome == 'c' { 666 } else { 70 },
            model: start.clone(),
            image: image(idx),
        };
        let rows = (0..).zip(rows.chars()).map(row).collect();
        let work = Work::PatchCertificate {
            label: format!("{certificate}-{size}"),
            certificate: certificate.into(),
            patch: format!("patch {size}"),
            parameters: BTreeMap::from([("k".to_owned(), "6".to_owned())]),
        };
        self.job(model, work, "tsv", Rows::Patch(rows))
    }

    /// Adds a job of bounds with its rows.
    pub(super) fn bound(self, model: &str, work: Work, rows: &[BoundRow]) -> Self {
        self.job(model, work, "tsv", Rows::Bound(rows.to_vec()))
    }

    /// Start of the identity of a network.
    fn identity(&self, model: &str) -> String {
        self.record.models.iter().find(|m| m.name == model).unwrap().identity[..16].to_owned()
    }

    fn job(mut self, model: &str, work: Work, extension: &str, rows: Rows) -> Self {
        let budget = match &work {
            Work::Attack { eps, minimal: false, .. } => eps.first().copied(),
            _ => None,
        };
        let id = format!("{model}--{}", super::format::title(work.label(), budget));
        // Names may hold what file systems do not.
        let stem = id.replace(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '.'), "_");
        let images = self.record.data[0].images;
        let done = match &rows {
            Rows::Attack(rows) => rows.len(),
            Rows::Certificate(rows) => rows.len(),
            Rows::Patch(rows) => rows.len(),
            Rows::Bound(rows) => rows.len(),
        };
        self.record.jobs.push(JobRecord {
            file: format!("jobs/{}-{stem}.{extension}", self.tables.len()),
            id,
            key: String::new(),
            model: model.into(),
            data: self.record.data[0].name.clone(),
            images,
            finished: done == images,
            checked: false,
            seed: 0,
            rng: "per-image".into(),
            device: "cpu".into(),
            precision: "f32".into(),
            work,
        });
        self.tables.push(rows);
        self
    }

    /// Adds what a safety check found around the job added last.
    pub(super) fn finding(mut self, check: &str, seen: &str) -> Self {
        let finding = Finding {
            check: check.into(),
            seen: seen.into(),
            meaning: format!("What {check} means."),
            remedy: "Do something.".into(),
        };
        let format_version = FORMAT_VERSION;
        let record = CheckRecord { format_version, images: 8, findings: vec![finding] };
        let job = self.record.jobs.len() - 1;
        self.record.jobs[job].checked = true;
        self.checks.push((job, record));
        self
    }

    /// The seed of the job added last.
    pub(super) fn seed(self, seed: u64) -> Self {
        self.change(|record| record.jobs.last_mut().unwrap().seed = seed)
    }

    /// The record, to be changed before writing.
    pub(super) fn change(mut self, change: impl FnOnce(&mut RunRecord)) -> Self {
        change(&mut self.record);
        self
    }

    /// Removes the jobs with this id.
    pub(super) fn without(mut self, id: &str) -> Self {
        let keep: Vec<bool> = self.record.jobs.iter().map(|job| job.id != id).collect();
        let mut kept = keep.iter();
        self.record.jobs.retain(|_| *kept.next().unwrap());
        let mut kept = keep.iter();
        self.tables.retain(|_| *kept.next().unwrap());
        self
    }

    /// Writes the run folder; jobs without a key get that of their network and settings.
    pub(super) fn write(&self, folder: &Path) {
        std::fs::create_dir_all(folder.join("jobs")).unwrap();
        let mut record = self.record.clone();
        for job in record.jobs.iter_mut().filter(|job| job.key.is_empty()) {
            let model = self.record.models.iter().find(|m| m.name == job.model);
            let settings = (model.map(|m| &m.identity), job.work.essence(), job.seed, &job.precision);
            job.key = sha256(format!("{settings:?}").as_bytes());
        }
        for (job, rows) in record.jobs.iter().zip(&self.tables) {
            let path = folder.join(&job.file);
            let bytes = match rows {
                Rows::Attack(rows) => encode_table(&path, &job.key, rows, true),
                Rows::Certificate(rows) => encode_table(&path, &job.key, rows, true),
                Rows::Patch(rows) => encode_table(&path, &job.key, rows, true),
                Rows::Bound(rows) => encode_table(&path, &job.key, rows, true),
            };
            std::fs::write(&path, bytes.unwrap()).unwrap();
        }
        for (number, checks) in &self.checks {
            let job = &record.jobs[*number];
            checks.write(&folder.join(&job.file), &job.key).unwrap();
        }
        record.write(folder).unwrap();
    }
}

/// An attack job's settings.
pub(super) fn attack(label: &str, threat: &str, eps: &[f64]) -> Work {
    Work::Attack {
        label: label.into(),
        attack: label.split('-').next().unwrap().into(),
        threat: threat.into(),
        eps: eps.to_vec(),
        minimal: eps.len() > 1,
        control: matches!(label, "random-noise" | "grey-patch"),
        goal: "untargeted".into(),
        parameters: BTreeMap::from([
            ("steps".to_owned(), "100".to_owned()),
            ("alpha".to_owned(), "0.01".to_owned()),
        ]),
    }
}

/// A smoothing job's settings.
pub(super) fn smoothing(radii: &[f64]) -> Work {
    Work::Certificate {
        label: "smoothing-0.25".into(),
        certificate: "cohen".into(),
        norm: "L2".into(),
        sigma: 0.25,
        radii: radii.to_vec(),
        guarantee: String::new(),
        parameters: BTreeMap::from([
            ("N0".to_owned(), "100".to_owned()),
            ("N".to_owned(), "1000".to_owned()),
            ("alpha".to_owned(), "0.001".to_owned()),
        ]),
    }
}

/// The settings of a job of bounds.
pub(super) fn bounds(label: &str, threat: &str, eps: &[f64]) -> Work {
    Work::Bound {
        label: label.into(),
        certificate: "crown".into(),
        threat: threat.into(),
        eps: eps.to_vec(),
        parameters: BTreeMap::from([("steps".to_owned(), "6".to_owned())]),
    }
}
