"""RobustBench's `benchmark`, on images that are given or lie in a file."""

from __future__ import annotations

import os
from typing import Any

from ._autoattack import AutoAttack
from ._errors import SettingError
from ._load import load


def benchmark(
    model: Any,
    n_examples: int = 10_000,
    dataset: str | tuple[Any, Any] = "cifar10",
    threat_model: str = "Linf",
    *,
    eps: float | None = None,
    batch_size: int = 32,
    data_dir: str | os.PathLike[str] = "./data",
    device: Any = None,
    log_path: str | os.PathLike[str] | None = None,
    aa_state_path: str | os.PathLike[str] | None = None,
    seed: int | None = None,
    rng: str = "per-image",
    verbose: bool = False,
) -> tuple[float, float]:
    """Clean and robust accuracy under AutoAttack's standard version, with the signature of RobustBench.

    Parameters
    ----------
    model
        As in :func:`epsball.attack`.
    n_examples : int
        The first so many images.
    dataset : str or (x, y)
        Images and labels, or what :func:`epsball.load` reads. ``"cifar10"`` and ``"cifar100"`` are looked for in
        `data_dir`, as torchvision leaves them there.
    threat_model : {"Linf", "L2", "L1"}
        Norm of the ball.
    eps : float
        Radius of the ball, in pixel units of [0, 1]. There is no default.
    batch_size : int
        Images at a time.
    data_dir : path
        Where the data set is looked for.
    aa_state_path : path, optional
        The `state_path` of :meth:`epsball.AutoAttack.run_standard_evaluation`.
    device, log_path, seed, rng, verbose
        As in :class:`epsball.AutoAttack`.

    Returns
    -------
    clean_accuracy, robust_accuracy : float
        Shares of the images, in [0, 1].
    """
    if threat_model not in ("Linf", "L2", "L1"):
        raise SettingError(
            f"threat_model: {threat_model} is no norm",
            "common corruptions are measured by the command `epsball corruptions`, or a suite with epsball.run",
        )
    if eps is None:
        raise SettingError("eps: there is none", "RobustBench takes 8/255 for Linf and 0.5 for L2 on CIFAR-10")
    if isinstance(dataset, tuple):
        x, y = dataset
    else:
        folders = {
            "cifar10": ("cifar10", "cifar-10-batches-py/test_batch"),
            "cifar100": ("cifar100", "cifar-100-python/test"),
        }
        spec = dataset
        if dataset in folders:
            name, file = folders[dataset]
            spec = f"{name}:{os.path.join(os.fspath(data_dir), file)}"
        x, y = load(spec)
    x, y = x[:n_examples], y[:n_examples]
    adversary = AutoAttack(
        model, threat_model, eps, seed=seed, verbose=verbose, device=device, log_path=log_path, rng=rng
    )
    clean = adversary.clean_accuracy(x, y, batch_size)
    x_adv = adversary.run_standard_evaluation(x, y, bs=batch_size, state_path=aa_state_path)
    return clean, adversary.clean_accuracy(x_adv, y, batch_size)
