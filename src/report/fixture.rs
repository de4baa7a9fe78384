//! Run folders made up for the tests of this module: rows with chosen outcomes, and a full board of
//! four networks that behave as such networks do.

use std::collections::BTreeMap;
use std::path::Path;

use crate::record::{
    AttackRow, BoundRow, CertificateRow, CheckRecord, DataRecord, FORMAT_VERSION, Finding,
    JobRecord, ModelRecord, PatchRow, RunRecord, Work,
};

/// A row of image `idx`, label 0: `correct` on the clean image, broken at `distance` if there is one.
pub(super) fn attack_row(idx: u64, correct: bool, distance: Option<f64>) -> AttackRow {
    let found = !correct || distance.is_some();
    AttackRow {
        idx,
        label: 0,
        clean: u32::from(!correct),
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
    }
}

/// A run folder being made.
pub(super) struct Fixture {
    record: RunRecord,
    tables: Vec<(String, Vec<u8>)>,
    /// By the table of the job.
    checks: Vec<(String, CheckRecord)>,
}

impl Fixture {
    /// A run without jobs on `images` images of the data set `digits`.
    pub(super) fn new(name: &str, images: usize) -> Self {
        let data =
            DataRecord { name: "digits".into(), sha256: "d".repeat(64), shape: [1, 8, 8], images };
        let record = RunRecord {
            format_version: FORMAT_VERSION,
            name: name.into(),
            epsball: "0.1.0".into(),
            seed: 0,
            rng: "per-image".into(),
            device: "cpu".into(),
            precision: "f32".into(),
            save_adversarial: false,
            models: vec![],
            data: vec![data],
            jobs: vec![],
        };
        Self { record, tables: vec![], checks: vec![] }
    }

    /// Adds a network whose hash starts with `sha`.
    pub(super) fn model(mut self, name: &str, sha: &str, note: &str) -> Self {
        self.record.models.push(ModelRecord {
            name: name.into(),
            architecture: "digits-cnn".into(),
            sha256: format!("{sha:0<64}"),
            parameters: 25_450,
            note: note.into(),
            published: None,
        });
        self
    }

    /// Adds an attack job with its rows.
    pub(super) fn attack(self, model: &str, work: Work, rows: &[AttackRow]) -> Self {
        let mut writer = csv::Writer::from_writer(vec![]);
        rows.iter().for_each(|row| writer.serialize(row).unwrap());
        self.job(model, work, "csv", writer.into_inner().unwrap())
    }

    /// Adds a certificate job with its rows.
    pub(super) fn certificate(self, model: &str, work: Work, rows: &[CertificateRow]) -> Self {
        let mut writer = csv::WriterBuilder::new().delimiter(b'\t').from_writer(vec![]);
        let known = self.record.models.iter().find(|m| m.name == model).unwrap();
        let start = known.sha256[..16].to_owned();
        for row in rows {
            writer.serialize(CertificateRow { model: start.clone(), ..row.clone() }).unwrap();
        }
        self.job(model, work, "tsv", writer.into_inner().unwrap())
    }

    /// Adds a job of a certificate against patches: a character per image, `c` certified, `.` right,
    /// `x` wrong.
    pub(super) fn patches(self, model: &str, certificate: &str, size: &str, rows: &str) -> Self {
        let mut writer = csv::WriterBuilder::new().delimiter(b'\t').from_writer(vec![]);
        let known = self.record.models.iter().find(|m| m.name == model).unwrap();
        let start = known.sha256[..16].to_owned();
        for (idx, outcome) in (0..).zip(rows.chars()) {
            let row = PatchRow {
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
            };
            writer.serialize(row).unwrap();
        }
        let work = Work::PatchCertificate {
            label: format!("{certificate}-{size}"),
            certificate: certificate.into(),
            patch: format!("patch {size}"),
            parameters: BTreeMap::from([("k".to_owned(), "6".to_owned())]),
        };
        self.job(model, work, "tsv", writer.into_inner().unwrap())
    }

    /// Adds a job of bounds with its rows.
    pub(super) fn bound(self, model: &str, work: Work, rows: &[BoundRow]) -> Self {
        let mut writer = csv::WriterBuilder::new().delimiter(b'\t').from_writer(vec![]);
        rows.iter().for_each(|row| writer.serialize(row).unwrap());
        self.job(model, work, "tsv", writer.into_inner().unwrap())
    }

