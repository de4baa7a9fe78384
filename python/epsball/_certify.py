"""Certificates: how large a ball around an image is proven safe."""

from __future__ import annotations

import html
import json
import time
from functools import cached_property
from typing import Any

import numpy as np

from . import _progress
from ._data import Source
from ._epsball import Certificate, Network
from ._errors import EpsballError, SettingError
from ._models import as_network
from ._numbers import number, radius, wilson
from ._table import Table

IMAGES = 8
"""Images at a time: their samples fill the batches."""


class Certified:
    """What a certificate says of a set of images.

    Attributes
    ----------
    rows : Table
        A row per image: the columns of the program's tables, among them ``predict`` (-1 for an abstention) and
        ``radius``.
    norm : str
        Norm of the radii.
    seconds : float
        Wall time.
    """

    def __init__(self, network: Network, method: str, norm: str, rows: list[dict[str, Any]], seconds: float) -> None:
        self._network, self.method, self.norm, self._rows, self.seconds = network, method, norm, rows, seconds

    @cached_property
    def rows(self) -> Table:
        names = self._rows[0] if self._rows else {}
        return Table({name: [row[name] for row in self._rows] for name in names})

    def __len__(self) -> int:
        """Number of images."""
        return len(self._rows)

    @property
    def model(self) -> str:
        """Name of the model."""
        return self._network.name

    @property
    def radii(self) -> np.ndarray:
        """Certified radii ``[N]``; 0 for an image that is misclassified or of which nothing is proven."""
        return np.where(self.rows["correct"] == 1, self.rows["radius"], 0.0)

    def certified_accuracy(self, radius: float) -> float:
        """Share of the images that are classified correctly, provably so in a ball of this radius."""
        # At radius 0 an image counts that is classified correctly without an abstention.
        return float(np.mean((self.rows["correct"] == 1) & (self.rows["radius"] >= radius)))

    def to_pandas(self) -> Any:
        """The rows as a ``pandas.DataFrame``."""
        return self.rows.to_pandas()

    def plot(self, ax: Any = None) -> Any:
        """Draw certified accuracy against the radius; returns the axes of matplotlib."""
        from ._plot import certified_curve

        return certified_curve(self, ax)

    def _shown_radii(self) -> list[float]:
        largest = float(self.radii.max(initial=0.0))
        step = next((step for step in (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0) if largest / step <= 6), 2.0)
        return [step * k for k in range(int(largest / step) + 1)]

    def __repr__(self) -> str:
        shares = ", ".join(f"{r:g}: {self.certified_accuracy(r):.1%}" for r in self._shown_radii())
        what = f"{self.model}, {self.method}, {len(self)} images"
        return f"<epsball.Certified: {what}, certified at {self.norm} {shares}>"

    def _repr_html_(self) -> str:
        lines = "".join(
            f"<tr><td>{r:g}</td><td>{self.certified_accuracy(r):.2%}</td><td>{low:.1%} to {high:.1%}</td></tr>"
            for r in self._shown_radii()
            for low, high in [wilson(round(self.certified_accuracy(r) * len(self)), len(self))]
        )
        return (
            f"<p>{html.escape(self.model)}, {html.escape(self.method)}, {len(self)} images, {self.seconds:.1f} s</p>"
            f"<table><tr><th>radius ({self.norm})</th><th>certified accuracy</th><th>95 %</th></tr>{lines}</table>"
        )


