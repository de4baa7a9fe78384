//! The models and data sets of a run, opened where its record says that they lie.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use super::{Settings, Verification};
use crate::bench::{Indexed, again};
use crate::device::{Device, Precision};
use crate::error::{Error, Result};
use crate::model::Classifier as _;
use crate::network::Network;
use crate::record::{JobRecord, RunRecord};

/// The arithmetic in which rows of the job are computed again: its own. tf32 is for GPUs; the CPU stands in for them
/// in f32.
fn precision_of(job: &JobRecord, device: &Device) -> Precision {
    match job.precision.parse() {
        Ok(Precision::Tf32) if *device == Device::Cpu => Precision::F32,
        Ok(precision) => precision,
        Err(_) => Precision::F32,
    }
}

/// Models, in every arithmetic that jobs ran in, and data sets by their names.
pub(super) struct Sources {
    device: Device,
    models: HashMap<(String, Precision), Network>,
    data: BTreeMap<String, Indexed>,
}

impl Sources {
    /// Opens what is there; what is missing or another one is a finding.
    pub(super) fn open(
        record: &RunRecord,
        settings: &Settings,
        found: &mut Verification,
    ) -> Result<Self> {
        let (mut models, mut sets) = (HashMap::new(), BTreeMap::new());
        let device = settings.device.resolve()?;
        for model in &record.models {
            let place = format!("model {}", model.name);
            let Some(network) = found.step(&place, again::network(model))? else { continue };
            found.models += 1;
            let now = &network.info().identity;
            if *now != model.identity {
                let start = |hash: &str| hash.get(..16).unwrap_or(hash).to_owned();
                let (was, now) = (start(&model.identity), start(now));
                let problem = format!(
                    "it is another network than that of the run: it was {was}, it is {now}"
                );
                found.find(place, problem);
                continue;
            }
            let mut opened = Some(network);
            for job in record.jobs.iter().filter(|job| job.model == model.name) {
                let key = (model.name.clone(), precision_of(job, &device));
                if let Entry::Vacant(place) = models.entry(key) {
                    let mut network = opened.take().map_or_else(|| again::network(model), Ok)?;
                    network.place(&device, place.key().1)?;
                    place.insert(network);
                }
            }
        }
        for data in &record.data {
            let place = format!("data {}", data.name);
            if let Some(indexed) = found.step(&place, Indexed::open(&data.spec))? {
                sets.insert(data.name.clone(), indexed);
            }
        }
        Ok(Self { device, models, data: sets })
    }

    /// Network and data set of a job, if both are there.
    pub(super) fn of(&self, job: &JobRecord) -> Option<(&Network, &Indexed)> {
        let key = (job.model.clone(), precision_of(job, &self.device));
        Some((self.models.get(&key)?, self.data.get(&job.data)?))
    }

    /// Compares the images of the data set `name` with what rows say of them: job, index and digest. A
    /// data set that is another one is not used any further.
    pub(super) fn compare_images(
        &mut self,
        name: &str,
        rows: &[(&str, u64, &str)],
        settings: &Settings,
        stop: &(dyn Fn() -> bool + Sync),
        found: &mut Verification,
    ) -> Result<()> {
        let Some(data) = self.data.get(name) else { return Ok(()) };
        let mut wanted: BTreeMap<u64, Vec<(&str, &str)>> = BTreeMap::new();
        for (job, idx, image) in rows {
            wanted.entry(*idx).or_default().push((job, image));
        }
        let indices: Vec<u64> = wanted.keys().copied().collect();
        let place = format!("data {name}");
        let mut same = true;
        for part in indices.chunks(settings.batch.max(1)) {
            if stop() {
                return Err(Error::Interrupted);
            }
            let read = data.read(part).and_then(|batch| batch.digests());
            let Some(digests) = found.step(&place, read)? else {
                same = false;
                break;
            };
            found.images += part.len();
            for (idx, now) in part.iter().zip(digests) {
                if let Some((job, was)) = wanted[idx].iter().find(|(_, was)| *was != now) {
                    let problem = format!(
                        "image {idx} of {job} has other pixels or another label: it was {was}, it is {now}"
                    );
                    found.find(&place, problem);
                    same = false;
                }
            }
        }
        if !same {
            self.data.remove(name);
        }
        Ok(())
    }
}
