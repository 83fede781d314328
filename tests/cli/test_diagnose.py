"""`phasejax diagnose`: what it prints and writes, formats, and bad input."""

import json

import numpy as np
import pandas as pd
import pytest

from phasejax import cli, diagnose
from phasejax.cli._files import LabelKind
from phasejax.datasets import load_digit_halves
from phasejax.io import _labels
from tests.cli.conftest import run

DIAGNOSE = ["diagnose", "X.npy", "Y.csv", "--labels", "L.npy", "--k", "8"]


@pytest.mark.slow
def test_it_prints_and_writes(some_digits, tmp_path):
    done = run(*DIAGNOSE, "--json", tmp_path / "d.json", "--figure", tmp_path / "d.png", "--report",
               tmp_path / "d.html", "--out", tmp_path / "d.csv", cwd=some_digits)
    assert done.returncode == 0
    notes = done.stderr.splitlines()
    assert notes.pop() == f"wrote {tmp_path}/d.json, {tmp_path}/d.csv, {tmp_path}/d.png, {tmp_path}/d.html"
    assert notes[0] == "note: 899 rows paired by position, of 899 in x and 899 in y"
    assert notes[-1] == "note: Y.csv: 899 rows, 31 columns, no header"
    assert len(notes) == 4  # the three most important lines of an inspection, and how the table was read
    found = diagnose(*(rows[::2] for rows in load_digit_halves()), k=8)
    assert done.stdout == found.summary() + "\n"
    assert json.loads((tmp_path / "d.json").read_text()) == found.to_dict()
    assert (tmp_path / "d.png").read_bytes().startswith(b"\x89PNG")
    report = (tmp_path / "d.html").read_text("utf-8")
    for text in (*(use.situation for use in found.uses), "X.npy", "Y.csv", "L.npy"):
        assert text in report
    assert len(list(tmp_path.iterdir())) == 4
    row = pd.read_csv(tmp_path / "d.csv").query("quantity == 'balanced accuracy of CA' and source == 'combined'")
    score = found.scores[0].score("CA")
    assert row[["k", "value", "low", "high"]].values.tolist() == [[8, score.value, score.low, score.high]]


def test_formats_and_label_types_agree(digits, capsys, monkeypatch):
    monkeypatch.chdir(digits)
    texts = set()
    for x, y, labels in [("X.npy", "Y.csv", "L.npy"), ("XY.npz:x", "XY.npz:y", "words.csv")]:
        assert cli.main(["diagnose", x, y, "--labels", labels, "--method", "spectral"]) == 0
        texts.add(capsys.readouterr().out)
    assert len(texts) == 1


@pytest.mark.parametrize(("args", "message"), [
    (["X.npy", "missing.npy", "--labels", "L.npy"], "error: missing.npy: expected a readable file"),
    (["X.npy", "L.npy", "--labels", "L.npy"], "error: L.npy: expected two dimensions"),
    (["X.npy", "Y.csv", "--labels", "constant.npy"], "error: labels: expected columns that vary"),
    (["XY.npz", "Y.csv", "--labels", "L.npy"], "got arrays x, y"),
    (["X.npy", "Y.csv", "--labels", "L.npy", "--json", "no/d.json"], "error: no/d.json: expected a file in"),
    (["X.npy", "Y.csv", "--labels", "L.npy", "--figure", "d.gif"], "error: --figure: expected a file ending in .png"),
    (["X.npy", "Y.csv", "--labels", "L.npy", "--report", "d.pdf"],
     "error: --report: expected a file ending in .html or .htm, got d.pdf; a browser prints the page as PDF"),
    (["X.npy", "Y.csv", "--labels", "L.npy", "--out", "d.txt"], "error: --out: expected a file ending in .csv or .j"),
    (["X.npy", "Y.csv", "--labels", "L.npy", "--confounders", "words.csv:digit", "--confounders", "constant.npy"],
     "error: confounders: expected values that vary, got only 1 in constant"),
    (["X.npy", "Y.csv", "--labels", "L.npy", "--draws"], "error: --draws: expected --json with it, got none"),
    (["X.npy", "Y.csv", "--labels", "L.npy", "--method", "spectral", "--report", "d.html"], "error: --report: expe"),
    (["X.npy", "Y.csv", "--labels", "L.npy", "--k", "30"], "error: k: expected 1 to min(d_x, d_y) - 1 = 29, got 30"),
    (["X.npy", "Y.csv", "--labels", "L.npy", "--labelled", "L.npy"], "error: labelled: expected every row once"),
    (["X.npy", "Y.csv"], "--labels"),
    (["X.npy", "Y.csv", "--labels", "L.npy", "--label-kind", "text"], "label-kind"),
])
def test_bad_input_exits_2_without_traceback_or_files(digits, args, message, capsys, monkeypatch):
    monkeypatch.chdir(digits)
    before = sorted(digits.iterdir())
    try:
        code = cli.main(["diagnose", *args])
    except SystemExit as stopped:  # what cannot be parsed
        code = stopped.code
    out, err = capsys.readouterr()
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert not out
    if err.startswith("error:"):
        assert err.count("\n") == 1
    assert sorted(digits.iterdir()) == before


def test_a_failed_figure_leaves_no_file(digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *a, **k: (_ for _ in ()).throw(OSError("disk full")))
    code = cli.main(["diagnose", str(digits / "X.npy"), str(digits / "Y.csv"), "--labels", str(digits / "L.npy"),
                     "--method", "spectral", "--figure", "d.pdf"])
    assert code == 2
    assert not list(tmp_path.iterdir())


def test_the_kinds_of_labels_are_those_of_the_reader():
    """The command restates them, since help must not import the reader."""
    assert LabelKind == _labels.LabelKind


def test_labels_are_found_by_identifier_and_what_was_decided_is_said(tmp_path, capsys, monkeypatch):
    """Labels of some rows in another order, with a class of one member, beside files that have identifiers."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    s = rng.standard_normal((200, 2))
    ids = pd.Index([f"CELL{i}" for i in rng.permutation(200)], name="barcode")
    for name in "xy":
        pd.DataFrame(np.c_[s, rng.standard_normal((200, 2))] + 0.3 * rng.standard_normal((200, 4)), index=ids,
                     columns=list("abcd")).to_csv(f"{name}.csv")
    labels = pd.DataFrame({"kind": np.where(s[:, 0] > 0, "B", "T"), "batch": 1}, index=ids)
    labels = labels.iloc[rng.permutation(200)[:120]]
    labels.iloc[5, 0] = "platelet"
    labels.to_csv("labels.csv")
    assert cli.main(["diagnose", "x.csv", "y.csv", "--labels", "labels.csv:kind", "--method", "spectral"]) == 0
    out, err = capsys.readouterr()
    assert "note: labels: matched by identifier, 120 of 200 rows have a label" in err.splitlines()
    of_classes = "labels: left out classes with fewer than 5 rows, too few to cross-validate: platelet: 1 row"
    assert f"Warning: {of_classes}" in out.splitlines()
    assert err.splitlines()[0] == f"warning: {of_classes}"
    warned = [line.removeprefix("Warning: ") for line in out.splitlines() if line.startswith("Warning: ")]
    assert not {line.removeprefix("note: ") for line in err.splitlines()} & set(warned)
