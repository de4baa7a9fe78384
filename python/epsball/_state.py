"""How far an evaluation by AutoAttack is, and the file that it goes on from."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ._errors import FileError, SettingError


class Marks(NamedTuple):
    """What is known of each image, ``[N]``. It is replaced as a whole: an evaluation may be stopped between any two
    lines, and what it is stopped with has to be a state that it was in."""

    robust: np.ndarray
    """Whether it is robust so far."""
    by: np.ndarray
    """The attack that broke it; ``"clean"`` if it was misclassified before any, ``""`` if none did."""
    done: tuple[str, ...]
    """The attacks that are finished."""
    at: str
    """The attack that `asked` is about."""
    asked: np.ndarray
    """Whether that attack has been let loose on it."""


@dataclass
class Progress:
    """The images ``[N, C, H, W]`` as the attacks have left them, and what is known of them."""

    x_adv: np.ndarray
    marks: Marks

    @classmethod
    def fresh(cls, x: np.ndarray, correct: np.ndarray) -> Progress:
        """Before the first attack."""
        by = np.where(correct, "", "clean").astype(object)
        return cls(x.copy(), Marks(correct, by, (), "", np.zeros(len(x), bool)))

    def left_for(self, attack: str) -> np.ndarray:
        """Indices of the images that this attack has still to be let loose on."""
        marks = self.marks
        return np.flatnonzero(marks.robust & ~marks.asked if marks.at == attack else marks.robust)

    def settle(self, attack: str, some: np.ndarray, hit: np.ndarray, images: np.ndarray) -> None:
        """An attack was let loose on the images of indices `some` and broke those of indices `hit`."""
        marks = self.marks
        robust, by = marks.robust.copy(), marks.by.copy()
        asked = marks.asked.copy() if marks.at == attack else np.zeros_like(marks.asked)
        robust[hit], by[hit], asked[some] = False, attack, True
        # An image that counts as robust may be one that is overwritten when its attack is repeated.
        self.x_adv[hit] = images
        self.marks = Marks(robust, by, marks.done, attack, asked)

    def end(self, attack: str) -> None:
        """An attack is finished."""
        self.marks = self.marks._replace(done=(*self.marks.done, attack))


class State:
    """A file with the progress of one evaluation; `key` is a hash of everything that its results depend on."""

    def __init__(self, path: str | os.PathLike[str], key: str) -> None:
        self.path, self.key = Path(path), key

    def read(self) -> Progress | None:
        """The progress in the file; ``None`` if there is no file."""
        if not self.path.exists():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as state:
                key = str(state["key"])
                done = tuple(str(name) for name in state["done"])
                marks = Marks(state["robust"], state["by"].astype(object), done, str(state["at"]), state["asked"])
                progress = Progress(state["x_adv"], marks)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
            raise FileError(
                f"state_path: {self.path} is not the state of an evaluation", "give another path, or delete the file"
            ) from error
        if key != self.key:
            raise SettingError(
                f"state_path: {self.path} is about another model, other images or other settings",
                "give another path, or delete the file",
            )
        return progress

    def write(self, progress: Progress) -> None:
        """Replace the file as a whole."""
        marks, new = progress.marks, Path(f"{self.path}.new")
        with new.open("wb") as file:
            np.savez(
                file,
                key=np.asarray(self.key),
                x_adv=progress.x_adv,
                robust=marks.robust,
                by=np.asarray(marks.by.tolist(), dtype=str),
                done=np.asarray(marks.done, dtype=str),
                at=np.asarray(marks.at),
                asked=marks.asked,
            )
        os.replace(new, self.path)
