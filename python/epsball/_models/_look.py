"""What is seen of a model before it is attacked: that it is a fixed function from images to logits, with a gradient.
An attack on anything else gives a number that means nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._errors import ModelError

IMAGES = 8
"""How many images are looked at: the cost of a few passes."""


def look_at(adapter: Any, x: np.ndarray, said: Any) -> int:
    """Refuse what cannot be attacked as it is; returns the number of classes."""
    name = f"model {said.name or adapter.name}"
    refuse_training(name, adapter)
    some = np.ascontiguousarray(x[:IMAGES])
    if not len(some):
        if said.classes:
            return int(said.classes)
        raise ModelError(f"{name}: there is no image to ask it about", "give at least one image")
    logits = adapter.logits(some.copy())
    if logits.ndim != 2 or logits.shape[0] != len(some):
        raise ModelError(
            f"{name}: {len(some)} images give {list(logits.shape)}, not [{len(some)}, K]",
            "return a row of logits for every image of the batch",
        )
    if not np.isfinite(logits).all():
        raise ModelError(f"{name}: its logits are not finite", "look for a division by 0 or an overflow in its forward")
    if not said.probabilities and like_probabilities(logits):
        raise ModelError(
            f"{name}: it returns probabilities",
            "return logits, without the softmax: its gradients vanish where the model is sure. "
            "epsball.model(model, probabilities=True) attacks it as it is",
        )
    if not said.randomised:
        _look_for_chance(name, adapter, some, logits)
    _look_for_gradient(name, adapter, some)
    return int(logits.shape[1])


def refuse_training(name: str, adapter: Any) -> None:
    """Refuse a module that is in training mode."""
    training = adapter.training() if hasattr(adapter, "training") else []
    if training:
        shown = ", ".join(training[:3]) + (", ..." if len(training) > 3 else "")
        raise ModelError(
            f"{name}: it is in training mode ({shown})",
            "call model.eval() first: in training mode batch norm and dropout change what an image's logits are",
        )


def like_probabilities(logits: np.ndarray) -> bool:
    """Rows of numbers of at least 0 that add up to 1, within 1e-5 as the published AutoAttack has it."""
    inside = logits.min() > -1e-5 and logits.max() < 1 + 1e-5
    return bool(inside and np.abs(logits.sum(axis=1) - 1).max() < 1e-5)


def _look_for_chance(name: str, adapter: Any, some: np.ndarray, logits: np.ndarray) -> None:
    scale = max(float(np.abs(logits).max()), 1e-6)
    again = adapter.logits(some.copy())
    if np.abs(again - logits).max() > 1e-3 * scale:
        raise ModelError(
            f"{name}: the same images give other logits when asked again",
            "if it draws random numbers by design, say so: epsball.model(model, randomised=True), "
            "and attack it with version='rand'",
        )
    if len(some) > 1:
        alone = np.concatenate([adapter.logits(some[i : i + 1].copy()) for i in range(2)])
        if np.abs(alone - logits[:2]).max() > 1e-3 * scale:
            raise ModelError(
                f"{name}: an image's logits change with the other images of the batch",
                "use the statistics of training: batch norm in evaluation mode, and no normalisation over the batch",
            )


def _look_for_gradient(name: str, adapter: Any, some: np.ndarray) -> None:
    logits, pull = adapter.linearise(some.copy(), True)
    top = np.argsort(logits, axis=1)
    direction = np.zeros_like(logits)
    rows = np.arange(len(some))
    direction[rows, top[:, -1]], direction[rows, top[:, 0]] = 1.0, -1.0
    gradient = pull(direction)
    if gradient.shape != some.shape:
        raise ModelError(
            f"{name}: its gradient has shape {list(gradient.shape)}, its images {list(some.shape)}",
            "return the gradient with respect to the images",
        )
    if not np.isfinite(gradient).all():
        raise ModelError(f"{name}: its gradient is not finite", "look for a square root or a norm at 0 in its forward")
