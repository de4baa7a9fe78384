"""What can go wrong, as exceptions. Each says what is wrong, and in ``hint`` what to do about it."""

from __future__ import annotations


class EpsballError(Exception):
    """A mistake that epsball found.

    Attributes
    ----------
    message : str
        What is wrong, and with which file or setting.
    hint : str or None
        What to do about it.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class SettingError(EpsballError, ValueError):
    """A setting cannot be used, or a name is on no list."""


class FileError(EpsballError, OSError):
    """A file cannot be read or written, or its content is not what it has to be."""

    # OSError has a text of its own.
    __str__ = EpsballError.__str__


class DeviceError(EpsballError, RuntimeError):
    """A GPU or its driver refused something."""


class ModelError(EpsballError, ValueError):
    """A model is not the fixed function from images to logits that an attack needs."""


class SafetyWarning(UserWarning):
    """A safety check around an ensemble of attacks says that its robust accuracy may be too high."""
