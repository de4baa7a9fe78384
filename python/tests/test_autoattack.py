"""The interface of the published AutoAttack."""

from __future__ import annotations

import epsball
import numpy as np
import pytest
from conftest import Linear
from epsball._autoattack import Settings

MODEL = "bundled:digits-pgd"


def adversary(**given):
    given = {"norm": "Linf", "eps": 0.1, "version": "custom", "verbose": False} | given
    return epsball.AutoAttack(MODEL, **given)


def test_it_does_what_the_ensemble_does(digits):
    x, y = digits
    both = adversary(attacks_to_run=["apgd-ce", "square"])
    both.square.n_queries = 100
    x_adv = both.run_standard_evaluation(x, y, bs=16)
    assert x_adv.shape == x.shape and np.abs(x_adv - x).max() <= 0.1 + 1e-6
    robust = (x_adv == x).all((1, 2, 3)) & (epsball.attack(MODEL, x, y, "fgsm", "Linf", 1e-6).rows["clean"] == y)
    alone = adversary(attacks_to_run=["apgd-ce", "square"])
    alone.settings("square").n_queries = 100
    found = alone.run_standard_evaluation_individual(x, y)
    assert list(found) == ["apgd-ce", "square"]
    broken = [(found[name] != x).any((1, 2, 3)) for name in found]
    np.testing.assert_array_equal(robust.sum() + (broken[0] | broken[1]).sum() <= len(x), True)
    # What the first part breaks, it breaks alone too, with the same image.
    np.testing.assert_array_equal(x_adv[broken[0]], found["apgd-ce"][broken[0]])
    np.testing.assert_array_equal((x_adv != x).any((1, 2, 3)), broken[0] | broken[1])


def test_hyper_parameters_are_attributes(digits):
    attack = adversary(attacks_to_run=["apgd-ce"])
    assert attack.apgd.n_iter == 100 and attack.apgd.n_restarts == 1
    attack.apgd.n_iter = 3
    x, y = digits
    assert attack.run_standard_evaluation(x[:4], y[:4]).shape == x[:4].shape
    with pytest.raises(AttributeError, match="n_iter"):
        attack.apgd.steps = 3
    standard = epsball.AutoAttack(MODEL, eps=0.1)
    assert standard.attacks_to_run == ["apgd-ce", "apgd-t", "fab-t", "square"]
    assert standard.square.n_queries == 5000
    assert epsball.AutoAttack(MODEL, eps=0.1, version="plus").apgd.n_restarts == 5


def test_labels_and_log(digits, tmp_path, capsys):
    x, y = digits
    log = tmp_path / "aa.log"
    attack = adversary(attacks_to_run=["apgd-ce"], verbose=True, log_path=log)
    attack.apgd.n_iter = 5
    x_adv, y_adv = attack.run_standard_evaluation(x, y, return_labels=True)
    assert (y_adv != y).sum() >= (x_adv != x).any((1, 2, 3)).sum()
    text = log.read_text()
    assert text == capsys.readouterr().out
    assert f"robust accuracy: {np.mean(y_adv == y):.2%}" in text


def test_it_goes_on_where_it_was(digits, tmp_path):
    x, y = digits
    state = tmp_path / "state.npz"

    def make(stop_after=None):
        attack = adversary(attacks_to_run=["apgd-ce", "square"])
        attack.apgd.n_iter, attack.square.n_queries = 20, 50
        if stop_after is not None:
            said = attack._say

            def say(line):
                said(line)
                if stop_after in line:
                    raise KeyboardInterrupt

            attack._say = say
        return attack

    whole = make().run_standard_evaluation(x, y, bs=8)
    with pytest.raises(KeyboardInterrupt):
        make("apgd-ce - 2/").run_standard_evaluation(x, y, bs=8, state_path=state)
    resumed = make()
    lines = []
    resumed._say = lines.append
    np.testing.assert_array_equal(resumed.run_standard_evaluation(x, y, bs=8, state_path=state), whole)
    assert lines[0].startswith("resumed from")
    with pytest.raises(epsball.SettingError, match="other settings"):
        adversary(attacks_to_run=["apgd-ce"], eps=0.2).run_standard_evaluation(x, y, bs=8, state_path=state)


