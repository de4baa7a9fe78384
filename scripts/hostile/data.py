"""Data sets in every format, damaged and contradictory, and devices, pipes, sockets and loops in the place of files."""

import gzip
import struct

from case import ACCEPTED, EITHER, REFUSED, Case, pipe, sparse
from formats import (
    Pickle,
    gzipped,
    idx,
    npy,
    onnx,
    graph,
    constant,
    node,
    safetensors,
    tensors,
    value,
    zipped,
)

ESCAPE = "\x1b[2J\x1b]0;owned\x07"
# Five dark digits and their classes.
PIXELS, CLASSES = bytes(i % 200 for i in range(320)), bytes([0, 1, 2, 3, 4])
IMAGES, LABELS = npy("|u1", "(5, 1, 8, 8)", PIXELS), npy("|u1", "(5,)", CLASSES)
COLOURED = onnx(
    graph(
        [node("Flatten", "x", "f"), node("MatMul", "f w", "y")],
        [constant("w", [3072, 10], [((i * 7) % 13 - 6) / 900 for i in range(30720)])],
        [value("x", ["N", 3, 32, 32])],
    )
)


def data(name, spec, files, wanted=REFUSED, mention=None, model="bundled:digits-pgd", options=()):
    if model == "coloured":
        files, model = {**files, "net.onnx": COLOURED}, "net.onnx"
    command = ["evaluate", "-m", model, "-d", spec, *options]
    first = next(iter(files), b"")
    first = first.decode("latin1") if isinstance(first, bytes) else first
    return Case("data", name, command, files, wanted, first.split("/")[0] if mention is None else mention)


def idx_cases():
    names = ("t-images-idx3-ubyte", "t-labels-idx1-ubyte")

    def case(name, images, labels=idx([5], CLASSES), wanted=REFUSED, mention=None, ending=""):
        return data(
            f"idx-{name}", f"idx:{names[0]}{ending}", {names[0] + ending: images, names[1]: labels}, wanted, mention
        )

    good, labels = idx([5, 8, 8], PIXELS), idx([5], CLASSES)
    yield case("right", good, wanted=ACCEPTED)
    yield case("right-packed", gzip.compress(good, mtime=0), wanted=ACCEPTED, ending=".gz")
    for name, images in (
        ("empty", b""),
        ("header", good[:10]),
        ("cut", good[:-1]),
        ("long", good + b"\0"),
        ("magic", b"\1" + good[1:]),
        ("type", idx([5, 8, 8], PIXELS, 0x0D)),
        ("two-sides", idx([5, 64], PIXELS)),
        ("no-images", idx([0, 8, 8], b"")),
        ("no-pixels", idx([5, 0, 8], b"")),
        ("huge", idx([2**32 - 1] * 3, PIXELS)),
        ("sides", idx([5, 64, 1], PIXELS)),
        ("swapped", labels),
        ("gzip-cut", gzip.compress(good, mtime=0)[:-9]),
        ("gzip-noise", b"\x1f\x8b" + bytes(range(256))),
        ("gzip-bomb", gzipped(200)),
        ("gzip-in-gzip", gzip.compress(gzip.compress(good, mtime=0), mtime=0)),
        ("sparse", sparse(8 << 30, b"\0\0\x08\x03")),
    ):
        yield case(name, images)
    for name, of in (
        ("short", idx([4], CLASSES[:4])),
        ("beyond", idx([5], bytes([0, 1, 2, 3, 10]))),
        ("cut", labels[:-1]),
        ("magic", good),
        ("empty", b""),
        ("bomb", gzipped(200)),
    ):
        yield case(f"labels-{name}", good, of, mention="t-images" if name == "beyond" else "labels")
    yield data("idx-labels-missing", f"idx:{names[0]}", {names[0]: good})
    yield data("idx-labels-are-a-pipe", f"idx:{names[0]},p", {names[0]: good, "p": pipe}, mention="p")
    # Two files of 60 kB that hold sixty million images of one pixel.
    count = 60 << 20

    def packed(header):
        return gzip.compress(header, mtime=0) + gzipped(60)

    one = onnx(
        graph(
            [node("Flatten", "x", "f"), node("MatMul", "f w", "y")],
            [constant("w", [1, 10], [0.1] * 10)],
            [value("x", ["N", 1, 1, 1])],
        )
    )
    yield Case(
        "data",
        "idx-sixty-million-images",
        ["evaluate", "-m", "net.onnx", "-d", "idx:a-images-idx3-ubyte.gz", "--first", "5"],
        {
            "net.onnx": one,
            "a-images-idx3-ubyte.gz": packed(idx([count, 1, 1], b"")),
            "a-labels-idx1-ubyte.gz": packed(idx([count], b"")),
        },
        EITHER,
        "a-images",
    )


