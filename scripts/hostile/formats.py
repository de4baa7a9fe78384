"""Writers of the formats that epsball reads, which write what is wrong as readily as what is right: safetensors, npy,
zip, PyTorch checkpoints, protobuf with ONNX on top, PNG, IDX. The standard library is all that they need."""

import json
import pathlib
import struct
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIZES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "U8": 1, "I8": 1, "I16": 2, "I32": 4, "I64": 8, "BOOL": 1}


def floats(numbers):
    return struct.pack(f"<{len(numbers)}f", *numbers)


def product(sides):
    total = 1
    for side in sides:
        total *= side
    return total


def zeros(sides):
    return bytes(4 * product(sides))


def safetensors(header, data=b"", length=None):
    """A file with this header, a dict or the text itself, which may state another length for itself."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensors(named, card=None):
    """A safetensors file of `(name, dtype, shape, bytes)`."""
    header, data = {}, b""
    if card is not None:
        header["__metadata__"] = {"epsball": card if isinstance(card, str) else json.dumps(card)}
    for name, dtype, shape, content in named:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    return safetensors(header, data)


def bundled(name="digits-standard"):
    """Card and tensors of a network that comes with the program."""
    content = (ROOT / "benchmarks" / "models" / f"{name}.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    card = json.loads(header.pop("__metadata__")["epsball"])
    data = content[8 + length :]
    named = [
        (key, entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])]) for key, entry in header.items()
    ]
    return card, named


def npy(descr, shape, content, order="False", version=1, magic=b"\x93NUMPY"):
    """An npy file; `shape` is text, so that it may be anything."""
    header = f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    size = struct.pack("<H" if version == 1 else "<I", len(header))
    return magic + bytes([version, 0]) + size + header + content


def idx(sides, content, code=8):
    return bytes([0, 0, code, len(sides)]) + b"".join(struct.pack(">I", side) for side in sides) + content


def zipped(entries, method=0, claims=None, crc=None, flags=0, tail=b""):
    """A zip archive of `(name, bytes)`; `claims` are sizes that it states in place of the true ones, by name."""
    body, directory = bytearray(), bytearray()
    for name, content in entries:
        packed = content
        if isinstance(content, int):
            # So many MiB of zeros.
            packed, check, _ = deflated(content)
            content = range(content << 20)
        elif method == 8:
            maker = zlib.compressobj(9, zlib.DEFLATED, -15)
            packed = maker.compress(content) + maker.flush()
        name = name.encode() if isinstance(name, str) else name
        size = (claims or {}).get(name.decode("latin1"), len(content))
        if crc is not None or not isinstance(content, range):
            check = zlib.crc32(content) if crc is None else crc
        common = struct.pack(
            "<5H3I2H", 20, flags, method, 0, 33, check, len(packed) if method else size, size, len(name), 0
        )
        directory += b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<3H2I", 0, 0, 0, 0, len(body)) + name
        body += b"PK\x03\x04" + common + name + packed
    end = b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, len(entries), len(entries), len(directory), len(body), len(tail))
    return bytes(body + directory) + end + tail


def chunk(kind, content, crc=None):
    check = zlib.crc32(kind + content) if crc is None else crc
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def png(width, height, content=None, kind=0, depth=8, packed=None, crc=None):
    """A PNG; without content it is black, `packed` stands for its compressed data."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(kind, 1)
    if content is None and packed is None:
        content = (b"\0" + bytes(width * channels * depth // 8)) * height
    data = zlib.compress(content) if packed is None else packed
    head = struct.pack(">2I5B", width, height, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head, crc) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def deflated(mebibytes, first=b""):
    """So many MiB, zeros but for the first bytes, as a raw deflate stream and their checksums (CRC-32, Adler-32): the
    same block again and again, which takes no time."""
    maker = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros_, crc, adler = bytes(1 << 20), 0, 1
    head = first + zeros_[len(first) :]
    start = maker.compress(head) + maker.flush(zlib.Z_FULL_FLUSH)
    block = maker.compress(zeros_) + maker.flush(zlib.Z_FULL_FLUSH)
    for i in range(mebibytes):
        part = head if i == 0 else zeros_
        crc, adler = zlib.crc32(part, crc), zlib.adler32(part, adler)
    return start + block * (mebibytes - 1) + maker.flush(), crc, adler


def gzipped(mebibytes, first=b""):
    stream, crc, _ = deflated(mebibytes, first)
    return b"\x1f\x8b\x08\0\0\0\0\0\2\xff" + stream + struct.pack("<2I", crc, mebibytes << 20 & 0xFFFFFFFF)


def zlibbed(mebibytes, first=b""):
    stream, _, adler = deflated(mebibytes, first)
    return b"\x78\xda" + stream + struct.pack(">I", adler)


class Pickle:
    """A pickle of protocol 2, instruction by instruction."""

    def __init__(self):
        self.code = bytearray(b"\x80\x02")

    def raw(self, code):
        self.code += code
        return self

    def text(self, text):
        text = text.encode() if isinstance(text, str) else text
        return self.raw(b"X" + struct.pack("<I", len(text)) + text)

    def int(self, number):
        size = (number.bit_length() + 8) // 8
        return self.raw(b"\x8a" + bytes([size]) + number.to_bytes(size, "little", signed=True))

    def ints(self, numbers):
        self.raw(b"(")
        for number in numbers:
            self.int(number)
        return self.raw(b"t")

    def called(self, module, name, *arguments):
        """The call of a function with texts, which no reader may make."""
        self.raw(f"c{module}\n{name}\n(".encode())
        for argument in arguments:
            self.text(argument)
        return self.raw(b"tR")

    def tensor(self, key, numel, shape, stride=None, offset=0, kind="FloatStorage", rebuild="_rebuild_tensor_v2"):
        if stride is None:
            stride = [product(shape[i + 1 :]) for i in range(len(shape))]
        self.raw(f"ctorch._utils\n{rebuild}\n((".encode()).text("storage").raw(f"ctorch\n{kind}\n".encode())
        self.text(key).text("cpu").int(numel).raw(b"tQ").int(offset).ints(shape).ints(stride)
        return self.raw(b"\x89ccollections\nOrderedDict\n)RtR")

    def done(self):
        return bytes(self.code) + b"."


def state_dict(entries, around=("", "")):
    """The pickle of a dict of `(name, write)`, where `write` adds the value to the pickle."""
    pickle = Pickle().raw(b"}(")
    for name, write in entries:
        write(pickle.text(name))
    return pickle.raw(b"u").done()


def checkpoint(pickle, storages, root="archive/", method=0, more=(), **options):
    """A file of torch.save."""
    entries = [(f"{root}data.pkl", pickle)] + [(f"{root}data/{key}", content) for key, content in storages]
    return zipped(entries + [(root + name, content) for name, content in more], method, **options)


def varint(number):
    number %= 1 << 64
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def message(*fields):
    """A protobuf message of `(number, value)`: an integer, a float, a text or the bytes of another message."""
    parts = []
    for number, value in fields:
        if isinstance(value, int):
            parts.append(varint(number << 3) + varint(value))
        elif isinstance(value, float):
            parts.append(varint(number << 3 | 5) + struct.pack("<f", value))
        else:
            value = value.encode() if isinstance(value, str) else value
            parts.append(varint(number << 3 | 2) + varint(len(value)) + value)
    return b"".join(parts)


def attribute(name, value):
    """An attribute of a node; bytes are a tensor, and a tuple `(graph,)` is a graph."""
    if isinstance(value, tuple):
        return message((1, name), (6, value[0]), (20, 5))
    if isinstance(value, bytes):
        return message((1, name), (5, value), (20, 4))
    if isinstance(value, str):
        return message((1, name), (4, value), (20, 3))
    if isinstance(value, float):
        return message((1, name), (2, value), (20, 1))
    if isinstance(value, int):
        return message((1, name), (3, value), (20, 2))
    if value and isinstance(value[0], float):
        return message((1, name), *[(7, number) for number in value], (20, 6))
    return message((1, name), (8, b"".join(varint(number) for number in value)), (20, 7))


def node(operator, inputs, outputs, domain="", name="", **settings):
    """`inputs` and `outputs` are names between spaces."""
    fields = [(1, one) for one in inputs.split()] + [(2, one) for one in outputs.split()] + [(4, operator)]
    fields += [(5, attribute(key, value)) for key, value in settings.items()]
    return message(*fields, *([(7, domain)] if domain else []), *([(3, name)] if name else []))


def constant(name, sides, content, kind=1):
    """An initializer of raw bytes, or of f32 numbers in a list."""
    if isinstance(content, list):
        content = floats(content) if kind == 1 else struct.pack(f"<{len(content)}q", *content)
    return message(*[(1, side) for side in sides], (2, kind), (8, name), (9, content))


def value(name, sides, kind=1):
    """A `ValueInfoProto`; a side is a number, or a text for any number."""
    dims = [(1, message((1, side)) if isinstance(side, int) else message((2, side))) for side in sides]
    return message((1, name), (2, message((1, message((1, kind), (2, message(*dims)))))))


def graph(nodes, constants=(), inputs=None, outputs=None):
    inputs = [value("x", ["N", 1, 8, 8])] if inputs is None else inputs
    outputs = [value("y", ["N", 10])] if outputs is None else outputs
    return message(
        *[(1, one) for one in nodes],
        *[(5, one) for one in constants],
        *[(11, one) for one in inputs],
        *[(12, one) for one in outputs],
    )


def onnx(content, opset=13, ir=8, more=()):
    sets = () if opset is None else ((8, message((1, ""), (2, opset))),)
    return message(*(() if ir is None else ((1, ir),)), (7, content), *sets, *more)


def head(name="h"):
    """The end of a network for the digits: from `h` of sides [N, 1, 8, 8] to ten logits."""
    weight = constant("w", [64, 10], [((7 * i) % 13 - 6) / 20 for i in range(640)])
    return [node("Flatten", name, "flat"), node("MatMul", "flat w", "y")], [weight]


def network(nodes=(), constants=(), last="x", **options):
    """A network for the digits whose nodes before the end are these."""
    end, weight = head(last)
    return onnx(graph([*nodes, *end], [*constants, *weight]), **options)
