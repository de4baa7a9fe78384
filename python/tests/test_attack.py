"""Attacks on networks of Python and of files."""

from __future__ import annotations

import _thread
import signal
import threading
import time
import traceback

import epsball
import numpy as np
import pytest
from conftest import Linear


def test_a_linear_network_breaks_exactly_where_its_radius_is_smaller(inner):
    x, _ = inner
    # Of two classes, whose loss climbs straight to the other one.
    linear = Linear(16, 2, seed=3)
    y = linear.logits(x).argmax(1)
    radius = linear.radius(x)
    for eps in np.quantile(radius, [0.3, 0.7]):
        result = epsball.attack(linear.pair, x, y, attack="pgd", norm="Linf", eps=eps, alpha=eps / 10, steps=40)
        clear = np.abs(radius - eps) > 0.02 * eps
        # No ball leaves the box, and the steps reach across the ball from wherever they start.
        assert clear.sum() > 25 and eps < 0.4
        np.testing.assert_array_equal(result.robust[clear], (radius > eps)[clear])
        assert np.abs(result.images - x).max() <= eps + 1e-6
        assert result.clean_accuracy == 1.0
        assert result.robust_accuracy == result.robust.mean() == pytest.approx(1 - result.attack_success_rate)


def test_the_batch_size_changes_no_row(digits):
    x, y = digits
    engine = epsball.attack("bundled:digits-standard", x, y, attack="pgd", norm="Linf", eps=0.1, steps=10)
    assert 0 < engine.robust_accuracy < engine.clean_accuracy <= 1
    again = epsball.attack("bundled:digits-standard", x, y, attack="pgd", norm="Linf", eps=0.1, steps=10, batch_size=7)
    for column in engine.rows:
        if column != "seconds":
            np.testing.assert_array_equal(engine.rows[column], again.rows[column], err_msg=column)
    np.testing.assert_array_equal(engine.images, again.images)


def test_rows_say_what_the_images_are(linear, inner):
    x, y = inner
    result = epsball.attack(linear.pair, x, y, attack="apgd-ce", norm="L2", eps=0.3)
    rows = result.rows
    change = np.sqrt(((result.images - x).astype(np.float64) ** 2).sum((1, 2, 3)))
    found = rows["found"]
    np.testing.assert_allclose(rows["l2"][found], change[found], rtol=1e-5)
    assert np.isinf(rows["distance"][~found]).all() and (change[~found] == 0).all()
    np.testing.assert_array_equal(linear.logits(result.images).argmax(1), rows["prediction"])
    assert list(rows["idx"]) == list(range(len(x))) and rows.height == len(x) == len(result)


def test_an_ensemble_says_which_part_broke_an_image_and_what_its_checks_saw(linear, inner):
    x, y = inner
    result = epsball.attack(
        linear.pair, x, y, attack="ensemble", norm="Linf", eps=0.02, attacks="square apgd-ce", progress=False
    )
    by = set(result.rows["by"])
    assert by <= {"apgd-ce", "square", ""} and {"square", ""} <= by
    assert result.findings == []


def test_a_minimal_attack_counts_within_the_budget(linear, inner):
    x, y = inner
    short = {"attack": "cw-l2", "norm": "L2", "binary_search_steps": 4, "max_iterations": 60}
    eps = float(np.median(epsball.attack(linear.pair, x, y, eps=0.2, **short).rows["distance"]))
    result = epsball.attack(linear.pair, x, y, eps=eps, **short)
    rows = result.rows
    assert rows["found"].all()
    np.testing.assert_array_equal(result.robust, rows["distance"] > np.float32(eps))
    # What lies beyond the budget is returned, and does not count as broken.
    beyond = ~result.broken
    assert 0 < beyond.sum() < len(x) and result.attack_success_rate == result.broken.mean()
    assert (linear.logits(result.images).argmax(1) != y).all()
    change = np.sqrt(((result.images - x).astype(np.float64) ** 2).sum((1, 2, 3)))
    assert (change[beyond] > eps - 1e-6).all() and (change[result.broken] <= eps + 1e-6).all()


def test_streams_are_read_once_and_end_as_arrays_do(linear, inner):
    x, y = inner
    whole = epsball.attack(linear.pair, x, y, attack="fgsm", norm="Linf", eps=0.03)
    loader = ((x[i : i + 8], y[i : i + 8]) for i in range(0, len(x), 8))
    streamed = epsball.attack(linear.pair, loader, attack="fgsm", norm="Linf", eps=0.03, keep_images=False)
    np.testing.assert_array_equal(whole.robust, streamed.robust)
    assert streamed.images is None
    items = epsball.attack(linear.pair, list(zip(x, y)), attack="fgsm", norm="Linf", eps=0.03)
    np.testing.assert_array_equal(whole.images, items.images)


