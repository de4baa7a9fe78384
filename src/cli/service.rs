//! How a command wants a network behind an address to be asked.

use std::path::PathBuf;

use crate::record::{ServiceBody, ServiceForm};

/// Where these options stand in help. Each names it: a heading for a whole command goes on behind its options.
const HEADING: &str = "Networks over HTTP";

#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Service {
    /// File with the description of the service, for one that does not give it itself
    #[arg(help_heading = HEADING, hide_short_help = true, long, value_name = "FILE")]
    card: Option<PathBuf>,
    /// How images are sent: raw, as f32, or json [default: raw]
    #[arg(help_heading = HEADING, hide_short_help = true, long, value_name = "raw|json")]
    request_body: Option<ServiceBody>,
    /// Images of a request at most [default: what the service says, or 64]
    #[arg(help_heading = HEADING, hide_short_help = true, long, value_name = "N")]
    request_batch: Option<usize>,
    /// Requests per second at most, such as 10 or 0.5
    #[arg(help_heading = HEADING, hide_short_help = true, long, value_name = "R")]
    request_rate: Option<f64>,
    /// How often a request is repeated that got no answer, after longer and longer pauses [default: 5]
    #[arg(help_heading = HEADING, hide_short_help = true, long, value_name = "N")]
    request_retries: Option<u32>,
    /// Seconds that an answer may take [default: 60]
    #[arg(help_heading = HEADING, hide_short_help = true, long, value_name = "S")]
    request_timeout: Option<f64>,
    /// A header of every request and the environment variable with its value, which is recorded nowhere:
    /// authorization=TOKEN
    #[arg(help_heading = HEADING, hide_short_help = true, long, value_name = "NAME=VARIABLE")]
    request_header: Option<String>,
}

impl Service {
    /// All that is said.
    pub(super) fn form(&self) -> ServiceForm {
        ServiceForm {
            card: self.card.as_ref().map(|path| path.to_string_lossy().into_owned()),
            body: self.request_body,
            batch: self.request_batch,
            rate: self.request_rate,
            retries: self.request_retries,
            timeout: self.request_timeout,
            header: self.request_header.clone(),
        }
    }
}
