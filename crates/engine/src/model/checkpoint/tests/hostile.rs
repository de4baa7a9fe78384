//! Checkpoints that nobody should be able to crash, hang or fill the memory with.

use ::zip::CompressionMethod;
use proptest::prelude::*;

use super::super::read_set;
use super::build::*;
use super::*;

/// A zip checkpoint whose only tensor is described by `pickle`, with one storage "0" of six f32.
fn one(pickle: Pickle) -> Vec<u8> {
    let pickle = Pickle::new().raw(b"}").text("fc.weight").raw(&pickle.0).raw(b"s").stop();
    zip(pickle, vec![("0", floats(&[0.0; 6]))])
}

fn tensor(offset: i64, shape: &[i64], stride: &[i64]) -> Pickle {
    Pickle::default().tensor(("0", 6), offset, shape, stride)
}

/// A checkpoint that holds nothing but what `program` leaves on the stack.
fn program(program: &[u8]) -> Vec<u8> {
    zip(Pickle::new().raw(program).stop(), vec![])
}

#[test]
fn the_checkpoints_built_here_are_sound() {
    let expected = [("fc.bias", vec![6.0, 7.0]), ("fc.weight", vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0])];
    for file in [zip(state_dict(), storages()), stream(&state_dict(), &storages())] {
        let checkpoint = read_bytes(&file).unwrap();
        let set = chosen(&checkpoint);
        assert_eq!(set.tensors["fc.weight"].dims(), [2, 3]);
        for (name, values) in &expected {
            let tensor = &set.tensors[*name];
            assert_eq!(tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap(), *values);
        }
    }
}

