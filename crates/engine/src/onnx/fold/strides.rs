//! Where the elements of a tensor are: checked sizes, broadcasting, and copies of elements in another order. All
//! moving operators end here, so it is the only place that allocates by a size from the file.

use std::rc::Rc;

use super::super::attribute::EXPORT_AGAIN;
use super::super::graph::{Constant, Node, Numbers};
use crate::error::Result;

/// Most elements of a constant: weights of the largest image classifiers fit, a lying shape does not.
pub(in crate::onnx) const MOST_ELEMENTS: usize = 1 << 28;
/// Most elements of a constant that is computed of smaller ones. A few bytes of a file may ask for any number.
const MOST_COMPUTED: usize = 1 << 24;
/// Most sides of a constant.
pub(super) const MOST_SIDES: usize = 64;

/// The number of elements of a tensor of these sides, before anything is allocated for it. Sides of 0 count as 1
/// towards the limit: so every product of some of the sides stays below it, too.
pub(super) fn count(node: &Node, sides: &[usize]) -> Result<usize> {
    count_of(node, sides, 0)
}

/// [`count`] of what is made of `inputs` elements, which are there already: as many are always allowed.
pub(super) fn count_of(node: &Node, sides: &[usize], inputs: usize) -> Result<usize> {
    let most = inputs.clamp(MOST_COMPUTED, MOST_ELEMENTS);
    let product = elements(sides);
    match product.filter(|&n| n <= most && sides.len() <= MOST_SIDES) {
        Some(_) if sides.contains(&0) => Ok(0),
        Some(elements) => Ok(elements),
        None => Err(node.error(
            format!("a constant of the sides {} is too large", listed(sides)),
            format!(
                "a constant that is computed has at most {most} elements and {MOST_SIDES} sides"
            ),
        )),
    }
}

/// The product of the sides, of which those of 0 count as 1.
fn elements(sides: &[usize]) -> Option<usize> {
    sides.iter().try_fold(1_usize, |product, &side| product.checked_mul(side.max(1)))
}

/// Sides for a message: `[2, 3]`, or the beginning of a list that is too long to read.
pub(super) fn listed(sides: &[usize]) -> String {
    match sides.get(..8) {
        Some(first) if sides.len() > 8 => format!("{first:?} and {} more", sides.len() - 8),
        _ => format!("{sides:?}"),
    }
}

/// A side from the file's integer.
pub(super) fn side(node: &Node, side: i64) -> Result<usize> {
    usize::try_from(side).map_err(|_| node.error(format!("a side cannot be {side}"), EXPORT_AGAIN))
}

/// How far apart neighbours along each axis are in row-major order.
pub(in crate::onnx) fn strides(sides: &[usize]) -> Vec<usize> {
    let mut step = 1;
    let mut strides: Vec<usize> = sides
        .iter()
        .rev()
        .map(|&side| {
            let stride = step;
            step *= side.max(1);
            stride
        })
        .collect();
    strides.reverse();
    strides
}

/// The sides of what several tensors give together, each repeated along its sides of 1 and missing ones.
pub(super) fn broadcast<'a>(
    node: &Node,
    all: impl IntoIterator<Item = &'a [usize]> + Clone,
) -> Result<Vec<usize>> {
    let rank = all.clone().into_iter().map(<[usize]>::len).max().unwrap_or(0);
    let largest = all.clone().into_iter().filter_map(elements).max().unwrap_or(0);
    let mut joint = vec![1; rank];
    for sides in all {
        let missing = rank - sides.len();
        for (have, &side) in joint.iter_mut().skip(missing).zip(sides) {
            if *have == 1 {
                *have = side;
            } else if side != 1 && side != *have {
                return Err(node.error(
                    format!("inputs with sides of {have} and {side} do not go together"),
                    EXPORT_AGAIN,
                ));
            }
        }
    }
    count_of(node, &joint, largest)?;
    Ok(joint)
}

/// Offsets into a tensor, in the row-major order of a result whose index `i` along axis `a` contributes
/// `contribution(a, i)`. `sides` are the result's, and [`count`] has passed them.
pub(super) fn offsets<F: Fn(usize, usize) -> usize>(
    sides: &[usize],
    contribution: F,
) -> impl Iterator<Item = usize> + use<F> {
    let table = |axis: usize, side: usize| -> Vec<usize> {
        (0..side).map(|index| contribution(axis, index)).collect()
    };
    let (last, outer) = match sides.split_last() {
        Some((&last, outer)) => (table(outer.len(), last), outer),
        None => (vec![0], sides),
    };
    let mut begins = vec![0];
    for (axis, &side) in outer.iter().enumerate() {
        let steps = table(axis, side);
        begins = begins.iter().flat_map(|from| steps.iter().map(move |step| from + step)).collect();
    }
    let last: Rc<[usize]> = last.into();
    begins.into_iter().flat_map(move |from| {
        let last = Rc::clone(&last);
        (0..last.len()).map(move |index| from + last[index])
    })
}

/// [`offsets`] into a tensor of the sides `from` that is repeated to the sides `to`.
pub(super) fn repeated(from: &[usize], to: &[usize]) -> impl Iterator<Item = usize> + use<> {
    let missing = to.len() - from.len();
    let steps: Vec<usize> = std::iter::repeat_n(0, missing)
        .chain(strides(from).into_iter().zip(from).map(|(step, &s)| if s == 1 { 0 } else { step }))
        .collect();
    offsets(to, move |axis, index| index * steps[axis])
}

/// A constant of the sides `sides` with the elements of `input` at [`offsets`] by `contribution`.
pub(super) fn select(
    node: &Node,
    input: &Constant,
    sides: Vec<usize>,
    contribution: impl Fn(usize, usize) -> usize,
) -> Result<Constant> {
    count_of(node, &sides, input.len())?;
    let numbers = input.numbers.pick(offsets(&sides, contribution));
    Ok(Constant { sides, numbers })
}

/// `input` with its axes in another order.
pub(super) fn transpose(node: &Node, input: &Constant, order: &[usize]) -> Result<Constant> {
    let steps = strides(&input.sides);
    let sides = order.iter().map(|&axis| input.sides[axis]).collect();
    select(node, input, sides, |axis, index| index * steps[order[axis]])
}

impl Numbers {
    /// The elements at these places, each below the number of elements.
    pub(super) fn pick(&self, places: impl Iterator<Item = usize>) -> Self {
        match self {
            Self::Floats(from) => Self::Floats(places.map(|place| from[place]).collect()),
            Self::Ints(from) => Self::Ints(places.map(|place| from[place]).collect()),
            Self::Bools(from) => Self::Bools(places.map(|place| from[place]).collect()),
        }
    }

    /// Appends the elements of `other`; false if they are of another kind.
    pub(super) fn append(&mut self, other: &Self) -> bool {
        match (self, other) {
            (Self::Floats(to), Self::Floats(from)) => to.extend_from_slice(from),
            (Self::Ints(to), Self::Ints(from)) => to.extend_from_slice(from),
            (Self::Bools(to), Self::Bools(from)) => to.extend_from_slice(from),
            _ => return false,
        }
        true
    }
}
