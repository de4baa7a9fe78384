#!/usr/bin/env python3
"""Write small valid inputs of every fuzz target, from which the fuzzer starts.

    python3 fuzz/seeds.py CORPUS

makes CORPUS/TARGET/NAME from the fixtures of the tests, from fuzz/seeds/ and from what is built here.
Standard library only; the same bytes on every run.
"""

import json
import pathlib
import struct
import sys
import zipfile
import zlib

FUZZ = pathlib.Path(__file__).resolve().parent
ROOT = FUZZ.parent
FIXTURES = ROOT / "tests" / "fixtures"

# The names and sizes of `SMALL` in fuzz_targets/model.rs.
SMALL = [
    ("digits-cnn", [1, 8, 8], 10, {}),
    ("cifar-resnet", [3, 16, 16], 3, {"width": 2, "blocks": [1, 2, 1, 1]}),
    ("wide-resnet", [3, 16, 16], 3, {"depth": 10, "widen_factor": 1}),
    ("wrn-34-r", [3, 16, 16], 3, {"stem": 3, "blocks": [1, 2, 1], "widths": [4, 4, 2]}),
    ("imagenet-resnet", [3, 16, 16], 3, {"blocks": [1, 2, 1, 1], "width": 2, "groups": 2}),
    ("pretrained-ensemble", [3, 16, 16], 3, {"members": 2, "blocks": [1, 2, 1, 1], "width": 2}),
    ("vit", [3, 16, 16], 3, {"width": 6, "depth": 2, "heads": 3, "patch": 8}),
    ("convnext", [3, 16, 16], 3, {"blocks": [1, 2, 1], "widths": [3, 4, 6]}),
    ("swin", [3, 16, 16], 3, {"width": 4, "blocks": [2, 1], "heads": [1, 2], "window": 2}),
    ("xcit", [3, 16, 16], 3, {"width": 8, "depth": 2, "heads": 2, "patch": 8}),
]


def safetensors(tensors):
    """Of `(name, dtype, shape, bytes)`."""
    header, data = {}, b""
    for name, dtype, shape, content in tensors:
        offsets = [len(data), len(data) + len(content)]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        data += content
    text = json.dumps(header).encode()
    return text, struct.pack("<Q", len(text)) + text + data


def npy(descr, shape, content, version=1):
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode() + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + content


def idx(shape, content):
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + content


