"""epsball and PyTorch on the same GPU, in turn, on the same weights and images. Needs epsball's side
built with CUDA; scripts/gpu-suite.sh calls this. `--device cpu` runs PyTorch on the CPU, to see that the
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

from networks import PreActResNet18, ResNet110, WideResNet, random_weights, write_model
from peers import Side, relative, say

SIZES = {
    "full": dict(
        wide=(28, 10, 512, 10), pgd=(1024, 40), deep=110, smoothing=(50, 10_000), rounds=5
    ),
    "quick": dict(
        wide=(10, 1, 4, 1), pgd=(2, 1), deep=8, smoothing=(2, 40), rounds=1
    ),
}


# epsball's precisions and what a row calls them: beside bf16, PyTorch runs in tf32.
PRECISIONS = {"f32": "f32", "tf32": "tf32", "bf16": "bf16 (PyTorch: tf32)"}


class Card:
    """PyTorch's device."""

    def __init__(self, name):
        self.device = torch.device(name)
        torch.backends.cudnn.benchmark = True

    def precision(self, name):
        allowed = name != "f32"
        torch.backends.cuda.matmul.allow_tf32 = allowed
        torch.backends.cudnn.allow_tf32 = allowed

    def put(self, module):
        module = module.eval().requires_grad_(False)
        return module.to(self.device, memory_format=torch.channels_last)

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


def in_turn(rounds, own, peer):
    """Medians of seconds, and the last answers."""
    own(), peer()
    ours, theirs = [], []
    for _ in range(rounds):
        seconds, own_answer = own()
        ours.append(seconds)
        seconds, peer_answer = peer()
        theirs.append(seconds)
    return [statistics.median(ours), statistics.median(theirs)], own_answer, peer_answer


def gradient(module, images, labels):
    images = images.detach().requires_grad_(True)
    logits = module(images)
    loss = F.cross_entropy(logits, labels, reduction="sum")
    return logits.detach(), torch.autograd.grad(loss, images)[0]


def pgd(module, images, labels, eps, alpha, steps):
    """PGD as attack libraries write it, all on the device."""
    x = (images + torch.empty_like(images).uniform_(-eps, eps)).clamp(0, 1)
    for _ in range(steps):
        x = x + alpha * gradient(module, x, labels)[1].sign()
        x = (images + (x - images).clamp(-eps, eps)).clamp(0, 1)
    return int((module(x).argmax(1) == labels).sum())


@torch.inference_mode()
def smoothing(module, images, samples, sigma, batch):
    counts = torch.zeros(len(images), 10, dtype=torch.int64, device=images.device)
    for image, row in zip(images, counts):
        for first in range(0, samples, batch):
            noise = torch.randn(min(batch, samples - first), *image.shape, device=image.device)
            noisy = (image + sigma * noise).contiguous(memory_format=torch.channels_last)
            row += module(noisy).argmax(1).bincount(minlength=10)
    return counts.cpu()


