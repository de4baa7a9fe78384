"""Suites: every field with values of wrong types and ranges, names that are not there, fields of one kind of work in an
entry of another, and files that are no files."""

from case import ACCEPTED, EITHER, PLACES, REFUSED, Case, folder, link, pipe, sparse
from formats import network, npy

ESCAPE = "\\u001b[2J\\u202e"
HEAD = 'name = "s"\n'
MODEL = '[[model]]\npath = "bundled:digits-pgd"\n'
DATA = '[[data]]\nspec = "digits:test"\nimages = { first = 20 }\n'
ATTACK = '[[attack]]\nattack = "fgsm"\nnorm = "Linf"\neps = 0.1\n'
SMOOTHING = '[[certificate]]\ncertificate = "cohen"\nsigma = 0.25\nn0 = 10\nn = 100\n'
BOUND = '[[certificate]]\ncertificate = "ibp"\nnorm = "Linf"\neps = 0.01\nsteps = 0\n'
PATCH = '[[certificate]]\ncertificate = "patchcleanser"\npatch = "2x2"\n'
CORRUPTION = '[[corruption]]\nfolder = "C"\nonly = ["fog"]\n'
WHOLE = HEAD + MODEL + DATA + ATTACK
STACKED = {"C/fog.npy": npy("|u1", "(5, 8, 8, 1)", bytes(320)), "C/labels.npy": npy("|u1", "(5,)", bytes(5))}


def suite(name, text, wanted=REFUSED, mention="suite.toml", options=(), **more):
    return Case(
        "suite",
        name,
        ["run", "suite.toml", "--dry-run", "-o", "out", *options],
        {"suite.toml": text, **more},
        wanted,
        mention,
    )


def edited(section, **changes):
    """A section with some of its lines changed; None takes a line out."""
    lines = []
    for line in section.splitlines():
        key = line.split(" = ")[0]
        change = changes.pop(key, line)
        if change is not None:
            lines.append(line if change is line else f"{key} = {change}")
    return "\n".join(lines + [f"{key} = {change}" for key, change in changes.items()]) + "\n"


