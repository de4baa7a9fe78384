//! The wire, what a file is, versions, and damage of any kind.

use std::io::Write as _;
use std::time::Instant;

use super::super::read_operator;
use super::*;

#[test]
fn the_control_is_read() {
    let graph = Net::default().read().unwrap();
    assert_eq!((graph.opset, graph.inputs.len(), graph.nodes.len()), (18, 1, 2));
    assert_eq!(graph.outputs, ["y"]);
    assert_eq!(graph.constants["w"].as_floats(), Some(&[1.0, 2.0, 3.0, 4.0][..]));
}

#[test]
fn what_is_no_network_is_refused() {
    for (bytes, words) in [
        (&b""[..], &["the file is empty"][..]),
        (b"<!DOCTYPE html><html>", &["HTML page", "not an ONNX file"]),
        (b"\n<html>", &["HTML page"]),
        (b"version https://git-lfs.github.com/spec/v1\n", &["Git LFS pointer"]),
        (b"{\"error\": 404}", &["JSON"]),
        (b"PK\x03\x04", &["zip"]),
        (b"\x1f\x8b\x08garbage", &["gzip"]),
        (&[8, 8], &["there is no graph"]),
        (&[8, 8, 0x3a, 0], &["the graph is empty: no inputs, no outputs, no nodes"]),
        (
            &[8, 8, 0x38, 1],
            &["field 7 (graph) has wire type varint instead of length-delimited", "byte 3"],
        ),
        (&[8, 8, 0x3d, 1, 2, 3, 4], &["field 7 (graph) has wire type 32-bit"]),
        (&[8, 8, 0x39, 1, 2, 3, 4, 5, 6, 7, 8], &["field 7 (graph) has wire type 64-bit"]),
        (&[8, 8, 0x3a, 5, 0], &["truncated", "length of 5 bytes", "end of the file"]),
        (&[8, 8, 0x3a, 2, 0x0a, 9], &["truncated", "end of the GraphProto"]),
        (&[8, 8, 0x3a], &["truncated", "varint"]),
        (&[8, 8, 0x3d, 1, 2], &["truncated"]),
        (&[8, 8, 0, 1], &["no valid field tag"]),
        (&[8, 8, 0x0b, 1], &["field 1 has the deprecated group wire type 3"]),
        (&[8, 8, 0x0e, 1], &["invalid wire type 6"]),
        (&[8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], &["more than ten bytes"]),
        (&[8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2], &["64 bits"]),
        (&[0x3a, 255, 255, 255, 255, 255, 255, 255, 255, 127, 0], &["9223372036854775807"]),
    ] {
        refused(read_here(bytes), words);
    }
}

#[test]
fn fields_that_nobody_knows_are_passed_over() {
    let unknown = [int(99, 7), bytes(98, "abc"), vec![0xe5, 5, 1, 2, 3, 4]].concat();
    let graph = read_here(&[unknown, Net::default().file()].concat()).unwrap();
    assert_eq!(graph, Net::default().read().unwrap());
}

#[test]
fn a_gzipped_file_is_unpacked_within_limits() {
    let pack = |bytes: &[u8]| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    };
    let packed = pack(&Net::default().file());
    assert_eq!(read_here(&packed).unwrap(), Net::default().read().unwrap());
    refused(read_here(&packed[..packed.len() - 9]), &["gzip", "cannot be unpacked"]);
    refused(read_here(&pack(b"")), &["the file is empty"]);
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..65 {
        packer.write_all(&vec![0; 1 << 20]).unwrap();
    }
    refused(read_here(&packer.finish().unwrap()), &["unpacks to more than 67108864 bytes"]);
}

