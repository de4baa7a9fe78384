//! The images of one attack: which are shown, and what is said of them. Model, clean images and saved images have to
//! be those of the rows, or the pictures would show what never happened.

use std::cmp::Reverse;
use std::path::Path;

use super::picture::{difference, png};
use super::{Answer, Broken, Confusion, Exhibit, Rank, Wall};
use crate::attack::Asks;
use crate::bench::Indexed;
use crate::data::{self, Batch};
use crate::error::{Error, Result};
use crate::loss::argmax;
use crate::model::Classifier as _;
use crate::network::Network;
use crate::record::JobRecord;
use crate::results::{Region, format};
use crate::rows::Rows;
use crate::work::{AttackRow, goal};

/// Where the images of an attack are.
pub(super) struct Site<'a> {
    pub(super) job: &'a JobRecord,
    /// The file of its adversarial images.
    pub(super) saved: &'a Path,
    pub(super) network: &'a Network,
    pub(super) data: &'a Indexed,
}

impl Site<'_> {
    /// The images of the job, `each` of every rank.
    ///
    /// # Errors
    /// If an image cannot be read, or is another one than that of its row.
    pub(super) fn wall(&self, rows: &[AttackRow], each: usize) -> Result<Wall> {
        let Self { job, saved, .. } = *self;
        let images = data::open(&format!("safetensors:{}", saved.display()))?;
        let there = &rows[..rows.len().min(images.info().len)];
        let chosen = choose(there, each, job.work.is("minimal"));
        let mut exhibits = Vec::new();
        if !chosen.is_empty() {
            let numbers: Vec<usize> = chosen.iter().map(|(number, _)| *number).collect();
            let shown: Vec<&AttackRow> = numbers.iter().map(|number| &rows[*number]).collect();
            let indices: Vec<u64> = shown.iter().map(|row| row.idx).collect();
            let (clean, adversarial) = (self.data.read(&indices)?, images.read(&numbers)?);
            self.compare("clean", &clean, shown.iter().map(|row| (row.idx, &*row.image)))?;
            let digests = shown.iter().map(|row| (row.idx, &*row.adversarial));
            self.compare("saved", &adversarial, digests)?;
            let ranks = chosen.iter().map(|(_, rank)| *rank);
            exhibits = self.exhibits(ranks.zip(shown), &clean.rows()?, &adversarial.rows()?)?;
        }
        let largest = Region::new(&job.work.threat, job.work.eps.last().copied());
        Ok(Wall {
            job: job.id.clone(),
            threat: goal::title(&job.work.threat, None, job.work.fact("goal")),
            broken: broken(job, rows),
            attacked: rows.iter().filter(|row| row.clean_correct()).count(),
            unsaved: rows.len() - there.len(),
            confusion: Confusion::of(&largest, rows),
            exhibits,
        })
    }

    /// # Errors
    /// If the image of a row is another one than when the row was written.
    fn compare<'r>(
        &self,
        kind: &str,
        images: &Batch,
        rows: impl Iterator<Item = (u64, &'r str)>,
    ) -> Result<()> {
        for (now, (idx, was)) in images.digests()?.iter().zip(rows) {
            if now != was {
                return Err(Error::setting(
                    format!("{}: image {idx}", self.job.id),
                    format!("the {kind} image is another one than when it was attacked"),
                    "`epsball verify` says what else of this run is not as it was",
                ));
            }
        }
        Ok(())
    }

    /// What is shown of the rows, whose images come in their order.
    fn exhibits<'r>(
        &self,
        rows: impl Iterator<Item = (Rank, &'r AttackRow)>,
        clean: &Rows,
        adversarial: &Rows,
    ) -> Result<Vec<Exhibit>> {
        let answers = [answers(self.network, clean)?, answers(self.network, adversarial)?];
        let (clean, adversarial) = (clean.values()?, adversarial.values()?);
        let shape = self.network.info().input_shape;
        let length = shape.iter().product::<usize>().max(1);
        let exhibit = |(at, (rank, row)): (usize, (Rank, &AttackRow))| {
            let of = |images: &[f32]| images[at * length..][..length].to_vec();
            let (x0, x) = (of(&clean), of(&adversarial));
            let (between, factor) = difference(&x, &x0);
            Ok(Exhibit {
                rank,
                idx: row.idx,
                label: row.label,
                clean: answers[0][at],
                adversarial: answers[1][at],
                distance: match self.job.work.threat.as_str() {
                    "L0" if row.distance == 1.0 => "1 value".into(),
                    "L0" => format!("{} values", row.distance),
                    "L0-pixels" if row.distance == 1.0 => "1 pixel".into(),
                    threat if threat == "L0-pixels" || threat.starts_with("patch") => {
                        format!("{} pixels", row.distance)
                    }
                    _ => format!("{:.4}", row.distance),
                },
                passes: row.forwards + row.backwards,
                by: row.by.clone(),
                factor,
                pictures: [png(&x0, shape)?, png(&x, shape)?, png(&between, shape)?],
            })
        };
        rows.enumerate().map(exhibit).collect()
    }
}

