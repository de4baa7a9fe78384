//! The network of a command: a weight file, several as an ensemble, or the address of a service.

use std::path::PathBuf;

use super::onnx::{Onnx, Pixels};
use super::service::Service;
use crate::bench::ModelEntry;
use crate::error::Result;
use crate::hub;
use crate::model::Average;
use crate::service;

#[derive(Debug, clap::Args)]
pub(super) struct Model {
    /// Model file, ONNX file, bundled:NAME, hf:OWNER/NAME[@REVISION][/FILE] or http://HOST:PORT/PATH; given several
    /// times, the ensemble of these
    #[arg(short = 'm', long = "model", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Architecture, for weights that do not say it: NAME[:PARAMETER=VALUE]..., such as
    /// dm-wide-resnet:activation=relu
    #[arg(long)]
    arch: Option<String>,
    /// What an ensemble averages [default: logits]
    #[arg(hide_short_help = true, long, value_name = "logits|probabilities")]
    average: Option<Average>,
    #[command(flatten)]
    onnx: Onnx,
    #[command(flatten)]
    pixels: Pixels,
    #[command(flatten)]
    service: Service,
}

impl Model {
    /// The model as an entry of a suite.
    ///
    /// # Errors
    /// If what is said about an ONNX network cannot be read.
    pub(super) fn entry(&self) -> Result<ModelEntry> {
        let mut files: Vec<String> =
            self.files.iter().map(|file| file.to_string_lossy().into_owned()).collect();
        let path = if files.len() == 1 { files.remove(0) } else { String::new() };
        let (arch, average) = (self.arch.clone(), self.average);
        let onnx = self.onnx.form(&self.pixels)?;
        let (members, service) = (files, self.service.form());
        Ok(ModelEntry { path, members, arch, average, onnx, service, ..ModelEntry::default() })
    }

    /// The names of files without folder and extension, or of repositories, joined by `+`.
    pub(super) fn stem(&self) -> String {
        let stem = |file: &PathBuf| {
            let stem = match file.to_str() {
                Some(address) if service::is_address(address) => return service::stem(address),
                _ => hub::stem(file),
            };
            stem.trim_start_matches("bundled:").trim_end_matches(".onnx").to_owned()
        };
        self.files.iter().map(stem).collect::<Vec<_>>().join("+")
    }
}
