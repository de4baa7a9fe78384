use super::*;

#[test]
fn constants_in_all_their_forms() {
    let made = |name, attribute| run("Constant", 13, &[(name, attribute)], &[]);
    assert_eq!(made("value", tensor(row(&[1, 2]))).unwrap(), row(&[1, 2]));
    assert_eq!(made("value_float", Attribute::Float(0.5)).unwrap(), Constant::scalar(0.5));
    let numbers = Attribute::Floats(vec![1.0, 2.0]);
    assert_eq!(made("value_floats", numbers).unwrap(), floats(&[2], &[1.0, 2.0]));
    assert_eq!(made("value_int", int(3)).unwrap(), one(3));
    assert_eq!(made("value_ints", list(&[3, 4])).unwrap(), row(&[3, 4]));
    assert!(made("value_string", text("a")).is_err());
    assert!(made("value_int", text("a")).is_err());
    assert!(made("sparse_value", Attribute::Other("sparse_tensor".into())).is_err());
    assert!(run("Constant", 13, &[], &[]).is_err());
    let two = [("value_int", int(3)), ("value_float", Attribute::Float(0.5))];
    assert!(run("Constant", 13, &two, &[]).is_err());
}

#[test]
fn filled_tensors() {
    assert_eq!(plain("ConstantOfShape", &[row(&[2])]), floats(&[2], &[0.0, 0.0]));
    let value = [("value", tensor(row(&[7])))];
    let made = run("ConstantOfShape", 9, &value, &[row(&[1, 2])]).unwrap();
    assert_eq!(made, ints(&[1, 2], &[7, 7]));
    assert_eq!(run("ConstantOfShape", 9, &value, &[row(&[])]).unwrap(), one(7));
    let eye = run("EyeLike", 9, &[("k", int(1)), ("dtype", int(1))], &[counting(&[2, 3])]);
    assert_eq!(eye.unwrap(), floats(&[2, 3], &[0.0, 1.0, 0.0, 0.0, 0.0, 1.0]));
    assert_eq!(plain("EyeLike", &[counting(&[1, 2])]), ints(&[1, 2], &[1, 0]));
    assert_eq!(plain("Identity", &[row(&[5])]), row(&[5]));
}

#[test]
fn ranges() {
    let range = |from, to, step| run("Range", 11, &[], &[one(from), one(to), one(step)]);
    assert_eq!(range(1, 6, 2).unwrap(), row(&[1, 3, 5]));
    assert_eq!(range(10, 4, -2).unwrap(), row(&[10, 8, 6]));
    assert_eq!(range(4, 1, 1).unwrap(), row(&[]));
    let wide = range(i64::MIN, i64::MAX, 1 << 62).unwrap();
    assert_eq!(wide, row(&[i64::MIN, -1 << 62, 0, 1 << 62]));
    assert_eq!(range(0, i64::MIN, i64::MIN).unwrap(), row(&[0]));
    let said = range(0, 1, 0).unwrap_err().to_string();
    assert_eq!(said, "node n (Range): a step of 0 gets nowhere");
    let floating = |numbers: [f32; 3]| run("Range", 11, &[], &numbers.map(Constant::scalar));
    assert_eq!(floating([0.0, 1.0, 0.25]).unwrap(), floats(&[4], &[0.0, 0.25, 0.5, 0.75]));
    assert!(floating([0.0, 1.0, 0.0]).is_err());
    assert!(floating([0.0, f32::NAN, 1.0]).is_err());
    assert!(floating([0.0, f32::INFINITY, 1.0]).is_err());
}

