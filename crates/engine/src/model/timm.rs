//! What timm writes beside its weights on the Hugging Face Hub: `config.json` names the architecture and says how
//! images are prepared. So weights that say nothing about themselves need no `--arch`.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use serde::Deserialize;
use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::hub;
use crate::regular;
use crate::zoo::{Named, Normalisation, Recognised};

/// The file's name in a repository.
const CONFIG: &str = "config.json";
/// The account whose repositories hold networks of timm only.
const OWNER: &str = "timm";
/// Arguments of a model that leave its function to its weights.
const HARMLESS: [&str; 4] = ["img_size", "num_classes", "in_chans", "dynamic_img_size"];

/// A network of timm as its `config.json` describes it.
#[derive(Debug)]
pub struct Description {
    /// The file, as the user would name it.
    place: String,
    /// timm's name of the architecture.
    architecture: String,
    named: Named,
    settings: Settings,
}

/// `pretrained_cfg`, in older files the whole text.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    mean: Vec<f64>,
    std: Vec<f64>,
    input_size: Option<[usize; 3]>,
    test_input_size: Option<[usize; 3]>,
    crop_pct: Option<f64>,
    test_crop_pct: Option<f64>,
    crop_mode: Option<String>,
    interpolation: Option<String>,
}

/// [`beside`] for paths where a description may be expected: files on disk and repositories of timm. There it
/// is read before the weights are fetched, so that what cannot be built is refused at once.
///
/// # Errors
/// As [`beside`].
pub fn expected(path: &Path) -> Result<Option<Description>> {
    match hub::owner(path) {
        Some(owner) if owner != OWNER => Ok(None),
        _ => beside(path),
    }
}

/// The description beside the weights at `path`, which may be a reference to the Hub; `None` if there is none
/// of timm.
///
/// # Errors
/// If a repository of timm does not give the file, or if the file of a repository names an architecture that
/// cannot be built here.
pub fn beside(path: &Path) -> Result<Option<Description>> {
    let owner = hub::owner(path);
    let must_be = owner.as_deref() == Some(OWNER);
    let file = match hub::beside(path, CONFIG) {
        Ok(Some(file)) if file.is_file() => file,
        Err(error) if must_be => return Err(error),
        _ => return Ok(None),
    };
    let text = regular::text(&file).map_err(Error::io("read", &file))?;
    let place = match &owner {
        Some(_) => path.display().to_string(),
        None => file.display().to_string(),
    };
    let config = match serde_json::from_str::<Json>(&text) {
        Ok(config) if must_be || is_of_timm(&config) => config,
        Err(error) if must_be => return Err(damaged(&place, error.to_string())),
        _ => return Ok(None),
    };
    read(place, &config).map(Some)
}

/// Whether this is timm's description: a folder on disk may hold another's.
fn is_of_timm(config: &Json) -> bool {
    config.get("pretrained_cfg").is_some()
        && config.get("architecture").is_some_and(Json::is_string)
}

fn read(place: String, config: &Json) -> Result<Description> {
    let Some(architecture) = config.get("architecture").and_then(Json::as_str) else {
        return Err(damaged(&place, "it names no architecture".into()));
    };
    let other = |problem: String| {
        let remedy = format!(
            "export it to ONNX with torch.onnx.export(timm.create_model(\"{architecture}\", \
             pretrained=True).eval(), ...) and give the .onnx file"
        );
        Error::setting(place.clone(), problem, remedy)
    };
    let Some(named) = named(architecture) else {
        return Err(other(format!(
            "architecture `{architecture}` of timm is not among those here"
        )));
    };
    let arguments = config.get("model_args").and_then(Json::as_object);
    let changes = |name: &&String| !HARMLESS.contains(&name.as_str());
    if let Some(name) = arguments.and_then(|arguments| arguments.keys().find(changes)) {
        return Err(other(format!("`{architecture}` is changed by `{name}` of its model_args")));
    }
    let settings = config.get("pretrained_cfg").unwrap_or(config);
    let settings = Settings::deserialize(settings).map_err(|e| damaged(&place, e.to_string()))?;
    Ok(Description { place, architecture: architecture.to_owned(), named, settings })
}

fn damaged(place: &str, problem: String) -> Error {
    let remedy =
        "name the architecture with --arch; `epsball list architectures` shows those there are";
    Error::setting(format!("{place}, {CONFIG}"), problem, remedy)
}

