"""Attacks on the MNIST network of TRADES as a module of PyTorch: AutoAttack through `epsball.AutoAttack` with the random
numbers of PyTorch, beside the images that the published code broke when its run was recorded; and PGD-40 through the
module and through `epsball.compile`.

    pip install ./python torch safetensors onnx
    python benchmarks/python/trades.py ../shared/oracle --images 100
    python benchmarks/python/trades.py ../shared/oracle --pgd 1000

Which images are broken depends on how the installed PyTorch rounds: `benchmarks/peers/README.md` says how far."""

import argparse
import sys
import time
from pathlib import Path

import epsball
import torch
from safetensors.torch import load_file

sys.path.append(str(Path(__file__).parents[1] / "peers"))
from autoattack import PUBLISHED
from networks import SmallCNN


def network(oracle):
    """The module with its published weights."""
    weights = load_file(oracle / "trades-mnist/model_mnist_smallcnn.safetensors")
    module = SmallCNN()
    module.load_state_dict(weights)
    return module.eval()


def autoattack(module, x, y, given):
    """AutoAttack's standard version, or some of its attacks."""
    custom = dict(version="custom", attacks_to_run=given.attacks) if given.attacks else {}
    adversary = epsball.AutoAttack(module, norm="Linf", eps=0.3, seed=0, rng="torch", **custom)
    start = time.perf_counter()
    x_adv = adversary.run_standard_evaluation(x, y, bs=100)
    seconds = time.perf_counter() - start
    broken = (x_adv != x).flatten(1).any(1).nonzero().flatten().tolist()
    print(f"{seconds:.1f} s, torch {torch.__version__}, {torch.get_num_threads()} threads; broken: {broken}")
    if len(x) == 100:
        print(f"the published code: {PUBLISHED}; only there: {sorted(set(PUBLISHED) - set(broken))}")


def pgd(module, x, y):
    """PGD-40 through the module and on the engine."""
    compiled = epsball.compile(module, x[:100])
    print(compiled)
    robust = {}
    for name, model in (("torch", module), ("compile", compiled)):
        result = epsball.attack(model, x, y, "pgd", "Linf", 0.3, alpha=0.01, steps=40, progress=False)
        robust[name] = result.robust
        print(f"PGD-40 through {name}: {result.robust.sum()} of {len(x)} are robust, {result.seconds:.1f} s")
    print(f"{int((robust['torch'] != robust['compile']).sum())} images differ")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("oracle", type=Path)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--attacks", nargs="*", help="instead of the standard version")
    parser.add_argument("--pgd", type=int, help="PGD-40 on so many images in place of AutoAttack")
    given = parser.parse_args()
    images = f"idx:{given.oracle}/mnist/t10k-images-idx3-ubyte.gz"
    x, y = map(torch.from_numpy, epsball.load(images, first=given.pgd or given.images))
    if given.pgd:
        pgd(network(given.oracle), x, y)
    else:
        autoattack(network(given.oracle), x, y, given)


if __name__ == "__main__":
    main()
