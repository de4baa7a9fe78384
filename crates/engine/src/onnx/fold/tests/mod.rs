//! Closed forms, operator by operator; `oracle` compares with recorded outputs.

mod elementwise;
mod moving;
mod numbers;
mod oracle;

use std::slice::from_ref;
use std::sync::Arc;

use super::super::graph::{Attribute, Constant, Node, Numbers};
use super::evaluate;
use crate::error::Result;

fn int(number: i64) -> Attribute {
    Attribute::Int(number)
}

fn list(numbers: &[i64]) -> Attribute {
    Attribute::Ints(numbers.to_vec())
}

fn text(text: &str) -> Attribute {
    Attribute::Text(text.into())
}

fn tensor(constant: Constant) -> Attribute {
    Attribute::Constant(Arc::new(constant))
}

fn ints(sides: &[usize], numbers: &[i64]) -> Constant {
    Constant { sides: sides.to_vec(), numbers: Numbers::Ints(numbers.to_vec()) }
}

fn row(numbers: &[i64]) -> Constant {
    Constant::ints(numbers.to_vec())
}

fn one(number: i64) -> Constant {
    ints(&[], &[number])
}

fn floats(sides: &[usize], numbers: &[f32]) -> Constant {
    Constant::floats(sides, numbers.to_vec())
}

fn bools(sides: &[usize], numbers: &[u8]) -> Constant {
    let numbers = numbers.iter().map(|&x| x == 1).collect();
    Constant { sides: sides.to_vec(), numbers: Numbers::Bools(numbers) }
}

/// 0, 1, 2 ... in a tensor of these sides.
fn counting(sides: &[usize]) -> Constant {
    let numbers: Vec<i64> = (0..sides.iter().product::<usize>() as i64).collect();
    ints(sides, &numbers)
}

fn outputs(
    operator: &str,
    opset: u64,
    attributes: &[(&str, Attribute)],
    inputs: &[Constant],
    count: usize,
) -> Result<Vec<Constant>> {
    let node = Node {
        name: "n".into(),
        operator: operator.into(),
        inputs: (0..inputs.len()).map(|i| format!("i{i}")).collect(),
        outputs: (0..count).map(|i| format!("o{i}")).collect(),
        attributes: attributes.iter().map(|(name, a)| ((*name).into(), a.clone())).collect(),
    };
    let inputs: Vec<_> = inputs.iter().map(Some).collect();
    evaluate(&node, &inputs, opset)
}

/// The one output of an operator.
fn run(
    operator: &str,
    opset: u64,
    attributes: &[(&str, Attribute)],
    inputs: &[Constant],
) -> Result<Constant> {
    Ok(outputs(operator, opset, attributes, inputs, 1)?.remove(0))
}

/// The one output without attributes, in operator set 18.
fn plain(operator: &str, inputs: &[Constant]) -> Constant {
    run(operator, 18, &[], inputs).unwrap()
}

#[test]
fn an_unknown_operator_is_named() {
    let said = run("Convolve", 18, &[], &[]).unwrap_err().to_string();
    assert_eq!(said, "unknown operator on constants `Convolve`");
}

#[test]
fn a_constant_that_lies_about_its_sides_is_refused() {
    let lying = Constant { sides: vec![3], numbers: Numbers::Ints(vec![1]) };
    assert!(run("Identity", 18, &[], &[lying]).is_err());
}

#[test]
fn a_missing_input_and_a_stray_output_are_errors() {
    assert!(run("Add", 18, &[], &[one(1)]).is_err());
    assert!(outputs("Identity", 18, &[], &[one(1)], 2).is_err());
}

#[test]
fn operators_are_listed_once_and_in_order() {
    assert!(super::OPERATORS.windows(2).all(|pair| pair[0].0 < pair[1].0));
}

/// What would take more memory than there is never gets as far as being allocated.
#[test]
fn huge_results_are_refused() {
    let huge = row(&[1_000_000, 1_000_000]);
    let cases = [
        run("ConstantOfShape", 18, &[], from_ref(&huge)),
        run("ConstantOfShape", 18, &[], &[row(&[i64::MAX, i64::MAX])]),
        run("ConstantOfShape", 18, &[], &[row(&[0, i64::MAX])]),
        run("ConstantOfShape", 18, &[], &[row(&[1; 65])]),
        run("Expand", 18, &[], &[one(1), huge.clone()]),
        run("Tile", 18, &[], &[ints(&[1, 1], &[1]), huge.clone()]),
        run("Tile", 18, &[], &[ints(&[2], &[1, 2]), row(&[i64::MAX])]),
        run("Range", 18, &[], &[one(0), one(i64::MAX), one(1)]),
        run("Range", 18, &[], &[one(i64::MIN), one(i64::MAX), one(1)]),
        run("Range", 18, &[], &[0.0, 1.0, 1e-30].map(Constant::scalar)),
        run("Pad", 18, &[], &[row(&[1]), row(&[0, 1 << 40])]),
        run("Pad", 18, &[], &[row(&[1]), row(&[i64::MAX, i64::MAX])]),
        run("Unsqueeze", 18, &[], &[one(1), row(&(0..100).collect::<Vec<_>>())]),
        run("Add", 18, &[], &[counting(&[1 << 15, 1]), counting(&[1, 1 << 15])]),
    ];
    for (place, case) in cases.into_iter().enumerate() {
        let said = case.unwrap_err().to_string();
        assert!(said.starts_with("node n ("), "case {place}: {said}");
    }
}

#[test]
fn negative_sides_are_refused() {
    assert!(run("ConstantOfShape", 18, &[], &[row(&[-1])]).is_err());
    assert!(run("Reshape", 18, &[], &[one(1), row(&[-2])]).is_err());
    assert!(run("Expand", 18, &[], &[one(1), row(&[-1])]).is_err());
    assert!(run("Tile", 18, &[], &[row(&[1]), row(&[-1])]).is_err());
    assert!(run("Pad", 18, &[], &[row(&[1]), row(&[-1, -1])]).is_err());
}
