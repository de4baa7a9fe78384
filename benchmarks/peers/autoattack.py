"""AutoAttack's standard version in PyTorch, composed of the attacks of torchattacks.

torchattacks' own `AutoAttack` is another attack of the same name: it leaves APGD and FAB at their default of
10 steps and rescales Square's schedule. Its single attacks do what the published ones do once they are given
the published budgets. To see that they still do, run this file: it repeats attacks whose results were recorded
from the published code.

    python benchmarks/peers/autoattack.py ../shared/oracle/autoattack/aa_ref_small.safetensors

With the folder of the oracle files it attacks the first 100 MNIST images of the TRADES network, all at once as the
recorded run of the published code does, and says which images each attack breaks; `--mkldnn off`, `--threads` and
`--double` change nothing but how PyTorch rounds:

    python benchmarks/peers/autoattack.py ../shared/oracle --parts apgd-ce apgd-t"""

import argparse
import gzip
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

BATCH = 500

PUBLISHED = [8, 18, 20, 33, 62, 63, 73, 92]
"""What the published code breaks of the first 100 images of MNIST, in batches of 100 and with seed 0."""


def standard(module, eps, norm="Linf", classes=10, queries=5000):
    """The four attacks in their order, with the published budgets."""
    import torchattacks

    common = dict(norm=norm, eps=eps, n_restarts=1)
    return {
        "apgd-ce": torchattacks.APGD(module, steps=100, loss="ce", **common),
        # One run for each wrong class, in the order of the clean logits.
        "apgd-t": torchattacks.APGDT(module, steps=100, n_classes=classes, **common),
        "fab-t": torchattacks.FAB(module, steps=100, multi_targeted=True, n_classes=classes, **common),
        # The published schedule of square sizes is that of 10,000 queries, cut off at 5,000.
        "square": torchattacks.Square(module, n_queries=queries, p_init=0.8, resc_schedule=False, **common),
    }


@torch.no_grad()
def right(module, images, labels):
    return module(images).argmax(1) == labels


def autoattack(module, images, labels, eps, wait, batch=BATCH):
    """Each attack on the images that those before it left, in batches; Linf. Returns which images are robust,
    and for each attack how many it left and its seconds. `wait` waits for the device."""
    pairs = zip(images.split(batch), labels.split(batch))
    robust = torch.cat([right(module, *pair) for pair in pairs])
    parts = {}
    for name, attack in standard(module, eps).items():
        start = time.perf_counter()
        left = robust.nonzero().flatten()
        for some in left.split(batch) if len(left) else ():
            robust[some] = right(module, attack(images[some], labels[some]), labels[some])
        wait()
        parts[name] = int(robust.sum()), time.perf_counter() - start
    return robust.cpu(), parts


def mnist(oracle, count):
    """The first images of the test set, `[N, 1, 28, 28]` in [0, 1], and their classes."""
    folder = oracle / "mnist"
    pixels = np.frombuffer(gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    images = torch.from_numpy(pixels.reshape(-1, 1, 28, 28)[:count].astype(np.float32) / 255)
    return images, torch.from_numpy(labels[:count].astype(np.int64))


def trades(given):
    """Which images each attack breaks of those that the attacks before it left."""
    from networks import SmallCNN

    torch.backends.mkldnn.enabled = given.mkldnn == "on"
    torch.set_num_threads(given.threads or torch.get_num_threads())
    module = SmallCNN()
    module.load_state_dict(load_file(given.recorded / "trades-mnist/model_mnist_smallcnn.safetensors"))
    module.eval().requires_grad_(False)
    images, labels = mnist(given.recorded, given.images)
    if given.double:
        module, images = module.double(), images.double()
    robust = right(module, images, labels)
    robust[given.broken] = False
    how = f"{torch.get_num_threads()} threads, oneDNN {given.mkldnn}, {'f64' if given.double else 'f32'}"
    print(f"torch {torch.__version__}, {how}; left out: {(~robust).nonzero().flatten().tolist()}", flush=True)
    for name, attack in standard(module, 0.3).items():
        if given.parts and name not in given.parts:
            continue
        start, left = time.perf_counter(), robust.nonzero().flatten()
        robust[left] = right(module, attack(images[left], labels[left]), labels[left])
        broken = left[~robust[left]].tolist()
        print(f"{name}: broke {broken}, left {int(robust.sum())}, {time.perf_counter() - start:.1f} s", flush=True)
    broken = (~robust).nonzero().flatten().tolist()
    print(f"broken: {broken}; the published code: {PUBLISHED}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "recorded", type=Path,
        help="safetensors: a network `w.*`, images `x`, labels `y`, results by norm; or the folder of the oracle",
    )  # fmt: skip
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--parts", nargs="*", help="of the four attacks")
    parser.add_argument("--broken", type=int, nargs="*", default=[], help="images that count as broken already")
    parser.add_argument("--mkldnn", choices=["on", "off"], default="on")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--double", action="store_true")
    given = parser.parse_args()
    if given.recorded.is_dir():
        return trades(given)
    recorded = load_file(given.recorded)
    # So little work for each thread would be mostly waiting.
    torch.set_num_threads(1)
    images, labels = recorded["x"], recorded["y"]
    module = nn.Sequential()
    module.add_module("conv", nn.Conv2d(3, 8, 3, 2, 1))
    module.add_module("relu", nn.ReLU())
    module.add_module("flatten", nn.Flatten())
    module.add_module("fc", nn.Linear(512, 10))
    module.load_state_dict({k[2:]: v for k, v in recorded.items() if k.startswith("w.")})
    module.eval().requires_grad_(False)
    different = 0
    for norm, eps in (("Linf", 0.008), ("L2", 0.13)):
        names = ("apgd_ce", "apgd_t", "fab_t", "square1000")
        for name, attack in zip(names, standard(module, eps, norm, queries=1000).values()):
            theirs = recorded[f"{norm}.{name}.adv"]
            adversarial = attack(images, labels)
            robust = [right(module, x, labels) for x in (adversarial, theirs)]
            different += int((robust[0] != robust[1]).sum())
            apart = (adversarial - theirs).abs().flatten(1).max(1)[0]
            print(
                f"{norm} {name}: robust {int(robust[0].sum())}, published code {int(robust[1].sum())}; "
                f"{int((apart < 1e-5).sum())} of {len(apart)} images within 1e-5, the farthest {apart.max():.0e} apart"
            )
    raise SystemExit(f"{different} outcomes differ" if different else 0)


if __name__ == "__main__":
    main()
