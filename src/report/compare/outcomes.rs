//! What one job says about every image, column by column.

use std::collections::BTreeMap;

use crate::certify::log::Log;
use crate::record::Work;
use crate::report::format;
use crate::report::leaderboard::budgets;
use crate::report::table::Table;
use crate::stats::rounding::{ceil_decimals, floor_decimals};

/// One column of one job.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outcomes {
    /// Name of the network; a log does not say it.
    pub(super) model: String,
    /// Name of the data and its hash, if it is known.
    pub(super) data: Option<(String, String)>,
    /// Label of the job; empty for a log.
    pub(super) label: String,
    /// What the values are: `robust Linf 0.1`, `certified L2 0.25`.
    pub(super) column: String,
    /// The values are 0 or 1, and their mean is a share.
    pub(super) share: bool,
    /// True class and value by image.
    pub(super) values: BTreeMap<u64, (u32, f64)>,
}

/// Whose outcomes.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub(super) model: String,
    pub(super) data: Option<(String, String)>,
    pub(super) label: String,
}

impl Owner {
    fn column(
        &self,
        column: impl Into<String>,
        share: bool,
        values: impl Iterator<Item = (u64, u32, f64)>,
    ) -> Outcomes {
        Outcomes {
            model: self.model.clone(),
            data: self.data.clone(),
            label: self.label.clone(),
            column: column.into(),
            share,
            values: values.map(|(idx, label, value)| (idx, (label, value))).collect(),
        }
    }
}

/// The columns of a job. A control has none: it is no method.
pub(super) fn of_job(owner: &Owner, work: &Work, table: &Table, radii: &[f64]) -> Vec<Outcomes> {
    let yes = |holds: bool| f64::from(u8::from(holds));
    match (work, table) {
        (Work::Attack { threat, eps, minimal, control: false, .. }, Table::Attack(rows)) => {
            let at = |eps: Option<f64>| {
                let title = format!("robust {}", format::title(threat, eps));
                let value = rows.values().map(|r| (r.idx, r.label, yes(r.robust(eps))));
                owner.column(title, true, value)
            };
            budgets(eps, *minimal).into_iter().map(at).collect()
        }
        (Work::Certificate { norm, radii: run, .. }, Table::Certificate(rows)) => {
            let rows: Vec<(u64, u32, f64)> = rows
                .values()
                .map(|r| (r.idx, r.label, if r.correct == 1 { r.radius } else { -1.0 }))
                .collect();
            certified(owner, norm, &rows, if radii.is_empty() { run } else { radii })
        }
        (Work::PatchCertificate { patch, .. }, Table::Patch(rows)) => {
            let value = rows.values().map(|r| (r.idx, r.label, yes(r.certified == 1)));
            vec![owner.column(format!("certified {patch}"), true, value)]
        }
        (Work::Bound { threat, eps, .. }, Table::Bound(rows)) => {
            let at = |eps: &f64| {
                let title = format!("verified {}", format::title(threat, Some(*eps)));
                owner.column(
                    title,
                    true,
                    rows.values().map(|r| (r.idx, r.label, yes(r.certified(*eps)))),
                )
            };
            eps.iter().map(at).collect()
        }
        _ => vec![],
    }
}

/// The columns of a log.
pub(super) fn of_log(owner: &Owner, log: &Log, radii: &[f64]) -> Vec<Outcomes> {
    let rows: Vec<(u64, u32, f64)> = log
        .rows()
        .iter()
        .map(|row| (row.idx, row.label, if row.correct { row.radius } else { -1.0 }))
        .collect();
    let usual = [0.0, 0.25, 0.5, 0.75, 1.0];
    certified(owner, "L2", &rows, if radii.is_empty() { &usual } else { radii })
}

/// Certified accuracy at `radii`, then the average certified radius. A row is image, true class and the
/// radius of a correct prediction, -1 for a wrong one.
fn certified(owner: &Owner, norm: &str, rows: &[(u64, u32, f64)], radii: &[f64]) -> Vec<Outcomes> {
    // As `Log::certified_accuracy`: decimals compare exactly, and no other rounding helps.
    let reaches = |radius: f64, at: f64| floor_decimals(radius, 6) >= ceil_decimals(at, 6);
    let mut columns: Vec<Outcomes> = radii
        .iter()
        .map(|at| {
            let value = rows
                .iter()
                .map(|(idx, label, r)| (*idx, *label, f64::from(u8::from(reaches(*r, *at)))));
            owner.column(format!("certified {norm} {}", format::eps(*at)), true, value)
        })
        .collect();
    let value = rows.iter().map(|(idx, label, r)| (*idx, *label, r.max(0.0)));
    columns.push(owner.column(format!("average {norm} radius"), false, value));
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
        for (value, (_, of_other)) in worst.values.values_mut().zip(other.values.values()) {
            value.1 = value.1.min(*of_other);
        }
    }
    worst.label = "all attacks".into();
    worst.column = "worst case".into();
    (!rest.is_empty()).then_some(worst)
}
