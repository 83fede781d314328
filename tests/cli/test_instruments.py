"""`phasejax instruments`: text, JSON and figure, and bad input."""

import json

import pytest

from phasejax import cli
from phasejax.cli._instruments import Instruments
from phasejax.instruments import CITE_PRESETS


@pytest.mark.slow
def test_the_command_prints_and_writes_all_it_finds(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = ["--preset", "neither", "--set", "cadence=20", "magnitude_scatter=0.25", "--rows", "1024",
               "--parameters", "field_extinction", "field_density", "--json", "a.json", "--figure", "a.pdf"]
    assert cli.main(["instruments", "stars", *options]) == 0
    out, err = capsys.readouterr()
    saved = json.loads((tmp_path / "a.json").read_text())
    assert saved["parameters"]["cadence"] == {"value": 20, "unit": "min", "least": 0.1, "most": 1440}
    assert out.startswith(f"Regime    {saved['regime']} (labels log_g; k = 2)\n")
    assert {one["parameter"] for one in saved["upgrades"]} <= {"field_extinction", "field_density"}
    assert all(one["regime"] != saved["regime"] for one in saved["upgrades"])
    assert set(saved["elasticities"]["ca"]) == set(saved["parameters"])
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert err.endswith("wrote a.json, a.pdf\n")


def test_counts_and_proportions_are_set_too():
    command = Instruments("cite", set=("genes=40", "proportions=.5,.3,.2", "adt_depth=500"))
    changed = command._instrument()
    assert (changed.genes, changed.proportions, float(changed.adt_depth)) == (40, (0.5, 0.3, 0.2), 500.0)
    assert changed.proteins == CITE_PRESETS["both"].proteins


@pytest.mark.parametrize(("options", "message"), [
    (["stars", "--preset", "keplr"], "--preset: expected one of both, ca_only, cp_only, neither, kepler, tess, got "
                                     "'keplr' (did you mean 'kepler'?)"),
    (["stars", "--set", "cadence"], "--set: expected NAME=VALUE, got 'cadence'"),
    (["stars", "--set", "cadence=fast"], "--set: expected a number for cadence, got 'fast'"),
    (["stars", "--set", "cadence=1", "cadence=2"], "--set: expected each parameter once, got cadence twice"),
    (["cite", "--set", "genes=30.5"], "--set: expected a whole number for genes, got '30.5'"),
    (["cite", "--set", "proportions=.5;.5"], "--set: expected numbers separated by commas for proportions, got"),
    (["cite", "--set", "proportions=.5,.3"], "proportions: expected at least 2 positive numbers that sum to 1, got"),
    (["stars", "--set", "photometric_noise=-5"],
     "photometric_noise: expected a number of at least 0.1 and of at most 1e+06, got -5.0, in units of ppm"),
    (["stars", "--set", "wavelength_min=9000", "wavelength_max=4000"],
     "wavelength_max: expected a number above wavelength_min = 9000, got 4000"),
    (["stars", "--figure", "a.txt"], "--figure: expected"),
    (["stars", "--labels", "logg"], "labels: expected one of teff, log_g, feh, log_period, binary, got 'logg'")])
def test_bad_input_is_one_line_and_exit_code_2(options, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["instruments", *options]) == 2
    err = capsys.readouterr().err.splitlines()
    assert err[-1].startswith(f"error: {message}")
    assert not list(tmp_path.iterdir())
