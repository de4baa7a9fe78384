"""AutoAttack's standard version in PyTorch, composed of the attacks of torchattacks.

torchattacks' own `AutoAttack` is another attack of the same name: it leaves APGD and FAB at their default of
10 steps and rescales Square's schedule. Its single attacks do what the published ones do once they are given
the published budgets. To see that they still do, run this file: it repeats attacks whose results were recorded
from the published code.

    python benchmarks/peers/autoattack.py ../shared/oracle/autoattack/aa_ref_small.safetensors"""

import argparse
import time

import torch
from safetensors.torch import load_file
from torch import nn

BATCH = 500


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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("recorded", help="safetensors: a network `w.*`, images `x`, labels `y`, results by norm")
    recorded = load_file(parser.parse_args().recorded)
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
