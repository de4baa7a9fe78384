"""A pair of functions: logits, and logits with what pulls cotangents back. JAX, NumPy, anything."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from .._arrays import to_numpy


class Pair:
    """``(logits, vjp)`` as the native half asks it."""

    parameters = 0

    def __init__(self, logits: Callable[[Any], Any], vjp: Callable[[Any], Any]) -> None:
        self._logits, self._vjp = logits, vjp
        name = getattr(logits, "__name__", type(logits).__name__)
        self.name = "model" if name == "<lambda>" else name

    def logits(self, images: np.ndarray) -> np.ndarray:
        return _f32(self._logits(images))

    def linearise(self, images: np.ndarray, once: bool) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
        answer, pull = self._vjp(images)

        def gradient(cotangent: np.ndarray) -> np.ndarray:
            pulled = pull(cotangent)
            # jax.vjp returns a tuple, an entry for each argument.
            if isinstance(pulled, (tuple, list)):
                pulled = pulled[0]
            return _f32(pulled)

        return _f32(answer), gradient

    def identity(self) -> str:
        """Nothing is known about what functions compute with."""
        return ""


def _f32(array: Any) -> np.ndarray:
    return np.ascontiguousarray(to_numpy(array), dtype=np.float32)


def digest(parts: Any) -> str:
    """SHA-256 of names and arrays, in their order."""
    sha = hashlib.sha256()
    for name, dtype, shape, data in parts:
        sha.update(f"{name}\n{dtype}\n{list(shape)}\n".encode())
        sha.update(data)
    return sha.hexdigest()
