"""Functions of JAX; left out where it is not installed."""

from __future__ import annotations

import epsball
import numpy as np
import pytest
from conftest import Linear

jax = pytest.importorskip("jax")


def test_a_function_of_jax_is_attacked_by_its_vjp(inner):
    x, _ = inner
    # Of two classes, whose loss climbs straight to the other one.
    linear = Linear(16, 2, seed=3)
    y = linear.logits(x).argmax(1)
    radius = linear.radius(x)
    eps = float(np.median(radius))
    w = jax.numpy.asarray(linear.w)

    @jax.jit
    def logits(images):
        return (images.reshape(len(images), -1) - 0.5) @ w

    pair = (logits, lambda images: jax.vjp(logits, jax.numpy.asarray(images)))
    result = epsball.attack(pair, jax.numpy.asarray(x), y, "pgd", "Linf", eps, alpha=eps / 10, steps=40)
    # Images come back in the caller's kind of array.
    assert isinstance(result.images, jax.Array)
    assert float(abs(result.images - x).max()) <= eps + 1e-6
    # What is nearer to its boundary than eps is broken, and nothing else.
    clear = np.abs(radius - eps) > 0.02 * eps
    assert clear.sum() > 25
    np.testing.assert_array_equal(result.robust[clear], (radius > eps)[clear])
    np.testing.assert_array_equal(np.asarray(logits(result.images).argmax(1)) == y, result.robust)
