//! What an image is for a network whose file says only the sides of a tensor: where its channels are, which range
//! its pixels have, what is subtracted. What the user does not say is guessed from the sides and told.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::MOST;
use super::graph::{Input, Kind, Side};
use crate::error::{Error, Result};

/// Where the channels of the input are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `[N, C, H, W]`, as in PyTorch.
    Nchw,
    /// `[N, H, W, C]`, as in TensorFlow.
    Nhwc,
    /// One row of numbers in the order C, H, W.
    Flat,
}

impl FromStr for Layout {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "nchw" => Ok(Self::Nchw),
            "nhwc" => Ok(Self::Nhwc),
            "flat" => Ok(Self::Flat),
            _ => Err(Error::unknown("input layout", text, ["nchw", "nhwc", "flat"])),
        }
    }
}

impl std::fmt::Display for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nchw => "nchw",
            Self::Nhwc => "nhwc",
            Self::Flat => "flat",
        })
    }
}

/// What the caller says about the input and the output of an ONNX network; what is not said is read from the file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OnnxForm {
    /// Where the channels are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// `[C, H, W]` of an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<[usize; 3]>,
    /// The largest value of a pixel as the network wants it: 1 or 255.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<f64>,
    /// What is subtracted from each channel, in units of the range; empty for nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mean: Vec<f64>,
    /// What each channel is divided by after that; empty for nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub std: Vec<f64>,
    /// The output that holds the logits, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// A final softmax stays: the network is attacked by its probabilities.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keep_softmax: bool,
}

/// An input as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    /// Where the channels are.
    pub(super) layout: Layout,
    /// `[C, H, W]`.
    pub(super) image: [usize; 3],
    /// The sides of the tensor for one image.
    pub(super) sides: Vec<usize>,
    /// The axis of the batch, if there is one, and how many images the file wants on it: `None` for any number.
    pub(super) batch: Option<Option<usize>>,
    /// What was guessed.
    pub(super) doubts: Vec<String>,
}

impl OnnxForm {
    /// Whether nothing is said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Refuses numbers that make no pixels.
    ///
    /// # Errors
    /// If the range is another than 1 or 255, or there is no mean and standard deviation for each of `channels`.
    fn check(&self, channels: usize) -> Result<()> {
        if let Some(range) = self.range.filter(|range| ![1.0, 255.0].contains(range)) {
            return Err(Error::setting(
                "range",
                format!("pixels up to {range} are not supported"),
                "say 1 or 255; anything else is a mean and a standard deviation",
            ));
        }
        let (mean, std) = (&self.mean, &self.std);
        if mean.is_empty() && std.is_empty() {
            return Ok(());
        }
        let count = [mean.len(), std.len()] == [channels; 2];
        let sound = mean.iter().all(|mean| mean.is_finite())
            && std.iter().all(|std| std.is_finite() && *std > 0.0);
        if count && sound {
            return Ok(());
        }
        Err(Error::setting(
            "mean and std",
            format!("have to be {channels} numbers each, one per channel, std above 0"),
            "write for example --mean 0.4914,0.4822,0.4465 --std 0.2471,0.2435,0.2616, in a suite onnx = { mean = \
             [0.4914, 0.4822, 0.4465], std = [0.2471, 0.2435, 0.2616] }",
        ))
    }

    /// The same with everything said that was read, and nothing that changes nothing: forms of one function are
    /// equal.
    pub(super) fn resolved(&self, reading: &Reading, output: &str) -> Self {
        let none = |numbers: &[f64], nothing: f64| numbers.iter().all(|number| *number == nothing);
        let plain = none(&self.mean, 0.0) && none(&self.std, 1.0);
        Self {
            layout: Some(reading.layout),
            shape: Some(reading.image),
            range: self.range.filter(|range| *range != 1.0),
            mean: if plain { Vec::new() } else { self.mean.clone() },
            std: if plain { Vec::new() } else { self.std.clone() },
            output: Some(output.into()),
            keep_softmax: self.keep_softmax,
        }
    }