def test_an_exception_inside_the_model_comes_with_its_own_traceback(linear, inner):
    x, y = inner
    calls = []

    def broken_layer(images):
        calls.append(len(images))
        if len(calls) > 12:
            raise ZeroDivisionError("in the third layer")
        return linear.vjp(images)

    with pytest.raises(ZeroDivisionError, match="in the third layer") as caught:
        epsball.attack((linear.logits, broken_layer), x, y, attack="pgd", norm="Linf", eps=0.001, steps=50)
    assert "broken_layer" in "".join(traceback.format_tb(caught.value.__traceback__))
    # Nothing of it stays behind.
    assert len(epsball.attack(linear.pair, x, y, attack="fgsm", norm="Linf", eps=0.001)) == len(x)


@pytest.fixture
def ctrl_c():
    """Ctrl-C is heard. A shell starts what runs in the background with it ignored, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("where", ["python", "engine"])
def test_ctrl_c_ends_an_attack_within_a_batch(where, linear, inner, digits, ctrl_c):
    def slow(images):
        time.sleep(0.01)
        return linear.vjp(images)

    model, (x, y) = ((linear.logits, slow), inner) if where == "python" else ("bundled:digits-pgd", digits)
    timer = threading.Timer(0.5, _thread.interrupt_main)
    started = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        epsball.attack(model, x, y, attack="pgd", norm="Linf", eps=1e-4, steps=1_000_000, progress=False)
    assert time.monotonic() - started < 30
    timer.join()


def test_other_threads_run_while_an_attack_computes(digits):
    x, y = digits
    done = threading.Event()
    ticks = []

    def work():
        while not done.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.001)

    thread = threading.Thread(target=work)
    thread.start()
    started = time.monotonic()
    epsball.attack("bundled:digits-pgd", x, y, attack="pgd", norm="Linf", eps=1e-4, steps=300)
    ended = time.monotonic()
    done.set()
    thread.join()
    inside = [t for t in ticks if started < t < ended]
    assert len(inside) > 5


def test_single_attacks_are_checked_too(linear, inner):
    x, y = inner

    def flat(images):
        return linear.logits(images), lambda c: np.zeros_like(images)

    with pytest.warns(epsball.SafetyWarning, match="zero-gradients") as caught:
        result = epsball.attack((linear.logits, flat), x, y, attack="pgd", norm="Linf", eps=0.01)
    assert [one.check for one in result.findings] == ["zero-gradients"]
    assert caught[0].filename == __file__
    assert epsball.attack(linear.pair, x, y, attack="pgd", norm="Linf", eps=0.01).findings == []


def test_double_precision_comes_back(linear, inner):
    x, y = inner
    given = x.astype(np.float64) + 1e-9
    result = epsball.attack(linear.pair, given, y, attack="pgd", norm="Linf", eps=0.02)
    assert result.images.dtype == np.float64 and 0 < result.broken.sum() < len(x)
    # No pixel differs that the attack did not change, though it computed in f32.
    np.testing.assert_array_equal(result.images[~result.broken], given[~result.broken])
    assert np.abs(result.images - given).max() <= 0.02 + 1e-7
    assert epsball.attack(linear.pair, x, y, attack="pgd", norm="Linf", eps=0.02).images.dtype == np.float32
    items = epsball.attack(linear.pair, list(zip(given, y)), attack="pgd", norm="Linf", eps=0.02)
    np.testing.assert_array_equal(items.images, result.images)


def test_images_without_labels_are_named(linear, inner):
    x, y = inner
    given = {"attack": "fgsm", "norm": "Linf", "eps": 0.03}
    with pytest.raises(epsball.SettingError, match="y: there are no labels"):
        epsball.attack(linear.pair, x, **given)
    with pytest.raises(epsball.SettingError, match="y: there are no labels"):
        epsball.certify(linear.pair, x, sigma=0.1)
    with pytest.raises(epsball.SettingError, match="no pairs"):
        epsball.attack(linear.pair, list(x), **given)
    pair = epsball.attack(linear.pair, (x, y), **given)
    np.testing.assert_array_equal(pair.images, epsball.attack(linear.pair, x, y, **given).images)


def test_a_model_is_asked_for_no_more_images_than_a_batch(linear, inner):
    x, y = np.tile(inner[0], (10, 1, 1, 1)), np.tile(inner[1], 10)
    asked = []

    def logits(images):
        asked.append(len(images))
        return linear.logits(images)

    def vjp(images):
        asked.append(len(images))
        return linear.vjp(images)

    given = {"norm": "Linf", "eps": 0.01, "rng": "torch"}
    for attack, size, most in [("pgd", None, 128), ("pgd", 50, 50), ("ensemble", 40, 40), ("ensemble", None, 250)]:
        asked.clear()
        more = {"attacks": "apgd-ce", "steps": None} if attack == "ensemble" else {"steps": 3}
        result = epsball.attack((logits, vjp), x, y, attack=attack, batch_size=size, **given, **more)
        assert max(asked) == most and len(result) == len(x)
        assert result._job.batch == most


def test_a_panic_is_an_exception():
    panics = getattr(epsball._epsball, "panics", None)
    if panics is None:
        pytest.skip("a release build has no function that panics")
    with pytest.raises(epsball.EpsballError, match="epsball panicked: on purpose") as caught:
        panics("on purpose")
    assert "report" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "problem", "hint"),
    [
        ({"attack": "pdg"}, "unknown attack `pdg`", "did you mean `pgd`"),
        ({"eps": None}, "the norm has no eps", "eps"),
        ({"norm": "L3"}, "unknown norm `L3`", "L2"),
        ({"eps": -1}, "not a number above 0", "0.3"),
        ({"eps": "a lot"}, "not a number above 0", "8/255"),
        ({"eps": True}, "eps: True is not a number", "8/255"),
        ({"step": 3}, "step", "steps"),
        ({"steps": 0}, "steps", "steps"),
        ({"goal": "sideways"}, "unknown goal", "untargeted"),
        ({"rng": "numpy"}, "rng: `numpy` is not one of per-image, torch", "per-image"),
        ({"batch_size": 0}, "0 images at a time", "at least 1"),
        ({"attack": "fast"}, "asks the attack that it stands in for", "autoattack"),
    ],
)
def test_settings_that_cannot_be_used_are_named_with_what_to_do(linear, inner, change, problem, hint):
    given = {"attack": "pgd", "norm": "Linf", "eps": 0.1} | change
    with pytest.raises(epsball.SettingError) as caught:
        epsball.attack(linear.pair, *inner, **given)
    assert problem in caught.value.message
    assert hint in caught.value.hint and hint in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("x", "problem"),
    [
        (np.zeros((2, 4, 4), np.float32), "not [N, C, H, W]"),
        (np.zeros((2, 1, 4, 4), np.uint8), "holds bytes"),
        (np.full((2, 1, 4, 4), 200.0), "reach from 200 to 200"),
        (np.full((2, 1, 4, 4), -0.5), "not from 0 to 1"),
        (np.full((2, 1, 4, 4), np.nan), "not from 0 to 1"),
    ],
)
def test_images_that_are_none_are_named(linear, x, problem):
    with pytest.raises(epsball.SettingError, match=problem.replace("[", r"\[").replace("]", r"\]")):
        epsball.attack(linear.pair, x, np.zeros(2, int), attack="pgd", norm="Linf", eps=0.1)


def test_labels_that_are_none_are_named(linear, inner):
    x, _ = inner
    for y, problem in [
        (np.zeros(3, int), "there are 30 images"),
        (np.zeros(30), "holds float64"),
        (np.full(30, -1), "not a class number"),
        (np.full(30, 7), "3 classes"),
    ]:
        with pytest.raises(epsball.SettingError, match=problem):
            epsball.attack(linear.pair, x, y, attack="pgd", norm="Linf", eps=0.1)


def test_a_file_that_is_no_model_is_named(tmp_path, digits):
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"no model")
    with pytest.raises(epsball.FileError) as caught:
        epsball.attack(path, *digits, attack="pgd", norm="Linf", eps=0.1)
    assert "net.safetensors" in str(caught.value) and isinstance(caught.value, OSError)
    with pytest.raises(epsball.SettingError, match="checkpoint of PyTorch"):
        epsball.attack("net.pt", *digits, attack="pgd", norm="Linf", eps=0.1)
    with pytest.raises(epsball.SettingError, match="unknown bundled model"):
        epsball.attack("bundled:nothing", *digits, attack="pgd", norm="Linf", eps=0.1)
