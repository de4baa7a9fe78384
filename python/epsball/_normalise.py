"""The normalisation as a part of the model, where attacks need it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def Normalise(mean: Sequence[float], std: Sequence[float]) -> Any:  # noqa: N802
    """A ``torch.nn.Module`` that subtracts the mean of every channel and divides by its standard deviation.

    Parameters
    ----------
    mean, std : sequence of float
        One number per channel, for pixels in [0, 1].

    Examples
    --------
    ``torch.nn.Sequential(epsball.Normalise(mean, std), model)`` takes images in [0, 1].
    """
    # PyTorch is not needed by who does not use it.
    from ._models._torch import Normalise as Module

    return Module(mean, std)
