use super::*;

#[test]
fn shapes_and_parts_of_them() {
    let x = counting(&[2, 3, 4]);
    assert_eq!(plain("Shape", from_ref(&x)), row(&[2, 3, 4]));
    assert_eq!(plain("Size", from_ref(&x)), one(24));
    for (start, end, expected) in
        [(1, 3, &[3, 4][..]), (-1, 9, &[4]), (-9, -1, &[2, 3]), (2, 1, &[]), (i64::MIN, 1, &[2])]
    {
        let part = run("Shape", 15, &[("start", int(start)), ("end", int(end))], from_ref(&x));
        assert_eq!(part.unwrap(), row(expected));
    }
    assert!(run("Shape", 13, &[("start", int(1))], &[x]).is_err());
}

#[test]
fn reshape_copies_and_finds_out_sides() {
    let x = counting(&[2, 3, 4]);
    let reshaped = |wish: &[i64]| plain("Reshape", &[x.clone(), row(wish)]).sides;
    assert_eq!(reshaped(&[4, 6]), [4, 6]);
    assert_eq!(reshaped(&[0, -1]), [2, 12]);
    assert_eq!(reshaped(&[-1]), [24]);
    for wrong in [&[5, -1][..], &[-1, -1], &[24, 1, 1, 0], &[23], &[1 << 62, 4], &[]] {
        assert!(run("Reshape", 18, &[], &[x.clone(), row(wrong)]).is_err(), "{wrong:?}");
    }
    let old = run("Reshape", 1, &[("shape", list(&[6, 4]))], from_ref(&x)).unwrap();
    assert_eq!(old.sides, [6, 4]);
    let nothing = ints(&[0, 3], &[]);
    let zero = [("allowzero", int(1))];
    let inputs = [nothing.clone(), row(&[3, 0])];
    assert_eq!(run("Reshape", 14, &zero, &inputs).unwrap().sides, [3, 0]);
    assert!(run("Reshape", 13, &zero, &inputs).is_err());
    assert!(run("Reshape", 14, &[], &[nothing, row(&[0, -1])]).is_err());
}

#[test]
fn flatten_squeeze_and_unsqueeze() {
    let x = counting(&[2, 1, 3]);
    let flat = |axis| run("Flatten", 13, &[("axis", int(axis))], from_ref(&x)).map(|x| x.sides);
    assert_eq!(flat(0).unwrap(), [1, 6]);
    assert_eq!(flat(3).unwrap(), [6, 1]);
    assert_eq!(flat(-1).unwrap(), [2, 3]);
    assert!(flat(4).is_err());
    assert_eq!(plain("Squeeze", from_ref(&x)).sides, [2, 3]);
    assert_eq!(plain("Squeeze", &[x.clone(), row(&[-2])]).sides, [2, 3]);
    assert_eq!(run("Squeeze", 11, &[("axes", list(&[1]))], from_ref(&x)).unwrap().sides, [2, 3]);
    assert!(run("Squeeze", 13, &[("axes", list(&[1]))], from_ref(&x)).is_err());
    assert!(run("Squeeze", 13, &[], &[x.clone(), row(&[0])]).is_err());
    assert_eq!(plain("Unsqueeze", &[x.clone(), row(&[0, -1])]).sides, [1, 2, 1, 3, 1]);
    let old = run("Unsqueeze", 11, &[("axes", list(&[1]))], &[one(7)]);
    assert!(old.is_err());
    assert_eq!(run("Unsqueeze", 11, &[("axes", list(&[0]))], &[one(7)]).unwrap(), row(&[7]));
    assert!(run("Unsqueeze", 13, &[], &[x.clone(), row(&[1, 1])]).is_err());
    assert!(run("Unsqueeze", 13, &[], &[x]).is_err());
}

#[test]
fn transpose_moves_axes() {
    let x = counting(&[2, 3]);
    assert_eq!(plain("Transpose", from_ref(&x)), ints(&[3, 2], &[0, 3, 1, 4, 2, 5]));
    let moved = run("Transpose", 13, &[("perm", list(&[2, 0, 1]))], &[counting(&[2, 1, 3])]);
    assert_eq!(moved.unwrap(), ints(&[3, 2, 1], &[0, 3, 1, 4, 2, 5]));
    assert_eq!(plain("Transpose", &[one(4)]), one(4));
    for wrong in [&[0, 0][..], &[0], &[0, 2]] {
        assert!(run("Transpose", 13, &[("perm", list(wrong))], from_ref(&x)).is_err());
    }
}

