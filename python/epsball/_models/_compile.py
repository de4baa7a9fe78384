"""A module of PyTorch on epsball's own engine, by way of ONNX."""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from .._arrays import images
from .._epsball import Network
from .._errors import ModelError
from ._look import refuse_training

ROUNDS = 5


class Compiled:
    """A module that runs on the engine; every function of epsball takes it where it takes a model.

    Attributes
    ----------
    network : Network
        The network on the engine.
    difference : float
        Largest difference of a logit from the module's on the example.
    speedup : float
        Seconds of the module for the logits of the example over those of the engine; medians of five, in turns.
    """

    def __init__(self, network: Network, difference: float, speedup: float) -> None:
        self.network, self.difference, self.speedup = network, difference, speedup

    def __repr__(self) -> str:
        return (
            f"<epsball.Compiled: {self.network.name}, logits within {self.difference:.2g} of the module's, "
            f"{self.speedup:.2f} times as fast>"
        )


def compile(  # noqa: A001
    module: Any, example: Any, *, tolerance: float = 1e-3, name: str | None = None, path: str | None = None
) -> Compiled:
    """Export a module to ONNX and run it on epsball's engine, on the CPU.

    Parameters
    ----------
    module : torch.nn.Module
        In evaluation mode, on any device.
    example : array
        Images ``[N, C, H, W]`` in [0, 1], such as those to be attacked: logits have to agree on them, and both are
        timed on them.
    tolerance : float
        Largest difference of a logit, relative to the largest logit of the example.
    name : str, optional
        Name in tables.
    path : str, optional
        Where the ONNX file is to stay.

    Returns
    -------
    Compiled

    Raises
    ------
    ModelError
        If the module cannot be exported, the engine cannot run it, or their logits differ.
    """
    import torch

    from ._torch import Torch

    x = images(example, "example")
    adapter = Torch(module)
    refuse_training(f"module {adapter.name}", adapter)
    with tempfile.TemporaryDirectory() as folder:
        file = path or str(Path(folder) / f"{name or adapter.name}.onnx")
        first = adapter._send(x[:1].copy())
        try:
            torch.onnx.export(
                module, (first,), file, input_names=["images"], output_names=["logits"],
                dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}}, opset_version=17, dynamo=False,
            )  # fmt: skip
        except Exception as error:
            raise ModelError(
                f"module {adapter.name}: PyTorch cannot export it to ONNX: {error}", "attack the module as it is"
            ) from error
        network = Network.open([file], name=name or adapter.name, onnx='{"layout": "nchw"}', device="cpu")
    expected, found = adapter.logits(x.copy()), network.logits(x)
    difference = float(np.abs(expected - found).max())
    scale = max(float(np.abs(expected).max()), 1e-6)
    if not difference <= tolerance * scale:
        raise ModelError(
            f"module {adapter.name}: its logits and those of the engine differ by {difference:.3g}",
            "attack the module as it is, and report this with the module",
        )
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for ask, times in zip((adapter.logits, network.logits), seconds):
            some = x.copy()
            started = time.perf_counter()
            ask(some)
            times.append(time.perf_counter() - started)
    compiled = Compiled(network, difference, statistics.median(seconds[0]) / statistics.median(seconds[1]))
    logging.getLogger("epsball").info("%r", compiled)
    return compiled