    /// The image behind `input`.
    ///
    /// # Errors
    /// If the sides of the input are not known, or do not fit what the caller says.
    pub(super) fn read(&self, input: &Input) -> Result<Reading> {
        let reading = self.sides(input)?;
        check_size(&format!("input {}", input.name), reading.image)?;
        if let Some(Some(images)) = reading.batch.filter(|batch| *batch > Some(MOST_IMAGES)) {
            return Err(Error::setting(
                format!("input {}", input.name),
                format!(
                    "wants {images} images at a time, more than the {MOST_IMAGES} that are supported"
                ),
                "export the network for one image, or for any number of them",
            ));
        }
        self.check(reading.image[0])?;
        Ok(reading)
    }

    fn sides(&self, input: &Input) -> Result<Reading> {
        let field = format!("input {}", input.name);
        if input.kind != Kind::Float {
            return Err(Error::setting(
                field,
                "takes integers or truth values: a network that quantises its input has no gradient",
                "export the network with a floating point input",
            ));
        }
        let mut doubts = Vec::new();
        let Some(declared) = &input.sides else {
            return self.unstated(&field);
        };
        let known = |side: &Side| match side {
            Side::Known(side) => Some(*side),
            Side::Free(_) => None,
        };
        let own: Vec<Option<usize>> = declared.iter().map(known).collect();
        if own.contains(&Some(0)) {
            return Err(Error::setting(field, "has a side of 0", "export the network again"));
        }
        // With the batch in front, unless the rank leaves no room for one.
        let image = match (own.len(), self.layout) {
            (4, _) => &own[1..],
            (3, Some(Layout::Flat)) | (2, _) => &own[1..],
            (3, _) if own[2] == Some(1) && own[1].is_some_and(|side| side > 64) => &own[1..],
            (3, _) => &own[..],
            (1, _) => &own[..],
            (rank, _) => {
                return Err(Error::setting(
                    field,
                    format!("has {rank} axes"),
                    "an image has at most 4: batch, channels, height and width",
                ));
            }
        };
        let batch = (image.len() < own.len()).then(|| own[0]);
        let flat = image.len() < 3;
        let layout = match self.layout {
            Some(Layout::Flat) => Layout::Flat,
            Some(layout) if !flat => {
                if let Some(seen) = seen(image).filter(|seen| *seen != layout) {
                    doubts.push(format!(
                        "{field}: is read as {layout} as told, though its sides {} look like {seen}",
                        text(image)
                    ));
                }
                layout
            }
            Some(layout) => {
                let problem = format!("is a row of numbers, not {layout}");
                return Err(Error::setting(field, problem, "say flat"));
            }
            None if flat => Layout::Flat,
            None => seen(image).unwrap_or_else(|| {
                doubts.push(format!(
                    "{field}: its sides {} do not say where the channels are; taken as nchw (--input-layout nhwc for \
                     the other)",
                    text(image)
                ));
                Layout::Nchw
            }),
        };
        let shape = match layout {
            Layout::Flat => {
                let length = image.iter().try_fold(1_usize, |n, side| n.checked_mul((*side)?));
                let Some(length) = length else { return self.unstated(&field) };
                let shape = match self.shape {
                    Some(shape) => shape,
                    None => {
                        let shape = square(length);
                        let [c, h, w] = shape;
                        doubts.push(format!(
                            "{field}: {length} numbers are taken as images of {c} x {h} x {w} in this order \
                             (--input-shape C,H,W for another)"
                        ));
                        shape
                    }
                };
                if shape.iter().try_fold(1_usize, |n, side| n.checked_mul(*side)) != Some(length) {
                    return Err(Error::setting(
                        "--input-shape",
                        format!("{shape:?} are not the {length} numbers of {field}"),
                        "give C,H,W whose product is that number",
                    ));
                }
                shape
            }
            _ => {
                let [a, b, c] = [image[0], image[1], image[2]];
                let own = if layout == Layout::Nchw { [a, b, c] } else { [c, a, b] };
                let mut shape = [0; 3];
                for (axis, side) in own.into_iter().enumerate() {
                    shape[axis] = match (side, self.shape) {
                        (Some(side), Some(said)) if said[axis] != side => {
                            return Err(Error::setting(
                                "--input-shape",
                                format!("{said:?} does not fit {field} of sides {}", text(image)),
                                "leave it out: the file states the sides",
                            ));
                        }
                        (Some(side), _) => side,
                        (None, Some(said)) => said[axis],
                        (None, None) => return self.unstated(&field),
                    };
                }
                shape
            }
        };
        let [c, h, w] = shape;
        let mut sides: Vec<usize> = match layout {
            Layout::Nchw => vec![c, h, w],
            Layout::Nhwc => vec![h, w, c],
            Layout::Flat => image.iter().map(|side| side.unwrap_or(c * h * w)).collect(),
        };
        if batch.is_some() {
            sides.insert(0, 1);
        }
        Ok(Reading { layout, image: shape, sides, batch, doubts })
    }

