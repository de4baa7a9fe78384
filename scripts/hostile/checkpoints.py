"""PyTorch checkpoints: pickles with code inside, views that leave their storages, and archives that are damaged or
expand."""

import struct

from case import ACCEPTED, EITHER, PLACES, REFUSED, Case, sparse
from formats import Pickle, checkpoint, npy, state_dict, zipped
from models import DEEP, ESCAPE, NAMED, evaluated


def torch(name, content, wanted=REFUSED, file="net.pt", options=(), mention=None):
    command = ["convert", file, "-o", "out.safetensors", *options]
    return Case("checkpoint", name, command, {file: content}, wanted, file if mention is None else mention)


def entries(change=None):
    made = {}
    for i, (name, _, shape, content) in enumerate(NAMED):
        made[name] = lambda pickle, i=i, shape=shape, content=content: pickle.tensor(str(i), len(content) // 4, shape)
    made.update(change or {})
    return [(name, write) for name, write in made.items() if write]


STORAGES = [(str(i), content) for i, (_, _, _, content) in enumerate(NAMED)]


def whole(change=None, storages=None, **options):
    return checkpoint(state_dict(entries(change)), STORAGES if storages is None else storages, **options)


def program(code):
    """A checkpoint whose pickle is this program."""
    return checkpoint(b"\x80\x02" + code + b".", STORAGES)


def calls():
    """Every way in which a pickle names a function, and functions that nobody may call."""
    for module, name in (
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("__builtin__", "eval"),
        ("subprocess", "Popen"),
        ("builtins", "getattr"),
        ("torch", "load"),
        ("torch.hub", "load"),
        ("numpy", "load"),
        ("runpy", "run_path"),
        ("pathlib", "Path"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("collections", "OrderedDict.__init__"),
    ):
        yield f"global-{module}-{name}", program(Pickle().called(module, name, "touch RAN").code[2:])
    touch = b"X\x09\0\0\0touch RAN"
    yield "stack-global", program(b"\x8c\x02os\x8c\x06system\x93" + touch + b"\x85R")
    yield "instance", program(b"(" + touch + b"ios\nsystem\n")
    yield "object", program(b"(cos\nsystem\n" + touch + b"o")
    yield "new-object", program(b"cos\nsystem\n" + touch + b"\x85\x81")
    yield "new-object-keywords", program(b"cos\nsystem\n" + touch + b"\x85}\x92")
    yield "state", program(b"ccollections\nOrderedDict\n)Rcos\nsystem\nb")
    yield "extension", program(b"\x82\x01")
    yield "persistent-text", program(b"Pfile:///etc/passwd\n")
    yield "persistent-tuple", program(b"(X\x06\0\0\0moduleX\x01\0\0\0atQ")
    yield "beside-weights", whole({"z": lambda pickle: pickle.called("os", "system", "touch RAN")})
    yield "bare", Pickle().called("os", "system", "touch RAN").done()
    yield "escapes", program(b"cos\n\x1b[2J\x07\n")


def pickles():
    yield "cycle", program(b"}q\0X\x01\0\0\0ah\0s")
    yield "list-in-itself", program(b"]q\0h\0a")
    yield "deep-lists", program(b"]" * DEEP + b"a" * (DEEP - 1))
    yield "deep-tuples", program(b")" + b"\x85" * DEEP)
    yield "deep-dicts", program(b"}" + b"X\x01\0\0\0a}" * DEEP + b"s" * DEEP)
    doubled = b"}q\0" + b"".join(
        b"0}(X\1\0\0\0ah" + bytes([i]) + b"X\1\0\0\0bh" + bytes([i]) + b"uq" + bytes([i + 1]) for i in range(80)
    )
    yield "doubled", program(doubled)
    # The same long list again and again: what is walked is more than what is stored.
    yield "one-dict-in-many", program(
        b"}("
        + b"".join(b"X\4\0\0\0" + b"%04d" % i + b"}" for i in range(3000))
        + b"uq\0"
        + b"0]("
        + b"h\0" * 100_000
        + b"e"
    )
    yield "endless-marks", program(b"(" * 5_000_000)
    yield "endless-stack", program(b"N" * 5_000_000)
    yield "endless-text", program(b"X\xff\xff\xff\xff")
    yield "endless-bytes", program(b"\x8e" + b"\xff" * 8)
    yield "endless-long", program(b"\x8b\xff\xff\xff\x7f")
    yield "endless-name", program(b"c" + b"x" * 5_000_000)
    yield "no-stop", checkpoint(b"\x80\x02}", STORAGES)
    yield "no-pickle", checkpoint(b"", STORAGES)
    yield "protocol-9", checkpoint(b"\x80\x09}.", STORAGES)
    yield "protocol-0", program(b"(dp0\n")
    yield "memo", program(b"h\x07")
    yield "no-mark", program(b"t")
    yield "below-the-mark", program(b"N(0t")
    yield "a-number", program(b"K\x01")
    yield "a-tensor", checkpoint(Pickle().tensor("0", 4, [4]).done(), [("0", bytes(16))])
    yield "empty-dict", program(b"}")
    many = state_dict([(f"layer{i}.weight", lambda pickle: pickle.tensor("0", 1, [1])) for i in range(60_000)])
    yield "many-names", checkpoint(many, [("0", bytes(4))])


def views():
    kinds = {"weight": "conv1.weight", "index": next(i for i, n in enumerate(NAMED) if n[0] == "conv1.weight")}
    key = str(kinds["index"])

    def tensor(*arguments, **options):
        return whole({"conv1.weight": lambda pickle: pickle.tensor(*arguments, **options)})

    yield "stride-negative", tensor(key, 144, [16, 1, 3, 3], [-9, 9, 3, 1])
    yield "stride-huge", tensor(key, 144, [16, 1, 3, 3], [2**62, 9, 3, 1])
    yield "stride-zero-giant", tensor(key, 144, [2**30], [0])
    yield "stride-zero-many", whole(
        {f"a{i}.weight": lambda pickle: pickle.tensor(key, 144, [2**18], [0]) for i in range(64)}
    )
    yield "offset-negative", tensor(key, 144, [16, 1, 3, 3], offset=-1)
    yield "offset-beyond", tensor(key, 144, [16, 1, 3, 3], offset=1)
    yield "offset-huge", tensor(key, 144, [16, 1, 3, 3], offset=2**63 - 1)
    yield "side-negative", tensor(key, 144, [-16, 1, 3, 3])
    yield "sides-overflow", tensor(key, 144, [2**40, 2**40], [0, 0])
    yield "sides-without-strides", tensor(key, 144, [16, 1, 3, 3], [1])
    yield "sides-65", tensor(key, 144, [1] * 65)
    yield "other-sides", tensor(key, 144, [16, 3, 3, 1])
    yield "count-too-large", tensor(key, 145, [16, 1, 3, 3])
    yield "count-negative", tensor(key, -144, [16, 1, 3, 3])
    yield "count-huge", tensor(key, 2**62, [16, 1, 3, 3])
    yield "doubles-of-floats", tensor(key, 144, [16, 1, 3, 3], kind="DoubleStorage")
    yield "complex", tensor(key, 144, [16, 1, 3, 3], kind="ComplexFloatStorage")
    yield "quantised", tensor(key, 144, [16, 1, 3, 3], rebuild="_rebuild_qtensor")
    yield "sparse", tensor(key, 144, [16, 1, 3, 3], rebuild="_rebuild_sparse_tensor")
    yield "key-path", tensor("../../../etc/passwd", 144, [16, 1, 3, 3])
    yield "key-endless", tensor("k" * 1_000_000, 144, [16, 1, 3, 3])
    yield "key-missing", tensor("99", 144, [16, 1, 3, 3])
    yield "name-escapes", whole({ESCAPE: lambda pickle: pickle.tensor("0", 4, [4])})
    yield "name-endless", whole({"n" * 5_000_000: lambda pickle: pickle.tensor("0", 4, [4])})
    yield "name-empty", whole({"": lambda pickle: pickle.tensor("0", 4, [4])})
    yield "missing", whole({"fc1.weight": None})
    short = [(k, content[:-4] if k == key else content) for k, content in STORAGES]
    yield "short-storage", whole(storages=short)
    yield "no-storages", whole(storages=[])


def archives():
    good = whole()
    for cut in (4, 30, len(good) // 3, len(good) // 2, len(good) - 30, len(good) - 1):
        yield f"cut-{cut}", good[:cut]
    at = good.index(STORAGES[1][1][:40])
    yield "changed-number", good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
    yield "bomb", checkpoint(state_dict(entries()), [*STORAGES, ("99", 64)], method=8)
    yield "bomb-pickle", checkpoint(32, STORAGES, method=8)
    yield "claims-more", whole(claims={"archive/data/1": 2**31})
    yield "claims-less", whole(claims={"archive/data/1": 1}, method=8)
    yield "encrypted", whole(flags=1)
    yield "method-unknown", zipped([("archive/data.pkl", state_dict(entries()))], method=99)
    yield "wrong-sums", whole(crc=1)
    yield "big-endian", whole(more=[("byteorder", b"big")])
    yield "byteorder-escapes", whole(more=[("byteorder", ESCAPE.encode())])
    yield "script", whole(more=[("constants.pkl", b"\x80\x02).")])
    yield "two-pickles", zipped([("a/data.pkl", b"\x80\x02}."), ("b/data.pkl", b"\x80\x02}.")])
    yield "same-name-twice", zipped([("a/data.pkl", b"\x80\x02}."), ("a/data.pkl", b"\x80\x02}.")])
    yield "no-pickle-in-it", zipped([("a.txt", b"text")])
    yield "arrays", zipped([("images.npy", npy("|u1", "(1, 1, 1)", b"\0"))])
    yield "names-of-bytes", zipped([(b"\xff\xfe/data.pkl", b"\x80\x02}.")])
    yield "many-records", zipped([(f"a/data/{i}", b"") for i in range(65_000)] + [("a/data.pkl", b"\x80\x02}.")])
    yield "empty-archive", zipped([])
    head = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
    system = b"\x80\x02}X\r\0\0\0little_endian\x88s."
    yield "stream-cut", head + system
    yield "stream-magic", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x18." + head[15:]
    yield "stream-big-endian", head + system.replace(b"\x88", b"\x89")
    keys = b"\x80\x02](X\x01\0\0\x000e."
    one = state_dict([("a.weight", lambda pickle: pickle.tensor("0", 2, [2]))])
    yield "stream-count", head + system + one + keys + struct.pack("<q", 3) + bytes(8)
    yield "stream-count-huge", head + system + one + keys + struct.pack("<q", -1) + bytes(8)
    yield "stream-short", head + system + one + keys + struct.pack("<q", 2) + bytes(7)
    yield "stream-keys", head + system + one + b"\x80\x02K\x01." + struct.pack("<q", 2) + bytes(8)


def torch_cases():
    yield torch("whole", whole(), ACCEPTED)
    yield torch("whole-packed", whole(method=8), ACCEPTED)
    yield torch("nan", whole(storages=[(k, b"\0\0\xc0\x7f" + c[4:]) for k, c in STORAGES]), EITHER)
    for maker in (calls, pickles, views, archives):
        for name, content in maker():
            yield torch(f"{maker.__name__}-{name}", content)
    for name, make in PLACES:
        yield torch(f"place-{name}", make)
    yield torch("sparse-of-8-gib", sparse(8 << 30))
    yield torch("sparse-behind-a-pickle", sparse(8 << 30, Pickle().raw(b"}").done()))
    for name, content in (
        ("system", program(Pickle().called("os", "system", "touch RAN").code[2:])),
        ("cycle", program(b"]q\0h\0a")),
    ):
        yield evaluated(f"checkpoint-{name}", content, file="net.pt", options=["--arch", "digits-cnn"])
    yield evaluated("checkpoint-whole", whole(), ACCEPTED, file="net.pt", options=["--arch", "digits-cnn"])
    yield torch("onto-itself", whole(), options=["-o", "net.pt"], mention="")


def cases():
    yield from torch_cases()
