//! Names, order, branches and functions.

use super::super::read_operator;
use super::*;
use crate::onnx::graph::{Attribute, Kind, Side};

#[test]
fn names_have_one_origin() {
    for (net, words) in [
        (
            Net::with(|net| net.initializers.clear()),
            &["node fc", "takes `w`, which nothing produces"][..],
        ),
        (Net::with(|net| net.inputs.clear()), &["node fc", "takes `x`"]),
        (
            Net::with(|net| net.outputs.push("nowhere")),
            &["output `nowhere` is produced by no node"],
        ),
        (
            Net::with(|net| net.nodes.push(node("Abs", "abs", &["x"], &["h"]))),
            &["`h` is produced twice, by node fc and node abs"],
        ),
        (
            Net::with(|net| net.initializers.push(floats("h", &[1], &[1.0]))),
            &["`h` is an initializer and the output of node fc"],
        ),
        (
            Net::with(|net| net.initializers.push(floats("w", &[1], &[1.0]))),
            &["two initializers `w`"],
        ),
        (Net::with(|net| net.inputs.push(value("h", 1, &[]))), &["`h` is an input and the output"]),
        (Net::with(|net| net.inputs.push(value("x", 1, &[]))), &["two inputs `x`"]),
        (Net::with(|net| net.initializers.push(tensor("", &[], 1))), &["initializer", "no name"]),
        (Net::with(|net| net.nodes.push(node("", "n", &[], &[]))), &["has no op_type"]),
        (Net::with(|net| net.nodes.push(bytes(4, [255]))), &["op_type", "UTF-8"]),
    ] {
        refused(net.read(), words);
    }
    let net = Net::default();
    let twice = [net.file(), bytes(7, net.graph())].concat();
    refused(read_here(&twice), &["two initializers `w`"]);
}

#[test]
fn a_network_maps_one_image_to_something() {
    for (net, words) in [
        (
            Net::with(|net| net.inputs.push(value("mask", 1, &[2]))),
            &["two inputs, x and mask", "has one"][..],
        ),
        (
            Net::with(|net| net.inputs[0] = value("x", 2, &[2])),
            &["input x is uint8", "no gradient"],
        ),
        (Net::with(|net| net.inputs[0] = value("x", 8, &[2])), &["input x", "holds strings"]),
        (Net::with(|net| net.inputs[0] = bytes(1, "x")), &["input x", "no stated data type"]),
        (
            Net::with(|net| net.inputs[0] = [bytes(1, "x"), bytes(2, bytes(4, ""))].concat()),
            &["input x", "no tensor"],
        ),
        (Net::with(|net| net.outputs.clear()), &["no output"]),
        (Net::with(|net| net.outputs = vec!["w"]), &["output does not depend on the input x"]),
        (
            Net::with(|net| {
                net.inputs.clear();
                net.initializers.push(floats("x", &[1, 2], &[1.0; 2]));
            }),
            &["no input"],
        ),
    ] {
        refused(net.read(), words);
    }
    // Two outputs, of which one depends on the image.
    assert_eq!(Net::with(|net| net.outputs.push("w")).read().unwrap().outputs, ["y", "w"]);
}

#[test]
fn inputs_are_what_has_no_value() {
    let net = Net::with(|net| {
        net.inputs = vec![value("w", 1, &[2]), value("x", 10, &[3, -1])];
        net.initializers.push(tensor("dead", &[], 8));
    });
    let graph = net.read().unwrap();
    let input = &graph.inputs[0];
    assert_eq!((input.name.as_str(), input.kind, graph.inputs.len()), ("x", Kind::Float, 1));
    let sides = [Side::Free("N".into()), Side::Known(3), Side::Free(String::new())];
    assert_eq!(input.sides.as_deref(), Some(&sides[..]));
    assert_eq!(graph.constants.keys().collect::<Vec<_>>(), ["w"]);
}

#[test]
fn nodes_are_sorted_and_dead_ones_dropped() {
    let mut net = Net::default();
    net.nodes.reverse();
    net.nodes.push([node("Odd", "dead", &["y"], &["z"]), bytes(7, "far")].concat());
    assert_eq!(net.read().unwrap(), Net::default().read().unwrap());
    net.outputs.push("z");
    assert_eq!(net.read().unwrap().nodes[2].operator, "far.Odd");
}

#[test]
fn a_cycle_is_named() {
    let net = Net::with(|net| {
        net.nodes = vec![
            node("Relu", "after", &["b"], &["y"]),
            node("Add", "one", &["x", "c"], &["a"]),
            node("Relu", "two", &["a"], &["b"]),
            node("Relu", "three", &["b"], &["c"]),
        ];
    });
    refused(net.read(), &["cycle through node one, two, three"]);
    let own = Net::with(|net| net.nodes.push(node("Relu", "self", &["z"], &["z"])));
    refused(own.read(), &["cycle through node self"]);
}

