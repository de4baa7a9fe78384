"""Images and labels of any kind of array as arrays of NumPy, and back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ._errors import SettingError

Array = Any
"""An array of NumPy, PyTorch, JAX, or anything that NumPy can read."""


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _is_jax(value: Any) -> bool:
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(value, jax.Array)


def is_array(value: Any) -> bool:
    """It is an array, and nothing that holds arrays."""
    return isinstance(value, np.ndarray) or _is_tensor(value) or _is_jax(value)


def to_numpy(value: Array) -> np.ndarray:
    """The numbers of any kind of array, without a copy where that is possible."""
    if _is_tensor(value):
        value = value.detach()
        if str(value.dtype) in ("torch.bfloat16", "torch.float16"):
            value = value.float()
        return value.cpu().numpy()
    return np.asarray(value)


def kind_of(value: Array) -> Callable[[np.ndarray], Array]:
    """A function that makes an array of NumPy one of the kind of `value`, on its device."""
    if _is_tensor(value):
        torch = sys.modules["torch"]
        device = value.device
        return lambda array: torch.from_numpy(array).to(device)
    if _is_jax(value):
        jax = sys.modules["jax"]
        return lambda array: jax.numpy.asarray(array)
    return lambda array: array


def widened(found: np.ndarray, x: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Images `found`, made of the f32 images `x`, as f64 if `given`, which `x` is a copy of, are f64: then a pixel that
    is unchanged is the one that was given. In any other case they stay f32: 16 bits would round an adversarial image to
    another one."""
    return np.where(found == x, given, found.astype(np.float64)) if given.dtype == np.float64 else found


def images(x: Array, name: str = "x") -> np.ndarray:
    """Images as f32 `[N, C, H, W]` in [0, 1]."""
    array = to_numpy(x)
    if array.ndim != 4:
        raise SettingError(
            f"{name}: it has shape {list(array.shape)}, not [N, C, H, W]",
            "images come as a batch with the channels before the rows; a single image is x[None]",
        )
    if array.dtype == np.uint8:
        raise SettingError(f"{name}: it holds bytes", f"give numbers in [0, 1]: {name} / 255")
    if not np.issubdtype(array.dtype, np.floating):
        raise SettingError(f"{name}: it holds {array.dtype}", "give floating-point numbers in [0, 1]")
    if array.size:
        low, high = float(array.min()), float(array.max())
        if not (low >= 0.0 and high <= 1.0):  # NaN too
            if high > 2.0 and low >= 0.0:
                remedy = "they look like bytes: divide them by 255"
            else:
                remedy = (
                    "give images as they are before any normalisation, and put the normalisation into the "
                    "model: torch.nn.Sequential(epsball.Normalise(mean, std), model)"
                )
            raise SettingError(f"{name}: its values reach from {low:.4g} to {high:.4g}, not from 0 to 1", remedy)
    return np.ascontiguousarray(array, dtype=np.float32)


def labels(y: Array, count: int, name: str = "y") -> np.ndarray:
    """Class numbers as i64 `[N]`."""
    if y is None:
        raise SettingError(f"{name}: there are no labels", f"give one class number per image as {name}")
    array = to_numpy(y)
    if array.shape == (count, 1):
        array = array[:, 0]
    if array.shape != (count,):
        raise SettingError(
            f"{name}: it has shape {list(array.shape)}, and there are {count} images", "give one class number per image"
        )
    if not np.issubdtype(array.dtype, np.integer):
        raise SettingError(f"{name}: it holds {array.dtype}", "give class numbers, as integers")
    return np.ascontiguousarray(array, dtype=np.int64)
