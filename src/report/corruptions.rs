//! The corruption benchmark in numbers: accuracy for each corruption and severity, their mean, and the mean
//! corruption error relative to a baseline network (Hendrycks and Dietterich, ICLR 2019, section 4.2).

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, TableStyle};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::published::{self, Subject};
use crate::record::{CorruptionRecord, CorruptionRow, SEVERITIES};

const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));

/// The result of one network. Rates are in [0, 1].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CorruptionReport {
    /// The network and the data.
    pub record: CorruptionRecord,
    /// A line per corruption, in the order of the record.
    pub corruptions: Vec<CorruptionLine>,
    /// Mean accuracy over corruptions and severities.
    pub accuracy: f64,
    /// Images behind each accuracy, at least.
    pub images: usize,
    /// Name of the baseline network.
    pub baseline: Option<String>,
    /// Mean corruption error relative to the baseline.
    pub mce: Option<f64>,
    /// What is published for the network, if it is an entry: name, accuracy, mCE.
    pub published: Option<(String, f64, Option<f64>)>,
}

/// One corruption.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CorruptionLine {
    /// Its name.
    pub corruption: String,
    /// Accuracy at severities 1, 2, ...
    pub severities: Vec<f64>,
    /// Their mean.
    pub accuracy: f64,
    /// Corruption error relative to the baseline.
    pub error: Option<f64>,
}

impl CorruptionReport {
    /// Derives the numbers from the rows of a finished measurement, and of the baseline's if there is
    /// one.
    ///
    /// # Errors
    /// If a corruption or severity is missing in either, the baseline makes no error in one of the
    /// corruptions, or the network is said to be an entry of another kind of table.
    pub fn new(
        record: CorruptionRecord,
        rows: &[CorruptionRow],
        baseline: Option<&(CorruptionRecord, Vec<CorruptionRow>)>,
    ) -> Result<Self> {
        let mut lines = Vec::new();
        for corruption in &record.corruptions {
            let severities = severities(corruption, rows, &record.model.name)?;
            let accuracy = mean(&severities);
            let error = match baseline {
                None => None,
                Some((of, rows)) => {
                    let base = 1.0 - mean(&self::severities(corruption, rows, &of.model.name)?);
                    if base <= 0.0 {
                        return Err(Error::setting(
                            "baseline",
                            format!("{} makes no error under {corruption}", of.model.name),
                            "choose a weaker network: errors are divided by its own",
                        ));
                    }
                    Some((1.0 - accuracy) / base)
                }
            };
            lines.push(CorruptionLine {
                corruption: corruption.clone(),
                severities,
                accuracy,
                error,
            });
        }
        let errors: Option<Vec<f64>> = lines.iter().map(|line| line.error).collect();
        let published = match &record.model.published {
            None => None,
            Some(reference) => {
                let (table, entry) = published::find(reference)?;
                match (table.subject, entry.corruptions) {
                    (Subject::Corruptions, Some(accuracy)) => {
                        Some((reference.clone(), accuracy / 100.0, entry.mce.map(|m| m / 100.0)))
                    }
                    _ => {
                        return Err(Error::setting(
                            "published",
                            format!("{reference} is no entry about corruptions"),
                            "name one of a table such as cifar10-corruptions",
                        ));
                    }
                }
            }
        };
        Ok(Self {
            accuracy: mean(&lines.iter().map(|line| line.accuracy).collect::<Vec<_>>()),
            images: rows.iter().map(|row| row.images).min().unwrap_or(0),
            baseline: baseline.map(|(of, _)| of.model.name.clone()),
            mce: errors.map(|errors| mean(&errors)),
            corruptions: lines,
            record,
            published,
        })
    }

