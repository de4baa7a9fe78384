"""The native half of the package."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__version__: str

class Network:
    @staticmethod
    def open(
        files: list[str],
        *,
        name: str | None = None,
        arch: str | None = None,
        average: str | None = None,
        onnx: str | None = None,
        probabilities: bool = False,
        device: str = "auto",
        precision: str = "f32",
    ) -> Network: ...
    @staticmethod
    def of(
        object: Any,
        name: str,
        input_shape: tuple[int, ...],
        classes: int,
        *,
        parameters: int = 0,
        identity: str = "",
        randomised: bool = False,
        optimises_in_forward: bool = False,
        device: str = "cpu",
        batch: int = 256,
    ) -> Network: ...
    @property
    def name(self) -> str: ...
    @property
    def architecture(self) -> str: ...
    @property
    def input_shape(self) -> tuple[int, int, int]: ...
    @property
    def classes(self) -> int: ...
    @property
    def parameters(self) -> int: ...
    @property
    def identity(self) -> str: ...
    @property
    def on_engine(self) -> bool: ...
    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]: ...

class AttackRows:
    def __init__(self) -> None: ...
    def __len__(self) -> int: ...
    def columns(self) -> dict[str, Any]: ...

Told = tuple[str, str, str, str]

class Attack:
    LOOKED_AT: int
    def __init__(
        self,
        name: str,
        norm: str | None,
        eps: str | None,
        patch: str | None,
        shape: tuple[int, ...],
        parameters: dict[str, str],
        goal: str,
        seed: int,
        rng: str,
    ) -> None: ...
    @staticmethod
    def ensemble(
        parts: list[tuple[str, dict[str, str]]],
        norm: str | None,
        eps: str | None,
        shape: tuple[int, ...],
        batch_size: int,
        seed: int,
        rng: str,
    ) -> Attack: ...
    @property
    def parameters(self) -> dict[str, str]: ...
    @property
    def parts(self) -> list[str]: ...
    @property
    def composition(self) -> list[tuple[str, dict[str, str]]]: ...
    @property
    def minimal(self) -> bool: ...
    @property
    def stands_in(self) -> bool: ...
    def run(
        self,
        network: Network,
        images: NDArray[np.float32],
        labels: NDArray[np.int64],
        ids: list[int],
        rows: AttackRows,
    ) -> NDArray[np.float32]: ...
    def check_before(
        self, network: Network, images: NDArray[np.float32], labels: NDArray[np.int64], size: int
    ) -> list[Told]: ...
    def check_after(self, rows: AttackRows) -> list[Told]: ...
    def check_after_parts(self, by: list[str]) -> list[Told]: ...

class Certificate:
    @staticmethod
    def smoothing(
        shape: tuple[int, ...],
        sigma: float,
        n0: int,
        n: int,
        alpha: float,
        noise: str,
        mode_name: str,
        norm_name: str | None,
        radii: list[float],
        beta: float,
        levels: int,
        k: int | None,
        fill: float,
        seed: int,
    ) -> Certificate: ...
    @staticmethod
    def bounds(method: str, norm: str, eps: list[float], steps: int) -> Certificate: ...
    @property
    def norm(self) -> str: ...
    def run(
        self,
        network: Network,
        images: NDArray[np.float32],
        labels: NDArray[np.int64],
        ids: list[int],
        size: int,
    ) -> str: ...

class Board:
    def __init__(self, folders: list[str], published: str | None = None) -> None: ...
    def export(self, format: str) -> str: ...
    def write(self, folder: str) -> list[Path]: ...

def read_images(
    spec: str, first: int | None = None, every: int | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int64], list[int]]: ...
def command(arguments: list[str]) -> int: ...
def command_inside(arguments: list[str]) -> int: ...
def listed(section: str) -> list[tuple[str, str, str]]: ...
def run_suite(
    text: str | None, path: str, json: bool, folder: str | None, told: Callable[[str, str, int], None]
) -> tuple[Path, list[tuple[str, str]]]: ...
def compare_paths(first: str, second: str, radii: list[float], confidence: float, seed: int) -> tuple[str, str]: ...
def audit_table(
    log: str,
    sigma: float | None,
    n0: int | None,
    n: int | None,
    alpha: float | None,
    labels_of: str | None,
    radii: list[float],
    simultaneous: bool,
) -> tuple[str, str, bool]: ...
def verify_folder(folder: str, files_only: bool, certificates: int, seed: int) -> str: ...
def save_attack(
    folder: str,
    network: Network,
    configured: Attack,
    name: str | None,
    file: str | None,
    data: str,
    spec: str | None,
    attack: str,
    norm: str | None,
    eps: str | None,
    patch: str | None,
    goal: str,
    parameters: dict[str, str],
    seed: int,
    rng: str,
    batch: int,
    rows: AttackRows,
    images: NDArray[np.float32] | None,
    shape: tuple[int, ...],
    looked: int,
    findings: list[Told],
) -> None: ...
