"""An attack as foolbox calls one: with a model, images, a criterion and several radii."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import _arrays
from ._attack import attack as attack_images


class FoolboxAttack:
    """An attack of epsball with the call of foolbox 3.

    Parameters
    ----------
    attack : str
        Name of the attack.
    norm : {"Linf", "L2", "L1"}
        Norm of the ball.
    **parameters
        Hyper-parameters, and `seed`, `rng`, `batch_size`, `progress` of :func:`epsball.attack`.

    Examples
    --------
    ``raw, clipped, success = epsball.FoolboxAttack("pgd", "Linf", steps=40)(model, x, y, epsilons=[2/255, 8/255])``
    """

    def __init__(self, attack: str = "pgd", norm: str = "Linf", **parameters: Any) -> None:
        self.attack, self.norm, self.parameters = attack, norm, parameters

    def __call__(
        self, model: Any, inputs: Any, criterion: Any, *, epsilons: float | Sequence[float] | None
    ) -> tuple[Any, Any, Any]:
        """Attack.

        Parameters
        ----------
        model
            As in :func:`epsball.attack`, or a model of foolbox, whose module is attacked.
        inputs : array
            Images ``[N, C, H, W]`` in [0, 1].
        criterion : array or object
            Class numbers ``[N]``, or an object with ``labels``, as foolbox's ``Misclassification``.
        epsilons : float or list of float
            Radii.

        Returns
        -------
        raw, clipped : array, or list of arrays
            Adversarial images for every radius, of which each lies inside its ball, so both are the same.
        success : array
            ``[K, N]``, or ``[N]`` for a single radius: whether the returned image is misclassified. A misclassified
            clean image counts, as there.
        """
        if epsilons is None:
            raise ValueError("epsilons: give at least one radius; a minimal attack takes the largest of interest")
        labels = getattr(criterion, "labels", criterion)
        labels = getattr(labels, "raw", labels)
        single = np.ndim(epsilons) == 0
        found, success = [], []
        radii: Any = [epsilons] if single else epsilons
        for eps in radii:
            result = attack_images(
                getattr(model, "_model", model), inputs, labels, self.attack, self.norm, eps, **self.parameters
            )
            found.append(result.images)
            success.append(~result.robust)
        make = _arrays.kind_of(inputs)
        flags = make(success[0] if single else np.stack(success))
        return (found[0], found[0], flags) if single else (found, found, flags)
