//! Writes a program down, one ONNX tensor after the other, and moves numbers only where an operation needs them
//! in another order. What the operators mean is in the files beside this one; how tensors lie is here.

use std::collections::BTreeSet;

use candle_core::{Device, Tensor};

use super::broadcast::{common, spread};
use super::budget::{Budget, fitting, too_large};
use super::call::Call;
use super::held::{Batch, Pixels, in_order};
use crate::error::{Error, Result};
use crate::nn::pick::NOTHING;
use crate::nn::{Affine, Builder, Channels, Flatten, IMAGE, Op, Pick, Scale, Shape, Value, View};
use crate::onnx::graph::{Constant, Kind};

/// For one axis of a tensor and each place on it, where in the source it is read, or `None` for the number that
/// fills. The places of several axes are added.
pub(super) type Places = Vec<Option<usize>>;

/// A program under construction.
#[derive(Debug)]
pub(super) struct Writer {
    builder: Builder,
    /// What was spent of the memory and the time that a file is worth.
    budget: Budget,
    /// Number of images for which [`Known::many`] is.
    pub(super) many: usize,
    /// Whether the file wants so many images and no other number: sizes in it may count them.
    pub(super) fixed: bool,
    /// What the user has to be told.
    pub(super) notes: BTreeSet<String>,
}

impl Writer {
    /// No steps yet, for a file of `stored` numbers.
    pub(super) fn new(image: Shape, many: usize, stored: usize) -> Self {
        Self {
            builder: Builder::new(image),
            budget: Budget::new(stored),
            many,
            fixed: false,
            notes: BTreeSet::new(),
        }
    }

    pub(super) fn finish(self, output: Value) -> Result<crate::nn::Program> {
        self.builder.finish(output)?.recognised()
    }

    /// Adds a step.
    pub(super) fn push(&mut self, op: impl Into<Op>, inputs: &[Value]) -> Result<Value> {
        let value = self.builder.push(op.into(), inputs)?;
        self.budget.make(self.shape(value).len())?;
        Ok(value)
    }

    /// Counts numbers that a step will hold.
    ///
    /// # Errors
    /// If there are more than the file can mean.
    pub(super) fn hold(&mut self, numbers: usize) -> Result<()> {
        self.budget.hold(numbers)
    }

    /// Counts what the node of `call` has computed of constants alone.
    ///
    /// # Errors
    /// If that and what came before it are more than the file can mean.
    pub(super) fn computed(&mut self, call: &Call<'_>, outputs: &[Constant]) -> Result<()> {
        self.budget.computed(call, outputs)
    }

    pub(super) fn shape(&self, value: Value) -> Shape {
        self.builder.shape(value).unwrap_or(Shape::Flat(0))
    }

    /// The same numbers in another shape.
    pub(super) fn view(&mut self, value: Value, shape: Shape) -> Result<Value> {
        if self.shape(value) == shape {
            return Ok(value);
        }
        self.push(View(shape), &[value])
    }

    /// A function of every number.
    pub(super) fn map(&mut self, x: &Pixels, op: impl Into<Op>) -> Result<Pixels> {
        Ok(Pixels { value: self.push(op, &[x.value])?, ..x.clone() })
    }

    /// `x` with its numbers in this order of the axes.
    pub(super) fn arrange(&mut self, x: &Pixels, order: &[usize]) -> Result<Pixels> {
        let order = order.to_vec();
        if x.lies(&order) {
            return Ok(Pixels { order, ..x.clone() });
        }
        let wide = x.wide();
        let wanted: Vec<usize> = order.iter().copied().filter(|a| x.sides[*a] != 1).collect();
        // From pixels to planes, for which there is an operation.
        if let Some((last, front)) = wide.split_last()
            && wanted.first() == Some(last)
            && wanted[1..] == *front
        {
            let channels = x.sides[*last];
            let image = match self.shape(x.value) {
                shape @ Shape::Image { channels: own, .. } if own == channels => shape,
                _ => Shape::of_image([x.len() / channels.max(1), 1], channels),
            };
            let value = self.view(x.value, image)?;
            let value = self.push(Flatten, &[value])?;
            return Ok(Pixels { value, order, ..x.clone() });
        }
        let strides = x.strides();
        let axes: Vec<Places> = order
            .iter()
            .map(|axis| (0..x.sides[*axis]).map(|i| Some(i * strides[*axis])).collect())
            .collect();
        let value = self.pick(x, &axes, 0.0)?;
        Ok(Pixels { value, order, ..x.clone() })
    }

