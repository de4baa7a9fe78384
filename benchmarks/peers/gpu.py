"""epsball and PyTorch on the same GPU, in turn, on the same weights and images, with a target for each line of
the comparison. Needs epsball's side built with CUDA; scripts/gpu-suite.sh calls this, once for each part, so
that a part that fails or is cut off costs no other. `--device cpu` runs PyTorch on the CPU, to see that the
script works where there is no GPU."""

import argparse
import csv
import json
import statistics
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from autoattack import autoattack
from networks import PreActResNet18, ResNet110, SmallCNN, WideResNet, random_weights, write_model
from peers import Side, commit, read_mnist, relative, say

# `loops` and `autoattack`: images, and for the first also steps and queries. Everything of AutoAttack but the
# number of images is published.
SIZES = {
    "full": dict(
        wide=(28, 10, 512, 5), pgd=(1024, 40), deep=110, smoothing=(50, 10_000), autoattack=1000,
        loops=(1000, 40, 5000), matmul=(4096, 8192, 16384), rounds=5
    ),
    "quick": dict(
        wide=(10, 1, 4, 1), pgd=(2, 1), deep=8, smoothing=(2, 40), autoattack=1,
        loops=(4, 2, 5), matmul=(512,), rounds=1
    ),
}  # fmt: skip

# epsball's precisions and what a row calls them: beside bf16, PyTorch runs in tf32.
PRECISIONS = {"f32": "f32", "tf32": "tf32", "bf16": "bf16 (PyTorch: tf32)"}

# Whom rows stand beside.
LIBRARY, LOOP, AUTOATTACK, PRODUCT = "torchattacks.PGD", "PyTorch, own loop", "torchattacks, composed", "torch.mm"

# What each line of the comparison has to reach, by part, precision and peer: epsball's seconds over the peer's
# at most, or epsball's share at least. Lines that name no precision are judged in tf32 on both sides, PyTorch's
# own default for convolutions. Other rows are shown without a target.
TARGETS = {
    ("wide", "tf32", "PyTorch"): ("WideResNet-28-10, batch 512, logits + input gradient, tf32", "<= 1.0"),
    ("wide", "bf16", "PyTorch"): ("the same, epsball in bf16, PyTorch in tf32", "<= 0.5"),
    ("pgd", "tf32", LIBRARY): ("PGD-40, 1,024 images, ResNet-18, beside torchattacks", "<= 0.4"),
    ("autoattack", "f32", AUTOATTACK): ("AutoAttack standard, SmallCNN, 1,000 images", "<= 0.2"),
    ("smoothing", "tf32", "PyTorch"): ("smoothing, ResNet-110, 10,000 samples, 50 images", "<= 0.4"),
    ("wide", "bf16", PRODUCT): ("share of the bf16 matmul rate in WideResNet-28-10", ">= 0.4"),
}


class Card:
    """PyTorch's device."""

    def __init__(self, name):
        self.device = torch.device(name)
        torch.backends.cudnn.benchmark = True

    def precision(self, name):
        allowed = name != "f32"
        torch.backends.cuda.matmul.allow_tf32 = allowed
        torch.backends.cudnn.allow_tf32 = allowed

    def put(self, module, layout=torch.channels_last):
        module = module.eval().requires_grad_(False)
        return module.to(self.device, memory_format=layout)

    def faster(self, module, images, labels):
        """Puts `module` in the layout in which its gradients take less time."""
        seconds = {}
        for layout in (torch.contiguous_format, torch.channels_last):
            self.put(module, layout)
            work = lambda: gradient(module, images, labels)
            self.timed(work, 3)
            seconds[layout] = self.timed(work, 10)[0]
        best = min(seconds, key=seconds.get)
        self.put(module, best)
        return str(best).removeprefix("torch.")

    def timed(self, work, repeat=1):
        self.wait()
        start = time.perf_counter()
        for _ in range(repeat):
            answer = work()
        self.wait()
        return (time.perf_counter() - start) / repeat, answer

    def wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()


