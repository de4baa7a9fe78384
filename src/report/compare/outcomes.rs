//! What one job says about every image, column by column.

use std::collections::BTreeMap;

use crate::certify::log::Log;
use crate::record::{AttackRow, CertificateRow, Row, Work};
use crate::report::attacked::budgets;
use crate::report::format;
use crate::report::goal;
use crate::report::image_key::ImageKey;
use crate::report::region::Region;
use crate::report::table::Table;
use crate::stats::rounding::{ceil_decimals, floor_decimals};

/// One column of one job.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outcomes {
    /// Name of the network; a log does not say it.
    pub(super) model: String,
    /// Name of the data; a log does not say it.
    pub(super) data: Option<String>,
    /// Label of the job; empty for a log.
    pub(super) label: String,
    /// What the values are: `robust Linf 0.1`, `certified L2 0.25`.
    pub(super) column: String,
    /// The values are 0 or 1, and their mean is a share.
    pub(super) share: bool,
    /// What is known of each image.
    pub(super) values: BTreeMap<ImageKey, Value>,
}

/// What is known of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Value {
    /// Its index.
    pub(super) idx: u64,
    /// True class.
    pub(super) label: u32,
    pub(super) value: f64,
}

/// Whose outcomes.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub(super) model: String,
    pub(super) data: Option<String>,
    pub(super) label: String,
}

impl Owner {
    fn column(
        &self,
        column: impl Into<String>,
        share: bool,
        values: impl Iterator<Item = (ImageKey, Value)>,
    ) -> Outcomes {
        Outcomes {
            model: self.model.clone(),
            data: self.data.clone(),
            label: self.label.clone(),
            column: column.into(),
            share,
            values: values.collect(),
        }
    }
}

/// The columns of a job. A control has none: it is no method.
pub(super) fn of_job(owner: &Owner, work: &Work, table: &Table, radii: &[f64]) -> Vec<Outcomes> {
    let yes = |holds: bool| f64::from(u8::from(holds));
    match (work, table) {
        (Work::Attack { threat, eps, minimal, control: false, goal, .. }, Table::Attack(rows)) => {
            let at = |eps: Option<f64>| {
                let region = Region::new(threat, eps);
                let aimed = rows.iter().filter(|(_, row)| row.target != Some(row.label));
                let robust = |row: &AttackRow| {
                    let wanted = row.target.is_none_or(|target| row.prediction == target);
                    row.clean_correct() && !(row.adversarial() && wanted && region.holds(row))
                };
                let title = format!("robust {}", goal::title(threat, eps, goal));
                owner.column(title, true, aimed.map(|(k, r)| value(k, r, r.label, yes(robust(r)))))
            };
            budgets(eps, *minimal).into_iter().map(at).collect()
        }
        (Work::Certificate { norm, radii: run, .. }, Table::Certificate(rows)) => {
            let radius = |r: &CertificateRow| if r.correct == 1 { r.radius } else { -1.0 };
            let rows: Vec<(ImageKey, Value)> =
                rows.iter().map(|(k, r)| value(k, r, r.label, radius(r))).collect();
            certified(owner, norm, &rows, if radii.is_empty() { run } else { radii })
        }
        (Work::PatchCertificate { patch, .. }, Table::Patch(rows)) => {
            let values = rows.iter().map(|(k, r)| value(k, r, r.label, yes(r.certified == 1)));
            vec![owner.column(format!("certified {patch}"), true, values)]
        }
        (Work::Bound { threat, eps, .. }, Table::Bound(rows)) => {
            let at = |eps: &f64| {
                let title = format!("verified {}", format::title(threat, Some(*eps)));
                let values = rows.iter().map(|(k, r)| value(k, r, r.label, yes(r.certified(*eps))));
                owner.column(title, true, values)
            };
            eps.iter().map(at).collect()
        }
        _ => vec![],
    }
}

fn value(key: &ImageKey, row: &impl Row, label: u32, value: f64) -> (ImageKey, Value) {
    (key.clone(), Value { idx: row.idx(), label, value })
}

/// The columns of a log, whose images are known by their indices only.
pub(super) fn of_log(owner: &Owner, log: &Log, radii: &[f64]) -> Vec<Outcomes> {
    let rows: Vec<(ImageKey, Value)> = log
        .rows()
        .iter()
        .map(|row| {
            let value = if row.correct { row.radius } else { -1.0 };
            (ImageKey::of_index(row.idx), Value { idx: row.idx, label: row.label, value })
        })
        .collect();
    let usual = [0.0, 0.25, 0.5, 0.75, 1.0];
    certified(owner, "L2", &rows, if radii.is_empty() { &usual } else { radii })
}

/// Certified accuracy at `radii`, then the average certified radius. A value is the radius of a correct
/// prediction, -1 for a wrong one.
fn certified(
    owner: &Owner,
    norm: &str,
    rows: &[(ImageKey, Value)],
    radii: &[f64],
) -> Vec<Outcomes> {
    // As `Log::certified_accuracy`: decimals compare exactly, and no other rounding helps.
    let reaches = |radius: f64, at: f64| floor_decimals(radius, 6) >= ceil_decimals(at, 6);
    let mut columns: Vec<Outcomes> = radii
        .iter()
        .map(|at| {
            let values = rows.iter().map(|(key, row)| {
                let value = f64::from(u8::from(reaches(row.value, *at)));
                (key.clone(), Value { value, ..*row })
            });
            owner.column(format!("certified {norm} {}", format::eps(*at)), true, values)
        })
        .collect();
    let values =
        rows.iter().map(|(key, row)| (key.clone(), Value { value: row.value.max(0.0), ..*row }));
    columns.push(owner.column(format!("average {norm} radius"), false, values));
    columns
}

/// Images that no attack of a network broke, each at its largest budget; `None` of fewer than two attacks,
/// or if they are about different images.
pub(super) fn worst_case(attacks: &[&Outcomes]) -> Option<Outcomes> {
    let [first, rest @ ..] = attacks else { return None };
    let mut worst = (*first).clone();
    for other in rest {
        if !other.values.keys().eq(worst.values.keys()) {
            return None;
        }
        for (here, there) in worst.values.values_mut().zip(other.values.values()) {
            here.value = here.value.min(there.value);
        }
    }
    worst.label = "all attacks".into();
    worst.column = "worst case".into();
    (!rest.is_empty()).then_some(worst)
}
