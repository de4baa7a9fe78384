//! Steps that only move numbers, as indices: several in a row are one, and those that undo each other are none.

use std::sync::Arc;

use super::{Step, Value};
use crate::nn::operation::{Op, Pick, View, pick::NOTHING};
use crate::nn::shape::Shape;

/// Where the numbers of a value come from: number i is number `index[i]` of `base`; without an index, number i.
#[derive(Debug, Clone)]
pub(super) struct Move {
    pub(super) base: Value,
    pub(super) index: Option<Arc<[u32]>>,
}

impl Move {
    /// Nothing moves.
    pub(super) fn none(base: Value) -> Self {
        Self { base, index: None }
    }

    /// The index, written out.
    pub(super) fn written(&self, length: usize) -> Arc<[u32]> {
        match &self.index {
            Some(index) => Arc::clone(index),
            None => (0..length as u32).collect(),
        }
    }
}

/// What the only input of `op` becomes, if nothing is computed: `None` for a view, an index otherwise.
fn moved(op: &Op, input: Shape) -> Option<Option<Arc<[u32]>>> {
    match op {
        Op::View(_) => Some(None),
        Op::Pick(pick) => pick.moves().map(Some),
        Op::Channels(part) => {
            let channels = input.channels();
            let rows = input.len() / channels.max(1);
            let row =
                |row: usize| (0..part.count).map(move |c| (row * channels + part.first + c) as u32);
            Some(Some((0..rows).flat_map(row).collect()))
        }
        Op::Flatten(_) => {
            let [height, width, channels] = input.sides();
            let plane = |c: usize| (0..height * width).map(move |p| (p * channels + c) as u32);
            Some(Some((0..channels).flat_map(plane).collect()))
        }
        _ => None,
    }
}

/// The values of a list of steps as moves of others. Steps are only added.
#[derive(Debug, Default)]
pub(super) struct Moves(Vec<Option<Move>>);

impl Moves {
    /// Learns what the step that makes `value` moves.
    pub(super) fn add(&mut self, value: Value, step: &Step, shapes: &[Shape]) {
        self.0.resize(value + 1, None);
        let [from] = step.inputs[..] else { return };
        let Some(index) = moved(&step.op, shapes[from]) else { return };
        let before = self.of(from);
        let index = match (before.index, index) {
            (None, index) => index,
            (before, None) => before,
            (Some(before), Some(index)) => {
                let place = |i: &u32| before.get(*i as usize).copied().unwrap_or(NOTHING);
                Some(index.iter().map(place).collect())
            }
        };
        let whole = |index: &Arc<[u32]>| index.iter().copied().eq(0..index.len() as u32);
        // Numbers in their own order are those of the base only if none is left out.
        let index = index.filter(|i| !(i.len() == shapes[before.base].len() && whole(i)));
        self.0[value] = Some(Move { base: before.base, index });
    }

    /// Where the numbers of `value` come from.
    pub(super) fn of(&self, value: Value) -> Move {
        self.0.get(value).cloned().flatten().unwrap_or_else(|| Move::none(value))
    }

    /// A step that does in one what the last one and moves before it do, if there are any.
    pub(super) fn joined(&self, value: Value, step: &Step, shapes: &[Shape]) -> Option<Step> {
        let own = self.0.get(value).cloned().flatten()?;
        let [from] = step.inputs[..] else { return None };
        let is_view = matches!(*step.op, Op::View(_));
        if own.base == from && (own.index.is_some() || is_view) {
            return None;
        }
        let (base, shape) = (shapes[own.base], shapes[value]);
        let op: Op = match &own.index {
            None => View(shape).into(),
            // A view before or after one move is no reason to give up an operation that has its own form.
            Some(_) if is_view || self.of(from).index.is_none() => return None,
            Some(index) => Pick::new(base.len(), shape, index.to_vec(), 0.0).ok()?.into(),
        };
        Some(Step { op: Arc::new(op), inputs: vec![own.base] })
    }
}
