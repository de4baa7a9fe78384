"""Data sets of pictures, MATLAB files and corruptions, specifications that name nothing, and devices, pipes, sockets and
loops in the place of files."""

import struct
import zlib

from case import ACCEPTED, EITHER, PLACES, REFUSED, Case, folder, link, pipe
from data import IMAGES, LABELS, PIXELS, data
from formats import chunk, network, npy, png, zlibbed


def picture_cases():
    def case(name, files, wanted=REFUSED, spec="folder:F", mention="F", **options):
        return data(
            f"picture-{name}",
            spec,
            {f"F/{path}": content for path, content in files.items()},
            wanted,
            mention,
            **options,
        )

    right = {f"{c}/a.png": png(8, 8) for c in range(10)}
    yield case("right", right, ACCEPTED)
    yield case("right-16-bits", {**right, "3/a.png": png(8, 8, depth=16)}, ACCEPTED)
    for name, bad in (
        ("empty", b""),
        ("text", b"no image"),
        ("cut", png(8, 8)[:-20]),
        ("cut-data", png(8, 8)[:45]),
        ("sum", png(8, 8, crc=1)),
        ("no-pixels", png(0, 8)),
        ("other-size", png(9, 8)),
        ("huge", png(2**31 - 1, 2**31 - 1, packed=b"")),
        ("large", png(60_000, 60_000, packed=zlib.compress(bytes(1 << 20)))),
        ("colours", png(8, 8, kind=2)),
        ("kind", png(8, 8, b"\0" * 72, kind=7)),
        ("depth", png(8, 8, b"\0" * 72, depth=3)),
        ("bomb", png(8, 8, packed=zlibbed(300))),
        ("filter", png(8, 8, (b"\x09" + bytes(8)) * 8)),
        ("short", png(8, 8, b"\0" * 20)),
        ("no-zlib", png(8, 8, packed=b"noise" * 9)),
        ("palette-missing", png(8, 8, kind=3)),
        ("text-bomb", png(8, 8)[:-12] + chunk(b"zTXt", b"a\0\0" + zlibbed(300)) + png(8, 8)[-12:]),
        ("jpeg", b"\xff\xd8\xff\xe0\0\x10JFIF\0"),
        ("jpeg-end", b"\xff\xd8\xff\xd9"),
        ("gif", b"GIF89a" + bytes(40)),
        (
            "bmp",
            b"BM"
            + struct.pack("<I4xI", 54 + 192, 54)
            + struct.pack("<I2i2H6I", 40, 2**30, -(2**31), 1, 24, 0, 0, 0, 0, 0, 0),
        ),
        ("tiff", b"II*\0" + bytes(60)),
        ("webp", b"RIFF\xff\xff\xff\xffWEBPVP8 " + bytes(60)),
    ):
        wanted = EITHER if name in ("colours", "text-bomb", "bomb", "filter") else REFUSED
        yield case(name, {**right, "3/a.png": bad}, wanted)
    for name, make in PLACES:
        # What is no file is left out, with a warning, so the class has no image.
        yield case(f"place-{name}", {**right, "3/a.png": make}, EITHER)
    yield case("none", {"0/notes.txt": b"a"})
    yield case("no-folders", {"a.png": png(8, 8)})
    yield case("eleven-classes", {**right, "99/a.png": png(8, 8)})
    yield case("loop", {**{path: content for path, content in right.items() if path[0] != "3"}, "3": link("3")}, EITHER)
    yield case("names", {**right, "3/\x1b[2J.png": b"no image"})
    yield case("preprocessing", right, spec="folder:F,Res225", mention="")
    yield case("preprocessing-large", {**right, "3/a.png": png(1, 60_000)}, spec="folder:F,Res256Crop224")
    yield case("classes-missing", right, spec="folder:F,classes=nowhere.txt", mention="nowhere.txt")
    yield case("classes-device", right, spec="folder:F,classes=/dev/zero", mention="zero")
    yield case("imagenet", right, spec="imagenet:F")
    yield case("imagenet-list", right, spec="imagenet:F,Res224,/dev/zero")


