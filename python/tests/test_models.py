"""Models that are no fixed functions from images to logits are refused, each by what is wrong with it."""

from __future__ import annotations

import epsball
import numpy as np
import pytest


def attack(pair, inner, **said):
    model = epsball.model(pair, **said) if said else pair
    return epsball.attack(model, *inner, attack="fgsm", norm="Linf", eps=0.03)


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_probabilities(linear, inner):
    def vjp(x):
        z, pull = linear.vjp(x)
        p = softmax(z)
        return p, lambda c: pull(p * (c - (c * p).sum(1, keepdims=True)))

    pair = (lambda x: softmax(linear.logits(x)), vjp)
    with pytest.raises(epsball.ModelError, match="it returns probabilities") as caught:
        attack(pair, inner)
    assert "probabilities=True" in caught.value.hint
    assert attack(pair, inner, probabilities=True).robust_accuracy < 1


def test_chance(linear, inner):
    draw = np.random.default_rng(0)

    def noisy(x):
        return linear.logits(x + draw.normal(scale=0.01, size=x.shape).astype(np.float32))

    pair = (noisy, linear.vjp)
    with pytest.raises(epsball.ModelError, match="other logits when asked again"):
        attack(pair, inner)
    assert len(attack(pair, inner, randomised=True)) == len(inner[0])


def test_a_batch_that_mixes(linear, inner):
    pair = (lambda x: linear.logits(x - x.mean(0, keepdims=True)), linear.vjp)
    with pytest.raises(epsball.ModelError, match="change with the other images of the batch"):
        attack(pair, inner)


def test_shapes(linear, inner):
    with pytest.raises(epsball.ModelError, match=r"8 images give \[8\]"):
        attack((lambda x: linear.logits(x)[:, 0], linear.vjp), inner)

    def flat(x):
        z, pull = linear.vjp(x)
        return z, lambda c: pull(c).reshape(len(x), -1)

    with pytest.raises(epsball.ModelError, match="its gradient has shape"):
        attack((linear.logits, flat), inner)


def test_numbers_that_are_none(linear, inner):
    with pytest.raises(epsball.ModelError, match="not finite"):
        attack((lambda x: linear.logits(x) * np.nan, linear.vjp), inner)


def test_a_function_without_a_gradient_and_what_is_no_model(linear, inner):
    import sys

    if "torch" not in sys.modules:
        with pytest.raises(epsball.ModelError, match="a function without a gradient"):
            attack(linear.logits, inner)
    with pytest.raises(epsball.SettingError, match="int is no model"):
        attack(3, inner)


def test_a_function_may_write_to_its_images(linear, inner):
    x, y = inner

    def clobber(images):
        z = linear.logits(images)
        images[:] = 0
        return z

    expected = attack(linear.pair, inner)
    kept = x.copy()
    np.testing.assert_array_equal(attack((clobber, linear.vjp), inner).images, expected.images)
    np.testing.assert_array_equal(x, kept)


def test_what_does_not_belong_to_a_model_is_refused(linear, inner, digits):
    given = {"attack": "fgsm", "norm": "Linf", "eps": 0.03}
    path = "bundled:digits-pgd"
    for said in ({"randomised": True}, {"optimises_in_forward": True}, {"identity": "mine"}, {"classes": 10}):
        with pytest.raises(epsball.SettingError, match=f"{next(iter(said))} cannot be said of it"):
            epsball.attack(epsball.model(path, **said), *digits, **given)
    for said in ({"arch": "small-cnn"}, {"average": "logits"}, {"onnx": {}}, {"precision": "bf16"}):
        with pytest.raises(epsball.SettingError, match=f"{next(iter(said))} cannot be said of it"):
            epsball.attack(epsball.model(linear.pair, **said), *inner, **given)
    compiled = epsball.Compiled(epsball._epsball.Network.open([path]), 0.0, 1.0)
    expected = epsball.attack(path, *digits, **given)
    for model in (compiled, epsball.model(compiled)):
        np.testing.assert_array_equal(epsball.attack(model, *digits, **given).images, expected.images)
    with pytest.raises(epsball.SettingError, match="name, randomised cannot be said of it"):
        epsball.attack(epsball.model(compiled, randomised=True, name="mine"), *digits, **given)


def test_what_is_said_of_a_function_reaches_the_checks(linear, inner):
    model = epsball.model(linear.pair, optimises_in_forward=True)
    with pytest.warns(epsball.SafetyWarning, match="optimisation"):
        result = epsball.attack(model, *inner, attack="ensemble", norm="Linf", eps=0.01, attacks="apgd-ce")
    assert "optimisation" in [one.check for one in result.findings]
