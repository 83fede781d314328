"""`phasejax heads`: what `train_heads` and the diagnosis find, printed and written, and bad input."""

import json

import numpy as np
import pandas as pd
import pytest

from phasejax import cli
from phasejax.deep import load_heads, train_heads
from tests.deep.heads_rows import AGE, GROUP, KIND, SMALL, SPLIT, X, Y

OPTIONS = ["--objectives", "CP x->y", "--bottleneck", "2", "--widths", "6", "--seeds", "2", "--epochs", "12",
           "--patience", "3", "--batch", "50", "--learning-rate", "0.02"]


pytestmark = [pytest.mark.filterwarnings("ignore::phasejax.io.InputNote")]


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    np.savez("pair.npz", y=Y, short=Y[:-1], narrow=Y[:, :3], hole=np.where(np.arange(len(Y))[:, None] == 7, np.nan, Y))
    pd.DataFrame({"kind": np.where(KIND == 1, "giant", "dwarf"), "age": AGE, "star": [f"s{g}" for g in GROUP],
                  "donor": GROUP // 4, "part": SPLIT, "crossed": np.roll(SPLIT, 5), "none": np.nan}
                 ).to_csv("t.csv", index=False)
    return tmp_path


def test_the_command_prints_and_writes_what_train_heads_finds(files, capsys):
    assert cli.main(["heads", "x.npy", "pair.npz:y", "--labels", "t.csv:kind", "--labels", "t.csv:age", "--groups",
                     "t.csv:star", "--nuisance", "t.csv:donor", "--split", "t.csv:part", *OPTIONS, "--no-diagnosis",
                     "--out", "a.csv", "--json", "a.json", "--figure", "a.png", "--save", "a.npz"]) == 0
    out, err = capsys.readouterr()
    expected = train_heads(X, Y, {"kind": np.where(KIND == 1, "giant", "dwarf"), "age": AGE},
                           groups=np.array([f"s{g}" for g in GROUP]),
                           nuisance={"donor": GROUP // 4}, split=SPLIT, objectives=("CP x->y",), **SMALL)
    assert out == expected.summary() + "\n"
    assert err.splitlines()[-1] == "wrote a.json, a.csv, a.png, a.npz"
    assert json.loads((files / "a.json").read_text()) == expected.to_dict()
    assert len(pd.read_csv("a.csv")) == len(expected.scores)
    assert (files / "a.png").read_bytes().startswith(b"\x89PNG")
    assert cli.main(["heads", "x.npy", "pair.npz:narrow", "--labels", "t.csv:kind", "--heads", "a.npz"]) == 2
    assert capsys.readouterr().err == "error: y: expected 5 columns, as these heads were trained on, got 3\n"
    np.testing.assert_array_equal(load_heads("a.npz").embed("CP x->y", X), expected.heads.embed("CP x->y", X))


@pytest.mark.parametrize(("args", "message"), [
    (["x.npy", "pair.npz:y", "--labels", "t.csv:kind", "--split", "t.csv:crossed", "--groups", "t.csv:star"],
     "error: split: expected every group in one part, got the group of row 0 in both test and train"),
    (["x.npy", "pair.npz:y", "--labels", "t.csv:none"], "error: labels none: expected some that are not missing"),
    (["x.npy", "pair.npz:hole", "--labels", "t.csv:kind"], "error: y: expected finite values, got 5 that are NaN"),
    (["x.npy", "pair.npz:short", "--labels", "t.csv:kind"], "error: y: expected 240 rows as in x, got 239"),
    (["x.npy", "pair.npz:y", "--labels", "t.csv:kind", "--bottleneck", "0"], "error: bottleneck: expected "),
    (["x.npy", "pair.npz:y", "--labels", "t.csv:kind", "--objectives", "CA"], "error: objectives: expected one of CA"),
    (["x.npy", "pair.npz:y", "--labels", "t.csv:kind", "--save", "a.pt"], "error: --save: expected a file ending in"),
    (["x.npy", "pair.npz:y", "--labels", "t.csv:colour"], "error: t.csv"),
])
def test_bad_commands_exit_2_with_one_line(files, capsys, args, message):
    before = sorted(files.iterdir())
    assert cli.main(["heads", *args]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(message)
    assert err.count("\n") == 1
    assert not out
    assert sorted(files.iterdir()) == before
