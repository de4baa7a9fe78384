"""How cost grows: seconds and peak memory of whole runs of the program over images, batches, classes, size of the
network, radii and threads. README.md in this folder has the settings and what they gave.

    python benchmarks/growth/growth.py --epsball target/release/epsball --work target/growth [--only images,classes]

numpy for `images` and `batch`; torch and safetensors too for `classes` and `size`, and for `radii` the SmallCNN of TRADES
(--trades-mnist) and MNIST's test images (--mnist)."""

import argparse
import csv
import os
import shutil
import struct
import sys
import time
from pathlib import Path

import numpy

HERE = Path(__file__).resolve().parent
DIGITS = HERE.parents[1] / "datasets" / "digits"


def write_idx(path, images, labels):
    """Images `[N, H, W]` of bytes as MNIST has them; returns the data set's name for the program."""
    stem = path.with_name(path.name + "-images-idx3-ubyte")
    n, height, width = images.shape
    stem.write_bytes(struct.pack(">IIII", 0x803, n, height, width) + images.astype("u1").tobytes())
    other = path.with_name(path.name + "-labels-idx1-ubyte")
    other.write_bytes(struct.pack(">II", 0x801, n) + labels.astype("u1").tobytes())
    return f"idx:{stem}"


def repeated(n):
    """`n` images: the 1,797 digits again and again, one value of each further round a level apart, so that no two are
    the same image."""
    images = numpy.load(DIGITS / "images.npy").reshape(-1, 8, 8).astype("f8")
    labels = numpy.load(DIGITS / "labels.npy")
    levels = numpy.rint(images * (255 / images.max())).astype("i8")
    which = numpy.arange(n) % len(levels)
    rounds = numpy.arange(n) // len(levels)
    taken = levels[which].reshape(n, 64)
    # Value number `round` of an image, up or down, wherever there is room.
    at, turn = (numpy.arange(n), rounds % 64), 1 + rounds // 64
    taken[at] += numpy.where(rounds == 0, 0, numpy.where(taken[at] < 128, turn, -turn))
    return taken.clip(0, 255).reshape(n, 8, 8), labels[which]


def run(epsball, work, arguments):
    """Seconds, peak memory in MB and the passes of a run of the program in a new folder."""
    out = work / "run"
    shutil.rmtree(out, ignore_errors=True)
    command = [str(epsball), "attack", *map(str, arguments), "--output", str(out)]
    began = time.perf_counter()
    pid = os.posix_spawn(
        command[0],
        command,
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, fd, str(work / "said"), os.O_WRONLY | os.O_CREAT, 0o600) for fd in (1, 2)],
    )
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - began
    if status:
        sys.exit(f"{' '.join(command)}: {(work / 'said').read_text()}")
    rows = []
    for table in out.glob("jobs/*/*.csv"):
        with open(table, newline="") as file:
            rows += csv.DictReader(line for line in file if not line.startswith("#"))
    passes = sum(int(row["forwards"]) + int(row["backwards"]) for row in rows)
    robust = sum(row["found"] == "0" for row in rows)
    return seconds, usage.ru_maxrss / 1000, passes, robust


