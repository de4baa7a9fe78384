"""A ``torch.nn.Module``, or a function of tensors, on its own device: logits under ``inference_mode``, gradients by
``autograd.grad``, which leaves the gradients of the weights alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from .._errors import ModelError
from ._pair import digest


class Torch:
    """A module as the native half asks it."""

    def __init__(self, module: Callable[[torch.Tensor], torch.Tensor], device: str | None = None) -> None:
        self.module = module
        self.name = getattr(module, "__name__", type(module).__name__)
        self._device, self._dtype = torch.device(device or "cpu"), torch.float32
        self.parameters = 0
        if isinstance(module, torch.nn.Module):
            weights = list(module.parameters())
            self.parameters = sum(weight.numel() for weight in weights)
            first = next((w for w in [*weights, *module.buffers()] if w.is_floating_point()), None)
            if first is not None:
                self._device, self._dtype = first.device, first.dtype

    @property
    def device(self) -> str:
        """Where it runs, as runs record it."""
        return str(self._device)

    def _send(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(device=self._device, dtype=self._dtype)

    def _answer(self, images: torch.Tensor) -> torch.Tensor:
        answer = self.module(images)
        if not isinstance(answer, torch.Tensor):
            raise ModelError(
                f"model {self.name}: it returns {type(answer).__name__}, not logits",
                "wrap it in a module that returns the tensor of logits [N, K]",
            )
        return answer

    def logits(self, images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return _fetch(self._answer(self._send(images)))

    def linearise(self, images: np.ndarray, once: bool) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
        # What is around the call, such as `torch.no_grad()`, is for the caller's own computations.
        with torch.inference_mode(False), torch.enable_grad():
            x = self._send(images).requires_grad_(True)
            answer = self._answer(x)
        if not answer.requires_grad:
            raise ModelError(
                f"model {self.name}: its logits have no gradient with respect to the images",
                "look for torch.no_grad(), inference_mode(), .detach(), .data or a detour through NumPy in its forward",
            )

        def pull(cotangent: np.ndarray) -> np.ndarray:
            direction = torch.from_numpy(cotangent).to(device=answer.device, dtype=answer.dtype)
            (gradient,) = torch.autograd.grad(answer, x, direction, retain_graph=not once, allow_unused=True)
            if gradient is None:
                raise ModelError(
                    f"model {self.name}: its logits do not depend on the images",
                    "look for .detach(), .data or a detour through NumPy in its forward",
                )
            return _fetch(gradient)

        return _fetch(answer.detach()), pull

    def training(self) -> list[str]:
        """Names of the parts that are in training mode and may behave otherwise there."""
        if not isinstance(self.module, torch.nn.Module):
            return []
        named = self.module.named_modules()
        return [name or type(part).__name__ for name, part in named if part.training and type(part) not in INERT]

    def identity(self) -> str:
        """SHA-256 of the classes of the module and its parts, and of its state: names, types, shapes and numbers."""
        if not isinstance(self.module, torch.nn.Module):
            return ""
        parts: list[tuple[str, str, list[int], bytes]] = []
        for name, part in self.module.named_modules():
            parts.append((f"class {name}", f"{type(part).__module__}.{type(part).__qualname__}", [], b""))
        # Buffers that are not saved are part of the function too.
        for name, value in {**self.module.state_dict(), **dict(self.module.named_buffers())}.items():
            if isinstance(value, torch.Tensor):
                numbers = value.detach().cpu().contiguous().flatten()
                data = numbers.view(torch.uint8).numpy().tobytes() if numbers.numel() else b""
                parts.append((name, str(value.dtype), list(value.shape), data))
        return digest(parts)


class Normalise(torch.nn.Module):
    """See :func:`epsball.Normalise`."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(list(mean)).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(list(std)).view(-1, 1, 1))
        # It has no other mode, and the module around it may be in none that was chosen.
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean) / self.std


INERT = (torch.nn.Sequential, torch.nn.ModuleList, torch.nn.ModuleDict, torch.nn.Identity, Normalise)
"""Classes whose own forward is the same in training mode: a container does what its parts do."""


def _fetch(tensor: torch.Tensor) -> np.ndarray:
    return tensor.to(device="cpu", dtype=torch.float32).contiguous().numpy()
