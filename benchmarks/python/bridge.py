"""What it costs that an attack in Rust asks a module in Python: PGD-40 beside a loop written by hand in PyTorch, on the
same module, the same images and the same number of passes. In turns, in one process.

    pip install ./python torch
    python benchmarks/python/bridge.py --batch 128 --rounds 5

No image is broken at the radius that is used, so both take all images through all steps; both also predict the clean
and the last images, without which there is no robust accuracy. What comes before an attack is timed by itself: the look
at the model, a few passes of 8 images, and the safety checks on the first 100 images. Beside the time on the clock
stands that of the processor: machines are shared."""

import argparse
import statistics
import sys
import time
import warnings
from pathlib import Path

import epsball
import torch
from epsball._epsball import Attack, AttackRows
from epsball._models import as_network
from torch import nn

sys.path.append(str(Path(__file__).parents[1] / "peers"))
from networks import PreActResNet18, random_weights


def by_hand(module, x, y, eps, alpha, steps):
    """PGD on the cross-entropy; returns the robust accuracy."""
    with torch.inference_mode():
        right = module(x).argmax(1) == y
    at = (x + torch.empty_like(x).uniform_(-eps, eps)).clamp(0, 1)
    for _ in range(steps):
        at = at.detach().requires_grad_(True)
        loss = nn.functional.cross_entropy(module(at), y, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, at)
        with torch.no_grad():
            at = (x + (at + alpha * gradient.sign() - x).clamp(-eps, eps)).clamp(0, 1)
    with torch.inference_mode():
        return (right & (module(at).argmax(1) == y)).float().mean().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    x = torch.rand(given.batch, 3, 32, 32)
    module = random_weights(PreActResNet18, x, 0).to(given.device)
    x = x.to(given.device)
    with torch.no_grad():
        y = module(x).argmax(1)
    eps, alpha = 1e-6, 2.5e-8

    def ours(steps):
        parameters = {"alpha": repr(alpha), "steps": str(steps)}
        attack = Attack("pgd", "Linf", repr(eps), None, (3, 32, 32), parameters, "untargeted", 0, "per-image")
        rows = AttackRows()
        attack.run(network, x.cpu().numpy(), y.cpu().numpy(), list(range(given.batch)), rows)
        return 1 - rows.columns()["found"].mean()

    network = as_network(module, x.cpu().numpy())
    contestants = {"by hand": lambda steps: by_hand(module, x, y, eps, alpha, steps), "epsball": ours}
    seconds = {name: [] for name in contestants}
    processor = {name: [] for name in contestants}
    for number in range(given.rounds + 1):
        for name, contestant in contestants.items():
            start, began = time.perf_counter(), time.process_time()
            # The first round warms up.
            robust = contestant(given.steps if number else 2)
            if given.device != "cpu":
                torch.cuda.synchronize()
            if number:
                seconds[name].append(time.perf_counter() - start)
                processor[name].append(time.process_time() - began)
                print(
                    f"round {number}: {name:8} {seconds[name][-1]:8.3f} s, robust accuracy {robust:.3f}",
                    flush=True,
                )
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        epsball.attack(module, x, y, "pgd", "Linf", eps, alpha=alpha, steps=1, batch_size=given.batch, progress=False)
    before = time.perf_counter() - start
    start = time.perf_counter()
    ours(1)
    before -= time.perf_counter() - start
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    busy = {name: statistics.median(times) for name, times in processor.items()}
    print(
        f"PreActResNet-18, batch {given.batch}, PGD-{given.steps}, {given.threads} threads, torch {torch.__version__}: "
        + ", ".join(f"{name} {median:.3f} s" for name, median in medians.items())
        + f", ratio of medians {medians['epsball'] / medians['by hand']:.3f}"
        + f"; of the processor {busy['epsball']:.2f} s and {busy['by hand']:.2f} s, "
        + f"ratio {busy['epsball'] / busy['by hand']:.3f}; before an attack {before:.2f} s"
    )


if __name__ == "__main__":
    main()
