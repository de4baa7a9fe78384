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
    import torch

    class Normalise(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.tensor(list(mean)).view(-1, 1, 1))
            self.register_buffer("std", torch.tensor(list(std)).view(-1, 1, 1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x - self.mean) / self.std

    return Normalise()
