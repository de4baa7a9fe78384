//! The tree as a list of steps in the order of their evaluation, each with the numbers of the steps
//! it reads: bounds go along it forwards and backwards, and branches need no special care.

use super::affine_form::AffineMap;
use crate::error::{Error, Result};
use crate::nn::{Concat, Layer, MaxPool, Node, Seq, Shape, Sum, relu};
use crate::ops::pool::Window;

/// A layer tree, ready to be bounded.
#[derive(Debug)]
pub struct Program {
    pub(super) steps: Vec<Step>,
}

/// One step.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) kind: Kind,
    /// Steps it reads, all earlier.
    pub(super) inputs: Vec<usize>,
    pub(super) shape: Shape,
    /// Its values go into a relu or a max pool.
    pub(super) feeds: Option<Feeds>,
    /// No relu or max pool comes before it.
    pub(super) linear: bool,
}

/// What a step does.
#[derive(Debug)]
pub(super) enum Kind {
    Image,
    Affine(Box<AffineMap>),
    Relu,
    MaxPool(Window),
    Sum,
    Concat,
}

/// What reads a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Feeds {
    Relu,
    MaxPool,
}

impl Program {
    /// Lists the steps of `tree` for images of shape `input`.
    ///
    /// # Errors
    /// If a layer has no bounds (the error names it), is too wide, or the shapes do not fit.
    pub fn new(tree: &Layer, input: Shape) -> Result<Self> {
        let image =
            Step { kind: Kind::Image, inputs: Vec::new(), shape: input, feeds: None, linear: true };
        let mut program = Self { steps: vec![image] };
        program.add(tree, 0)?;
        Ok(program)
    }

    /// Shape of the logits.
    pub(super) fn output(&self) -> Shape {
        self.steps[self.last()].shape
    }

    pub(super) fn last(&self) -> usize {
        self.steps.len() - 1
    }

    /// Adds the steps of `layer` on the values of step `input`; returns the step of its output.
    fn add(&mut self, layer: &Layer, input: usize) -> Result<usize> {
        let shape = self.steps[input].shape;
        let output = layer.shape(shape)?;
        match layer {
            Layer::Identity => Ok(input),
            Layer::Seq(Seq(layers)) => {
                layers.iter().try_fold(input, |input, layer| self.add(layer, input))
            }
            Layer::Sum(Sum(branches)) => self.join(branches, input, Kind::Sum, output),
            Layer::Concat(Concat(branches)) => self.join(branches, input, Kind::Concat, output),
            Layer::Relu(_) => {
                self.steps[input].feeds.get_or_insert(Feeds::Relu);
                Ok(self.push(Kind::Relu, vec![input], output))
            }
            Layer::MaxPool(MaxPool(window)) => {
                self.steps[input].feeds = Some(Feeds::MaxPool);
                Ok(self.push(Kind::MaxPool(*window), vec![input], output))
            }
            other => {
                let mut form = other.affine_form(shape)?.ok_or_else(|| {
                    Error::setting(
                        format!("layer {}", other.describe()),
                        "has no deterministic bounds",
                        "certify the network by smoothing, which asks nothing of its layers",
                    )
                })?;
                if let Layer::Affine(_) = other {
                    form.terms += self.fold(input);
                }
                let map = AffineMap::new(form, shape, &other.describe())?;
                let at = self.push(Kind::Affine(Box::new(map)), vec![input], output);
                match cuts(other) {
                    true => self.add(&relu(), at),
                    false => Ok(at),
                }
            }
        }
    }

    /// Step `at` goes into an affine layer, into which the engine may fold it: the layers of such a
    /// chain round once more each. Returns the most terms of one of them.
    fn fold(&mut self, mut at: usize) -> usize {
        let mut most = 0;
        while let Step { kind: Kind::Affine(map), inputs, .. } = &mut self.steps[at]
            && map.terms() > 0
            && let Some(input) = inputs.first()
        {
            map.round_once_more();
            most = most.max(map.terms());
            at = *input;
        }
        most
    }

    fn join(
        &mut self,
        branches: &[Layer],
        input: usize,
        kind: Kind,
        output: Shape,
    ) -> Result<usize> {
        let inputs =
            branches.iter().map(|branch| self.add(branch, input)).collect::<Result<Vec<_>>>()?;
        Ok(self.push(kind, inputs, output))
    }

    fn push(&mut self, kind: Kind, inputs: Vec<usize>, shape: Shape) -> usize {
        let nonlinear = matches!(kind, Kind::Relu | Kind::MaxPool(_));
        let linear = !nonlinear && inputs.iter().all(|i| self.steps[*i].linear);
        self.steps.push(Step { kind, inputs, shape, feeds: None, linear });
        self.last()
    }
}

/// Whether a relu is part of the layer: its affine form leaves that out.
fn cuts(layer: &Layer) -> bool {
    match layer {
        Layer::Conv2d(conv) => conv.cuts(),
        Layer::Affine(affine) => affine.cuts(),
        _ => false,
    }
}
