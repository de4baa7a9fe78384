//! Networks behind an address: a service of one's own is asked over HTTP for the answers to batches of images. It
//! tells logits, probabilities or classes, and no gradients. What answers there may change from one request to the
//! next, and no file holds it: a run records the address and what the service says of itself.

mod answer;
mod card;
mod client;
#[cfg(test)]
mod tests;

use std::path::Path;

pub use self::card::{Answers, Card};
use self::client::Client;
pub use self::client::stop_if;
use crate::attack::Asks;
use crate::digest::sha256;
use crate::error::{Error, Result};
use crate::model::{Classifier, ModelInfo, Pull, Usage};
use crate::record::{ServiceBody, ServiceForm};
use crate::rows::Rows;

/// Where networks of services run, in records.
pub const DEVICE: &str = "http";

/// What records and boards say of networks of services.
pub const NOTE: &str = "asked over HTTP";

/// Images of a request, unless the service or the user says otherwise.
const BATCH: usize = 64;

/// Whether `path` is the address of a service and not that of a file.
pub fn is_address(path: &str) -> bool {
    let scheme = path.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https"))
}

/// What a network at `address` is called for want of a better name: the last part of its path, or the host.
pub fn stem(address: &str) -> String {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let last = path.rsplit('/').find(|part| !part.is_empty());
    last.unwrap_or(host.split(':').next().unwrap_or(host)).to_owned()
}

/// A network that a service answers for.
pub struct Service {
    info: ModelInfo,
    card: Card,
    body: ServiceBody,
    batch: usize,
    client: Client,
}

impl Service {
    /// Asks the service at `address` what it is, or reads it in the file that `form` names.
    ///
    /// # Errors
    /// If the address or a setting cannot be used, the service does not answer, or what it says of itself is
    /// no description.
    pub fn open(address: &str, form: &ServiceForm, name: Option<&str>) -> Result<Self> {
        let client = Client::new(address, form)?;
        let card = match &form.card {
            Some(path) => Card::read(Path::new(path))?,
            None => Card::parse(&client.describe()?, address)?,
        };
        let batch = form.batch.unwrap_or(BATCH).min(card.batch.unwrap_or(usize::MAX));
        if batch == 0 {
            return Err(Error::setting("service: batch", "is 0", "give at least 1 image"));
        }
        let name = name.map(str::to_owned).or_else(|| card.name.clone());
        let name = name.unwrap_or_else(|| stem(address));
        let mut info = ModelInfo::new(name, card.shape, card.classes);
        info.architecture = DEVICE.into();
        info.sha256.clone_from(&card.digest);
        info.identity = sha256(format!("{DEVICE}\n{address}\n{}", card.digest).as_bytes());
        info.randomised = card.randomised;
        let body = form.body.or(card.body).unwrap_or_default();
        Ok(Self { info, card, body, batch, client })
    }

    /// What it says of itself.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Images of a request at most.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// What an attack may ask of it.
    pub fn tells(&self) -> Asks {
        match self.card.answers {
            Answers::Logits | Answers::Probabilities => Asks::Logits,
            Answers::Classes => Asks::Classes,
        }
    }

    /// Logits of as many images as one request may have.
    fn part(&self, pixels: &[f32], count: usize) -> Result<Vec<f32>> {
        let [c, h, w] = self.info.input_shape;
        let answer = self.client.ask(self.body, [count, c, h, w], pixels, self.info.classes)?;
        answer::read(&answer, &self.card, count)
            .map_err(|problem| self.client.error(problem, answer::REMEDY))
    }
}

impl Classifier for Service {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn logits(&self, images: &Rows) -> Result<Rows> {
        if images.shape()[1..] != self.info.input_shape {
            return Err(Error::setting(
                "images",
                format!(
                    "are {:?}, {} takes {:?}",
                    &images.shape()[1..],
                    self.info.name,
                    self.info.input_shape
                ),
                "choose a data set of the service's input shape",
            ));
        }
        let (pixels, width) = (images.values()?, images.width().max(1));
        let mut logits = Vec::with_capacity(images.len() * self.info.classes);
        for part in pixels.chunks(self.batch * width) {
            logits.extend(self.part(part, part.len() / width)?);
        }
        Rows::new(&images.location(), [images.len(), self.info.classes], logits)
    }

    fn linearise(&self, _: &Rows) -> Result<(Rows, Pull<'_>)> {
        Err(Error::setting(
            format!("model {}", self.info.name),
            "is asked over HTTP, which tells no gradients",
            "choose an attack that asks for none, such as square or rays",
        ))
    }

    /// A request at a time, as large as the service takes them.
    fn usage(&self) -> Usage {
        Usage { lanes: 1, batch: Some(self.batch), approximates: false }
    }
}