#[test]
fn casts() {
    let cast = |to, x: &Constant| run("Cast", 13, &[("to", int(to))], from_ref(x));
    let x = floats(&[3], &[-1.7, 0.0, 2.9]);
    assert_eq!(cast(7, &x).unwrap(), row(&[-1, 0, 2]));
    assert_eq!(cast(9, &x).unwrap(), bools(&[3], &[1, 0, 1]));
    assert_eq!(cast(1, &row(&[3])).unwrap(), floats(&[1], &[3.0]));
    assert_eq!(cast(10, &bools(&[2], &[0, 1])).unwrap(), floats(&[2], &[0.0, 1.0]));
    assert_eq!(cast(6, &bools(&[2], &[0, 1])).unwrap(), row(&[0, 1]));
    assert_eq!(cast(2, &row(&[300, -1])).unwrap(), row(&[44, 255]));
    assert_eq!(cast(3, &row(&[200])).unwrap(), row(&[-56]));
    for wrong in [f32::NAN, f32::INFINITY, 9.3e18] {
        assert!(cast(7, &Constant::scalar(wrong)).is_err(), "{wrong}");
    }
    assert!(cast(2, &Constant::scalar(300.0)).is_err());
    assert!(cast(13, &one(-1)).is_err());
    assert!(cast(8, &one(1)).is_err());
    assert_eq!(plain("CastLike", &[row(&[0, 2]), bools(&[], &[1])]), bools(&[2], &[0, 1]));
}

#[test]
fn reductions() {
    let x = floats(&[2, 2], &[1.0, -2.0, 3.0, 4.0]);
    for (operator, expected) in [
        ("ReduceSum", [-1.0, 7.0]),
        ("ReduceMean", [-0.5, 3.5]),
        ("ReduceMax", [1.0, 4.0]),
        ("ReduceMin", [-2.0, 3.0]),
        ("ReduceProd", [-2.0, 12.0]),
        ("ReduceL1", [3.0, 7.0]),
        ("ReduceL2", [5.0_f32.sqrt(), 5.0]),
        ("ReduceSumSquare", [5.0, 25.0]),
    ] {
        let new = plain(operator, &[x.clone(), row(&[-1])]);
        assert_eq!(new, floats(&[2, 1], &expected), "{operator}");
        let old = [("axes", list(&[1])), ("keepdims", int(0))];
        assert_eq!(run(operator, 11, &old, from_ref(&x)).unwrap(), floats(&[2], &expected));
        assert!(run(operator, 18, &old, from_ref(&x)).is_err(), "{operator}");
        assert_eq!(plain(operator, from_ref(&x)).sides, [1, 1], "{operator}");
    }
    assert_eq!(plain("ReduceSum", &[counting(&[2, 3]), row(&[0])]), ints(&[1, 3], &[3, 5, 7]));
    assert_eq!(plain("ReduceProd", &[row(&[2, 3, 4]), row(&[0])]), row(&[24]));
    let noop = [("noop_with_empty_axes", int(1))];
    assert_eq!(run("ReduceSum", 13, &noop, &[x.clone(), row(&[])]).unwrap(), x);
    assert!(run("ReduceL1", 18, &noop, from_ref(&x)).is_err());
    assert!(run("ReduceSum", 13, &[], &[x, row(&[0, -2])]).is_err());
    assert_eq!(plain("ReduceSum", &[floats(&[2, 0], &[]), row(&[1])]), floats(&[2, 1], &[0.0; 2]));
    assert!(run("ReduceMax", 18, &[], &[ints(&[0], &[])]).is_err());
    assert!(run("ReduceSum", 18, &[], &[row(&[i64::MAX, 1])]).is_err());
}

#[test]
fn places_of_the_largest_and_smallest() {
    let x = ints(&[2, 3], &[1, 5, 5, 2, 0, 0]);
    let run = |operator, last| {
        let attributes =
            [("axis", int(-1)), ("keepdims", int(0)), ("select_last_index", int(last))];
        run(operator, 13, &attributes, from_ref(&x)).unwrap()
    };
    assert_eq!(run("ArgMax", 0), row(&[1, 0]));
    assert_eq!(run("ArgMax", 1), row(&[2, 0]));
    assert_eq!(run("ArgMin", 0), row(&[0, 1]));
    assert_eq!(run("ArgMin", 1), row(&[0, 2]));
    assert_eq!(plain("ArgMax", &[floats(&[2, 1], &[1.0, 2.0])]), ints(&[1, 1], &[1]));
}

