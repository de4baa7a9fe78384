"""Minimum-norm attacks of adv-lib and foolbox beside epsball's on the same images: how many are broken, mean and median
distance, passes and seconds. README.md in this folder has the settings and what they gave.

    python benchmarks/peers/minimum.py --trades-mnist model_mnist_smallcnn.safetensors \\
        --mnist t10k-images-idx3-ubyte.gz --epsball target/release/epsball --work target/peers

adv-lib is installed beside the requirements of this folder: `pip install adv-lib`."""

import argparse
import csv
import re
import subprocess
import sys
import time
from pathlib import Path

import torch
from networks import SmallCNN
from peers import read_mnist
from safetensors.torch import load_file

ORDERS = {"L2": 2, "Linf": float("inf"), "L1": 1, "L0": 0}


class Counted(torch.nn.Module):
    """Counts the forward and backward passes of one batch of all images."""

    def __init__(self, module):
        super().__init__()
        self.module, self.forwards, self.backwards = module, 0, 0
        self.eval()

    def forward(self, x):
        logits = self.module(x)
        self.forwards += len(x)
        if logits.requires_grad:
            logits.register_hook(self.count)
        return logits

    def count(self, gradient):
        self.backwards += len(gradient)


def adv_lib(name, norm, steps):
    """An attack of adv-lib as a function of a module, images and labels; none if it has no such."""
    import adv_lib.attacks as attacks

    order = ORDERS[norm]
    l2 = norm == "L2"
    table = {
        # Unless it is told otherwise it rounds every iterate to 256 levels.
        "ddn": l2 and (lambda *of: attacks.ddn(*of, steps=steps, levels=None)),
        "fmn": lambda *of: attacks.fmn(
            *of, norm=order, steps=steps, α_init=10.0 if norm == "Linf" else 1.0
        ),
        "sigma-zero": norm == "L0" and (lambda *of: attacks.sigma_zero(*of, num_steps=steps)),
        "vfga": norm == "L0" and (lambda *of: attacks.vfga(*of, targeted=False)),
        "deepfool": norm in ("L2", "Linf") and (lambda *of: attacks.df(*of, steps=50, norm=order)),
        "superdeepfool": l2 and (lambda *of: attacks.sdf(*of)),
        "alma": norm in ("L2", "L1")
        and (
            lambda *of: attacks.alma(
                *of,
                num_steps=steps,
                distance=norm.lower(),
                init_lr_distance=0.1 if l2 else 0.5,
                α_rms=0.9,
                momentum=0.9,
            )
        ),
        "pdgd": l2 and (lambda *of: attacks.pdgd(*of, num_steps=steps)),
        "trust-region": norm in ("L2", "Linf") and (lambda *of: attacks.tr(*of, iter=steps, adaptive=True, p=order)),
        "pdpgd": lambda *of: attacks.pdpgd(*of, norm=order, num_steps=steps),
    }
    return table.get(name) or None


def foolbox(name, norm, steps):
    """The same of foolbox."""
    from foolbox import PyTorchModel, attacks

    table = {
        ("ddn", "L2"): lambda: attacks.DDNAttack(steps=steps),
        ("fmn", "L2"): lambda: attacks.L2FMNAttack(steps=steps),
        ("fmn", "Linf"): lambda: attacks.LInfFMNAttack(steps=steps),
        ("fmn", "L1"): lambda: attacks.L1FMNAttack(steps=steps),
        ("fmn", "L0"): lambda: attacks.L0FMNAttack(steps=steps),
        ("deepfool", "L2"): lambda: attacks.L2DeepFoolAttack(),
        ("deepfool", "Linf"): lambda: attacks.LinfDeepFoolAttack(),
        ("ead", "L1"): lambda: attacks.EADAttack(
            binary_search_steps=9, steps=steps, decision_rule="L1", regularization=1e-3, abort_early=False
        ),
    }
    make = table.get((name, norm))

    def run(module, images, labels):
        model = PyTorchModel(module, bounds=(0, 1), device="cpu")
        return make()(model, images, labels, epsilons=None)[0]

    return make and run


def measured(module, attack, images, labels, norm):
    counted = Counted(module)
    start = time.perf_counter()
    adversarial = attack(counted, images, labels).detach()
    seconds = time.perf_counter() - start
    with torch.no_grad():
        broken = module(adversarial).argmax(1) != labels
    # What left the box by more than rounding would be no image.
    broken &= ((adversarial >= -1e-6) & (adversarial <= 1 + 1e-6)).flatten(1).all(1)
    distances = (adversarial - images).flatten(1).double().norm(ORDERS[norm], dim=1)[broken]
    passes = (counted.forwards / len(images), counted.backwards / len(images))
    return distances, passes, seconds


