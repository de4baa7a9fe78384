//! What other frameworks write in many steps and the engine has as one operation: GELU, SiLU, layer norm, attention. Programs
//! of the zoo have these operations from the start; imported ones get them here.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::moves::Moves;
use super::{IMAGE, Program, Step, Value};
use crate::error::Result;
use crate::nn::operation::{
    Attention, Concat, Function, Gelu, LayerNorm, Op, Pairing, Pick, Reduction, Silu, View,
};
use crate::nn::shape::Shape;

impl Program {
    /// The same function with the engine's own operations in place of steps that amount to them, and without
    /// numbers that are moved to and fro.
    ///
    /// # Errors
    /// If shapes do not fit, which is a bug.
    pub fn recognised(&self) -> Result<Self> {
        let mut list = List::new(self.input());
        let mut names = vec![IMAGE];
        for step in &self.steps {
            let inputs = step.inputs.iter().map(|input| names[*input]).collect();
            names.push(list.add(Step { op: Arc::clone(&step.op), inputs })?);
        }
        Ok(Self::of(list.steps, list.shapes, names[self.output]))
    }
}

/// Steps under construction, and where their numbers come from.
struct List {
    steps: Vec<Step>,
    shapes: Vec<Shape>,
    moves: Moves,
}

impl List {
    fn new(input: Shape) -> Self {
        Self { steps: Vec::new(), shapes: vec![input], moves: Moves::default() }
    }

    /// The value of `step`, or of another one that makes the same.
    fn add(&mut self, step: Step) -> Result<Value> {
        if let Some(value) = self.attention(&step)? {
            return Ok(value);
        }
        if let Some((op, x)) = self.activation(&step) {
            return self.push(op, vec![x]);
        }
        if let Some(value) = self.layer_norm(&step)? {
            return Ok(value);
        }
        let value = self.push_step(step)?;
        let last = self.steps[value - 1].clone();
        match self.moves.joined(value, &last, &self.shapes) {
            Some(joined)
                if self.shapes[joined.inputs[0]] == self.shapes[value]
                    && matches!(*joined.op, Op::View(_)) =>
            {
                Ok(joined.inputs[0])
            }
            Some(joined) => self.push_step(joined),
            None => Ok(value),
        }
    }

    fn push(&mut self, op: impl Into<Op>, inputs: Vec<Value>) -> Result<Value> {
        self.push_step(Step { op: Arc::new(op.into()), inputs })
    }

    fn push_step(&mut self, step: Step) -> Result<Value> {
        let shapes: Vec<Shape> = step.inputs.iter().map(|input| self.shapes[*input]).collect();
        self.shapes.push(step.op.shape(&shapes)?);
        let value = self.steps.len() + 1;
        self.moves.add(value, &step, &self.shapes);
        self.steps.push(step);
        Ok(value)
    }

    /// The operation that makes `value`, and what it reads.
    fn made(&self, value: Value) -> Option<(&Op, &[Value])> {
        let step = self.steps.get(value.checked_sub(1)?)?;
        Some((&*step.op, &step.inputs))
    }

    /// The same for an operation that reads one value.
    fn made_of_one(&self, value: Value) -> Option<(&Op, Value)> {
        match self.made(value)? {
            (op, [x]) => Some((op, *x)),
            _ => None,
        }
    }

    /// An activation that ends in `step`, and what it is of.
    fn activation(&self, step: &Step) -> Option<(Op, Value)> {
        match (&*step.op, &step.inputs[..]) {
            (Op::Pairwise(product), [a, b]) if product.0 == Pairing::Product => {
                let ordered = |x: Value, factor: Value| {
                    if let Some((Op::Sigmoid(_), of)) = self.made_of_one(factor)
                        && of == x
                    {
                        return Some((Op::from(Silu), x));
                    }
                    // 0.5 x times (1 + erf(x / sqrt(2))).
                    let (op, half) = self.made_of_one(x)?;
                    let by_half = matches!(op, Op::Scale(scale) if scale.0 == 0.5);
                    (by_half && self.error_function(factor) == Some(half))
                        .then_some((Op::from(Gelu), half))
                };
                ordered(*a, *b).or_else(|| ordered(*b, *a))
            }
            // Half of x times (1 + erf(x / sqrt(2))).
            (Op::Scale(scale), [product]) if scale.0 == 0.5 => {
                let (op, [a, b]) = self.made(*product)? else { return None };
                let is_product = matches!(op, Op::Pairwise(pair) if pair.0 == Pairing::Product);
                let fits = |x: &Value, factor: &Value| self.error_function(*factor) == Some(*x);
                let x = if fits(a, b) { a } else { b };
                (is_product && (fits(a, b) || fits(b, a))).then_some((Op::from(Gelu), *x))
            }
            _ => None,
        }
    }

