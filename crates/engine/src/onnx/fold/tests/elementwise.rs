use super::*;

#[test]
fn arithmetic_broadcasts_in_both_directions() {
    let (column, line) = (ints(&[2, 1], &[10, 20]), row(&[1, 2, 3]));
    assert_eq!(
        plain("Add", &[column.clone(), line.clone()]),
        ints(&[2, 3], &[11, 12, 13, 21, 22, 23])
    );
    assert_eq!(plain("Sub", &[line, column]), ints(&[2, 3], &[-9, -8, -7, -19, -18, -17]));
    assert_eq!(plain("Mul", &[counting(&[2, 2]), one(3)]), ints(&[2, 2], &[0, 3, 6, 9]));
    assert_eq!(plain("Add", &[ints(&[0, 1], &[]), row(&[1, 2])]), ints(&[0, 2], &[]));
    assert!(run("Add", 18, &[], &[row(&[1, 2]), row(&[1, 2, 3])]).is_err());
    assert!(run("Add", 18, &[], &[row(&[1]), floats(&[1], &[1.0])]).is_err());
}

#[test]
fn integers_divide_towards_zero_and_never_by_it() {
    let divided = plain("Div", &[row(&[7, -7, 7, -7]), row(&[2, 2, -2, -2])]);
    assert_eq!(divided, row(&[3, -3, -3, 3]));
    assert_eq!(
        plain("Div", &[Constant::scalar(1.0), Constant::scalar(0.0)]),
        Constant::scalar(f32::INFINITY)
    );
    for operator in ["Div", "Mod"] {
        let said = run(operator, 18, &[], &[one(1), one(0)]).unwrap_err().to_string();
        assert_eq!(said, format!("node n ({operator}): divides an integer by zero"));
    }
    assert!(run("Div", 18, &[], &[one(i64::MIN), one(-1)]).is_err());
    assert!(run("Add", 18, &[], &[one(i64::MAX), one(1)]).is_err());
    assert!(run("Neg", 18, &[], &[one(i64::MIN)]).is_err());
}

#[test]
fn the_remainder_has_the_sign_of_the_divisor_or_of_the_dividend() {
    let (a, b) = (row(&[-4, 7, 5, 4, -7, 8]), row(&[2, -3, 8, -2, 3, 5]));
    assert_eq!(plain("Mod", &[a.clone(), b.clone()]), row(&[0, -2, 5, 0, 2, 3]));
    let like_c = run("Mod", 18, &[("fmod", int(1))], &[a, b]).unwrap();
    assert_eq!(like_c, row(&[0, 1, 5, 0, -1, 3]));
    let (a, b) = (floats(&[2], &[-4.5, 5.5]), floats(&[2], &[2.0, -2.0]));
    assert_eq!(plain("Mod", &[a.clone(), b.clone()]), floats(&[2], &[1.5, -0.5]));
    assert_eq!(run("Mod", 18, &[("fmod", int(1))], &[a, b]).unwrap(), floats(&[2], &[-0.5, 1.5]));
    assert_eq!(plain("Mod", &[one(i64::MIN), one(-1)]), one(0));
}

#[test]
fn powers_are_of_the_kind_of_the_base() {
    assert_eq!(plain("Pow", &[row(&[2, -3, 2]), row(&[10, 3, -1])]), row(&[1024, -27, 0]));
    assert_eq!(plain("Pow", &[row(&[1, -1]), row(&[i64::MIN, i64::MAX])]), row(&[1, -1]));
    assert_eq!(plain("Pow", &[floats(&[1], &[3.0]), row(&[2])]), floats(&[1], &[9.0]));
    assert_eq!(plain("Pow", &[row(&[2]), floats(&[1], &[0.5])]), row(&[1]));
    assert!(run("Pow", 18, &[], &[one(0), one(-1)]).is_err());
    assert!(run("Pow", 18, &[], &[one(2), one(64)]).is_err());
}