def own(arguments, name, norm, steps):
    """The same attack of epsball, from the table that it leaves."""
    setting = {"deepfool": [], "superdeepfool": [], "vfga": [], "ead": [f"max_iterations={steps}"]}
    setting = setting.get(name, [f"steps={steps}"])
    folder = Path(arguments.work) / f"minimum-{name}-{norm}-{time.time_ns()}"
    command = [arguments.epsball, "attack", "-m", arguments.trades_mnist, "-d", f"idx:{arguments.mnist}"]
    command += ["-n", str(arguments.images), "-a", name, "--norm", norm, "--eps", "1" if norm == "L0" else "0.1", "-o", str(folder)]
    command += [word for one in setting for word in ("--set", one)]
    if arguments.architecture:
        command += ["--arch", arguments.architecture]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    seconds = time.perf_counter() - start
    (table,) = (folder / "jobs").glob("*/*.csv")
    with table.open() as file:
        rows = list(csv.DictReader(file))
    attacked = [row for row in rows if row["by"] != "clean"]
    distances = [float(row["distance"]) for row in attacked if row["by"]]
    passes = [sum(int(row[kind]) for row in attacked) / len(attacked) for kind in ("forwards", "backwards")]
    return torch.tensor(distances, dtype=torch.double), passes, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trades-mnist", required=True, metavar="FILE")
    parser.add_argument("--mnist", required=True, metavar="FILE", help="t10k-images-idx3-ubyte[.gz], labels beside it")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--only", default=".", help="regular expression of `NORM ATTACK LIBRARY`")
    parser.add_argument("--epsball", metavar="PROGRAM")
    parser.add_argument("--architecture", default="trades-small-cnn")
    parser.add_argument("--work", default="target/peers", metavar="DIR")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", metavar="FILE", help="rows are appended to this CSV file")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    images, labels = read_mnist(arguments.mnist, arguments.images)
    module = SmallCNN()
    module.load_state_dict(load_file(arguments.trades_mnist))
    module.eval().requires_grad_(False)
    columns = ["norm", "attack", "library", "broken", "mean", "median", "forwards", "backwards", "seconds"]
    names = ["sigma-zero", "vfga", "ddn", "fmn", "deepfool", "superdeepfool", "alma", "pdgd", "pdpgd", "ead", "trust-region", "min-norm"]
    out = open(arguments.out, "a", newline="") if arguments.out else sys.stdout
    writer = csv.writer(out)
    if not arguments.out or not Path(arguments.out).stat().st_size:
        writer.writerow(columns)
    for norm in ORDERS:
        for name in names:
            for library in ["epsball", "adv-lib", "foolbox"]:
                if not re.search(arguments.only, f"{norm} {name} {library}"):
                    continue
                # Their random directions are the same whatever was run before.
                torch.manual_seed(0)
                if library == "epsball":
                    works = {"ddn": ["L2"], "deepfool": ["L2", "Linf"], "trust-region": ["L2", "Linf"], "superdeepfool": ["L2"], "ead": ["L1"]}
                    works |= {"alma": ["L2", "L1"], "pdgd": ["L2"], "sigma-zero": ["L0"], "vfga": ["L0"], "pdpgd": ["L2", "Linf", "L1"]}
                    if not arguments.epsball or norm not in works.get(name, ORDERS):
                        continue
                    result = own(arguments, name, norm, arguments.steps)
                else:
                    find = adv_lib if library == "adv-lib" else foolbox
                    attack = find(name, norm, arguments.steps)
                    if not attack:
                        continue
                    try:
                        result = measured(module, attack, images, labels, norm)
                    except Exception as error:
                        print(f"{norm} {name} {library}: {error!r}", file=sys.stderr)
                        continue
                distances, (forwards, backwards), seconds = result
                mean = f"{distances.mean():.4f}" if len(distances) else ""
                median = f"{distances.quantile(0.5):.4f}" if len(distances) else ""
                row = [norm, name, library, len(distances), mean, median]
                writer.writerow(row + [f"{forwards:.0f}", f"{backwards:.0f}", f"{seconds:.1f}"])
                out.flush()


if __name__ == "__main__":
    main()