#[test]
fn sums_along_an_axis() {
    let sums = |attributes: &[(&str, Attribute)], axis| {
        run("CumSum", 14, attributes, &[counting(&[2, 3]), one(axis)]).unwrap()
    };
    assert_eq!(sums(&[], 1), ints(&[2, 3], &[0, 1, 3, 3, 7, 12]));
    assert_eq!(sums(&[], 0), ints(&[2, 3], &[0, 1, 2, 3, 5, 7]));
    assert_eq!(sums(&[("exclusive", int(1))], 1), ints(&[2, 3], &[0, 0, 1, 0, 3, 7]));
    assert_eq!(sums(&[("reverse", int(1))], 1), ints(&[2, 3], &[3, 3, 2, 12, 9, 5]));
    assert_eq!(plain("CumSum", &[ints(&[2, 0], &[]), one(1)]), ints(&[2, 0], &[]));
}

#[test]
fn indices_of_what_is_not_zero() {
    let found = plain("NonZero", &[ints(&[2, 2], &[1, 0, 1, 1])]);
    assert_eq!(found, ints(&[2, 3], &[0, 1, 1, 0, 0, 1]));
    assert_eq!(plain("NonZero", &[bools(&[2], &[0, 0])]), ints(&[1, 0], &[]));
}

#[test]
fn softmax_changed_its_axis() {
    let x = floats(&[1, 2, 2], &[0.0; 4]);
    assert_eq!(run("Softmax", 12, &[], from_ref(&x)).unwrap(), floats(&[1, 2, 2], &[0.25; 4]));
    assert_eq!(run("Softmax", 13, &[], &[x]).unwrap(), floats(&[1, 2, 2], &[0.5; 4]));
    let x = floats(&[2, 2], &[0.0, 1e30, f32::NEG_INFINITY, 1e30]);
    let columns = run("Softmax", 13, &[("axis", int(0))], &[x]).unwrap();
    assert_eq!(columns, floats(&[2, 2], &[1.0, 0.5, 0.0, 0.5]));
}

#[test]
fn products_of_matrices() {
    let (a, b) = (counting(&[2, 3]), counting(&[3, 2]));
    assert_eq!(plain("MatMul", &[a.clone(), b.clone()]), ints(&[2, 2], &[10, 13, 28, 40]));
    assert_eq!(plain("MatMul", &[row(&[1, 2, 3]), b.clone()]), row(&[16, 22]));
    assert_eq!(plain("MatMul", &[a.clone(), row(&[1, 2, 3])]), row(&[8, 26]));
    assert_eq!(plain("MatMul", &[row(&[1, 2]), row(&[3, 4])]), one(11));
    let batch = plain("MatMul", &[ints(&[2, 1, 1], &[2, 3]), ints(&[1, 2], &[1, 10])]);
    assert_eq!(batch, ints(&[2, 1, 2], &[2, 20, 3, 30]));
    assert_eq!(plain("MatMul", &[ints(&[1, 0], &[]), ints(&[0, 1], &[])]), ints(&[1, 1], &[0]));
    assert!(run("MatMul", 13, &[], &[a.clone(), a]).is_err());
    assert!(run("MatMul", 13, &[], &[one(1), b]).is_err());
    let (a, b) = (floats(&[2, 1], &[1.0, 2.0]), floats(&[2, 1], &[3.0, 4.0]));
    let settings =
        [("transA", int(1)), ("alpha", Attribute::Float(2.0)), ("beta", Attribute::Float(0.5))];
    let made = run("Gemm", 13, &settings, &[a.clone(), b.clone(), Constant::scalar(4.0)]).unwrap();
    assert_eq!(made, floats(&[1, 1], &[24.0]));
    let outer = run("Gemm", 13, &[("transB", int(1))], &[a.clone(), b.clone()]).unwrap();
    assert_eq!(outer, floats(&[2, 2], &[3.0, 4.0, 6.0, 8.0]));
    assert!(run("Gemm", 13, &settings, &[a, b.clone(), b]).is_err());
}

/// A product that would take days is refused although its result is small.
#[test]
fn endless_products_are_refused() {
    let wide = |sides: &[usize]| floats(sides, &vec![0.0; sides.iter().product()]);
    let batch = [wide(&[1 << 12, 1, 1 << 8]), wide(&[1 << 8, 1 << 12])];
    let said = run("MatMul", 13, &[], &batch).unwrap_err().to_string();
    assert!(said.contains("takes too long"), "{said}");
}
