"""`phasejax similarity`: the table of `compare_representations`, printed and written, and bad input."""

import json

import numpy as np
import pandas as pd
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
    assert cli.main(["similarity", "X.npy", "Y.npz:y", *options, "--json", "a.json", "--out", "a.csv"]) == 0
    out, err = capsys.readouterr()
    expected = compare_representations(X[:N], Y[:N], metrics=["cka", "mutual_knn"], k=4, permutations=9, resamples=10)
    assert out == expected.summary() + "\n"
    assert err.splitlines() == ["note: 64 rows paired by position, of 64 in x and 64 in y",
                                "note: x: 6 columns, rank 6; y: 5 columns, rank 5", "wrote a.json, a.csv"]
    assert json.loads((files / "a.json").read_text()) == expected.to_dict()
    table = pd.read_csv(files / "a.csv").set_index("metric")
    assert [*table.index] == ["mutual_knn", "cka"]
    assert table.loc["cka", "value"] == expected.metrics["cka"].value
    assert [line.split()[0] for line in out.splitlines()[:3]] == ["metric", "mutual_knn", "cka"]


@pytest.mark.parametrize(("args", "message"), [
    (["X.npy", "missing.npy"], "error: missing.npy: expected a readable file"),
    (["X.npy", "Y.npz:y", "--k", "80"], "error: k: expected fewer neighbours than the 64 rows, got 80"),
    (["X.npy", "Y.npz:rest"], "error: y: expected 64 rows as in x, got 80"),
    (["X.npy", "Y.npz:y", "--metrics", "cca"], "error: metrics: expected one of mutual_knn"),
    (["missing.npy", "Y.npz:y", "--permutations", "1000000000000"], "error: permutations: expected a whole number"),
    (["X.npy", "Y.npz:y", "--out", "a.pdf"], "error: --out: expected a file ending in .csv or .json, got a.pdf"),
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


IDS = 1000 + RNG.permutation(N)
ORDER = RNG.permutation(N)


@pytest.fixture
def named_files(files):
    """The same rows with identifiers, in another order and only some of them in the second file."""
    x = pd.DataFrame(X[:N], index=pd.Index(IDS, name="object_id")).add_prefix("f")
    y = pd.DataFrame(Y[:N], index=x.index).add_prefix("g").iloc[ORDER]
    x.to_csv("x.csv")
    y[:50].to_csv("y.csv")
    y.set_axis(y.index + 5000).to_csv("others.csv")
    return files


QUICK = ["--metrics", "cka", "--permutations", "9", "--resamples", "10"]


@pytest.mark.parametrize("flags", [[], ["--id", "object_id"]])
def test_rows_are_matched_by_identifier_and_that_is_said(named_files, capsys, flags):
    assert cli.main(["similarity", "x.csv", "y.csv", *QUICK, *flags, "--json", "a.json"]) == 0
    err = capsys.readouterr().err
    kept = np.sort(ORDER[:50])
    expected = compare_representations(np.float64(X[kept]), np.float64(Y[kept]), metrics=["cka"], permutations=9,
                                       resamples=10)
    found = json.loads((named_files / "a.json").read_text())
    assert found["metrics"]["cka"]["value"] == pytest.approx(expected.metrics["cka"].value, rel=1e-5)
    assert all(line.startswith(("note: ", "wrote ")) for line in err.splitlines())
    assert err.splitlines()[0] == "note: rows matched by identifier: 50 of 64 in x and 50 in y"


@pytest.mark.parametrize(("args", "message"), [
    (["x.csv", "y.csv", "--by-position"], "error: y: expected 64 rows as in x, got 50"),
    (["x.csv", "others.csv"], "error: y: expected identifiers that x has too, got none in common"),
    (["x.csv", "y.csv", "--id", "star"], "error: x.csv: expected one of its columns object_id, f0,"),
    (["X.npy", "X.npy", "--id", "star"], "error: --id: expected tables with named columns, .csv or .parquet, got X"),
])
def test_what_does_not_match_exits_2_with_one_line(named_files, capsys, args, message):
    before = sorted(named_files.iterdir())
    assert cli.main(["similarity", *args, *QUICK, "--json", "a.json"]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(message)
    assert err.count("\n") == 1
    assert not out
    assert sorted(named_files.iterdir()) == before


def test_missing_values_are_refused_or_treated_as_asked(files, capsys):
    holed = X[:N].copy()
    holed[[3, 9], 1] = np.nan
    np.save("holed.npy", holed)
    assert cli.main(["similarity", "holed.npy", "Y.npz:y", *QUICK]) == 2
    assert capsys.readouterr().err == (
        "error: x: expected finite values, got 2 that are NaN or masked, in 2 of 64 rows and 1 of 6 columns, the first "
        "in row 3 (missing 'drop' keeps complete rows, 'mean' fills in column means)\n")
    for flag, note in (
            ("drop", "rows with missing values left out: 62 of 64 rows are complete"),
            ("mean", "x: 2 missing values in 2 of 64 rows replaced by the means of their columns over all rows")):
        assert cli.main(["similarity", "holed.npy", "Y.npz:y", *QUICK, "--missing", flag]) == 0
        assert capsys.readouterr().err.splitlines()[0] == f"note: {note}"


def test_groups_and_principal_components(named_files, capsys):
    """Groups come from a column of another file, by identifier; four rows each."""
    table = pd.DataFrame({"star": [f"S{i // 4:02d}" for i in range(N)], "flux": X[:N, 0]},
                         index=pd.Index(IDS, name="object_id"))
    table.iloc[ORDER].to_csv("meta.csv")
    y = pd.DataFrame(Y[:N], index=table.index).add_prefix("g").iloc[ORDER]
    y.to_csv("all.csv")
    assert cli.main(["similarity", "x.csv", "all.csv", *QUICK, "--groups", "meta.csv:star", "--pca", "3", "--json",
                     "a.json"]) == 0
    out, err = capsys.readouterr()
    assert "n = 64 in 16 groups, d_x = 3, d_y = 3" in out
    assert "note: x: 6 columns reduced to 3 principal components with" in err
    found = json.loads((named_files / "a.json").read_text())
    assert (found["groups"], found["paired_rows"]) == (16, 64)
    assert cli.main(["similarity", "x.csv", "all.csv", *QUICK, "--groups", "y.csv:g0"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: groups: expected a group in every row, got 14 of 64 without, the first in row ")
    assert "(missing 'drop' leaves these rows out)" in err
    assert err.count("\n") == 1
