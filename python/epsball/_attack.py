"""Attacks on a model in memory or in a file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from . import _arrays, _progress
from ._data import Batch, Source, pair_of
from ._epsball import Attack, AttackRows, Network
from ._errors import EpsballError, SettingError
from ._load import Loaded
from ._models import as_network, file_of
from ._numbers import number, text
from ._result import Finding, Result, tell

ENSEMBLES = ("autoattack", "ensemble")
"""Attacks of which each part gets what those before it left, in batches of its own."""

BATCH, ENSEMBLE_BATCH = 128, 48
"""Images at a time, as in the program; the second of an ensemble on the engine."""


@dataclass
class Job:
    """What is asked for, beside the model and the images, and how it was done."""

    attack: str
    norm: str | None
    eps: str | None
    patch: str | None
    goal: str
    seed: int
    rng: str
    parameters: dict[str, str]
    file: str | None = None
    """The model file, if there is one."""
    spec: str | None = None
    """Where the images lie, if that is known."""
    batch: int = 0
    """Images that random numbers of PyTorch are drawn for at a time."""
    looked: int = 0
    """Images that the safety checks before the attack have looked at."""
    findings: list[Finding] = field(default_factory=list)

    def configured(self, shape: tuple[int, int, int]) -> Attack:
        """The attack for images of this shape."""
        return Attack(
            self.attack, self.norm, self.eps, self.patch, shape, self.parameters, self.goal, self.seed, self.rng
        )


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
    model : torch.nn.Module, (logits, vjp), path, or what `epsball.model` or `epsball.compile` returns
        Maps images in [0, 1] to logits; its normalisation is inside, and it is in evaluation mode.
    x : array, what `epsball.load` returns, DataLoader or data set
        Images ``[N, C, H, W]`` in [0, 1], as an array of NumPy, PyTorch or JAX; the attack computes in f32. Without
        `y`: a pair of images and labels, or what yields such pairs, batch by batch (a ``DataLoader``), or item by item
        (a ``Dataset``).
    y : array, optional
        Class numbers ``[N]``; needed where `x` is an array.
    attack : str
        Name of the attack; ``epsball.attacks()`` lists them.
    norm : {"Linf", "L2", "L1", "L0", "L0-pixels"}, optional
        Norm of the ball.
    eps : float or str, optional
        Radius of the ball, in pixel units of [0, 1]: ``8/255`` or ``"8/255"``; under L0 the number of values that may
        change, under L0-pixels of pixels.
    patch : str, optional
        In place of a ball: the size of a patch, ``"5x5"`` pixels, ``"2%"`` of the area, ``"circle:5"`` for a disc,
        ``"mask:FILE.png"`` for what is white in an image.
    goal : str or int
        ``"untargeted"``, ``"least-likely"``, ``"second"``, ``"random"``, ``"next"``, or the class that is aimed at.
    seed : int
        Seed of all randomness.
    rng : {"per-image", "torch"}
        ``"torch"`` draws as the published AutoAttack does; then batches matter, and an ensemble packs what its
        parts left of all images into batches.
    batch_size : int, optional
        Images at a time: 128 if it is not given, 48 for an ensemble on the engine. With ``rng="per-image"`` an image's
        result does not depend on it; with ``rng="torch"`` it does, and the default of an ensemble is the 250 of the
        published code.
    progress : bool, optional
        Show a bar; by default in terminals and notebooks.
    keep_images : bool
        Keep the adversarial images. Without them memory does not grow with the number of images.
    **parameters
        Hyper-parameters by their names in the paper: ``steps=100``, ``restarts=5``.

    Returns
    -------
    Result
        Its ``images`` lie in the ball and are misclassified, or are the clean ones. Only attacks that look for the
        smallest change (``"cw-l2"``, ``"ddn"``, ``"fmn"``, ``"min-norm"``, ...) return the closest adversarial image
        that they found wherever that lies; those beyond `eps` do not count as broken (``result.broken``).

    Warns
    -----
    SafetyWarning
        If a safety check before or after the attack has found a reason not to trust the number. The checks before it
        look at the first 100 images.

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
    given = {name: text(value) for name, value in parameters.items() if value is not None}
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
        file_of(model),
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
    size = batch_size or BATCH
    if job.rng == "torch":
        x, y = (x, y) if isinstance(x, Loaded) else pair_of(x, y)
        # Numbers that are drawn for a batch depend on all of its images: a loader's batches are not those of arrays.
        if y is None and not (isinstance(x, Loaded) or _arrays.is_array(x)):
            raise SettingError(
                'rng: "torch" draws for whole batches, and a loader has batches of its own',
                "give all images and labels as arrays, or leave rng out",
            )
        if job.attack in ENSEMBLES:
            # It packs what its parts left of all images into batches.
            size = max(1, len(x[0]) if isinstance(x, Loaded) and y is None else len(x))
    source = Source(x, y, size)
    job.spec = source.spec
    attacked = _Attacked(job, model, batch_size, keep_images)
    shown = _progress.bar(source.total, job.attack, progress)
    started = time.perf_counter()
    try:
        for batch in attacked.begin(source):
            for count in attacked.batch(batch):
                shown.update(count)
    finally:
        shown.close()
    return attacked.result(source, time.perf_counter() - started)


class _Attacked:
    """The images of a job that are attacked so far."""

    network: Network
    attack: Attack

    def __init__(self, job: Job, model: Any, size: int | None, keep_images: bool) -> None:
        self.job, self.model, self.size, self.keep = job, model, size, keep_images
        self.rows = AttackRows()
        self.images: list[np.ndarray] = []

    def begin(self, source: Source) -> Iterator[Batch]:
        """Look at the model and at the first images, of as many batches as the safety checks look at; returns all
        batches."""
        batches = (batch for batch in source if len(batch.images))
        first: list[Batch] = []
        while sum(len(batch.images) for batch in first) < Attack.LOOKED_AT:
            batch = next(batches, None)
            if batch is None:
                break
            first.append(batch)
        if not first:
            raise EpsballError("x: there are no images", "give at least one image")
        images = np.concatenate([batch.images for batch in first])[: Attack.LOOKED_AT]
        labels = np.concatenate([batch.labels for batch in first])[: Attack.LOOKED_AT]
        job = self.job
        self.attack = attack = job.configured(tuple(images.shape[1:]))
        together = job.rng == "torch" and job.attack in ENSEMBLES
        job.batch = int(attack.parameters["batch_size"]) if together else self.size or BATCH
        self.network = as_network(self.model, images, job.batch)
        if attack.stands_in:
            raise SettingError(
                f"attack: {job.attack} asks the attack that it stands in for about some of the images, "
                "which only a run does",
                'use attack="autoattack" here, or a suite with epsball.run',
            )
        self._tell(attack.check_before(self.network, images, labels, self._size()))
        job.looked = len(images)
        return chain(first, batches)

    def _size(self) -> int:
        """Images at a time, where these are drawn for one by one."""
        ensemble = self.network.on_engine and self.attack.parts
        return self.size or (ENSEMBLE_BATCH if ensemble else BATCH)

    def batch(self, batch: Batch) -> Iterator[int]:
        """Attack these images, and say after each part how many they were."""
        images, labels, ids, given = batch
        # What a loader yields, or what random numbers are drawn for together, is not cut.
        size = self._size() if self.job.rng != "torch" and self.network.on_engine else len(images)
        for first in range(0, len(images), size):
            own = slice(first, first + size)
            found = self.attack.run(self.network, images[own], labels[own], ids[own], self.rows)
            if self.keep:
                self.images.append(_arrays.widened(found, images[own], given[own]))
            yield len(found)

    def _tell(self, told: list[tuple[str, str, str, str]]) -> None:
        # Above `tell`, this, `begin` or `result`, `run` and `attack` is the line that the warning is for.
        self.job.findings += tell(told, 6)

    def result(self, source: Source, seconds: float) -> Result:
        """What was found."""
        self._tell(self.attack.check_after(self.rows))
        images = None
        if self.keep:
            images = source.give_back(np.concatenate(self.images))
            self.images = []
        return Result(self.network, self.attack, self.job, self.rows, images, seconds)