    /// `x` with its numbers in row-major order of the axes.
    pub(super) fn row_major(&mut self, x: &Pixels) -> Result<Pixels> {
        self.arrange(x, &in_order(x.sides.len()))
    }

    /// Numbers of `x` in another arrangement; `axes` from the outermost to the innermost.
    pub(super) fn pick(&mut self, x: &Pixels, axes: &[Places], fill: f64) -> Result<Value> {
        let sides: Vec<usize> = axes.iter().map(Vec::len).collect();
        self.hold(fitting(&sides)?)?;
        let mut index: Vec<u32> = vec![0];
        for places in axes {
            let mut next = Vec::with_capacity(index.len() * places.len());
            for start in &index {
                for place in places {
                    next.push(match place {
                        Some(place) if *start != NOTHING => start + *place as u32,
                        _ => NOTHING,
                    });
                }
            }
            index = next;
        }
        let op = Pick::new(x.len(), shape_of(&sides), index, fill)?;
        self.push(op, &[x.value])
    }

    /// `x` in the sides `sides`, which it is repeated to, with its numbers in this order.
    pub(super) fn expand(
        &mut self,
        x: &Pixels,
        sides: &[usize],
        order: &[usize],
    ) -> Result<Pixels> {
        let x = extended(x, sides.len());
        if x.sides == sides {
            return self.arrange(&x, order);
        }
        fitting(sides)?;
        let strides = x.strides();
        let axes: Vec<Places> = order
            .iter()
            .map(|axis| match x.sides[*axis] {
                1 => vec![Some(0); sides[*axis]],
                side => (0..side).map(|i| Some(i * strides[*axis])).collect(),
            })
            .collect();
        let value = self.pick(&x, &axes, 0.0)?;
        Ok(Pixels { value, sides: sides.to_vec(), order: order.to_vec(), ..x })
    }

    /// `x` under other sides of as many numbers, which are read in row-major order.
    pub(super) fn reshape(
        &mut self,
        x: &Pixels,
        sides: Vec<usize>,
        batch: Option<Batch>,
    ) -> Result<Pixels> {
        if let Some(order) = reshaped(x, &sides) {
            return Ok(Pixels { sides, order, batch, ..x.clone() });
        }
        let x = self.row_major(x)?;
        let order = in_order(sides.len());
        Ok(Pixels { sides, order, batch, ..x })
    }

    /// The value of `x` with `axis` innermost, as `[H, W, C]` or a vector whose channels are that axis.
    pub(super) fn along(&mut self, x: &Pixels, axis: usize) -> Result<Pixels> {
        let order: Vec<usize> =
            x.order.iter().copied().filter(|a| *a != axis).chain([axis]).collect();
        let mut x = self.arrange(x, &order)?;
        let side = x.sides[axis];
        if self.shape(x.value).channels() != side {
            let rows = x.len() / side.max(1);
            let shape =
                if rows == 1 { Shape::Flat(side) } else { Shape::of_image([rows, 1], side) };
            x.value = self.view(x.value, shape)?;
        }
        Ok(x)
    }

    /// `x` with the axes `axes` innermost, in this order, as rows of them: `[rows, 1, numbers]`.
    pub(super) fn rows(&mut self, x: &Pixels, axes: &[usize]) -> Result<Pixels> {
        let rest = x.order.iter().copied().filter(|a| !axes.contains(a));
        let order: Vec<usize> = rest.chain(axes.iter().copied()).collect();
        let mut x = self.arrange(x, &order)?;
        let length: usize = axes.iter().map(|axis| x.sides[*axis]).product();
        let shape = Shape::of_image([x.len() / length.max(1), 1], length);
        x.value = self.view(x.value, shape)?;
        Ok(x)
    }

