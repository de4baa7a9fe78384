"""Numbers as the native half takes them, as text, and the interval of a share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._errors import SettingError


def text(value: Any) -> str:
    """A hyper-parameter as text, as suites and the command line write it."""
    # Before the numbers: a bool is an int.
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return " ".join(text(one) for one in value)
    return repr(float(value)) if isinstance(value, (float, np.floating)) else str(value)


def value(text: str) -> Any:
    """What `text` of a hyper-parameter is: a truth value, a number, or a name."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def number(value: Any, name: str) -> str:
    """A radius as text: a number, or a fraction such as ``"8/255"``."""
    if isinstance(value, str):
        return value
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        return repr(float(value))
    except (TypeError, ValueError) as error:
        raise SettingError(f"{name}: {value!r} is not a number", 'give a number, such as 8/255 or "8/255"') from error


def radius(text: str) -> float:
    """The number of a radius that the native half has taken."""
    top, _, bottom = text.partition("/")
    return float(top) / float(bottom or 1)


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a share."""
    if trials == 0:
        return (0.0, 1.0)
    z = 1.959963984540054
    share = successes / trials
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)) / (1 + z * z / trials)
    # At the ends rounding would leave the share outside of its own interval.
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    return low, 1.0 if successes == trials else min(1.0, middle + half)
