"""Functions of JAX; left out where it is not installed."""

from __future__ import annotations

import epsball
import numpy as np
import pytest

jax = pytest.importorskip("jax")


def test_a_function_of_jax_is_attacked_by_its_vjp(linear, inner):
    x, y = inner
    w = jax.numpy.asarray(linear.w)

    @jax.jit
    def logits(images):
        return (images.reshape(len(images), -1) - 0.5) @ w

    pair = (logits, lambda images: jax.vjp(logits, jax.numpy.asarray(images)))
    result = epsball.attack(pair, jax.numpy.asarray(x), y, "pgd", "Linf", 0.02, steps=20)
    # Images come back in the caller's kind of array.
    assert isinstance(result.images, jax.Array)
    assert float(abs(result.images - x).max()) <= 0.02 + 1e-6
    # A linear network has a closed form: what is nearer to its boundary than eps is broken, and nothing else.
    np.testing.assert_array_equal(result.robust, linear.radius(x) > 0.02)
    assert 0 < result.robust_accuracy < 1
    np.testing.assert_array_equal(np.asarray(logits(result.images).argmax(1)) == y, result.robust)