    /// A table for the terminal.
    pub fn text(&self) -> String {
        let (header, rows) = self.table();
        let mut table = comfy_table::Table::new();
        table.load_style(STYLE).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(header);
        for row in rows {
            table.add_row(row);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        format!("{}\n{}\n{}\n", self.headline(), lines.join("\n"), self.notes().join("\n"))
    }

    /// A GitHub-flavoured table.
    pub fn markdown(&self) -> String {
        let (header, rows) = self.table();
        let line = |fields: &[String]| format!("| {} |\n", fields.join(" | "));
        let mut text = format!("# {}\n\n{}", self.headline(), line(&header));
        text += &format!("|---|{}\n", "--:|".repeat(header.len() - 1));
        rows.iter().for_each(|row| text += &line(row));
        text += "\n";
        self.notes().iter().for_each(|note| text += &format!("- {note}\n"));
        text
    }

    fn headline(&self) -> String {
        format!("{} under corruptions, {}", self.record.model.name, self.record.data)
    }

    fn table(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let percent = |rate: f64| format!("{:.2}", 100.0 * rate);
        let severities = self.corruptions.iter().map(|c| c.severities.len()).max().unwrap_or(0);
        let mut header = vec!["corruption".to_owned()];
        header.extend((1..=severities).map(|severity| severity.to_string()));
        header.push("mean".into());
        header.extend(self.mce.map(|_| "error".into()));
        let mut rows: Vec<Vec<String>> = self
            .corruptions
            .iter()
            .map(|line| {
                let mut row = vec![line.corruption.clone()];
                row.extend(line.severities.iter().copied().map(percent));
                row.push(percent(line.accuracy));
                row.extend(line.error.map(percent));
                row
            })
            .collect();
        let at = |severity: usize| {
            mean(&self.corruptions.iter().map(|c| c.severities[severity]).collect::<Vec<_>>())
        };
        let mut last = vec!["mean".to_owned()];
        last.extend((0..severities).map(|severity| percent(at(severity))));
        last.push(percent(self.accuracy));
        last.extend(self.mce.map(percent));
        rows.push(last);
        (header, rows)
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = vec![format!(
            "Accuracies in percent of {} images for each corruption and severity.",
            self.images
        )];
        if let (Some(baseline), Some(mce)) = (&self.baseline, self.mce) {
            notes.push(format!(
                "Error: relative to that of {baseline}, in percent; their mean is the mCE, {:.2}.",
                100.0 * mce
            ));
        }
        if let Some((entry, accuracy, _)) = &self.published {
            notes.push(format!(
                "Published for {entry}: {:.2}; measured minus published: {:+.2} points.",
                100.0 * accuracy,
                100.0 * (self.accuracy - accuracy)
            ));
        }
        notes
    }
}

/// Accuracies at severities 1, 2, ..., each measured once.
fn severities(corruption: &str, rows: &[CorruptionRow], model: &str) -> Result<Vec<f64>> {
    let mut own: Vec<&CorruptionRow> = rows.iter().filter(|r| r.corruption == corruption).collect();
    own.sort_by_key(|row| row.severity);
    let whole = own.len() == SEVERITIES
        && (1..).zip(&own).all(|(severity, row)| row.severity == severity && row.images > 0);
    match whole {
        true => Ok(own.iter().map(|row| row.correct as f64 / row.images as f64).collect()),
        false => Err(Error::setting(
            "corruptions",
            format!("{model} was not measured at every severity of {corruption}"),
            "measure it to the end with `epsball corruptions`",
        )),
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{FORMAT_VERSION, ModelRecord};

    fn record(name: &str, corruptions: &[&str]) -> CorruptionRecord {
        CorruptionRecord {
            device: "cpu".into(),
            format_version: FORMAT_VERSION,
            epsball: "0.1.0".into(),
            data: "cifar-c:CIFAR-10-C,CORRUPTION,SEVERITY".into(),
            first: None,
            corruptions: corruptions.iter().map(|c| (*c).to_owned()).collect(),
            model: ModelRecord {
                name: name.into(),
                files: vec![],
                average: None,
                arch: None,
                architecture: "wrn-28-10".into(),
                sha256: "a".repeat(64),
                identity: "a".repeat(64),
                parameters: 1,
                note: String::new(),
                published: None,
            },
        }
    }

    fn rows(corruption: &str, correct: [usize; 5]) -> Vec<CorruptionRow> {
        (1..)
            .zip(correct)
            .map(|(severity, correct)| CorruptionRow {
                corruption: corruption.into(),
                severity,
                correct,
                images: 100,
                data: String::new(),
                model: String::new(),
            })
            .collect()
    }

    /// Fog: errors 10, 20, 30, 40, 50 % against 50 % of the baseline; snow: 20 % against 80 %.
    #[test]
    fn means_and_errors_by_hand() {
        let mut own = rows("fog", [90, 80, 70, 60, 50]);
        own.extend(rows("snow", [80; 5]));
        let mut base = rows("snow", [20; 5]);
        base.extend(rows("fog", [50; 5]));
        let baseline = (record("AlexNet", &["fog", "snow"]), base);
        let mut of = record("ours", &["fog", "snow"]);
        of.model.published = Some("cifar10-corruptions/Standard".into());
        let report = CorruptionReport::new(of, &own, Some(&baseline)).unwrap();
        assert!((report.accuracy - 0.75).abs() < 1e-12);
        let close = |value: Option<f64>, wanted: f64| (value.unwrap() - wanted).abs() < 1e-12;
        assert!(close(report.corruptions[0].error, 0.6));
        assert!(close(report.corruptions[1].error, 0.25));
        assert!(close(report.mce, 0.425));
        insta::assert_snapshot!(report.text(), @r"
        ours under corruptions, cifar-c:CIFAR-10-C,CORRUPTION,SEVERITY
         corruption      1      2      3      4      5   mean  error
        ─────────────────────────────────────────────────────────────
         fog         90.00  80.00  70.00  60.00  50.00  70.00  60.00
         snow        80.00  80.00  80.00  80.00  80.00  80.00  25.00
         mean        85.00  80.00  75.00  70.00  65.00  75.00  42.50
        Accuracies in percent of 100 images for each corruption and severity.
        Error: relative to that of AlexNet, in percent; their mean is the mCE, 42.50.
        Published for cifar10-corruptions/Standard: 73.46; measured minus published: +1.54 points.
        ");
        insta::assert_snapshot!(report.markdown(), @r"
        # ours under corruptions, cifar-c:CIFAR-10-C,CORRUPTION,SEVERITY

        | corruption | 1 | 2 | 3 | 4 | 5 | mean | error |
        |---|--:|--:|--:|--:|--:|--:|--:|
        | fog | 90.00 | 80.00 | 70.00 | 60.00 | 50.00 | 70.00 | 60.00 |
        | snow | 80.00 | 80.00 | 80.00 | 80.00 | 80.00 | 80.00 | 25.00 |
        | mean | 85.00 | 80.00 | 75.00 | 70.00 | 65.00 | 75.00 | 42.50 |

        - Accuracies in percent of 100 images for each corruption and severity.
        - Error: relative to that of AlexNet, in percent; their mean is the mCE, 42.50.
        - Published for cifar10-corruptions/Standard: 73.46; measured minus published: +1.54 points.
        ");
    }

    /// No network of CIFAR has a baseline: the mean stands alone.
    #[test]
    fn without_a_baseline_there_is_no_error() {
        let report =
            CorruptionReport::new(record("ours", &["fog"]), &rows("fog", [90; 5]), None).unwrap();
        assert_eq!((report.mce, report.baseline.as_deref()), (None, None));
        assert!(!report.text().contains("error"));
    }

    /// RobustBench's row of `Standard_R50` in its own table of ImageNet-C, of which 39.23 % and the file
    /// `imagenet-corruptions.csv` are made.
    #[test]
    fn a_published_row_has_its_published_mean() {
        let published = [
            ("shot_noise", [5744, 4294, 2528, 792, 290]),
            ("impulse_noise", [4844, 3580, 2546, 830, 182]),
            ("defocus_blur", [5956, 5152, 3820, 2748, 1830]),
            ("contrast", [6494, 5852, 4690, 2122, 546]),
            ("brightness", [7392, 7244, 6956, 6498, 5866]),
            ("jpeg_compression", [6664, 6244, 5982, 4728, 3144]),
            ("pixelate", [6402, 6426, 4598, 2898, 2068]),
            ("glass_blur", [5400, 4012, 1688, 1310, 1024]),
            ("motion_blur", [6382, 5370, 3758, 2154, 1482]),
            ("zoom_blur", [5290, 4324, 3580, 2878, 2206]),
            ("gaussian_noise", [5978, 4686, 2748, 1128, 218]),
            ("fog", [6138, 5612, 4704, 4088, 2410]),
            ("frost", [6150, 4346, 3090, 2896, 2294]),
            ("snow", [5498, 3154, 3518, 2382, 1654]),
            ("elastic_transform", [6704, 4556, 5526, 4196, 1746]),
        ];
        let rows: Vec<CorruptionRow> = published
            .iter()
            .flat_map(|(name, correct)| rows(name, *correct))
            .map(|row| CorruptionRow { images: 10_000, ..row })
            .collect();
        let mut of = record("Standard_R50", &published.map(|(name, _)| name));
        of.model.published = Some("imagenet-corruptions/Standard_R50".into());
        let report = CorruptionReport::new(of, &rows, None).unwrap();
        let (_, stated, _) = report.published.unwrap();
        assert!((report.accuracy - stated).abs() < 5e-5, "{} and {stated}", report.accuracy);
    }

    #[test]
    fn what_cannot_be_compared() {
        let fog = || record("ours", &["fog"]);
        let full = rows("fog", [90; 5]);
        let error = CorruptionReport::new(fog(), &full[..4], None).unwrap_err();
        assert!(error.to_string().contains("not measured at every severity of fog"), "{error}");
        for (base, problem) in [
            (rows("snow", [50; 5]), "base was not measured at every severity of fog"),
            (rows("fog", [100; 5]), "base makes no error under fog"),
        ] {
            let baseline = (record("base", &["fog"]), base);
            let error = CorruptionReport::new(fog(), &full, Some(&baseline)).unwrap_err();
            assert!(error.to_string().contains(problem), "{error}");
        }
        let mut of = fog();
        of.model.published = Some("cifar10-linf/Standard".into());
        let error = CorruptionReport::new(of, &full, None).unwrap_err();
        assert!(error.to_string().contains("no entry about corruptions"), "{error}");
    }
}
