"""The interface of the published AutoAttack."""

from __future__ import annotations

import epsball
import numpy as np
import pytest

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