    /// The x of `1 + erf(x / sqrt(2))`.
    fn error_function(&self, value: Value) -> Option<Value> {
        let (Op::Affine(affine), erf) = self.made_of_one(value)? else { return None };
        if affine.uniform()? != [1.0, 1.0] {
            return None;
        }
        let (Op::Pointwise(function), scaled) = self.made_of_one(erf)? else { return None };
        let (Op::Scale(scale), x) = self.made_of_one(scaled)? else { return None };
        let right = (scale.0 - std::f64::consts::FRAC_1_SQRT_2).abs() < 1e-6;
        (function.0 == Function::Erf && right).then_some(x)
    }

    /// The value that `value` is another view of, or itself.
    fn plain(&self, value: Value) -> Value {
        let at = self.moves.of(value);
        if at.index.is_none() { at.base } else { value }
    }

    /// The one number for each row of `value`, if every row of `channels` repeats one.
    fn repeated(&self, value: Value, channels: usize) -> Option<Value> {
        let at = self.moves.of(value);
        let index = at.index?;
        let rows = self.shapes[at.base].len();
        let fits = rows * channels == index.len()
            && index.iter().enumerate().all(|(i, from)| *from as usize == i / channels);
        fits.then_some(at.base)
    }

    /// What `value` is the mean of along `channels`.
    fn mean_of(&self, value: Value, channels: usize) -> Option<Value> {
        let (Op::Reduce(reduce), x) = self.made_of_one(self.plain(value))? else { return None };
        let fits = reduce.0 == Reduction::Mean && self.shapes[x].channels() == channels;
        fits.then(|| self.plain(x))
    }

    /// Layer norm (Ba et al. 2016) without its weights that ends in `step`: what is left of x without its mean,
    /// divided by the root of its mean square plus eps.
    fn layer_norm(&mut self, step: &Step) -> Result<Option<Value>> {
        let Some((x, channels, eps)) = self.standardised(step) else { return Ok(None) };
        let shape = self.shapes[x];
        let rows = Shape::of_image([shape.len() / channels.max(1), 1], channels);
        let fits = matches!(shape, Shape::Image { .. }) && shape.channels() == channels;
        let image = if fits { x } else { self.push(View(rows), vec![x])? };
        let ones = Tensor::ones(channels, DType::F32, &Device::Cpu)?;
        let norm = LayerNorm::new(ones.clone(), ones.zeros_like()?, eps);
        let out = self.push(norm, vec![image])?;
        let wanted = self.shapes[step.inputs[0]];
        if self.shapes[out] == wanted {
            return Ok(Some(out));
        }
        self.push(View(wanted), vec![out]).map(Some)
    }

    /// The x, the channels and the eps of [`List::layer_norm`].
    fn standardised(&self, step: &Step) -> Option<(Value, usize, f64)> {
        let (Op::Pairwise(pair), [centred, root]) = (&*step.op, &step.inputs[..]) else {
            return None;
        };
        let (Op::Pairwise(difference), [x, mean]) = self.made(self.plain(*centred))? else {
            return None;
        };
        if pair.0 != Pairing::Quotient || difference.0 != Pairing::Difference {
            return None;
        }
        // The channels are those that the mean is of.
        let length = self.shapes[*x].len();
        let channels = length / self.shapes[self.moves.of(*mean).base].len().max(1);
        let of_mean = self.mean_of(self.repeated(*mean, channels)?, channels)?;
        let root = self.plain(self.repeated(*root, channels)?);
        let (Op::Pointwise(function), sum) = self.made_of_one(root)? else { return None };
        let (Op::Affine(affine), variance) = self.made_of_one(self.plain(sum))? else {
            return None;
        };
        let [one, eps] = affine.uniform()?;
        let squares = self.mean_of(variance, channels)?;
        let (Op::Pointwise(square), of_square) = self.made_of_one(squares)? else { return None };
        let fits = of_mean == self.plain(*x)
            && matches!(function.0, Function::Sqrt | Function::Power(0.5))
            && one == 1.0
            && square.0 == Function::Power(2.0)
            && self.plain(of_square) == self.plain(*centred);
        fits.then_some((*x, channels, eps))
    }

