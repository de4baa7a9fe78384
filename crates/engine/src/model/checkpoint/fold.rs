//! Weights that are stored as the parts of a reparametrisation, in the two spellings of PyTorch: `weight_g` and
//! `weight_v` of weight normalisation (Salimans and Kingma 2016), `weight_orig`, `weight_u` and `weight_v` of spectral
//! normalisation (Miyato et al. 2018), and the same below `parametrizations`. A frozen network has the weight that
//! they make in evaluation mode.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};

use crate::error::Result;

/// Where the parts of one weight are.
struct Parts {
    weight: String,
    form: Reparametrisation,
}

enum Reparametrisation {
    /// Lengths and directions.
    Weight { length: String, direction: String },
    /// A matrix, and the vectors that its largest singular value is computed with.
    Spectral { matrix: String, left: String, right: String },
}

/// Puts weights in the place of their parts; returns what is to be told. Tensors that are only called like parts, as
/// their shapes show, or whose weight is there too, stay as they are.
///
/// # Errors
/// If numbers cannot be read.
pub(super) fn reparametrisations(tensors: &mut BTreeMap<String, Tensor>) -> Result<Vec<String>> {
    let all: Vec<Parts> = tensors.keys().filter_map(|name| parts(name, tensors)).collect();
    let mut folded = [0, 0];
    for Parts { weight, form } in all {
        let (made, kind, names) = match &form {
            Reparametrisation::Weight { length, direction } => {
                let made = weight_norm(&tensors[length], &tensors[direction])?;
                (made, 0, vec![length, direction])
            }
            Reparametrisation::Spectral { matrix, left, right } => {
                let made = spectral_norm(&tensors[matrix], &tensors[left], &tensors[right])?;
                (made, 1, vec![matrix, left, right])
            }
        };
        if let Some(made) = made {
            folded[kind] += 1;
            names.into_iter().for_each(|name| drop(tensors.remove(name)));
            tensors.insert(weight, made);
        }
    }
    let told = |(count, what): (usize, &str)| match count {
        0 => None,
        1 => Some(format!("1 weight was stored with {what} and is folded")),
        _ => Some(format!("{count} weights were stored with {what} and are folded")),
    };
    let told = folded.into_iter().zip(["weight normalisation", "spectral normalisation"]).map(told);
    Ok(told.flatten().collect())
}

/// The parts that begin with `name`, if all of them are there, and nothing has the name of their weight.
fn parts(name: &str, tensors: &BTreeMap<String, Tensor>) -> Option<Parts> {
    let parts = named_parts(name, tensors)?;
    (!tensors.contains_key(&parts.weight)).then_some(parts)
}

fn named_parts(name: &str, tensors: &BTreeMap<String, Tensor>) -> Option<Parts> {
    let is_f32 = |name: &str| tensors.get(name).is_some_and(|part| part.dtype() == DType::F32);
    let there = |name: String| is_f32(&name).then_some(name);
    if !is_f32(name) {
        return None;
    }
    if let Some(weight) = name.strip_suffix("_g") {
        let form = Reparametrisation::Weight {
            length: name.into(),
            direction: there(format!("{weight}_v"))?,
        };
        return Some(Parts { weight: weight.into(), form });
    }
    if let Some(weight) = name.strip_suffix("_orig") {
        let form = Reparametrisation::Spectral {
            matrix: name.into(),
            left: there(format!("{weight}_u"))?,
            right: there(format!("{weight}_v"))?,
        };
        return Some(Parts { weight: weight.into(), form });
    }
    let (layer, rest) = name.split_once("parametrizations.")?;
    if let Some(own) = rest.strip_suffix(".original0") {
        let direction = there(format!("{layer}parametrizations.{own}.original1"))?;
        let form = Reparametrisation::Weight { length: name.into(), direction };
        return Some(Parts { weight: format!("{layer}{own}"), form });
    }
    let own = rest.strip_suffix(".original")?;
    let form = Reparametrisation::Spectral {
        matrix: name.into(),
        left: there(format!("{layer}parametrizations.{own}.0._u"))?,
        right: there(format!("{layer}parametrizations.{own}.0._v"))?,
    };
    Some(Parts { weight: format!("{layer}{own}"), form })
}

fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    let numbers = tensor.flatten_all()?.to_vec1::<f32>()?;
    Ok(numbers.into_iter().map(f64::from).collect())
}

fn of(numbers: Vec<f64>, shape: &[usize]) -> Result<Tensor> {
    let numbers: Vec<f32> = numbers.into_iter().map(|v| v as f32).collect();
    Ok(Tensor::from_vec(numbers, shape, &Device::Cpu)?)
}

/// g v / |v|, where the length is over the axes of which g has one entry; `None` if the shapes do not fit.
fn weight_norm(length: &Tensor, direction: &Tensor) -> Result<Option<Tensor>> {
    let shape = direction.dims();
    let own: Vec<usize> = match length.elem_count() {
        1 => vec![1; shape.len()],
        _ => length.dims().to_vec(),
    };
    let fits = |(g, v): (&usize, &usize)| *g == 1 || g == v;
    if own.len() != shape.len() || !own.iter().zip(shape).all(fits) {
        return Ok(None);
    }
    let (lengths, mut values) = (numbers(length)?, numbers(direction)?);
    // The place in g of every element of v.
    let group = |mut at: usize| {
        let (mut place, mut stride) = (0, 1);
        for (g, v) in own.iter().zip(shape).rev() {
            place += if *g == 1 { 0 } else { at % v * stride };
            stride *= g;
            at /= v;
        }
        place
    };
    let mut squares = vec![0.0; lengths.len()];
    values.iter().enumerate().for_each(|(at, v)| squares[group(at)] += v * v);
    for (at, v) in values.iter_mut().enumerate() {
        let group = group(at);
        *v *= lengths[group] / squares[group].sqrt();
    }
    of(values, shape).map(Some)
}

