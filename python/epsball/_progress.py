"""A progress bar by tqdm, in terminals and notebooks, where tqdm is there and somebody is looking."""

from __future__ import annotations

import sys
from typing import Any


class _Silent:
    def update(self, count: int) -> None:
        pass

    def close(self) -> None:
        pass


def bar(total: int | None, title: str, wanted: bool | None) -> Any:
    """A bar over `total` images; `wanted` is ``None`` for one where somebody can see it."""
    if wanted is None:
        wanted = "ipykernel" in sys.modules or sys.stderr.isatty()
    if not wanted:
        return _Silent()
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return _Silent()
    return tqdm(total=total, desc=title, unit="image")
