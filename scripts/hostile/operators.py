"""Operators of ONNX with settings that cannot be, constants that are computed from few bytes, and graphs that stand for
much work."""

from case import ACCEPTED, EITHER, REFUSED
from formats import attribute, constant, graph, head, message, network, node, onnx, value, zeros
from networks import END, ESCAPE, LEFT_OPEN, LONG, ints, layer, read


def operators():
    kernel = constant("k", [4, 1, 3, 3], [0.1] * 36)
    pads = {"pads": [1 << 19] * 4}
    for name, settings in (
        ("stride-zero", {"strides": [0, 0]}),
        ("stride-negative", {"strides": [-1, -1]}),
        ("stride-huge", {"strides": [2**62, 2**62]}),
        ("pads-negative", {"pads": [-1, -1, -1, -1]}),
        ("pads-huge", {"pads": [2**62] * 4}),
        ("pads-million", pads),
        ("dilation-zero", {"dilations": [0, 0]}),
        ("dilation-huge", {"dilations": [2**40, 2**40]}),
        ("group-zero", {"group": 0}),
        ("group-negative", {"group": -1}),
        ("group-three", {"group": 3}),
        ("group-huge", {"group": 2**62}),
        ("kernel-other", {"kernel_shape": [5, 5]}),
        ("pads-three", {"pads": [1, 1, 1]}),
        ("auto-unknown", {"auto_pad": ESCAPE}),
    ):
        yield f"conv-{name}", layer("Conv", "x k", [kernel], **settings)
    for name, settings in (
        ("stride-zero", {"strides": [0, 0]}),
        ("output-huge", {"output_shape": [2**62, 2**62]}),
        ("output-million", {"output_shape": [10**6] * 2}),
        ("output-negative", {"output_shape": [-5, -5]}),
        ("pads-huge", {"pads": [2**62] * 4}),
        ("pads-lowest", {"pads": [-(2**63)] * 4}),
        ("dilation-huge", {"dilations": [2**19] * 2}),
        ("stride-million", {"strides": [10**6 // 2] * 2}),
    ):
        yield f"transposed-{name}", layer("ConvTranspose", "x t", [constant("t", [1, 4, 3, 3], [0.1] * 36)], **settings)
    yield "conv-kernel-empty", layer("Conv", "x k", [constant("k", [4, 1, 0, 3], b"")])
    yield "conv-two-biases", layer("Conv", "x k b", [kernel, constant("b", [2], [1.0, 2.0])])
    yield "conv-channels", layer("Conv", "x k", [constant("k", [4, 3, 3, 3], [0.1] * 108)])
    for pool in ("MaxPool", "AveragePool", "LpPool"):
        for name, settings in (
            ("kernel-zero", {"kernel_shape": [0, 0]}),
            ("kernel-huge", {"kernel_shape": [2**62] * 2}),
            ("kernel-none", {}),
            ("kernel-million", {"kernel_shape": [10**6] * 2, "pads": [10**6] * 4}),
            ("kernel-tall", {"kernel_shape": [10**6, 1], "pads": [10**6, 0, 10**6, 0]}),
            ("pads-million", {"kernel_shape": [1, 1], **pads}),
            ("stride-zero", {"kernel_shape": [2, 2], "strides": [0, 0]}),
            ("dilated", {"kernel_shape": [2, 2], "dilations": [2**19] * 2, **pads}),
        ):
            yield f"{pool}-{name}", layer(pool, **settings)
    for name, scales in (
        ("zero", [1.0, 1.0, 0.0, 0.0]),
        ("negative", [1.0, 1.0, -1.0, -1.0]),
        ("nan", [1.0, 1.0, float("nan"), 1.0]),
        ("huge", [1.0, 1.0, 1e30, 1e30]),
        ("thousands", [1.0, 1.0, 1e5, 1e5]),
        ("three", [1.0, 1.0, 2.0]),
    ):
        yield f"resize-{name}", layer(
            "Resize",
            "x  s".replace("  ", " roi "),
            [constant("roi", [0], b""), constant("s", [len(scales)], scales)],
            mode="cubic",
        )
    yield "resize-mode", layer(
        "Resize", "x roi s", [constant("roi", [0], b""), constant("s", [4], [1.0, 1.0, 2.0, 2.0])], mode=ESCAPE
    )
    for name, numbers in (
        ("huge", [0, 0, 2**62, 0, 0, 0, 0, 0]),
        ("negative", [0, 0, -99, 0, 0, 0, 0, 0]),
        ("lowest", [0, 0, -(2**63), 0, 0, 0, -(2**63), 0]),
        ("odd", [1, 2, 3]),
        ("batch", [1, 0, 0, 0, 0, 0, 0, 0]),
        ("large", [0, 0, 1 << 27, 0, 0, 0, 0, 0]),
    ):
        yield f"pad-{name}", layer("Pad", "x p", [ints("p", numbers)])
    yield "pad-mode", layer("Pad", "x p", [ints("p", [0, 0, 1, 0, 0, 0, 1, 0])], mode=ESCAPE)
    for name, numbers in (
        ("two-wild", [-1, -1]),
        ("too-many", [-1, 63]),
        ("negative", [-2, 64]),
        ("huge", [2**40, 2**40]),
        ("zero", [0, 0]),
        ("none", []),
    ):
        yield f"reshape-{name}", network([node("Reshape", "x s", "h")], [ints("s", numbers)], "h")
    for name, settings in (("axis-beyond", {"axis": 9}), ("axis-lowest", {"axis": -(2**63)})):
        for operator in ("Softmax", "Flatten", "Concat", "LayerNormalization", "LpNormalization"):
            yield f"{operator}-{name}", layer(operator, **settings)
    yield "transpose-twice", layer("Transpose", perm=[0, 1, 1, 2])
    yield "transpose-short", layer("Transpose", perm=[0])
    yield "transpose-beyond", layer("Transpose", perm=[0, 1, 2, 7])
    yield "squeeze-wide", layer("Squeeze", "x a", [ints("a", [2])])
    yield "unsqueeze-many", layer("Unsqueeze", "x a", [ints("a", list(range(4, 5000)))])
    yield "gather-beyond", layer("Gather", "x i", [ints("i", [99])], axis=3)
    yield "gather-lowest", layer("Gather", "x i", [ints("i", [-(2**63)])], axis=3)
    yield "gather-many", layer("Gather", "x i", [constant("i", [1 << 20], bytes(8 << 20), 7)], axis=3)
    yield "slice-step-zero", layer(
        "Slice", "x a b c d", [ints("a", [0]), ints("b", [8]), ints("c", [3]), ints("d", [0])]
    )
    yield "slice-lowest", layer(
        "Slice", "x a b c d", [ints("a", [-(2**63)]), ints("b", [2**63 - 1]), ints("c", [3]), ints("d", [-(2**63)])]
    )
    yield "slice-lengths", layer("Slice", "x a b c", [ints("a", [0, 0]), ints("b", [8]), ints("c", [3])])
    yield "tile-huge", layer("Tile", "x r", [ints("r", [1, 1, 2**40, 2**40])])
    yield "tile-zero", layer("Tile", "x r", [ints("r", [1, 0, 1, 1])])
    yield "expand-huge", layer("Expand", "x s", [ints("s", [1, 2**40, 8, 8])])
    yield "expand-large", layer("Expand", "x s", [ints("s", [1, 2**20, 8, 8])])
    yield "split-zero", network([node("Split", "x s", "h q")], [ints("s", [0, 8])], "h")
    yield "split-sum", network([node("Split", "x s", "h q", axis=3)], [ints("s", [5, 5])], "h")
    yield "split-overflow", network([node("Split", "x s", "h q", axis=3)], [ints("s", [2**62, 2**62])], "h")
    yield "depth-to-space-zero", layer("DepthToSpace", blocksize=0)
    yield "space-to-depth-huge", layer("SpaceToDepth", blocksize=2**62)
    yield "group-norm-zero", layer(
        "GroupNormalization", "x s b", [constant("s", [1], [1.0]), constant("b", [1], [1.0])], num_groups=0
    )
    norm = [constant(name, [1], [number]) for name, number in (("g", 1.0), ("b", 0.0), ("m", 0.0), ("v", -1.0))]
    yield "batch-norm-negative", layer("BatchNormalization", "x g b m v", norm)
    yield "batch-norm-two", layer(
        "BatchNormalization", "x g b m v", [constant(name, [2], [1.0, 1.0]) for name in "gbmv"]
    )
    yield "einsum-nothing", layer("Einsum", "x x", equation="")
    yield "einsum-arrow", layer("Einsum", "x x", equation="->,->")
    yield "einsum-repeated", layer("Einsum", "x x", equation="nchw,nchw->")
    yield "matmul-sides", layer("MatMul", "x m", [constant("m", [3, 3], [1.0] * 9)])
    yield "add-sides", layer("Add", "x m", [constant("m", [3, 3], [1.0] * 9)])
    yield "add-rank", layer("Add", "x m", [constant("m", [1] * 63, [1.0])])
    yield "clip-crossed", network(
        [node("Clip", "x a b", "h"), node("Log", "h", "l")], [constant("a", [], [9.0]), constant("b", [], [-9.0])], "l"
    )
    yield "division-by-zero", layer("Div", "x z", [constant("z", [], [0.0])])
    yield "root-of-negatives", network([node("Neg", "x", "n"), node("Sqrt", "n", "r"), node("Log", "n", "h")], last="h")
    yield "argmax", layer("ArgMax", axis=1)
    yield "cast-to-integers", layer("Cast", to=7)
    yield "mixed-images", layer("ReduceMean", axes=[0], keepdims=1)
    yield "images-as-classes", network([node("Transpose", "x", "h", perm=[3, 1, 2, 0])], last="h")
    yield "condition-of-pixels", network(
        [
            node("ReduceMax", "x", "m", keepdims=0),
            node("Cast", "m", "c", to=9),
            node(
                "If",
                "c",
                "h",
                then_branch=(graph([node("Neg", "x", "z")], [], [], [value("z", [])]),),
                else_branch=(graph([node("Neg", "x", "z")], [], [], [value("z", [])]),),
            ),
        ],
        last="h",
    )


def folded():
    """Constants that are computed from few bytes."""

    def added(*nodes, constants=()):
        return network(
            [*nodes, node("ReduceMax", "c", "m", keepdims=0), node("Cast", "m", "f", to=1), node("Add", "x f", "h")],
            constants,
            "h",
        )

    one = attribute("value", constant("", [1], [1], 7))
    integers = message((1, "s"), (2, "c"), (4, "ConstantOfShape"), (5, one))
    yield "constant-of-shape", added(node("ConstantOfShape", "s", "c"), constants=[ints("s", [1 << 28])])
    yield "integers-of-shape", added(integers, constants=[ints("s", [1 << 28])])
    yield "shape-negative", added(integers, constants=[ints("s", [-1])])
    yield "shape-overflow", added(integers, constants=[ints("s", [2**32, 2**32])])
    yield "range", added(
        node("Range", "a b d", "c"),
        constants=[constant("a", [], [0], 7), constant("b", [], [1 << 28], 7), constant("d", [], [1], 7)],
    )
    yield "range-endless", added(
        node("Range", "a b d", "c"),
        constants=[constant("a", [], [-(2**63)], 7), constant("b", [], [2**63 - 1], 7), constant("d", [], [1], 7)],
    )
    yield "range-no-step", added(
        node("Range", "a b d", "c"),
        constants=[constant("a", [], [0], 7), constant("b", [], [1], 7), constant("d", [], [0], 7)],
    )
    yield "expand", added(
        node("Expand", "a s", "c"), constants=[constant("a", [1], [1.0]), ints("s", [1 << 14, 1 << 14])]
    )
    yield "tile", added(
        node("Tile", "a s", "c"), constants=[constant("a", [1, 1], [1.0]), ints("s", [1 << 14, 1 << 14])]
    )
    yield "pad", added(node("Pad", "a s", "c"), constants=[constant("a", [1], [1.0]), ints("s", [1 << 27, 1 << 27])])
    yield "gather", added(
        node("Gather", "a i", "b"),
        node("Gather", "b j", "c"),
        constants=[
            constant("a", [1, 1], [1.0]),
            constant("i", [1 << 14], bytes(8 << 14), 7),
            constant("j", [1 << 14], bytes(8 << 14), 7),
        ],
    )
    many = [node("ConstantOfShape", "s", f"c{i}") for i in range(40)]
    sums = [node("Add", f"{'c0' if i == 1 else f'a{i - 1}'} c{i}", f"a{i}") for i in range(1, 40)]
    yield "many-large", added(*many, *sums, node("Identity", "a39", "c"), constants=[ints("s", [1 << 24])])
    yield "product-of-vectors", added(
        node("MatMul", "a b", "c"),
        constants=[constant("a", [1 << 14, 1], zeros([1 << 14])), constant("b", [1, 1 << 14], zeros([1 << 14]))],
    )
    yield "product-of-matrices", added(
        node("ConstantOfShape", "s", "a"),
        node("MatMul", "a a", "b"),
        node("MatMul", "b a", "c"),
        constants=[ints("s", [4096, 4096])],
    )
    yield "product-of-products", added(
        node("ConstantOfShape", "s", "p0"),
        *[node("MatMul", f"p{i} p{i}", f"p{i + 1}") for i in range(300)],
        node("Identity", "p300", "c"),
        constants=[ints("s", [700, 700])],
    )
    yield "outer-sum", added(
        node("Add", "a b", "c"),
        constants=[constant("a", [1 << 14, 1], zeros([1 << 14])), constant("b", [1, 1 << 14], zeros([1 << 14]))],
    )
    yield "eye", added(
        node("ConstantOfShape", "s", "a"), node("EyeLike", "a", "c"), constants=[ints("s", [1 << 14, 1 << 14])]
    )
    yield "indices-of-all", added(
        integers.replace(b"\x12\x01c", b"\x12\x01a"),
        node("NonZero", "a", "c"),
        constants=[ints("s", [1] * 60 + [1 << 20])],
    )
    yield "division", added(node("Div", "a z", "c"), constants=[ints("a", [-(2**63)]), ints("z", [-1])])
    yield "remainder", added(node("Mod", "a z", "c"), constants=[ints("a", [-(2**63)]), ints("z", [-1])])
    yield "division-by-zero-of-integers", added(node("Div", "a z", "c"), constants=[ints("a", [1]), ints("z", [0])])
    yield "sum-overflow", added(node("Add", "a a", "c"), constants=[ints("a", [2**63 - 1])])
    yield "negation-overflow", added(node("Neg", "a", "c"), constants=[ints("a", [-(2**63)])])
    yield "power-overflow", added(node("Pow", "a a", "c"), constants=[ints("a", [2**62])])
    yield "scatter-beyond", added(
        node("ScatterND", "a i u", "c"), constants=[ints("a", [1]), constant("i", [1, 1], [7], 7), ints("u", [1])]
    )
    yield "gather-nd", added(
        node("GatherND", "a i", "c", batch_dims=9), constants=[ints("a", [1]), constant("i", [1, 1], [0], 7)]
    )
    yield "trilu", added(
        node("Trilu", "a k", "c"), constants=[constant("a", [2, 2], [1.0] * 4), constant("k", [], [-(2**63)], 7)]
    )
    yield "one-hot-cast", added(node("Cast", "a", "c", to=2), constants=[constant("a", [], [float("inf")])])


def much():
    """Few bytes that stand for much work or memory."""
    wide = constant("k", [60_000, 1, 1, 1], [0.1] * 60_000)
    yield "local-response-of-many-channels", network(
        [node("Conv", "x k", "c"), node("LRN", "c", "l", size=5), node("ReduceMean", "l", "h", axes=[1])], [wide], "h"
    ), REFUSED
    yield "local-response-size", layer("LRN", size=2**62), EITHER
    names = " ".join(f"b{i}" for i in range(2000))
    function = message(
        (1, "F"),
        (10, "my"),
        (4, "a"),
        (5, "z"),
        *[(7, node("Relu", "a", one)) for one in names.split()],
        (7, node("Sum", names, "z")),
    )
    yield "long-name-in-a-function", network(
        [node("Relu", "x", LONG), node("F", LONG, "h", domain="my")],
        last="h",
        more=[(25, function), (8, message((1, "my"), (2, 1)))],
    ), EITHER
    calls = [
        message(
            (1, f"F{i}"),
            (10, "my"),
            (4, "a"),
            (5, "z"),
            *[
                (
                    7,
                    node(
                        f"F{i + 1}" if i < 20 else "Relu",
                        "a" if j == 0 else f"t{j - 1}",
                        f"t{j}" if j < 3 else "z",
                        domain="my" if i < 20 else "",
                    ),
                )
                for j in range(4)
            ],
        )
        for i in range(21)
    ]
    yield "functions-of-functions", network(
        [node("F0", "x", "h", domain="my")],
        last="h",
        more=[*[(25, one) for one in calls], (8, message((1, "my"), (2, 1)))],
    ), REFUSED
    itself = message((1, "F"), (10, "my"), (4, "a"), (5, "z"), (7, node("F", "a", "z", domain="my")))
    yield "function-of-itself", network(
        [node("F", "x", "h", domain="my")], last="h", more=[(25, itself), (8, message((1, "my"), (2, 1)))]
    ), REFUSED
    chain = [node("Identity", "x" if i == 0 else f"i{i - 1}", f"i{i}") for i in range(100_000)]
    yield "identities", network(chain, last="i99999"), EITHER
    end, weight = head("x")
    after = [node("Identity", "y0" if i == 0 else f"i{i - 1}", f"i{i}" if i < 99_999 else "y") for i in range(100_000)]
    yield "identities-behind", onnx(graph([end[0], node("MatMul", "flat w", "y0"), *after], weight)), EITHER
    yield "identities-twice", onnx(graph([end[0], node("MatMul", "flat w", "y0"), *reversed(after)], weight)), EITHER
    chain = [node("Relu", "x" if i == 0 else f"i{i - 1}", f"i{i}") for i in range(50_000)]
    yield "deep", network(chain, last="i49999"), EITHER
    chain = [node("Relu", "x" if i == 0 else f"i{i - 1}", f"i{i}") for i in range(5_000)]
    yield "deep-and-sound", network(chain, last="i4999"), ACCEPTED
    # Every value is the sum of the two before it.
    chain = [
        node("Add", f"{'x' if i < 2 else f'i{i - 2}'} {'x' if i < 1 else f'i{i - 1}'}", f"i{i}") for i in range(3_000)
    ]
    yield "sums-of-sums", network([*chain, node("Sigmoid", "i2999", "h")], last="h"), EITHER
    then = (graph([node("Identity", "w", "z")], [], [], [value("z", [])]),)
    branches = [node("If", "c", f"b{i}", then_branch=then, else_branch=then) for i in range(20_000)]
    names = " ".join(f"b{i}" for i in range(20_000))
    yield "branches", network(
        [*branches, node("Max", names, "m"), node("ReduceMax", "m", "n", keepdims=0), node("Add", "x n", "h")],
        [constant("c", [], b"\1", 9)],
        "h",
    ), EITHER
    square = constant("s", [1000, 1000], zeros([1000, 1000]))
    start = [node("Flatten", "x", "a"), node("MatMul", "a r", "p0")]
    chain = [node("MatMul", f"p{i} s", f"p{i + 1}") for i in range(3000)]
    yield "one-weight-in-many-layers", onnx(
        graph(
            [*start, *chain, node("MatMul", "p3000 q", "y")],
            [square, constant("r", [64, 1000], zeros([64, 1000])), constant("q", [1000, 10], zeros([1000, 10]))],
        )
    ), REFUSED
    chain = [node("Tile", "x r" if i == 0 else f"t{i - 1} r", f"t{i}") for i in range(30)]
    yield "doubled-thirty-times", network(chain, [ints("r", [1, 2, 1, 1])], "t29"), REFUSED
    big = [
        node("Tile", "x r", "t"),
        *[
            node("Transpose", "t" if i == 0 else f"p{i - 1}", f"p{i}", perm=[0, 3, 1, 2] if i % 2 else [0, 2, 1, 3])
            for i in range(16)
        ],
        *[node("Add", f"{'p0' if i == 1 else f's{i - 1}'} p{i}", f"s{i}") for i in ()],
        node("ReduceMean", "p15", "v", axes=[1, 2, 3], keepdims=1),
        node("Add", "x v", "h"),
    ]
    # It is large, and within the limits.
    yield "large-transpositions", network(big, [ints("r", [1, 1 << 18, 1, 1])], "h"), EITHER
    bias = constant("b", [1, 1 << 18, 1, 1], zeros([1 << 18]))
    big = [
        node("Tile", "x r", "t"),
        *[node("Mul", "t b" if i == 0 else f"p{i - 1} b", f"p{i}") for i in range(15)],
        node("ReduceMean", "p14", "v", axes=[1], keepdims=1),
    ]
    yield "large-factors", network(big, [ints("r", [1, 1 << 18, 1, 1]), bias], "v"), REFUSED
    yield "heavy-convolution", network(
        [node("Tile", "x r", "t"), node("Conv", "t k", "c", pads=[127] * 4), node("ReduceMean", "c", "h", axes=[2, 3])],
        [ints("r", [1, 1, 64, 64]), constant("k", [10, 1, 255, 255], zeros([10, 1, 255, 255]))],
        "h",
    ), EITHER
    packed = bytes(6 << 20)
    yield "packed-integers", network(
        [message((1, "x"), (2, "h"), (4, "Transpose"), (5, message((1, "perm"), (8, packed), (20, 7))))], last="h"
    ), REFUSED
    yield "packed-dims", onnx(graph(END, [message((1, b"\1" * (6 << 20)), (2, 1), (8, "w"), (9, bytes(4)))])), REFUSED
    yield "many-opsets", network(more=[(8, b"")] * 2_000_000), EITHER
    yield "many-initializers", network(constants=[constant(f"u{i}", [], [1.0]) for i in range(200_000)]), EITHER
    yield "many-attributes", network(
        [message((1, "x"), (2, "h"), (4, "Relu"), *[(5, attribute(f"a{i}", 1)) for i in range(100_000)])], last="h"
    ), REFUSED
    yield "many-outputs", onnx(graph(*head("x"), outputs=[value("y", ["N", 10])] * 50_000)), REFUSED
    yield "many-inputs", onnx(graph(*head("x"), inputs=[value(f"x{i}", ["N", 1]) for i in range(50_000)])), REFUSED
    yield "many-unknown-operators", network(
        [node(f"O{i}", "x", f"o{i}") for i in range(20_000)]
        + [node("Sum", " ".join(f"o{i}" for i in range(20_000)), "h")],
        last="h",
    ), REFUSED


def cases():
    for maker in (operators, folded):
        for name, content in maker():
            title = f"{maker.__name__}-{name}"
            # That its logits are no numbers is said of the network by its name.
            mention = "model net" if title in NO_NUMBERS else None
            yield read(title, content, EITHER if title in LEFT_OPEN else REFUSED, mention=mention)
    for name, content, wanted in much():
        yield read(f"much-{name}", content, wanted)


NO_NUMBERS = {
    "operators-batch-norm-negative",
    "operators-clip-crossed",
    "operators-division-by-zero",
    "operators-root-of-negatives",
}
