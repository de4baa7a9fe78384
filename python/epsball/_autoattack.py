"""AutoAttack (Croce and Hein, ICML 2020) with the constructor and the methods of its published code."""

from __future__ import annotations

import hashlib
import os
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import _arrays
from ._attack import CHECKED, number
from ._epsball import Attack, AttackRows, Network
from ._errors import SafetyWarning, SettingError
from ._models import Model, as_network
from ._models import model as say
from ._result import Finding

SAVED_EVERY = 60.0
"""Seconds between two savings of the state, beside those at the end of every attack."""


class Settings:
    """Hyper-parameters of one attack as attributes: ``adversary.apgd.n_restarts = 5``."""

    def __init__(self, attack: str, parameters: dict[str, str]) -> None:
        object.__setattr__(self, "_attack", attack)
        object.__setattr__(self, "_known", parameters)
        object.__setattr__(self, "_changed", {})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        self._check(name)
        return _number(self._changed.get(name, self._known[name]))

    def __setattr__(self, name: str, value: Any) -> None:
        self._check(name)
        self._changed[name] = str(value)

    def _check(self, name: str) -> None:
        if name not in self._known:
            known = ", ".join(sorted(self._known))
            raise AttributeError(f"{self._attack} has no parameter {name}; it has {known}")

    def __dir__(self) -> list[str]:
        return sorted(self._known)

    def __repr__(self) -> str:
        return f"<{self._attack}: " + ", ".join(f"{name}={getattr(self, name)}" for name in dir(self)) + ">"


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


@dataclass
class _Progress:
    """How far an evaluation is: what :attr:`state_path` keeps."""

    x_adv: np.ndarray
    robust: np.ndarray
    done: list[str]
    asked: np.ndarray
    """Images that the attack at hand has been let loose on."""


