"""`phasejax captions`: bad input in one line, and a small run with all its files."""

import json

import pytest

from phasejax.cli import main


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
def test_a_small_run_writes_what_was_asked_for(tmp_path, capsys):
    files = {name: tmp_path / name for name in ("scores.json", "scores.csv", "scores.png")}
    assert main(["captions", "emoji", "--size", "16", "--most", "300", "--levels", "0.5", "--objectives", "supervised",
                 "--seeds", "1", "--width", "4", "--embedding", "4", "--batch", "15", "--epochs", "1", "--no-progress",
                 "--json", str(files["scores.json"]), "--out", str(files["scores.csv"]), "--figure",
                 str(files["scores.png"]), "--curves", str(tmp_path / "curves")]) == 0
    assert "supervised" in capsys.readouterr().out
    assert all(path.stat().st_size for path in files.values())
    assert json.loads(files["scores.json"].read_text())["scores"][0]["groups"] == 3
    assert len((tmp_path / "curves" / "curves.csv").read_text().splitlines()) == 2
    assert list((tmp_path / "curves" / "events" / "supervised").glob("*/events.out.tfevents.*"))
