"""Figures, by matplotlib where it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._arrays import to_numpy
from ._errors import SettingError

if TYPE_CHECKING:
    from ._certify import Certified
    from ._result import Result


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(5.0, 3.4), constrained_layout=True)[1]


def robust_curve(result: Result, ax: Any = None) -> Any:
    """Robust accuracy against the radius, as far as the distances of what was found show it."""
    ax = _axes(ax)
    rows = result.rows
    # An image that is misclassified is broken at every radius.
    distance = np.sort(np.where(result.correct, np.where(rows["found"], rows["distance"], np.inf), 0.0))
    finite = distance[np.isfinite(distance)]
    left = 1.0 - np.arange(1, len(finite) + 1) / max(len(distance), 1)
    budget = result._budget if np.isfinite(result._budget) else float(finite.max(initial=1.0))
    steps = np.concatenate([[0.0], finite, [max(budget, float(finite.max(initial=0.0)))]])
    shares = np.concatenate([[1.0], left, [left[-1] if len(left) else 1.0]])
    start = result.clean_accuracy
    ax.step(steps, np.minimum(shares, start), where="post", label="adversarial images at hand")
    low, high = result.interval()
    robust = result.robust_accuracy
    ax.errorbar(
        [budget], [robust], [[max(robust - low, 0.0)], [max(high - robust, 0.0)]],
        fmt="o", capsize=3, label=f"robust accuracy {robust:.1%}, 95 % interval",
    )  # fmt: skip
    ax.axhline(start, linestyle=":", linewidth=1, color="grey", label=f"clean accuracy {start:.1%}")
    ax.set(xlabel=f"radius ({result.threat.split()[0]})", ylabel="robust accuracy", ylim=(0, 1.02))
    ax.set_title(f"{result.model} under {result.attack}")
    ax.legend(fontsize="small", loc="lower left")
    return ax


def certified_curve(certified: Certified, ax: Any = None) -> Any:
    """Certified accuracy against the radius."""
    ax = _axes(ax)
    radii = np.sort(certified.radii[certified.rows["correct"] == 1])
    n = len(certified)
    shares = np.arange(len(radii), 0, -1) / max(n, 1)
    ax.step(np.concatenate([[0.0], radii]), np.concatenate([shares[:1], shares]), where="pre")
    if len(radii):
        ax.vlines(radii[-1], 0, shares[-1])
    ax.set(xlabel=f"radius ({certified.norm})", ylabel="certified accuracy", ylim=(0, 1.02), xlim=(0, None))
    ax.set_title(f"{certified.model}, {certified.method}")
    return ax


def images(result: Result, count: int = 8) -> Any:
    """The adversarial images of the first images that were broken."""
    import matplotlib.pyplot as plt

    if result.images is None:
        raise SettingError("images: the adversarial images were not kept", "attack with keep_images=True")
    rows, adversarial = result.rows, to_numpy(result.images)
    broken = np.flatnonzero(result.broken)[:count]
    figure, axes = plt.subplots(1, max(len(broken), 1), figsize=(1.3 * max(len(broken), 1), 1.7), squeeze=False)
    for ax in axes[0]:
        ax.axis("off")
    for ax, i in zip(axes[0], broken):
        ax.imshow(np.moveaxis(adversarial[i], 0, -1).squeeze(), cmap="gray", vmin=0, vmax=1)
        ax.set_title(f"{rows['label'][i]} → {rows['prediction'][i]}", fontsize="small")
    return figure
