//! What an attack that stands in for a dearer one has spent beside it, and how much it may have missed: the control
//! says both.

use serde::Serialize;

use super::control::{asked, given_away, left};
use super::result::AttackResult;
use super::row::AttackRow;
use crate::results::format;
use crate::stats::clopper_pearson;
use crate::work::entrant::Entrant;

/// Confidence of [`Spared::missed`].
const CONFIDENCE: f64 = 0.95;

/// An attack beside the one that it stands in for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spared {
    /// Images that the reference attack got in its place, because a safety check says that gradients mislead. The
    /// numbers below are of the others.
    pub given_away: usize,
    /// Images that it left.
    pub left: usize,
    /// Of these, the images that the reference attack was asked about.
    pub asked: usize,
    /// Of these, the images that the reference attack broke.
    pub broken: usize,
    /// Its passes as a share of those that the reference attack spends on the images that are left, without
    /// those that it spends on the others; `None` if no image that was asked about resisted.
    pub passes: Option<f64>,
    /// The same with the passes of the control.
    pub passes_with_control: Option<f64>,
    /// Share of the images left that the reference attack would break, at most, with a confidence of 95 %
    /// (Clopper and Pearson, one-sided); what it did break if it was asked about all of them.
    pub missed: f64,
}

impl Spared {
    /// From the rows of the images; `None` if the attack stands in for no other.
    pub(super) fn of<'a>(rows: impl Iterator<Item = &'a AttackRow>) -> Option<Self> {
        let mut rows = rows.peekable();
        rows.peek()?;
        let mut spared = Self {
            given_away: 0,
            left: 0,
            asked: 0,
            broken: 0,
            passes: None,
            passes_with_control: None,
            missed: 1.0,
        };
        let (mut own, mut reference, mut resisted, mut full) = (0, 0, 0_u64, 0);
        for row in rows {
            let passes = row.reference?;
            if given_away(row) {
                spared.given_away += 1;
                continue;
            }
            own += row.forwards + row.backwards - passes;
            reference += passes;
            if left(row) || asked(row) {
                spared.left += 1;
            }
            if asked(row) {
                spared.asked += 1;
                spared.broken += usize::from(row.found);
            }
            if asked(row) && left(row) {
                resisted += 1;
                full += passes;
            }
        }
        if resisted > 0 {
            let dear = full as f64 / resisted as f64 * spared.left as f64;
            spared.passes = Some(own as f64 / dear);
            spared.passes_with_control = Some((own + reference) as f64 / dear);
        }
        let (broken, asked) = (spared.broken as u64, spared.asked as u64);
        spared.missed = match spared.left {
            0 => 0.0,
            left if left == spared.asked => broken as f64 / left as f64,
            _ => clopper_pearson::upper(broken, asked, 1.0 - CONFIDENCE),
        };
        Some(spared)
    }

    /// In a sentence about the attack `name`.
    fn sentence(&self, name: &str) -> String {
        let Self { given_away, left, asked, broken, .. } = self;
        if *given_away > 0 && *left == 0 {
            return format!(
                "{name}: AutoAttack did the work on all {given_away} images, because a safety check says that gradients mislead."
            );
        }
        let share = |share: Option<f64>| format!("{:.1} %", 100.0 * share.unwrap_or_default());
        let spent = match self.passes {
            Some(_) => format!(
                "{} of the passes that AutoAttack spends on the images that are left ({} with the control); ",
                share(self.passes),
                share(self.passes_with_control),
            ),
            None => String::new(),
        };
        let most = match asked == left {
            true => "which are all".to_owned(),
            false => {
                format!("of those left at most {} (95 % confidence)", share(Some(self.missed)))
            }
        };
        format!(
            "{name}: {spent}of {left} images left AutoAttack was asked about {asked} and broke {broken}, {most}."
        )
    }
}

/// A sentence for each attack of a board that stands in for another.
pub(super) fn reading(entrants: &[&Entrant]) -> Vec<String> {
    let of = |entrant: &&Entrant, attack: &AttackResult| {
        let eps = attack.budgets.first().and_then(|budget| budget.eps);
        let eps = eps.map_or(String::new(), |eps| format!(" {}", format::eps(eps)));
        let name = format!("{}{eps} on {}", attack.label, entrant.model.name);
        attack.spared.as_ref().map(|spared| spared.sentence(&name))
    };
    let all = entrants.iter().flat_map(|entrant| {
        entrant.results::<AttackResult>().filter_map(move |attack| of(entrant, attack))
    });
    all.collect()
}
