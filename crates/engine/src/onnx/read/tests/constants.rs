//! Numbers of every type, stored in every way, and what does not fit.

use std::fs;

use super::super::read_tensor;
use super::*;
use crate::onnx::graph::Numbers;

fn decode(bytes: &[u8]) -> Result<Numbers> {
    read_tensor(Path::new("t.pb"), bytes).map(|constant| constant.numbers)
}

#[test]
fn numbers_of_every_type_are_read_from_bytes_and_from_lists() {
    let ints = |numbers: &[i64]| Numbers::Ints(numbers.to_vec());
    let floats = Numbers::Floats(vec![1.5, -2.0]);
    let double = |number: f64| number.to_le_bytes();
    let both = |list: [f64; 2]| list.into_iter().flat_map(double).collect::<Bytes>();
    let row =
        |numbers: &[i64]| -> Bytes { numbers.iter().flat_map(|n| varint(*n as u64)).collect() };
    let cases: [(i64, Bytes, Bytes, Numbers); 13] = [
        (
            1,
            [1.5_f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect(),
            { bytes(4, [1.5_f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect::<Bytes>()) },
            floats.clone(),
        ),
        (2, vec![255, 1], bytes(5, row(&[255, 1])), ints(&[255, 1])),
        (3, vec![255, 1], bytes(5, row(&[-1, 1])), ints(&[-1, 1])),
        (4, vec![0, 255, 1, 0], bytes(5, row(&[0xff00, 1])), ints(&[0xff00, 1])),
        (5, vec![0, 255, 1, 0], bytes(5, row(&[-256, 1])), ints(&[-256, 1])),
        (6, vec![254, 255, 255, 255, 1, 0, 0, 0], bytes(5, row(&[-2, 1])), ints(&[-2, 1])),
        (
            7,
            [-3_i64, 4].iter().flat_map(|x| x.to_le_bytes()).collect(),
            { [int(7, -3), int(7, 4)].concat() },
            ints(&[-3, 4]),
        ),
        (9, vec![1, 0], bytes(5, row(&[1, 0])), Numbers::Bools(vec![true, false])),
        (10, vec![0, 0x3e, 0, 0xc0], bytes(5, row(&[0x3e00, 0xc000])), floats.clone()),
        (11, both([1.5, -2.0]), bytes(10, both([1.5, -2.0])), floats.clone()),
        (12, vec![255, 255, 255, 255, 1, 0, 0, 0], bytes(11, row(&[0xffff_ffff, 1])), {
            ints(&[0xffff_ffff, 1])
        }),
        (13, [5_u64, 6].iter().flat_map(|x| x.to_le_bytes()).collect(), bytes(11, row(&[5, 6])), {
            ints(&[5, 6])
        }),
        (16, vec![0xc0, 0x3f, 0, 0xc0], bytes(5, row(&[0x3fc0, 0xc000])), floats),
    ];
    for (code, raw, list, expected) in cases {
        assert_eq!(decode(&[tensor("", &[2], code), bytes(9, raw)].concat()).unwrap(), expected);
        assert_eq!(decode(&[tensor("", &[2], code), list].concat()).unwrap(), expected, "{code}");
    }
    assert_eq!(decode(&tensor("", &[3, 0], 1)).unwrap(), Numbers::Floats(Vec::new()));
    assert_eq!(decode(&floats_scalar()).unwrap(), Numbers::Floats(vec![7.0]));
}

fn floats_scalar() -> Bytes {
    floats("", &[], &[7.0])
}

#[test]
fn initializers_that_do_not_fit_are_refused() {
    let four = floats("w", &[2, 2], &[1.0; 4]);
    let raw = |dims: &[i64], code: i64, length: usize| -> Bytes {
        [tensor("w", dims, code), bytes(9, vec![0; length])].concat()
    };
    for (tensor, words) in [
        (
            raw(&[1 << 40, 1], 1, 16),
            &["initializer w", "[1099511627776, 1] are more than 268435456 numbers"][..],
        ),
        (raw(&[2, 2], 1, 15), &["4 elements of f32", "16 bytes, and 15 bytes are there"]),
        (raw(&[2, 2], 1, 17), &["17 bytes are there"]),
        (raw(&[1 << 40, 1 << 40], 1, 16), &["product of its dims", "overflows"]),
        (raw(&[1 << 40, 1 << 40, 0], 1, 0), &["overflows"]),
        (raw(&[-2, -2], 1, 16), &["[-2, -2] are no sizes"]),
        (raw(&[1; 65], 1, 4), &["65 sides"]),
        (raw(&[0, 2], 1, 0), &["initializer w is empty", "node fc"]),
        (raw(&[2, 2], 77, 16), &["data type 77"]),
        (raw(&[2, 2], 0, 16), &["no stated data type"]),
        (raw(&[2, 2], 8, 16), &["holds strings"]),
        (raw(&[2, 2], 14, 16), &["complex"]),
        (raw(&[2, 2], 18, 16), &["8-bit floating point"]),
        (raw(&[2, 2], 22, 16), &["4-bit integers"]),
        ([four.clone(), bytes(4, [0; 16])].concat(), &["raw_data and float_data"]),
        ([tensor("w", &[2, 2], 1), bytes(7, [1; 4])].concat(), &["int64_data", "no f32 is stored"]),
        (
            [tensor("w", &[2], 3), int(5, 128), int(5, 0)].concat(),
            &["128 in int32_data is no int8"],
        ),
        ([tensor("w", &[1], 10), int(5, 65536)].concat(), &["more bits than a f16"]),
        (
            [tensor("w", &[1], 13), int(11, -1)].concat(),
            &["18446744073709551615 is more than 2^63"],
        ),
        (
            [tensor("w", &[3], 1), bytes(4, [0; 8])].concat(),
            &["3 elements of f32", "8 bytes are there"],
        ),
        ([tensor("w", &[1], 1), bytes(4, [0; 5])].concat(), &["float_data", "whole f32"]),
        (floats("w", &[2, 2], &[f32::NAN; 4]), &["initializer w", "not finite"]),
        (floats("w", &[2, 2], &[f32::INFINITY; 4]), &["initializer w", "not finite"]),
        ([four, bytes(3, "")].concat(), &["segments"]),
    ] {
        refused(Net::with(|net| net.initializers = vec![tensor]).read(), words);
    }
}

#[test]
fn infinity_is_no_weight_but_may_be_a_mask() {
    let masked = Net::with(|net| {
        net.initializers.push(floats("mask", &[2], &[0.0, f32::NEG_INFINITY]));
        net.nodes.push(node("Add", "masked", &["y", "mask"], &["z"]));
        net.outputs = vec!["z"];
    });
    assert_eq!(masked.read().unwrap().constants["mask"].as_floats().unwrap()[1], f32::NEG_INFINITY);
    let value = floats("", &[2, 2], &[f32::NEG_INFINITY; 4]);
    let constant = [node("Constant", "c", &[], &["w"]), attribute("value", 4, bytes(5, value))];
    let net = Net::with(|net| {
        net.initializers.clear();
        net.nodes.push(constant.concat());
    });
    refused(net.read(), &["node fc", "constant w", "not finite"]);
}

#[test]
fn external_data_is_read_in_the_folder_of_the_model_only() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("inside");
    fs::create_dir(&inside).unwrap();
    let numbers: Bytes =
        [9.0_f32, 1.0, 2.0, 3.0, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    fs::write(inside.join("w.bin"), &numbers).unwrap();
    fs::write(folder.path().join("outside.bin"), &numbers).unwrap();
    let external = |entries: &[(&str, &str)]| {
        let mut tensor = [tensor("w", &[2, 2], 1), int(14, 1)].concat();
        for (key, value) in entries {
            tensor.extend(bytes(13, [bytes(1, key), bytes(2, value)].concat()));
        }
        let net = Net::with(|net| net.initializers = vec![tensor]);
        read(&inside.join("net.onnx"), &net.file())
    };
    let good = [("location", "w.bin"), ("offset", "4"), ("length", "16")];
    assert_eq!(external(&good).unwrap(), Net::default().read().unwrap());
    assert_eq!(external(&good[..2]).unwrap(), Net::default().read().unwrap());
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("../outside.bin", inside.join("link.bin")).unwrap();
        std::os::unix::fs::symlink("w.bin", inside.join("near.bin")).unwrap();
        refused(external(&[("location", "link.bin")]), &["link.bin leaves the folder"]);
        assert!(external(&[("location", "near.bin")]).is_ok());
    }
    let absolute = inside.join("w.bin").display().to_string();
    for (entries, words) in [
        (&[][..], &["initializer w", "external data without a location"][..]),
        (&[("location", "../outside.bin")], &["../outside.bin leaves the folder of the model"]),
        (&[("location", "../inside/w.bin")], &["leaves the folder"]),
        (&[("location", &absolute)], &["leaves the folder"]),
        (&[("location", "not_there.bin")], &["not_there.bin", "missing"]),
        (&[("location", ".")], &["is no file"]),
        (&[good[0], ("offset", "-4")], &["negative offset -4"]),
        (&[good[0], ("length", "-16")], &["negative length -16"]),
        (&[good[0], ("offset", "four")], &["offset `four`"]),
        (&[good[0], ("length", "20")], &["20 bytes", "take 16"]),
        (&[good[0], ("offset", "8")], &["w.bin ends before offset 8 + 16 bytes", "20 bytes"]),
        (&[good[0], ("offset", "18446744073709551615")], &["ends before"]),
    ] {
        refused(external(entries), words);
    }
}

#[test]
fn the_same_external_bytes_are_not_read_without_end() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("w.bin"), [0; 16]).unwrap();
    let net = |count: usize| {
        let mut net = Net::default();
        for place in 0..count {
            let (name, sum) = (format!("w{place}"), format!("s{place}"));
            let location = bytes(13, [bytes(1, "location"), bytes(2, "w.bin")].concat());
            net.initializers.push([tensor(&name, &[2, 2], 1), int(14, 1), location].concat());
            net.nodes.push(node("Add", "", &["y", &name], &[&sum]));
            net.outputs.push(["s0", "s1", "s2", "s3", "s4"][place]);
        }
        read(&folder.path().join("net.onnx"), &net.file())
    };
    assert_eq!(net(4).unwrap().constants.len(), 5);
    refused(net(5), &["w.bin are used too often"]);
}
