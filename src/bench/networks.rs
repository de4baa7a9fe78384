//! The networks of a plan. Each is read when the plan is made, so that mistakes show then; of many only those that
//! were asked for last stay in memory, and the others are read again when their turn comes.

use std::sync::{Arc, Mutex, PoisonError};

use super::models;
use super::suite::{ModelEntry, Suite};
use crate::device::{Device, Precision};
use crate::error::{Error, Result};
use crate::model::Classifier as _;
use crate::network::Network;
use crate::record::ModelRecord;
use crate::service::DEVICE;

/// Weights that stay in memory, in bytes; the network that is asked for stays in any case. A network keeps its
/// weights up to twice, as they are and as the kernels read them.
const KEPT: usize = 64 << 20;

/// See the module.
#[derive(Default)]
pub struct Networks {
    entries: Vec<ModelEntry>,
    /// What each network computed with when the plan was made.
    identities: Vec<String>,
    /// Where each runs, in records.
    places: Vec<String>,
    /// How many images at a time each asks for.
    usual: Vec<Option<usize>>,
    memory: Option<f64>,
    device: Device,
    precision: Precision,
    /// Those in memory by their numbers, the one asked for last at the end.
    held: Mutex<Vec<(usize, Arc<Network>)>>,
}

impl Networks {
    /// Reads the networks of a suite and puts them where they will run. A wish for whatever there is becomes the CPU,
    /// with a warning, if one of them cannot run on the GPU.
    ///
    /// # Errors
    /// If a file cannot be used, or the device cannot.
    pub(super) fn read(suite: &Suite) -> Result<(Self, Vec<ModelRecord>)> {
        let mut networks = Self {
            entries: suite.models.clone(),
            identities: Vec::new(),
            places: Vec::new(),
            usual: Vec::new(),
            memory: suite.memory,
            device: suite.device.clone(),
            precision: suite.precision,
            held: Mutex::default(),
        };
        let mut records = Vec::new();
        // Once one of them cannot run on the GPU, none does.
        let mut wish = suite.device.clone();
        for (number, entry) in suite.models.iter().enumerate() {
            let read = models::load(entry, suite.memory);
            let (mut network, record) =
                read.map_err(|error| suite.source.locate("model", number, error))?;
            let place = models::place(&mut network, &wish, suite.precision)?;
            networks.places.push(network.place_name(&place));
            if network.engine().is_some() {
                networks.device = place;
            }
            if networks.device == Device::Cpu && wish != Device::Cpu {
                let moved = networks.places.iter_mut().filter(|place| place.as_str() != DEVICE);
                moved.for_each(|place| *place = Device::Cpu.to_string());
                networks.held = Mutex::default();
                wish = Device::Cpu;
            }
            networks.usual.push(network.usage().batch);
            networks.identities.push(record.identity.clone());
            records.push(record);
            networks.hold(number, network);
        }
        models::warn_of_slow(&networks.device, suite.precision);
        Ok((networks, records))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many images at a time network number `number` asks for.
    pub(super) fn usual_batch(&self, number: usize) -> Option<usize> {
        self.usual.get(number).copied().flatten()
    }

    /// Where they run, as a session says it: those on the engine, if there are any.
    pub(super) fn device(&self) -> String {
        match self.places.iter().all(|place| place == DEVICE) && !self.places.is_empty() {
            true => DEVICE.to_owned(),
            false => self.device.to_string(),
        }
    }

    /// Where network number `number` runs.
    pub(super) fn place(&self, number: usize) -> &str {
        &self.places[number]
    }

    /// Network number `number`.
    ///
    /// # Errors
    /// If it has to be read again and cannot be, or its file has another network in it by now.
    pub fn get(&self, number: usize) -> Result<Arc<Network>> {
        if let Some(network) = self.find(number) {
            return Ok(network);
        }
        let (mut network, record) = models::load(&self.entries[number], self.memory)?;
        if record.identity != self.identities[number] {
            return Err(Error::setting(
                format!("model {}", record.name),
                "its file was changed while the suite ran",
                "put the file back, or run the suite again",
            ));
        }
        network.place(&self.device, self.precision)?;
        Ok(self.hold(number, network))
    }

    fn find(&self, number: usize) -> Option<Arc<Network>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let at = held.iter().position(|(known, _)| *known == number)?;
        let found = held.remove(at);
        let network = Arc::clone(&found.1);
        held.push(found);
        Some(network)
    }

    /// Keeps the network, and lets go of those whose last use lies back longest.
    fn hold(&self, number: usize, network: Network) -> Arc<Network> {
        let network = Arc::new(network);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.push((number, Arc::clone(&network)));
        let bytes = |network: &Network| size_of::<f32>() * network.info().parameters;
        let mut sum: usize = held.iter().map(|(_, network)| bytes(network)).sum();
        while sum > KEPT && held.len() > 1 {
            sum -= bytes(&held.remove(0).1);
        }
        network
    }
}