class Growth:
    """The measurements, a line of the table each."""

    def __init__(self, given):
        self.given, self.work = given, given.work
        self.rows = []

    def measure(self, what, value, *arguments, rounds=None):
        """The median round of this call."""
        all = sorted(run(self.given.epsball, self.work, arguments) for _ in range(rounds or self.given.rounds))
        seconds, memory, passes, robust = all[len(all) // 2]
        self.rows.append((what, value, round(seconds, 3), round(memory), passes, robust))
        print(f"{what:28} {value!s:>10} {seconds:9.2f} s {memory:8.0f} MB {passes:11} passes {robust:6} robust", file=sys.stderr)

    def digits(self, n):
        images, labels = repeated(n)
        return write_idx(self.work / f"digits-{n}", images, labels)

    def images(self):
        for n in (100, 1000, 10_000, 100_000):
            data = ("-m", "bundled:digits-pgd", "-d", self.digits(n), "-a", "pgd", "--norm", "Linf", "--eps", 0.1)
            self.measure("images", n, *data)

    def threads(self):
        data = ("-m", "bundled:digits-pgd", "-d", self.digits(10_000), "-a", "pgd", "--norm", "Linf", "--eps", 0.1)
        for threads in (1, 2):
            self.measure("threads", threads, *data, "--threads", threads)

    def batch(self):
        """PGD-40, all steps, on few images at a time."""
        if not self.given.trades_mnist:
            return
        for batch in (1, 2, 4, 8, 16, 32, 64, 128):
            attack = ("-a", "pgd", "--norm", "Linf", "--eps", 0.1, "--set", "iterate=last")
            self.measure("batch", batch, *self.mnist(128), *attack, "--batch", batch)

    def classes(self):
        import torch

        sys.path.insert(0, str(HERE.parent / "peers"))
        import networks

        generator = numpy.random.default_rng(0)
        images = generator.integers(0, 256, (16, 28, 28))
        for classes in (10, 100, 1000):
            torch.manual_seed(classes)
            module = networks.SmallCNN()
            module.classifier.fc3 = torch.nn.Linear(200, classes)
            module.eval()
            pixels = torch.tensor(images[:, None] / 255, dtype=torch.float32)
            labels = self.own_labels(module, pixels)
            # A byte holds the label: images of the first 256 classes only.
            kept = labels < 256
            data = write_idx(self.work / f"noise-{classes}", images[kept][:8], labels[kept][:8])
            path = self.work / f"small-{classes}"
            networks.write_model(path, module, "trades-small-cnn", {}, pixels, torch.tensor(labels), classes)
            for attack in ("autoattack", "fast", "fab-t", "deepfool"):
                of = ("-m", f"{path}.safetensors", "-d", data, "-a", attack, "--norm", "Linf", "--eps", 0.001)
                more = ("--set", "control=0") if attack == "fast" else ()
                self.measure(f"classes, {attack}", classes, *of, *more)

    @staticmethod
    def own_labels(module, pixels):
        import torch

        with torch.inference_mode():
            return module(pixels).argmax(1).numpy()

    def size(self):
        import torch

        sys.path.insert(0, str(HERE.parent / "peers"))
        import networks

        generator = numpy.random.default_rng(0)
        images = generator.integers(0, 256, (16, 3, 32, 32))
        pixels = torch.tensor(images / 255, dtype=torch.float32)
        for factor in (1, 2, 4, 10):
            module = networks.random_weights(lambda: networks.WideResNet(28, factor), pixels, factor)
            labels = self.own_labels(module, pixels)
            path = self.work / f"wide-{factor}"
            parameters = {"depth": 28, "widen_factor": factor}
            networks.write_model(path, module, "wide-resnet", parameters, pixels, torch.tensor(labels))
            data = self.work / f"wide-{factor}.bin"
            records = [bytes([label]) + image.astype("u1").tobytes() for label, image in zip(labels, images)]
            data.write_bytes(b"".join(records))
            of = ("-m", f"{path}.safetensors", "-d", f"cifar10:{data}", "-a", "pgd", "--norm", "Linf", "--eps", 1e-6)
            weights = sum(parameter.numel() for parameter in module.parameters())
            self.measure(f"size, {weights / 1e6:.1f} M weights", factor, *of, "--set", "steps=10")

    def mnist(self, n):
        model = ("-m", self.given.trades_mnist, "--arch", "trades-small-cnn")
        return (*model, "-d", f"idx:{self.given.mnist}", "-n", n)

    def radii(self):
        if not self.given.trades_mnist:
            return
        radii = [0.1, 0.2, 0.25, 0.3, 0.35]
        for eps in radii:
            self.measure("radii, pgd", eps, *self.mnist(500), "-a", "pgd", "--norm", "Linf", "--eps", eps, rounds=1)
        sweep = ("-a", "pgd-sweep", "--norm", "Linf", "--eps", ",".join(map(str, radii)))
        self.measure("radii, pgd-sweep", "all", *self.mnist(500), *sweep, rounds=1)
        table = next((self.work / "run").glob("jobs/*/*.csv"))
        with open(table, newline="") as file:
            rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
        for eps in radii:
            left = sum(float(row["distance"]) > eps * (1 + 1e-6) for row in rows)
            self.rows.append(("radii, pgd-sweep", eps, "", "", "", left))
            print(f"{'radii, pgd-sweep':28} {eps!s:>10} {left:6} robust", file=sys.stderr)


ALL = ("images", "threads", "batch", "classes", "size", "radii")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--epsball", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", default=",".join(ALL))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trades-mnist", type=Path)
    parser.add_argument("--mnist", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    given.epsball = given.epsball.resolve()
    growth = Growth(given)
    for name in given.only.split(","):
        if name not in ALL:
            parser.error(f"{name} is none of {', '.join(ALL)}")
        getattr(growth, name)()
    out = open(given.out, "w", newline="") if given.out else sys.stdout
    table = csv.writer(out)
    table.writerow(["what", "value", "seconds", "peak MB", "passes", "robust"])
    table.writerows(growth.rows)


if __name__ == "__main__":
    main()
