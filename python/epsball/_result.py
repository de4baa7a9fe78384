"""What an attack found."""

from __future__ import annotations

import html
import math
import os
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._arrays import to_numpy
from ._epsball import Attack, AttackRows, Network, save_attack
from ._errors import SafetyWarning, SettingError
from ._numbers import radius, wilson
from ._table import Table

if TYPE_CHECKING:
    from ._attack import Job


@dataclass(frozen=True)
class Finding:
    """What a safety check around an attack has seen."""

    check: str
    seen: str
    meaning: str
    remedy: str


def tell(told: list[tuple[str, str, str, str]], stacklevel: int) -> list[Finding]:
    """What the native half has seen as findings, each of which is a warning too, at the caller so many calls up."""
    findings = [Finding(*one) for one in told]
    for one in findings:
        warnings.warn(f"{one.check}: {one.seen}. {one.meaning} {one.remedy}", SafetyWarning, stacklevel=stacklevel)
    return findings


class Result:
    """What an attack did to a set of images.

    Attributes
    ----------
    images : array or None
        ``[N, C, H, W]``, in the kind of array that the images came in, f32, or f64 where these are: the adversarial
        image, or the clean one where nothing was found. That of an attack that looks for the smallest change may lie
        outside the ball: `broken` says which lie inside. ``None`` if the images were not to be kept.
    rows : Table
        A row per image: the columns of the program's tables.
    findings : list of Finding
        What the safety checks have seen; empty if nothing speaks against the number.
    seconds : float
        Wall time.
    """

    def __init__(
        self, network: Network, attack: Attack, job: Job, rows: AttackRows, images: Any, seconds: float
    ) -> None:
        self._network, self._attack, self._job, self._rows = network, attack, job, rows
        self.images = images
        self.seconds = seconds
        self.findings = list(job.findings)

    @cached_property
    def rows(self) -> Table:
        return Table(self._rows.columns())

    def __len__(self) -> int:
        """Number of images."""
        return len(self._rows)

    @property
    def model(self) -> str:
        """Name of the model."""
        return self._network.name

    @property
    def attack(self) -> str:
        """Name of the attack."""
        return self._job.attack

    @property
    def parameters(self) -> dict[str, str]:
        """Every hyper-parameter by its name."""
        return self._attack.parameters

    @property
    def threat(self) -> str:
        """The threat model in words."""
        if self._job.patch is not None:
            return f"patch {self._job.patch}"
        return f"{self._job.norm} {self._job.eps}"

    @property
    def correct(self) -> np.ndarray:
        """Which clean images are classified correctly, ``[N]``."""
        return self.rows["clean"] == self.rows["label"]

    @property
    def broken(self) -> np.ndarray:
        """Of which images, classified correctly, there is an adversarial image inside the threat model, ``[N]``."""
        within = self.rows["found"]
        if self._attack.minimal:
            # The closest adversarial image is looked for; it counts if it lies within the budget.
            within = within & (self.rows["distance"] <= self._budget)
        return self.correct & within

    @property
    def robust(self) -> np.ndarray:
        """Which images are robust, ``[N]``: classified correctly, and not broken."""
        return self.correct & ~self.broken

    @property
    def _budget(self) -> float:
        if self._job.eps is None:
            return math.inf
        return float(np.float32(radius(self._job.eps)))

    @property
    def clean_accuracy(self) -> float:
        """Share of the images that are classified correctly."""
        return float(np.mean(self.correct))

    @property
    def robust_accuracy(self) -> float:
        """Share of the images that are classified correctly and that the attack did not break, of all images."""
        return float(np.mean(self.robust))

    @property
    def attack_success_rate(self) -> float:
        """Share of the images that were broken, of those that are classified correctly."""
        return float(np.mean(self.broken[self.correct])) if self.correct.any() else math.nan

    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval of the robust accuracy."""
        return wilson(int(self.robust.sum()), len(self))

    def to_pandas(self) -> Any:
        """The rows as a ``pandas.DataFrame``."""
        return self.rows.to_pandas()

    def save(
        self,
        folder: str | os.PathLike[str],
        data: str,
        *,
        model: str | None = None,
        spec: str | None = None,
        images: bool = True,
    ) -> Path:
        """Add the result to a run folder, which ``epsball.leaderboard`` and the command merge with others.

        Parameters
        ----------
        folder : path
            The run folder; it is made if it is not there, and grows if it is.
        data : str
            Name of the data set in tables. Rows of one name are about one numbering of the images.
        model : str, optional
            Name of the model in tables, if not its own. A model is known by the hash of its state dict.
        spec : str, optional
            ``FORMAT:PATH`` of the data set, if it lies in a file, so that ``epsball.verify`` can look at it. What
            ``epsball.load`` has read knows it.
        images : bool
            Keep the adversarial images beside the table.

        Returns
        -------
        pathlib.Path
            The folder.
        """
        if not self._network.identity:
            raise SettingError(
                f"model {self.model}: nothing is known about what the function computes with",
                'say what tells it from others: epsball.model(model, identity="net of 3 May, seed 0")',
            )
        if images and self.images is None:
            raise SettingError("images: they were not kept", "attack with keep_images=True, or save with images=False")
        job = self._job
        kept = np.ascontiguousarray(to_numpy(self.images), dtype=np.float32) if images else None
        findings = [(one.check, one.seen, one.meaning, one.remedy) for one in self.findings]
        save_attack(
            os.fspath(folder), self._network, self._attack, model, job.file, data, spec or job.spec, job.attack,
            job.norm, job.eps, job.patch, job.goal, job.parameters, job.seed, job.rng, job.batch, self._rows, kept,
            self._network.input_shape, job.looked, findings,
        )  # fmt: skip
        return Path(folder)

    def plot(self, ax: Any = None) -> Any:
        """Draw robust accuracy against the radius; returns the axes of matplotlib."""
        from ._plot import robust_curve

        return robust_curve(self, ax)

    def show(self, count: int = 8) -> Any:
        """Draw the first adversarial images, with the class of each and the one it is taken for; returns the figure."""
        from ._plot import images

        return images(self, count)

    def __repr__(self) -> str:
        low, high = self.interval()
        return (
            f"<epsball.Result: {self.model} under {self.attack} ({self.threat}), {len(self)} images: clean accuracy "
            f"{self.clean_accuracy:.2%}, robust accuracy {self.robust_accuracy:.2%} ({low:.1%} to {high:.1%})>"
        )

    def _repr_html_(self) -> str:
        low, high = self.interval()
        facts = [
            ("model", self.model),
            ("attack", f"{self.attack}, {self.threat}"),
            ("images", f"{len(self)}"),
            ("clean accuracy", f"{self.clean_accuracy:.2%}"),
            ("robust accuracy", f"<b>{self.robust_accuracy:.2%}</b> (95 %: {low:.1%} to {high:.1%})"),
            ("attack success rate", f"{self.attack_success_rate:.2%}"),
            ("passes per image", f"{self._passes():.0f}"),
            ("seconds", f"{self.seconds:.1f}"),
        ]
        lines = "".join(
            f'<tr><th style="text-align:left">{name}</th><td style="text-align:left">'
            f"{value if name == 'robust accuracy' else html.escape(value)}</td></tr>"
            for name, value in facts
        )
        told = "".join(
            f"<p>‡ <b>{html.escape(one.check)}</b>: {html.escape(one.seen)}. {html.escape(one.meaning)}</p>"
            for one in self.findings
        )
        return f"<table>{lines}</table>{told}"

    def _passes(self) -> float:
        return float(np.mean(self.rows["forwards"] + self.rows["backwards"])) if len(self) else 0.0
