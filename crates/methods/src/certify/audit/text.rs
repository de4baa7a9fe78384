//! An audit in words, for a terminal.

use std::fmt::{Display, Formatter, Result};

use super::{Audit, Claim, Origin, Origins, Simultaneous, down, short};

/// Findings are broken into lines of at most so many characters.
const WIDTH: usize = 100;

impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Given => "given",
            Self::Run => "run.toml",
            Self::Columns => "columns",
            Self::Name => "file name",
            Self::Usual => "assumed",
        })
    }
}

impl Display for Claim {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Origins { sigma, n0, n, alpha } = self.origins;
        write!(f, "{} noise, ", self.noise)?;
        if self.family.has_sigma() {
            write!(f, "sigma {} ({sigma}), ", self.sigma)?;
        }
        write!(f, "N0 {} ({n0}), N {} ({n}), alpha {} ({alpha})", self.n0, self.n, self.alpha)
    }
}

impl Display for Audit {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let percent = |share: f64| format!("{:.2}", 100.0 * share);
        writeln!(f, "{}: {} rows, {}", self.log, self.rows, self.images)?;
        writeln!(f, "  claim    {}", self.claim)?;
        match self.ceiling {
            Some(ceiling) => writeln!(
                f,
                "  ceiling  {} radius {}; the largest of the table is {}",
                self.claim.norm,
                down(ceiling),
                self.largest
            )?,
            None => writeln!(f, "  ceiling  none: every image abstains")?,
        }
        if let (Some(n), Origin::Usual) = (self.smallest_n, self.claim.origins.n) {
            writeln!(
                f,
                "           N {} is only assumed; the smallest N that allows the largest radius is {n}",
                self.claim.n
            )?;
        }
        for share in &self.summary.certified {
            let interval = format!("{}-{}", percent(share.low), percent(share.high));
            write!(f, "  r {:<6} certified {:>6} %", short(share.radius), percent(share.rate))?;
            write!(f, "  (95 %: {interval}")?;
            if share.at_least < share.rate {
                write!(
                    f,
                    "; rounding may have added {:.2}",
                    100.0 * (share.rate - share.at_least)
                )?;
            }
            writeln!(f, ")")?;
            if let Some(Simultaneous { bonferroni, holm }) = share.simultaneous {
                let (holm, bonferroni) = (percent(holm), percent(bonferroni));
                writeln!(
                    f,
                    "{:>30} % for all images at once (Holm; Bonferroni {bonferroni})",
                    holm
                )?;
            }
        }
        write!(
            f,
            "  abstained {} %, average certified radius {:.4}",
            percent(self.summary.abstained),
            self.summary.average_radius
        )?;
        match self.summary.seconds {
            Some(seconds) => writeln!(f, ", {seconds:.3} s per image")?,
            None => writeln!(f)?,
        }
        for finding in &self.findings {
            let weight = if finding.contradicts { "CONTRADICTION" } else { "note" };
            let sentence = format!("{weight}, {}: {}.", finding.check, finding.seen);
            let mut width = WIDTH;
            for (number, word) in sentence.split(' ').enumerate() {
                width += 1 + word.chars().count();
                match (width > WIDTH, number) {
                    (true, 0) => write!(f, "  {word}")?,
                    (true, _) => write!(f, "\n    {word}")?,
                    (false, _) => write!(f, " {word}")?,
                }
                if width > WIDTH {
                    width = 4 + word.chars().count();
                }
            }
            writeln!(f)?;
        }
        if !self.contradicted() {
            writeln!(f, "  Nothing contradicts the claim.")?;
        }
        Ok(())
    }
}
