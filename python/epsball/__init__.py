"""epsball measures how robust image classifiers are: attacks inside an epsilon-ball, patches, and certificates.

Three lines attack the model in memory::

    import epsball
    result = epsball.attack(model, x, y, attack="autoattack", norm="Linf", eps=8 / 255)
    result.robust_accuracy, result.images, result.rows
"""

from __future__ import annotations

from ._attack import attack
from ._autoattack import AutoAttack
from ._certify import Certified, certify
from ._epsball import __version__
from ._errors import DeviceError, EpsballError, FileError, ModelError, SafetyWarning, SettingError
from ._foolbox import FoolboxAttack
from ._load import load
from ._models import Compiled, Model, compile, model
from ._normalise import Normalise
from ._program import (
    Leaderboard,
    Report,
    attacks,
    audit,
    certificates,
    compare,
    convert,
    leaderboard,
    run,
    verify,
)
from ._result import Finding, Result
from ._robustbench import benchmark
from ._table import Table

__all__ = [
    "AutoAttack",
    "Certified",
    "Compiled",
    "DeviceError",
    "EpsballError",
    "FileError",
    "Finding",
    "FoolboxAttack",
    "Leaderboard",
    "Model",
    "ModelError",
    "Normalise",
    "Report",
    "Result",
    "SafetyWarning",
    "SettingError",
    "Table",
    "__version__",
    "attack",
    "attacks",
    "audit",
    "benchmark",
    "certificates",
    "certify",
    "compare",
    "compile",
    "convert",
    "leaderboard",
    "load",
    "model",
    "run",
    "verify",
]
