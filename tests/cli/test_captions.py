"""`phasejax captions`: bad input in one line, and a small run with all its files."""

import json

import pytest

from phasejax.captions import _epochs
from phasejax.cli import main
from tests.captions.coco_folder import make_coco


@pytest.mark.parametrize(("arguments", "message"), [
    (["nowhere"], "DATA: expected emoji, glyphs or a folder with COCO, got nowhere"),
    (["emoji", "--decoded", "x"], "--decoded: expected none for emoji, got x"),
    (["emoji", "--levels", "0", "2"], "noises: expected values from 0 to 1, got 2.0"),
    (["emoji", "--objectives", "clip"], "objectives: expected one of vicreg"),
    (["emoji", "--mode", "image", "--jitters", "0.5"], "jitters: expected (0.0,) in the mode image, got (0.5,)"),
    (["emoji", "--confidence", "1"], "confidence: expected"),
    (["emoji", "--seeds", "0"], "seeds: expected a whole number of at least 1, got 0"),
])
def test_bad_input_is_one_line(arguments, message, capsys):
    assert main(["captions", *arguments, "--no-progress"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {message}")
    assert said.count("\n") == 1


def test_a_folder_that_is_no_coco(tmp_path, capsys):
    assert main(["captions", str(tmp_path), "--no-progress"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.slow
def test_a_small_run_on_a_folder_of_coco_writes_what_was_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(_epochs, "_RESIDENT_SHARE", 0.0)  # batches come from the loader, as where images fill a device
    root = make_coco(make_coco(tmp_path / "coco", n=60), "val", n=40)
    files = {name: tmp_path / name for name in ("scores.json", "scores.csv", "scores.png")}
    assert main(["captions", str(root), "--decoded", str(tmp_path / "decoded"), "--size", "16", "--levels", "0.5",
                 "--objectives", "supervised", "--seeds", "1", "--width", "4", "--embedding", "4", "--batch", "15",
                 "--epochs", "1", "--no-progress", "--json", str(files["scores.json"]), "--out",
                 str(files["scores.csv"]), "--figure", str(files["scores.png"]), "--curves",
                 str(tmp_path / "curves")]) == 0
    assert "supervised" in capsys.readouterr().out
    assert all(path.stat().st_size for path in files.values())
    scores = json.loads(files["scores.json"].read_text())["scores"][0]
    assert scores["groups"] == 3
    # Every fourth image shows a toothbrush, the others a dog; 20 of the 40 images are tested.
    assert 0.5 <= scores["chance"] <= 0.95
    assert len((tmp_path / "curves" / "curves.csv").read_text().splitlines()) == 2
    assert list((tmp_path / "curves" / "events" / "supervised").glob("*/events.out.tfevents.*"))
    assert all(any((tmp_path / "decoded" / part).iterdir()) for part in ("train2017", "val2017"))