class Clock:
    """The time that a part has. Rounds, and then whole rows, are given up before it runs out."""

    def __init__(self, seconds):
        self.end = time.monotonic() + seconds

    def has(self, seconds):
        return time.monotonic() + seconds < self.end


class Table:
    """The rows of all parts in `pytorch.csv` and, for people, `pytorch.md`; written after every row, so that
    a run that is cut off leaves what it has measured. Rows of parts that are not run now stay."""

    COLUMNS = [
        "part", "work", "precision", "peer", "epsball_seconds", "peer_seconds", "ratio", "target", "verdict",
        "epsball_tflops", "check",
    ]  # fmt: skip
    KEY = ["part", "work", "precision", "peer"]

    def __init__(self, folder, facts, tiny):
        self.folder, self.facts, self.tiny = folder, facts, tiny
        self.rows, self.new = {}, set()
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "pytorch.csv").is_file():
            with open(folder / "pytorch.csv", newline="") as file:
                for row in csv.DictReader(file):
                    self.rows[self.key(row)] = row

    def key(self, row):
        return tuple(row[k] for k in self.KEY)

    def put(self, part, work, precision, peer, own, other, check, ratio=None, reduced="", **rest):
        """`reduced` says what is smaller than the target's line means."""
        if ratio is None and own and other:
            ratio = own / other
        row = dict(part=part, work=work, precision=precision, peer=peer, epsball_seconds=own, peer_seconds=other)
        _, target = TARGETS.get((part, precision, peer), ("", ""))
        row.update(ratio=ratio, target=target, verdict="", check=check, **rest)
        if target:
            row["verdict"] = self.verdict(target, ratio, reduced)
        row = {k: f"{v:.6g}" if isinstance(v, float) else "" if v is None else v for k, v in row.items()}
        self.rows[self.key(row)] = {**row, **self.facts}
        self.new.add(self.key(row))
        self.write()
        say(json.dumps(row))

    def verdict(self, target, ratio, reduced):
        if ratio is None:
            return "not measured"
        if self.tiny:
            return "tiny sizes"
        kind, number = target.split()
        met = ratio <= float(number) if kind == "<=" else ratio >= float(number)
        return ("met" if met else "missed") + (f" ({reduced})" if reduced else "")

    def finish(self, part):
        """Rows of this part that an earlier run had and this one has not are no longer what it measures; if this
        one has none at all, it was left out."""
        if not any(key[0] == part for key in self.new):
            return
        self.rows = {k: row for k, row in self.rows.items() if k[0] != part or k in self.new}
        self.write()

    def write(self):
        order = {name: place for place, name in enumerate(PARTS)}
        rows = sorted(self.rows.values(), key=lambda row: order.get(row["part"], len(order)))
        columns = list(dict.fromkeys([*self.COLUMNS, *self.facts]))
        with open(self.folder / "pytorch.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        with open(self.folder / "pytorch.md", "w") as file:
            file.write("| line | target | measured | |\n|---|---|---|---|\n")
            for key, (line, target) in TARGETS.items():
                row = next((row for row in rows if (row["part"], row["precision"], row["peer"]) == key), {})
                measured = f"{float(row['ratio']):.3g}" if row.get("ratio") else ""
                file.write(f"| {line} | {target} | {measured} | {row.get('verdict', 'not measured')} |\n")
            file.write("\n| work | precision | beside | epsball s | other s | ratio or share | target | | check |\n")
            file.write("|---|---|---|---|---|---|---|---|---|\n")
            for row in rows:
                numbers = [f"{float(row[k]):.4g}" if row[k] else "" for k in ("epsball_seconds", "peer_seconds", "ratio")]
                precision = PRECISIONS.get(row["precision"], row["precision"])
                cells = [row["work"], precision, row["peer"], *numbers, row["target"], row["verdict"], row["check"]]
                file.write("| " + " | ".join(cells) + " |\n")
            for facts in dict.fromkeys(tuple(row.get(k, "") for k in self.facts) for row in rows):
                file.write("\n" + ", ".join(f"{k} {v}" for k, v in zip(self.facts, facts)) + "\n")


def in_turn(clock, rounds, own, peers):
    """Medians of seconds, epsball's and each peer's, and the last answers. At least one round is measured."""
    ours, theirs = [], {name: [] for name in peers}
    for _ in range(rounds):
        start = time.monotonic()
        seconds, own_answer = own()
        ours.append(seconds)
        answers = {}
        for name, peer in peers.items():
            seconds, answers[name] = peer()
            theirs[name].append(seconds)
        if not clock.has(time.monotonic() - start):
            break
    return statistics.median(ours), own_answer, {n: (statistics.median(theirs[n]), answers[n]) for n in peers}


def gradient(module, images, labels):
    images = images.detach().requires_grad_(True)
    logits = module(images)
    loss = F.cross_entropy(logits, labels, reduction="sum")
    return logits.detach(), torch.autograd.grad(loss, images)[0]


def pgd(module, images, labels, eps, alpha, steps):
    """PGD with nothing but its steps, all on the device."""
    x = (images + torch.empty_like(images).uniform_(-eps, eps)).clamp(0, 1)
    for _ in range(steps):
        x = x + alpha * gradient(module, x, labels)[1].sign()
        x = (images + (x - images).clamp(-eps, eps)).clamp(0, 1)
    return robust(module, x, labels)


def library_pgd(module, images, labels, eps, alpha, steps):
    import torchattacks

    attack = torchattacks.PGD(module, eps=eps, alpha=alpha, steps=steps, random_start=True)
    return robust(module, attack(images, labels), labels)


@torch.no_grad()
def robust(module, images, labels):
    return int((module(images).argmax(1) == labels).sum())


@torch.inference_mode()
def smoothing(module, images, samples, sigma, batch):
    counts = torch.zeros(len(images), 10, dtype=torch.int64, device=images.device)
    for image, row in zip(images, counts):
        for first in range(0, samples, batch):
            noise = torch.randn(min(batch, samples - first), *image.shape, device=image.device)
            noisy = (image + sigma * noise).contiguous(memory_format=torch.channels_last)
            row += module(noisy).argmax(1).bincount(minlength=10)
    return counts.cpu()


def matmul_rate(card, dtype, sizes):
    """Operations per second of a square product, the best of several sizes and tries."""
    best = 0.0
    for size in sizes:
        a = torch.randn(size, size, device=card.device, dtype=dtype)
        b = torch.randn(size, size, device=card.device, dtype=dtype)
        card.timed(lambda: a @ b)
        best = max(best, *(2 * size**3 / card.timed(lambda: a @ b, 5)[0] for _ in range(5)))
    return best


class Comparison:
    """What the parts share."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.sizes = SIZES["quick" if arguments.quick else "full"]
        self.rounds = self.sizes["rounds"]
        self.card = Card(arguments.device)
        arguments.work.mkdir(parents=True, exist_ok=True)
        self.side = self.start()
        facts = dict(
            device=torch.cuda.get_device_name() if self.card.device.type == "cuda" else "cpu",
            torch=torch.__version__, cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version(),
            torchattacks=library(), epsball=f"{self.side.version} {commit()}".strip(),
        )  # fmt: skip
        self.table = Table(arguments.out, {k: str(v) for k, v in facts.items()}, arguments.quick)
        self.clock = Clock(arguments.seconds)
        self.has_library = bool(facts["torchattacks"])

    def start(self):
        arguments = self.arguments
        return Side(arguments.side, str(arguments.work), torch.get_num_threads(), arguments.own_device)

    def precisions(self):
        """tf32 first: targets are its and bf16's, and what comes last is given up first."""
        for name in ("tf32", "bf16", "f32"):
            if name == "bf16" and not self.knows(name):
                say("bf16 is left out: this program of epsball does not know it")
            elif not self.clock.has(0):
                say(f"{name} is left out: the part's time is over")
            else:
                self.precision(name)
                yield name

    def knows(self, precision):
        """Asked of a program of its own: one that does not know the word ends."""
        other = self.start()
        try:
            other.ask(work="precision", precision=precision)
            return True
        except (SystemExit, BrokenPipeError):
            return False
        finally:
            other.process.stdin.close()
            other.process.wait()

    def precision(self, name):
        self.card.precision(name)
        self.side.ask(work="precision", precision=name)

    def ask(self, **order):
        answer = self.side.ask(**order)
        return answer["seconds"], answer

    def random(self, count):
        """Images and labels, here and on PyTorch's device."""
        generator = torch.Generator().manual_seed(0)
        images = torch.rand(count, 3, 32, 32, generator=generator)
        labels = torch.randint(10, (count,), generator=generator)
        there = images.to(self.card.device).contiguous(memory_format=torch.channels_last)
        return images, labels, there, labels.to(self.card.device)

    def trades(self, count):
        """The TRADES network for MNIST on PyTorch's device with its first images; None without the files."""
        arguments = self.arguments
        if not (arguments.trades_mnist and arguments.mnist):
            say("left out: give --trades-mnist FILE and --mnist FILE")
            return None
        module = SmallCNN()
        module.load_state_dict(load_file(arguments.trades_mnist))
        images, labels = read_mnist(arguments.mnist, count)
        write_model(arguments.work / "small", module, "trades-small-cnn", {}, images, labels)
        return self.card.put(module), images.to(self.card.device), labels.to(self.card.device)


def library():
    """The version of torchattacks, if it is there and what it imports is."""
    try:
        import torchattacks
    except ImportError as error:
        say(f"no torchattacks: {error}")
        return ""
    return torchattacks.__version__


def wide(run):
    """WideResNet-28-10: logits and input gradient, and what share of the card's bf16 products that is."""
    depth, width, batch, repeat = run.sizes["wide"]
    images, labels, there, there_labels = run.random(batch)
    module = random_weights(lambda: WideResNet(depth, width), images[:8], 0)
    parameters = {"depth": depth, "widen_factor": width}
    write_model(run.arguments.work / "wide", module, "wide-resnet", parameters, images, labels)
    module = run.card.put(module)
    results = run.arguments.work / "wide.results.safetensors"
    order = dict(work="gradient", network="wide", images=batch, repeat=repeat)
    peer = lambda: run.card.timed(lambda: gradient(module, there, there_labels), repeat)
    for precision in run.precisions():
        # Warms both sides up and shows whether they compute the same.
        run.side.ask(**{**order, "repeat": 1, "results": str(results)})
        gradient(module, there, there_labels)
        mine, answer, others = in_turn(run.clock, run.rounds, lambda: run.ask(**order), {"PyTorch": peer})
        other, (logits, slope) = others["PyTorch"]
        ours = load_file(results)
        apart = relative(ours["logits"], logits.cpu()).max(), relative(ours["gradient"], slope.cpu()).median()
        # A multiplication and an addition, forward and once more for the gradient.
        rate = 2 * answer["multiply_adds"] * 2 * batch / mine
        run.table.put(
            "wide", f"WideResNet-{depth}-{width}, batch {batch}, logits + input gradient", precision, "PyTorch",
            mine, other, f"logits {apart[0]:.0e} apart, gradients {apart[1]:.0e} (median)",
            epsball_tflops=rate / 1e12,
        )  # fmt: skip
        if precision != "f32":
            # After the passes, so that the card is as warm for the one as for the other.
            dtype = {"tf32": torch.float32, "bf16": torch.bfloat16}[precision]
            peak = matmul_rate(run.card, dtype, run.sizes["matmul"])
            run.table.put(
                "wide", f"share of the {precision} matmul rate in it", precision, PRODUCT, None, None,
                f"{rate / 1e12:.4g} of {peak / 1e12:.4g} TFLOP/s", ratio=rate / peak,
                epsball_tflops=rate / 1e12,
            )  # fmt: skip


def pgd_part(run):
    """PGD on PreActResNet-18. PyTorch's transfers are left out, epsball's are in."""
    count, steps = run.sizes["pgd"]
    images, _, there, _ = run.random(max(count, 32))
    module = random_weights(PreActResNet18, images[:32], 0)
    images, there = images[:count], there[:count]
    run.card.precision("f32")
    module = run.card.put(module)
    with torch.no_grad():
        # What the network says, so that every image is attacked on both sides.
        here = torch.cat([module(part).argmax(1) for part in there.split(64)])
    write_model(run.arguments.work / "preact", module.cpu(), "preact-resnet-18", {}, images, here.cpu())
    module = run.card.put(module)
    parameters = dict(steps=str(steps), alpha=str(2 / 255), iterate="last")
    attack = dict(work="attack", network="preact", images=count, attack="pgd", norm="Linf", eps=8 / 255)
    ways = {LIBRARY: library_pgd, LOOP: pgd}
    if not run.has_library:
        say(f"{LIBRARY} is left out: torchattacks is not installed")
        del ways[LIBRARY]
    own = lambda: run.ask(**attack, parameters=parameters)
    for precision in run.precisions():
        peers = {
            name: lambda way=way: run.card.timed(lambda: way(module, there, here, 8 / 255, 2 / 255, steps))
            for name, way in ways.items()
        }
        in_turn(run.clock, 1, own, peers)
        mine, answer, others = in_turn(run.clock, run.rounds, own, peers)
        work = f"PGD-{steps}, {count} images, PreActResNet-18"
        for name, (other, left) in others.items():
            check = f"robust: epsball {answer['robust']}, PyTorch {left}"
            run.table.put("pgd", work, precision, name, mine, other, check)
        if not run.has_library:
            check = "left out: torchattacks is not installed"
            run.table.put("pgd", work, precision, LIBRARY, mine, None, check)


def smoothing_part(run):
    """Class counts under Gaussian noise with ResNet-110."""
    count, samples = run.sizes["smoothing"]
    images, labels, there, _ = run.random(max(count, 32))
    depth = run.sizes["deep"]
    module = random_weights(lambda: ResNet110(depth), images[:32], 0)
    write_model(run.arguments.work / "deep", module, "smoothing-resnet-110", {"depth": depth}, images, labels)
    module = run.card.put(module)
    there = there[:count].contiguous()
    order = dict(work="smoothing", network="deep", images=count, sigma=0.25, samples=samples, batch=1000)
    peer = lambda: run.card.timed(lambda: smoothing(module, there, samples, 0.25, 1000))
    for precision in run.precisions():
        run.side.ask(**{**order, "images": 1})
        smoothing(module, there[:1], samples, 0.25, 1000)
        rounds = min(run.rounds, 1 if precision == "f32" else 3)
        mine, answer, others = in_turn(run.clock, rounds, lambda: run.ask(**order), {"PyTorch": peer})
        other, counts = others["PyTorch"]
        apart = (torch.tensor(answer["counts"]) - counts).abs().max().item() / samples
        run.table.put(
            "smoothing", f"smoothing, ResNet-{depth}, {samples} samples x {count} images", precision, "PyTorch",
            mine, other, f"shares {apart:.4f} apart at most",
        )  # fmt: skip


def autoattack_part(run):
    """AutoAttack's standard version, f32 on both sides, 500 images at a time. PyTorch's run is timed once: it
    takes minutes. It does not look for algorithms: the number of images changes with every one that falls."""
    whole = run.sizes["autoattack"]
    count = min(whole, run.arguments.budget or whole)
    given = run.trades(whole)
    if given is None:
        return
    module, images, labels = given
    run.precision("f32")
    torch.backends.cudnn.benchmark = False
    work = f"AutoAttack standard, Linf .3, first {count} MNIST images, TRADES' SmallCNN"
    reduced = f"{count} of {whole} images" if count < whole else ""
    order = dict(work="attack", network="small", attack="autoattack", norm="Linf", eps=0.3)
    order.update(parameters=dict(batch_size="500"))
    if not run.arguments.quick:
        run.side.ask(**order, images=8)
    rounds = min(run.rounds, 3)
    mine, answer, _ = in_turn(Clock(run.arguments.seconds / 4), rounds, lambda: run.ask(**order, images=count), {})
    ours = f"robust: epsball {answer['robust']}"

    def row(other, check):
        run.table.put("autoattack", work, "f32", AUTOATTACK, mine, other, check, reduced=reduced)

    if not run.has_library:
        return row(None, f"{ours}; PyTorch left out: torchattacks is not installed")
    # Stands if PyTorch's run is cut off.
    row(None, f"{ours}; PyTorch's run did not end")
    layout = run.card.faster(module, images[:500], labels[:500])
    attack = lambda: autoattack(module, images[:count], labels[:count], 0.3, run.card.wait)
    other, (left, parts) = run.card.timed(attack)
    parts = ", ".join(f"{name} {left} in {seconds:.3g} s" for name, (left, seconds) in parts.items())
    row(other, f"{ours}, PyTorch {int(left.sum())} ({layout}; left after {parts})")


def loops(run):
    """What attacks make of small networks, where their own steps count as much as the passes: epsball alone."""
    count, steps, queries = run.sizes["loops"]
    if run.trades(count) is None:
        return
    run.precision("f32")
    pgd = dict(steps=str(steps), alpha="0.01", iterate="last")
    for name, attack, parameters in (
        (f"PGD-{steps}, all steps", "pgd", pgd),
        (f"Square, {queries} queries", "square", dict(n_queries=str(queries))),
    ):
        order = dict(work="attack", network="small", images=count, attack=attack, norm="Linf", eps=0.3)
        order.update(parameters=parameters)
        if not run.arguments.quick:
            run.side.ask(**order)
        mine, answer, _ = in_turn(run.clock, run.rounds, lambda: run.ask(**order), {})
        run.table.put(
            "loops", f"{name}, Linf .3, {count} MNIST images, TRADES' SmallCNN", "f32", "", mine, None,
            f"{count / mine:.4g} images per second, {answer['robust']} robust",
        )  # fmt: skip


PARTS = {"wide": wide, "pgd": pgd_part, "autoattack": autoattack_part, "smoothing": smoothing_part, "loops": loops}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", required=True, help="epsball's program, with CUDA")
    parser.add_argument("--work", type=Path, required=True, help="folder for weights and results")
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--part", choices=PARTS, action="append", help="this one only; may be repeated")
    parser.add_argument("--seconds", type=float, default=120, help="for each part; rounds and rows are cut to it")
    parser.add_argument("--budget", type=int, help="images of AutoAttack, on both sides (default 1000)")
    parser.add_argument("--trades-mnist", metavar="FILE", help="weights of the TRADES network, safetensors")
    parser.add_argument("--mnist", metavar="FILE", help="t10k-images-idx3-ubyte[.gz], labels beside it")
    parser.add_argument("--device", default="cuda", help="of PyTorch (default cuda)")
    parser.add_argument("--own-device", default="cuda", help="of epsball (default cuda)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it works")
    arguments = parser.parse_args()
    run = Comparison(arguments)
    for part in arguments.part or PARTS:
        say(f"part {part}")
        run.clock = Clock(arguments.seconds)
        if run.card.device.type == "cuda":
            # epsball's side shares the card.
            torch.cuda.empty_cache()
        PARTS[part](run)
        run.table.finish(part)
    sys.stdout.write((arguments.out / "pytorch.md").read_text())


if __name__ == "__main__":
    main()
