"""Rows as columns of NumPy, and as a data frame where a library for these is there."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

SHOWN = 10
"""Rows that a notebook shows."""


class Table(Mapping[str, np.ndarray]):
    """A row per image, as columns by their names.

    ``table["distance"]`` is an array; :meth:`to_pandas` and :meth:`to_polars` make a data frame of all of them.
    """

    def __init__(self, columns: dict[str, Any]) -> None:
        self._columns = {name: np.asarray(column) for name, column in columns.items()}

    def __getitem__(self, name: str) -> np.ndarray:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        """Number of columns, as of every mapping; :attr:`height` is the number of rows."""
        return len(self._columns)

    @property
    def height(self) -> int:
        """Number of rows."""
        return len(next(iter(self._columns.values()), ()))

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self._columns)

    def to_pandas(self) -> Any:
        """The rows as a ``pandas.DataFrame``."""
        import pandas

        return pandas.DataFrame(self._columns)

    def to_polars(self) -> Any:
        """The rows as a ``polars.DataFrame``."""
        import polars

        return polars.DataFrame(self._columns)

    def __repr__(self) -> str:
        return f"<epsball.Table: {self.height} rows, columns {', '.join(self._columns)}>"

    def _repr_html_(self) -> str:
        def cell(value: Any) -> str:
            return html.escape(f"{value:.4g}" if isinstance(value, (float, np.floating)) else str(value))

        head = "".join(f"<th>{html.escape(name)}</th>" for name in self._columns)
        rows = "".join(
            "<tr>" + "".join(f"<td>{cell(column[i])}</td>" for column in self._columns.values()) + "</tr>"
            for i in range(min(self.height, SHOWN))
        )
        more = f"<p>{self.height} rows, the first {SHOWN} are shown</p>" if self.height > SHOWN else ""
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        return f'<div style="overflow-x:auto;white-space:nowrap">{table}</div>{more}'