def element(kind, content):
    short = len(content) <= 4
    head = struct.pack("<I", kind | len(content) << 16) if short else struct.pack("<2I", kind, len(content))
    return (head + content).ljust(-(-len(head + content) // 8) * 8, b"\0")


def matrix(name, kind, shape, data):
    flags = element(6, bytes([kind]) + bytes(7))
    content = flags + element(5, struct.pack(f"<{len(shape)}i", *shape)) + element(1, name) + data
    return struct.pack("<2I", 14, len(content)) + content


def png(width, height, kind, depth, rows, level=9):
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">2I5B", width, height, depth, kind, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(range(48))) if kind == 3 else b""
    data = zlib.compress(b"".join(b"\0" + row for row in rows), level)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + palette + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def checkpoint():
    for path in sorted((FIXTURES / "checkpoints").iterdir()):
        if path.suffix in (".pt", ".safetensors"):
            yield path.name, path.read_bytes()
        if path.suffix == ".pt" and path.read_bytes()[:2] == b"PK":
            with zipfile.ZipFile(path) as archive:
                name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
                yield f"{path.name}.pkl", archive.read(name)
    yield "cifar_python3.pkl", (FIXTURES / "cifar_python3.pkl").read_bytes()
    # torch.save({"w": two by two of storage 0}), protocol 2.
    yield "tensor.pkl", (
        b"\x80\x02}q\x00X\x01\x00\x00\x00wq\x01ctorch._utils\n_rebuild_tensor_v2\nq\x02((X\x07\x00\x00\x00storage"
        b"q\x03ctorch\nFloatStorage\nq\x04X\x01\x00\x00\x000q\x05X\x03\x00\x00\x00cpuq\x06K\x06tq\x07QK\x00K\x02K\x03"
        b"\x86q\x08K\x03K\x01\x86q\x09\x89ccollections\nOrderedDict\nq\x0a)Rq\x0btq\x0cRq\x0ds.")
    one = [("fc.weight", "F32", [3, 2], bytes(24)), ("fc.bias", "F16", [3], bytes(6))]
    yield "header.json", safetensors(one)[0]
    yield "one.safetensors", safetensors(one)[1]
    resnet = [("conv1.weight", "F32", [2, 3, 3, 3], bytes(216)), ("bn1.weight", "F32", [2], bytes(8)),
              ("layer1.0.conv1.weight", "F32", [2, 2, 3, 3], bytes(144)),
              ("layer1.0.conv2.weight", "F32", [2, 2, 3, 3], bytes(144)),
              ("linear.weight", "F32", [10, 2], bytes(80)), ("mean", "F32", [3], bytes(12)),
              ("std", "F32", [3], bytes(12))]
    yield "resnet.json", safetensors(resnet)[0]


def model():
    for architecture, shape, classes, parameters in SMALL:
        card = {"format_version": 1, "name": "n", "architecture": architecture, "input_shape": shape,
                "classes": classes, "parameters": parameters}
        if architecture != "digits-cnn":
            card["mean"], card["std"] = [0.5] * 3, [0.25] * 3
        if architecture == "vit":
            card |= {"source": "s", "training": "t", "licence": "l", "published": {"clean": 0.5},
                     "randomised": True, "optimises_in_forward": False}
        yield f"{architecture}.json", json.dumps(card).encode()
    yield "bare.safetensors", (FIXTURES / "checkpoints" / "expected.safetensors").read_bytes()


def varint(number):
    number %= 1 << 64
    parts = []
    while number > 127:
        parts.append(number % 128 | 128)
        number //= 128
    return bytes(parts + [number])


def message(*fields):
    """Of `(number, value)`: an integer, a float, a text, or the bytes of a message."""
    content = b""
    for number, value in fields:
        if isinstance(value, int):
            content += varint(number << 3) + varint(value)
        elif isinstance(value, float):
            content += varint(number << 3 | 5) + struct.pack("<f", value)
        else:
            value = value.encode() if isinstance(value, str) else value
            content += varint(number << 3 | 2) + varint(len(value)) + value
    return content


def onnx():
    def node(operator, inputs, outputs, *fields):
        return message(*[(1, name) for name in inputs], *[(2, name) for name in outputs], (4, operator), *fields)

    def value(name):
        shape = message((1, message((2, "N"))), (1, message((1, 2))))
        return message((1, name), (2, message((1, message((1, 1), (2, shape))))))

    def graph(nodes, constants, inputs, outputs):
        return message(*[(1, node) for node in nodes], *[(5, constant) for constant in constants],
                       *[(11, value(name)) for name in inputs], *[(12, value(name)) for name in outputs])

    def file(content, *fields):
        return message((1, 8), (7, content), (8, message((1, ""), (2, 18))), *fields)

    def setting(name, kind, *fields):
        return (5, message((1, name), (20, kind), *fields))

    weight = message((1, 2), (1, 2), (2, 1), (8, "w"), (9, struct.pack("<4f", 1, 2, 3, 4)))
    layers = [node("MatMul", "xw", "h"), node("Relu", "h", "y")]
    yield "plain", file(graph(layers, [weight], "x", "y"))
    data = [message((1, "location"), (2, "w.bin")), message((1, "offset"), (2, "4"))]
    outside = message((1, 2), (1, 2), (2, 1), (8, "w"), (14, 1), *[(13, entry) for entry in data])
    yield "external", file(graph(layers, [outside], "x", "y"))
    every = [message((1, 1), (2, kind), (8, f"c{kind}"), (field, content)) for kind, field, content in (
        (1, 4, struct.pack("<f", 1)), (2, 5, 1), (3, 5, 1), (6, 5, 1), (7, 7, 1), (9, 5, 1), (10, 5, 1),
        (11, 10, struct.pack("<d", 1)), (13, 11, 1), (16, 5, 1))]
    yield "types", file(graph(layers + [node("Cat", ["y"] + [f"c{kind}" for kind in (1, 2, 3, 6, 7, 9, 10, 11, 13, 16)], "z")],
                              [weight, *every], "x", "z"))
    settings = [setting("f", 1, (2, 0.5)), setting("i", 2, (3, -1)), setting("s", 3, (4, "text")),
                setting("t", 4, (5, weight)), setting("fs", 6, (7, struct.pack("<2f", 1, 2))),
                setting("is", 7, (8, bytes([1, 2]))), setting("ss", 8, (9, "a"), (9, "b"))]
    yield "attributes", file(graph([layers[0], node("Odd", "h", "y", *settings, (7, "far"))], [weight], "x", "y"))
    true = message((2, 9), (8, "c"), (9, b"\1"))
    branches = [setting("then_branch", 5, (6, graph([node("Neg", "h", "z")], [], "", "z"))),
                setting("else_branch", 5, (6, graph([], [], "", "h")))]
    yield "branches", file(graph([layers[0], node("If", "c", "y", *branches)], [weight, true], "x", "y"))
    inner = node("LeakyRelu", "a", "b", (5, message((1, "alpha"), (20, 1), (21, "slope"))))
    default = message((1, "slope"), (20, 1), (2, 0.25))
    functions = [message((1, "In"), (10, "my"), (4, "a"), (5, "b"), (7, inner), (11, default)),
                 message((1, "Out"), (10, "my"), (4, "p"), (5, "q"), (7, node("In", "p", "q", (7, "my"))))]
    yield "functions", file(graph([layers[0], node("Out", "h", "y", (7, "my"))], [weight], "x", "y"),
                            *[(25, function) for function in functions])


def data():
    def pair(choice, images, labels):
        return bytes([choice]) + struct.pack("<H", len(labels)) + labels + images

    def alone(choice, content, second=0):
        return bytes([choice]) + struct.pack("<H", second) + content

    images = npy("<f4", "(2, 1, 2)", struct.pack("<4f", 0, 0.5, 1, 0))
    bytes_ = npy("|u1", "(5, 2, 2, 3)", bytes(range(60)), version=2)
    labels = npy("<i8", "(2,)", struct.pack("<2q", 1, 0))
    for choice in (0, 1, 2):
        yield f"idx{choice}", pair(choice, idx([2, 2, 1], bytes(4)), idx([2], bytes([1, 7])))
    yield "npy", pair(3, images, labels)
    yield "npy-channels-last", pair(3, bytes_, npy("|u1", "(5,)", bytes(5)))
    yield "npy-f2", pair(3, npy("<f2", "(1, 1, 2, 2)", bytes(8)), npy("<u2", "(1, 1)", bytes(2)))
    yield "npz-stored", pair(5, images, labels)
    yield "npz-deflated", pair(6, images, labels)
    yield "cifar10", alone(7, bytes([3]) + bytes(3072))
    yield "cifar100", alone(8, bytes([3, 99]) + bytes(3072))
    for dtype, size in (("F32", 4), ("F16", 2), ("BF16", 2), ("F64", 8), ("U8", 1)):
        header, whole = safetensors([("images", dtype, [1, 1, 2, 2], bytes(4 * size)),
                                     ("labels", "I64", [1], bytes(8))])
        yield f"safetensors-{dtype}", alone(9, whole)
        yield f"safetensors-header-{dtype}", alone(10, header)
    x = matrix(b"X", 9, [32, 32, 3, 1], element(2, bytes(range(256)) * 12))
    y = matrix(b"y", 6, [1, 1], element(2, b"\x0a"))
    plain = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + x + y
    yield "svhn", alone(11, plain)
    yield "svhn-scipy", alone(11, (FIXTURES / "svhn_32x32.mat").read_bytes())
    yield "svhn-packed", pair(12, x, y)
    yield "cifar-c", pair(13, bytes_, npy("|u1", "(5,)", bytes(5)))
    yield "by-path-mat", alone(14, plain, 4)
    yield "by-path-bin", alone(14, bytes([3]) + bytes(3072), 2)
    yield "by-path-pickle", alone(14, (FIXTURES / "cifar_python3.pkl").read_bytes(), 5)
    yield "specification", alone(15, b"digits:test")
    yield "specification-2", alone(15, b"imagenet:a,Res224,b")
    # An archive as numpy.savez writes it, made without the zipfile module's time stamps.
    entries, directory = b"", b""
    for name, content in ((b"images.npy", images), (b"labels.npy", labels)):
        common = struct.pack("<5H3I2H", 20, 0, 0, 0, 33, zlib.crc32(content), len(content), len(content),
                             len(name), 0)
        directory += b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack(
            "<3H2I", 0, 0, 0, 0, len(entries)) + name
        entries += b"PK\x03\x04" + common + name + content
    end = b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, 2, 2, len(directory), len(entries), 0)
    yield "npz", alone(4, entries + directory + end)


