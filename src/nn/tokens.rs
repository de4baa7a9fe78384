//! What vision transformers do with their tokens beside computing: a token is a pixel, and a list of
//! tokens is an image one pixel wide. A class token goes before the pixels, positions are added, some
//! tokens are taken out again.

use candle_core::Tensor;

use super::bounds::{AffineForm, wide};
use super::lower::{Lowered, Op, Value, numbers};
use super::shape::misfit;
use super::{Layer, Node, Saved, Shape, foreign};
use crate::error::Result;

/// See [`Layer::ClassToken`].
#[derive(Debug, Clone)]
pub struct ClassToken(Tensor);

impl ClassToken {
    /// The token, `[C]`.
    pub fn new(token: Tensor) -> Self {
        Self(token)
    }

    /// As a [`Layer`].
    pub fn layer(self) -> Layer {
        Layer::ClassToken(self)
    }
}

impl Node for ClassToken {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (n, h, w, c) = x.dims4()?;
        let token = self.0.reshape((1, 1, 1, c))?.broadcast_as((n, 1, 1, c))?;
        Ok(Tensor::cat(&[token.contiguous()?, x.reshape((n, h * w, 1, c))?], 1)?)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((self.forward(x)?, Saved::Shape(x.dims().to_vec())))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor) -> Result<Tensor> {
        let Saved::Shape(shape) = saved else { return Err(foreign("class token")) };
        let pixels = g.narrow(1, 1, shape[1] * shape[2])?.contiguous()?;
        Ok(pixels.reshape(shape.as_slice())?)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let (n, c, h, w) = x.dims4()?;
        let token = self.0.reshape((1, c, 1, 1))?.broadcast_as((n, c, 1, 1))?;
        Ok(Tensor::cat(&[token.contiguous()?, x.reshape((n, c, h * w, 1))?], 2)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let [height, width, channels] = input.image("class token")?;
        if self.0.elem_count() != channels {
            let own = self.0.elem_count();
            return Err(misfit("class token", format!("has {own} channels, gets {input}")));
        }
        Ok(Shape::of_image([1 + height * width, 1], channels))
    }

    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        let token = wide(&self.0)?;
        let absolute = Self(token.zeros_like()?).layer();
        Ok(Some(AffineForm::new(Self(token).layer(), absolute, 1)))
    }

    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        to.apply(self, Op::Before(numbers(&self.0)?), x)
    }

    fn describe(&self) -> String {
        "class token".into()
    }
}

/// See [`Layer::Position`].
#[derive(Debug, Clone)]
pub struct Position(Tensor);

impl Position {
    /// What is added to every image, `[H, W, C]`.
    pub fn new(embedding: Tensor) -> Self {
        Self(embedding)
    }

    /// As a [`Layer`].
    pub fn layer(self) -> Layer {
        Layer::Position(self)
    }
}

impl Node for Position {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.broadcast_add(&self.0)?)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((self.forward(x)?, Saved::Nothing))
    }

    fn pullback(&self, _: &Saved, g: &Tensor) -> Result<Tensor> {
        Ok(g.clone())
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.broadcast_add(&self.0.permute((2, 0, 1))?)?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let (height, width, channels) = self.0.dims3()?;
        let own = Shape::of_image([height, width], channels);
        if input != own {
            return Err(misfit("position embedding", format!("is for {own}, gets {input}")));
        }
        Ok(input)
    }

    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        let embedding = wide(&self.0)?;
        let absolute = Self(embedding.zeros_like()?).layer();
        Ok(Some(AffineForm::new(Self(embedding).layer(), absolute, 1)))
    }

    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        to.apply(self, Op::Position(numbers(&self.0)?), x)
    }

    fn describe(&self) -> String {
        "position embedding".into()
    }
}

/// See [`Layer::Tokens`].
#[derive(Debug, Clone, Copy)]
pub struct Tokens {
    first: usize,
    /// All that follow if absent.
    count: Option<usize>,
}

impl Tokens {
    /// The class token.
    pub fn first() -> Self {
        Self { first: 0, count: Some(1) }
    }

    /// All but the class token.
    pub fn rest() -> Self {
        Self { first: 1, count: None }
    }

    /// As a [`Layer`].
    pub fn layer(self) -> Layer {
        Layer::Tokens(self)
    }

    /// How many of `tokens`.
    fn count(self, tokens: usize) -> usize {
        self.count.unwrap_or_else(|| tokens.saturating_sub(self.first))
    }
}

impl Node for Tokens {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.narrow(1, self.first, self.count(x.dim(1)?))?.contiguous()?)
    }

    fn save(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        Ok((self.forward(x)?, Saved::Shape(x.dims().to_vec())))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor) -> Result<Tensor> {
        let Saved::Shape(shape) = saved else { return Err(foreign("tokens")) };
        let after = shape[1] - self.first - g.dim(1)?;
        Ok(g.pad_with_zeros(1, self.first, after)?)
    }

    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.narrow(2, self.first, self.count(x.dim(2)?))?.contiguous()?)
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let [tokens, width, channels] = input.image("tokens")?;
        let count = self.count(tokens);
        if width != 1 || count == 0 || self.first + count > tokens {
            return Err(misfit("tokens", format!("{} are not among {input}", self.describe())));
        }
        Ok(Shape::of_image([count, 1], channels))
    }

    fn affine_form(&self, _: Shape) -> Result<Option<AffineForm>> {
        Ok(Some(AffineForm::moving(self.layer())))
    }

    fn lower(&self, to: &mut Lowered, x: Value) -> Result<Value> {
        to.apply(self, Op::Part(self.first), x)
    }

    fn describe(&self) -> String {
        match self.count {
            Some(count) => format!("tokens {} to {}", self.first, self.first + count - 1),
            None => format!("tokens from {}", self.first),
        }
    }
}