class AutoAttack:
    """AutoAttack with the interface of its published code, on epsball's attacks.

    Parameters
    ----------
    model : torch.nn.Module, (logits, vjp), path, or what :func:`epsball.model` returns
        As in :func:`epsball.attack`.
    norm : {"Linf", "L2", "L1"}
        Norm of the ball.
    eps : float
        Radius of the ball, in pixel units of [0, 1].
    seed : int, optional
        Seed of all randomness; 0 if there is none (the published code takes the time).
    verbose : bool
        Print what every attack leaves.
    attacks_to_run : list of str
        With ``version="custom"``: ``"apgd-ce"``, ``"apgd-dlr"``, ``"apgd-t"``, ``"fab"``, ``"fab-t"``, ``"square"``.
    version : {"standard", "plus", "rand", "custom"}
        Which attacks it consists of.
    is_tf_model : bool
        Not supported: give a TensorFlow model as a pair ``(logits, vjp)``.
    device : str, optional
        Where a function that is no module wants its batches. A module's batches go where its weights are.
    log_path : path, optional
        A file that gets what is printed.
    rng : {"per-image", "torch"}
        ``"per-image"``: an image's result depends on no other image. ``"torch"``: random numbers are drawn as the
        published code draws them on a CPU, so results are those of the published code, image by image.

    Attributes
    ----------
    attacks_to_run : list of str
        Names of the attacks.
    apgd, apgd_targeted, fab, square : Settings
        Their hyper-parameters, which may be changed before a run: ``adversary.apgd.n_restarts = 5``.

    Examples
    --------
    >>> import epsball
    >>> x, y = epsball.load("digits:test", first=10)
    >>> adversary = epsball.AutoAttack("bundled:digits-pgd", norm="Linf", eps=0.1, version="custom",
    ...                                attacks_to_run=["apgd-ce"], verbose=False)
    >>> x_adv = adversary.run_standard_evaluation(x, y, bs=10)
    >>> x_adv.shape == x.shape
    True
    """

    def __init__(
        self,
        model: Any,
        norm: str = "Linf",
        eps: float = 0.3,
        seed: int | None = None,
        verbose: bool = True,
        attacks_to_run: list[str] | None = None,
        version: str = "standard",
        is_tf_model: bool = False,
        device: Any = None,
        log_path: str | os.PathLike[str] | None = None,
        rng: str = "per-image",
    ) -> None:
        if is_tf_model:
            raise SettingError(
                "is_tf_model: models of TensorFlow are not attacked directly",
                "give a pair (logits, vjp), whose gradient a tf.GradientTape computes",
            )
        self.model, self.norm, self.epsilon, self.verbose = model, norm, eps, verbose
        self.seed, self.log_path, self.rng, self.device = seed, log_path, rng, device
        self.findings: list[Finding] = []
        self.attacks_to_run: list[str] = []
        self.set_version(version)
        if attacks_to_run:
            if version != "custom":
                raise SettingError(f'attacks_to_run: version="{version}" has its own attacks', 'write version="custom"')
            self.attacks_to_run = list(attacks_to_run)
            for name in self.attacks_to_run:
                self._settings(name)

    def set_version(self, version: str = "standard") -> None:
        """Take the attacks of a published version, with their hyper-parameters."""
        self.version = version
        self._parts: dict[str, Settings] = {}
        if version == "custom":
            return
        whole = self._native("autoattack", {"version": version})
        for name, parameters in whole.composition:
            self._parts[name] = Settings(name, dict(parameters))
        self.attacks_to_run = list(self._parts)

    def _native(self, name: str, parameters: dict[str, str]) -> Attack:
        eps, seed = number(self.epsilon, "eps"), self.seed or 0
        return Attack(name, self.norm, eps, None, (1, 1, 1), parameters, "untargeted", seed, self.rng)

    def _settings(self, name: str) -> Settings:
        if name not in self._parts:
            self._parts[name] = Settings(name, self._native(name, {}).parameters)
        return self._parts[name]

    def _first(self, *names: str) -> Settings:
        return self._settings(next((name for name in names if name in self.attacks_to_run), names[0]))

    @property
    def apgd(self) -> Settings:
        """Hyper-parameters of APGD; those of both losses, if both run, are set by ``settings(name)``."""
        return self._first("apgd-ce", "apgd-dlr")

    @property
    def apgd_targeted(self) -> Settings:
        """Hyper-parameters of APGD-T."""
        return self._settings("apgd-t")

    @property
    def fab(self) -> Settings:
        """Hyper-parameters of FAB, or of FAB-T if that runs."""
        return self._first("fab-t", "fab")

    @property
    def square(self) -> Settings:
        """Hyper-parameters of Square."""
        return self._settings("square")

    def settings(self, name: str) -> Settings:
        """Hyper-parameters of the attack of this name."""
        return self._settings(name)

    def run_standard_evaluation(
        self,
        x_orig: Any,
        y_orig: Any,
        bs: int = 250,
        return_labels: bool = False,
        state_path: str | os.PathLike[str] | None = None,
    ) -> Any:
        """Run the attacks, each on the images that those before it left.

        Parameters
        ----------
        x_orig : array
            Images ``[N, C, H, W]`` in [0, 1].
        y_orig : array
            Class numbers ``[N]``.
        bs : int
            Images at a time.
        return_labels : bool
            Return the classes of the adversarial images too.
        state_path : path, optional
            A file that keeps how far the evaluation is. If it is there, the evaluation goes on where it was, with the
            adversarial images that it had found.

        Returns
        -------
        x_adv : array
            ``[N, C, H, W]`` in the kind of array of `x_orig`: the adversarial image, or the clean one where no attack
            found one.
        y_adv : array
            ``[N]``, only with `return_labels`.
        """
        x, y, network = self._begin(x_orig, y_orig)
        progress = self._resume(state_path, network, x, y, bs)
        started = time.perf_counter()
        ensemble = self._ensemble(network)
        self._tell(ensemble.check_before(network, x[:CHECKED], y[:CHECKED], bs))
        self._say(f"initial accuracy: {np.mean(progress.robust):.2%}")
        by = [""] * len(x)
        saved = time.monotonic()
        try:
            for attack in self.attacks_to_run:
                if attack in progress.done:
                    continue
                if not progress.robust.any():
                    break
                for count, total, broken in self._attack(attack, network, x, y, bs, progress, by):
                    self._say(f"{attack} - {count}/{total} - {broken} broken")
                    if state_path is not None and time.monotonic() - saved > SAVED_EVERY:
                        self._save(state_path, network, x, y, bs, progress)
                        saved = time.monotonic()
                progress.done.append(attack)
                progress.asked[:] = False
                seconds = time.perf_counter() - started
                self._say(f"robust accuracy after {attack.upper()}: {np.mean(progress.robust):.2%} ({seconds:.1f} s)")
                if state_path is not None:
                    self._save(state_path, network, x, y, bs, progress)
        except BaseException:
            if state_path is not None:
                self._save(state_path, network, x, y, bs, progress)
            raise
        self._tell(ensemble.check_after_parts(by))
        self._end(x, progress)
        return self._give_back(x_orig, y_orig, network, progress.x_adv, bs, return_labels)

    def run_standard_evaluation_individual(
        self, x_orig: Any, y_orig: Any, bs: int = 250, return_labels: bool = False
    ) -> dict[str, Any]:
        """Run every attack on all images, by itself.

        Parameters
        ----------
        x_orig, y_orig, bs, return_labels
            As in :meth:`run_standard_evaluation`.

        Returns
        -------
        dict
            For the name of each attack what :meth:`run_standard_evaluation` would return of it alone.
        """
        x, y, network = self._begin(x_orig, y_orig)
        found = {}
        for attack in self.attacks_to_run:
            progress, started = self._fresh(network, x, y, bs), time.perf_counter()
            for _ in self._attack(attack, network, x, y, bs, progress, [""] * len(x)):
                pass
            seconds = time.perf_counter() - started
            self._say(f"robust accuracy by {attack.upper()}: {np.mean(progress.robust):.2%} ({seconds:.1f} s)")
            found[attack] = self._give_back(x_orig, y_orig, network, progress.x_adv, bs, return_labels)
        return found

    def clean_accuracy(self, x_orig: Any, y_orig: Any, bs: int = 250) -> float:
        """Share of the images ``[N, C, H, W]`` that are classified as `y_orig` says."""
        x, y, network = self._begin(x_orig, y_orig)
        return float(np.mean(_classes(network, x, bs) == y))

    def _begin(self, x_orig: Any, y_orig: Any) -> tuple[np.ndarray, np.ndarray, Network]:
        x = _arrays.images(x_orig, "x_orig")
        y = _arrays.labels(y_orig, len(x), "y_orig")
        model = self.model
        if self.device is not None and not isinstance(model, (Model, Network)) and callable(model):
            model = say(model, device=str(self.device), randomised=self.version == "rand")
        elif self.version == "rand" and not isinstance(model, (Model, Network)):
            model = say(model, randomised=True)
        return x, y, as_network(model, x)

    def _configured(self, name: str) -> Attack:
        return self._native(name, dict(self._settings(name)._changed) | self._version_parameters(name))

    def _version_parameters(self, name: str) -> dict[str, str]:
        settings = self._settings(name)
        return {key: settings._changed.get(key, value) for key, value in settings._known.items()}

    def _ensemble(self, network: Network) -> Attack:
        parts = [(name, self._version_parameters(name)) for name in self.attacks_to_run]
        eps, seed = number(self.epsilon, "eps"), self.seed or 0
        return Attack.ensemble(parts, self.norm, eps, tuple(network.input_shape), 250, seed, self.rng)

    def _fresh(self, network: Network, x: np.ndarray, y: np.ndarray, bs: int) -> _Progress:
        return _Progress(x.copy(), _classes(network, x, bs) == y, [], np.zeros(len(x), bool))

    def _attack(
        self, name: str, network: Network, x: np.ndarray, y: np.ndarray, bs: int, progress: _Progress, by: list[str]
    ) -> Any:
        attack = self._configured(name)
        left = np.flatnonzero(progress.robust & ~progress.asked)
        total = -(-len(left) // bs)
        for count, first in enumerate(range(0, len(left), bs), 1):
            some = left[first : first + bs]
            rows = AttackRows()
            images = attack.run(network, np.ascontiguousarray(x[some]), y[some], some.tolist(), rows)
            broken = np.asarray(rows.columns()["found"], bool)
            if attack.minimal:
                broken &= rows.columns()["distance"] <= np.float32(float(self.epsilon))
            hit = some[broken]
            progress.x_adv[hit] = images[broken]
            progress.robust[hit] = False
            progress.asked[some] = True
            for image in hit:
                by[image] = name
            yield count, total, len(hit)

    def _key(self, network: Network, x: np.ndarray, y: np.ndarray, bs: int) -> str:
        """Hash of everything that the results depend on."""
        sha = hashlib.sha256()
        batch = bs if self.rng == "torch" else ""
        parts = [(name, sorted(self._version_parameters(name).items())) for name in self.attacks_to_run]
        said = (network.identity, network.name, self.norm, number(self.epsilon, "eps"), self.seed or 0, self.rng, batch)
        sha.update(repr((said, parts)).encode())
        sha.update(x.tobytes())
        sha.update(y.tobytes())
        return sha.hexdigest()

    def _resume(self, path: Any, network: Network, x: np.ndarray, y: np.ndarray, bs: int) -> _Progress:
        if path is None or not Path(path).exists():
            return self._fresh(network, x, y, bs)
        with np.load(path, allow_pickle=False) as state:
            if str(state["key"]) != self._key(network, x, y, bs):
                raise SettingError(
                    f"state_path: {path} is about another model, other images or other settings",
                    "give another path, or delete the file",
                )
            self._say(f"resumed from {path}: {int(state['robust'].sum())} images are left")
            return _Progress(state["x_adv"], state["robust"], [str(name) for name in state["done"]], state["asked"])

    def _save(self, path: Any, network: Network, x: np.ndarray, y: np.ndarray, bs: int, progress: _Progress) -> None:
        new = Path(f"{path}.new")
        with new.open("wb") as file:
            np.savez(
                file,
                key=np.asarray(self._key(network, x, y, bs)),
                x_adv=progress.x_adv,
                robust=progress.robust,
                done=np.asarray(progress.done, dtype=str),
                asked=progress.asked,
            )
        os.replace(new, path)

    def _end(self, x: np.ndarray, progress: _Progress) -> None:
        change = np.abs(progress.x_adv - x).reshape(len(x), -1) if len(x) else np.zeros((1, 1))
        size = {"Linf": change.max(1), "L2": np.sqrt((change.astype(np.float64) ** 2).sum(1)), "L1": change.sum(1)}
        self._say(f"max {self.norm} perturbation: {size[self.norm].max():.5f}, {np.isnan(progress.x_adv).sum()} NaN")
        self._say(f"robust accuracy: {np.mean(progress.robust):.2%}")

    def _give_back(self, x_orig: Any, y_orig: Any, network: Network, x_adv: np.ndarray, bs: int, labels: bool) -> Any:
        images = _arrays.kind_of(x_orig)(x_adv)
        if not labels:
            return images
        return images, _arrays.kind_of(y_orig)(_classes(network, x_adv, bs))

    def _tell(self, told: list[tuple[str, str, str, str]]) -> None:
        for finding in (Finding(*one) for one in told):
            self.findings.append(finding)
            text = f"{finding.check}: {finding.seen}. {finding.meaning} {finding.remedy}"
            warnings.warn(text, SafetyWarning, stacklevel=4)

    def _say(self, line: str) -> None:
        if self.verbose:
            print(line, flush=True)
        if self.log_path is not None:
            with Path(self.log_path).open("a", encoding="utf-8") as file:
                file.write(line + "\n")


def _classes(network: Network, x: np.ndarray, bs: int) -> np.ndarray:
    logits = [network.logits(np.ascontiguousarray(x[first : first + bs])) for first in range(0, len(x), bs)]
    return np.concatenate(logits).argmax(1).astype(np.int64) if logits else np.zeros(0, np.int64)
