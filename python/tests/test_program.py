"""Certificates, runs, boards and the command."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import epsball
import numpy as np
import pytest


def test_certify_says_what_the_program_says(digits, tmp_path):
    six = epsball.load("digits:test", first=6)
    certified = epsball.certify("bundled:digits-gaussian", six, sigma=0.25, n=400)
    board = epsball.run(
        {
            "name": "c",
            "model": [{"path": "bundled:digits-gaussian"}],
            "data": [{"spec": "digits:test", "images": {"first": 6}}],
            "certificate": [{"certificate": "cohen", "sigma": 0.25, "n": 400}],
        },
        tmp_path / "c",
        progress=False,
    )
    table = next((tmp_path / "c" / "jobs").glob("*/*.tsv")).read_text().splitlines()
    at = table[0].split("\t").index("radius")
    np.testing.assert_allclose(certified.rows["radius"], [float(line.split("\t")[at]) for line in table[1:]])
    assert certified.certified_accuracy(0.0) >= certified.certified_accuracy(0.25) > 0
    assert "digits-gaussian" in str(board) and "digits-gaussian" in board.to_html()


def test_certify_a_function(linear, inner):
    x, y = inner
    certified = epsball.certify(linear.pair, x[:3], y[:3], sigma=0.1, n=200)
    assert len(certified) == 3 and certified.norm == "L2"
    bounds = epsball.certify(
        "bundled:digits-pgd", *epsball.load("digits:test", first=3), certificate="crown", eps=0.02, steps=0
    )
    assert bounds.certified_accuracy(0.02) > 0
    with pytest.raises(epsball.SettingError, match="bounds need the layers"):
        epsball.certify(linear.pair, x[:3], y[:3], certificate="crown", eps=0.02)
    with pytest.raises(epsball.EpsballError, match="needs a standard deviation"):
        epsball.certify(linear.pair, x[:3], y[:3])


def test_a_result_becomes_part_of_a_run_that_boards_read(digits, linear, tmp_path):
    x, y = digits
    folder = tmp_path / "mine"
    for attack in ["pgd", "fgsm"]:
        result = epsball.attack("bundled:digits-pgd", digits, attack=attack, norm="Linf", eps=0.2)
        result.save(folder, data="digits")
        result.save(folder, data="digits")
    board = epsball.leaderboard(folder)
    (standing,) = board.standings
    assert standing["model"]["name"] == "digits-pgd"
    verified = epsball.verify(folder)
    assert verified["findings"] == [] and verified["adversarial"] > 0 and verified["rows"] == 2 * len(x)
    # The program computes the same job, and finds it done.
    run = epsball.run(
        {
            "name": "mine",
            "model": [{"path": "bundled:digits-pgd"}],
            "data": [{"spec": "digits:test", "images": {"first": len(x)}}],
            "attack": [{"attack": "pgd", "norm": "Linf", "eps": 0.2}],
        },
        folder,
        progress=False,
    )
    assert len(run.standings) == 1 and len(list(folder.glob("jobs/*/*.csv"))) == 2

    function = epsball.model((linear_digits(x.shape[1:])), name="linear", identity="seed 5")
    result = epsball.attack(function, digits, attack="pgd", norm="Linf", eps=0.2)
    result.save(folder, data="digits")
    names = {one["model"]["name"] for one in epsball.leaderboard(folder).standings}
    assert names == {"digits-pgd", "linear"}
    # What is in no file cannot be asked again, and that is said.
    findings = epsball.verify(folder)["findings"]
    assert [one["place"] for one in findings] == ["model linear"] and "lived in a program" in findings[0]["problem"]
    assert epsball.verify(folder, files_only=True)["findings"] == []
    compared = epsball.compare(folder / "jobs" / "digits-pgd", folder / "jobs" / "linear")
    assert compared["rows"] and "McNemar" in str(compared) or "p" in str(compared)


def records(folder):
    """How many images the checks before each job have looked at, and what they found."""
    kept = {}
    for file in folder.glob("jobs/*/*.checks.toml"):
        text = file.read_text()
        kept[file.name.partition(".")[0]] = (
            int(re.search(r"^images = (\d+)", text, re.M)[1]),
            re.findall(r'^check = "(.*)"', text, re.M),
        )
    return kept


def test_a_saved_run_says_which_checks_were_made(tmp_path):
    folder = tmp_path / "run"
    for first in (10, 40):
        some = epsball.load("digits:test", first=first)
        epsball.attack("bundled:digits-pgd", some, attack="pgd", norm="Linf", eps=0.2).save(folder, data="digits")
        assert list(records(folder).values()) == [(first, [])]
    # A loader's batches are put together until there are as many as the program looks at.
    x, y = epsball.load("digits:test", first=120)
    loader = ((x[i : i + 8], y[i : i + 8]) for i in range(0, len(x), 8))
    epsball.attack("bundled:digits-pgd", loader, attack="fgsm", norm="Linf", eps=0.2).save(
        tmp_path / "b", data="digits"
    )
    assert [images for images, _ in records(tmp_path / "b").values()] == [100]
    logits, _ = pair = linear_digits(x.shape[1:])

    def flat(images):
        return logits(images), lambda c: np.zeros_like(images)

    for name, model in (("flat", (logits, flat)), ("steep", pair)):
        result = epsball.attack(
            epsball.model(model, name=name, identity=name), x, logits(x).argmax(1), "pgd", "Linf", 0.01, progress=False
        )
        result.save(tmp_path / name, data="digits")
        found = ["zero-gradients"] if name == "flat" else []
        assert list(records(tmp_path / name).values()) == [(100, found)] and [f.check for f in result.findings] == found
        assert epsball.verify(tmp_path / name, files_only=True)["findings"] == []


def test_a_saved_run_says_how_many_images_were_attacked_together(tmp_path):
    some = epsball.load("digits:test", first=30)
    for size, attack, expected in ((None, "fgsm", 128), (16, "fgsm", 16), (None, "ensemble", 250), (7, "ensemble", 7)):
        more = {"attacks": "apgd-ce"} if attack == "ensemble" else {}
        result = epsball.attack(
            "bundled:digits-pgd", some, attack=attack, norm="Linf", eps=0.2, rng="torch", batch_size=size, **more
        )
        folder = result.save(tmp_path / f"{attack}{size}", data="digits")
        assert f'rng = "torch, batches of {expected}"' in (folder / "run.toml").read_text()


def linear_digits(shape):
    from conftest import Linear

    return Linear(int(np.prod(shape)), 10, seed=5).pair


def test_a_function_without_an_identity_is_not_saved(linear, inner, tmp_path):
    result = epsball.attack(linear.pair, *inner, attack="fgsm", norm="Linf", eps=0.1)
    with pytest.raises(epsball.SettingError, match="nothing is known") as caught:
        result.save(tmp_path / "run", data="inner")
    assert "identity=" in caught.value.hint


def test_bad_suites_are_named(tmp_path):
    suite = tmp_path / "s.toml"
    suite.write_text(
        'name = "s"\n[[model]]\npath = "bundled:digits-pgd"\n[[data]]\nspec = "digits"\n[[attack]]\nattack = "pdg"\n'
    )
    with pytest.raises(epsball.EpsballError, match="line 6|pdg"):
        epsball.run(suite)
    with pytest.raises(epsball.FileError, match="cannot read"):
        epsball.run(tmp_path / "none.toml")
    with pytest.raises(epsball.FileError, match="is a run"):
        epsball.leaderboard(tmp_path)


def test_audit_and_convert(tmp_path):
    log = tmp_path / "sigma_0.25"
    log.write_text("idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t1\t1\t0.5\t1\t0:00:01\n20\t1\t1\t9.5\t1\t0:00:01\n")
    audit = epsball.audit(log, n=1000, alpha=0.001)
    assert audit["contradicted"] and any("9.5" in one["seen"] or one["check"] == "ceiling" for one in audit["findings"])
    with pytest.raises(epsball.EpsballError):
        epsball.convert(tmp_path / "none.pt", tmp_path / "out.safetensors")


def test_the_command_is_the_program(tmp_path):
    command = [sys.executable, "-m", "epsball"]
    listed = subprocess.run([*command, "list", "attacks"], capture_output=True, text=True, check=True)
    assert set(epsball.attacks()) == {line.split()[0] for line in listed.stdout.splitlines() if line.split()} & set(
        epsball.attacks()
    )
    bad = subprocess.run([*command, "attack", "-m", "none.safetensors"], capture_output=True, text=True)
    assert bad.returncode == 2 and "--data" in bad.stderr
    folder = tmp_path / "r"
    arguments = "attack -m bundled:digits-pgd -d digits -n 5 -a fgsm --norm Linf --eps 0.1".split()
    subprocess.run([*command, *arguments, "-o", str(folder)], capture_output=True, check=True)
    assert 'command = "epsball attack -m bundled' in (folder / "run.toml").read_text()
    # The script that is installed beside the interpreter.
    script = Path(sys.executable).with_name("epsball")
    if script.exists():
        version = subprocess.run([str(script), "--version"], capture_output=True, text=True, check=True)
        assert version.stdout.strip() == f"epsball {epsball.__version__}"


def test_the_command_runs_where_a_library_listens_already():
    code = (
        "import epsball; epsball.load('digits:test', first=1); from epsball._epsball import command; "
        "raise SystemExit(command(['epsball', 'list', 'attacks']))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0 and "pgd" in ended.stdout, ended.stderr


def test_what_a_release_can_do(tmp_path):
    if os.environ.get("EPSBALL_FEATURES") == "none":
        pytest.skip("built without hub and parquet")
    (tmp_path / "images.parquet").write_bytes(b"no table")
    with pytest.raises(epsball.FileError, match=r"images\.parquet") as caught:
        epsball.load(f"parquet:{tmp_path / 'images.parquet'}")
    assert "feature" not in str(caught.value)
    # Nobody listens there, so that nothing is fetched.
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "epsball", "inspect", "hf:nobody/nothing"]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ended.returncode != 0 and "--features hub" not in ended.stderr, ended.stderr


def test_warnings_of_the_program_are_records_of_logging(caplog, tmp_path):
    x, y = epsball.load("digits:test", first=4)
    images = tmp_path / "images.npz"
    np.savez(images, images=np.moveaxis(x, 1, -1).repeat(3, -1), labels=y)
    with caplog.at_level(logging.INFO, logger="epsball"):
        epsball.load(f"npz:{images}")
    assert any("N, H, W, C" in record.getMessage() for record in caplog.records)


def test_tables_and_pages(linear, inner):
    result = epsball.attack(linear.pair, *inner, attack="fgsm", norm="Linf", eps=0.05)
    page = result._repr_html_()
    assert "robust accuracy" in page and f"{result.robust_accuracy:.2%}" in page
    assert result.rows._repr_html_().count("<tr>") == 11
    assert f"{len(result)} images" in repr(result)
    assert json.dumps(result.parameters)
    low, high = result.interval()
    assert low <= result.robust_accuracy <= high


def test_figures(linear, inner):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    result = epsball.attack(linear.pair, *inner, attack="pgd", norm="Linf", eps=0.05)
    assert result.plot().get_ylabel() == "robust accuracy"
    assert len(result.show(4).axes) <= 4


def test_data_frames(linear, inner):
    pytest.importorskip("pandas")
    result = epsball.attack(linear.pair, *inner, attack="pgd", norm="Linf", eps=0.05)
    frame = result.to_pandas()
    assert len(frame) == len(result) and frame["found"].sum() == result.rows["found"].sum()
