"""What a notebook shows of epsball, as a page: results, tables, figures, certificates and a board.

pip install ./python matplotlib pandas
python examples/notebook.py page"""

import sys
from pathlib import Path

import epsball
import matplotlib

matplotlib.use("agg")

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "page")
folder.mkdir(exist_ok=True)
cells = []


def show(title, thing):
    """A cell: what `thing` shows of itself, or a figure."""
    if hasattr(thing, "savefig"):
        name = f"{len(cells)}.png"
        thing.savefig(folder / name, dpi=120)
        cells.append(f"<h3>{title}</h3><img src='{name}'>")
    else:
        cells.append(f"<h3>{title}</h3>{thing._repr_html_()}")


data = epsball.load("digits:test", first=60)
whole = epsball.attack("bundled:digits-pgd", data, attack="autoattack", norm="Linf", eps=0.15)
hardened = epsball.attack("bundled:digits-pgd", data, attack="pgd", norm="Linf", eps=0.1)
standard = epsball.attack("bundled:digits-standard", data, attack="pgd", norm="Linf", eps=0.1)
closest = epsball.attack(
    "bundled:digits-pgd", data, attack="cw-l2", norm="L2", eps=1.0,
    binary_search_steps=5, max_iterations=100, initial_const=1.0,
)  # fmt: skip
certified = epsball.certify("bundled:digits-gaussian", *epsball.load("digits:test", first=30), sigma=0.25, n=1000)
for result in (whole, hardened, standard, closest):
    result.save(folder / "run", data="digits")
show("A result", whole)
show("Its rows", whole.rows)
show("Robust accuracy", whole.plot().figure)
show("Adversarial images", standard.show(8))
show("The closest adversarial images", closest)
show("Robust accuracy of these", closest.plot().figure)
show("A certificate", certified)
show("Certified accuracy", certified.plot().figure)
show("A comparison", epsball.compare(folder / "run/jobs/digits-pgd", folder / "run/jobs/digits-standard"))
show("A board", epsball.leaderboard(folder / "run"))
(folder / "index.html").write_text(
    "<!doctype html><meta charset='utf-8'><body style='font-family:sans-serif;max-width:60em'>" + "".join(cells)
)
print(folder / "index.html")
