"""`phasejax monitor`: exit codes and bad input."""

import numpy as np
import pytest

from phasejax import cli, diagnose
from phasejax.datasets import load_digit_halves


@pytest.mark.slow
def test_it_exits_3_when_something_moved(digits, tmp_path, capsys, monkeypatch):
    """Against itself nothing has moved; with the pairs of y's rows shuffled within each digit, much has."""
    monkeypatch.chdir(digits)
    x, y, labels = load_digit_halves()
    rng, shuffled = np.random.default_rng(0), np.arange(len(labels))
    for digit in range(10):
        rows = np.flatnonzero(labels == digit)
        shuffled[rows] = rng.permutation(rows)
    np.save(tmp_path / "y.npy", 2 * y[shuffled])
    (tmp_path / "base.json").write_text(diagnose(x, y, labels, method="moments", predicted_scores=False).to_json())
    for views, code, word in (("Y.csv", 0, "none beyond chance"),
                              (str(tmp_path / "y.npy"), 3, "Drift            yes")):
        assert cli.main(["monitor", str(tmp_path / "base.json"), "X.npy", views, "--labels", "L.npy"]) == code
        out, err = capsys.readouterr()
        assert word in out
        assert all(line.startswith("note: Y.csv") for line in err.splitlines())


@pytest.mark.parametrize(("args", "message"), [
    (["L.npy", "X.npy", "Y.csv", "--labels", "L.npy"], "error: L.npy: expected a JSON file"),
    (["L.npy", "X.npy", "Y.csv", "--labels", "L.npy", "--level", "2"], "error: --level: expected a number above 0"),
    (["L.npy", "X.npy", "Y.csv", "--labels", "L.npy", "--json", "no/m.json"], "error: no/m.json: expected a file in"),
])
def test_bad_input_gets_one_line(digits, args, message, capsys, monkeypatch):
    monkeypatch.chdir(digits)
    assert cli.main(["monitor", *args]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(message)
    assert err.count("\n") == 1
    assert not out
