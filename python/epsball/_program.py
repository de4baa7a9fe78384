"""What the program does: suites, leaderboards, comparisons, audits, verification, conversion."""

from __future__ import annotations

import html
import json
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import _progress
from ._epsball import (
    Board,
    audit_table,
    command_inside,
    compare_paths,
    listed,
    run_suite,
    verify_folder,
)
from ._errors import EpsballError, FileError, SafetyWarning

PathLike = str | os.PathLike[str]


def attacks() -> dict[str, str]:
    """Names of the attacks, each with its threat models and what it is."""
    return {name: f"{about} [{threats}]" for name, threats, about in listed("attack")}


def certificates() -> dict[str, str]:
    """Names of the certificates, each with what it is."""
    return {name: f"{about} [{threats}]" for name, threats, about in listed("certificate")}


class Leaderboard:
    """A leaderboard of one or several runs.

    Attributes
    ----------
    summary : dict
        Every number, unrounded: what ``summary.json`` holds.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self.summary: dict[str, Any] = json.loads(board.export("json"))

    @property
    def standings(self) -> list[dict[str, Any]]:
        """The networks of all boards, each with its numbers."""
        return [one for board in self.summary["boards"] for one in board["standings"]]

    def to_pandas(self) -> Any:
        """The table of the board as a ``pandas.DataFrame``."""
        import io

        import pandas

        return pandas.read_csv(io.StringIO(self._board.export("csv")))

    def to_markdown(self) -> str:
        """The board as Markdown."""
        return self._board.export("markdown")

    def to_html(self) -> str:
        """The board as one self-contained page."""
        return self._board.export("html")

    def save(self, folder: PathLike) -> list[Path]:
        """Write ``leaderboard.csv``, ``.md``, ``.html`` and ``summary.json`` into a folder; returns the paths."""
        return [Path(path) for path in self._board.write(os.fspath(folder))]

    def __str__(self) -> str:
        return self._board.export("text")

    def __repr__(self) -> str:
        return f"<epsball.Leaderboard: {self.summary['title']}>"

    def _repr_html_(self) -> str:
        page = html.escape(self.to_html(), quote=True)
        return f'<iframe srcdoc="{page}" style="width:100%;height:32em;border:0"></iframe>'


class Report:
    """What a comparison, an audit or a verification says.

    Attributes
    ----------
    data : dict
        Everything as plain values: what the command prints with ``--json``.
    """

    def __init__(self, data: dict[str, Any], text: str) -> None:
        self.data, self._text = data, text

    def __getitem__(self, name: str) -> Any:
        return self.data[name]

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self._text)}</pre>"


def run(
    suite: PathLike | dict[str, Any] | None = None,
    folder: PathLike | None = None,
    *,
    progress: bool | None = None,
) -> Leaderboard:
    """Run a benchmark suite: models × attacks × certificates × data. A run that is there already is resumed.

    Parameters
    ----------
    suite : path or dict, optional
        A suite file, or the same fields as a dictionary:
        ``{"name": "mine", "model": [{"path": "net.onnx"}], "data": [{"spec": "digits:test"}],
        "attack": [{"attack": "pgd", "norm": "Linf", "eps": "8/255"}]}``. Without it the bundled suite runs.
    folder : path, optional
        Folder of the run; ``results/NAME`` if there is none.
    progress : bool, optional
        Show a bar; by default in terminals and notebooks.

    Returns
    -------
    Leaderboard
    """
    text, path, is_json = None, "", False
    if isinstance(suite, dict):
        text, is_json = json.dumps(suite), True
    elif suite is not None:
        path = os.fspath(suite)
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise FileError(f"cannot read {path}: {error.strerror}", "give the path of a suite file") from error
    bar: list[Any] = []

    def told(event: str, text: str, count: int) -> None:
        if event == "job":
            if bar:
                bar.pop().close()
            bar.append(_progress.bar(count, text, progress))
        elif event == "images" and bar:
            bar[0].update(count)
        elif event == "finding":
            warnings.warn(text, SafetyWarning, stacklevel=2)
        elif event == "failed":
            warnings.warn(text, RuntimeWarning, stacklevel=2)

    try:
        place, failed = run_suite(text, path, is_json, None if folder is None else os.fspath(folder), told)
    finally:
        for one in bar:
            one.close()
    board = leaderboard(place)
    board.save(place)
    if failed:
        lines = "\n".join(f"  {job}: {problem}" for job, problem in failed)
        raise EpsballError(f"{len(failed)} jobs failed:\n{lines}", f"the others are in {place}")
    return board


def leaderboard(paths: PathLike | Sequence[PathLike], published: bool | str = False) -> Leaderboard:
    """Make one leaderboard of run folders.

    Parameters
    ----------
    paths : path or list of paths
        Run folders, or folders of run folders.
    published : bool or str
        Rank the networks among those of a published table too: of every one they belong to, or of the one named.

    Returns
    -------
    Leaderboard
    """
    given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    folders: list[str] = []
    for path in map(Path, given):
        if (path / "run.toml").exists():
            folders.append(str(path))
            continue
        below = sorted(str(found.parent) for found in path.glob("*/run.toml"))
        if not below:
            raise FileError(
                f"{path}: neither this folder nor one directly below it is a run",
                "give a folder that epsball.run or Result.save has written",
            )
        folders += below
    table = None if published is False else ("" if published is True else published)
    return Leaderboard(Board(folders, table))


def compare(
    first: PathLike,
    second: PathLike,
    *,
    radii: Sequence[float] = (),
    confidence: float = 0.95,
    seed: int = 0,
) -> Report:
    """Compare two methods on the same images: McNemar's exact test, Holm's procedure, paired bootstrap.

    Parameters
    ----------
    first, second : path
        Run folders, folders or tables in them, or logs of certificates.
    radii : list of float
        Radii of certified accuracy; those of the runs if there are none.
    confidence : float
        Confidence of the intervals.
    seed : int
        Seed of the bootstrap.
    """
    data, text = compare_paths(os.fspath(first), os.fspath(second), list(radii), confidence, seed)
    return Report(json.loads(data), text)


def audit(
    log: PathLike,
    *,
    sigma: float | None = None,
    n0: int | None = None,
    n: int | None = None,
    alpha: float | None = None,
    data: str | None = None,
    radii: Sequence[float] = (),
    simultaneous: bool = False,
) -> Report:
    """Check whether a table of randomized smoothing, ours or a published log, can be what it claims to be.

    ``report["findings"]`` lists what was found; ``report["contradicted"]`` says whether any of it cannot be if the
    claim is true.
    """
    found, text, contradicted = audit_table(os.fspath(log), sigma, n0, n, alpha, data, list(radii), simultaneous)
    return Report({**json.loads(found), "contradicted": contradicted}, text)


def verify(folder: PathLike, *, files_only: bool = False, certificates: int = 3, seed: int = 0) -> Report:
    """Check whether a run folder is what it claims to be: files, models, images, adversarial images, certificates.

    ``report["findings"]`` lists what is wrong; it is empty if nothing is.
    """
    data = json.loads(verify_folder(os.fspath(folder), files_only, certificates, seed))
    findings = [f"  {one['place']}: {one['problem']}" for one in data["findings"]]
    looked = [f"{data[name]} {name}" for name in ("jobs", "rows", "models", "images", "adversarial", "certificates")]
    verdict = "nothing is wrong" if not findings else f"{len(findings)} findings"
    return Report(data, "\n".join([f"{data['folder']}: {verdict}", "  " + ", ".join(looked), *findings]))


def convert(checkpoint: PathLike, output: PathLike, **options: Any) -> Path:
    """Turn a PyTorch checkpoint or an ONNX file into a model file that says everything about itself.

    Parameters
    ----------
    checkpoint : path
        ``.pt``, ``.pth``, ``.pth.tar``, safetensors or ONNX. Pickles are read, never executed.
    output : path
        The safetensors file to write.
    **options
        Options of the command ``epsball convert`` by their names: ``arch="dm-wide-resnet:activation=relu"``,
        ``mean=[...]``, ``std=[...]``, ``input_shape=[3, 32, 32]``, ``name=...``.

    Returns
    -------
    pathlib.Path
        The file that was written.
    """
    arguments = ["epsball", "convert", os.fspath(checkpoint), "-o", os.fspath(output)]
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        if value is True:
            arguments.append(option)
        elif isinstance(value, (list, tuple)):
            arguments += [option, ",".join(str(one) for one in value)]
        elif value is not None and value is not False:
            arguments += [option, str(value)]
    command_inside(arguments)
    return Path(output)
