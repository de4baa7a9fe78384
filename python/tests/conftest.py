"""Networks whose answers are known, on real digits."""

from __future__ import annotations

import epsball
import numpy as np
import pytest


@pytest.fixture(scope="session")
def digits() -> epsball._load.Loaded:
    return epsball.load("digits:test", first=40)


class Linear:
    """Logits `(x - 0.5) w` of flattened images, as the pair that epsball takes: robust in Linf up to a known radius."""

    def __init__(self, features: int, classes: int, seed: int = 0) -> None:
        draw = np.random.default_rng(seed)
        self.w = draw.normal(size=(features, classes)).astype(np.float32)
        self.calls = 0

    def logits(self, x: np.ndarray) -> np.ndarray:
        self.calls += 1
        return (x.reshape(len(x), -1) - 0.5) @ self.w

    def vjp(self, x: np.ndarray):
        shape = x.shape
        return self.logits(x), lambda c: (c @ self.w.T).reshape(shape)

    @property
    def pair(self):
        return self.logits, self.vjp

    def radius(self, x: np.ndarray) -> np.ndarray:
        """The smallest Linf change, in no box, that gives an image another class, `[N]`."""
        z = self.logits(x)
        best = z.argmax(1)
        gaps = z[np.arange(len(x)), best][:, None] - z
        sizes = np.abs(self.w[:, best].T[:, :, None] - self.w[None]).sum(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            radii = np.where(sizes > 0, gaps / sizes, np.inf)
        radii[np.arange(len(x)), best] = np.inf
        return radii.min(1)


@pytest.fixture
def linear() -> Linear:
    return Linear(16, 3)


@pytest.fixture
def inner() -> tuple[np.ndarray, np.ndarray]:
    """Images far from the ends of [0, 1], so that a small ball is whole, and the classes of `linear`."""
    x = np.random.default_rng(1).uniform(0.4, 0.6, size=(30, 1, 4, 4)).astype(np.float32)
    return x, Linear(16, 3).logits(x).argmax(1)
