//! VGG (Simonyan and Zisserman, ICLR 2015): stages of 3 x 3 convolutions with a max pool after each. For
//! CIFAR with batch norms and one fully connected layer; for ImageNet with three, under the names of
//! torchvision and of timm, which writes the first two of them as convolutions.

use super::constants::IMAGENET;
use super::parameters::list;
use super::{Architecture, Keys, Measured, NetworkSettings, Value, Weights};
use crate::error::{Error, Result};
use crate::nn::{Layer, flatten, max_pool, relu};

/// VGG-16 unless the sizes say otherwise.
pub(super) const CIFAR_VGG: Architecture = Architecture {
    name: "cifar-vgg",
    family: "cifar-vgg",
    about: "VGG-11, -13, -16 or -19 for CIFAR",
    parameters: &[
        ("blocks", list(&[2, 2, 3, 3, 3])),
        ("widths", list(&[64, 128, 256, 512, 512])),
        ("batch_norm", Value::Flag(true)),
    ],
    measure: Some(measure_cifar),
    build: |w, settings| {
        let (mut layers, features) = stages(w, settings)?;
        layers.extend([
            flatten(),
            w.linear("classifier", settings.classes, features.iter().product())?,
        ]);
        Ok(layers)
    },
    ..Architecture::FIXED
};

/// VGG-16 without batch norms unless the sizes say otherwise.
pub(super) const VGG: Architecture = Architecture {
    name: "imagenet-vgg",
    family: "imagenet-vgg",
    about: "VGG-11, -13, -16 or -19 for ImageNet under the names of torchvision or timm",
    input_shape: [3, 224, 224],
    classes: 1000,
    normalisation: Some(IMAGENET),
    parameters: &[
        ("blocks", list(&[2, 2, 3, 3, 3])),
        ("widths", list(&[64, 128, 256, 512, 512])),
        ("batch_norm", Value::Flag(false)),
        ("hidden", Value::Number(4096)),
        ("timm_names", Value::Flag(false)),
    ],
    measure: Some(measure),
    build,
    ..Architecture::FIXED
};

/// What the convolutions tell.
struct Stages {
    /// Their numbers and channels per stage, and whether there are norms.
    parameters: [(&'static str, Value); 3],
    /// Channels of the images.
    channels: usize,
    /// Channels of the last stage.
    width: usize,
    /// How many times smaller the images end than they begin.
    smaller: usize,
}

impl Stages {
    /// The shape of images of which `features` numbers are left.
    fn image(&self, features: usize) -> Option<[usize; 3]> {
        let side = features.checked_div(self.width)?.isqrt().checked_mul(self.smaller)?;
        Some([self.channels, side, side])
    }
}

fn measure_stages(keys: &Keys<'_>) -> Option<Stages> {
    let width = |place: usize| match keys.shape(&format!("features.{place}.weight"))? {
        [width, _, 3, 3] => Some(*width),
        _ => None,
    };
    let batch_norm = keys.has("features.1.running_mean");
    // A convolution, its norm and its ReLU; a pool is one more.
    let step = if batch_norm { 3 } else { 2 };
    let (mut blocks, mut widths) = (vec![1], vec![width(0)?]);
    let mut place = step;
    loop {
        let last = blocks.len() - 1;
        if let Some(here) = width(place) {
            blocks[last] += 1;
            // Which stage has channels of several numbers belongs to another network.
            (here == widths[last]).then_some(())?;
            place += step;
        } else if let Some(next) = width(place + 1) {
            blocks.push(1);
            widths.push(next);
            place += 1 + step;
        } else {
            break;
        }
    }
    let (channels, width) = (keys.size("features.0.weight", 1)?, widths[widths.len() - 1]);
    let smaller = 1_usize.checked_shl(u32::try_from(blocks.len()).ok()?)?;
    let parameters =
        [("blocks", blocks.into()), ("widths", widths.into()), ("batch_norm", batch_norm.into())];
    Some(Stages { parameters, channels, width, smaller })
}

fn measure_cifar(keys: &Keys<'_>) -> Option<Measured> {
    let stages = measure_stages(keys)?;
    let [classes, features] = [0, 1].map(|axis| keys.size("classifier.weight", axis));
    let image = stages.image(features?)?;
    Some(Measured::new(classes?, stages.parameters).of_images(image))
}

fn measure(keys: &Keys<'_>) -> Option<Measured> {
    let stages = measure_stages(keys)?;
    let timm_names = keys.has("pre_logits.fc1.weight");
    let [first, _, head] = names(timm_names);
    let first = keys.shape(&format!("{first}.weight"))?;
    let (hidden, features) =
        (*first.first()?, first[1..].iter().try_fold(1, |n: usize, side| n.checked_mul(*side))?);
    let image = stages.image(features)?;
    let [blocks, widths, batch_norm] = stages.parameters;
    let parameters =
        [blocks, widths, batch_norm, ("hidden", hidden.into()), ("timm_names", timm_names.into())];
    let classes = keys.size(&format!("{head}.weight"), 0)?;
    Some(Measured::new(classes, parameters).of_images(image))
}

/// What the fully connected layers are called.
fn names(of_timm: bool) -> [&'static str; 3] {
    match of_timm {
        true => ["pre_logits.fc1", "pre_logits.fc2", "head.fc"],
        false => ["classifier.0", "classifier.3", "classifier.6"],
    }
}

/// All convolutions, and the shape `[C, H, W]` of what they make of an image.
fn stages(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<(Vec<Layer>, [usize; 3])> {
    let (blocks, widths) = (settings.numbers("blocks")?, settings.numbers("widths")?);
    if blocks.len() != widths.len() {
        return Err(Error::setting(
            "parameter widths",
            format!("has {} stages and blocks has {}", widths.len(), blocks.len()),
            "give as many numbers of channels as numbers of blocks",
        ));
    }
    let batch_norm = settings.flag("batch_norm")?;
    let [mut inputs, height, across] = settings.input_shape;
    let (mut layers, mut place) = (Vec::new(), 0);
    for (blocks, width) in blocks.iter().zip(widths) {
        for _ in 0..*blocks {
            let conv = w.conv_bias(&format!("features.{place}"), *width, inputs, 3)?;
            layers.push(conv.padding(1).layer());
            if batch_norm {
                place += 1;
                layers.push(w.batch_norm(&format!("features.{place}"), *width)?);
            }
            layers.push(relu());
            place += 2;
            inputs = *width;
        }
        layers.push(max_pool(2, 2));
        place += 1;
    }
    let left = |side: usize| side >> blocks.len();
    Ok((layers, [inputs, left(height), left(across)]))
}

fn build(w: &mut Weights<'_>, settings: &NetworkSettings) -> Result<Vec<Layer>> {
    let (hidden, timm_names) = (settings.number("hidden")?, settings.flag("timm_names")?);
    let (mut layers, features) = stages(w, settings)?;
    let [first, second, head] = names(timm_names);
    layers.push(flatten());
    if timm_names {
        layers.push(w.linear_of_image(first, hidden, features)?);
        layers.extend([relu(), w.pointwise(second, hidden, hidden, true)?, relu()]);
    } else {
        layers.extend([w.linear(first, hidden, features.iter().product())?, relu()]);
        layers.extend([w.linear(second, hidden, hidden)?, relu()]);
    }
    layers.push(w.linear(head, settings.classes, hidden)?);
    Ok(layers)
}
