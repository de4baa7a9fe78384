//! What a command says about an ONNX network.

use crate::error::{Error, Result};
use crate::onnx::{Layout, OnnxForm};

/// Where these options stand in help. Each names it: a heading for a whole command goes on behind its options.
const HEADING: &str = "ONNX networks";

#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Onnx {
    /// Where the channels of the input are: nchw, nhwc or flat; otherwise guessed from its sides
    #[arg(help_heading = HEADING, hide_short_help = true, long, value_name = "LAYOUT")]
    input_layout: Option<Layout>,
    /// The pixel values that the network takes: 0..1 or 0..255 [default: 0..1]
    #[arg(help_heading = HEADING, hide_short_help = true, long, value_name = "RANGE")]
    range: Option<String>,
    /// The output that holds the logits, if there are several
    #[arg(help_heading = HEADING, hide_short_help = true, long, value_name = "NAME")]
    output_name: Option<String>,
    /// Attack the probabilities of a network that ends in a softmax, which is left out otherwise
    #[arg(help_heading = HEADING, hide_short_help = true, long)]
    keep_softmax: bool,
}

/// What is said of a network's images elsewhere on the command line too.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Pixels {
    /// Mean per channel that is subtracted before the network, in units of the range: 0.4914,0.4822,0.4465
    #[arg(help_heading = HEADING, hide_short_help = true, long, value_delimiter = ',', value_name = "M,..", requires = "std")]
    mean: Vec<f64>,
    /// Standard deviation per channel that is divided by before the network
    #[arg(help_heading = HEADING, hide_short_help = true, long, value_delimiter = ',', value_name = "S,..", requires = "mean")]
    std: Vec<f64>,
    /// Channels, height and width of the images, if the file does not say them: 3,32,32
    #[arg(help_heading = HEADING, hide_short_help = true, long, value_delimiter = ',', value_name = "C,H,W")]
    input_shape: Vec<usize>,
}

impl Onnx {
    /// All that is said of the network.
    pub(super) fn form(&self, pixels: &Pixels) -> Result<OnnxForm> {
        self.form_of(&pixels.mean, &pixels.std, &pixels.input_shape)
    }

    /// All that is said, with `mean`, `std` and `shape` from other arguments.
    pub(super) fn form_of(&self, mean: &[f64], std: &[f64], shape: &[usize]) -> Result<OnnxForm> {
        let range = match self.range.as_deref() {
            None => None,
            Some("0..1" | "1") => Some(1.0),
            Some("0..255" | "255") => Some(255.0),
            Some(other) => {
                let problem = format!("`{other}` is no range of pixels");
                return Err(Error::setting("--range", problem, "write 0..1 or 0..255"));
            }
        };
        let shape = match shape {
            [] => None,
            shape => Some(<[usize; 3]>::try_from(shape).map_err(|_| {
                let problem = format!("{shape:?} are not three numbers");
                Error::setting("--input-shape", problem, "write C,H,W: 3,32,32")
            })?),
        };
        Ok(OnnxForm {
            layout: self.input_layout,
            shape,
            range,
            mean: mean.to_vec(),
            std: std.to_vec(),
            output: self.output_name.clone(),
            keep_softmax: self.keep_softmax,
        })
    }
}
