//! Whether a network can be run on a data set at all.

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::model::Classifier;

/// The network takes images of the data set's shape.
pub(crate) fn fits(model: &dyn Classifier, data: &dyn Dataset) -> Result<()> {
    let (info, data) = (model.info(), data.info());
    if info.input_shape != data.shape {
        return Err(Error::setting(
            format!("model {}", info.name),
            format!("takes images {:?}, {} has {:?}", info.input_shape, data.name, data.shape),
            "run it on the data set it was trained for",
        ));
    }
    if let Some(classes) = data.classes
        && classes > info.classes
    {
        return Err(Error::setting(
            format!("model {}", info.name),
            format!("has {} classes, {} has {classes}", info.classes, data.name),
            match classes {
                1000 => {
                    "run it on the data set it was trained for; folders that are called as synsets of ImageNet \
                     have the labels of its 1,000 classes, unless `,classes=sorted` behind their path numbers them"
                }
                _ => "run it on the data set it was trained for",
            },
        ));
    }
    if let Some(classes) = data.classes
        && classes < info.classes
    {
        tracing::warn!(
            "{} has {classes} classes and model {} has {}: if a class is missing, those behind it have other numbers \
             than the network's",
            data.name,
            info.name,
            info.classes
        );
    }
    Ok(())
}
