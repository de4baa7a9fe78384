//! The rewriting of a tree into one that does the same in fewer passes over memory: an affine layer
//! is folded into the convolution before it, and a ReLU becomes the last step of the convolution or
//! the affine layer before it. Nothing else moves, so logits and gradients differ by rounding only.

use super::{Concat, Gate, Layer, Seq, Stack, Sum};

/// The tree with neighbours fused where that is possible.
#[must_use]
pub fn fuse(tree: &Layer) -> Layer {
    let all = |layers: &[Layer]| layers.iter().map(fuse).collect::<Vec<_>>();
    match tree {
        Layer::Seq(Seq(layers)) => {
            let mut fused: Vec<Layer> = Vec::with_capacity(layers.len());
            for layer in all(layers) {
                // A sequence inside a sequence hides its ends from its neighbours.
                let parts = match layer {
                    Layer::Seq(Seq(parts)) => parts,
                    layer => vec![layer],
                };
                for part in parts {
                    match fused.last().and_then(|last| join(last, &part)) {
                        Some(joined) => {
                            fused.pop();
                            fused.push(joined);
                        }
                        None => fused.push(part),
                    }
                }
            }
            Layer::Seq(Seq(fused))
        }
        Layer::Sum(Sum(branches)) => Layer::Sum(Sum(all(branches))),
        Layer::Concat(Concat(branches)) => Layer::Concat(Concat(all(branches))),
        Layer::Stack(Stack(branches)) => Layer::Stack(Stack(all(branches))),
        Layer::Gate(Gate(branch)) => Layer::Gate(Gate(Box::new(fuse(branch)))),
        layer => layer.clone(),
    }
}

/// Two neighbours as one layer. Shapes that do not fit are left for `shape` to report.
fn join(first: &Layer, second: &Layer) -> Option<Layer> {
    match (first, second) {
        (Layer::Conv2d(conv), Layer::Affine(affine)) if !conv.cuts() => {
            Some(conv.followed_by(affine).ok()?.layer())
        }
        (Layer::Conv2d(conv), Layer::Relu(_)) if !conv.cuts() => Some(conv.cut().layer()),
        (Layer::Affine(affine), Layer::Relu(_)) if !affine.cuts() => Some(affine.cut().layer()),
        _ => None,
    }
}
