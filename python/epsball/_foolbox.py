"""An attack as foolbox calls one: with a model, images, a criterion and several radii."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import _arrays
from ._attack import attack as attack_images
from ._errors import SettingError
from ._models import Model


class FoolboxAttack:
    """An attack of epsball with the call of foolbox 3.

    Parameters
    ----------
    attack : str
        Name of the attack.
    norm : {"Linf", "L2", "L1", "L0", "L0-pixels"}
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
            As in :func:`epsball.attack`, or a ``PyTorchModel`` of foolbox with the bounds (0, 1), which is attacked
            with its preprocessing.
        inputs : array
            Images ``[N, C, H, W]`` in [0, 1].
        criterion : array or object
            Class numbers ``[N]``, or an object with ``labels``, as foolbox's ``Misclassification``.
        epsilons : float or list of float
            Radii.

        Returns
        -------
        raw : array, or list of arrays
            What the attack found for each radius, ``[N, C, H, W]``; that of an attack that looks for the smallest
            change may lie outside the ball.
        clipped : array, or list of arrays
            The same, and the clean image in place of what lies outside the ball.
        success : array
            ``[K, N]``, or ``[N]`` for a single radius: whether the image in `clipped` is misclassified. A misclassified
            clean image counts, as there.
        """
        if epsilons is None:
            raise SettingError(
                "epsilons: there are none", "give at least one radius; a minimal attack takes the largest of interest"
            )
        labels = getattr(criterion, "labels", criterion)
        labels = getattr(labels, "raw", labels)
        single = np.ndim(epsilons) == 0
        radii: Any = [epsilons] if single else epsilons
        make, x = _arrays.kind_of(inputs), _arrays.to_numpy(inputs)
        raw, clipped, success = [], [], []
        for eps in radii:
            result = attack_images(_own(model), inputs, labels, self.attack, self.norm, eps, **self.parameters)
            raw.append(result.images)
            within = result.broken[:, None, None, None]
            clipped.append(make(np.where(within, _arrays.to_numpy(result.images), x)))
            success.append(~result.robust)
        flags = make(success[0] if single else np.stack(success))
        return (raw[0], clipped[0], flags) if single else (raw, clipped, flags)


def _own(model: Any) -> Any:
    """A model of foolbox as the function of tensors that it is; anything else as it is."""
    if not any(kind.__module__.split(".")[0] == "foolbox" for kind in type(model).__mro__):
        return model
    if tuple(model.bounds) != (0, 1):
        raise SettingError(
            f"model: its images lie in {tuple(model.bounds)}, not in [0, 1]",
            "give model.transform_bounds((0, 1)), and images in [0, 1]",
        )
    device = getattr(model, "device", None)
    name = type(model).__name__
    # As a function: what it is called with is what it returns, and its preprocessing is a part of it.
    return Model(lambda images: model(images), name=name, device="auto" if device is None else str(device))
