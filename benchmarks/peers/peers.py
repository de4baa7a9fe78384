"""PyTorch, torchattacks and foolbox beside epsball, in turn, on the same weights, images and number
of threads. README.md says what is compared; run.sh prepares everything and calls this."""

import argparse
import copy
import csv
import gzip
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Callable

ROOT = Path(__file__).resolve().parents[2]

# Before PyTorch is loaded: its thread pools read them once.
THREADS = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
THREADS.add_argument("--threads", type=int, default=2, help="for both sides (default 2)")
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = str(THREADS.parse_known_args()[0].threads)

import torch
from safetensors.torch import load_file
from torch.nn import functional as F

# One compiled form for each size of batch, gradients or none, that a line tries.
torch._dynamo.config.recompile_limit = 64

from autoattack import autoattack
from networks import (
    PreActResNet18, SmallCNN, WideResNet, of_torchvision, random_weights, write_model,
)  # fmt: skip

FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}

# How PyTorch may run a network: in each memory format, as it is and compiled.
WAYS = {
    **{name: (format, False) for name, format in FORMATS.items()},
    **{f"{name}, compiled": (format, True) for name, format in FORMATS.items()},
}

# Lines 9 to 11: title, name in torchvision, architecture of epsball.
IMAGENET = {
    9: ("ResNet-50 224x224", "resnet50", "imagenet-resnet-50"),
    10: ("ConvNeXt-T 224x224", "convnext_tiny", "torchvision-convnext"),
    11: ("ViT-B/16 224x224", "vit_b_16", "torchvision-vit-base-16"),
}

# The works at full size and, to see that everything works, small.
SIZES = {
    "full": dict(
        preact=(32, 3), wide=(8, 2), small=(100, 20), pgd=(1000, 40), cw=(100, 9, 200),
        smoothing=(20, 10_000), autoattack=100, product=(1024, 2048), imagenet=(16, 1),
    ),
    "quick": dict(
        preact=(4, 1), wide=(2, 1), small=(10, 2), pgd=(50, 5), cw=(5, 3, 20),
        smoothing=(2, 2000), autoattack=1, product=(256,), imagenet=(2, 1),
    ),
}  # fmt: skip


def say(text):
    print(text, file=sys.stderr, flush=True)


