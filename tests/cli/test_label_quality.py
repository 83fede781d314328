"""The command `phasejax label-quality`: files, mappings and refusals."""

import json

import numpy as np
import pandas as pd
import pytest

from phasejax.cli import main
from phasejax.cli._label_quality import read_mapping


@pytest.fixture
def files(tmp_path):
    """Two views that share two signals, classes by their signs, and a real label, as files."""
    rng = np.random.default_rng(0)
    signals, own = rng.standard_normal((2, 90, 2))
    np.save(tmp_path / "x.npy", np.c_[signals + 0.5 * own, rng.standard_normal((90, 1))])
    np.save(tmp_path / "y.npy", np.c_[signals + 0.5 * rng.standard_normal((90, 2)), rng.standard_normal((90, 1))])
    names = np.array(["a", "b", "c", "d"])[(signals[:, 0] > 0) + 2 * (signals[:, 1] > 0)]
    pd.DataFrame({"class": names, "value": signals[:, 0]}).to_csv(tmp_path / "labels.csv", index=False)
    pd.DataFrame({"half": np.repeat(["first", "second"], 45)}).to_csv(tmp_path / "half.csv", index=False)
    (tmp_path / "map.csv").write_text("fine,coarse\na,left\nb,right\nc,left\nd,right\n")
    return tmp_path


def arguments(files, *more, labels="class"):
    return ["label-quality", str(files / "x.npy"), str(files / "y.npy"), "--labels", f"{files / 'labels.csv'}:{labels}",
            "--divisions", "1", "--no-progress", *more]


@pytest.mark.slow
def test_a_mapping_is_followed_and_files_are_written(files, capsys):
    out = [files / name for name in ("found.csv", "found.json", "found.png")]
    assert main(arguments(files, "--by", "coarsening", "--mapping", str(files / "map.csv"), "--k", "2", "--confounders",
                          f"{files / 'labels.csv'}:value", "--confounders", f"{files / 'half.csv'}:half", "--out",
                          str(out[0]), "--json", str(out[1]), "--figure", str(out[2]))) == 0
    said = capsys.readouterr().out
    assert "2 classes by the mapping" in said
    assert "(left; right)" in said
    assert "removed value (real), half (2 levels): explained" in said
    saved = json.loads(out[1].read_text())
    assert saved["levels"][0]["level"] == 2
    assert pd.read_csv(out[0])["by"].tolist() == ["as given", "coarsening"]
    assert out[2].stat().st_size > 1000


@pytest.mark.parametrize(("more", "labels", "message"), [
    (["--by", "noise"], "class", "by: expected real labels for noise"),
    (["--by", "coarsening", "--classes", "4"], "class", "classes: expected fewer than the 4 classes"),
    (["--by", "reassignment", "--reassigned", "1.2"], "class", "reassigned: expected a number"),
    (["--by", "coarsening", "--bins", "91"], "value", "bins: expected at most 90"),
    (["--by", "pseudo-labels", "--clusters", "19"], "class", "clusters: expected at most 18"),
    (["--by", "rows", "--sizes", "91"], "class", "sizes: expected a whole number from 2 to 90, got 91"),
    (["--by", "reassignment", "--confounders", "none.csv"], "class", "none.csv"),
    (["--out", "found.pdf"], "class", "--out: expected a file ending in"),
])
def test_what_makes_no_sense_is_refused_in_one_line(files, capsys, more, labels, message):
    assert main(arguments(files, *more, labels=labels)) == 2
    error = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("error: ") for line in error) == 1
    assert message in error[-1]


def test_a_mapping_without_a_class_is_refused(files, capsys):
    (files / "map.csv").write_text("a,left\nb,right\nc,left\n")
    assert main(arguments(files, "--by", "coarsening", "--mapping", str(files / "map.csv"))) == 2
    assert "mapping: expected a coarser class for each of a, b, c, d, got none for d" in capsys.readouterr().err


def test_mappings_are_read_from_tables_and_json(tmp_path):
    expected = {"a": "1", "b": "2"}
    for name, text in (("m.csv", '"a",1\n\nb, 2\n'), ("m.tsv", "a\t1\nb\t2\n"), ("m.json", '{"a": 1, "b": "2"}')):
        (tmp_path / name).write_text(text)
        assert read_mapping(tmp_path / name) == expected
    for name, text, message in (
            ("m.csv", "a,1\nb\n", r"got \['b'\] in row 2"), ("m.csv", "a,1\na,2\n", "one coarser class of a"),
            ("m.json", '["a"]', "a table of two columns or a JSON object"), ("m.json", "{", "a JSON object"),
            ("m.csv", "", "at least one class"), ("m.json", '{"a": 1, "a": 2}', "one coarser class of a")):
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=message):
            read_mapping(tmp_path / name)
    with pytest.raises(ValueError, match="expected a file"):
        read_mapping(tmp_path / "none.csv")