/// How many images the job broke at each of its budgets.
fn broken(job: &JobRecord, rows: &[AttackRow]) -> Vec<Broken> {
    let within = |eps: Option<f64>| {
        let region = Region::new(&job.work.threat, eps);
        let images = rows.iter().filter(|row| row.breaks(&region)).count();
        let budget = eps.map_or(String::new(), |eps| format!("eps {}", format::eps(eps)));
        Broken { budget, images }
    };
    match job.work.eps.as_slice() {
        [] => vec![within(None)],
        budgets => budgets.iter().map(|eps| within(Some(*eps))).collect(),
    }
}

/// Numbers of the rows to show, rank by rank, each once: the closest by distance, those around the median, and of the
/// others the hardest: those that took most passes or, of attacks that minimise the distance and spend the same on
/// every image, the farthest. Of equals the first in the table.
pub(super) fn choose(rows: &[AttackRow], each: usize, minimal: bool) -> Vec<(usize, Rank)> {
    let mut near: Vec<usize> = (0..rows.len()).filter(|at| rows[*at].adversarial()).collect();
    near.sort_by(|a, b| rows[*a].distance.total_cmp(&rows[*b].distance));
    let middle = near.len().saturating_sub(each) / 2;
    let passes = |at: usize| match minimal {
        true => 0,
        false => rows[at].forwards + rows[at].backwards,
    };
    let mut hard = near.clone();
    hard.sort_by(|a, b| {
        let farthest = || rows[*b].distance.total_cmp(&rows[*a].distance);
        Reverse(passes(*a)).cmp(&Reverse(passes(*b))).then_with(farthest)
    });
    let mut chosen: Vec<(usize, Rank)> = Vec::new();
    for (order, rank) in
        [(&near[..], Rank::Closest), (&near[middle..], Rank::Median), (&hard[..], Rank::Hardest)]
    {
        let new: Vec<usize> = order
            .iter()
            .copied()
            .filter(|at| chosen.iter().all(|(other, _)| other != at))
            .take(each)
            .collect();
        chosen.extend(new.into_iter().map(|at| (at, rank)));
    }
    chosen
}

/// What the network says of each image.
fn answers(network: &Network, images: &Rows) -> Result<Vec<Answer>> {
    let logits = network.exact_logits(images)?;
    let width = logits.width().max(1);
    let tells = network.tells() > Asks::Classes;
    let answer = |z: &[f32]| {
        let class = argmax(z);
        let sum: f64 = z.iter().map(|v| (f64::from(*v) - f64::from(z[class])).exp()).sum();
        Answer { class: class as u32, confidence: tells.then_some(1.0 / sum) }
    };
    Ok(logits.values()?.chunks_exact(width).map(answer).collect())
}
