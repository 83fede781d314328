"""`phasejax plan`: table, verdict, JSON and figure, from parameters and from a pilot, and bad input."""

import json
from pathlib import Path

import numpy as np
import pytest

from phasejax import cli
from phasejax.diagnosis import MomentDiagnosis, load_baseline, plan_from_pilot
from phasejax.diagnosis._pilot_plan import _model_of, load_pilot
from phasejax.theory import plan

PILOT = Path(__file__).parent.parent / "data" / "diagnosis.json"


def test_the_command_prints_a_verdict_and_writes_json_and_figure(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = ["--kappa", "1.5", "--k", "2", "--nu", "0.4", "--gamma", "0.5", "--dim-x", "6", "--error", "0.1"]
    assert cli.main(["plan", *options, "--json", "a.json", "--figure", "a.pdf"]) == 0
    out, err = capsys.readouterr()
    saved = json.loads((tmp_path / "a.json").read_text())
    assert out.splitlines()[-1] == saved["verdict"]
    assert str(saved["pairs"]) in saved["verdict"]
    assert [line.split()[0] for line in out.splitlines()[:3]] == ["objective", "CA", "CP"]
    assert saved["model"]["kappa"] == [1.5, 1.5]
    assert saved["model"]["gamma_y"] == [0.5, 0.5]
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert err == "wrote a.json, a.pdf\n"


def test_a_pilot_is_planned_for_at_its_estimates(tmp_path, monkeypatch, capsys):
    pilot = load_pilot(PILOT)
    assert isinstance(pilot, MomentDiagnosis)
    model = _model_of(pilot, {name: one.value for name, one in pilot.estimates.items()})
    assert (model.k, model.d_x, model.d_y) == (pilot.k, pilot.d_x, pilot.d_y)
    assert model.kappa[0] == pilot.kappa
    assert model.nu.max() == pilot.nu
    monkeypatch.chdir(tmp_path)
    assert cli.main(["plan", "--pilot", str(PILOT), "--json", "a.json", "--figure", "a.svg", "--draws", "2"]) == 0
    saved = json.loads((tmp_path / "a.json").read_text())
    assert saved["regime"] == pilot.likeliest.value
    assert saved["label_r2"] == pilot.estimates["label_share"].value
    out = capsys.readouterr().out
    assert saved["verdict"] in out
    ratio = pilot.draws["delta_ca" if saved["objective"] == "CA" else "delta_cp"]
    of_draws = [plan(_model_of(pilot, {name: values[place] for name, values in pilot.draws.items()}),
                     label_r2=float(pilot.draws["label_share"][place])) for place in np.argsort(ratio)[[100, 300]]]
    assert saved["ranges"]["pairs"] == sorted(one.pairs for one in of_draws)
    assert saved["ranges"]["labels"] == sorted(one.labels for one in of_draws)
    assert saved["range_level"] == pilot.confidence
    low, high = map(round, saved["ranges"]["pairs"])
    assert f"as well as the pilot tells (level 0.90): {low if low == high else f'{low} to {high}'} pairs, " in out
    assert "by the pilot" in (tmp_path / "a.svg").read_text()


def test_a_pilot_without_a_fit_or_of_another_kind_is_refused(tmp_path):
    without = load_baseline(PILOT.parent / "decision.json")
    with pytest.raises(ValueError, match="pilot: expected a diagnosis with a fit"):
        plan_from_pilot(type(without)(**{**vars(without), "fit": None}))
    (tmp_path / "a.json").write_text('{"method": "spectral"}')
    with pytest.raises(ValueError, match=r"a\.json: expected a diagnosis"):
        load_pilot(tmp_path / "a.json")


MODEL = ["--kappa", "2", "--nu", "0.3", "--dim-x", "6"]


@pytest.mark.parametrize(("options", "message"), [
    ([], "--kappa: expected --kappa, --nu, --dim-x of a model, or --pilot, got none"),
    (MODEL[:4], "--dim-x: expected --dim-x of a model, or --pilot, got none"),
    ([*MODEL, "--pilot", str(PILOT)],
     "--pilot: expected no parameters of a model beside it, got --kappa, --nu, --dim-x"),
    ([*MODEL, "--k", "7"], "k: expected at most min(d_x, d_y) = 6 signals, got 7"),
    ([*MODEL, "--k", "0"], "--k: expected a whole number of at least 1, got 0"),
    ([*MODEL, "--nu", "1.5"], "nu: expected values in [0, 1], got 1.5 at index 0"),
    ([*MODEL, "--kappa", "2", "1", "--k", "3"], "--kappa: expected one number or 3, as --k says, got 2"),
    ([*MODEL, "--gamma", "1", "--gamma-x", "1"], "--gamma: expected either it or --gamma-x and --gamma-y, got both"),
    ([*MODEL, "--probability", "1.5"], "probability: expected a number above 0.5 and below 1, got 1.5"),
    ([*MODEL, "--figure", "a.docx"], "--figure: expected a file ending in .png, .pdf or .svg, got a.docx"),
    (["--pilot", "missing.json"], "missing.json: expected a readable file, got No such file or directory")])
def test_bad_input_is_one_line(options, message, capsys):
    assert cli.main(["plan", *options]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"