def whole():
    """The suite as a whole: what contradicts itself, and texts that are no suites."""
    for name, text in (
        ("empty", ""),
        ("blank", "\n\n \n"),
        ("comment", "# nothing\n"),
        ("no-toml", "name = "),
        ("json", '{"name": "s"}'),
        ("page", "<!DOCTYPE html>"),
        ("not-utf8", b'name = "\xff\xfe"\n'),
        ("nul", WHOLE.replace("fgsm", "fg\0sm")),
        ("utf16", WHOLE.encode("utf-16")),
        ("control", WHOLE + "# \x1b[2J\n"),
        ("key-twice", HEAD + HEAD + MODEL + DATA + ATTACK),
        ("unclosed", WHOLE + "[[attack"),
        ("deep-list", WHOLE + "x = " + "[" * 100_000),
        ("deep-table", WHOLE + "x = " + "{ a = " * 100_000),
        ("deep-key", "a." * 100_000 + "b = 1\n" + WHOLE),
        ("deep-section", WHOLE + "[" + "a." * 100_000 + "b]\n"),
        ("long-line", HEAD + 'x = "' + "y" * 10_000_000 + '"\n'),
        ("many-keys", HEAD + "".join(f"k{i} = 1\n" for i in range(300_000))),
        ("nothing-to-do", HEAD + MODEL + DATA),
        ("no-model", HEAD + DATA + ATTACK),
        ("no-data", HEAD + MODEL + ATTACK),
        ("models-empty", HEAD + "model = []\n" + DATA + ATTACK),
        ("data-empty", HEAD + "data = []\n" + MODEL + ATTACK),
        ("model-table", HEAD + '[model]\npath = "a"\n' + DATA + ATTACK),
        ("unknown-section", WHOLE + "[[atack]]\n"),
        ("unknown-field", "modle = 3\n" + WHOLE),
        ("unknown-field-escapes", f'"{ESCAPE}" = 3\n' + WHOLE),
        ("name-missing", MODEL + DATA + ATTACK),
        ("name-empty", WHOLE.replace('"s"', '""')),
        ("name-path", WHOLE.replace('"s"', '"../../s"')),
        ("name-slash", WHOLE.replace('"s"', '"a/b"')),
        ("name-absolute", WHOLE.replace('"s"', '"/tmp/s"')),
        ("name-escapes", WHOLE.replace('"s"', f'"{ESCAPE}"')),
        ("name-formula", WHOLE.replace('"s"', '"=1+1"')),
        ("name-spaces", WHOLE.replace('"s"', '"  "')),
        ("seed-negative", "seed = -1\n" + WHOLE),
        ("seed-64-bits", "seed = 18446744073709551615\n" + WHOLE),
        ("seed-63-bits", "seed = 9223372036854775808\n" + WHOLE),
        ("batch-zero", "batch = 0\n" + WHOLE),
        ("batch-negative", "batch = -1\n" + WHOLE),
        ("memory-negative", "memory = -1.0\n" + WHOLE),
        ("memory-nan", "memory = nan\n" + WHOLE),
        ("device", 'device = "tpu"\n' + WHOLE),
        ("device-cuda", 'device = "cuda:99999999999999999999"\n' + WHOLE),
        ("device-escapes", f'device = "{ESCAPE}"\n' + WHOLE),
        ("precision", 'precision = "f8"\n' + WHOLE),
        ("precision-gpu", 'device = "cpu"\nprecision = "tf32"\n' + WHOLE),
        ("rng", 'rng = "dice"\n' + WHOLE),
        ("model-twice", HEAD + MODEL + MODEL + DATA + ATTACK),
        ("data-twice", HEAD + MODEL + DATA + DATA + ATTACK),
        ("attack-twice", WHOLE + ATTACK),
        ("same-job-under-two-labels", WHOLE + 'label = "a"\n' + ATTACK + 'label = "b"\n'),
        ("label-twice", WHOLE + 'label = "a"\n' + edited(ATTACK, eps="0.2") + 'label = "a"\n'),
        ("label-escapes", WHOLE + f'label = "{ESCAPE}"\n'),
        ("label-path", WHOLE + 'label = "../a"\n'),
        ("label-formula", WHOLE + 'label = "@SUM(A1)"\n'),
        ("models-unknown", WHOLE + 'models = ["nobody"]\n'),
        ("model-bundled", WHOLE.replace("digits-pgd", "digits-pdg")),
        ("model-missing", WHOLE.replace("bundled:digits-pgd", "nowhere.safetensors")),
        ("model-is-the-suite", WHOLE.replace("bundled:digits-pgd", "suite.toml")),
        ("model-folder", WHOLE.replace("bundled:digits-pgd", ".")),
        ("model-device", WHOLE.replace("bundled:digits-pgd", "/dev/zero")),
        ("model-escapes", WHOLE.replace("bundled:digits-pgd", ESCAPE)),
        ("model-nul", WHOLE.replace("bundled:digits-pgd", "a\\u0000b")),
        ("model-path-and-members", HEAD + MODEL + 'members = ["bundled:digits-pgd"]\n' + DATA + ATTACK),
        ("model-nothing", HEAD + "[[model]]\n" + DATA + ATTACK),
        ("members-empty", HEAD + "[[model]]\nmembers = []\n" + DATA + ATTACK),
        ("members-missing", HEAD + '[[model]]\nmembers = ["a.onnx"]\n' + DATA + ATTACK),
        ("average-alone", HEAD + MODEL + 'average = "logits"\n' + DATA + ATTACK),
        ("average-unknown", HEAD + MODEL + 'average = "sum"\n' + DATA + ATTACK),
        ("model-arch", HEAD + MODEL + 'arch = "resnet-50"\n' + DATA + ATTACK),
        ("model-arch-unknown", HEAD + MODEL + 'arch = "resnet-51"\n' + DATA + ATTACK),
        ("model-onnx", HEAD + MODEL + 'onnx = { layout = "nhwc" }\n' + DATA + ATTACK),
        ("model-onnx-field", HEAD + MODEL + "onnx = { colour = 1 }\n" + DATA + ATTACK),
        ("model-published", HEAD + MODEL + 'published = "cifar10-linf/Nobody"\n' + DATA + ATTACK),
        ("model-published-path", HEAD + MODEL + 'published = "../../etc/passwd"\n' + DATA + ATTACK),
        ("model-data", HEAD + MODEL + 'data = "nowhere"\n' + DATA + ATTACK),
        ("model-eps-norms", HEAD + MODEL + "eps = 0.1\n" + DATA + ATTACK + edited(ATTACK, norm='"L2"')),
        ("model-name-escapes", HEAD + MODEL + f'name = "{ESCAPE}"\n' + DATA + ATTACK),
        ("model-name-path", HEAD + MODEL + 'name = "../m"\n' + DATA + ATTACK),
        ("hub", WHOLE.replace("bundled:digits-pgd", "hf:owner/../name")),
        ("data-unknown", WHOLE.replace("digits:test", "digit:test")),
        ("data-split", WHOLE.replace("digits:test", "digits:middle")),
        ("data-empty-text", WHOLE.replace("digits:test", "")),
        ("data-missing", WHOLE.replace("digits:test", "npy:nowhere.npy")),
        ("data-is-the-suite", WHOLE.replace("digits:test", "npy:suite.toml,suite.toml")),
        ("data-escapes", WHOLE.replace("digits:test", ESCAPE)),
        ("data-name-path", HEAD + MODEL + DATA + 'name = "a/../b"\n' + ATTACK),
        ("images-many", WHOLE.replace("first = 20", "first = 361")),
        ("images-none", WHOLE.replace("first = 20", "first = 0")),
        ("images-huge", WHOLE.replace("first = 20", f"first = {2**63 - 1}")),
        ("images-every-zero", WHOLE.replace("first = 20", "every = 0")),
        ("images-indices-none", WHOLE.replace("first = 20", "indices = []")),
        ("images-indices-twice", WHOLE.replace("first = 20", "indices = [1, 1]")),
        ("images-indices-beyond", WHOLE.replace("first = 20", "indices = [360]")),
        ("images-indices-negative", WHOLE.replace("first = 20", "indices = [-1]")),
        ("images-two", WHOLE.replace("first = 20", "first = 20, every = 2")),
        ("images-unknown", WHOLE.replace("first = 20", "last = 20")),
        ("skip-all", "skip_missing = true\n" + WHOLE.replace("bundled:digits-pgd", "nowhere")),
        ("cluster-unknown", WHOLE + "[cluster]\nqueue = 1\n"),
        ("cluster-cpus", WHOLE + "[cluster]\ncpus = -1\n"),
        ("cluster-list", WHOLE + "[[cluster]]\ncpus = 1\n"),
        ("patch-suite-label", HEAD + MODEL + DATA + '[[attack]]\nattack = "patch-suite"\npatch = "2x2"\nlabel = "a"\n'),
        (
            "patch-suite-unknown",
            HEAD
            + MODEL
            + DATA
            + '[[attack]]\nattack = "patch-suite"\npatch = "2x2"\nparameters = { pgd = { steps = 3 } }\n',
        ),
        (
            "patch-suite-text",
            HEAD + MODEL + DATA + '[[attack]]\nattack = "patch-suite"\npatch = "2x2"\nparameters = { roa = 3 }\n',
        ),
        ("certificate-as-attack", HEAD + MODEL + DATA + SMOOTHING.replace("certificate", "attack")),
        ("attack-as-certificate", HEAD + MODEL + DATA + ATTACK.replace("attack", "certificate")),
        ("corruption-as-attack", HEAD + MODEL + DATA + CORRUPTION.replace("corruption", "attack")),
    ):
        yield name, text