def certify(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    sigma: float | None = None,
    n0: int = 100,
    n: int = 100_000,
    alpha: float = 0.001,
    noise: str = "gaussian",
    mode: str = "cohen",
    norm: str | None = None,
    radii: list[float] | None = None,
    beta: float = 0.05,
    levels: int = 255,
    k: int | None = None,
    fill: float = 0.0,
    certificate: str = "cohen",
    eps: Any = None,
    steps: int = 6,
    seed: int = 0,
    batch_size: int = 1024,
    progress: bool | None = None,
) -> Certified:
    """Certify a classifier by randomized smoothing (Cohen, Rosenfeld and Kolter, ICML 2019), or by bounds.

    Parameters
    ----------
    model, x, y, progress
        As in :func:`epsball.attack`.
    sigma : float
        Standard deviation of the noise, in pixel units of [0, 1].
    n0, n : int
        Samples that select the class, and that bound its probability.
    alpha : float
        One minus the confidence of each certificate.
    noise : {"gaussian", "uniform", "laplace", "lattice", "ablation"}
        Family of the noise.
    mode : {"cohen", "grid", "radius", "anytime"}
        How many of the `n` samples an image gets; those that stop early ask for `radii`.
    norm : str, optional
        Norm of the radii, if not the noise's own; for bounds ``"Linf"`` or ``"L2"``.
    radii : list of float, optional
        With any `mode` but ``"cohen"``: the radii that are of interest; 0, 0.25, 0.5, 0.75 and 1 if there are none.
    beta : float
        With any `mode` but ``"cohen"``: the chance, per image and radius, that a radius is given up that is true. What
        is proven does not depend on it.
    levels : int
        With ``noise="lattice"``: steps between two pixel values of distance 1.
    k : int, optional
        With ``noise="ablation"``: pixels that are kept, a sixteenth if it is not given.
    fill : float
        With ``noise="ablation"``: the value of the others.
    certificate : {"cohen", "ibp", "crown-ibp", "fast-lin", "crown"}
        ``"cohen"`` is randomized smoothing; any other one bounds the layers of a network in a file.
    eps : float, str, or list of these
        With bounds: the radii that are tried, in pixel units of [0, 1], such as ``"8/255"``.
    steps : int
        With bounds: halvings of the interval between the largest radius of `eps` that is proven and the next one.
    seed : int
        Seed of the noise.
    batch_size : int
        Noisy images per pass of the model; results do not depend on it.

    Returns
    -------
    Certified

    Examples
    --------
    >>> import epsball
    >>> x, y = epsball.load("digits:test", first=5)
    >>> certified = epsball.certify("bundled:digits-gaussian", x, y, sigma=0.25, n=1000)
    >>> certified.certified_accuracy(0.25) > 0
    True
    """
    source = Source(x, y, IMAGES)
    shown = _progress.bar(source.total, certificate, progress)
    rows: list[dict[str, Any]] = []
    network: Network | None = None
    asked: Certificate | None = None
    started = time.perf_counter()
    try:
        for images, labels, indices, _ in source:
            if network is None or asked is None:
                network = as_network(model, images, batch_size)
                if certificate == "cohen":
                    has_sigma = noise != "ablation"
                    wanted = radii if radii is not None else ([] if mode == "cohen" else [0.0, 0.25, 0.5, 0.75, 1.0])
                    if has_sigma and sigma is None:
                        raise SettingError(
                            f"sigma: {noise} noise needs a standard deviation",
                            "give one in pixel units of [0, 1], such as sigma=0.25",
                        )
                    asked = Certificate.smoothing(
                        tuple(images.shape[1:]), float(sigma or 0.0), n0, n, alpha, noise, mode, norm, wanted, beta,
                        levels, k, fill, seed,
                    )  # fmt: skip
                else:
                    asked = Certificate.bounds(certificate, norm or "Linf", _radii(eps), steps)
            for first in range(0, len(images), IMAGES):
                part = images[first : first + IMAGES]
                own = slice(first, first + IMAGES)
                rows += json.loads(asked.run(network, part, labels[own], indices[own], batch_size))
                shown.update(len(part))
    finally:
        shown.close()
    if network is None or asked is None:
        raise EpsballError("x: there are no images", "give at least one image")
    method = f"{certificate}, sigma {sigma:g}" if sigma is not None else certificate
    return Certified(network, method, asked.norm, rows, time.perf_counter() - started)


def _radii(eps: Any) -> list[float]:
    given = eps if isinstance(eps, (list, tuple, np.ndarray)) else ([] if eps is None else [eps])
    return sorted(radius(number(one, "eps")) for one in given)
