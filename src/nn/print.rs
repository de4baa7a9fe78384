//! The tree as text, a line per layer with the shape it gives and what it costs.

use std::fmt::Write as _;

use super::{Layer, Node, Shape};

impl Layer {
    /// The tree for one image of shape `input`: indented by nesting, with output shapes and millions
    /// of multiply-adds.
    pub fn summary(&self, input: Shape) -> String {
        let mut text = String::new();
        write_layer(&mut text, self, input, 0);
        text
    }
}

fn write_layer(text: &mut String, layer: &Layer, input: Shape, depth: usize) {
    let indent = "  ".repeat(depth);
    let what = format!("{indent}{}", layer.describe());
    match layer.shape(input) {
        Ok(output) => {
            let millions = layer.multiply_adds(input) as f64 / 1e6;
            let _ = writeln!(text, "{what:<48} {:>14} {millions:>12.3} M", output.to_string());
        }
        Err(error) => {
            let _ = writeln!(text, "{what:<48} {error}");
        }
    }
    let mut shape = input;
    for inner in layer.inner() {
        write_layer(text, inner, shape, depth + 1);
        if let (Layer::Seq(_), Ok(next)) = (layer, inner.shape(shape)) {
            shape = next;
        }
    }
}
