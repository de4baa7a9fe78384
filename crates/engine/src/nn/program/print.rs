//! A program as text, a line per step with the shape that it gives and what it costs.

use std::fmt::Write as _;

use super::{Program, Step};

impl Program {
    /// The graph for one image: numbered values, what makes them, their shapes and millions of multiply-adds.
    /// A step reads the value of the line before unless it says otherwise.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        let mut line = |number: usize, what: &str, cost: Option<u64>| {
            let shape = self.shapes[number].to_string();
            let cost = cost.map_or_else(String::new, |n| format!("{:>10.3} M", n as f64 / 1e6));
            let line = format!("{number:>5}  {what:<48} {shape:>14} {cost}");
            let _ = writeln!(text, "{}", line.trim_end());
        };
        line(0, "image", None);
        for (i, step) in self.steps.iter().enumerate() {
            let cost = step.op.multiply_adds(&self.inputs_of(step));
            line(i + 1, &described(step, i), Some(cost));
        }
        text
    }
}

/// What a step does after the value `before`: `conv 1x1 16 -> 32 of 3`, `sum of 7 and 4`.
fn described(step: &Step, before: usize) -> String {
    let what = step.op.describe();
    if step.inputs == [before] {
        return what;
    }
    let names: Vec<String> = step.inputs.iter().map(ToString::to_string).collect();
    match names.as_slice() {
        [others @ .., last] if !others.is_empty() => {
            format!("{what} of {} and {last}", others.join(", "))
        }
        _ => format!("{what} of {}", names.join(", ")),
    }
}
