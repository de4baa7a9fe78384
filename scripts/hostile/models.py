"""Networks in safetensors files and PyTorch checkpoints: damaged, contradictory, too large, and with code inside."""

import copy
import json
import struct

from case import ACCEPTED, EITHER, PLACES, REFUSED, Case, sparse
from formats import bundled, floats, safetensors, tensors, zeros

CARD, NAMED = bundled()
ESCAPE = "\x1b[2J\x1b]0;owned\x07\u202e"
DEEP = 200_000


def evaluated(name, content, wanted=REFUSED, file="net.safetensors", options=(), mention=None, **more):
    command = ["evaluate", "-m", file, "-d", "digits:test", "--first", "20", *options]
    return Case("safetensors", name, command, {file: content, **more}, wanted, file if mention is None else mention)


def carded(**changes):
    card = copy.deepcopy(CARD)
    card.update(changes)
    return tensors(NAMED, {key: value for key, value in card.items() if value is not None})


def changed(change):
    """The network with its tensors changed by a function from `(name, dtype, shape, bytes)` to a list of them."""
    return tensors([new for old in NAMED for new in change(*old)], CARD)


def of(wanted, new):
    """A change of one tensor."""
    return changed(lambda *old: new(*old) if old[0] == wanted else [old])


def entry(start, end, shape=(2,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


def headers():
    whole = tensors(NAMED, CARD)
    yield "whole", whole, ACCEPTED
    for name, content in (
        ("empty", b""),
        ("seven-bytes", whole[:7]),
        ("eight-bytes", whole[:8]),
        ("cut-header", whole[:100]),
        ("cut-data", whole[:-1]),
        ("one-byte-more", whole + b"\0"),
        ("zeros", bytes(4096)),
        ("noise", bytes(range(256)) * 9),
        ("page", b"<!DOCTYPE html><title>Sign in</title>"),
        ("pointer", b"version https://git-lfs.github.com/spec/v1\n"),
        ("length-all-bits", safetensors({}, length=2**64 - 1)),
        ("length-sign", safetensors({}, length=2**63)),
        ("length-above-limit", safetensors({}, length=100_000_001)),
        ("length-beyond", safetensors({}, length=99)),
        ("length-zero", safetensors(b"", b"{}")),
        ("no-json", safetensors(b"{" * 64)),
        ("a-list", safetensors(b"[1, 2]")),
        ("not-utf8", safetensors(b'{"\xff\xfe": 1}')),
        ("deep-json", safetensors(b'{"a":' + b"[" * DEEP)),
        ("deep-metadata", safetensors(b'{"__metadata__":' + b'{"a":' * DEEP)),
        ("nothing", safetensors({})),
        ("number", safetensors(b'{"a": 1e999}')),
        ("null", safetensors(b'{"a": null}')),
        ("overlap", safetensors({"a": entry(0, 8), "b": entry(4, 12)}, bytes(12))),
        ("same-place", safetensors({"a": entry(0, 8), "b": entry(0, 8)}, bytes(8))),
        ("hole", safetensors({"a": entry(0, 8), "b": entry(16, 24)}, bytes(24))),
        ("reversed", safetensors({"a": entry(8, 0)}, bytes(8))),
        ("beyond", safetensors({"a": entry(0, 8)}, bytes(4))),
        ("negative", safetensors({"a": entry(-8, 0)}, bytes(8))),
        ("fraction", safetensors({"a": entry(0, 8.5)}, bytes(9))),
        ("end-of-64-bits", safetensors({"a": entry(0, 2**64 - 1, [2**62])}, bytes(8))),
        ("sides-overflow", safetensors({"a": entry(0, 8, [2**32, 2**32, 2])}, bytes(8))),
        ("empty-giant", safetensors({"a": entry(0, 0, [0, 2**62, 4])})),
        ("negative-side", safetensors({"a": entry(0, 8, [-2])}, bytes(8))),
        ("many-sides", safetensors({"a": entry(0, 4, [1] * 100_000)}, bytes(4))),
        ("unknown-type", safetensors({"a": entry(0, 8, dtype="F99")}, bytes(8))),
        ("eight-bit-floats", safetensors({"a": entry(0, 2, dtype="F8_E4M3")}, bytes(2))),
        ("type-with-escapes", safetensors({"a": entry(0, 8, dtype=ESCAPE)}, bytes(8))),
        (
            "twice",
            safetensors(
                b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
                b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
                bytes(4),
            ),
        ),
        ("many", safetensors({f"{i:x}": entry(i, i + 1, [1], "U8") for i in range(100_002)}, bytes(100_002))),
        ("many-empty", safetensors({f"{i:x}": entry(0, 0, [0]) for i in range(99_000)})),
    ):
        yield name, content, REFUSED


def weights():
    nan, infinity = struct.pack("<f", float("nan")), struct.pack("<f", float("inf"))
    for name, content, wanted in (
        ("nan", of("fc2.bias", lambda n, d, s, b: [(n, d, s, nan + b[4:])]), REFUSED),
        ("infinity", of("conv1.weight", lambda n, d, s, b: [(n, d, s, b[:-4] + infinity)]), REFUSED),
        ("largest-floats", of("fc2.weight", lambda n, d, s, b: [(n, d, s, floats([3e38] * 640))]), REFUSED),
        ("missing", of("fc1.weight", lambda *_: []), REFUSED),
        ("foreign", tensors([*NAMED, ("head.weight", "F32", [3], zeros([3]))], CARD), REFUSED),
        ("foreign-escapes", tensors([*NAMED, (ESCAPE, "F32", [3], zeros([3]))], CARD), REFUSED),
        ("foreign-without-end", tensors([*NAMED, ("x" * 5_000_000, "F32", [3], zeros([3]))], CARD), REFUSED),
        ("turned", of("fc1.weight", lambda n, d, s, b: [(n, d, s[::-1], b)]), REFUSED),
        ("one-side", of("fc1.weight", lambda n, d, s, b: [(n, d, [s[0] * s[1]], b)]), REFUSED),
        ("no-numbers", of("fc2.bias", lambda n, d, s, b: [(n, d, [0], b"")]), REFUSED),
        ("a-scalar", of("fc2.bias", lambda n, d, s, b: [(n, d, [], zeros([]))]), REFUSED),
        ("integers", of("fc2.bias", lambda n, d, s, b: [(n, "I64", s, bytes(80))]), EITHER),
        ("truth-values", of("fc2.bias", lambda n, d, s, b: [(n, "BOOL", s, bytes(10))]), EITHER),
        (
            "half",
            changed(
                lambda n, d, s, b: [
                    (n, "F16", s, struct.pack(f"<{len(b) // 4}e", *struct.unpack(f"<{len(b) // 4}f", b)))
                ]
            ),
            ACCEPTED,
        ),
        ("all-zero", changed(lambda n, d, s, b: [(n, d, s, bytes(len(b)))]), EITHER),
        ("plain", tensors(NAMED), REFUSED),
    ):
        yield f"weights-{name}", content, wanted


def cards():
    graph = {
        "opset": 13,
        "inputs": [{"name": "x", "kind": "Float", "sides": [{"Known": 1}, {"Known": 1}, {"Known": 8}, {"Known": 8}]}],
        "outputs": ["y"],
        "nodes": [],
    }

    def nodes(*all_nodes):
        made = [
            {"name": name, "operator": operator, "inputs": inputs, "outputs": outputs, "attributes": attributes}
            for name, operator, inputs, outputs, attributes in all_nodes
        ]
        return carded(architecture="onnx", graph={**graph, "nodes": made})

    yield "card-whole", carded(), ACCEPTED
    # A constant whose sides are not those of its numbers: what a card says is not what its writer has checked.
    lying = {"Constant": {"sides": [64, 10], "numbers": {"Floats": [1.0, 2.0]}}}
    for name, content in (
        ("no-json", tensors(NAMED, "{")),
        ("a-list", tensors(NAMED, "[]")),
        ("deep", tensors(NAMED, "[" * DEEP)),
        ("deep-field", tensors(NAMED, '{"parameters":' + '{"a":' * DEEP)),
        ("null", tensors(NAMED, "null")),
        ("newer", carded(format_version=99)),
        ("version-negative", carded(format_version=-1)),
        ("no-version", carded(format_version=None)),
        ("unknown-field", carded(colour=1)),
        ("text-for-number", carded(classes="10")),
        ("fraction", carded(classes=10.5)),
        ("no-classes", carded(classes=0)),
        ("other-classes", carded(classes=11)),
        ("endless-classes", carded(classes=2**63)),
        ("no-pixels", carded(input_shape=[1, 0, 8])),
        ("endless-sides", carded(input_shape=[1, 2**32, 2**32])),
        ("overflowing-sides", carded(input_shape=[2**63, 2, 2])),
        ("two-sides", carded(input_shape=[8, 8])),
        ("std-zero", carded(mean=[0.5], std=[0])),
        ("std-negative", carded(mean=[0.5], std=[-1])),
        ("std-tiny", carded(mean=[0.5], std=[1e-300])),
        ("mean-infinite", tensors(NAMED, json.dumps({**CARD, "mean": [0.5], "std": [1]}).replace("[0.5]", "[1e999]"))),
        ("mean-huge", carded(mean=[1e300], std=[1])),
        ("three-means", carded(mean=[0.5] * 3, std=[1] * 3)),
        ("mean-alone", carded(mean=[0.5])),
        ("unknown-architecture", carded(architecture="digits-cmn")),
        ("architecture-escapes", carded(architecture=ESCAPE)),
        ("architecture-path", carded(architecture="../../etc/passwd")),
        ("architecture-endless", carded(architecture="a" * 10_000_000)),
        ("parameters", carded(parameters={"depth": 10**9})),
        ("parameter-escapes", carded(parameters={ESCAPE: 1})),
        ("wide", carded(architecture="wide-resnet", parameters={"depth": 10**9, "width": 10**9})),
        ("deep-wide", carded(architecture="wide-resnet", parameters={"depth": 2**40 * 6 + 4})),
        ("transformer", carded(architecture="vit", parameters={"depth": 2**40, "heads": 2**40, "width": 2**40})),
        ("onnx-without-graph", carded(architecture="onnx")),
        ("empty-graph", nodes()),
        ("graph-unknown-value", nodes(("n", "Relu", ["z"], ["y"], {}))),
        ("graph-cycle", nodes(("n", "Relu", ["y"], ["y"], {}))),
        ("graph-late", nodes(("a", "Relu", ["b"], ["y"], {}), ("b", "Relu", ["x"], ["b"], {}))),
        ("graph-operator", nodes(("n", "os.system", ["x"], ["y"], {}))),
        ("graph-no-inputs", nodes(("n", "Add", [], ["y"], {}))),
        (
            "graph-lying-constant",
            nodes(
                ("c", "Constant", [], ["w"], {"value": lying}),
                ("f", "Flatten", ["x"], ["h"], {}),
                ("n", "MatMul", ["h", "w"], ["y"], {}),
            ),
        ),
        (
            "graph-lying-factor",
            nodes(
                ("c", "Constant", [], ["w"], {"value": lying}),
                ("f", "Flatten", ["x"], ["h"], {}),
                ("n", "Mul", ["h", "w"], ["y"], {}),
            ),
        ),
        (
            "graph-lying-pads",
            nodes(
                ("c", "Constant", [], ["p"], {"value": {"Constant": {"sides": [8], "numbers": {"Ints": [1]}}}}),
                ("n", "Pad", ["x", "p"], ["y"], {}),
            ),
        ),
        (
            "graph-lying-bias",
            nodes(
                ("c", "Constant", [], ["w"], {"value": {"Constant": {"sides": [2**40], "numbers": {"Floats": []}}}}),
                ("n", "Add", ["x", "w"], ["y"], {}),
            ),
        ),
        ("randomised-text", carded(randomised="yes")),
        ("published-text", carded(published={"a": "b"})),
        ("name-missing", carded(name=None)),
        ("name-number", carded(name=3)),
    ):
        yield f"card-{name}", content, REFUSED
    yield "card-name-escapes", carded(name=ESCAPE), EITHER
    yield "card-notes-escapes", carded(
        source=ESCAPE, training=ESCAPE, licence=ESCAPE, published={ESCAPE: 1.0}
    ), ACCEPTED


def places():
    for name, make in PLACES:
        yield evaluated(f"place-{name}", make)
    yield evaluated("sparse-of-8-gib", sparse(8 << 30))
    yield evaluated("sparse-behind-a-header", sparse(8 << 30, tensors(NAMED, CARD)))
    yield evaluated("name-of-bytes", b"", file=b"net\xff.safetensors", mention="net")
    yield evaluated("name-with-escapes", b"", file="net\x1b[2J.safetensors", mention="net")
    yield evaluated("name-with-a-line-break", b"", file="net\nerror: no.safetensors", mention="net")


def safetensors_cases():
    for name, content, wanted in [*headers(), *weights()]:
        yield evaluated(name, content, wanted, mention="model digits" if name == "weights-largest-floats" else None)
    for name, content, wanted in cards():
        # That its logits are no numbers is said of the network by its name.
        yield evaluated(
            name, content, wanted, mention="model digits" if name in ("card-std-tiny", "card-mean-huge") else None
        )
    for name in ("name-escapes", "notes-escapes"):
        content = next(content for card, content, _ in cards() if card == f"card-{name}")
        yield Case(
            "safetensors", f"inspected-{name}", ["inspect", "net.safetensors"], {"net.safetensors": content}, EITHER
        )
    yield evaluated("arch-too-large", tensors(NAMED), options=["--arch", "wide-resnet:depth=1000000000000"], mention="")
    yield evaluated("arch-of-another", tensors(NAMED), options=["--arch", "resnet-50"], mention="resnet-50")
    yield evaluated("arch-named", tensors(NAMED), ACCEPTED, options=["--arch", "digits-cnn"])
    yield from places()


def cases():
    yield from safetensors_cases()