def cifar_cases():
    record = lambda label, many=1: bytes([label, *bytes(3072)]) * many

    def case(name, content, wanted=REFUSED, spec="cifar10:test_batch.bin", **more):
        return data(f"cifar-{name}", spec, {spec.split(":")[1]: content, **more}, wanted, model="coloured")

    yield case("right", record(3, 5), ACCEPTED)
    for name, content in (
        ("empty", b""),
        ("cut", record(3)[:-1]),
        ("other-kind", bytes(3074)),
        ("label", record(10)),
        ("label-255", record(255)),
        ("sparse", sparse(8 << 30)),
    ):
        yield case(name, content)
    yield case("hundred-label", bytes([0, 100, *bytes(3072)]), spec="cifar100:test.bin")
    yield data(
        "cifar-hundred-of-ten-classes",
        "cifar100:test.bin",
        {"test.bin": bytes([0, 99, *bytes(3072)])},
        mention="test",
        model="coloured",
    )
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\1b\x87R(K\1"
    kind = b"cnumpy\ndtype\nU\2u1K\0K\1\x87R(K\3U\1|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89"

    def batch(
        labels=b"](K\1e", sides=b"K\1M\0\x0c\x86", pixels=b"T\0\x0c\0\0" + bytes(3072), names=(b"U\6labels", b"U\4data")
    ):
        return b"\x80\2}(" + names[0] + labels + names[1] + array + sides + kind + pixels + b"tbu."

    yield case("pickle-right", batch(), ACCEPTED, spec="cifar10:test_batch")
    for name, content in (
        ("code", Pickle().called("os", "system", "touch RAN").done()),
        ("code-inside", batch(labels=b"cos\nsystem\nX\x09\0\0\0touch RAN\x85R")),
        ("cut", batch()[:-2000]),
        ("no-labels", batch(names=(b"U\6labelz", b"U\4data"))),
        ("no-data", batch(names=(b"U\6labels", b"U\4date"))),
        ("label", batch(labels=b"](K\x0ae")),
        ("label-negative", batch(labels=b"](J\xff\xff\xff\xffe")),
        ("label-text", batch(labels=b"](U\1ae")),
        ("labels-in-themselves", batch(labels=b"]q\x63h\x63a")),
        ("labels-many", batch(labels=b"](" + b"K\1" * 9 + b"e")),
        ("sides", batch(sides=b"K\1M\xff\x0b\x86")),
        ("sides-huge", batch(sides=b"\x8a\x08" + b"\xff" * 7 + b"\x7fM\0\x0c\x86")),
        ("sides-negative", batch(sides=b"J\xff\xff\xff\xffM\0\x0c\x86")),
        ("pixels-short", batch(pixels=b"T\1\0\0\0a")),
        ("pixels-are-a-list", batch(pixels=b"]")),
        ("deep", b"\x80\2" + b"]" * 200_000 + b"."),
        ("endless", b"\x80\2" + b"N" * 5_000_000),
    ):
        yield case(f"pickle-{name}", content, spec="cifar10:test_batch")


def numpy_cases():
    def case(name, images, labels=LABELS, wanted=REFUSED, mention="images.npy"):
        return data(
            f"npy-{name}", "npy:images.npy,labels.npy", {"images.npy": images, "labels.npy": labels}, wanted, mention
        )

    f4 = lambda number: npy("<f4", "(5, 1, 8, 8)", struct.pack("<f", number) * 320)
    yield case("right", IMAGES, wanted=ACCEPTED)
    yield case("right-floats", f4(0.25), wanted=ACCEPTED)
    yield case("right-labels", IMAGES, npy("<i8", "(5, 1)", struct.pack("<5q", *CLASSES)), ACCEPTED)
    for name, images in (
        ("empty", b""),
        ("magic", b"\x92" + IMAGES[1:]),
        ("version", npy("|u1", "(5, 1, 8, 8)", PIXELS, version=9)),
        ("header", IMAGES[:20]),
        ("header-length", b"\x93NUMPY\2\0\xff\xff\xff\xff{"),
        ("cut", IMAGES[:-1]),
        ("long", IMAGES + b"\0"),
        ("nan", f4(float("nan"))),
        ("infinite", f4(float("inf"))),
        ("bright", f4(1.0001)),
        ("negative", f4(-0.1)),
        ("object", npy("|O", "(5, 1, 8, 8)", b"cos\nsystem\n")),
        ("big-endian", npy(">f4", "(5, 1, 8, 8)", bytes(1280))),
        ("signed", npy("|i1", "(5, 1, 8, 8)", PIXELS)),
        ("structured", IMAGES.replace(b"'|u1'", b"[('a', '|u1')]")),
        ("text", npy("<U8", "(5, 1, 8, 8)", PIXELS)),
        ("columns", npy("|u1", "(5, 1, 8, 8)", PIXELS, order="True")),
        ("order", npy("|u1", "(5, 1, 8, 8)", PIXELS, order=ESCAPE)),
        ("sides", npy("|u1", "(5, 64)", PIXELS)),
        ("sides-five", npy("|u1", "(5, 1, 1, 8, 8)", PIXELS)),
        ("sides-none", npy("|u1", "()", b"\0")),
        ("sides-negative", npy("|u1", "(-5, 1, 8, 8)", PIXELS)),
        ("sides-huge", npy("|u1", "(99999999999, 99999999999, 8, 8)", PIXELS)),
        ("sides-too-huge", npy("|u1", "(99999999999999999999999, 1, 1, 1)", PIXELS)),
        ("sides-zero", npy("|u1", "(0, 1, 8, 8)", b"")),
        ("sides-zero-and-huge", npy("|u1", "(0, 9223372036854775807, 9, 9)", b"")),
        ("sides-code", npy("|u1", "__import__('os').system('touch RAN')", PIXELS)),
        ("sides-escapes", npy("|u1", ESCAPE, PIXELS)),
        ("type-escapes", npy(ESCAPE, "(5, 1, 8, 8)", PIXELS)),
        ("sides-many", npy("|u1", "(" + "1, " * 20_000 + ")", b"\0", version=2)),
        ("other-network", npy("|u1", "(5, 3, 8, 8)", PIXELS * 3)),
        ("sparse", sparse(8 << 30, IMAGES)),
    ):
        yield case(name, images, mention="images" if name == "other-network" else "images.npy")
    for name, labels in (
        ("negative", npy("|i1", "(5,)", b"\xff" * 5)),
        ("beyond", npy("|u1", "(5,)", b"\x0a" * 5)),
        ("huge", npy("<u8", "(5,)", b"\xff" * 40)),
        ("floats", npy("<f4", "(5,)", bytes(20))),
        ("short", npy("|u1", "(4,)", bytes(4))),
        ("one-hot", npy("|u1", "(5, 10)", bytes(50))),
        ("scalar", npy("|u1", "()", b"\0")),
    ):
        yield case(f"labels-{name}", IMAGES, labels, mention="images" if name == "beyond" else "labels.npy")

    def packed(name, content, wanted=REFUSED, mention="set.npz"):
        return data(f"npz-{name}", "npz:set.npz", {"set.npz": content}, wanted, mention)

    both = [("images.npy", IMAGES), ("labels.npy", LABELS)]
    yield packed("right", zipped(both), ACCEPTED)
    yield packed("right-packed", zipped(both, method=8), ACCEPTED)
    for name, content in (
        ("empty", b""),
        ("noise", bytes(range(256)) * 9),
        ("cut", zipped(both)[:-20]),
        ("cut-data", zipped(both)[100:]),
        ("no-labels", zipped(both[:1])),
        ("no-images", zipped(both[1:])),
        ("twice", zipped(both + both[:1])),
        ("encrypted", zipped(both, flags=1)),
        ("method", zipped(both, method=99)),
        ("claims-more", zipped(both, claims={"images.npy": 2**31})),
        ("claims-less", zipped(both, 8, claims={"images.npy": 64})),
        ("sums", zipped(both, 8, crc=7)),
        ("sums-stored", zipped(both, 0, crc=7)),
        ("bomb", zipped([("images.npy", 200), ("labels.npy", LABELS)], 8)),
        ("escapes", zipped([(ESCAPE + ".npy", IMAGES)])),
        ("many", zipped([(f"{i}.npy", b"") for i in range(60_000)])),
        ("paths", zipped([("../../images.npy", IMAGES), ("../../labels.npy", LABELS)])),
        ("folder-names", zipped([("images.npy/", b""), ("labels.npy/", b"")])),
    ):
        yield packed(name, content)


def tensor_cases():
    def case(name, content, wanted=REFUSED):
        return data(f"safetensors-{name}", "safetensors:set.safetensors", {"set.safetensors": content}, wanted)

    images, labels = ("images", "U8", [5, 1, 8, 8], PIXELS), ("labels", "I64", [5], struct.pack("<5q", *CLASSES))
    yield case("right", tensors([images, labels]), ACCEPTED)
    for name, content in (
        ("empty", b""),
        ("no-images", tensors([labels])),
        ("no-labels", tensors([images])),
        ("type", tensors([("images", "I32", [5, 1, 8, 8], bytes(1280)), labels])),
        ("nan", tensors([("images", "F32", [5, 1, 8, 8], b"\0\0\xc0\x7f" * 320), labels])),
        ("count", tensors([images, ("labels", "I64", [4], bytes(32))])),
        ("sides", tensors([("images", "U8", [320], PIXELS), labels])),
        ("cut", tensors([images, labels])[:-1]),
        ("half-nan", tensors([("images", "F16", [5, 1, 8, 8], b"\0\x7e" * 320), labels])),
        ("run-without-sums", tensors([images, labels], "{}")),
        (
            "sums-wrong",
            tensors(
                [
                    images,
                    labels,
                    ("ids", "I64", [5], bytes(40)),
                    ("found", "U8", [5], bytes(5)),
                    ("checks", "I64", [5], bytes(40)),
                ]
            ),
        ),
        ("escapes", tensors([(ESCAPE, "U8", [5], bytes(5))])),
        ("sparse", sparse(8 << 30, safetensors({}, length=9))),
    ):
        yield case(name, content)


def cases():
    for maker in (idx_cases, cifar_cases, numpy_cases, tensor_cases):
        yield from maker()
