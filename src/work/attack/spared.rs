//! What an attack that stands in for a dearer one has spent beside it, and how much it may have missed: the control
//! says both.

use serde::Serialize;

use super::attacked::Attacked;
use super::control::{asked, given_away, left};
use super::result::AttackResult;
use super::row::AttackRow;
use crate::record::Work;
use crate::results::format;
use crate::stats::clopper_pearson;
use crate::work::entrant::Entrant;
use crate::work::pool::Pool;

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
    /// Of these, the images that the reference attack was asked about: the control, and those that a job of the
    /// reference attack itself has attacked.
    pub asked: usize,
    /// Of these, the images that only jobs of the reference attack itself have attacked.
    pub asked_apart: usize,
    /// Of the images that were asked about, those that the reference attack broke.
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

/// The attack `of` stands in for the attack `other`: in the same threat model, with the same goal.
pub(super) fn stands_for(of: &Work, other: &Work) -> bool {
    // Other versions have other parts.
    let published = other.parameters.get("version").is_some_and(|version| version == "standard");
    of.method == "fast"
        && other.method == "autoattack"
        && published
        && of.threat == other.threat
        && of.eps == other.eps
        && of.fact("goal") == other.fact("goal")
}

impl Spared {
    /// From the rows of the images, and those of the attack itself that it stands in for, where that was run too;
    /// `None` if the attack stands in for no other.
    pub(super) fn of(pool: &Pool<'_, AttackRow>, stood_for: &[Attacked<'_>]) -> Option<Self> {
        pool.rows.first_key_value()?;
        let mut spared = Self {
            given_away: 0,
            left: 0,
            asked: 0,
            asked_apart: 0,
            broken: 0,
            passes: None,
            passes_with_control: None,
            missed: 1.0,
        };
        let (mut own, mut reference, mut resisted, mut full) = (0, 0, 0_u64, 0);
        for (key, row) in
            pool.rows.iter().flat_map(|(key, rows)| rows.iter().map(move |r| (key, r)))
        {
            let passes = row.reference?;
            if given_away(row) {
                spared.given_away += 1;
                continue;
            }
            own += row.forwards + row.backwards - passes;
            reference += passes;
            if !left(row) && !asked(row) {
                continue;
            }
            spared.left += 1;
            if asked(row) {
                spared.asked += 1;
                spared.broken += usize::from(row.found);
                if left(row) {
                    resisted += 1;
                    full += passes;
                }
                continue;
            }
            let mut apart =
                stood_for.iter().filter_map(|attack| attack.pool.rows.get(key)).flatten();
            let Some(first) = apart.next() else { continue };
            spared.asked += 1;
            spared.asked_apart += 1;
            if left(first) && apart.all(|row| left(row)) {
                resisted += 1;
                full += first.forwards + first.backwards;
            } else {
                spared.broken += 1;
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
        let Self { given_away, left, asked, asked_apart, broken, .. } = self;
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
        let apart = match asked_apart {
            0 => String::new(),
            apart => format!(" ({apart} of them by a job of its own)"),
        };
        format!(
            "{name}: {spent}of {left} images left AutoAttack was asked about {asked}{apart} and broke {broken}, {most}."
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
