//! The network of a job: one of a file, which runs on the engine, or one that a service answers for.

use std::fmt::Debug;

use crate::attack::Asks;
use crate::device::{Device, Precision};
use crate::error::{Error, Result};
use crate::loss::Loss;
use crate::model::{Classifier, Evaluation, FrozenNetwork, ModelInfo, Noisy, Pull, Usage};
use crate::rows::{Location, Rows};
use crate::service::Service;

/// A network that jobs run on.
pub enum Network {
    /// On the engine.
    Engine(Box<FrozenNetwork>),
    /// Behind an address.
    Service(Box<Service>),
}

impl Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Network").field(&self.info().name).finish()
    }
}

impl From<FrozenNetwork> for Network {
    fn from(network: FrozenNetwork) -> Self {
        Self::Engine(Box::new(network))
    }
}

impl Network {
    /// The network, if it runs on the engine.
    pub fn engine(&self) -> Option<&FrozenNetwork> {
        match self {
            Self::Engine(network) => Some(network),
            Self::Service(_) => None,
        }
    }

    /// The network on the engine, for `what` looks into it.
    ///
    /// # Errors
    /// If a service answers for it.
    pub(crate) fn looked_into(&self, what: &str) -> Result<&FrozenNetwork> {
        self.engine().ok_or_else(|| {
            Error::setting(
                what,
                format!("looks into the network, and {} is asked over HTTP", self.info().name),
                "use a certificate that asks for answers only: randomized smoothing (cohen), patchcleanser, or \
                 column-smoothing and its siblings",
            )
        })
    }

    /// What can be asked of it.
    pub fn tells(&self) -> Asks {
        match self {
            Self::Engine(_) => Asks::Gradients,
            Self::Service(service) => service.tells(),
        }
    }

    /// Where records say that it ran; `device` is where networks on the engine do.
    pub(crate) fn place_name(&self, device: &Device) -> String {
        match self {
            Self::Engine(_) => device.to_string(),
            Self::Service(_) => crate::service::DEVICE.to_owned(),
        }
    }

    /// See [`FrozenNetwork::neutral`]; 0 for what nothing is known of.
    ///
    /// # Errors
    /// If the device fails.
    pub(crate) fn neutral(&self) -> Result<Vec<f32>> {
        match self {
            Self::Engine(network) => network.neutral(),
            Self::Service(service) => Ok(vec![0.0; service.info().input_shape[0]]),
        }
    }

    /// Puts it where it will run; a service stays where it is.
    ///
    /// # Errors
    /// If it cannot run there, or in this arithmetic.
    pub(crate) fn place(&mut self, device: &Device, precision: Precision) -> Result<()> {
        match self {
            Self::Engine(network) => network.place(device, precision),
            Self::Service(_) if precision == Precision::F32 => Ok(()),
            Self::Service(service) => Err(Error::setting(
                "precision",
                format!(
                    "{} is asked over HTTP, and decides itself how it computes",
                    service.info().name
                ),
                "leave it out, and run what is on the engine in a suite of its own",
            )),
        }
    }

    /// See [`FrozenNetwork::memory`].
    #[must_use]
    pub(crate) fn memory(self, bytes: usize) -> Self {
        match self {
            Self::Engine(network) => network.memory(bytes).into(),
            service @ Self::Service(_) => service,
        }
    }

    fn classifier(&self) -> &dyn Classifier {
        match self {
            Self::Engine(network) => network.as_ref(),
            Self::Service(service) => service.as_ref(),
        }
    }
}

impl Classifier for Network {
    fn info(&self) -> &ModelInfo {
        self.classifier().info()
    }

    fn logits(&self, images: &Rows) -> Result<Rows> {
        self.classifier().logits(images)
    }

    fn linearise(&self, images: &Rows) -> Result<(Rows, Pull<'_>)> {
        self.classifier().linearise(images)
    }

    fn evaluate(
        &self,
        images: &Rows,
        loss: Loss,
        labels: &Rows,
        targets: &Rows,
    ) -> Result<Evaluation> {
        self.classifier().evaluate(images, loss, labels, targets)
    }

    fn exact_logits(&self, images: &Rows) -> Result<Rows> {
        self.classifier().exact_logits(images)
    }

    fn location(&self) -> Location {
        self.classifier().location()
    }

    fn usage(&self) -> Usage {
        self.classifier().usage()
    }

    fn noisy_classes(&self, noisy: &Noisy<'_>) -> Result<Option<Vec<Option<u32>>>> {
        self.classifier().noisy_classes(noisy)
    }
}