#[test]
fn what_is_wrong_is_said() {
    let deep: Vec<u8> = b"]".repeat(100_000).into_iter().chain(b"a".repeat(99_999)).collect();
    let itself = b"}q\0X\x01\0\0\0ah\0s";
    for (case, file, part) in [
        ("offset", one(tensor(1, &[2, 3], &[3, 1])), "past the end of its storage"),
        ("negative offset", one(tensor(-1, &[2, 3], &[3, 1])), "not what they must be"),
        ("negative stride", one(tensor(5, &[6], &[-1])), "not what they must be"),
        ("overflow", one(tensor(0, &[2, 2], &[i64::MAX, i64::MAX])), "past the end"),
        ("rank", one(tensor(0, &[2, 3], &[1])), "not what they must be"),
        ("dimensions", one(tensor(0, &[1; 65], &[1; 65])), "not what they must be"),
        ("expansion", one(tensor(0, &[1 << 30], &[0])), "more often than a network needs"),
        ("elements", one(tensor(0, &[1 << 40, 1 << 40], &[0, 0])), "too many elements"),
        ("empty giant", one(tensor(0, &[0, 1 << 62, 4], &[0, 0, 0])), "too many elements"),
        (
            "storage size",
            one(Pickle::default().tensor(("0", i64::MAX), 0, &[1], &[1])),
            "past the end of its storage",
        ),
        (
            "storage name",
            one(Pickle::default().tensor(("../../etc/passwd", 6), 0, &[1], &[1])),
            "is missing from the archive",
        ),
        (
            "storage kind",
            one(Pickle::default().storage("ComplexFloatStorage", "0", 6, b"")),
            "`torch.ComplexFloatStorage`",
        ),
        ("storage view", one(Pickle::default().storage("FloatStorage", "0", 6, b"(t")), "0.4"),
        ("call of text", program(b"U\x01a)R"), "calls a string"),
        ("call of storage", program(b"ctorch\nFloatStorage\n)R"), "storage class"),
        ("set state", program(b"Nb"), "finds no value"),
        ("stack", program(b"R"), "finds no value"),
        ("mark", program(b"t"), "no start"),
        ("below the mark", program(b"N(0t"), "finds no value"),
        ("memo", program(b"h\x07"), "memo slot 7"),
        ("half a pair", program(b"}(Nu"), "key without a value"),
        ("text length", program(b"X\xff\xff\xff\xff"), "ends in the middle"),
        ("long length", program(b"\x8b\xff\xff\xff\x7f"), "ends in the middle"),
        ("bytes length", program(b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff"), "ends in the middle"),
        ("name without end", program(&[&b"c"[..], &[b'x'; 5000]].concat()), "name without end"),
        ("protocol 0", program(b"I7\n"), "instruction 0x49"),
        ("extension", program(b"\x82\x01"), "instruction 0x82"),
        ("escape codes", program(b"cos\n\x1b[2J\n"), "`os.\\u{1b}[2J`"),
        ("stack global", program(b"\x8c\x02nt\x8c\x06system\x93"), "`nt.system`"),
        ("nested lists", program(&deep), "no state dict"),
        ("endless stack", program(&b"N".repeat(5_000_000)), "larger than any checkpoint"),
        ("endless groups", program(&b"(".repeat(5_000_000)), "larger than any checkpoint"),
        ("endless objects", program(&b"]0".repeat(5_000_000)), "larger than any checkpoint"),
        ("a dict in itself", program(itself), "no state dict"),
        ("no tensors", program(b"}"), "no state dict"),
        ("no pickle", zip(vec![], vec![]), "ends in the middle"),
    ] {
        let error = words(&read_bytes(&file).expect_err(case));
        assert!(error.contains(part), "{case}: `{part}` is not in: {error}");
        assert!(error.contains("checkpoint.pt") && error.contains('['), "{case}: {error}");
    }
}

#[test]
fn doubling_references_take_no_time() {
    // Each dict holds the one before it twice: 2^60 paths lead to the innermost one.
    let mut pickle = Pickle::new().raw(b"}q\0");
    for level in 0..60_u8 {
        pickle = pickle.raw(b"0}(").text("a").raw(&[b'h', level]).text("b").raw(&[b'h', level]);
        pickle = pickle.raw(&[b'u', b'q', level + 1]);
    }
    let error = words(&read_bytes(&zip(pickle.stop(), vec![])).unwrap_err());
    assert!(error.contains("no state dict"), "{error}");
}

#[test]
fn archives_that_expand_or_are_not_checkpoints_are_refused() {
    let records = |names: &[(&str, Vec<u8>)]| -> Vec<(String, Vec<u8>)> {
        names.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect()
    };
    let bomb = records(&[("net/data.pkl", state_dict()), ("net/data/0", vec![0; 10_000_000])]);
    let twice = records(&[("a/data.pkl", state_dict()), ("b/data.pkl", state_dict())]);
    let script = records(&[("net/data.pkl", state_dict()), ("net/constants.pkl", vec![])]);
    for (case, file, part) in [
        ("bomb", archive(&bomb, CompressionMethod::Deflated), "claim to unpack"),
        ("two", archive(&twice, CompressionMethod::Stored), "or several"),
        ("script", archive(&script, CompressionMethod::Stored), "TorchScript"),
    ] {
        let error = words(&read_bytes(&file).expect_err(case));
        assert!(error.contains(part), "{case}: `{part}` is not in: {error}");
    }
    // A checkpoint packed again with compression is fine.
    let packed = records(&[
        ("net/data.pkl", state_dict()),
        ("net/data/0", floats(&[0.0; 6])),
        ("net/data/1", floats(&[0.0; 2])),
    ]);
    read_bytes(&archive(&packed, CompressionMethod::Deflated)).unwrap();
}

#[test]
fn streams_with_wrong_counts_are_refused() {
    let good = stream(&state_dict(), &storages());
    let short = &good[..good.len() - 1];
    let mut count = good.clone();
    let at = good.len() - 16;
    count[at] = 3;
    let swapped: Vec<_> = storages().into_iter().rev().collect();
    let mut unknown = storages();
    unknown.push(("2", vec![]));
    let mut missing = storages();
    missing.pop();
    let mut twice = storages();
    twice.push(twice[1].clone());
    for (case, file, part) in [
        ("short", short.to_vec(), "storage `1`: needs 2 numbers"),
        ("count", count, "holds 3 numbers"),
        ("unknown", stream(&state_dict(), &unknown), "used by no tensor"),
        ("missing", stream(&state_dict(), &missing), "is not in the file"),
        ("twice", stream(&state_dict(), &twice), "listed twice"),
        ("plain pickle", state_dict(), "not one that torch.save wrote"),
    ] {
        let error = words(&read_bytes(&file).expect_err(case));
        assert!(error.contains(part), "{case}: `{part}` is not in: {error}");
    }
    // The order of the storages is free.
    read_bytes(&stream(&state_dict(), &swapped)).unwrap();
}

#[test]
fn safetensors_that_lie_about_themselves_are_refused() {
    let file = |header: &str, data: usize| {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
    };
    let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    assert_eq!(read_bytes(&file(header, 8)).unwrap().sets[0].tensors["a"].dims(), [2]);
    let tall = r#"{"a":{"dtype":"F32","shape":[0,4611686018427387904,4],"data_offsets":[0,0]}}"#;
    for (case, file, part) in [
        ("short", file(header, 7), "describes a file of"),
        ("long", file(header, 9), "describes a file of"),
        ("cut header", file(header, 0)[..20].to_vec(), "states"),
        ("shape", file(&header.replace("[2]", "[3]"), 8), "is damaged"),
        ("offsets", file(&header.replace("[0,8]", "[8,16]"), 16), "is damaged"),
        ("format", file(&header.replace("F32", "U64").replace("[2]", "[1]"), 8), "format U64"),
        ("nothing", file("{}", 0), "lists no tensors"),
        ("json", file("{\"a\"", 0), "is damaged"),
        ("empty giant", file(tall, 0), "too many elements"),
    ] {
        let error = words(&read_bytes(&file).expect_err(case));
        assert!(error.contains(part), "{case}: `{part}` is not in: {error}");
    }
}

#[test]
fn of_equal_keys_the_last_one_counts() {
    let p = Pickle::new().raw(b"}(");
    let p = p.text("a.weight").tensor(("1", 2), 0, &[2], &[1]);
    let p = p.text("a.weight").tensor(("0", 6), 0, &[1], &[1]).raw(b"u").stop();
    let checkpoint = read_bytes(&zip(p, storages())).unwrap();
    assert_eq!(chosen(&checkpoint).tensors["a.weight"].to_vec1::<f32>().unwrap(), [0.0]);
}

#[test]
fn a_choice_that_is_left_open_lists_the_sets() {
    let set = |p: Pickle, name: &str| {
        p.text(name).raw(b"}").text("w.weight").tensor(("1", 2), 0, &[2], &[1]).raw(b"s")
    };
    let pickle = set(set(Pickle::new().raw(b"}("), "ema"), "best").raw(b"u").stop();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("two.pt");
    std::fs::write(&path, zip(pickle, storages())).unwrap();
    assert_eq!(read(&path).unwrap().chosen, None);
    assert_eq!(read_set(&path, Some("best")).unwrap().name, "best");
    for name in [None, Some("last")] {
        let error = words(&read_set(&path, name).unwrap_err());
        assert!(error.contains("two.pt") && error.contains("`ema`, `best`"), "{error}");
    }
}

#[test]
fn sets_in_lists_and_tuples_are_found_by_their_places() {
    let set = |p: Pickle, key: &str| {
        p.raw(b"}").text("w.weight").tensor((key, 2), 0, &[2], &[1]).raw(b"s")
    };
    let one = |p: Pickle| set(p, "1");
    let in_list = one(Pickle::new().raw(b"](")).raw(b"e").stop();
    let with_epoch = one(Pickle::new().raw(b"(").int(7)).raw(b"t").stop();
    let under_a_name = one(Pickle::new().raw(b"}").text("model").raw(b"](")).raw(b"es").stop();
    // The list is in itself, beside its set.
    let in_itself = one(Pickle::new().raw(b"]q\x01(h\x01")).raw(b"e").stop();
    for (pickle, name) in
        [(in_list, "0"), (with_epoch, "1"), (under_a_name, "model.0"), (in_itself, "1")]
    {
        let checkpoint = read_bytes(&zip(pickle, storages())).unwrap();
        let set = chosen(&checkpoint);
        assert_eq!((checkpoint.sets.len(), set.name.as_str()), (1, name));
        assert_eq!(set.tensors["w.weight"].to_vec1::<f32>().unwrap(), [6.0, 7.0]);
    }
    // A batch of images, say.
    let p = Pickle::new().raw(b"](}").text("images").tensor(("1", 2), 0, &[2], &[1]).raw(b"se");
    let error = words(&read_bytes(&zip(p.stop(), storages())).unwrap_err());
    assert!(error.contains("no state dict found: the file holds a list"), "{error}");
    let two = set(one(Pickle::new().raw(b"(")), "0").raw(b"t").stop();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("two.pt");
    std::fs::write(&path, zip(two, storages())).unwrap();
    let error = words(&read_set(&path, None).unwrap_err());
    assert!(error.contains("`0`, `1`"), "{error}");
    let second = read_set(&path, Some("1")).unwrap();
    assert_eq!(second.tensors["w.weight"].to_vec1::<f32>().unwrap(), [0.0, 1.0]);
}

#[test]
fn entries_without_weights_are_left_out_with_a_warning() {
    let p = Pickle::new().raw(b"}(").text("w.weight").tensor(("1", 2), 0, &[2], &[1]);
    let p = p.text("_extra_state").raw(b"Nu").stop();
    let checkpoint = read_bytes(&zip(p, storages())).unwrap();
    assert_eq!(chosen(&checkpoint).warnings, ["`_extra_state` is no tensor and is left out"]);
}

#[test]
fn what_training_scripts_leave_beside_the_weights_is_read_past() {
    // argparse.Namespace(lr=0.1), a numpy scalar, a set, Python 2 strings, a number of 80 bits.
    let p = Pickle::new().raw(b"}(").text("args").global("argparse", "Namespace").raw(b")\x81}");
    let p = p.raw(b"U\x02lrG?\xb9\x99\x99\x99\x99\x99\x9asb");
    let p = p.text("best").global("numpy.core.multiarray", "scalar");
    let p = p.global("numpy", "dtype").raw(b"U\x02f8K\0K\x01\x87R(K\x03U\x01<NtbC\x02ab\x86R");
    let p = p.text("seen").global("__builtin__", "set").raw(b"]\x85R");
    let p = p.text("seed").raw(b"\x8a\x0a0123456789");
    let p = p.raw(b"U\x0astate_dict}").raw(b"U\x08w.weight");
    let p = p.tensor(("1", 2), 0, &[2], &[1]).raw(b"su").stop();
    let checkpoint = read_bytes(&zip(p, storages())).unwrap();
    assert_eq!(chosen(&checkpoint).name, "state_dict");
    assert_eq!(chosen(&checkpoint).tensors["w.weight"].to_vec1::<f32>().unwrap(), [6.0, 7.0]);
}

/// The sound files that the mutations start from.
fn sound() -> [Vec<u8>; 3] {
    let safetensors = std::fs::read(fixture("expected.safetensors")).unwrap();
    [zip(state_dict(), storages()), stream(&state_dict(), &storages()), safetensors]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the bytes are, the outcome is a checkpoint or an error, and soon.
    #[test]
    fn random_pickles_never_panic(
        program in prop::collection::vec(any::<u8>(), 0..200),
        legacy in any::<bool>(),
    ) {
        let pickle = Pickle::new().raw(&program).0;
        let file = if legacy { stream(&pickle, &storages()) } else { zip(pickle, storages()) };
        let _ = read_bytes(&file);
        let _ = read_bytes(&program);
    }

    #[test]
    fn damaged_checkpoints_never_panic(
        which in 0..3_usize,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        keep in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut file = sound()[which].clone();
        for (at, byte) in flips {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Some(keep) = keep {
            file.truncate(keep.index(file.len()));
        }
        let _ = read_bytes(&file);
    }

    /// Damage inside the pickle that a correct CRC vouches for.
    #[test]
    fn damaged_pickles_never_panic(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        legacy in any::<bool>(),
    ) {
        let mut pickle = state_dict();
        for (at, byte) in flips {
            let at = at.index(pickle.len());
            pickle[at] = byte;
        }
        let file = if legacy { stream(&pickle, &storages()) } else { zip(pickle, storages()) };
        let _ = read_bytes(&file);
    }

    /// The CRC of a record notices every changed byte of its numbers.
    #[test]
    fn changed_numbers_in_a_zip_are_noticed(at in 0..24_usize, flip in 1..=255_u8) {
        let mut file = zip(state_dict(), storages());
        let numbers = floats(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let start = file.windows(24).position(|window| window == numbers).unwrap();
        file[start + at] ^= flip;
        let error = words(&read_bytes(&file).unwrap_err());
        prop_assert!(error.contains("record data/0") && error.contains("CRC-32"), "{}", error);
    }

    /// A cut file is never taken for a whole one.
    #[test]
    fn cut_checkpoints_are_refused(which in 0..3_usize, keep in any::<prop::sample::Index>()) {
        let mut file = sound()[which].clone();
        file.truncate(keep.index(file.len()));
        prop_assert!(read_bytes(&file).is_err());
    }
}
