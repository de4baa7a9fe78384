//! A comparison as a table for a terminal.

use std::fmt::{Display, Formatter, Result};

use super::{Compared, Comparison};
use crate::results::format;

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "A  {}\nB  {}\n", self.first, self.second)?;
        let interval = format!("{} % interval", 100.0 * self.confidence);
        let header = ["", "A", "B", "A - B", &interval, "only A", "only B", "p", "Holm p"];
        let mut table = vec![header.map(str::to_owned)];
        table.extend(self.rows.iter().map(fields));
        let widths: Vec<usize> = (0..header.len())
            .map(|column| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
            .collect();
        for row in &table {
            let mut line = format!("{:<w$}", row[0], w = widths[0]);
            for (field, width) in row.iter().zip(&widths).skip(1) {
                line += &format!("  {field:>width$}");
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        writeln!(f)?;
        let single = || self.rows.iter().filter(|row| !row.lists).map(|row| row.images);
        if let (Some(least), Some(most)) = (single().min(), single().max()) {
            let images =
                if most == least { most.to_string() } else { format!("{least} to {most}") };
            writeln!(
                f,
                "Shares in percent of {images} images. p: McNemar's exact test, two-sided; Holm p: adjusted \
                 for {} comparisons.",
                self.rows.iter().filter(|row| row.p_value.is_some()).count()
            )?;
        }
        if self.rows.iter().any(|row| row.lists) {
            writeln!(
                f,
                "Corruptions: mean accuracy in percent over the severities, whose table has counts and not \
                 images: there is no p.\nTheir intervals are over corruptions and severities, not over images."
            )?;
        }
        writeln!(f, "Intervals: paired bootstrap, {} draws, seed {}.", self.replicates, self.seed)?;
        if !self.unmatched.is_empty() {
            writeln!(f, "Not compared: {}.", self.unmatched.join(", "))?;
        }
        Ok(())
    }
}

fn fields(row: &Compared) -> [String; 9] {
    let decimals = if row.images >= 1000 { 2 } else { 1 };
    let percent = row.pairs.is_some() || row.lists;
    let value = |x: f64| match percent {
        true => format::fixed(100.0 * x, decimals),
        false => format::fixed(x, 3),
    };
    let signed = |x: f64| match percent {
        true => format::signed(100.0 * x, decimals),
        false => format::signed(x, 3),
    };
    let p = |p: Option<f64>| match p {
        None => "-".to_owned(),
        Some(p) if p < 1e-300 => "< 1e-300".to_owned(),
        Some(p) if p < 1e-4 => format!("{p:.1e}"),
        Some(p) => format!("{p:.4}"),
    };
    let count = |of: fn(&crate::stats::mcnemar::Pairs) -> usize| {
        row.pairs.as_ref().map_or("-".to_owned(), |pairs| of(pairs).to_string())
    };
    [
        row.title.clone(),
        value(row.first),
        value(row.second),
        signed(row.difference),
        format!("{} to {}", signed(row.low), signed(row.high)),
        count(|pairs| pairs.first),
        count(|pairs| pairs.second),
        p(row.p_value),
        p(row.holm),
    ]
}