    /// The value behind scales and moves, what it is multiplied by, and where its numbers go.
    fn traced(&self, value: Value) -> (Value, f64, Arc<[u32]>) {
        let (mut factor, mut at) = (1.0, self.moves.of(value));
        let mut index = at.written(self.shapes[value].len());
        while let Some((Op::Scale(scale), x)) = self.made_of_one(at.base) {
            factor *= scale.0;
            at = self.moves.of(x);
            let before = at.written(self.shapes[x].len());
            index = index.iter().map(|i| before[*i as usize]).collect();
        }
        (at.base, factor, index)
    }

    /// Attention (Vaswani et al. 2017) among all pixels that ends in `step`: softmax(Q K^T / sqrt(depth)) V, its
    /// parts the channels of one image or of three.
    fn attention(&mut self, step: &Step) -> Result<Option<Value>> {
        let (Op::MatMul(_), [weights, values]) = (&*step.op, &step.inputs[..]) else {
            return Ok(None);
        };
        let Some((q, k, factor)) = self.scores(*weights) else { return Ok(None) };
        let [heads, length, depth] = self.shapes[q].sides();
        let same = self.shapes[k] == Shape::of_image([heads, depth], length)
            && self.shapes[*values] == self.shapes[q];
        if !same {
            return Ok(None);
        }
        let parts = [q, k, *values].map(|value| self.traced(value));
        let total = factor * parts[0].1 * parts[1].1;
        let right = (total * (depth as f64).sqrt() - 1.0).abs() < 1e-5 && parts[2].1 == 1.0;
        let width = heads * depth;
        let bases = [0, 1, 2].map(|i| parts[i].0);
        let packed = bases[1] == bases[0] && bases[2] == bases[0];
        let channels = if packed { 3 * width } else { width };
        let fits = |part: usize| {
            let shape = self.shapes[bases[part]];
            let first = if packed { part * width } else { 0 };
            let place = |h: usize, l: usize, d: usize| l * channels + first + h * depth + d;
            let place = |i: usize| match part {
                1 => place(i / (depth * length), i % length, i / length % depth),
                _ => place(i / (length * depth), i / depth % length, i % depth),
            };
            shape.channels() == channels
                && shape.len() == length * channels
                && parts[part].2.iter().enumerate().all(|(i, from)| *from as usize == place(i))
        };
        if !right || !(0..3).all(fits) {
            return Ok(None);
        }
        let tokens = |list: &mut Self, value: Value| match list.shapes[value] {
            Shape::Image { .. } => Ok(value),
            Shape::Flat(length) => list.push(View(Shape::of_image([1, 1], length)), vec![value]),
        };
        let base = match packed {
            true => tokens(self, bases[0])?,
            false => {
                let shape = Shape::of_image([length, 1], width);
                let images = bases.map(|base| self.push(View(shape), vec![base]));
                let [q, k, v] = images;
                self.push(Concat, vec![q?, k?, v?])?
            }
        };
        let out = self.push(Attention::new(heads), vec![base])?;
        // In the order that the product of matrices has.
        let place = |i: usize| {
            let (h, l, d) = (i / (length * depth), i / depth % length, i % depth);
            (l * width + h * depth + d) as u32
        };
        let index = (0..length * width).map(place).collect();
        let shape = Shape::of_image([heads, length], depth);
        let pick = Pick::new(length * width, shape, index, 0.0)?;
        self.push(pick, vec![out]).map(Some)
    }

    /// Queries, keys and the factor of scores that go through a softmax.
    fn scores(&self, weights: Value) -> Option<(Value, Value, f64)> {
        let (Op::Softmax(_), mut at) = self.made_of_one(weights)? else { return None };
        let mut factor = 1.0;
        while let Some((Op::Scale(scale), x)) = self.made_of_one(at) {
            factor *= scale.0;
            at = x;
        }
        match self.made(at)? {
            (Op::MatMul(_), [q, k]) => Some((*q, *k, factor)),
            _ => None,
        }
    }
}
