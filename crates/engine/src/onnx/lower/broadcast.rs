//! Constants that are repeated to the sides of another tensor.

use super::held::{Known, Pixels, in_order};
use super::writer::Writer;
use crate::error::{Error, Result};
use crate::nn::Pick;
use crate::nn::pick::NOTHING;
use crate::onnx::fold::strides::strides;
use crate::onnx::graph::Constant;

/// The sides that both are repeated to.
pub(super) fn common(a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let side = |sides: &[usize], axis: usize| {
        (axis + sides.len()).checked_sub(rank).map_or(1, |axis| sides[axis])
    };
    (0..rank)
        .map(|axis| match (side(a, axis), side(b, axis)) {
            (a, b) if a == b => Ok(a),
            (1, side) | (side, 1) => Ok(side),
            _ => Err(Error::setting(
                "sides",
                format!("{a:?} and {b:?} do not fit each other"),
                "the file contradicts itself: export the network again",
            )),
        })
        .collect()
}

/// The numbers of a constant that is repeated to `sides`, for the places of the axes `axes` in this order; along
/// the others it does not differ.
pub(super) fn spread(constant: &Constant, sides: &[usize], axes: &[usize]) -> Result<Vec<f32>> {
    let floats = constant.as_floats().ok_or_else(|| {
        Error::setting("constant", "holds integers beside pixels", "cast it to float")
    })?;
    let (added, strides) = (sides.len() - constant.sides.len(), strides(&constant.sides));
    let mut index = vec![0_usize];
    for axis in axes {
        let stride = match axis.checked_sub(added) {
            Some(own) if constant.sides[own] != 1 => strides[own],
            _ => 0,
        };
        let places = |start: &usize| (0..sides[*axis]).map(move |i| start + i * stride).collect();
        index = index.iter().flat_map(|start| -> Vec<usize> { places(start) }).collect();
    }
    Ok(index.into_iter().map(|i| floats.get(i).copied().unwrap_or_default()).collect())
}

impl Writer {
    /// A constant that a file for a fixed number of images repeats for each image of `x`, as it is for one image.
    pub(super) fn of_one(&self, constant: &Constant, x: &Pixels) -> Option<Constant> {
        let batch = x.batch_axis()?;
        let axis = (batch + constant.sides.len()).checked_sub(x.sides.len())?;
        let (mut sides, side) = (constant.sides.clone(), x.sides[batch]);
        if !self.fixed || self.many < 2 || sides.get(axis) != Some(&(side * self.many)) {
            return None;
        }
        sides[axis] = side;
        let floats = constant.as_floats()?;
        let run: usize = sides[axis..].iter().product();
        let images = floats.chunks(run.max(1) * self.many);
        let mut first = Vec::new();
        for image in images {
            let (own, others) = image.split_at_checked(run)?;
            if others.chunks(run.max(1)).any(|other| other != own) {
                return None;
            }
            first.extend_from_slice(own);
        }
        Some(Constant::floats(sides, first))
    }

    /// `x` where `mask`, which is repeated to its sides, is not 0, and 0 elsewhere.
    pub(super) fn masked(&mut self, x: &Pixels, mask: &Constant) -> Result<Pixels> {
        self.hold(x.len())?;
        let mask = spread(mask, &x.sides, &x.order)?;
        let places = mask.iter().enumerate();
        let index = places.map(|(i, kept)| if *kept == 0.0 { NOTHING } else { i as u32 }).collect();
        self.map(x, Pick::new(x.len(), self.shape(x.value), index, 0.0)?)
    }
}

impl Known {
    /// Whether it says the same of every image of a batch.
    pub(super) fn alike(&self) -> bool {
        match &self.many {
            None => true,
            Some(many) => {
                let mut axes = (0..many.sides.len())
                    .filter(|axis| self.one.sides.get(*axis) != Some(&many.sides[*axis]));
                match (many.sides.len() == self.one.sides.len(), axes.next(), axes.next()) {
                    (true, Some(_), None) => repeats(&self.one, many),
                    _ => false,
                }
            }
        }
    }
}

/// Whether `many` is `one` repeated along the axes in which their sides differ.
fn repeats(one: &Constant, many: &Constant) -> bool {
    let (Some(few), Some(all)) = (one.as_floats(), many.as_floats()) else { return false };
    let axes = in_order(many.sides.len());
    spread(one, &many.sides, &axes).is_ok_and(|spread| spread == all) && !few.is_empty()
}
