"""AutoAttack through `epsball.AutoAttack` on the MNIST network of TRADES as a module of PyTorch: with the random
numbers of PyTorch the first 100 images that it breaks are those that the published code breaks.

    pip install ./python torch safetensors
    python benchmarks/python/trades.py ../shared/oracle --images 100"""

import argparse
import sys
import time
from pathlib import Path

import epsball
import torch
from safetensors.torch import load_file

sys.path.append(str(Path(__file__).parents[1] / "peers"))
from networks import SmallCNN

PUBLISHED = [8, 18, 20, 33, 62, 63, 73, 92]
"""What the published code breaks of the first 100 images, in batches of 100 and with seed 0."""


def network(oracle):
    """The module with its published weights."""
    weights = load_file(oracle / "trades-mnist/model_mnist_smallcnn.safetensors")
    module = SmallCNN()
    module.load_state_dict(weights)
    return module.eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("oracle", type=Path)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--attacks", nargs="*", help="instead of the standard version")
    given = parser.parse_args()
    x, y = map(
        torch.from_numpy,
        epsball.load(f"idx:{given.oracle}/mnist/t10k-images-idx3-ubyte.gz", first=given.images),
    )
    custom = dict(version="custom", attacks_to_run=given.attacks) if given.attacks else {}
    adversary = epsball.AutoAttack(network(given.oracle), norm="Linf", eps=0.3, seed=0, rng="torch", **custom)
    start = time.perf_counter()
    x_adv = adversary.run_standard_evaluation(x, y, bs=100)
    seconds = time.perf_counter() - start
    broken = (x_adv != x).flatten(1).any(1).nonzero().flatten().tolist()
    print(f"{seconds:.1f} s, torch {torch.__version__}, {torch.get_num_threads()} threads; broken: {broken}")
    if given.images == 100 and not given.attacks:
        print("the same as the published code" if broken == PUBLISHED else f"the published code: {PUBLISHED}")


if __name__ == "__main__":
    main()
