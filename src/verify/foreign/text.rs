//! The judgement as text and its rows as CSV.

use std::fmt;

use super::{Judgement, Outside};
use crate::error::{Error, Result};

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| format!("{:.2} %", 100.0 * share);
        let hash = self.sha256.get(..16).unwrap_or(&self.sha256);
        writeln!(f, "{}: sha256 {hash}", self.file.display())?;
        let budget = self.eps.map(|eps| format!(", eps {eps}")).unwrap_or_default();
        let (model, data) = (&self.model, &self.data);
        writeln!(f, "{model} on {data}, {} images, {}{budget}", self.images, self.threat)?;
        let [low, high] = self.interval.map(percent);
        let (left, most) = (self.robust + self.outside, percent(self.robust_accuracy));
        writeln!(
            f,
            "robust accuracy  at most {most} ({left} of {}; 95 % interval {low} to {high})",
            self.images
        )?;
        let right = self.images - self.misclassified;
        let clean = percent(self.clean_accuracy);
        writeln!(f, "clean accuracy   {clean} ({right} of {})", self.images)?;
        write!(
            f,
            "verdicts         {} broken, {} robust, {} outside, {} misclassified",
            self.broken, self.robust, self.outside, self.misclassified
        )?;
        if let Some(farthest) = self.farthest {
            let unit = if self.eps.is_some() { self.threat.as_str() } else { "changed pixels" };
            write!(f, "\nfarthest broken  {farthest} {unit}")?;
        }
        if let Some(about) = &self.about_outside {
            self.outside(about, f)?;
        }
        match self.not_allowed.saturating_sub(self.outside) {
            0 => Ok(()),
            others => write!(
                f,
                "\nnot allowed      {others} more outside the threat model, which are classified \
                 correctly or whose clean image is misclassified"
            ),
        }
    }
}

impl Judgement {
    fn outside(&self, about: &Outside, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\noutside          {} misclassified, which do not count:", self.outside)?;
        let option = if self.eps.is_some() { "eps" } else { "patch" };
        if let (Some(excess), Some(sufficient)) = (about.excess, &about.sufficient) {
            let unit = if self.eps.is_some() { "" } else { " pixels" };
            let decimals = if self.threat.starts_with("L0") { 0 } else { 6 };
            write!(
                f,
                " up to {excess:.decimals$}{unit} too far, {option} {sufficient} would count them"
            )?;
        }
        if about.beyond_box > 0 {
            let separator = if about.excess.is_some() { ";" } else { "" };
            let n = about.beyond_box;
            write!(
                f,
                "{separator} {n} leave the box [0, 1] or hold NaN, which no {option} allows"
            )?;
        }
        Ok(())
    }

    /// The verdicts as CSV, a line per image after a header.
    ///
    /// # Errors
    /// If a row cannot be written.
    pub fn csv(&self) -> Result<Vec<u8>> {
        let failed = |problem: String| Error::setting("verdicts", problem, "report this as a bug");
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in &self.verdicts {
            writer.serialize(row).map_err(|e| failed(e.to_string()))?;
        }
        writer.into_inner().map_err(|e| failed(e.to_string()))
    }
}