    /// `x * scale + shift` with constants that are repeated to the sides of `x`, or `x` to theirs.
    pub(super) fn affine(
        &mut self,
        x: &Pixels,
        scale: Option<&Constant>,
        shift: Option<&Constant>,
    ) -> Result<Pixels> {
        let mut sides = x.sides.clone();
        for constant in [scale, shift].into_iter().flatten() {
            sides = common(&sides, &constant.sides)?;
        }
        let order: Vec<usize> = match sides.len().checked_sub(x.sides.len()) {
            _ if sides == x.sides => x.order.clone(),
            added => {
                let added = added.unwrap_or_default();
                in_order(added).into_iter().chain(x.order.iter().map(|a| a + added)).collect()
            }
        };
        let mut x = self.expand(x, &sides, &order)?;
        let single = |constant: Option<&Constant>, default: f32| match constant {
            None => Some(default),
            Some(constant) => match constant.as_floats() {
                Some([number]) => Some(*number),
                _ => None,
            },
        };
        let factor = single(scale, 1.0);
        if let (Some(factor), None) = (factor, shift) {
            return self.map(&x, Scale(f64::from(factor)));
        }
        // The axes that the constants differ along: none, the innermost one, or others.
        let mut along = BTreeSet::new();
        for constant in [scale, shift].into_iter().flatten() {
            let first = sides.len() - constant.sides.len();
            let wide = constant.sides.iter().enumerate().filter(|(_, side)| **side != 1);
            along.extend(wide.map(|(axis, _)| axis + first));
        }
        let last = x.wide().last().copied();
        let within = along.iter().all(|axis| Some(*axis) == last);
        let inner: Vec<usize> = match last {
            Some(last) if within => {
                x = self.along(&x, last)?;
                vec![last]
            }
            _ if x.len() == 1 => Vec::new(),
            _ => {
                x.value = self.view(x.value, Shape::Flat(x.len()))?;
                x.order.clone()
            }
        };
        let length: usize = inner.iter().map(|axis| sides[*axis]).product();
        self.hold(2 * length)?;
        let spread = |constant: Option<&Constant>, default: f32| -> Result<Tensor> {
            let numbers = match constant {
                None => vec![default; length],
                Some(constant) => spread(constant, &sides, &inner)?,
            };
            let length = numbers.len();
            Ok(Tensor::from_vec(numbers, length, &Device::Cpu)?)
        };
        let op = Affine::new(spread(scale, 1.0)?, spread(shift, 0.0)?);
        self.map(&x, op)
    }

    /// A constant as a value of the program.
    pub(super) fn constant(&mut self, constant: &Constant) -> Result<Pixels> {
        let floats = constant.as_floats().ok_or_else(|| {
            Error::setting("constant", "holds integers beside pixels", "cast it to float")
        })?;
        too_large(floats.len())?;
        self.hold(3 * floats.len())?;
        let index = vec![NOTHING; floats.len()];
        let length = self.shape(IMAGE).len();
        let zeros = Pick::new(length, Shape::Flat(floats.len()), index, 0.0)?;
        let value = self.push(zeros, &[IMAGE])?;
        let shift = Tensor::from_slice(floats, floats.len(), &Device::Cpu)?;
        let value = self.push(Affine::new(shift.ones_like()?, shift), &[value])?;
        Ok(Pixels {
            value,
            sides: constant.sides.clone(),
            order: in_order(constant.sides.len()),
            batch: None,
            kind: Kind::Float,
        })
    }

    /// Part of an axis: the places `places` of it.
    pub(super) fn take(&mut self, x: &Pixels, axis: usize, places: &[usize]) -> Result<Pixels> {
        let mut sides = x.sides.clone();
        sides[axis] = places.len();
        if places.iter().copied().eq(0..x.sides[axis]) {
            return Ok(x.clone());
        }
        let run = places.windows(2).all(|pair| pair[1] == pair[0] + 1);
        if let (true, Some(first), true) = (run, places.first(), x.wide().last() == Some(&axis)) {
            let x = self.along(x, axis)?;
            let part = Channels { first: *first, count: places.len() };
            return Ok(Pixels { value: self.push(part, &[x.value])?, sides, ..x });
        }
        let places = places.iter().map(|place| Some(*place)).collect();
        let value = self.pick_axis(x, axis, places, 0.0)?;
        Ok(Pixels { value, sides, ..x.clone() })
    }

