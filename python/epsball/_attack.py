"""Attacks on a model in memory or in a file."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import _progress
from ._data import Source
from ._epsball import Attack, AttackRows, Network
from ._errors import EpsballError, SafetyWarning, SettingError
from ._load import Loaded
from ._models import as_network, file_of
from ._result import Finding, Result

CHECKED = 100
"""Images that the safety checks before an ensemble look at, as in the program."""

ENSEMBLES = ("autoattack", "ensemble")

PYTHON_BATCH, ENGINE_BATCH, ENSEMBLE_BATCH = 128, 128, 48


@dataclass
class Job:
    """What is asked for, beside the model and the images."""

    attack: str
    norm: str | None
    eps: str | None
    patch: str | None
    goal: str
    seed: int
    rng: str
    parameters: dict[str, str]
    parts: list[tuple[str, dict[str, str]]] | None = None
    findings: list[Finding] = field(default_factory=list)
    file: str | None = None
    """The model file, if there is one."""
    spec: str | None = None
    """Where the images lie, if that is known."""

    def configured(self, shape: tuple[int, int, int]) -> Attack:
        """The attack for images of this shape."""
        if self.parts is not None:
            size = int(self.parameters["batch_size"])
            return Attack.ensemble(self.parts, self.norm, self.eps, shape, size, self.seed, self.rng)
        return Attack(
            self.attack, self.norm, self.eps, self.patch, shape, self.parameters, self.goal, self.seed, self.rng
        )


def number(value: Any, name: str) -> str:
    """A radius as text: a number, or a fraction such as ``"8/255"``."""
    if isinstance(value, str):
        return value
    try:
        return repr(float(value))
    except (TypeError, ValueError) as error:
        raise SettingError(f"{name}: {value!r} is not a number", 'give a number, such as 8/255 or "8/255"') from error


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(float(value)) if isinstance(value, (float, np.floating)) else str(value)


def attack(
    model: Any,
    x: Any,
    y: Any = None,
    attack: str = "autoattack",
    norm: str | None = None,
    eps: float | str | None = None,
    *,
    patch: str | None = None,
    goal: str | int = "untargeted",
    seed: int = 0,
    rng: str = "per-image",
    batch_size: int | None = None,
    progress: bool | None = None,
    keep_images: bool = True,
    **parameters: Any,
) -> Result:
    """Attack a classifier and say how robust it is.

    Parameters
    ----------
    model : torch.nn.Module, (logits, vjp), path, or what :func:`epsball.model` returns
        Maps images in [0, 1] to logits; its normalisation is inside, and it is in evaluation mode.
    x : array, what `epsball.load` returns, DataLoader or data set
        Images ``[N, C, H, W]`` in [0, 1], as an array of NumPy, PyTorch or JAX. Without `y`: what yields pairs of
        images and labels, batch by batch (a ``DataLoader``), or item by item (a ``Dataset``).
    y : array, optional
        Class numbers ``[N]``.
    attack : str
        Name of the attack; ``epsball.attacks()`` lists them.
    norm : {"Linf", "L2", "L1"}, optional
        Norm of the ball.
    eps : float or str, optional
        Radius of the ball, in pixel units of [0, 1]: ``8/255`` or ``"8/255"``.
    patch : str, optional
        In place of a ball: the size of a patch, ``"5x5"`` pixels, ``"2%"`` of the area.
    goal : str or int
        ``"untargeted"``, ``"least-likely"``, ``"random"``, ``"next"``, or the class that is aimed at.
    seed : int
        Seed of all randomness.
    rng : {"per-image", "torch"}
        ``"torch"`` draws as the published AutoAttack does; then batches matter, and an ensemble packs what its
        parts left of all images into batches.
    batch_size : int, optional
        Images at a time. With ``rng="per-image"`` an image's result does not depend on it.
    progress : bool, optional
        Show a bar; by default in terminals and notebooks.
    keep_images : bool
        Keep the adversarial images. Without them memory does not grow with the number of images.
    **parameters
        Hyper-parameters by their names in the paper: ``steps=100``, ``restarts=5``.

    Returns
    -------
    Result

    Raises
    ------
    ModelError
        If the model is in training mode, returns probabilities, has no gradient, or mixes the images of a batch.
    SettingError
        If a setting cannot be used; its hint says what to write instead.

    Examples
    --------
    >>> import epsball
    >>> x, y = epsball.load("digits:test", first=20)
    >>> result = epsball.attack("bundled:digits-pgd", x, y, attack="pgd", norm="Linf", eps=0.1)
    >>> 0 < result.robust_accuracy < 1
    True
    """
    given = {name: _text(value) for name, value in parameters.items() if value is not None}
    if rng == "torch" and attack in ENSEMBLES and batch_size is not None:
        # It cuts what each of its parts gets, as the published code does.
        given["batch_size"] = str(batch_size)
    job = Job(
        attack,
        norm,
        None if eps is None else number(eps, "eps"),
        patch,
        str(goal),
        seed,
        rng,
        given,
        file=file_of(model),
    )
    return run(job, model, x, y, batch_size=batch_size, progress=progress, keep_images=keep_images)


def run(
    job: Job,
    model: Any,
    x: Any,
    y: Any,
    *,
    batch_size: int | None = None,
    progress: bool | None = None,
    keep_images: bool = True,
) -> Result:
    """Attack batch after batch."""
    if batch_size is not None and batch_size < 1:
        raise SettingError(f"batch_size: {batch_size} images at a time", "give at least 1")
    together = job.rng == "torch"
    # Numbers that are drawn for a batch depend on all of its images: they are attacked together.
    arrays = y is not None or isinstance(x, Loaded)
    if together and not arrays:
        raise SettingError(
            'rng: "torch" draws for whole batches, and a loader hides how many images there are',
            "give all images and labels as arrays, or leave rng out",
        )
    count = len(x[0]) if isinstance(x, Loaded) and y is None else len(x) if together else 0
    whole = max(1, count)
    if together and job.attack not in ENSEMBLES and batch_size is not None:
        whole = batch_size
    source = Source(x, y, whole if together else batch_size or PYTHON_BATCH)
    job.spec = source.spec
    attacked = _Attacked(job, model, batch_size, keep_images)
    shown = _progress.bar(source.total, job.attack, progress)
    started = time.perf_counter()
    try:
        for batch in source:
            for count in attacked.batch(*batch):
                shown.update(count)
    finally:
        shown.close()
    return attacked.result(source, time.perf_counter() - started)


class _Attacked:
    """The images of a job that are attacked so far."""

    def __init__(self, job: Job, model: Any, size: int | None, keep_images: bool) -> None:
        self.job, self.model, self.size, self.keep = job, model, size, keep_images
        self.network: Network | None = None
        self.attack: Attack | None = None
        self.rows = AttackRows()
        self.images: list[np.ndarray] = []

    def _begin(self, images: np.ndarray, labels: np.ndarray) -> tuple[Network, Attack]:
        if self.network is None or self.attack is None:
            self.network = as_network(self.model, images)
            self.attack = self.job.configured(tuple(images.shape[1:]))
            if self.attack.stands_in:
                raise SettingError(
                    f"attack: {self.job.attack} asks the attack that it stands in for about some of the images, "
                    "which only a run does",
                    'use attack="autoattack" here, or a suite with epsball.run',
                )
            if self.attack.parts:
                first, size = images[:CHECKED], self.size or ENSEMBLE_BATCH
                self._tell(self.attack.check_before(self.network, first, labels[: len(first)], size))
        return self.network, self.attack

    def batch(self, images: np.ndarray, labels: np.ndarray, ids: list[int]) -> Iterator[int]:
        """Attack these images, and say after each part how many they were."""
        if not len(images):
            return
        network, attack = self._begin(images, labels)
        size = len(images)
        if self.job.rng != "torch" and network.on_engine:
            size = self.size or (ENSEMBLE_BATCH if attack.parts else ENGINE_BATCH)
        for first in range(0, len(images), size):
            part = images[first : first + size]
            own = slice(first, first + size)
            found = attack.run(network, part, labels[own], ids[own], self.rows)
            if self.keep:
                self.images.append(found)
            yield len(part)

    def _tell(self, told: list[tuple[str, str, str, str]]) -> None:
        for finding in (Finding(*one) for one in told):
            self.job.findings.append(finding)
            text = f"{finding.check}: {finding.seen}. {finding.meaning} {finding.remedy}"
            warnings.warn(text, SafetyWarning, stacklevel=5)

    def result(self, source: Source, seconds: float) -> Result:
        if self.network is None or self.attack is None:
            raise EpsballError("x: there are no images", "give at least one image")
        if self.attack.parts:
            self._tell(self.attack.check_after(self.rows))
        images = None
        if self.keep:
            images = source.give_back(np.concatenate(self.images))
            self.images = []
        return Result(self.network, self.attack, self.job, self.rows, images, seconds)