def other_cases():
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"

    def matrix(name, kind, sides, content):
        def element(code, of):
            return struct.pack("<2I", code, len(of)) + of + bytes(-len(of) % 8)

        body = (
            element(6, struct.pack("<2I", kind, 0))
            + element(5, struct.pack(f"<{len(sides)}i", *sides))
            + element(1, name)
            + element(2, content)
        )
        return struct.pack("<2I", 14, len(body)) + body

    right = header + matrix(b"X", 9, [32, 32, 3, 1], bytes(3072)) + matrix(b"y", 9, [1, 1], b"\x0a")

    def svhn(name, content, wanted=REFUSED):
        return data(f"svhn-{name}", "svhn:a_32x32.mat", {"a_32x32.mat": content}, wanted, model="coloured")

    def compressed(content):
        packed = zlibbed(content) if isinstance(content, int) else zlib.compress(content, 9)
        return struct.pack("<2I", 15, len(packed)) + packed

    yield svhn("right", right, ACCEPTED)
    yield svhn(
        "right-packed",
        header
        + compressed(matrix(b"X", 9, [32, 32, 3, 1], bytes(3072)))
        + compressed(matrix(b"y", 9, [1, 1], b"\x0a")),
        ACCEPTED,
    )
    for name, content in (
        ("empty", b""),
        ("header", header),
        ("version-7.3", b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + bytes(64)),
        ("big-endian", header[:126] + b"MI" + right[128:]),
        ("cut", right[:-30]),
        ("length", header + struct.pack("<2I", 14, 2**32 - 1) + bytes(64)),
        ("no-labels", header + matrix(b"X", 9, [32, 32, 3, 1], bytes(3072))),
        ("sides", header + matrix(b"X", 9, [32, 32, 1, 3], bytes(3072)) + matrix(b"y", 9, [1, 1], b"\1")),
        ("sides-negative", header + matrix(b"X", 9, [32, 32, 3, -1], bytes(3072)) + matrix(b"y", 9, [1, 1], b"\1")),
        ("count", header + matrix(b"X", 9, [32, 32, 3, 2], bytes(3072)) + matrix(b"y", 9, [1, 1], b"\1")),
        ("label", header + matrix(b"X", 9, [32, 32, 3, 1], bytes(3072)) + matrix(b"y", 9, [1, 1], b"\x0b")),
        ("bomb", header + compressed(400)),
        ("zlib", header + struct.pack("<2I", 15, 9) + b"no zlib!!"),
        ("many-empty", header + struct.pack("<2I", 1, 0) * 500_000),
        ("packed-in-packed", header + compressed(compressed(right[128:]))),
    ):
        yield svhn(name, content)

    def corrupted(name, files, wanted=REFUSED, only="fog", mention="C", **options):
        one = npy("|u1", "(5, 8, 8, 1)", PIXELS)
        all_files = {
            "C/fog.npy": one,
            "C/labels.npy": LABELS,
            **{f"C/{path}": content for path, content in files.items()},
        }
        files = {path: content for path, content in all_files.items() if content is not None}
        return Case(
            "data",
            f"corruptions-{name}",
            ["corruptions", "-m", "net.onnx", "-d", "C", "--only", only, "-o", "out"],
            {"net.onnx": network(), **files},
            wanted,
            mention,
            (1, 2),
        )

    yield corrupted("right", {}, ACCEPTED)
    for name, files in (
        ("cut", {"fog.npy": IMAGES[:-1]}),
        ("four", {"fog.npy": npy("|u1", "(4, 8, 8, 1)", PIXELS[:256])}),
        ("no-labels", {"labels.npy": None}),
        ("labels-short", {"labels.npy": npy("|u1", "(4,)", bytes(4))}),
        ("labels-beyond", {"labels.npy": npy("|u1", "(5,)", b"\x63" * 5)}),
        ("folder", {"fog.npy": folder}),
        ("pipe", {"fog.npy": pipe}),
        ("loop", {"fog.npy": link("fog.npy")}),
        ("labels-device", {"labels.npy": link("/dev/zero")}),
        ("floats", {"fog.npy": npy("<f8", "(5, 8, 8, 1)", struct.pack("<d", 7.0) * 320)}),
    ):
        yield corrupted(name, files, mention="" if name == "labels-beyond" else "C")
    yield corrupted("unknown", {}, only="fgo")
    yield corrupted("outside", {}, only="../C/fog", mention="")
    for name, spec in (
        ("empty", ""),
        ("colon", ":"),
        ("format", "idy:a"),
        ("no-path", "npy:"),
        ("escapes", "\x1b[2J:a"),
        ("commas", "npy:" + "," * 10_000),
        ("long", "npy:" + "a" * 100_000),
        ("parquet", "parquet:a"),
        ("severity", "cifar-c:C,fog,9"),
        ("device", "/dev/zero"),
        ("descriptors", "/proc/self/fd/0"),
        ("dash", "-"),
    ):
        yield data(f"specification-{name}", spec, {}, mention="")
    for made, spec in (
        ("idx", "idx:set,labels.npy"),
        ("cifar10", "cifar10:set"),
        ("npy", "npy:set,labels.npy"),
        ("npz", "npz:set"),
        ("safetensors", "safetensors:set"),
        ("svhn", "svhn:set"),
        ("folder", "folder:set"),
        ("unnamed", "set"),
    ):
        for name, make in PLACES:
            yield data(f"place-{made}-{name}", spec, {"set": make, "labels.npy": LABELS})
    for name, make in PLACES:
        yield data(f"place-labels-{name}", "npy:images.npy,set", {"set": make, "images.npy": IMAGES})
    yield Case("data", "ours-right", ["evaluate", "-m", "bundled:digits-pgd", "-d", "digits:test"], {}, ACCEPTED)


def cases():
    yield from picture_cases()
    yield from other_cases()