#[test]
fn versions_must_be_known() {
    refused(Net::with(|net| net.ir = 999).read(), &["ir_version 999"]);
    refused(Net::with(|net| net.opsets.clear()).read(), &["no opset_import"]);
    refused(
        Net::with(|net| net.opsets = vec![opset("a", 1)]).read(),
        &["no version of the default"],
    );
    refused(Net::with(|net| net.opsets.push(opset("ai.onnx", 17))).read(), &["two versions"]);
    for (version, words) in [
        (99, &["opset 99 is newer than any known one"]),
        (i64::MIN, &["too old"]),
        (29, &["opset 29 is newer"]),
        (6, &["opset 6 is too old"]),
    ] {
        refused(Net::with(|net| net.opsets = vec![opset("", version)]).read(), words);
    }
    for version in [7, 28] {
        let net = Net::with(|net| net.opsets = vec![opset("ai.onnx", version)]);
        assert_eq!(net.read().unwrap().opset, version as u64);
    }
}

#[test]
fn subgraphs_nest_only_so_deep() {
    let nest = |levels: usize| {
        let branch = |inner: Bytes| attribute("then_branch", 5, bytes(6, inner));
        let mut inner = Net::default().graph();
        for _ in 0..levels {
            let parts = [node("If", "", &["c"], &["y"]), branch(inner)].concat();
            inner = [bytes(1, parts), bytes(12, value("y", 1, &[]))].concat();
        }
        let mut net = Net::default();
        net.initializers.push([tensor("c", &[], 9), bytes(9, [1])].concat());
        net.nodes.push([node("If", "outer", &["c"], &["z"]), branch(inner)].concat());
        net.outputs = vec!["z"];
        // As an operator, since no output depends on the image.
        read_operator(Path::new("net.onnx"), &net.file())
    };
    assert_eq!(nest(20).unwrap().nodes.len(), 1);
    refused(nest(64), &["nested too deeply"]);
    refused(nest(2000), &["nested too deeply"]);
}

#[test]
fn six_thousand_nodes_in_a_row_are_quick_in_any_order() {
    let names: Vec<_> = (0..=6000).map(|place| format!("v{place}")).collect();
    let chain = |place: usize| node("Identity", "", &[&names[place]], &[&names[place + 1]]);
    let mut net = Net::with(|net| net.inputs = vec![value("v0", 1, &[2])]);
    net.nodes = (0..6000).map(chain).collect();
    net.outputs = vec!["v6000"];
    let start = Instant::now();
    let sorted = net.read().unwrap();
    net.nodes.reverse();
    assert_eq!(net.read().unwrap(), sorted);
    assert_eq!(sorted.nodes.len(), 6000);
    assert_eq!(sorted.nodes[7].name, "Identity of v8");
    assert!(start.elapsed().as_secs() < 10);
}

#[test]
fn no_damage_makes_the_reader_panic() {
    let mut net = Net::default();
    let ints = attribute("ints", 7, bytes(8, [1, 2, 3]));
    let branch = attribute("then_branch", 5, bytes(6, Net::default().graph()));
    let texts = attribute("texts", 8, [bytes(9, "a"), bytes(9, "b")].concat());
    net.nodes.push([node("If", "if", &["y"], &["z"]), ints, branch, texts].concat());
    net.nodes.push([node("Act", "act", &["z"], &["u"]), bytes(7, "my")].concat());
    let body = bytes(7, node("Relu", "inner", &["a"], &["b"]));
    let names = [bytes(1, "Act"), bytes(10, "my"), bytes(4, "a"), bytes(5, "b")].concat();
    net.functions.push([names, body].concat());
    net.initializers.push([tensor("i", &[2], 3), bytes(5, [1, 2])].concat());
    net.outputs = vec!["y", "u"];
    let good = net.file();
    read_here(&good).unwrap();
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    };
    let mut refusals = 0;
    for _ in 0..20_000 {
        let mut bytes = good.clone();
        for _ in 0..=random(2) {
            let place = random(bytes.len());
            match random(8) {
                0 => bytes.truncate(place + 1),
                1 => drop(bytes.remove(place)),
                2 => bytes.insert(place, random(256) as u8),
                3 => bytes[place] = random(256) as u8,
                _ => bytes[place] ^= 1 << random(8),
            }
        }
        refusals += usize::from(read_here(&bytes).is_err());
    }
    assert!((5_000..20_000).contains(&refusals), "{refusals}");
}