    /// `x` with other places on one axis, which are counted along it.
    pub(super) fn pick_axis(
        &mut self,
        x: &Pixels,
        axis: usize,
        places: Places,
        fill: f64,
    ) -> Result<Value> {
        let strides = x.strides();
        let axes: Vec<Places> = x
            .order
            .iter()
            .map(|own| match *own == axis {
                true => places.iter().map(|p| p.map(|place| place * strides[axis])).collect(),
                false => (0..x.sides[*own]).map(|i| Some(i * strides[*own])).collect(),
            })
            .collect();
        self.pick(x, &axes, fill)
    }
}

/// `x` with axes of one place in front.
pub(super) fn extended(x: &Pixels, rank: usize) -> Pixels {
    let added = rank.saturating_sub(x.sides.len());
    let sides = vec![1; added].into_iter().chain(x.sides.iter().copied()).collect();
    let order = (0..added).chain(x.order.iter().map(|axis| axis + added)).collect();
    let batch = x.batch.map(|batch| Batch { axis: batch.axis + added, ..batch });
    Pixels { sides, order, batch, ..x.clone() }
}

/// The order of the axes of `x` under other sides, if no number has to move: each group of axes that becomes
/// other axes lies together.
fn reshaped(x: &Pixels, sides: &[usize]) -> Option<Vec<usize>> {
    let wide = x.wide();
    // For each wide axis of `x`, where it lies.
    let place = |axis: usize| wide.iter().position(|own| *own == axis);
    let (mut i, mut j) = (0, 0);
    // Where each group lies, and its new axes.
    let mut groups: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut narrow = Vec::new();
    while i < x.sides.len() || j < sides.len() {
        if x.sides.get(i) == Some(&1) {
            i += 1;
            continue;
        }
        if sides.get(j) == Some(&1) {
            narrow.push(j);
            j += 1;
            continue;
        }
        let (mut old, mut new) = (*x.sides.get(i)?, *sides.get(j)?);
        let (first_old, first_new) = (i, j);
        (i, j) = (i + 1, j + 1);
        while old != new {
            if old < new {
                old = old.checked_mul(*x.sides.get(i)?)?;
                i += 1;
            } else {
                new = new.checked_mul(*sides.get(j)?)?;
                j += 1;
            }
        }
        let places: Vec<usize> = (first_old..i).filter_map(place).collect();
        if places.windows(2).any(|pair| pair[1] != pair[0] + 1) {
            return None;
        }
        groups.push((*places.first()?, (first_new..j).collect()));
    }
    groups.sort_by_key(|(place, _)| *place);
    Some(narrow.into_iter().chain(groups.into_iter().flat_map(|(_, axes)| axes)).collect())
}

/// The engine's shape for sides in the order in which the numbers lie.
pub(super) fn shape_of(sides: &[usize]) -> Shape {
    let wide: Vec<usize> = sides.iter().copied().filter(|side| *side != 1).collect();
    match wide[..] {
        [] => Shape::Flat(1),
        [length] => Shape::Flat(length),
        [height, channels] => Shape::of_image([height, 1], channels),
        [ref front @ .., width, channels] => {
            Shape::of_image([front.iter().product(), width], channels)
        }
    }
}

/// Where the batch is after `x` got the sides `sides`, if that is possible; `told` is the axis that grows with the
/// number of images, if that is known: among axes of one place it cannot be seen.
pub(super) fn batch_after(
    x: &Pixels,
    sides: &[usize],
    told: Option<usize>,
) -> Result<Option<Batch>, ()> {
    let Some(batch) = x.batch else { return Ok(None) };
    let inner = batch.within * x.sides[batch.axis + 1..].iter().product::<usize>();
    let mut fitting = Vec::new();
    for (axis, side) in sides.iter().enumerate() {
        let right: usize = sides[axis + 1..].iter().product();
        let within = inner / right.max(1);
        if right > 0 && inner % right == 0 && within > 0 && within <= *side && side % within == 0 {
            fitting.push(Batch { axis, within });
        }
    }
    let found = match told {
        Some(axis) => fitting.iter().find(|batch| batch.axis == axis),
        None => fitting.iter().find(|batch| sides[batch.axis] == 1).or(fitting.first()),
    };
    found.copied().map(Some).ok_or(())
}