def right():
    yield "plain", WHOLE
    yield "every-kind", WHOLE + SMOOTHING + BOUND + PATCH
    yield "corruption", HEAD + '[[model]]\npath = "net.onnx"\n' + '[[data]]\nspec = "cifar-c:C,fog,1"\n' + CORRUPTION
    yield "lists", HEAD + MODEL + DATA + edited(ATTACK, eps='["1/255", 0.1, 1e-3]')
    yield "unicode", HEAD.replace(
        '"s"', '"Größe 模型"'
    ) + MODEL + 'name = "ünï (ours)"\n' + DATA + 'name = "数"\n' + ATTACK + 'label = "α"\n'
    yield "windows-lines", WHOLE.replace("\n", "\r\n")
    yield "mark-at-the-start", "\ufeff" + WHOLE
    yield "everything", 'name = "s"\nseed = 7\nrng = "torch"\nbatch = 5\nmemory = 0.5\ndevice = "cpu"\nprecision = "f32"\nsave_adversarial = true\nskip_missing = true\n' + MODEL + DATA + ATTACK
    yield "cluster", WHOLE + '[cluster]\ncpus = 2\ntime = "01:00:00"\n'
    yield "own-eps", HEAD + MODEL + 'eps = "4/255"\ndata = "digits"\n' + DATA + ATTACK
    yield "same-name-twice", HEAD + MODEL + MODEL.replace("pgd", "trades") + DATA + ATTACK + edited(ATTACK, eps="0.2")