#[test]
fn concat_and_split_are_inverse() {
    let x = counting(&[2, 5]);
    let lengths = row(&[1, 4]);
    let parts = outputs("Split", 13, &[("axis", int(1))], &[x.clone(), lengths], 2).unwrap();
    assert_eq!(parts[0], ints(&[2, 1], &[0, 5]));
    assert_eq!(parts[1], ints(&[2, 4], &[1, 2, 3, 4, 6, 7, 8, 9]));
    assert_eq!(run("Concat", 13, &[("axis", int(-1))], &parts).unwrap(), x);
    let old = [("axis", int(1)), ("split", list(&[2, 3]))];
    assert_eq!(outputs("Split", 11, &old, from_ref(&x), 2).unwrap()[1].sides, [2, 3]);
    let uneven = [("axis", int(1)), ("num_outputs", int(2))];
    let parts = outputs("Split", 18, &uneven, from_ref(&x), 2).unwrap();
    assert_eq!((&parts[0].sides, &parts[1].sides), (&vec![2, 3], &vec![2, 2]));
    assert!(outputs("Split", 13, &[("axis", int(1))], from_ref(&x), 2).is_err());
    assert!(outputs("Split", 18, &[("num_outputs", int(3))], from_ref(&x), 2).is_err());
    assert!(outputs("Split", 18, &[], &[x.clone(), row(&[3, -1])], 2).is_err());
    assert!(outputs("Split", 18, &[], &[x.clone(), row(&[i64::MAX, i64::MAX])], 2).is_err());
    assert!(outputs("Split", 18, &[], from_ref(&x), 0).is_err());
    assert!(run("Concat", 13, &[("axis", int(0))], &[x.clone(), counting(&[2, 4])]).is_err());
    assert!(run("Concat", 13, &[("axis", int(0))], &[x.clone(), row(&[1])]).is_err());
    assert!(run("Concat", 13, &[], &[x]).is_err());
    let rows = run("Concat", 13, &[("axis", int(0))], &[counting(&[1, 2]), counting(&[2, 2])]);
    assert_eq!(rows.unwrap(), ints(&[3, 2], &[0, 1, 0, 1, 2, 3]));
}

#[test]
fn slices_forwards_and_backwards() {
    let x = counting(&[10]);
    let part = |start, end, step| {
        plain("Slice", &[x.clone(), row(&[start]), row(&[end]), row(&[0]), row(&[step])])
    };
    assert_eq!(part(2, 5, 1), row(&[2, 3, 4]));
    assert_eq!(part(-3, i64::MAX, 1), row(&[7, 8, 9]));
    assert_eq!(part(0, 10, 4), row(&[0, 4, 8]));
    assert_eq!(part(-1, i64::MIN, -4), row(&[9, 5, 1]));
    assert_eq!(part(20, 7, -1), row(&[9, 8]));
    assert_eq!(part(5, 2, 1), row(&[]));
    assert_eq!(part(2, 5, -1), row(&[]));
    assert_eq!(part(9, i64::MIN, i64::MIN), row(&[9]));
    let wrong = [x.clone(), row(&[0]), row(&[1]), row(&[0]), row(&[0])];
    assert!(run("Slice", 13, &[], &wrong).is_err());
    let square = counting(&[3, 3]);
    let old = [("starts", list(&[1])), ("ends", list(&[2])), ("axes", list(&[1]))];
    assert_eq!(run("Slice", 9, &old, from_ref(&square)).unwrap(), ints(&[3, 1], &[1, 4, 7]));
    let inner = plain("Slice", &[square.clone(), row(&[1, 0]), row(&[3, 2])]);
    assert_eq!(inner, ints(&[2, 2], &[3, 4, 6, 7]));
    let twice = [square, row(&[0, 0]), row(&[1, 1]), row(&[0, -2])];
    assert!(run("Slice", 13, &[], &twice).is_err());
    let nothing = [ints(&[0], &[]), row(&[-1]), row(&[i64::MIN]), row(&[0]), row(&[-1])];
    assert_eq!(plain("Slice", &nothing), ints(&[0], &[]));
}

#[test]
fn gathering() {
    let x = counting(&[3, 2]);
    let rows = plain("Gather", &[x.clone(), ints(&[1, 2], &[-1, 0])]);
    assert_eq!(rows, ints(&[1, 2, 2], &[4, 5, 0, 1]));
    let column = run("Gather", 13, &[("axis", int(1))], &[x.clone(), one(1)]).unwrap();
    assert_eq!(column, row(&[1, 3, 5]));
    for wrong in [3, -4, i64::MIN] {
        assert!(run("Gather", 13, &[], &[x.clone(), one(wrong)]).is_err());
    }
    let attributes = [("axis", int(1))];
    let inputs = [x.clone(), ints(&[2, 1], &[1, -2])];
    let picked = run("GatherElements", 13, &attributes, &inputs).unwrap();
    assert_eq!(picked, ints(&[2, 1], &[1, 2]));
    assert!(run("GatherElements", 13, &attributes, &[x.clone(), counting(&[4, 1])]).is_err());
    let cells = plain("GatherND", &[x.clone(), ints(&[2, 2], &[0, 1, -1, 0])]);
    assert_eq!(cells, row(&[1, 4]));
    assert_eq!(plain("GatherND", &[x.clone(), ints(&[1, 1], &[1])]), ints(&[1, 2], &[2, 3]));
    let batch = [counting(&[2, 2, 2]), ints(&[2, 1], &[1, 0])];
    let batched = run("GatherND", 13, &[("batch_dims", int(1))], &batch).unwrap();
    assert_eq!(batched, ints(&[2, 2], &[2, 3, 4, 5]));
    assert!(run("GatherND", 13, &[], &[x, ints(&[1, 3], &[0, 0, 0])]).is_err());
}

