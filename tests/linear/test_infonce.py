"""The InfoNCE study: what it computes, and that an interrupted run goes on where it was."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

from paper_figs import __main__ as paper_figs
from paper_figs import infonce
from paper_figs.presets import PRESETS

pytestmark = pytest.mark.slow

TINY = dataclasses.replace(PRESETS["quick"], n=600, thin=14, trainings=2, batch=64, max_steps=700)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    return tmp_path_factory.mktemp("study") / "parts"


@pytest.fixture(scope="module")
def made(parts):
    progress = []
    return infonce.compute_infonce(TINY, parts, progress.append), progress


def test_it_holds_the_study(made):
    data, progress = made
    assert dict(data.sizes) == {"nu": 2, "temperature": 3, "seed": 2}
    assert progress == [f"{done} of 6 parts" for done in range(7)]
    assert (data.steps <= 700).all()
    for variable in data.data_vars.values():
        assert np.isfinite(variable).all(), variable.name
    # nu = 0: both closed forms recover the signal. nu = 0.95: neither does, nor InfoNCE.
    assert (data.error_ca.sel(nu=0) < data.error_cp.sel(nu=0)).all()
    assert float(data.error_info_nce.sel(nu=0).median()) < 0.3
    assert float(data.error_info_nce.sel(nu=0.95).min()) > 0.5
    # By hand: rho_3 = 2.25 / sqrt(2.75 * 2.3), tau_3 / sqrt(50) = 2.25 / sqrt(2.75 * 50).
    assert float(data.ca_boundary) == pytest.approx(0.89465, abs=1e-4)
    assert float(data.cp_boundary) == pytest.approx(0.19188, abs=1e-4)


def test_an_interrupted_run_goes_on(made, parts, monkeypatch):
    files = sorted(parts.iterdir())
    assert len(files) == 6
    files[0].unlink()  # not done yet
    files[1].write_bytes(b"cut off")
    trained = []
    part = infonce._part
    monkeypatch.setattr(infonce, "_part", lambda train, preset, *point: (
        trained.append(point), part(train, preset, *point))[1])
    progress = []
    again = infonce.compute_infonce(TINY, parts, progress.append)
    assert len(trained) == 2
    assert progress == ["4 of 6 parts", "5 of 6 parts", "6 of 6 parts"]
    xr.testing.assert_identical(again, made[0])
    # Parts of other settings are no parts of this run.
    assert infonce._saved(parts, dataclasses.replace(TINY, batch=65), (0.0, 0.05, 0)) is None
    assert infonce._saved(parts, TINY, (0.0, 0.05, 0)) is not None


def test_blocks_of_seeds_are_put_together(made, parts, monkeypatch, tmp_path):
    """Three seeds in blocks of two: the last block is filled up, and cut."""
    monkeypatch.setattr(infonce, "_BLOCK", 2)

    def fake(train, preset, nu, temperature, first):
        return {name: np.array([nu + temperature + first + i for i in range(2)]) for name in infonce._VARIABLES}

    monkeypatch.setattr(infonce, "_part", fake)
    monkeypatch.setattr(infonce, "_compiled", lambda preset: None)
    data = infonce.compute_infonce(dataclasses.replace(TINY, trainings=3), tmp_path / "parts")
    expected = data.nu + data.temperature + data.seed
    np.testing.assert_allclose(data.error_info_nce, expected.transpose("nu", "temperature", "seed"))


def test_it_is_drawn_and_written_only_when_named(made, tmp_path, monkeypatch):
    assert "infonce" not in paper_figs.FIGURES
    monkeypatch.setitem(paper_figs._ALL, "infonce", paper_figs.LongRecipe(
        lambda preset, parts, report: (parts.mkdir(), report("1 of 1 parts"), made[0])[2], infonce.draw_infonce))
    lines = []
    paths = paper_figs.make("infonce", "quick", tmp_path, lines.append)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["infonce.nc", "infonce.pdf", "infonce.png"]
    assert all(path.stat().st_size > 1000 for path in paths)
    assert lines == ["1 of 1 parts"]


def test_help_says_that_it_is_long(capsys):
    with pytest.raises(SystemExit):
        paper_figs.main(["--help"])
    assert "only when named" in " ".join(capsys.readouterr().out.replace("│", " ").split())
