//! What can be checked about a table of certificates without the network that it is about. N, alpha and
//! sigma say which radii there can be at all: a ceiling, and below it only as many as there are counts of
//! votes. The rest is bookkeeping that goes wrong in practice: images that come twice or not at all,
//! labels of another data set, abstentions with a radius.
//!
//! [`audit`] reads a table of either kind ([`super::log`]), settles what it claims ([`Claim`]: flags, the
//! run's record, the table's own columns, its name), and runs every check of [`ALL`] on it. A check is one
//! file with a [`Check`] and one line there.

mod abstentions;
mod ceiling;
mod claim;
mod columns;
mod correct;
mod images;
mod labels;
mod printed;
mod rounding;
mod simultaneous;
mod source;
mod subject;
mod summary;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod theory;
mod votes;

use std::path::Path;

use serde::Serialize;

pub use claim::{Claim, Given, Origin, Origins};
pub use images::Pattern;
pub use labels::Labels;
pub use simultaneous::Simultaneous;
pub use source::Source;
pub use summary::{CertifiedShare, Summary};

use crate::data::Dataset;
use crate::error::Result;
use subject::Subject;

/// Version of [`Audit`] as JSON.
pub const AUDIT_VERSION: u32 = 1;

/// A check.
pub struct Check {
    /// Its name in findings.
    pub name: &'static str,
    /// What it looks at, in a line.
    pub about: &'static str,
    run: fn(&Subject) -> Vec<Seen>,
}

/// Every check, in the order in which findings are told.
pub const ALL: &[Check] = &[
    columns::CHECK,
    ceiling::CHECK,
    rounding::CHECK,
    votes::CHECK,
    abstentions::CHECK,
    correct::CHECK,
    images::CHECK,
    labels::CHECK,
];

/// What a check has seen.
struct Seen {
    contradicts: bool,
    what: String,
}

impl Seen {
    /// Something that cannot be if the claim is true.
    fn contradiction(what: impl Into<String>) -> Self {
        Self { contradicts: true, what: what.into() }
    }

    /// Something that the reader should know.
    fn note(what: impl Into<String>) -> Self {
        Self { contradicts: false, what: what.into() }
    }
}

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Name of the check.
    pub check: &'static str,
    /// It cannot be if the claim is true; otherwise it is only worth knowing.
    pub contradicts: bool,
    /// What was seen, as a sentence.
    pub seen: String,
}

/// Everything that an audit says about one table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Audit {
    /// [`AUDIT_VERSION`].
    pub format_version: u32,
    /// The file's name without the extension.
    pub log: String,
    /// Rows of the table.
    pub rows: usize,
    /// What the table is held to.
    pub claim: Claim,
    /// The largest radius that the claim allows; `None` if it certifies nothing.
    pub ceiling: Option<f64>,
    /// The largest radius of the table.
    pub largest: f64,
    /// The smallest N that allows every radius of the table under the claimed alpha and sigma, however
    /// the radii were rounded; `None` if no N does or the table has no certificate.
    pub smallest_n: Option<u64>,
    /// Which images it is about.
    pub images: Pattern,
    /// What was found, contradictions and notes.
    pub findings: Vec<Finding>,
    /// The accuracies of the table, computed again.
    pub summary: Summary,
}

impl Audit {
    /// Something contradicts the claim.
    pub fn contradicted(&self) -> bool {
        self.findings.iter().any(|finding| finding.contradicts)
    }
}

/// Audits the table at `path`. `given` are claims that overrule what the table says of itself, `data` is
/// the data set to compare labels with. Certified accuracy is computed at `radii`, or if there are none at
/// those of the run, or else at 0, 0.25, 0.5, ... up to the largest; `simultaneous` asks for the share
/// that holds for all images at once, too.
///
/// # Errors
/// If the file cannot be read or is no table of smoothing, sigma is not said anywhere, a setting is out of
/// its range, or the data set cannot be read. A table that is merely wrong is not an error.
pub fn audit(
    path: &Path,
    given: &Given,
    data: Option<&dyn Dataset>,
    radii: &[f64],
    simultaneous: bool,
) -> Result<Audit> {
    let table = table::Table::read(path)?;
    let source = Source::find(path)?;
    let claim = Claim::resolve(given, source.as_ref(), &table)?;
    let labels = data.map(|data| Labels::of(data, table.rows.iter().map(|row| row.idx)));
    let subject = Subject::new(table, claim, source.as_ref(), labels.transpose()?)?;
    summarise(&subject, radii, simultaneous)
}

/// Runs the checks on a subject.
fn summarise(subject: &Subject, radii: &[f64], simultaneous: bool) -> Result<Audit> {
    let findings = ALL.iter().flat_map(|check| {
        (check.run)(subject).into_iter().map(|seen| Finding {
            check: check.name,
            contradicts: seen.contradicts,
            seen: seen.what,
        })
    });
    Ok(Audit {
        format_version: AUDIT_VERSION,
        log: subject.table.name.clone(),
        rows: subject.table.rows.len(),
        claim: subject.claim.clone(),
        ceiling: subject.theory.ceiling(subject.claim.n, subject.claim.alpha),
        largest: subject.largest(),
        smallest_n: ceiling::smallest_n(subject),
        images: Pattern::of(subject.table.rows.iter().map(|row| row.idx)),
        findings: findings.collect(),
        summary: Summary::of(subject, radii, simultaneous)?,
    })
}

/// `1 radius`, `7 radii`.
fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The first few of `images`, to be looked up.
fn some(images: &[u64]) -> String {
    let shown: Vec<String> = images.iter().take(5).map(ToString::to_string).collect();
    let more = if images.len() > shown.len() { ", ..." } else { "" };
    let image = if images.len() == 1 { "image" } else { "images" };
    format!("{image} {}{more}", shown.join(", "))
}

/// A radius in six decimals, rounded down.
fn down(radius: f64) -> String {
    crate::stats::rounding::floor_decimals(radius, 6).to_string()
}

/// A number in at most six significant digits.
fn short(x: f64) -> String {
    if !x.is_finite() {
        return x.to_string();
    }
    if x == 0.0 {
        return "0".to_owned();
    }
    // The twelve decimals below would round it to zero.
    if x.abs() < 1e-12 {
        return format!("{x:e}");
    }
    let digits = (5 - x.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{x:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}
