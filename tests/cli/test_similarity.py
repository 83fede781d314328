"""`phasejax similarity`: the table of `compare_representations`, printed and written, and bad input."""

import json

import numpy as np
import pytest

from phasejax import cli
from phasejax.similarity import compare_representations

N = 64
RNG = np.random.default_rng(0)
SHARED = RNG.standard_normal((80, 3))
X = np.float32(np.c_[SHARED + RNG.standard_normal((80, 3)), RNG.standard_normal((80, 3))])
Y = np.float32(np.c_[SHARED + RNG.standard_normal((80, 3)), RNG.standard_normal((80, 2))])


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("X.npy", X[:N])
    np.savez("Y.npz", y=Y[:N], rest=Y)
    return tmp_path


def test_the_command_prints_and_writes_the_table(files, capsys):
    options = ["--metrics", "cka", "mutual_knn", "--permutations", "9", "--resamples", "10", "--k", "4"]
    assert cli.main(["similarity", "X.npy", "Y.npz:y", *options, "--json", "a.json"]) == 0
    out, err = capsys.readouterr()
    expected = compare_representations(X[:N], Y[:N], metrics=["cka", "mutual_knn"], k=4, permutations=9, resamples=10)
    assert out == expected.summary() + "\n"
    assert not err
    assert json.loads((files / "a.json").read_text()) == expected.to_dict()
    assert [line.split()[0] for line in out.splitlines()[:3]] == ["metric", "mutual_knn", "cka"]


@pytest.mark.parametrize(("args", "message"), [
    (["X.npy", "missing.npy"], "error: missing.npy: expected a readable file"),
    (["X.npy", "Y.npz:y", "--k", "80"], "error: k: expected fewer neighbours than the 64 rows, got 80"),
    (["X.npy", "Y.npz:rest"], "error: y: expected 64 rows as in x, got 80"),
    (["X.npy", "Y.npz:y", "--metrics", "cca"], "error: metrics: expected names among mutual_knn"),
    (["X.npy", "Y.npz:y", "--json", "no/a.json"], "error: no/a.json: expected a file in an existing folder"),
    (["X.npy", "Y.npz:y", "--metrics", "svcca", "--components", "9"], "error: components: expected at most min("),
])
def test_bad_commands_exit_2_with_one_line(files, capsys, args, message):
    before = sorted(files.iterdir())
    assert cli.main(["similarity", *args]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(message)
    assert err.count("\n") == 1
    assert not out
    assert sorted(files.iterdir()) == before