/// The architecture here, with what its weights do not tell.
fn named(name: &str) -> Option<Named> {
    let of = |architecture: &str| architecture.parse::<Named>().ok();
    let among = |rest: &str, known: &[&str]| known.contains(&rest);
    let sized = |name: &str, sizes: &[&'static str]| {
        let (size, rest) = name.split_once('_')?;
        sizes.contains(&size).then(|| rest.to_owned())
    };
    if RESNETS.contains(&name) {
        return of("imagenet-resnet");
    }
    if let Some(rest) = name.strip_prefix("vgg") {
        let depth = rest.strip_suffix("_bn").unwrap_or(rest);
        return among(depth, &["11", "13", "16", "19"]).then(|| of("imagenet-vgg"))?;
    }
    if let Some(depth) = name.strip_prefix("densenet") {
        return among(depth, &["121", "161", "169", "201"]).then(|| of("imagenet-densenet"))?;
    }
    if let Some(size) = name.strip_prefix("convnext_") {
        let known = ["tiny", "small", "base", "large", "xlarge"];
        return known.contains(&size).then(|| of("convnext"))?;
    }
    if let Some(rest) = name.strip_prefix("vit_") {
        let rest = sized(rest, &["tiny", "small", "base", "large"])?;
        let (patch, side) = rest.strip_prefix("patch")?.split_once('_')?;
        let fits = among(patch, &["8", "16", "32"]) && among(side, &["224", "384"]);
        return fits.then(|| of("vit"))?;
    }
    if let Some(rest) = name.strip_prefix("deit_") {
        let rest = sized(rest, &["tiny", "small", "base"])?;
        return among(&rest, &["patch16_224", "patch16_384"]).then(|| of("vit"))?;
    }
    if let Some(rest) = name.strip_prefix("swin_") {
        let rest = sized(rest, &["tiny", "small", "base", "large"])?;
        let known = ["patch4_window7_224", "patch4_window12_384"];
        return among(&rest, &known).then(|| of("swin"))?;
    }
    // For patches of 8 pixels timm has one convolution fewer in front, and XCiT-N has a norm fewer.
    let rest = sized(name.strip_prefix("xcit_")?, &["tiny", "small", "medium", "large"])?;
    let known = ["12_p16_224", "12_p16_384", "24_p16_224", "24_p16_384"];
    among(&rest, &known).then(|| of("xcit:patch=16"))?
}

/// Those with a 7 x 7 convolution in front and nothing but the usual blocks.
const RESNETS: [&str; 13] = [
    "resnet18",
    "resnet26",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "wide_resnet50_2",
    "wide_resnet101_2",
    "resnext50_32x4d",
    "resnext101_32x4d",
    "resnext101_32x8d",
    "resnext101_32x16d",
    "resnext101_64x4d",
];

impl Description {
    /// The architecture of these weights: sizes from their shapes, the rest from the description.
    ///
    /// # Errors
    /// If the description holds numbers that cannot be, or the weights are of something else.
    pub fn recognise(
        &self,
        tensors: &BTreeMap<String, Tensor>,
        stored: Option<&Normalisation>,
    ) -> Result<Recognised> {
        let Some(mut found) = self.named.architecture.recognise(tensors, stored) else {
            return Err(Error::setting(
                self.place.clone(),
                format!(
                    "has no weights of `{}` with a head: keys and shapes are not those of {}",
                    self.architecture, self.named.architecture.name
                ),
                "name a repository whose network has classes, or the architecture with --arch",
            ));
        };
        let settings = &mut found.settings;
        settings.parameters.extend(self.named.parameters.clone());
        settings.input_shape = self.settings.input_size.unwrap_or(settings.input_shape);
        let Settings { mean, std, .. } = &self.settings;
        if stored.is_none() && !(mean.is_empty() && std.is_empty()) {
            let channels = settings.input_shape[0];
            let right = |values: &[f64], least: f64| {
                values.len() == channels && values.iter().all(|v| v.is_finite() && *v > least)
            };
            if !right(mean, f64::NEG_INFINITY) || !right(std, 0.0) {
                let problem =
                    format!("mean {mean:?} and std {std:?} are no numbers for {channels} channels");
                return Err(damaged(&self.place, problem));
            }
            settings.normalisation = Some(Normalisation { mean: mean.clone(), std: std.clone() });
            found.doubts.retain(|doubt| doubt.about != "normalisation");
        }
        // timm's name of the architecture settles the rest.
        found.doubts.retain(|doubt| doubt.about == "normalisation");
        Ok(found)
    }

    /// How timm prepares images for the network, as a sentence for the user.
    pub fn advice(&self) -> String {
        let Self { place, architecture, settings, .. } = self;
        let begin = format!("{place}: timm measures {architecture} on images prepared by");
        let size = settings.input_size.unwrap_or(self.named.architecture.input_shape);
        let mut text = match settings.preprocessing(size, settings.crop_pct) {
            Ok(name) => format!("{begin} {name}: imagenet:FOLDER,{name}"),
            Err(steps) => format!("{begin} {steps}, which has to be done beforehand"),
        };
        if let Some(size) = settings.test_input_size
            && let Ok(name) =
                settings.preprocessing(size, settings.test_crop_pct.or(settings.crop_pct))
        {
            let [c, h, w] = size;
            text += &format!("; with input shape {c},{h},{w} on those of {name}");
        }
        text
    }
}

