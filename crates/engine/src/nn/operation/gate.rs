//! Multiplication of every channel of an image by a number, the second value, which some branch computed from
//! the whole image, as in squeeze-excitation (Hu et al., CVPR 2018).

use candle_core::Tensor;

use super::on_gpu::slots;
use super::{Keeps, Kernels, Launch, OnGpu, Operation, Saved, Slot, foreign};
use crate::error::Result;
use crate::nn::shape::{Shape, misfit};

/// See [`super::Op::Gate`].
#[derive(Debug, Clone, Copy)]
pub struct Gate;

/// An image and its gates.
fn pair<T: Copy>(inputs: &[T]) -> Result<[T; 2]> {
    match inputs {
        [x, gates] => Ok([*x, *gates]),
        _ => Err(misfit("gate", format!("reads two values, gets {}", inputs.len()))),
    }
}

impl Operation for Gate {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let [input, gates] = pair(inputs)?;
        let [_, _, channels] = input.image("gate")?;
        if gates != Shape::Flat(channels) {
            return Err(misfit("gate", format!("has {gates} gates for {channels} channels")));
        }
        Ok(input)
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let [x, gates] = pair(inputs)?;
        let (n, _, _, c) = x.dims4()?;
        Ok(x.broadcast_mul(&gates.reshape((n, 1, 1, c))?)?)
    }

    fn save(&self, inputs: &[&Tensor]) -> Result<(Tensor, Saved)> {
        let [x, gates] = pair(inputs)?;
        Ok((self.forward(inputs)?, Saved::Pair(x.clone(), gates.clone())))
    }

    fn pullback(&self, saved: &Saved, g: &Tensor, _: &[Shape]) -> Result<Vec<Tensor>> {
        let Saved::Pair(x, gates) = saved else { return Err(foreign("gate")) };
        let (n, h, w, c) = x.dims4()?;
        let of_gates = (g * x)?.reshape((n, h * w, c))?.sum(1)?;
        Ok(vec![g.broadcast_mul(&gates.reshape((n, 1, 1, c))?)?, of_gates])
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let [x, gates] = pair(inputs)?;
        let (n, c, _, _) = x.dims4()?;
        Ok(x.broadcast_mul(&gates.reshape((n, c, 1, 1))?)?)
    }

    fn on_gpu(&self, _: &[Shape], output: Shape) -> Result<OnGpu> {
        let ([h, w, c], len, count) = (output.sides(), output.len(), Slot::Count(output.len()));
        let [x, gates] = [0, 1].map(Slot::X);
        let forward = slots![x, gates, Slot::Y, count, c, h * w];
        let of_image = slots![gates, Slot::G, Slot::Gx, count, c, h * w, Slot::Add];
        let of_gates = slots![x, Slot::G, Slot::Gx, Slot::Count(c), c, h * w, Slot::Add];
        Ok(OnGpu::Kernels(Kernels {
            constants: Vec::new(),
            keeps: Keeps::Inputs,
            forward: vec![Launch::new("gate", len, forward)],
            pullback: vec![
                vec![Launch::new("gate_pullback", len, of_image)],
                vec![Launch::new("gate_pullback_gates", c, of_gates)],
            ],
        }))
    }

    fn describe(&self) -> String {
        "gate".into()
    }
}