def matmul_rate(card, dtype, size):
    a = torch.randn(size, size, device=card.device, dtype=dtype)
    b = torch.randn(size, size, device=card.device, dtype=dtype)
    card.timed(lambda: a @ b)
    return 2 * size**3 / min(card.timed(lambda: a @ b, 5)[0] for _ in range(5))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", required=True, help="epsball's program, with CUDA")
    parser.add_argument("--work", type=Path, required=True, help="folder for weights and results")
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--device", default="cuda", help="of PyTorch (default cuda)")
    parser.add_argument("--own-device", default="cuda", help="of epsball (default cuda)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it works")
    arguments = parser.parse_args()
    sizes = SIZES["quick" if arguments.quick else "full"]
    rounds = sizes["rounds"]
    card = Card(arguments.device)
    arguments.work.mkdir(parents=True, exist_ok=True)
    threads = torch.get_num_threads()
    side = Side(arguments.side, str(arguments.work), threads, arguments.own_device)
    rows = []

    def row(work, own, peer, check, **rest):
        ratio = own / peer if peer else None
        rows.append(dict(work=work, epsball_seconds=own, pytorch_seconds=peer, ratio=ratio, check=check, **rest))
        say(json.dumps(rows[-1]))

    generator = torch.Generator().manual_seed(0)
    count = max(sizes["wide"][2], sizes["pgd"][0], sizes["smoothing"][0])
    images = torch.rand(count, 3, 32, 32, generator=generator)
    labels = torch.randint(10, (count,), generator=generator)
    there = images.to(card.device).contiguous(memory_format=torch.channels_last)
    there_labels = labels.to(card.device)

    # WideResNet-28-10: logits and input gradient.
    depth, width, batch, repeat = sizes["wide"]
    module = random_weights(lambda: WideResNet(depth, width), images[:8], 0)
    parameters = {"depth": depth, "widen_factor": width}
    write_model(arguments.work / "wide", module, "wide-resnet", parameters, images, labels)
    module = card.put(module)
    results = arguments.work / "wide.results.safetensors"
    for precision, called in PRECISIONS.items():
        card.precision(precision)
        side.ask(work="precision", precision=precision)
        order = dict(work="gradient", network="wide", images=batch, repeat=repeat)

        def own():
            answer = side.ask(**order)
            return answer["seconds"], answer

        def peer():
            work = lambda: gradient(module, there[:batch], there_labels[:batch])
            return card.timed(work, repeat)

        side.ask(**{**order, "repeat": 1, "results": str(results)})
        (mine, other), answer, (logits, slope) = in_turn(rounds, own, peer)
        ours = load_file(results)
        apart = relative(ours["logits"], logits.cpu()).max(), relative(ours["gradient"], slope.cpu()).median()
        rate = 2 * answer["multiply_adds"] * 2 * batch / mine
        row(
            f"WideResNet-{depth}-{width}, batch {batch}, logits + input gradient, {called}", mine, other,
            f"logits {apart[0]:.0e} apart, gradients {apart[1]:.0e} (median)", epsball_tflops=rate / 1e12,
        )
    del module

    # PGD on PreActResNet-18. PyTorch's transfers are left out, epsball's are in.
    count, steps = sizes["pgd"]
    module = random_weights(PreActResNet18, images[:32], 0)
    with torch.no_grad():
        guesses = torch.cat([module(part).argmax(1) for part in images.split(64)])
    write_model(arguments.work / "preact", module, "preact-resnet-18", {}, images, guesses)
    module = card.put(module)
    here = guesses[:count].to(card.device)
    parameters = dict(steps=str(steps), alpha=str(2 / 255), iterate="last")
    attack = dict(work="attack", network="preact", images=count, attack="pgd", norm="Linf", eps=8 / 255)

    def own():
        answer = side.ask(**attack, parameters=parameters)
        return answer["seconds"], answer

    for precision, called in PRECISIONS.items():
        card.precision(precision)
        side.ask(work="precision", precision=precision)
        work = lambda: pgd(module, there[:count], here, 8 / 255, 2 / 255, steps)
        (mine, other), answer, robust = in_turn(rounds, own, lambda: card.timed(work))
        row(f"PGD-{steps}, {count} images, PreActResNet-18, {called}", mine, other,
            f"robust: epsball {answer['robust']}, PyTorch {robust}")
    del module

    # Smoothing with ResNet-110.
    count, samples = sizes["smoothing"]
    module = random_weights(lambda: ResNet110(sizes["deep"]), images[:32], 0)
    write_model(arguments.work / "deep", module, "smoothing-resnet-110", {"depth": sizes["deep"]}, images, labels)
    module = card.put(module)
    for precision, called in PRECISIONS.items():
        card.precision(precision)
        side.ask(work="precision", precision=precision)
        order = dict(work="smoothing", network="deep", images=count, sigma=0.25, samples=samples, batch=1000)

        def own():
            answer = side.ask(**order)
            return answer["seconds"], answer

        work = lambda: smoothing(module, there[:count].contiguous(), samples, 0.25, 1000)
        (mine, other), answer, counts = in_turn(min(rounds, 3), own, lambda: card.timed(work))
        ours = torch.tensor(answer["counts"])
        apart = (ours - counts).abs().max().item() / samples
        row(f"smoothing, ResNet-{sizes['deep']}, {samples} samples x {count} images, {called}", mine, other,
            f"shares {apart:.4f} apart at most")
    del module

    size = 512 if arguments.quick else 8192
    rates = {"bf16": torch.bfloat16, "f32": torch.float32}
    card.precision("tf32")
    rates = {name: matmul_rate(card, dtype, size) / 1e12 for name, dtype in rates.items()}
    facts = dict(
        device=torch.cuda.get_device_name() if card.device.type == "cuda" else "cpu",
        torch=torch.__version__, cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version(),
        epsball=side.version, matmul_bf16_tflops=rates["bf16"], matmul_tf32_tflops=rates["f32"],
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    columns = ["work", "epsball_seconds", "pytorch_seconds", "ratio", "epsball_tflops", "check"]
    with open(arguments.out / "pytorch.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, [*columns, *facts], lineterminator="\n")
        writer.writeheader()
        for one in rows:
            writer.writerow({**{k: f"{v:.6g}" if isinstance(v, float) else v for k, v in one.items()}, **facts})
    with open(arguments.out / "pytorch.md", "w") as file:
        file.write("| work | epsball s | PyTorch s | ratio | check |\n|---|---|---|---|---|\n")
        for one in rows:
            numbers = ["" if one[k] is None else f"{one[k]:.4g}" for k in columns[1:4]]
            file.write(f"| {one['work']} | {' | '.join(numbers)} | {one['check']} |\n")
        file.write("\n" + ", ".join(f"{k} {v}" for k, v in facts.items()) + "\n")
    sys.stdout.write((arguments.out / "pytorch.md").read_text())


if __name__ == "__main__":
    main()