impl Settings {
    /// The name of the preprocessing for images of this shape, or its steps in words if it has no name.
    fn preprocessing(
        &self,
        [_, height, width]: [usize; 3],
        share: Option<f64>,
    ) -> Result<String, String> {
        let share = share.unwrap_or(0.875);
        let interpolation = self.interpolation.as_deref().unwrap_or("bilinear");
        let mode = self.crop_mode.as_deref().unwrap_or("center");
        let resized = (height as f64 / share).floor();
        let filter = match interpolation {
            "bicubic" => Some("Bicubic"),
            "bilinear" => Some(""),
            _ => None,
        };
        match filter {
            Some(filter) if mode == "center" && height == width && resized >= height as f64 => {
                Ok(format!("{filter}Res{resized}Crop{height}"))
            }
            _ => Err(format!(
                "{interpolation} interpolation, crop_mode {mode}, crop_pct {share} to {height} x {width}"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(text: &str) -> Result<Description> {
        read("hf:timm/x".into(), &serde_json::from_str(text).unwrap())
    }

    #[test]
    fn names_of_timm_and_the_architectures_that_they_are() {
        for (name, architecture) in [
            ("resnet18", "imagenet-resnet"),
            ("wide_resnet50_2", "imagenet-resnet"),
            ("resnext50_32x4d", "imagenet-resnet"),
            ("vgg16_bn", "imagenet-vgg"),
            ("densenet121", "imagenet-densenet"),
            ("convnext_tiny", "convnext"),
            ("vit_base_patch16_224", "vit"),
            ("deit_small_patch16_224", "vit"),
            ("swin_base_patch4_window7_224", "swin"),
            ("xcit_small_12_p16_224", "xcit"),
        ] {
            assert_eq!(named(name).unwrap().architecture.name, architecture, "{name}");
        }
        assert_eq!(named("xcit_large_24_p16_384").unwrap().parameters["patch"], 16.into());
        for name in [
            "",
            "efficientnet_b0",
            "resnet50d",
            "resnet50_gn",
            "vgg16_bn_x",
            "densenetblur121d",
            "convnext_nano",
            "convnextv2_tiny",
            "vit_base_patch16_clip_224",
            "vit_base_patch16_rope_224",
            "deit3_base_patch16_224",
            "deit_base_distilled_patch16_224",
            "swinv2_tiny_window8_256",
            "swin_s3_tiny_224",
            "xcit_nano_12_p16_224",
            "xcit_small_12_p8_224",
        ] {
            assert!(named(name).is_none(), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_built_is_refused_by_name() {
        let error = described(r#"{"architecture": "efficientnet_b0"}"#).unwrap_err();
        assert!(error.to_string().contains("`efficientnet_b0` of timm is not among"), "{error}");
        assert!(error.hint().unwrap().contains("export it to ONNX"), "{error:?}");
        let text = r#"{"architecture": "resnet50", "model_args": {"act_layer": "silu"}}"#;
        let error = described(text).unwrap_err().to_string();
        assert!(error.contains("`resnet50` is changed by `act_layer`"), "{error}");
        assert!(described("{}").unwrap_err().to_string().contains("names no architecture"));
    }

    #[test]
    fn the_preparation_of_images_gets_its_name() {
        let advice = |settings: &str| {
            let text =
                format!(r#"{{"architecture": "resnet18", "pretrained_cfg": {{{settings}}}}}"#);
            described(&text).unwrap().advice()
        };
        let usual = r#""input_size": [3, 224, 224], "crop_pct": 0.95, "interpolation": "bicubic""#;
        assert_eq!(
            advice(usual),
            "hf:timm/x: timm measures resnet18 on images prepared by BicubicRes235Crop224: \
             imagenet:FOLDER,BicubicRes235Crop224"
        );
        let more = format!(r#"{usual}, "test_input_size": [3, 288, 288], "test_crop_pct": 1.0"#);
        assert!(
            advice(&more)
                .ends_with("; with input shape 3,288,288 on those of BicubicRes288Crop288")
        );
        assert!(advice("").contains("by Res256Crop224: "), "{}", advice(""));
        let squashed = advice(&format!(r#"{usual}, "crop_mode": "squash""#));
        assert!(
            squashed.contains("crop_mode squash, crop_pct 0.95 to 224 x 224, which"),
            "{squashed}"
        );
    }
}