#[test]
fn attributes_of_every_type() {
    let mut net = Net::default();
    let number =
        |field: u8, number: f32| [vec![field << 3 | 5], number.to_le_bytes().into()].concat();
    net.nodes[1].extend(
        [
            attribute("int", 2, int(3, -5)),
            attribute("zero", 2, Vec::new()),
            attribute("float", 1, number(2, 0.5)),
            attribute("floats", 6, [number(7, 0.5), number(7, 1.5)].concat()),
            attribute("ints", 0, [int(8, 1), int(8, -1)].concat()),
            attribute("text", 3, bytes(4, "same")),
            attribute("no_text", 3, bytes(4, [255])),
            attribute("texts", 8, bytes(9, "a")),
            attribute("tensors", 9, bytes(10, "")),
            attribute("strings", 4, bytes(5, tensor("", &[], 8))),
        ]
        .concat(),
    );
    let attributes = net.read().unwrap().nodes.remove(1).attributes;
    for (name, expected) in [
        ("int", Attribute::Int(-5)),
        ("zero", Attribute::Int(0)),
        ("float", Attribute::Float(0.5)),
        ("floats", Attribute::Floats(vec![0.5, 1.5])),
        ("ints", Attribute::Ints(vec![1, -1])),
        ("text", Attribute::Text("same".into())),
        ("no_text", Attribute::Other("bytes that are no text".into())),
        ("texts", Attribute::Texts(vec!["a".into()])),
        ("tensors", Attribute::Other("tensors".into())),
        ("strings", Attribute::Other("a tensor of strings".into())),
    ] {
        assert_eq!(attributes[name], expected, "{name}");
    }
    for (wrong, words) in [
        (attribute("a", 7, int(3, 1)), &["`a` is declared as type 7 and holds an integer"]),
        (attribute("a", 2, [int(3, 1), int(8, 1)].concat()), &["comes after an integer"]),
        (attribute("a", 4, Vec::new()), &["`a` has no value"]),
        (attribute("", 2, int(3, 1)), &["no name"]),
        (attribute("a", 1, number(2, f32::NAN)), &["attribute a is not finite"]),
        ([attribute("a", 2, int(3, 1)), attribute("a", 2, int(3, 1))].concat(), &["second time"]),
        (attribute("a", 2, bytes(21, "b")), &["refers to `b` outside of a function"]),
    ] {
        refused(Net::with(|net| net.nodes[1].extend(wrong)).read(), words);
    }
}

/// Two branches that read `y` of the graph around them and name their values alike.
fn branches() -> Net {
    let branch = |operator: &str, reads: &str| {
        let inner = node(operator, "in", &[reads], &["z"]);
        bytes(6, [bytes(1, inner), bytes(12, value("z", 1, &[2]))].concat())
    };
    Net::with(|net| {
        net.initializers.push([tensor("c", &[], 9), bytes(9, [1])].concat());
        let parts = [
            node("If", "if", &["c"], &["out"]),
            attribute("then_branch", 5, branch("Relu", "y")),
            attribute("else_branch", 5, branch("Neg", "h")),
        ];
        net.nodes.insert(0, parts.concat());
        net.outputs = vec!["out"];
    })
}

#[test]
fn branches_read_the_graph_around_them() {
    let graph = branches().read().unwrap();
    let names: Vec<_> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["fc", "relu", "if"], "the branch needs what comes later in the file");
    let inner = |name: &str| match &graph.nodes[2].attributes[name] {
        Attribute::Graph(inner) => (**inner).clone(),
        other => panic!("{other:?}"),
    };
    let (yes, no) = (inner("then_branch"), inner("else_branch"));
    assert_eq!((&yes.nodes[0].inputs[0], &no.nodes[0].inputs[0]), (&"y".into(), &"h".into()));
    assert_eq!((yes.outputs, no.outputs), (vec!["z".to_string()], vec!["z#2".to_string()]));
    let missing = Net::with(|net| {
        *net = branches();
        net.nodes.retain(|node| !node.windows(4).any(|part| part == b"Relu") || node.len() > 60);
    });
    refused(missing.read(), &["node in", "`y`, which nothing produces"]);
}

fn function(name: &str, inputs: &[&str], outputs: &[&str], nodes: &[Bytes]) -> Bytes {
    let inputs = inputs.iter().flat_map(|input| bytes(4, input));
    let outputs = outputs.iter().flat_map(|output| bytes(5, output));
    let nodes = nodes.iter().flat_map(|node| bytes(7, node));
    let names = [bytes(1, name), bytes(10, "my")].concat();
    names.into_iter().chain(inputs).chain(outputs).chain(nodes).collect()
}

fn call(name: &str, node_name: &str, inputs: &[&str], outputs: &[&str]) -> Bytes {
    [node(name, node_name, inputs, outputs), bytes(7, "my")].concat()
}

