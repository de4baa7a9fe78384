//! Every recorded case of an operator that is known here, its inputs taken as constants.

use std::path::{Path, PathBuf};

use super::super::super::read::{read_operator, read_tensor};
use super::super::OPERATORS;
use super::*;

fn number(made: f32, expected: f32, (rtol, atol): (f64, f64)) -> bool {
    let distance = f64::from((made - expected).abs());
    made == expected
        || (made.is_nan() && expected.is_nan())
        || distance <= atol + rtol * f64::from(expected.abs())
}

fn same(made: &Constant, expected: &Constant, tolerance: (f64, f64)) -> bool {
    let numbers = match (made.as_floats(), expected.as_floats()) {
        (Some(a), Some(b)) => a.iter().zip(b).all(|(&a, &b)| number(a, b, tolerance)),
        _ => made.numbers == expected.numbers,
    };
    made.sides == expected.sides && numbers
}

fn tensor_at(path: PathBuf) -> Result<Constant> {
    let bytes = std::fs::read(&path).map_err(crate::error::Error::io("read", &path))?;
    read_tensor(&path, &bytes)
}

/// How a case ends: `None` if its operator is not known here.
fn check(folder: &Path, tolerance: (f64, f64)) -> Result<Option<bool>> {
    let path = folder.join("model.onnx");
    let graph = read_operator(&path, &std::fs::read(&path).unwrap())?;
    let [node] = graph.nodes.as_slice() else { return Ok(None) };
    if OPERATORS.iter().all(|(name, ..)| *name != node.operator) {
        return Ok(None);
    }
    let mut constants = graph.constants.clone();
    for (index, input) in graph.inputs.iter().enumerate() {
        let made = tensor_at(folder.join(format!("input_{index}.pb")))?;
        constants.insert(input.name.clone(), Arc::new(made));
    }
    let inputs: Vec<_> =
        node.inputs.iter().map(|name| constants.get(name).map(Arc::as_ref)).collect();
    let made = evaluate(node, &inputs, graph.opset)?;
    for (index, made) in made.iter().enumerate() {
        let expected = tensor_at(folder.join(format!("output_{index}.pb")))?;
        if !same(made, &expected, tolerance) {
            return Ok(Some(false));
        }
    }
    Ok(Some(made.len() == graph.outputs.len()))
}

#[test]
#[ignore = "needs the oracle files"]
fn recorded_outputs_are_met() {
    let root = std::env::var("EPSBALL_ORACLE")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/oracle").into());
    let root = Path::new(&root).join("onnx");
    let index = std::fs::read(root.join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let mut met = 0;
    let mut wrong = Vec::new();
    for case in index["node"].as_array().unwrap() {
        // Operator sets that the reader refuses.
        let opset: u64 = case["opset"][0].as_str().unwrap().parse().unwrap();
        if !(7..=28).contains(&opset) {
            continue;
        }
        let name = case["dir"].as_str().unwrap();
        let tolerance = (case["rtol"].as_f64().unwrap(), case["atol"].as_f64().unwrap());
        match check(&root.join(name), tolerance) {
            Ok(None) => (),
            Ok(Some(true)) => met += 1,
            Ok(Some(false)) => wrong.push(format!("{name}: other numbers")),
            // Not a number is no constant of a network.
            Err(error) if error.to_string().contains("not finite") => (),
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{} wrong, {met} met:\n{}", wrong.len(), wrong.join("\n"));
    assert!(met >= 190, "only {met} cases were found");
}
