"""Data sets of every format that epsball reads."""

from __future__ import annotations

import numpy as np

from ._epsball import read_images


def load(spec: str, first: int | None = None, every: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Read images and labels.

    Parameters
    ----------
    spec : str
        ``FORMAT:PATH``, or a path whose name shows its format, as on the command line: ``"digits:test"``,
        ``"cifar10:test_batch.bin"``, ``"idx:t10k-images-idx3-ubyte.gz"``, ``"npz:test.npz"``, ``"folder:images"``.
    first : int, optional
        Take the first so many images only.
    every : int, optional
        Take every so-manyth image only.

    Returns
    -------
    images : numpy.ndarray
        ``[N, C, H, W]``, f32 in [0, 1].
    labels : numpy.ndarray
        ``[N]``, i64.
    """
    return read_images(spec, first, every)