#[test]
fn functions_are_written_out_where_they_are_called() {
    let leaky = [node("LeakyRelu", "leaky", &["t"], &["b"]), {
        bytes(5, [bytes(1, "alpha"), int(20, 1), bytes(21, "slope")].concat())
    }];
    let inner =
        function("Inner", &["a"], &["b"], &[node("Neg", "neg", &["a"], &["t"]), leaky.concat()]);
    let nested = [call("Inner", "inner", &["p"], &["q"]), {
        bytes(5, [bytes(1, "slope"), int(20, 1), bytes(21, "steep")].concat())
    }];
    let outer = function("Act", &["p", "unused"], &["q", "p"], &[nested.concat()]);
    let default = bytes(
        11,
        [bytes(1, "steep"), int(20, 1), [vec![0x15], 0.25_f32.to_le_bytes().into()].concat()]
            .concat(),
    );
    let steep = attribute("steep", 1, [vec![0x15], 0.5_f32.to_le_bytes().into()].concat());
    let net = Net::with(|net| {
        net.functions = vec![inner, [outer, default].concat()];
        net.nodes.push([call("Act", "first", &["y"], &["k", "same"]), steep].concat());
        net.nodes.push(call("Act", "second", &["k"], &["z"]));
        net.outputs = vec!["z", "same"];
    });
    let graph = net.read().unwrap();
    let seen: Vec<_> = graph.nodes[2..]
        .iter()
        .map(|node| format!("{} {} {:?} {:?}", node.name, node.operator, node.inputs, node.outputs))
        .collect();
    assert_eq!(
        seen,
        [
            r#"first/p Identity ["y"] ["same"]"#,
            r#"first/inner/neg Neg ["y"] ["first/inner/t"]"#,
            r#"first/inner/leaky LeakyRelu ["first/inner/t"] ["k"]"#,
            r#"second/inner/neg Neg ["k"] ["second/inner/t"]"#,
            r#"second/inner/leaky LeakyRelu ["second/inner/t"] ["z"]"#,
        ]
    );
    assert_eq!(graph.nodes[4].attributes["alpha"], Attribute::Float(0.5));
    assert_eq!(graph.nodes[6].attributes["alpha"], Attribute::Float(0.25));
}

#[test]
fn functions_that_cannot_be_written_out_are_refused() {
    let own = |function: Bytes| {
        Net::with(|net| {
            net.functions = vec![function];
            net.nodes.push(call("Act", "act", &["y"], &["z"]));
            net.outputs = vec!["z"];
        })
    };
    let body = || [node("Neg", "neg", &["a"], &["b"])];
    assert!(own(function("Act", &["a"], &["b"], &body())).read().is_ok());
    for (function, words) in [
        (
            function("Act", &["a"], &["b"], &[call("Act", "again", &["a"], &["b"])]),
            &["function my.Act calls itself"][..],
        ),
        (function("Act", &[], &["b"], &body()), &["node act", "1 inputs where 0 are allowed"]),
        (function("Act", &["a"], &[], &body()), &["1 outputs where 0"]),
        (function("Act", &["a"], &["c"], &body()), &["output `c` is produced by no node"]),
        (function("Act", &["a", "a"], &["b"], &body()), &["two inputs `a`"]),
        (function("Act", &["x"], &["b"], &body()), &["node act/neg", "takes `a`"]),
        (
            [function("Act", &["a"], &["b"], &body()), bytes(9, opset("", 13))].concat(),
            &["function my.Act", "opset 13, the model in 18"],
        ),
    ] {
        refused(own(function).read(), words);
    }
    let twice = Net::with(|net| net.functions = vec![function("Act", &["a"], &["b"], &body()); 2]);
    refused(twice.read(), &["two functions"]);
}

#[test]
fn functions_do_not_fill_the_memory() {
    let mut net = Net::default();
    for level in 0..40 {
        let (name, below) = (format!("F{level}"), format!("F{}", level + 1));
        let nodes = match level {
            39 => vec![node("Neg", "", &["a"], &["m"]), node("Neg", "", &["m"], &["b"])],
            _ => vec![call(&below, "", &["a"], &["m"]), call(&below, "", &["m"], &["b"])],
        };
        net.functions.push(function(&name, &["a"], &["b"], &nodes));
    }
    net.nodes.push(call("F0", "act", &["y"], &["z"]));
    net.outputs = vec!["z"];
    refused(net.read(), &["functions written out would take more than"]);
}

#[test]
fn a_long_name_is_not_copied_into_every_node_of_a_function() {
    let long = "n".repeat(1 << 20);
    let nodes: Vec<_> = (0..64).map(|i| node("Neg", "", &["a"], &[&format!("b{i}")])).collect();
    let net = Net::with(|net| {
        net.functions = vec![function("Act", &["a"], &["b63"], &nodes)];
        net.nodes.push(node("Neg", "neg", &["y"], &[&long]));
        net.nodes.push(call("Act", "act", &[&long], &["z"]));
        net.outputs = vec!["z"];
    });
    refused(net.read(), &["functions written out would take more than"]);
}

#[test]
fn a_single_operator_may_have_any_inputs() {
    let net = Net::with(|net| {
        net.initializers.clear();
        net.inputs = vec![value("x", 7, &[2]), value("w", 9, &[2])];
    });
    let graph = read_operator(Path::new("net.onnx"), &net.file()).unwrap();
    let kinds: Vec<_> = graph.inputs.iter().map(|input| input.kind).collect();
    assert_eq!(kinds, [Kind::Int, Kind::Bool]);
}