def cases():
    for name, text in whole():
        yield suite(
            f"whole-{name}",
            text,
            EITHER if name in LEFT_OPEN else REFUSED,
            mention="" if name in NOT_THE_SUITE else "suite.toml",
            **STACKED,
        )
    for name, text in right():
        yield suite(f"right-{name}", text, ACCEPTED, **STACKED, **{"net.onnx": network()})
    for name, make in PLACES:
        yield Case(
            "suite",
            f"place-{name}",
            ["run", "suite.toml", "--dry-run", "-o", "out"],
            {"suite.toml": make},
            REFUSED,
            "suite.toml",
        )
    yield Case(
        "suite",
        "sparse-of-8-gib",
        ["run", "suite.toml", "--dry-run", "-o", "out"],
        {"suite.toml": sparse(8 << 30)},
        REFUSED,
        "suite.toml",
    )
    for name, make in (("file", b"text"), ("pipe", pipe), ("loop", link("out")), ("device", link("/dev/null"))):
        yield Case(
            "suite",
            f"output-{name}",
            ["run", "suite.toml", "-o", "out"],
            {"suite.toml": WHOLE, "out": make},
            REFUSED,
            "out",
            (2, 3),
        )
    for name, make in (
        ("folder", folder),
        ("pipe", pipe),
        ("noise", bytes(range(256)) * 20),
        ("empty", b""),
        ("deep", b"a = " + b"[" * 100_000),
        ("sparse", sparse(8 << 30)),
    ):
        yield Case(
            "suite",
            f"record-{name}",
            ["run", "suite.toml", "-o", "out"],
            {"suite.toml": WHOLE, "out/run.toml": make},
            REFUSED,
            "run.toml",
            (2, 3),
        )
    yield Case(
        "suite",
        "run-for-real",
        ["run", "suite.toml", "-o", "out"],
        {"suite.toml": WHOLE + SMOOTHING + BOUND + PATCH},
        ACCEPTED,
    )
    for name, options in (
        ("shard-zero", ["--shard", "0/4"]),
        ("shard-beyond", ["--shard", "5/4"]),
        ("shard-text", ["--shard", "a/b"]),
        ("shard-huge", ["--shard", "1/99999999999999999999"]),
        ("rows-of-nothing", ["--rows-of", "nowhere"]),
        ("batch-zero", ["--batch", "0"]),
        ("memory", ["--memory", "nan"]),
        ("seed", ["--seed", "-1"]),
        ("threads-zero", ["--threads", "0"]),
        ("threads-many", ["--threads", "99999999999"]),
    ):
        yield suite(f"option-{name}", WHOLE, EITHER if name in LEFT_OPEN else REFUSED, "", options)


# Both answers are right.
LEFT_OPEN = {
    "smoothing-n-huge",
    "smoothing-n0-huge",
    "smoothing-n0-zero",
    "smoothing-alpha-tiny",
    "eps-whole-box",
    "parameter-huge",
    "parameter-restarts",
    "patches-k-huge",
    "corruption-first-none",
    "eps-hundred-thousand",
    "eps-twice",
    "whole-control",
    "control",
    "bound-steps-absurd",
    "bound-steps-huge",
    "patches-number",
    "parameter-text",
    "nul",
    "smoothing-levels-huge",
    "shard-huge",
    "threads-many",
    "norm-case",
    # A network of another run may be meant.
    "corruption-baseline-text",
    "corruption-baseline",
}
# What is said is about another file, or about the program.
NOT_THE_SUITE = {
    "model-missing",
    "model-is-the-suite",
    "model-folder",
    "model-device",
    "model-escapes",
    "members-missing",
    "data-missing",
    "model-nul",
    "skip-all",
    "model-path-text",
    "data-spec-text",
    "corruption-folder-text",
    "corruption-missing",
    "corruption-unknown",
    "corruption-specification",
    "model-onnx",
    "precision-gpu",
}
