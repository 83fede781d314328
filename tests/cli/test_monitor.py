"""`phasejax monitor`: exit codes and bad input."""

import numpy as np
import pandas as pd
import pytest

from phasejax import cli, diagnose
from phasejax.datasets import load_digit_halves


@pytest.mark.slow
def test_it_exits_3_when_something_moved(some_digits, tmp_path, capsys, monkeypatch):
    """Against itself nothing has moved; with the pairs of y's rows shuffled within each digit, much has.

    The baseline is what `phasejax diagnose` writes by default.
    """
    monkeypatch.chdir(some_digits)
    x, y, labels = (rows[::2] for rows in load_digit_halves())
    rng, shuffled = np.random.default_rng(0), np.arange(len(labels))
    for digit in range(10):
        rows = np.flatnonzero(labels == digit)
        shuffled[rows] = rng.permutation(rows)
    np.save(tmp_path / "y.npy", 2 * y[shuffled])
    (tmp_path / "base.json").write_text(diagnose(x, y, labels, k=8, fit=False).to_json())
    for views, code, word in (("Y.csv", 0, "none beyond chance"),
                              (str(tmp_path / "y.npy"), 3, "squared canonical correlations, variance of y (level")):
        assert cli.main(["monitor", str(tmp_path / "base.json"), "X.npy", views, "--labels", "L.npy"]) == code
        out, err = capsys.readouterr()
        assert word in out
        assert ("*squared canonical correlations" in out) == (code == 3)
        notes = err.splitlines()
        assert notes[0] == "note: 899 rows paired by position, of 899 in x and 899 in y"
        assert any(note.startswith("note: Y.csv") for note in notes) is (views == "Y.csv")
        assert all(note.startswith("note: ") for note in notes)


@pytest.mark.parametrize(("args", "message"), [
    (["L.npy", "X.npy", "Y.csv", "--labels", "L.npy"], "error: L.npy: expected a JSON file"),
    (["L.npy", "X.npy", "Y.csv", "--labels", "L.npy", "--level", "2"], "error: --level: expected a number above 0"),
    (["L.npy", "X.npy", "Y.csv", "--labels", "L.npy", "--json", "no/m.json"], "error: no/m.json: expected a file in"),
    (["b.json", "X.npy", "Y.csv", "--labels", "L.npy", "--json", "b.json"], "error: b.json: expected an output other"),
])
def test_bad_input_gets_one_line(digits, args, message, capsys, monkeypatch):
    monkeypatch.chdir(digits)
    assert cli.main(["monitor", *args]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(message)
    assert err.count("\n") == 1
    assert not out


@pytest.mark.slow
@pytest.mark.parametrize("method", ["content", "moments"])
def test_whole_groups_are_compared_and_redundant_columns_are_left_out_again(method, tmp_path, capsys, monkeypatch):
    """Thirty stars of eight rows each, and a category with all of its levels; against itself nothing has moved."""
    monkeypatch.chdir(tmp_path)
    rng, stars = np.random.default_rng(0), np.repeat(np.arange(30), 8)
    s = rng.standard_normal((30, 2))[stars] + 0.3 * rng.standard_normal((240, 2))
    x = np.c_[s + rng.standard_normal((240, 2)), rng.standard_normal((240, 2)), np.eye(3)[rng.integers(0, 3, 240)]]
    np.savez("pairs.npz", x=x, y=s + rng.standard_normal((240, 2)), labels=s, stars=stars)
    data = ["pairs.npz:x", "pairs.npz:y", "--labels", "pairs.npz:labels", "--groups", "pairs.npz:stars"]
    assert cli.main(["diagnose", *data, "--method", method, "--json", "base.json"]) == 0
    if method == "moments":
        capsys.readouterr()
        assert cli.main(["monitor", "base.json", *data]) == 2
        assert capsys.readouterr().err.startswith("error: base.json: draws: expected those of the posterior, which are")
        assert cli.main(["diagnose", *data, "--method", method, "--json", "base.json", "--draws"]) == 0
    assert "1 of 7 columns left out" in capsys.readouterr().out
    assert cli.main(["monitor", "base.json", *data, "--out", "drift.csv"]) == 0
    out, err = capsys.readouterr()
    assert "none beyond chance" in out
    assert err.splitlines()[-1] == "wrote drift.csv"
    assert not pd.read_csv("drift.csv").beyond.any()
    if method == "content":
        assert cli.main(["monitor", "base.json", *data[:-2]]) == 2
        assert capsys.readouterr().err.splitlines()[-1] == (
            "error: groups: expected which rows belong together, as in the baseline (30 groups), got none")