def picture():
    files = {path.stem: path.read_bytes() for path in sorted((FUZZ / "seeds").glob("*.jpg"))}
    kinds = [("grey", 0, 8, 1), ("colour", 2, 8, 3), ("palette", 3, 8, 1), ("grey-alpha", 4, 8, 2),
             ("colour-alpha", 6, 8, 4), ("grey-16", 0, 16, 2), ("colour-16", 2, 16, 6)]
    for name, kind, depth, width in kinds:
        files[name] = png(3, 2, kind, depth, [bytes((7 * i) % 16 for i in range(3 * width))] * 2)
    files["grey-1"] = png(9, 2, 0, 1, [b"\xaa\x80"] * 2)
    files["stored"] = png(3, 2, 2, 8, [bytes(9)] * 2, level=0)
    for at, (name, content) in enumerate(files.items()):
        yield name, b"\0" + content
        yield f"{name}-prepared", bytes([1 + at % 4]) + content
    yield "list", b"\x05n00000999/b.JPEG\r\nn00000003/a.JPEG\n\n"


def parquet():
    yield "hub", (FIXTURES / "hub.parquet").read_bytes()
    for path in sorted((FUZZ / "seeds").glob("*.parquet")):
        yield path.stem, path.read_bytes()


HEADER = "idx\tlabel\tpredict\tradius\tcorrect\ttime"
IMAGES = [f"{i:016x}" for i in range(3)]
MODEL = "2bfd345945f3831d"