/// W / (u . W v), with W as a matrix of as many rows as u has entries; `None` if the shapes do not fit.
fn spectral_norm(matrix: &Tensor, left: &Tensor, right: &Tensor) -> Result<Option<Tensor>> {
    let shape = matrix.dims();
    let (rows, columns) = (left.elem_count(), right.elem_count());
    if shape.first() != Some(&rows) || rows * columns != matrix.elem_count() || columns == 0 {
        return Ok(None);
    }
    let (mut values, u, v) = (numbers(matrix)?, numbers(left)?, numbers(right)?);
    let product = |row: &[f64]| row.iter().zip(&v).map(|(w, v)| w * v).sum::<f64>();
    let sigma: f64 = values.chunks_exact(columns).zip(&u).map(|(row, u)| u * product(row)).sum();
    values.iter_mut().for_each(|w| *w /= sigma);
    of(values, shape).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(numbers: &[f32], shape: &[usize]) -> Tensor {
        Tensor::from_vec(numbers.to_vec(), shape, &Device::Cpu).unwrap()
    }

    fn folded(tensors: &[(&str, Tensor)]) -> (BTreeMap<String, Vec<f32>>, Vec<String>) {
        let mut tensors: BTreeMap<String, Tensor> =
            tensors.iter().map(|(name, t)| ((*name).to_owned(), t.clone())).collect();
        let told = reparametrisations(&mut tensors).unwrap();
        let values = |t: Tensor| t.flatten_all().unwrap().to_vec1().unwrap();
        (tensors.into_iter().map(|(name, t)| (name, values(t))).collect(), told)
    }

    #[test]
    fn weight_normalisation_is_folded() {
        let v = tensor(&[3.0, 4.0, 0.0, 2.0], &[2, 2]);
        for (g, want) in [
            // A length for each output, as by default; for each input; one for all.
            (tensor(&[10.0, 1.0], &[2, 1]), [6.0, 8.0, 0.0, 1.0]),
            (tensor(&[3.0, 1.0], &[1, 2]), [3.0, 4.0 / 20_f32.sqrt(), 0.0, 2.0 / 20_f32.sqrt()]),
            (tensor(&[29_f32.sqrt()], &[]), [3.0, 4.0, 0.0, 2.0]),
        ] {
            for [length, direction] in [
                ["fc.weight_g", "fc.weight_v"],
                ["fc.parametrizations.weight.original0", "fc.parametrizations.weight.original1"],
            ] {
                let (tensors, told) = folded(&[(length, g.clone()), (direction, v.clone())]);
                assert_eq!(tensors.keys().collect::<Vec<_>>(), ["fc.weight"]);
                for (got, want) in tensors["fc.weight"].iter().zip(want) {
                    assert!((got - want).abs() < 1e-6, "{got} instead of {want}");
                }
                assert_eq!(told, ["1 weight was stored with weight normalisation and is folded"]);
            }
        }
    }

    #[test]
    fn spectral_normalisation_is_folded() {
        let matrix = tensor(&[3.0, 0.0, 0.0, 1.0], &[2, 2]);
        let (u, v) = (tensor(&[1.0, 0.0], &[2]), tensor(&[1.0, 0.0], &[2]));
        for [w, left, right] in [
            ["conv.weight_orig", "conv.weight_u", "conv.weight_v"],
            [
                "conv.parametrizations.weight.original",
                "conv.parametrizations.weight.0._u",
                "conv.parametrizations.weight.0._v",
            ],
        ] {
            let (tensors, _) =
                folded(&[(w, matrix.clone()), (left, u.clone()), (right, v.clone())]);
            assert_eq!(tensors.keys().collect::<Vec<_>>(), ["conv.weight"]);
            assert_eq!(tensors["conv.weight"], [1.0, 0.0, 0.0, 1.0 / 3.0]);
        }
    }

    #[test]
    fn what_only_looks_like_a_part_stays() {
        let t = tensor(&[1.0], &[1]);
        let names = ["a_g", "b_orig", "b_u", "c.weight", "d_v"];
        let (tensors, told) = folded(&names.map(|name| (name, t.clone())));
        assert_eq!((tensors.len(), told.len()), (5, 0));
        // Shapes that do not belong together; a weight that is there; numbers of another kind.
        let (g, v) = (tensor(&[1.0, 2.0, 3.0], &[3, 1]), tensor(&[1.0; 4], &[2, 2]));
        let (right, bytes) = (tensor(&[1.0, 2.0], &[2, 1]), v.to_dtype(DType::U8).unwrap());
        let whole = Some(("w", v.clone()));
        for (g, v, w) in [(g, v.clone(), None), (right.clone(), v, whole), (right, bytes, None)] {
            let mut odd = vec![("w_g", g), ("w_v", v)];
            odd.extend(w);
            let mut tensors: BTreeMap<String, Tensor> =
                odd.iter().map(|(name, t)| ((*name).to_owned(), t.clone())).collect();
            assert_eq!(reparametrisations(&mut tensors).unwrap(), [""; 0]);
            assert_eq!(tensors.len(), odd.len());
        }
    }
}
