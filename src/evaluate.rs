//! Clean accuracy, with what the network confuses: the first look at a network and at whether it is read as it should
//! be. It leaves nothing on the disk; rows of attacks say the same of every image.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::data::{self, Dataset};
use crate::error::{Error, Result};
use crate::model::{Classifier, predicted};
use crate::results::{Proportion, format};
use crate::work::fits;

/// An error about an image, with the data set that it is of.
fn of_data(error: Error, data: &str) -> Error {
    match error {
        Error::Setting { field, problem, remedy } => {
            Error::setting(format!("{field} of {data}"), problem, remedy)
        }
        other => other,
    }
}

/// What a network makes of clean images.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CleanAccuracy {
    /// Name of the network.
    pub model: String,
    /// Name of the data set.
    pub data: String,
    /// Clean accuracy: the share of the images that are classified correctly.
    pub clean: Proportion,
    /// The classes that images are of, in order.
    pub classes: Vec<ClassAccuracy>,
}

/// What a network makes of the images of one class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassAccuracy {
    /// The class.
    pub class: u32,
    /// The share of its images that are classified correctly.
    pub clean: Proportion,
    /// How many of its images are taken for another class, by class.
    pub taken_for: BTreeMap<u32, usize>,
}

/// Asks `network` about every image of `data`, `batch` at a time; `stop` is asked between batches.
///
/// # Errors
/// If images do not fit the network or cannot be read, there are none, or with [`Error::Interrupted`].
pub fn evaluate(
    network: &dyn Classifier,
    data: &dyn Dataset,
    batch: usize,
    stop: &dyn Fn() -> bool,
) -> Result<CleanAccuracy> {
    let info = network.info();
    fits(network, data)?;
    // By label and prediction.
    let mut counts: BTreeMap<u32, BTreeMap<u32, usize>> = BTreeMap::new();
    let indices: Vec<usize> = (0..data.info().len).collect();
    data::ahead(data, &indices, batch, |batches| -> Result<()> {
        for batch in batches {
            if stop() {
                return Err(Error::Interrupted);
            }
            let batch = batch?;
            let images = batch.rows()?.at(&network.location())?;
            let logits = network.exact_logits(&images)?;
            if !logits.values()?.iter().all(|value| value.is_finite()) {
                return Err(Error::setting(
                    format!("model {}", info.name),
                    "returns NaN or infinity",
                    "check the weights and the normalisation",
                ));
            }
            let classes = predicted(network, &images, &logits)?;
            batch.check_labels(info).map_err(|error| of_data(error, &data.info().name))?;
            for (label, class) in batch.labels.iter().zip(classes) {
                *counts.entry(*label).or_default().entry(class).or_default() += 1;
            }
        }
        Ok(())
    })?;
    let of = |(class, mut taken_for): (u32, BTreeMap<u32, usize>)| {
        let total = taken_for.values().sum();
        let clean = Proportion::new(taken_for.remove(&class).unwrap_or(0), total)?;
        Some(ClassAccuracy { class, clean, taken_for })
    };
    let classes: Vec<ClassAccuracy> = counts.into_iter().filter_map(of).collect();
    let sum = |of: &dyn Fn(&Proportion) -> usize| classes.iter().map(|one| of(&one.clean)).sum();
    let clean = Proportion::new(sum(&|clean| clean.count), sum(&|clean| clean.total));
    let (model, data) = (info.name.clone(), data.info().name.clone());
    let none = || Error::setting(format!("data {data}"), "it has no images", "choose another one");
    Ok(CleanAccuracy { clean: clean.ok_or_else(none)?, model, data: data.clone(), classes })
}

impl fmt::Display for CleanAccuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Classes beside each other in a line; the JSON has all.
        const SHOWN: usize = 3;
        let Self { model, data, clean, classes } = self;
        writeln!(
            f,
            "{model} on {data}: clean accuracy {} % ({} of {} images, 95 % interval {})",
            format::percent(clean),
            clean.count,
            clean.total,
            format::interval(clean, None),
        )?;
        write!(f, "{:>6} {:>7} {:>9}  taken for", "class", "images", "correct")?;
        for ClassAccuracy { class, clean, taken_for } in classes {
            let mut others: Vec<(&u32, &usize)> = taken_for.iter().collect();
            others.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            let more = others.len().saturating_sub(SHOWN);
            let mut others: Vec<String> = others
                .into_iter()
                .take(SHOWN)
                .map(|(other, count)| format!("{other} ({count})"))
                .collect();
            if more > 0 {
                others.push(format!("{more} more"));
            }
            let (total, rate) = (clean.total, format::percent(clean));
            let line = format!("{class:>6} {total:>7} {rate:>7} %  {}", others.join(", "));
            write!(f, "\n{}", line.trim_end())?;
        }
        Ok(())
    }
}