def rows(header, lines, separator="\t"):
    """A table whose checksums are of no use: a build for fuzzing does not compare them."""
    fields = [separator.join(header + ["check"])] + [separator.join(line + ["0"]) for line in lines]
    return "".join(f"{line}\n" for line in fields)


SMOOTHING = rows(
    HEADER.split("\t") + "sigma n0 n alpha nA selected p_low seed model mode level image".split(),
    [f"0 7 7 0.763945 1 0:00:00.729344 0.25 100 10000 0.001 9998 7 0.9988776307895209 0 {MODEL} cohen 0.001 "
     f"{IMAGES[0]}".split(),
     f"20 2 -1 0 0 0:00:00.792666 0.25 100 10000 0.001 5000 2 0 0 {MODEL} grid 0.0002 {IMAGES[1]}".split()])
BOUND = rows(HEADER.split("\t") + "margin tried model image".split(),
             [f"0 7 7 0.05 1 0:00:00.250000 0.5 4 {MODEL} {IMAGES[0]}".split()])
PATCH = rows("idx label predict certified correct time votes runner_up forwards model image".split(),
             [f"0 7 7 1 1 0:00:00.250000 30 6 666 {MODEL} {IMAGES[0]}".split()])
ATTACK = rows(
    "idx image label clean target by prediction found distance linf l2 l1 l0 height width adversarial found_8bit "
    "forwards backwards seconds".split(),
    [["0", IMAGES[0], "7", "7", "", "", "7"] + "0 inf inf inf inf 0 0 0".split() + [IMAGES[0]]
     + "0 7813 1910 2.07".split(),
     ["1", IMAGES[1], "2", "2", "", "apgd-ce", "3"] + "1 0.03 0.03 0.5 3 9 2 2".split() + ["a" * 16]
     + "1 100 99 0.5".split(),
     ["2", IMAGES[2], "1", "0", "", "clean", "0"] + "1 0 0 0 0 0 0 0".split() + [IMAGES[2]] + "1 1 0 0".split()],
    ",")
CORRUPTIONS = rows("idx corruption severity correct images model image".split(),
                   [f"{90 + s} fog {s} {9 - s} 9 {MODEL} {IMAGES[0]}".split() for s in range(1, 6)], ",")
SEAL = "# checksum: 0\n"
RUN = """format_version = 3
name = "n"

[[session]]
command = "run"
epsball = "0.1.0"
machine = "m"
device = "cpu"
started = 1
ended = 2

[[model]]
name = "m"
files = ["m"]
architecture = "digits-cnn"
sha256 = "2bfd345945f3831d3d700dac200094b6939abc42a0e86aef262efd6246a2f78d"
identity = "2bfd345945f3831d3d700dac200094b6939abc42a0e86aef262efd6246a2f78d"
parameters = 312202
note = "PGD"
published = "cifar10-linf/Carmon2019Unlabeled"

[[data]]
name = "cifar10"
spec = "digits"
sha256 = "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
shape = [3, 32, 32]
images = 3
digest = "00"
"""


def job(name, ending, images, kind, label, method, threat, eps="[]", facts=None, parameters=None):
    def pairs(table, values):
        return "".join([f"[job.work.{table}]\n"] + [f'{key} = "{value}"\n' for key, value in values.items()])
    return (f'\n[[job]]\nid = "m--{name}"\nkey = "k{name}"\nfile = "jobs/m/{name}.{ending}"\nmodel = "m"\n'
            f'data = "cifar10"\nimages = {images}\nseed = 0\nrng = "per-image"\ndevice = "cpu"\nprecision = "f32"\n\n'
            f'[job.work]\nkind = "{kind}"\nlabel = "{label}"\nmethod = "{method}"\nthreat = "{threat}"\neps = {eps}\n'
            + pairs("facts", facts or {}) + pairs("parameters", parameters or {}))


