"""`phasejax inspect`: one screen, its JSON file, and bad input."""

import json

import numpy as np
import pandas as pd
import pytest

from phasejax import cli

N = 120
RNG = np.random.default_rng(1)
S = RNG.standard_normal((N, 2))
X, Y = (S @ RNG.standard_normal((2, d)) + 0.3 * RNG.standard_normal((N, d)) for d in (5, 4))


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ids = pd.Index(3000 + RNG.permutation(N), name="object_id")
    pd.DataFrame(X, index=ids).add_prefix("f").to_csv("x.csv")
    pd.DataFrame(Y, index=ids).add_prefix("g")[::-1][:100].to_csv("y.csv")
    table = pd.DataFrame({"class": np.where(S[:, 0] > 0, "B", "T"), "donor": np.arange(N) // 4}, index=ids)
    table.to_csv("labels.csv")
    np.save("images.npy", np.float32(RNG.standard_normal((N, 4, 4, 3))))
    np.save("y.npy", Y)
    return tmp_path


def test_one_screen(files, capsys):
    assert cli.main(["inspect", "x.csv", "y.csv", "--labels", "labels.csv:class", "--json", "a.json"]) == 0
    out, err = capsys.readouterr()
    assert err == "wrote a.json\n"
    assert out.splitlines()[0] == "Rows        100 rows paired by identifier, of 120 in x and 100 in y"
    for words in ("2 classes in 100 of 100 rows", "uses 100 rows and leaves out 20", "rank 5 of 5", "id object_id"):
        assert words in out
    assert len(out.splitlines()) <= 24
    saved = json.loads((files / "a.json").read_text())
    assert saved["n"] == 100
    assert saved["headlines"][0] == "rows matched by identifier: 100 of 120 in x and 100 in y"


def test_options_are_those_of_diagnose(files, capsys):
    assert cli.main(["inspect", "x.csv", "y.csv", "--id", "object_id", "--groups", "labels.csv:donor"]) == 0
    assert "groups" in capsys.readouterr().out.splitlines()[0]
    assert cli.main(["inspect", "x.csv", "x.csv", "--by-position", "--missing", "drop"]) == 0
    assert "diagnose" not in capsys.readouterr().out
    np.save("some.npy", np.arange(20))
    np.save("l.npy", np.arange(20) % 2)
    assert cli.main(["inspect", "y.npy", "y.npy", "--labels", "l.npy", "--labelled", "some.npy", "--label-kind",
                     "class"]) == 0
    assert "2 classes in 20 of 120 rows" in capsys.readouterr().out


def test_images_are_refused_or_flattened(files, capsys):
    assert cli.main(["inspect", "images.npy", "y.npy"]) == 2
    assert capsys.readouterr().err == ("error: images.npy: expected two dimensions (rows, columns), got shape "
                                       "(120, 4, 4, 3) (images? --flatten, flatten=True of as_named, makes each of "
                                       "them a row)\n")
    assert cli.main(["inspect", "images.npy", "y.npy", "--flatten"]) == 0
    assert "120 rows, 48 columns" in capsys.readouterr().out


@pytest.mark.parametrize(("args", "message"), [
    (["x.csv", "none.csv"], "error: none.csv: expected a readable file"),
    (["x.csv", "y.csv", "--labelled", "y.npy"], "error: --labelled: expected --labels with it, got none"),
    (["x.csv", "y.csv", "--id", "star"], "error: x.csv: expected one of its columns"),
    (["x.csv", "labels.csv:class"], "error: y: expected a table of numbers"),
    (["x.csv", "y.csv", "--json", "no/a.json"], "error: no/a.json: expected a file in an existing folder"),
])
def test_bad_commands_exit_2_with_one_line(files, capsys, args, message):
    before = sorted(files.iterdir())
    assert cli.main(["inspect", *args]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(message)
    assert err.count("\n") == 1
    assert not out
    assert sorted(files.iterdir()) == before