def test_a_state_is_not_resumed_for_another_model(linear, inner, tmp_path):
    x, y = inner
    state = tmp_path / "state.npz"
    other = Linear(16, 3, seed=7)

    def run(pair, identity=None):
        model = epsball.model(pair, identity=identity) if identity else pair
        attack = epsball.AutoAttack(model, "Linf", 0.01, version="custom", attacks_to_run=["apgd-ce"], verbose=False)
        return attack.run_standard_evaluation(x, y, state_path=state)

    # Nothing tells one function from another.
    with pytest.raises(epsball.SettingError, match="state_path: nothing is known") as caught:
        run(linear.pair)
    assert "identity=" in caught.value.hint and not state.exists()
    first = run(linear.pair, "linear")
    np.testing.assert_array_equal(run(linear.pair, "linear"), first)
    with pytest.raises(epsball.SettingError, match="another model"):
        run(other.pair, "other")
    state.write_bytes(b"no state")
    with pytest.raises(epsball.FileError, match="not the state of an evaluation"):
        run(linear.pair, "linear")


def test_a_state_says_which_attack_broke_an_image(digits, tmp_path):
    x, y = digits
    state = tmp_path / "state.npz"
    attack = adversary(attacks_to_run=["apgd-ce", "square"])
    attack.square.n_queries = 50
    x_adv = attack.run_standard_evaluation(x, y, bs=16, state_path=state)
    with np.load(state) as kept:
        by, done = kept["by"], list(kept["done"])
    assert done == ["apgd-ce", "square"] and set(by) <= {"", "clean", "apgd-ce", "square"}
    np.testing.assert_array_equal((x_adv != x).any((1, 2, 3)), (by == "apgd-ce") | (by == "square"))
    clean = epsball.attack(MODEL, x, y, attack="fgsm", norm="Linf", eps=1e-6)
    np.testing.assert_array_equal(by == "clean", ~clean.correct)


def test_an_evaluation_that_ends_between_two_attacks_goes_on_with_the_second(digits, tmp_path):
    x, y = digits
    state = tmp_path / "state.npz"

    def make(stop=False):
        attack = adversary(attacks_to_run=["square", "apgd-ce"])
        attack.apgd.n_iter, attack.square.n_queries = 20, 10
        if stop:
            # The line that follows the end of an attack, before anything is saved.
            def say(line):
                if "after SQUARE" in line:
                    raise KeyboardInterrupt

            attack._say = say
        return attack

    whole = make().run_standard_evaluation(x, y, bs=8)
    with pytest.raises(KeyboardInterrupt):
        make(stop=True).run_standard_evaluation(x, y, bs=8, state_path=state)
    resumed = make().run_standard_evaluation(x, y, bs=8, state_path=state)
    np.testing.assert_array_equal(resumed, whole)
    with np.load(state) as kept:
        assert "apgd-ce" in kept["by"]


def test_truth_values_are_no_numbers():
    from epsball._numbers import text, value

    settings = Settings("some", {"flag": "true", "count": "1", "rate": "0.5", "name": "ce"})
    assert settings.flag is True and settings.count == 1 and settings.rate == 0.5 and settings.name == "ce"
    settings.flag = False
    assert settings.flag is False and settings._all()["flag"] == "false"
    for given in (True, np.True_):
        assert text(given) == "true"
    assert text(1) == "1" and text(np.int64(3)) == "3" and text(np.float32(0.5)) == "0.5"
    assert text(["pgd", "square"]) == "pgd square" and value("false") is False and value("1") == 1


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(epsball.SettingError, match="TensorFlow"):
        epsball.AutoAttack(MODEL, is_tf_model=True)
    with pytest.raises(epsball.SettingError, match='version="standard" has its own'):
        epsball.AutoAttack(MODEL, attacks_to_run=["fab"])
    with pytest.raises(epsball.SettingError, match="unknown attack"):
        adversary(attacks_to_run=["apgd"])
    with pytest.raises(epsball.SettingError, match="version"):
        epsball.AutoAttack(MODEL, version="best")


