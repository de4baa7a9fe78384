//! Layers whose outputs depend on all values of an image are computed image by image, in f64: sums over
//! many values keep their digits, and an image's bits do not depend on its batch. So are functions of the
//! channels of each pixel.

use candle_core::{D, DType, Device, Tensor};

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

/// A tensor of the shape `dims`, row by row: `make` sees a row of every input, which is what lies along its last
/// axis, and appends the row of the output. All have the same number of rows.
pub(super) fn rows<const K: usize>(
    inputs: [&Tensor; K],
    dims: &[usize],
    mut make: impl FnMut([&[f64]; K], &mut Vec<f64>),
) -> Result<Tensor> {
    let mut values = [const { Vec::new() }; K];
    let mut lengths = [0; K];
    for ((values, length), input) in values.iter_mut().zip(&mut lengths).zip(inputs) {
        *values = input.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
        *length = input.dim(D::Minus1)?;
    }
    let count = values[0].len() / lengths[0].max(1);
    let mut out = Vec::with_capacity(dims.iter().product());
    for row in 0..count {
        let part = |i: usize| &values[i][row * lengths[i]..][..lengths[i]];
        make(std::array::from_fn(part), &mut out);
    }
    Ok(Tensor::from_vec(out, dims, &Device::Cpu)?.to_dtype(inputs[0].dtype())?)
}
