"""Models of a user's program, as the native half asks them: an object with ``logits(images)`` and
``linearise(images, once)``, whose arrays are f32 of NumPy. A file per framework."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .._epsball import Network
from .._errors import ModelError, SettingError
from ._compile import Compiled, compile
from ._look import look_at
from ._pair import Pair, digest

__all__ = ["Compiled", "Model", "as_network", "compile", "model"]


@dataclass(frozen=True)
class Model:
    """A model with what is to be known about it.

    Make one with :func:`epsball.model`; every function of epsball takes it where it takes a model.
    """

    source: Any
    name: str | None = None
    identity: str | None = None
    randomised: bool = False
    optimises_in_forward: bool = False
    probabilities: bool = False
    classes: int | None = None
    arch: str | None = None
    average: str | None = None
    onnx: dict[str, Any] | None = None
    device: str = "auto"
    precision: str = "f32"


def model(
    source: Any,
    *,
    name: str | None = None,
    identity: str | None = None,
    randomised: bool = False,
    optimises_in_forward: bool = False,
    probabilities: bool = False,
    classes: int | None = None,
    arch: str | None = None,
    average: str | None = None,
    onnx: dict[str, Any] | None = None,
    device: str = "auto",
    precision: str = "f32",
) -> Model:
    """Say about a model what cannot be seen.

    Parameters
    ----------
    source : torch.nn.Module, callable, (callable, callable), path, or what `epsball.compile` returns
        What is attacked. A module or a function maps images ``[N, C, H, W]`` in [0, 1] to logits ``[N, K]``, with its
        normalisation inside. A pair is ``(logits, vjp)``: ``logits(x)`` is ``[N, K]``, and ``vjp(x)`` returns the
        logits and a function from a cotangent ``[N, K]`` to the gradient ``[N, C, H, W]``. A path is that of a
        safetensors file, an ONNX file (``.onnx``, ``.onnx.gz``), or ``bundled:NAME``, and runs on epsball's own
        engine; a list of paths is an ensemble. What is not for a source is refused.
    name : str, optional
        Name in tables.
    identity : str, optional
        What tells this model from any other, such as a file name with a date, for a function: of a module the hash of
        its state dict is taken. :meth:`Result.save` and the `state_path` of :class:`AutoAttack` need it.
    randomised : bool
        The forward pass draws random numbers. Predictions are then the most frequent of 11. Not for files: what runs
        on the engine draws none.
    optimises_in_forward : bool
        The forward pass runs an optimisation, such as a purification; attacks that follow gradients may be misled. Not
        for files.
    probabilities : bool
        It returns probabilities, and is to be attacked as it is.
    classes : int, optional
        Number of classes, instead of what the first batch shows. Not for files.
    arch, average, onnx, device, precision : optional
        For files, as on the command line: the architecture of bare weights; what an ensemble averages
        (``"logits"``, ``"probabilities"``); what an image is for an ONNX network
        (``{"layout": "nhwc", "range": 255, "mean": [...], "std": [...]}``); where the engine runs (``"cpu"``,
        ``"cuda:0"``; for a function of tensors, where it wants its batches), and in which arithmetic (``"f32"``,
        ``"tf32"``, ``"bf16"``).

    Returns
    -------
    Model
    """
    return Model(
        source,
        name,
        identity,
        randomised,
        optimises_in_forward,
        probabilities,
        classes,
        arch,
        average,
        onnx,
        device,
        precision,
    )


OF_FUNCTIONS = ("identity", "randomised", "optimises_in_forward", "classes")
OF_FILES = ("arch", "average", "onnx", "precision")


def as_network(given: Any, x: np.ndarray, batch: int = 256) -> Network:
    """The network of anything that is a model. `x` are the first images that it will see, ``[N, C, H, W]``; a model of
    Python is asked for the logits of at most `batch` images at a time."""
    said = given if isinstance(given, Model) else Model(given)
    source = said.source
    if isinstance(source, (Network, Compiled)):
        everything = [field.name for field in fields(Model) if field.name != "source"]
        _refuse(said, everything, "a compiled module is what it is", "epsball.compile(module, example, name=...)")
        return source.network if isinstance(source, Compiled) else source
    files = [source] if isinstance(source, (str, os.PathLike)) else source
    if isinstance(files, list) and files and all(isinstance(part, (str, os.PathLike)) for part in files):
        what = "a network in a file is a fixed function that the engine computes"
        _refuse(said, OF_FUNCTIONS, what, "attack the module itself: epsball.model(module, ...)")
        return _open(files, said)
    _refuse(said, OF_FILES, "this is for networks in files", "leave it out: a model of Python is attacked as it is")
    adapter = _adapter(source, None if said.device == "auto" else said.device)
    classes = look_at(adapter, x, said)
    return Network.of(
        adapter,
        said.name or adapter.name,
        tuple(x.shape[1:]),
        said.classes or classes,
        parameters=adapter.parameters,
        identity=digest([("identity", said.identity, [], b"")]) if said.identity else adapter.identity(),
        randomised=said.randomised,
        optimises_in_forward=said.optimises_in_forward,
        device=getattr(adapter, "device", "cpu"),
        batch=batch,
    )


def _refuse(said: Model, names: Iterable[str], why: str, remedy: str) -> None:
    """Refuse what is said of a model that it does not belong to: it would be ignored."""
    default = Model(None)
    given = [name for name in names if getattr(said, name) != getattr(default, name)]
    if given:
        raise SettingError(f"model: {', '.join(given)} cannot be said of it: {why}", remedy)


def file_of(given: Any) -> str | None:
    """The path of a model that is one file."""
    source = given.source if isinstance(given, Model) else given
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else None


def _open(paths: list[Any], said: Model) -> Network:
    files = [os.fspath(path) for path in paths]
    for file in files:
        if file.endswith((".pt", ".pth", ".th", ".tar", ".ckpt")):
            raise SettingError(
                f"model: {file} is a checkpoint of PyTorch",
                f"convert it once: epsball.convert({file!r}, 'model.safetensors')",
            )
    return Network.open(
        files,
        name=said.name,
        arch=said.arch,
        average=said.average,
        onnx=None if said.onnx is None else json.dumps(said.onnx),
        probabilities=said.probabilities,
        device=said.device,
        precision=said.precision,
    )


def _adapter(source: Any, device: str | None) -> Any:
    if isinstance(source, tuple) and len(source) == 2 and all(callable(part) for part in source):
        return Pair(*source)
    torch = sys.modules.get("torch")
    if torch is not None and callable(source):
        from ._torch import Torch

        return Torch(source, device)
    if callable(source):
        raise ModelError(
            f"model: {_name(source)} is a function without a gradient",
            "give a torch.nn.Module, or a pair (logits, vjp): vjp(x) returns the logits and a function from a "
            "cotangent [N, K] to the gradient [N, C, H, W]; with JAX that is lambda x: jax.vjp(f, x)",
        )
    raise SettingError(
        f"model: {type(source).__name__} is no model",
        "give a torch.nn.Module, a pair (logits, vjp), or the path of a model file",
    )


def _name(source: Callable[..., Any]) -> str:
    return getattr(source, "__name__", type(source).__name__)
