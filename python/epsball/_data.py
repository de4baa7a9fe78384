"""Images with labels, from whatever holds them, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from . import _arrays
from ._errors import SettingError
from ._load import Loaded


class Batch(NamedTuple):
    """Some of the images."""

    images: np.ndarray
    """``[N, C, H, W]``, f32 in [0, 1]."""
    labels: np.ndarray
    """``[N]``, i64."""
    indices: list[int]
    """The index of each image in its data set."""
    given: np.ndarray
    """The images as they were given, of any floating type."""


Given = Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Images, labels, and the images as they were given."""


class Source:
    """Batches of images and labels.

    Arrays are cut into batches of the size that is asked for; a ``torch.utils.data.DataLoader``, and anything else that
    yields ``(images, labels)``, keeps its own batches and is read once, from its beginning to its end; the items
    ``(image, label)`` of a data set are put together.
    """

    def __init__(self, x: Any, y: Any, size: int) -> None:
        self._indices: list[int] | None = None
        self.spec: str | None = None
        if isinstance(x, Loaded) and y is None:
            self._indices, self.spec = x.indices, x.spec
        x, y = pair_of(x, y)
        self._x: Any = x
        self._kind: Callable[[np.ndarray], Any] | None = None
        if y is not None:
            self._y, self._size = y, size
            self.total: int | None = len(x)
            self._batches = self._of_arrays
        elif _arrays.is_array(x):
            raise SettingError(
                "y: there are no labels",
                "give the class numbers [N] of the images, or what epsball.load returns, or a DataLoader",
            )
        elif hasattr(x, "__getitem__") and hasattr(x, "__len__") and not _yields_batches(x):
            self._size = size
            self.total = len(x)
            self._batches = self._of_items
        elif isinstance(x, Iterable):
            dataset = getattr(x, "dataset", None)
            self.total = len(dataset) if dataset is not None and hasattr(dataset, "__len__") else None
            self._batches = self._of_loader
        else:
            raise SettingError(
                f"x: {type(x).__name__} holds no images",
                "give images and labels, a DataLoader, or a data set of pairs (image, label)",
            )

    def __iter__(self) -> Iterator[Batch]:
        seen = 0
        for images, labels, given in self._batches():
            ids = range(seen, seen + len(images))
            indices = list(ids) if self._indices is None else [self._indices[i] for i in ids]
            yield Batch(images, labels, indices, given)
            seen += len(images)

    def give_back(self, array: np.ndarray) -> Any:
        """`array` in the kind of array that the images came in."""
        return array if self._kind is None else self._kind(array)

    def _remember(self, images: Any) -> None:
        if self._kind is None:
            self._kind = _arrays.kind_of(images)

    def _of_arrays(self) -> Given:
        self._remember(self._x)
        given, x = _arrays.to_numpy(self._x), _arrays.images(self._x)
        y = _arrays.labels(self._y, len(x))
        for first in range(0, len(x), self._size):
            own = slice(first, first + self._size)
            yield x[own], y[own], given[own]

    def _of_items(self) -> Given:
        for first in range(0, len(self._x), self._size):
            items = [self._x[i] for i in range(first, min(first + self._size, len(self._x)))]
            try:
                pairs = [(_arrays.to_numpy(image), int(label)) for image, label in items]
            except (TypeError, ValueError) as error:
                raise SettingError(
                    "x: its items are no pairs (image, label)",
                    "without y, x holds an image [C, H, W] and a class number in each item",
                ) from error
            self._remember(items[0][0])
            given = np.stack([image for image, _ in pairs])
            yield _arrays.images(given), np.asarray([label for _, label in pairs], dtype=np.int64), given

    def _of_loader(self) -> Given:
        for batch in self._x:
            try:
                images, labels = batch
            except (TypeError, ValueError) as error:
                raise SettingError(
                    "x: its batches are no pairs (images, labels)", "yield images [N, C, H, W] and class numbers [N]"
                ) from error
            self._remember(images)
            x = _arrays.images(images)
            yield x, _arrays.labels(labels, len(x)), _arrays.to_numpy(images)


def pair_of(x: Any, y: Any) -> tuple[Any, Any]:
    """Images and labels, where `x` is a pair of them and there is no `y`."""
    if y is None and isinstance(x, (tuple, list)) and len(x) == 2 and _is_batch(x):
        return x[0], x[1]
    return x, y


def _yields_batches(x: Any) -> bool:
    return hasattr(x, "batch_size") or isinstance(x, (list, tuple)) and bool(x) and _is_batch(x[0])


def _is_batch(item: Any) -> bool:
    try:
        return np.ndim(_arrays.to_numpy(item[0])) == 4
    except (TypeError, IndexError, ValueError):
        return False
