//! The network of a call: one of a file on epsball's engine, one that a service answers for, or one of the user's
//! program.

use epsball::bench::{self, ModelEntry};
use epsball::device::{Device, Precision};
use epsball::model::{Average, Classifier, FrozenNetwork, ModelInfo};
use epsball::network::Network as Opened;
use epsball::onnx::OnnxForm;
use numpy::PyArrayDyn;
use pyo3::prelude::*;

use crate::arrays::{from_python, to_python};
use crate::callable::PythonNetwork;
use crate::errors::{raise, refuse};
use crate::{logging, wait};

/// A network that can be attacked and certified.
#[pyclass(frozen, module = "epsball._epsball")]
pub(crate) struct Network {
    which: Which,
    /// Where it runs, as runs record it: `cpu`, `cuda:0`.
    device: String,
    /// In which arithmetic: `f32`.
    precision: Precision,
}

enum Which {
    Opened(Box<Opened>),
    Python(Box<PythonNetwork>),
}

impl Network {
    pub(crate) fn classifier(&self) -> &dyn Classifier {
        match &self.which {
            Which::Opened(network) => network.as_ref(),
            Which::Python(network) => network.as_ref(),
        }
    }

    /// Where it runs and in which arithmetic.
    pub(crate) fn place(&self) -> (&str, Precision) {
        (&self.device, self.precision)
    }

    /// The network, if it runs on the engine.
    pub(crate) fn engine(&self) -> Option<&FrozenNetwork> {
        match &self.which {
            Which::Opened(network) => network.engine(),
            Which::Python(_) => None,
        }
    }

    /// The network, if it is one of the user's program.
    pub(crate) fn python(&self) -> Option<&PythonNetwork> {
        match &self.which {
            Which::Opened(_) => None,
            Which::Python(network) => Some(network),
        }
    }
}

#[pymethods]
impl Network {
    /// The network of a file, or the ensemble of several, on the engine. `onnx` is what an image is for an ONNX
    /// network, as JSON.
    #[staticmethod]
    #[pyo3(signature = (files, *, name=None, arch=None, average=None, onnx=None, probabilities=false, device="auto", precision="f32"))]
    #[allow(clippy::too_many_arguments)]
    fn open(
        py: Python<'_>,
        mut files: Vec<String>,
        name: Option<String>,
        arch: Option<String>,
        average: Option<&str>,
        onnx: Option<&str>,
        probabilities: bool,
        device: &str,
        precision: &str,
    ) -> PyResult<Self> {
        logging::start();
        let device: Device =
            device.parse().map_err(|e| refuse("device", e, "write cpu or cuda:0"))?;
        let precision: Precision =
            precision.parse().map_err(|e| refuse("precision", e, "write f32"))?;
        let average: Option<Average> =
            average.map(|text| text.parse().map_err(raise)).transpose()?;
        let onnx: OnnxForm = match onnx {
            Some(text) => serde_json::from_str(text).map_err(|e| {
                refuse("onnx", e.to_string(), "give layout, range, mean, std or shape")
            })?,
            None => OnnxForm::default(),
        };
        let path = if files.len() == 1 { files.remove(0) } else { String::new() };
        let entry = ModelEntry {
            path,
            members: files,
            name,
            arch,
            average,
            onnx,
            probabilities,
            ..ModelEntry::default()
        };
        let network = wait::aside(py, |_| bench::network(&entry, &device, precision))?;
        let device = match network.engine() {
            Some(network) if network.location().is_gpu() => "cuda:0",
            Some(_) => "cpu",
            None => epsball::service::DEVICE,
        };
        let device = device.to_owned();
        Ok(Self { which: Which::Opened(Box::new(network)), device, precision })
    }

    /// A network of the user's program, which is asked for the logits of at most `batch` images at a time: see
    /// [`PythonNetwork`].
    #[staticmethod]
    #[pyo3(signature = (object, name, input_shape, classes, *, parameters=0, identity="", randomised=false, optimises_in_forward=false, device="cpu", batch=256))]
    #[allow(clippy::too_many_arguments)]
    fn of(
        object: Py<PyAny>,
        name: &str,
        input_shape: [usize; 3],
        classes: usize,
        parameters: usize,
        identity: &str,
        randomised: bool,
        optimises_in_forward: bool,
        device: &str,
        batch: usize,
    ) -> Self {
        logging::start();
        let mut info = ModelInfo::new(name, input_shape, classes);
        info.parameters = parameters;
        info.identity = identity.into();
        info.sha256 = identity.into();
        info.randomised = randomised;
        info.optimises_in_forward = optimises_in_forward;
        let which = Which::Python(Box::new(PythonNetwork::new(info, object, batch)));
        Self { which, device: device.to_owned(), precision: Precision::F32 }
    }

    #[getter]
    fn name(&self) -> &str {
        &self.classifier().info().name
    }

    #[getter]
    fn architecture(&self) -> &str {
        &self.classifier().info().architecture
    }

    /// `[C, H, W]`.
    #[getter]
    fn input_shape(&self) -> (usize, usize, usize) {
        self.classifier().info().input_shape.into()
    }

    #[getter]
    fn classes(&self) -> usize {
        self.classifier().info().classes
    }

    /// Number of weights.
    #[getter]
    fn parameters(&self) -> usize {
        self.classifier().info().parameters
    }

    /// SHA-256 of what the network computes with; empty if it is not known.
    #[getter]
    fn identity(&self) -> &str {
        &self.classifier().info().identity
    }

    /// It runs on the engine.
    #[getter]
    fn on_engine(&self) -> bool {
        self.python().is_none()
    }

    /// Logits `[N, K]` of images `[N, C, H, W]`.
    fn logits<'py>(
        &self,
        py: Python<'py>,
        images: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        let images = from_python(images)?;
        let logits = wait::for_network(py, self, |_| self.classifier().exact_logits(&images))?;
        to_python(py, &logits)
    }
}