    /// The reading of an input that does not say its sides.
    fn unstated(&self, field: &str) -> Result<Reading> {
        let Some(image @ [c, h, w]) = self.shape else {
            return Err(Error::setting(
                field,
                "does not state the height and the width of an image",
                "give them with --input-shape C,H,W",
            ));
        };
        check_size("--input-shape", image)?;
        let layout = self.layout.unwrap_or(Layout::Nchw);
        let sides = match layout {
            Layout::Nchw => vec![1, c, h, w],
            Layout::Nhwc => vec![1, h, w, c],
            Layout::Flat => vec![1, c * h * w],
        };
        let doubts = match self.layout {
            Some(_) => Vec::new(),
            None => vec![format!("{field}: states no sides; taken as nchw")],
        };
        Ok(Reading { layout, image, sides, batch: Some(None), doubts })
    }
}

/// Most images that a file may want at a time: what depends on their number is computed for all of them.
const MOST_IMAGES: usize = 1 << 16;

/// Refuses an image without numbers, or with more than any network takes.
fn check_size(field: &str, image: [usize; 3]) -> Result<()> {
    let numbers = image.iter().try_fold(1_usize, |n, side| n.checked_mul(*side));
    match numbers.is_some_and(|n| (1..=MOST).contains(&n)) {
        true => Ok(()),
        false => Err(Error::setting(
            field,
            format!("{image:?} is no size of an image: it has to have 1 to {MOST} numbers"),
            "give the channels, the height and the width of an image: --input-shape C,H,W",
        )),
    }
}

/// `[C, H, W]` of so many numbers: grey or coloured squares, otherwise one row.
fn square(length: usize) -> [usize; 3] {
    for channels in [1, 3] {
        let side = (length / channels).isqrt();
        if channels * side * side == length && side > 1 {
            return [channels, side, side];
        }
    }
    [1, 1, length]
}

/// Sides as text, `?` for those that are not stated.
fn text(sides: &[Option<usize>]) -> String {
    let side = |side: &Option<usize>| side.map_or("?".into(), |side| side.to_string());
    sides.iter().map(side).collect::<Vec<_>>().join(" x ")
}

/// Where the channels are, if the sides of an image leave no doubt.
fn seen(image: &[Option<usize>]) -> Option<Layout> {
    let colours = |side: Option<&Option<usize>>| matches!(side, Some(Some(1 | 3 | 4)));
    match (colours(image.first()), colours(image.get(2))) {
        (false, true) => Some(Layout::Nhwc),
        (true, false) => Some(Layout::Nchw),
        _ => None,
    }
}

impl std::fmt::Display for OnnxForm {
    /// `nhwc, pixels 0..255, mean [..], std [..], output logits`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let layout = self.layout.map(|layout| layout.to_string());
        let mut parts = vec![layout.unwrap_or_else(|| "layout by its sides".into())];
        parts.push(format!("pixels 0..{}", self.range.unwrap_or(1.0)));
        if !self.mean.is_empty() {
            parts.push(format!("mean {:?}, std {:?}", self.mean, self.std));
        }
        parts.extend(self.output.as_ref().map(|output| format!("output {output}")));
        f.write_str(&parts.join(", "))
    }
}
