"""Data sets of every format that epsball reads."""

from __future__ import annotations

import numpy as np

from ._epsball import read_images


class Loaded(tuple[np.ndarray, np.ndarray]):
    """The pair of images and labels, which knows where they lie.

    ``x, y = epsball.load(...)`` takes it apart; ``epsball.attack(model, epsball.load(...))`` uses the indices too, so
    its rows are those of the program.

    Attributes
    ----------
    indices : list of int
        The index of each image in its data set: what its random numbers belong to.
    spec : str
        ``FORMAT:PATH``.
    """

    indices: list[int]
    spec: str

    def __new__(cls, images: np.ndarray, labels: np.ndarray, indices: list[int], spec: str) -> Loaded:
        self = super().__new__(cls, (images, labels))
        self.indices, self.spec = indices, spec
        return self


def load(spec: str, first: int | None = None, every: int | None = None) -> Loaded:
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
    images, labels, indices = read_images(spec, first, every)
    return Loaded(images, labels, indices, spec)