class Side:
    """epsball's program at the other end of two pipes."""

    def __init__(self, program, folder, threads, device="cpu"):
        self.process = subprocess.Popen(
            [program, folder, str(threads), device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.version = self.read()["version"]

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit("epsball's side has ended; its message stands above")
        return json.loads(line)

    def ask(self, **order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return self.read()


@dataclass
class Line:
    """One piece of work, for epsball as an order and for each peer as a function that returns
    seconds and an answer."""

    number: int
    work: str
    order: dict
    peers: dict[str, Callable]
    # Other works of epsball that are timed in the same rounds, beside the same peers, by name.
    also: dict[str, dict] = field(default_factory=dict)
    # Whether the answers of epsball and of a peer agree, in words.
    check: Callable = lambda own, peer: ""
    # Forward passes' worth of arithmetic: images, twice with a gradient.
    passes: int = 0
    # Where epsball leaves its tensors, written before the measured rounds.
    results: Path | None = None


def timed(work, repeat=1):
    start = time.perf_counter()
    for _ in range(repeat):
        answer = work()
    return (time.perf_counter() - start) / repeat, answer


def fastest(what, candidates):
    """The name of the fastest of several ways to do the same work. A way that fails, such as compilation
    without a C++ compiler, is left out, said so."""
    seconds = dict.fromkeys(candidates, math.inf)
    for _ in range(3):
        for name, work in candidates.items():
            try:
                seconds[name] = min(seconds[name], timed(work)[0])
            except Exception as error:
                say(f"  left out: {name}: {type(error).__name__}: {str(error).splitlines()[0]}")
    best = min(seconds, key=seconds.get)
    found = ", ".join(f"{name} {took:.4g} s" for name, took in seconds.items())
    say(f"  PyTorch's fastest way to {what}: {best} (of {found})")
    return best


class Frozen:
    """A network as PyTorch runs it best: evaluation mode, no gradients of weights, and a copy for
    each of `WAYS`, of which every work takes the fastest; in bf16 under autocast."""

    def __init__(self, module, precision="f32"):
        self.precision = precision
        module = module.eval().requires_grad_(False)
        self.copies = {}
        for name, (format, compiled) in WAYS.items():
            twin = copy.deepcopy(module).to(memory_format=format)
            # Static shapes: the works that try compiled forms keep their batches. Compiled when it is first called.
            self.copies[name] = torch.compile(twin, dynamic=False) if compiled else twin

    def logits(self, format, images):
        with torch.inference_mode(), self.autocast():
            return self.copies[format](images).float()

    def gradient(self, format, images, labels):
        images = images.detach().requires_grad_(True)
        with self.autocast():
            logits = self.copies[format](images).float()
        loss = F.cross_entropy(logits, labels, reduction="sum")
        return logits.detach(), torch.autograd.grad(loss, images)[0]

    def autocast(self):
        return torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16")

    def fastest(self, what, work, ways=WAYS):
        return fastest(what, {way: lambda w=way: work(w) for way in ways})


def network_line(number, title, folder, name, frozen, images, labels, size, gradient):
    """Logits, or logits and the input gradient, of one batch."""
    batch, repeat = size
    images, labels = images[:batch], labels[:batch]
    inputs = {way: images.contiguous(memory_format=format) for way, (format, _) in WAYS.items()}
    what = "logits + input gradient" if gradient else "logits"

    def work(format):
        if gradient:
            return frozen.gradient(format, inputs[format], labels)
        return frozen.logits(format, inputs[format]), None

    format = frozen.fastest(f"{title}, {what}", work)
    results = folder / f"{name}.results.safetensors"

    def check(_, peer):
        logits, slope = peer
        ours = load_file(results)
        apart = relative(ours["logits"], logits)
        # A number is stored in bf16 within 2^-8 of itself, and layers add up.
        near = {"f32": 1e-4, "bf16": 5e-2}[frozen.precision]
        same, text = apart.max() <= near, f"logits {apart.max():.0e} apart"
        if gradient and frozen.precision == "bf16":
            # ReLUs of both sides round to other sides of zero in other places.
            apart = relative(ours["gradient"], slope)
            text += f", gradients {apart.median():.0e} (median)"
        elif gradient:
            # A ReLU whose input rounds to the other side of zero changes the gradient of its image;
            # in a network with millions of them, of most images.
            apart = relative(ours["gradient"], slope)
            same = same and apart.median() <= 1e-2 and apart.max() <= 5e-2
            text += f", gradients {apart.median():.0e} (median), {apart.max():.0e} (largest)"
        return f"{'same' if same else 'DIFFERENT'}: {text}"

    return Line(
        number=number,
        work=f"{title}, batch {batch}: {what}"
        + (" (bf16 on both sides)" if frozen.precision == "bf16" else ""),
        order=dict(
            work="gradient" if gradient else "logits", network=name, images=batch, repeat=repeat
        ),
        peers={f"PyTorch ({format})": lambda: timed(lambda: work(format), repeat)},
        check=check,
        passes=batch * (2 if gradient else 1),
        results=results,
    )


def relative(ours, theirs):
    """Length of the difference of each image, in lengths of the peer's."""
    return (ours - theirs).flatten(1).norm(dim=1) / theirs.flatten(1).norm(dim=1)


def pgd_line(frozen, images, labels, size):
    import foolbox
    import torchattacks

    count, steps = size
    images, labels = images[:count], labels[:count]
    batches = [batch for batch in (50, 100, 250, 1000) if batch <= count]
    ways = {f"{way}, batches of {b}": (way, b) for way in WAYS for b in batches}

    def gradients(format, batch):
        for x, y in zip(images.split(batch), labels.split(batch)):
            frozen.gradient(format, x, y)

    best = fastest("PGD", {way: lambda w=w: gradients(*w) for way, w in ways.items()})
    format, batch = ways[best]
    module = frozen.copies[format]

    def with_foolbox():
        model = foolbox.PyTorchModel(module, bounds=(0, 1), device="cpu")
        attack = foolbox.attacks.LinfPGD(abs_stepsize=0.01, steps=steps, random_start=True)
        robust = 0
        for x, y in zip(images.split(batch), labels.split(batch)):
            robust += int((~attack(model, x, y, epsilons=0.3)[2]).sum())
        return robust

    def with_torchattacks():
        attack = torchattacks.PGD(module, eps=0.3, alpha=0.01, steps=steps, random_start=True)
        robust = 0
        for x, y in zip(images.split(batch), labels.split(batch)):
            adversarial = attack(x, y)
            robust += int((frozen.logits(format, adversarial).argmax(1) == y).sum())
        return robust

    def check(own, peer):
        # Different random starts break a few different images.
        verdict = "same" if abs(own["robust"] - peer) <= max(2, count // 100) else "DIFFERENT"
        text = f"{verdict}: robust {own['robust']}, peer {peer}"
        return text + f"; epsball does not attack the {own['misclassified']} misclassified"

    return Line(
        number=5,
        work=f"PGD-{steps}, Linf .3, alpha .01, {count} MNIST images, all steps",
        order=dict(
            work="attack",
            network="small",
            images=count,
            attack="pgd",
            norm="Linf",
            eps=0.3,
            parameters=dict(steps=str(steps), alpha="0.01", iterate="last"),
        ),
        peers={
            f"foolbox ({best})": lambda: timed(with_foolbox),
            f"torchattacks ({best})": lambda: timed(with_torchattacks),
        },
        check=check,
    )


def cw_line(frozen, images, labels, size, abort_early):
    import foolbox

    count, searches, steps = size
    images, labels = images[:count], labels[:count]
    format = frozen.fastest("CW-L2", lambda f: frozen.gradient(f, images, labels))

    def with_foolbox():
        model = foolbox.PyTorchModel(frozen.copies[format], bounds=(0, 1), device="cpu")
        attack = foolbox.attacks.L2CarliniWagnerAttack(
            binary_search_steps=searches,
            steps=steps,
            stepsize=0.1,
            initial_const=0.1,
            abort_early=abort_early,
        )
        _, adversarial, success = attack(model, images, labels, epsilons=None)
        distances = (adversarial - images).flatten(1).norm(dim=1)[success]
        return int(success.sum()), distances.mean().item() if len(distances) else None

    def check(own, peer):
        def words(found, distance):
            return f"{found} found" + (f", mean L2 {distance:.3f}" if found else "")

        ours = words(count - own["robust"], own.get("distance"))
        return f"epsball {ours}; foolbox {words(*peer)}"

    settings = "lr .1, c0 .1" + (", abort early" if abort_early else ", no abort")
    return Line(
        number=6,
        work=f"CW-L2 {searches} x {steps}, {settings}, {count} MNIST images",
        order=dict(
            work="attack",
            network="small",
            images=count,
            attack="cw-l2",
            norm="L2",
            eps=1.0,
            parameters=dict(
                binary_search_steps=str(searches),
                max_iterations=str(steps),
                learning_rate="0.1",
                initial_const="0.1",
                abort_early=str(abort_early).lower(),
            ),
        ),
        peers={f"foolbox ({format})": lambda: timed(with_foolbox)},
        check=check,
    )


def smoothing_line(frozen, images, size, sigma=0.25, batch=1000):
    count, samples = size
    images = images[:count]
    shape = (batch, *images.shape[1:])
    format = frozen.fastest("smoothing", lambda f: frozen.logits(f, torch.randn(shape)))

    @torch.inference_mode()
    def loop():
        counts = torch.zeros(count, 10, dtype=torch.int64)
        for image, row in zip(images, counts):
            for first in range(0, samples, batch):
                noise = torch.randn(min(batch, samples - first), *image.shape)
                noisy = noise.mul_(sigma).add_(image)
                row += frozen.copies[format](noisy).argmax(1).bincount(minlength=10)
        return counts

    def check(own, peer):
        ours = torch.tensor(own["counts"], dtype=torch.float64) / samples
        theirs = peer.double() / samples
        top = ours.argmax(1)
        same = int((top == theirs.argmax(1)).sum())
        p, q = (x.gather(1, top[:, None])[:, 0] for x in (ours, theirs))
        middle = (p + q) / 2
        # Of the difference of two binomial shares; one sample at least where both are all or none.
        deviation = (2 * middle * (1 - middle) / samples).sqrt().clamp(min=1 / samples)
        apart = ((p - q).abs() / deviation).max().item()
        verdict = "same" if same == count and apart < 5 else "DIFFERENT"
        text = f"{verdict}: top class of {same} of {count} images, "
        return text + f"its counts {apart:.1f} standard deviations apart at most"

    return Line(
        number=7,
        work=f"smoothing, sigma {sigma}, {samples} samples x {count} MNIST images",
        order=dict(
            work="smoothing",
            network="small",
            images=count,
            sigma=sigma,
            samples=samples,
            batch=batch,
        ),
        peers={f"PyTorch loop ({format}, batches of {batch})": lambda: timed(loop)},
        check=check,
    )


def autoattack_line(frozen, images, labels, count):
    """AutoAttack, and `fast`, which stands in for it, beside the four attacks in PyTorch."""
    images, labels = images[:count], labels[:count]
    # Not compiled: every image that falls is another shape of batch.
    format = frozen.fastest("AutoAttack", lambda f: frozen.gradient(f, images, labels), FORMATS)
    module = frozen.copies[format]

    def with_torch():
        return int(autoattack(module, images, labels, 0.3, lambda: None)[0].sum())

    def order(attack):
        threat = dict(norm="Linf", eps=0.3, parameters={})
        return dict(work="attack", network="small", images=count, attack=attack, **threat)

    def work(attack):
        return f"{attack}, Linf .3, first {count} MNIST images"

    return Line(
        number=8,
        work=work("autoattack"),
        order=order("autoattack"),
        also={work("fast"): order("fast")},
        peers={f"the four attacks in PyTorch ({format})": lambda: timed(with_torch)},
        # Other random numbers: counts are close, not equal.
        check=lambda own, peer: f"robust {own['robust']} of {count}, peer {peer}",
    )


def torch_product(sizes):
    """GFLOP/s of torch.mm, the best of several sizes and tries."""
    best = 0.0
    with torch.inference_mode():
        for size in sizes:
            a, b = torch.rand(size, size), torch.rand(size, size)
            out = torch.empty(size, size)
            for _ in range(15):
                best = max(best, 2 * size**3 / timed(lambda: torch.mm(a, b, out=out))[0] / 1e9)
    return best


def measure(line, side, other, rounds):
    """Rows of the table: epsball, another build of it if one was given, and the peers in turn,
    once a round."""
    say(f"line {line.number}: {line.work}")
    if line.results:
        # Warms all sides up and shows whether they compute the same.
        for program in filter(None, (other, side)):
            program.ask(**{**line.order, "repeat": 1, "results": str(line.results)})
        for peer in line.peers.values():
            peer()
    orders = {line.work: line.order, **line.also}
    own = {work: lambda order=order: answer_of(side, order) for work, order in orders.items()}
    before = {work: lambda order=order: answer_of(other, order) for work, order in orders.items()}
    turns = {"peer": line.peers, "other": before if other else {}, "own": own}
    titles = {"peer": "{}", "other": "the other build, {}", "own": "epsball, {}"}
    seconds, answers = {}, {}
    for round in range(1, rounds + 1):
        for who, works in turns.items():
            for name, work in works.items():
                # The threads of the side that has just computed wait for more in a loop for a moment.
                time.sleep(0.1)
                took, answers[who, name] = work()
                seconds.setdefault((who, name), []).append(took)
        times = [
            f"{titles[who].format(name)} {took[-1]:.4g} s" for (who, name), took in seconds.items()
        ]
        say(f"  round {round} of {rounds}: " + ", ".join(times))

    def row(work, peer):
        answer = answers["own", work]
        ours, earlier, theirs = (
            statistics.median(seconds[key]) if key in seconds else None
            for key in (("own", work), ("other", work), ("peer", peer))
        )
        operations = 2 * answer["multiply_adds"] * line.passes
        return {
            "line": line.number,
            "work": work,
            "peer": peer,
            "epsball_seconds": ours,
            "peer_seconds": theirs,
            "ratio": ours / theirs if theirs else None,
            "other_build_seconds": earlier,
            "other_build_ratio": ours / earlier if earlier else None,
            "epsball_gflops": operations / ours / 1e9 if operations else None,
            "peer_gflops": operations / theirs / 1e9 if operations and theirs else None,
            "check": line.check(answer, answers.get(("peer", peer))),
        }

    return [row(work, peer) for work in orders for peer in line.peers]


def answer_of(side, order):
    answer = side.ask(**order)
    return answer["seconds"], answer


def product_row(side, sizes, rounds):
    own, peer = 0.0, 0.0
    for _ in range(rounds):
        peer = max(peer, torch_product(sizes))
        time.sleep(0.1)
        own = max(own, side.ask(work="product")["gflops"])
    return {
        "line": "",
        "work": "peak of matrix products: the engine's own, torch.mm",
        "peer": "PyTorch",
        "epsball_gflops": own,
        "peer_gflops": peer,
    }


COLUMNS = {
    "line": ("#", str),
    "work": ("work", str),
    "peer": ("peer", str),
    "epsball_seconds": ("epsball s", "{:.4g}".format),
    "peer_seconds": ("peer s", "{:.4g}".format),
    "ratio": ("ratio", "{:.3f}".format),
    "other_build_seconds": ("other build s", "{:.4g}".format),
    "other_build_ratio": ("ratio to it", "{:.3f}".format),
    "epsball_gflops": ("epsball GFLOP/s", "{:.0f}".format),
    "peer_gflops": ("peer GFLOP/s", "{:.0f}".format),
    "check": ("check", str),
}


def print_table(rows):
    table = [[title for title, _ in COLUMNS.values()]]
    for row in rows:
        table.append(
            ["" if row.get(key) is None else form(row[key]) for key, (_, form) in COLUMNS.items()]
        )
    widths = [max(map(len, column)) for column in zip(*table)]
    table.insert(1, ["-" * width for width in widths])
    for cells in table:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths)) + " |")


def write_table(path, rows, facts):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, [*COLUMNS, *facts], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            digits = {k: f"{v:.6g}" for k, v in row.items() if isinstance(v, float)}
            writer.writerow({**row, **digits, **facts})
    say(f"written to {path}")


def processor():
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def version_of(package):
    """Its version; nothing if it is not installed, which lines that need it will say."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def commit():
    """The commit of this checkout, with a + if files differ from it."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        found = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        found = ""
    # A machine with a GPU may have neither git nor a checkout: scripts/gpu-build.sh writes down what was built.
    return os.environ.get("EPSBALL_COMMIT") or found


def read_idx(path):
    """Images or labels of MNIST."""
    data = Path(path).read_bytes()
    data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    shape = [int.from_bytes(data[i : i + 4], "big") for i in range(4, 4 + 4 * data[3], 4)]
    return torch.frombuffer(bytearray(data[4 + 4 * data[3] :]), dtype=torch.uint8).view(shape)


def read_mnist(path, count):
    """The first images of an IDX file, `[N, 1, 28, 28]` in [0, 1], and the labels beside it."""
    path = Path(path)
    name = path.name.replace("images", "labels").replace("idx3", "idx1")
    images = read_idx(path)[:count].unsqueeze(1).float() / 255
    return images.contiguous(), read_idx(path.with_name(name))[:count].long()


def lines(arguments, folder):
    """Every line that was asked for, prepared when its turn comes."""
    sizes = SIZES["quick" if arguments.quick else "full"]
    everything = {*range(1, 12)} if arguments.autoattack else {*range(1, 12)} - {8}
    wanted = arguments.only or everything

    if wanted & {1, 2, 3}:
        generator = torch.Generator().manual_seed(0)
        images = torch.rand(32, 3, 32, 32, generator=generator)
        labels = torch.randint(10, (32,), generator=generator)
    if wanted & {1, 2}:
        module = random_weights(PreActResNet18, images, 0)
        write_model(folder / "preact", module, "preact-resnet-18", {}, images, labels)
        frozen = Frozen(module, arguments.precision)
        for number, gradient in ((1, False), (2, True)):
            if number in wanted:
                yield network_line(
                    number, "PreActResNet-18 32x32", folder, "preact", frozen, images, labels,
                    sizes["preact"], gradient,
                )  # fmt: skip
    if 3 in wanted:
        module = random_weights(WideResNet, images[:8], 0)
        parameters = {"depth": 28, "widen_factor": 10}
        write_model(folder / "wide", module, "wide-resnet", parameters, images, labels)
        yield network_line(
            3, "WideResNet-28-10 32x32", folder, "wide", Frozen(module, arguments.precision), images,
            labels, sizes["wide"], True,
        )  # fmt: skip

    for number in sorted(wanted & IMAGENET.keys()):
        title, name, architecture = IMAGENET[number]
        size = sizes["imagenet"]
        generator = torch.Generator().manual_seed(0)
        images = torch.rand(size[0], 3, 224, 224, generator=generator)
        labels = torch.randint(1000, (size[0],), generator=generator)
        module = random_weights(lambda: of_torchvision(name), images, 0)
        write_model(folder / name, module, architecture, {}, images, labels, classes=1000)
        yield network_line(
            number, title, folder, name, Frozen(module, arguments.precision), images, labels, size,
            True,
        )  # fmt: skip

    if not wanted & {4, 5, 6, 7, 8}:
        return
    if not (arguments.trades_mnist and arguments.mnist):
        say("lines 4 to 8 are left out: they need --trades-mnist FILE and --mnist FILE")
        return
    module = SmallCNN()
    module.load_state_dict(load_file(arguments.trades_mnist))
    images, labels = read_mnist(arguments.mnist, 1000)
    write_model(folder / "small", module, "trades-small-cnn", {}, images, labels)
    frozen = Frozen(module)
    if 4 in wanted:
        yield network_line(
            4, "trades-mnist SmallCNN", folder, "small", Frozen(module, arguments.precision), images,
            labels, sizes["small"], True,
        )  # fmt: skip
    if 5 in wanted:
        yield pgd_line(frozen, images, labels, sizes["pgd"])
    if 6 in wanted:
        # The same work on both sides, and both with their default.
        for abort_early in (False, True):
            yield cw_line(frozen, images, labels, sizes["cw"], abort_early)
    if 7 in wanted:
        yield smoothing_line(frozen, images, sizes["smoothing"])
    if 8 in wanted:
        yield autoattack_line(frozen, images, labels, sizes["autoattack"])


def parse():
    parser = argparse.ArgumentParser(description=__doc__, parents=[THREADS], allow_abbrev=False)
    parser.add_argument("--side", required=True, help="epsball's program; run.sh builds it")
    parser.add_argument("--beside", metavar="PROGRAM", help="peers_side of another build, timed too")
    parser.add_argument("--work", type=Path, required=True, help="folder for weights and results")
    parser.add_argument("--rounds", type=int, default=5, help="measurements per line (default 5)")
    parser.add_argument("--only", metavar="1,4", help="these lines only")
    parser.add_argument("--trades-mnist", metavar="FILE", help="weights of lines 4 to 8, safetensors")
    parser.add_argument("--mnist", metavar="FILE", help="t10k-images-idx3-ubyte[.gz], labels beside it")
    parser.add_argument("--autoattack", action="store_true", help="line 8 too; takes minutes")
    parser.add_argument(
        "--precision", choices=("f32", "bf16"), default="f32",
        help="of epsball, and of PyTorch (autocast) in lines 1 to 4 and 9 to 11; attacks of others stay in f32",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it works")
    parser.add_argument("--name", help="of the CSV file; the processor and the threads by default")
    arguments = parser.parse_args()
    if arguments.threads < 1 or arguments.rounds < 1:
        parser.error("--threads and --rounds have to be at least 1")
    if arguments.only:
        try:
            arguments.only = {int(number) for number in arguments.only.split(",")}
        except ValueError:
            parser.error(f"--only {arguments.only}: give numbers from 1 to 11, such as 1,4")
        if not arguments.only <= {*range(1, 12)}:
            parser.error("--only: the lines have the numbers 1 to 11")
    for file in (arguments.trades_mnist, arguments.mnist):
        if file and not Path(file).is_file():
            parser.error(f"{file} is not a file")
    return arguments


def main():
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    side = Side(arguments.side, str(arguments.work), arguments.threads)
    other = arguments.beside and Side(arguments.beside, str(arguments.work), arguments.threads)
    for program in filter(None, (other, side)):
        program.ask(work="precision", precision=arguments.precision)
    facts = {
        "machine": f"{processor()}, {os.cpu_count()} processors",
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "precision": arguments.precision,
        "epsball": f"{side.version} {commit()}".strip(),
        "python": platform.python_version(),
        **{name: version_of(name) for name in ("torch", "torchvision", "torchattacks", "foolbox")},
    }
    say(", ".join(f"{name} {fact}" for name, fact in facts.items()))
    rows = []
    for line in lines(arguments, arguments.work):
        rows += measure(line, side, other, arguments.rounds)
    if not rows:
        sys.exit("nothing was measured")
    sizes = SIZES["quick" if arguments.quick else "full"]["product"]
    rows.append(product_row(side, sizes, arguments.rounds))
    print_table(rows)
    name = f"{processor()}-{arguments.threads}-threads"
    name = arguments.name or name + ("-bf16" if arguments.precision == "bf16" else "")
    name = re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")
    if arguments.quick and not arguments.name:
        say("no CSV of a quick run without --name")
    else:
        write_table(ROOT / "results" / "peers" / f"{name}.csv", rows, facts)


if __name__ == "__main__":
    main()