def attack(name, label, threat, eps, minimal="false", control="false"):
    facts = {"minimal": minimal, "control": control, "goal": "untargeted"}
    return job(name, "csv", 3, "attack", label, "autoattack", threat, eps, facts, {"version": "standard"})


def smoothing(noise, norm, name="b", **extra):
    parameters = {"mode": "cohen", "N": "10000", "N0": "100", "alpha": "0.001", "noise": noise, **extra}
    facts = {"sigma": "0.25", "guarantee": "g"}
    return job(name, "tsv", 2, "smoothing", "smoothing-0.25", "cohen", norm, "[0.0, 0.25, 0.5]", facts, parameters)


def table():
    cohen = f"{HEADER}\n0\t3\t-1\t0.0\t0\t0:00:14.114881\n20\t7\t7\t0.953\t1\t15.4\n40\t8\t8\t2.68e-05\t1\t1 day, 1:00:13\n"
    yield "cohen", cohen.encode()
    yield "ours", SMOOTHING.encode()
    yield "bounds", BOUND.encode()
    for noise, norm, extra in (("gaussian", "L2", {}), ("uniform", "L1", {}), ("laplace", "L1", {}),
                               ("lattice", "L2", {"levels": "255"}), ("ablation", "L0", {"k": "45"})):
        run = RUN + smoothing(noise, norm, **extra).replace("jobs/m/b.tsv", "jobs/model/sigma_0.25.tsv")
        yield f"run-{noise}", f"{SMOOTHING}---\n{run}{SEAL}".encode()


def record():
    for path in sorted((ROOT / "benchmarks" / "suites").glob("*.toml")):
        if path.stat().st_size < 4096:
            yield path.name, path.read_bytes()
    yield "suite", (
        b'name = "s"\nseed = 1\nrng = "torch"\nbatch = 5\nmemory = 0.5\nsave_adversarial = true\nskip_missing = true\n'
        b'[[model]]\nmembers = ["a", "b"]\naverage = "probabilities"\nname = "n"\neps = "4/255"\ndata = "d"\n'
        b'[[data]]\nspec = "digits:test"\nname = "d"\nimages = { indices = [3, 7] }\n'
        b'[[attack]]\nattack = "pgd"\nnorm = "Linf"\neps = [0.1, "8/255", 1]\ngoal = "next"\nparameters = { steps = 3 }\n'
        b'[[certificate]]\ncertificate = "cohen"\nsigma = 0.5\nnoise = "lattice"\nmode = "grid"\nradii = [0.25]\n'
        b'n = 10\nmodels = ["n"]\n')
    checks = ('format_version = 3\nimages = 100\n[[findings]]\ncheck = "zero-gradients"\nseen = "s"\nmeaning = "m"\n'
              f'remedy = "r"\n{SEAL}')
    counts = ('format_version = 3\n[[image]]\nidx = 3\nselection = [[0, 5], [7, 95]]\nvotes = [[7, 900]]\n'
              f'seconds = 1.5\n{SEAL}')
    patch = job("c", "tsv", 1, "patch", "patchcleanser-2x2", "patchcleanser", "patch 2x2", parameters={"k": "6"})
    bound = job("d", "tsv", 1, "bound", "crown-linf", "crown", "Linf", "[0.05]", parameters={"steps": "3"})
    facts = {"data": "cifar-c:d,CORRUPTION,SEVERITY", "baseline": "m"}
    fog = job("e", "csv", 5, "corruption", "corruptions", "corruptions", "corruptions", facts=facts)
    run = RUN + attack("a", "autoattack-linf", "Linf", '[0.03137254901960784]') + smoothing("gaussian", "L2")
    run += patch + bound + fog + SEAL
    whole = "---\n".join([run, ATTACK, checks, counts, SMOOTHING, PATCH, BOUND, CORRUPTIONS])
    yield "run", whole.encode()
    minimal = RUN + attack("a", "cw-l2", "L2", "[0.25, 0.5]", minimal="true")
    minimal += attack("x", "noise", "L2", "[0.5]", control="true") + SEAL
    yield "run-minimal", "---\n".join([minimal, ATTACK]).encode()
    patched = RUN + attack("a", "patch-rs", "patch 2x2", "[]") + SEAL
    yield "run-patch", "---\n".join([patched, ATTACK, checks]).encode()


def main():
    corpus = pathlib.Path(sys.argv[1])
    for make in (checkpoint, model, onnx, data, picture, parquet, table, record):
        folder = corpus / make.__name__
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in make():
            (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
