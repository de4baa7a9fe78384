"""AutoAttack (Croce and Hein, ICML 2020) with the constructor and the methods of its published code."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from . import _arrays
from ._epsball import Attack, AttackRows, Network
from ._errors import SettingError
from ._models import Compiled, Model, as_network
from ._numbers import number, radius, text, value
from ._result import Finding, tell
from ._state import Progress, State

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
        return value(self._all()[name])

    def __setattr__(self, name: str, value: Any) -> None:
        self._check(name)
        self._changed[name] = text(value)

    def _all(self) -> dict[str, str]:
        return self._known | self._changed

    def _check(self, name: str) -> None:
        if name not in self._known:
            known = ", ".join(sorted(self._known))
            raise AttributeError(f"{self._attack} has no parameter {name}; it has {known}")

    def __dir__(self) -> list[str]:
        return sorted(self._known)

    def __repr__(self) -> str:
        return f"<{self._attack}: " + ", ".join(f"{name}={getattr(self, name)}" for name in dir(self)) + ">"


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
        Where a function of tensors that is no module wants its batches. A module's batches go where its weights are.
    log_path : path, optional
        A file that gets what is printed.
    rng : {"per-image", "torch"}
        ``"per-image"``: an image's result depends on no other image. ``"torch"``: random numbers are drawn as the
        published code draws them on a CPU, so results are those of the published code, up to the rounding of the
        model's logits and gradients.

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
            adversarial images that it had found; the state of another model, of other images or settings is refused. A
            function is told from others by what ``epsball.model(model, identity=...)`` says.

        Returns
        -------
        x_adv : array
            ``[N, C, H, W]`` in the kind of array of `x_orig`: the adversarial image, or the clean one where no attack
            found one.
        y_adv : array
            ``[N]``, only with `return_labels`.
        """
        x, y, network = self._begin(x_orig, y_orig, bs)
        state = None if state_path is None else State(state_path, self._key(network, x, y, bs))
        progress = self._resume(state, network, x, y, bs)
        started = time.perf_counter()
        ensemble = self._ensemble(network, bs)
        looked = Attack.LOOKED_AT
        self._tell(ensemble.check_before(network, x[:looked], y[:looked], bs))
        self._say(f"initial accuracy: {np.mean(progress.marks.by != 'clean'):.2%}")
        saved = time.monotonic()
        try:
            for attack in self.attacks_to_run:
                if attack in progress.marks.done:
                    continue
                if not progress.marks.robust.any():
                    break
                for count, total, broken in self._attack(attack, network, x, y, bs, progress):
                    self._say(f"{attack} - {count}/{total} - {broken} broken")
                    if state is not None and time.monotonic() - saved > SAVED_EVERY:
                        state.write(progress)
                        saved = time.monotonic()
                progress.end(attack)
                self._say(f"robust accuracy after {attack.upper()}: {self._left(progress, started)}")
                if state is not None:
                    state.write(progress)
        except BaseException:
            if state is not None:
                state.write(progress)
            raise
        self._tell(ensemble.check_after_parts(progress.marks.by.tolist()))
        self._end(x, progress)
        return self._give_back((x_orig, y_orig), x, network, progress.x_adv, bs, return_labels)

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
        x, y, network = self._begin(x_orig, y_orig, bs)
        found = {}
        for attack in self.attacks_to_run:
            progress, started = self._resume(None, network, x, y, bs), time.perf_counter()
            for _ in self._attack(attack, network, x, y, bs, progress):
                pass
            self._say(f"robust accuracy by {attack.upper()}: {self._left(progress, started)}")
            found[attack] = self._give_back((x_orig, y_orig), x, network, progress.x_adv, bs, return_labels)
        return found

    def clean_accuracy(self, x_orig: Any, y_orig: Any, bs: int = 250) -> float:
        """Share of the images ``[N, C, H, W]`` that are classified as `y_orig` says."""
        x, y, network = self._begin(x_orig, y_orig, bs)
        return float(np.mean(_classes(network, x, bs) == y))

    def _begin(self, x_orig: Any, y_orig: Any, bs: int) -> tuple[np.ndarray, np.ndarray, Network]:
        if bs < 1:
            raise SettingError(f"bs: {bs} images at a time", "give at least 1")
        x = _arrays.images(x_orig, "x_orig")
        y = _arrays.labels(y_orig, len(x), "y_orig")
        model = self.model
        if not isinstance(model, (Model, Network, Compiled, str, os.PathLike, list)):
            device = "auto" if self.device is None else str(self.device)
            model = Model(model, device=device, randomised=self.version == "rand")
        return x, y, as_network(model, x, bs)

    def _ensemble(self, network: Network, bs: int) -> Attack:
        parts = [(name, self._settings(name)._all()) for name in self.attacks_to_run]
        eps, seed = number(self.epsilon, "eps"), self.seed or 0
        return Attack.ensemble(parts, self.norm, eps, network.input_shape, bs, seed, self.rng)

    def _attack(
        self, name: str, network: Network, x: np.ndarray, y: np.ndarray, bs: int, progress: Progress
    ) -> Iterator[tuple[int, int, int]]:
        attack = self._native(name, self._settings(name)._all())
        left = progress.left_for(name)
        total = -(-len(left) // bs)
        for count, first in enumerate(range(0, len(left), bs), 1):
            some = left[first : first + bs]
            rows = AttackRows()
            images = attack.run(network, np.ascontiguousarray(x[some]), y[some], some.tolist(), rows)
            columns = rows.columns()
            broken = columns["found"]
            if attack.minimal:
                # The closest adversarial image, wherever it lies.
                broken = broken & (columns["distance"] <= np.float32(radius(number(self.epsilon, "eps"))))
            progress.settle(name, some, some[broken], images[broken])
            yield count, total, int(broken.sum())

    def _key(self, network: Network, x: np.ndarray, y: np.ndarray, bs: int) -> str:
        """Hash of everything that the results depend on."""
        if not network.identity:
            raise SettingError(
                f"state_path: nothing is known about what the model {network.name} computes with, and the state of one "
                "function is not to be resumed for another",
                'say what tells it from others: epsball.model(model, identity="net of 3 May, seed 0")',
            )
        sha = hashlib.sha256()
        batch = bs if self.rng == "torch" else ""
        parts = [(name, sorted(self._settings(name)._all().items())) for name in self.attacks_to_run]
        said = (network.identity, self.norm, number(self.epsilon, "eps"), self.seed or 0, self.rng, batch)
        sha.update(repr((said, parts)).encode())
        sha.update(x.tobytes())
        sha.update(y.tobytes())
        return sha.hexdigest()

    def _resume(self, state: State | None, network: Network, x: np.ndarray, y: np.ndarray, bs: int) -> Progress:
        known = None if state is None else state.read()
        if state is None or known is None:
            return Progress.fresh(x, _classes(network, x, bs) == y)
        self._say(f"resumed from {state.path}: {int(known.marks.robust.sum())} images are left")
        return known

    def _left(self, progress: Progress, started: float) -> str:
        return f"{np.mean(progress.marks.robust):.2%} ({time.perf_counter() - started:.1f} s)"

    def _end(self, x: np.ndarray, progress: Progress) -> None:
        change = np.abs(progress.x_adv - x).reshape(len(x), -1) if len(x) else np.zeros((1, 1))
        size = {"Linf": change.max(1), "L2": np.sqrt((change.astype(np.float64) ** 2).sum(1)), "L1": change.sum(1)}
        self._say(f"max {self.norm} perturbation: {size[self.norm].max():.5f}, {np.isnan(progress.x_adv).sum()} NaN")
        self._say(f"robust accuracy: {np.mean(progress.marks.robust):.2%}")

    def _give_back(
        self, given: tuple[Any, Any], x: np.ndarray, network: Network, x_adv: np.ndarray, bs: int, labels: bool
    ) -> Any:
        x_orig, y_orig = given
        images = _arrays.kind_of(x_orig)(_arrays.widened(x_adv, x, _arrays.to_numpy(x_orig)))
        if not labels:
            return images
        return images, _arrays.kind_of(y_orig)(_classes(network, x_adv, bs))

    def _tell(self, told: list[tuple[str, str, str, str]]) -> None:
        # Above `tell`, this and `run_standard_evaluation` is the line that the warning is for.
        self.findings += tell(told, 4)

    def _say(self, line: str) -> None:
        if self.verbose:
            print(line, flush=True)
        if self.log_path is not None:
            with Path(self.log_path).open("a", encoding="utf-8") as file:
                file.write(line + "\n")


def _classes(network: Network, x: np.ndarray, bs: int) -> np.ndarray:
    logits = [network.logits(np.ascontiguousarray(x[first : first + bs])) for first in range(0, len(x), bs)]
    return np.concatenate(logits).argmax(1).astype(np.int64) if logits else np.zeros(0, np.int64)
