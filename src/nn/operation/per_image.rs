//! Layers whose outputs depend on all values of an image are computed image by image, in f64: sums over
//! many values keep their digits, and an image's bits do not depend on its batch.

use candle_core::{DType, Device, Tensor};

use crate::error::Result;

/// A tensor like `inputs[0]`, image by image: `make` sees the values of one image of every input (all
/// of the same shape) and gives as many.
pub(super) fn map<const K: usize>(
    inputs: [&Tensor; K],
    make: impl Fn([&[f64]; K]) -> Vec<f64>,
) -> Result<Tensor> {
    let (shape, dtype) = (inputs[0].dims(), inputs[0].dtype());
    let mut values = [const { Vec::new() }; K];
    for (values, input) in values.iter_mut().zip(inputs) {
        *values = input.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
    }
    let per_image: usize = shape[1..].iter().product();
    let mut out = Vec::with_capacity(values[0].len());
    for image in 0..shape[0] {
        let of_image = image * per_image..(image + 1) * per_image;
        out.extend(make(values.each_ref().map(|v| &v[of_image.clone()])));
    }
    Ok(Tensor::from_vec(out, shape, &Device::Cpu)?.to_dtype(dtype)?)
}