    fn job(mut self, model: &str, work: Work, extension: &str, table: Vec<u8>) -> Self {
        let id = format!("{model}--{}", super::format::label(&work));
        // Names may hold what file systems do not.
        let stem = id.replace(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '.'), "_");
        let file = format!("jobs/{stem}.{extension}");
        self.record.jobs.push(JobRecord {
            id,
            file: file.clone(),
            model: model.into(),
            data: self.record.data[0].name.clone(),
            images: self.record.data[0].images,
            work,
        });
        self.tables.push((file, table));
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
        self.checks.push((self.record.jobs.last().unwrap().file.clone(), record));
        self
    }

    /// The record, to be changed before writing.
    pub(super) fn change(mut self, change: impl FnOnce(&mut RunRecord)) -> Self {
        change(&mut self.record);
        self
    }

    /// Writes the run folder.
    pub(super) fn write(&self, folder: &Path) {
        std::fs::create_dir_all(folder.join("jobs")).unwrap();
        std::fs::write(folder.join("run.toml"), toml::to_string(&self.record).unwrap()).unwrap();
        for (file, table) in &self.tables {
            std::fs::write(folder.join(file), table).unwrap();
        }
        for (file, checks) in &self.checks {
            checks.write(&folder.join(file)).unwrap();
        }
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

/// The bundled suite's shape: four networks, 360 images, attacks under three threat models with their
/// controls, and smoothing. Outcomes are drawn from a made-up robust radius per network and image.
pub(super) fn digits() -> Fixture {
    let mut run = Fixture::new("digits-quick", 360)
        .model("digits-standard", "3f0c11aa", "undefended")
        .model("digits-pgd", "77ab0e21", "PGD adversarial training, eps 0.2 (Madry et al. 2018)")
        .model("digits-trades", "c09d52f4", "TRADES, beta 6 (Zhang et al. 2019)")
        .model("digits-gaussian", "1be77d03", "Gaussian noise, sigma 0.25 (Cohen et al. 2019)");
    // Median robust radius (Linf, L2), broken share under patches, clean error.
    let networks = [
        ("digits-standard", 0.06, 0.55, 0.62, 0.012),
        ("digits-pgd", 0.19, 1.05, 0.35, 0.025),
        ("digits-trades", 0.21, 1.12, 0.31, 0.036),
        ("digits-gaussian", 0.11, 0.95, 0.55, 0.019),
    ];
    for (seed, (name, linf, l2, patch, error)) in (1..).zip(networks) {
        let draw = |stream: u64, idx: u64| unit(seed * 1_000_003 + stream * 7919 + idx * 104_729);
        let images = 0..360u64;
        let row = |idx: u64, distance: Option<f64>, forwards: u64, backwards: u64| AttackRow {
            forwards,
            backwards,
            unconfirmed: None,
            seconds: 2e-4 * (forwards + backwards) as f64 + 1e-5 * draw(90, idx),
            ..attack_row(idx, draw(0, idx) > error, distance)
        };
        let spread =
            |stream, idx| (1.6 * (draw(stream, idx) - 0.5) + 0.9 * (draw(1, idx) - 0.5)).exp();
        for eps in [0.05, 0.1, 0.2] {
            let rows: Vec<_> = images
                .clone()
                .map(|idx| {
                    let broken = linf * spread(2, idx) < eps;
                    let steps = if broken { 1 + (20.0 * draw(3, idx)) as u64 } else { 100 };
                    row(idx, broken.then_some(eps), steps + 1, steps)
                })
                .collect();
            run = run.attack(name, attack(&format!("pgd-linf-{eps}"), "Linf", &[eps]), &rows);
        }
        for eps in [0.25, 0.5, 1.0] {
            let rows: Vec<_> = images
                .clone()
                .map(|idx| row(idx, (1.06 * l2 * spread(4, idx) < eps).then_some(eps), 51, 50))
                .collect();
            run = run.attack(name, attack(&format!("pgd-l2-{eps}"), "L2", &[eps]), &rows);
        }
        let cw: Vec<_> =
            images.clone().map(|idx| row(idx, Some(l2 * spread(4, idx)), 9001, 9000)).collect();
        run = run.attack(name, attack("cw-l2", "L2", &[0.25, 0.5, 1.0]), &cw);
        for (label, strength) in [("patch-pgd", 1.0), ("roa", 0.92), ("patch-rs", 0.7)] {
            let rows: Vec<_> = images
                .clone()
                .map(|idx| {
                    row(
                        idx,
                        (draw(5, idx) < patch * strength).then_some(4.0),
                        640,
                        if label == "patch-rs" { 0 } else { 600 },
                    )
                })
                .collect();
            run = run.attack(name, attack(label, "patch 2x2", &[]), &rows);
        }
        let noise: Vec<_> = images
            .clone()
            .map(|idx| row(idx, (draw(6, idx) < 0.02).then_some(0.2), 10, 0))
            .collect();
        run = run.attack(name, attack("random-noise", "Linf", &[0.2]), &noise);
        let grey: Vec<_> = images
            .clone()
            .map(|idx| row(idx, (draw(7, idx) < 0.08).then_some(4.0), 49, 0))
            .collect();
        run = run.attack(name, attack("grey-patch", "patch 2x2", &[]), &grey);
        let rows: Vec<_> = images
            .map(|idx| {
                let radius = (0.62 * l2 * spread(4, idx)).min(0.823_4);
                match draw(8, idx) {
                    x if x < 0.03 => certificate_row(idx, -1, 0.0),
                    x if x < 0.05 => certificate_row(idx, 3, 0.2),
                    _ => certificate_row(idx, 0, (radius * 1e6).floor() / 1e6),
                }
            })
            .collect();
        run = run.certificate(name, smoothing(&[0.0, 0.25, 0.5, 0.75]), &rows);
    }
    run
}

/// A number in [0, 1) that depends on `of` only (SplitMix64's output function).
fn unit(of: u64) -> f64 {
    let mut z = of.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}
