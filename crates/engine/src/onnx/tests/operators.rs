//! Recorded cases of single operators, their first floating point input taken as the image.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use serde::Deserialize;

use super::oracle::oracle;
use crate::onnx::graph::{Constant, Graph, Kind};
use crate::onnx::lower::operator;
use crate::onnx::read::{read_operator, read_tensor};

#[derive(Deserialize)]
struct Index {
    node: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    dir: String,
    op: String,
    opset: Vec<String>,
    rtol: f64,
    atol: f64,
}

fn tensor_at(folder: &Path, name: &str) -> Result<Constant, String> {
    let path = folder.join(name);
    read_tensor(&path, &std::fs::read(&path).unwrap()).map_err(|e| e.to_string())
}

/// `Err` with what is wrong; `Ok(false)` if no input is an image.
fn check(case: &Case) -> Result<bool, String> {
    let folder = oracle(&case.dir);
    let path = folder.join("model.onnx");
    let mut graph: Graph =
        read_operator(&path, &std::fs::read(&path).unwrap()).map_err(|e| e.to_string())?;
    let inputs: Vec<Constant> = (0..graph.inputs.len())
        .map(|i| tensor_at(&folder, &format!("input_{i}.pb")))
        .collect::<Result<_, _>>()?;
    let is_image = |i: &usize| inputs[*i].kind() == Kind::Float && !inputs[*i].is_empty();
    let Some(image) = (0..inputs.len()).find(is_image) else { return Ok(false) };
    let known: HashMap<String, Arc<Constant>> = graph
        .inputs
        .iter()
        .zip(&inputs)
        .enumerate()
        .filter(|(i, _)| *i != image)
        .map(|(_, (input, constant))| (input.name.clone(), Arc::new(constant.clone())))
        .collect();
    graph.inputs.swap(0, image);
    let sides = &inputs[image].sides;
    let outputs = operator(&graph, sides, &known)
        .map_err(|e| format!("{e}; {}", e.hint().unwrap_or_default()))?;
    for (i, output) in outputs.into_iter().enumerate() {
        let expected = tensor_at(&folder, &format!("output_{i}.pb"))?;
        let (numbers, sides) = match output {
            Err(constant) => match constant.as_floats() {
                Some(floats) => (floats.to_vec(), constant.sides.clone()),
                None if constant.numbers == expected.numbers => continue,
                None => return Err("other integers".into()),
            },
            Ok((program, sides)) => {
                let x = inputs[image].as_floats().unwrap();
                let x = Tensor::from_slice(x, (1, x.len(), 1, 1), &Device::Cpu).unwrap();
                let y = program.forward(&x).map_err(|e| e.to_string())?;
                (y.flatten_all().unwrap().to_vec1::<f32>().unwrap(), sides)
            }
        };
        if sides != expected.sides {
            return Err(format!("sides {sides:?}, not {:?}", expected.sides));
        }
        let wanted: Vec<f32> = match &expected.numbers {
            crate::onnx::graph::Numbers::Floats(floats) => floats.clone(),
            crate::onnx::graph::Numbers::Bools(yes) => yes.iter().map(|y| f32::from(*y)).collect(),
            crate::onnx::graph::Numbers::Ints(n) => n.iter().map(|n| *n as f32).collect(),
        };
        for (made, wanted) in numbers.iter().zip(&wanted) {
            let near =
                f64::from((made - wanted).abs()) <= case.atol + case.rtol * f64::from(wanted.abs());
            if !(near || made == wanted || (made.is_nan() && wanted.is_nan())) {
                return Err(format!("{made}, not {wanted}"));
            }
        }
    }
    Ok(true)
}

#[test]
#[ignore = "needs the oracle files"]
fn operators_on_the_image() {
    let index = std::fs::read(oracle("index.json")).unwrap();
    let index: Index = serde_json::from_slice(&index).unwrap();
    let (mut met, mut without, mut failed) = (0, 0, Vec::new());
    let mut operators: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    for case in &index.node {
        let counts = operators.entry(&case.op).or_default();
        counts[1] += 1;
        match check(case) {
            Ok(true) => {
                met += 1;
                counts[0] += 1;
            }
            Ok(false) => {
                without += 1;
                counts[0] += 1;
            }
            Err(why) => failed.push(format!("{} {:?}: {why}", case.dir, case.opset)),
        }
    }
    let never: Vec<&str> =
        operators.iter().filter(|(_, counts)| counts[0] == 0).map(|(name, _)| *name).collect();
    eprintln!("{} operators, none of whose cases is met: {}", operators.len(), never.join(", "));
    // What is wrong has to be a refusal and never another number.
    let wrong: Vec<&String> = failed.iter().filter(|why| why.contains(", not ")).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    eprintln!(
        "{met} met, {without} without a floating point input, {} not:\n{}",
        failed.len(),
        failed.join("\n")
    );
    assert!(met >= 284, "{met}");
}