def test_benchmark_has_the_signature_of_robustbench(digits, monkeypatch):
    monkeypatch.setattr(epsball.AutoAttack, "run_standard_evaluation", lambda self, x, y, bs, state_path: x)
    clean, robust = epsball.benchmark(MODEL, n_examples=20, dataset=digits, threat_model="Linf", eps=0.1)
    assert clean == robust > 0.8
    with pytest.raises(epsball.SettingError, match="no norm"):
        epsball.benchmark(MODEL, dataset=digits, threat_model="corruptions", eps=0.1)


def test_foolbox_call(linear, inner):
    x, y = inner
    attack = epsball.FoolboxAttack("pgd", "Linf", steps=20)
    raw, clipped, success = attack(linear.pair, x, y, epsilons=[0.001, 0.05])
    assert success.shape == (2, len(x)) and success[0].sum() <= success[1].sum()
    assert len(raw) == len(clipped) == 2
    for images, flags in zip(raw, success):
        np.testing.assert_array_equal(linear.logits(images).argmax(1) != y, flags)
    assert attack(linear.pair, x, y, epsilons=0.05)[2].shape == (len(x),)
    with pytest.raises(epsball.SettingError, match="epsilons"):
        attack(linear.pair, x, y, epsilons=None)


def test_foolbox_call_of_an_attack_that_looks_for_the_smallest_change(linear, inner):
    x, y = inner
    attack = epsball.FoolboxAttack("cw-l2", "L2", binary_search_steps=4, max_iterations=60)
    eps = float(np.median(epsball.attack(linear.pair, x, y, "cw-l2", "L2", 0.2, **attack.parameters).rows["distance"]))
    raw, clipped, success = attack(linear.pair, x, y, epsilons=eps)
    assert (linear.logits(raw).argmax(1) != y).all() and 0 < success.sum() < len(x)
    np.testing.assert_array_equal(clipped[success], raw[success])
    np.testing.assert_array_equal(clipped[~success], x[~success])


def test_only_models_of_foolbox_are_taken_for_such(linear, inner):
    class Pair(tuple):
        """A model of another library, which has an attribute of that name too."""

        _model = "not a model"

    attack = epsball.FoolboxAttack("fgsm", "Linf")
    expected = attack(linear.pair, *inner, epsilons=0.03)[0]
    np.testing.assert_array_equal(attack(Pair(linear.pair), *inner, epsilons=0.03)[0], expected)

    class PyTorchModel:
        bounds = (0, 255)

    PyTorchModel.__module__ = "foolbox.models.pytorch"
    with pytest.raises(epsball.SettingError, match="not in") as caught:
        attack(PyTorchModel(), *inner, epsilons=0.03)
    assert "transform_bounds" in caught.value.hint


def test_one_after_the_other_is_the_ensemble_with_the_random_numbers_of_pytorch_too(digits):
    x, y = digits
    model, eps = "bundled:digits-standard", 0.08
    adversary = epsball.AutoAttack(
        model, "Linf", eps, version="custom", attacks_to_run=["apgd-ce", "apgd-t"], rng="torch", verbose=False
    )
    x_adv = adversary.run_standard_evaluation(x, y, bs=16)
    ensemble = epsball.attack(
        model, x, y, "ensemble", "Linf", eps, attacks="apgd-ce apgd-t", rng="torch", batch_size=16
    )
    assert 0.1 < ensemble.robust_accuracy < 0.9
    np.testing.assert_array_equal(x_adv, ensemble.images)