#[test]
fn scattering() {
    let x = counting(&[2, 2]);
    let inputs = [x.clone(), ints(&[1, 1], &[-1]), ints(&[1, 2], &[8, 9])];
    assert_eq!(plain("ScatterND", &inputs), ints(&[2, 2], &[0, 1, 8, 9]));
    let twice = [x.clone(), ints(&[2, 2], &[0, 0, 0, 0]), row(&[5, 6])];
    for (reduction, expected) in [("none", 6), ("add", 11), ("mul", 0), ("max", 6), ("min", 0)] {
        let made = run("ScatterND", 18, &[("reduction", text(reduction))], &twice).unwrap();
        assert_eq!(made, ints(&[2, 2], &[expected, 1, 2, 3]), "{reduction}");
    }
    assert!(run("ScatterND", 16, &[("reduction", text("max"))], &twice).is_err());
    assert!(run("ScatterND", 18, &[("reduction", text("median"))], &twice).is_err());
    assert!(run("ScatterND", 18, &[], &[x.clone(), ints(&[1, 1], &[0]), row(&[1])]).is_err());
    let inputs = [x.clone(), ints(&[2, 1], &[1, 0]), ints(&[2, 1], &[8, 9])];
    let made = run("ScatterElements", 18, &[("axis", int(1))], &inputs).unwrap();
    assert_eq!(made, ints(&[2, 2], &[0, 8, 9, 3]));
    let outside = [x, ints(&[1, 1], &[2]), ints(&[1, 1], &[0])];
    assert!(run("ScatterElements", 18, &[], &outside).is_err());
}

#[test]
fn repeating_and_padding() {
    let x = row(&[1, 2]);
    assert_eq!(plain("Expand", &[x.clone(), row(&[2, 1])]), ints(&[2, 2], &[1, 2, 1, 2]));
    assert!(run("Expand", 18, &[], &[x.clone(), row(&[3])]).is_err());
    assert_eq!(plain("Tile", &[x.clone(), row(&[2])]), row(&[1, 2, 1, 2]));
    assert!(run("Tile", 18, &[], &[x.clone(), row(&[2, 2])]).is_err());
    assert_eq!(plain("Pad", &[x.clone(), row(&[1, 2])]), row(&[0, 1, 2, 0, 0]));
    assert_eq!(plain("Pad", &[x.clone(), row(&[-1, 1]), one(7)]), row(&[2, 7]));
    let square = counting(&[2, 2]);
    let last = plain("Pad", &[square.clone(), row(&[1, 0]), one(9), row(&[-1])]);
    assert_eq!(last, ints(&[2, 3], &[9, 0, 1, 9, 2, 3]));
    let old = [("pads", list(&[0, 1, 1, 0])), ("value", Attribute::Float(0.5))];
    let padded = run("Pad", 10, &old, &[floats(&[1, 1], &[2.0])]).unwrap();
    assert_eq!(padded, floats(&[2, 2], &[0.5, 2.0, 0.5, 0.5]));
    assert!(run("Pad", 18, &[("mode", text("reflect"))], &[x.clone(), row(&[1, 1])]).is_err());
    assert!(run("Pad", 18, &[], &[x.clone(), row(&[1])]).is_err());
    assert!(run("Pad", 18, &[], &[x, row(&[1, 1]), Constant::scalar(0.0)]).is_err());
}

#[test]
fn triangles() {
    let x = ints(&[2, 3], &[1, 2, 3, 4, 5, 6]);
    assert_eq!(plain("Trilu", from_ref(&x)), ints(&[2, 3], &[1, 2, 3, 0, 5, 6]));
    let lower = run("Trilu", 14, &[("upper", int(0))], &[x.clone(), one(-1)]).unwrap();
    assert_eq!(lower, ints(&[2, 3], &[0, 0, 0, 4, 0, 0]));
    let all = run("Trilu", 14, &[], &[x.clone(), one(i64::MIN)]).unwrap();
    assert_eq!(all, x);
    assert!(run("Trilu", 14, &[], &[row(&[1])]).is_err());
}