#[test]
fn functions_of_one_number() {
    let cases: [(&str, f32, f32); 20] = [
        ("Neg", 2.0, -2.0),
        ("Abs", -2.0, 2.0),
        ("Sign", -3.0, -1.0),
        ("Sign", -0.0, 0.0),
        ("Floor", -1.5, -2.0),
        ("Ceil", -1.5, -1.0),
        ("Round", 2.5, 2.0),
        ("Round", -3.5, -4.0),
        ("Sqrt", 9.0, 3.0),
        ("Exp", 1.0, std::f32::consts::E),
        ("Log", std::f32::consts::E, 1.0),
        ("Reciprocal", 4.0, 0.25),
        ("Erf", 0.5, 0.520_499_9),
        ("Sin", 1.0, 0.841_471),
        ("Cos", 1.0, 0.540_302_3),
        ("Tanh", 1.0, 0.761_594_2),
        ("Sigmoid", 1.0, 0.731_058_6),
        ("Sigmoid", -200.0, 0.0),
        ("Relu", -1.0, 0.0),
        ("Relu", 2.0, 2.0),
    ];
    for (operator, x, expected) in cases {
        let made = plain(operator, &[Constant::scalar(x)]);
        let y = made.as_floats().unwrap()[0];
        assert!((y - expected).abs() <= 1e-6, "{operator}({x}) = {y}, not {expected}");
    }
    let nan = plain("Relu", &[Constant::scalar(f32::NAN)]);
    assert!(nan.as_floats().unwrap()[0].is_nan());
    assert_eq!(plain("Abs", &[row(&[-2, 2])]), row(&[2, 2]));
    assert_eq!(plain("Sign", &[row(&[-2, 0, 2])]), row(&[-1, 0, 1]));
    assert!(run("Sqrt", 18, &[], &[one(4)]).is_err());
}

#[test]
fn comparisons_and_logic() {
    let (a, b) = (row(&[1, 2, 3]), row(&[2, 2, 2]));
    for (operator, expected) in [
        ("Equal", [0, 1, 0]),
        ("Greater", [0, 0, 1]),
        ("GreaterOrEqual", [0, 1, 1]),
        ("Less", [1, 0, 0]),
        ("LessOrEqual", [1, 1, 0]),
    ] {
        assert_eq!(plain(operator, &[a.clone(), b.clone()]), bools(&[3], &expected), "{operator}");
        let [a, b] = [&a, &b].map(|x| run("Cast", 18, &[("to", int(1))], from_ref(x)).unwrap());
        assert_eq!(plain(operator, &[a, b]), bools(&[3], &expected), "{operator} of floats");
    }
    let (a, b) = (bools(&[4], &[0, 0, 1, 1]), bools(&[4], &[0, 1, 0, 1]));
    for (operator, expected) in [
        ("And", [0, 0, 0, 1]),
        ("Or", [0, 1, 1, 1]),
        ("Xor", [0, 1, 1, 0]),
        ("Equal", [1, 0, 0, 1]),
    ] {
        assert_eq!(plain(operator, &[a.clone(), b.clone()]), bools(&[4], &expected), "{operator}");
    }
    assert_eq!(plain("Not", from_ref(&a)), bools(&[4], &[1, 1, 0, 0]));
    assert!(run("Less", 18, &[], &[a.clone(), b]).is_err());
    assert!(run("And", 18, &[], &[one(1), one(1)]).is_err());
    let chosen = plain("Where", &[bools(&[2, 1], &[1, 0]), row(&[1, 2]), one(9)]);
    assert_eq!(chosen, ints(&[2, 2], &[1, 2, 9, 9]));
}

#[test]
fn any_number_of_inputs() {
    let inputs = [row(&[1, 5]), row(&[4, 2]), one(3)];
    assert_eq!(plain("Max", &inputs), row(&[4, 5]));
    assert_eq!(plain("Min", &inputs), row(&[1, 2]));
    assert_eq!(plain("Sum", &inputs), row(&[8, 10]));
    let inputs = [floats(&[2], &[1.0, 5.0]), Constant::scalar(3.0)];
    assert_eq!(plain("Mean", &inputs), floats(&[2], &[2.0, 4.0]));
    let nan = plain("Max", &[Constant::scalar(1.0), Constant::scalar(f32::NAN)]);
    assert!(nan.as_floats().unwrap()[0].is_nan());
    assert!(run("Max", 18, &[], &[]).is_err());
}

#[test]
fn clip_has_attributes_first_and_inputs_later() {
    let x = floats(&[3], &[-2.0, 0.5, 2.0]);
    let old = [("min", Attribute::Float(-1.0)), ("max", Attribute::Float(1.0))];
    assert_eq!(run("Clip", 10, &old, from_ref(&x)).unwrap(), floats(&[3], &[-1.0, 0.5, 1.0]));
    assert!(run("Clip", 11, &old, from_ref(&x)).is_err());
    let bounds = [Constant::scalar(0.0), Constant::scalar(1.0)];
    let new = [x.clone(), bounds[0].clone(), bounds[1].clone()];
    assert_eq!(plain("Clip", &new), floats(&[3], &[0.0, 0.5, 1.0]));
    let crossed = [x, bounds[1].clone(), bounds[0].clone()];
    assert_eq!(plain("Clip", &crossed), floats(&[3], &[0.0, 0.0, 0.0]));
}
