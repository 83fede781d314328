"""The figure of InfoNCE: what its dataset holds, and that an interrupted run goes on where it was."""

import dataclasses
import json

import numpy as np
import pytest
import xarray as xr

from paper_figs import __main__ as paper_figs
from paper_figs import infonce
from paper_figs.presets import PRESETS

TINY = dataclasses.replace(PRESETS["quick"], n=600, thin=14, trainings=2, batch=64, max_steps=700)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("infonce") / "store"


@pytest.fixture(scope="module")
def made(store):
    """The dataset of a tiny run, and what the run reported."""
    told = []
    return infonce.compute_infonce(TINY, store=store, progress=lambda *event: told.append(event)), told


@pytest.mark.slow
def test_the_dataset_holds_the_study(made):
    data, told = made
    assert dict(data.sizes) == {"nu": 2, "temperature": 3, "seed": 2}
    assert told == [("InfoNCE trainings", done, 6) for done in range(7)]
    assert (data.steps <= 700).all()
    for variable in data.data_vars.values():
        assert np.isfinite(variable).all(), variable.name
    # At nu = 0 both closed forms recover the signal. At nu = 0.95 neither does, nor does InfoNCE.
    assert (data.error_ca.sel(nu=0) < data.error_cp.sel(nu=0)).all()
    assert float(data.error_info_nce.sel(nu=0).median()) < 0.3
    assert float(data.error_info_nce.sel(nu=0.95).min()) > 0.5
    # By hand: rho_3 = 2.25 / sqrt(2.75 * 2.3), tau_3 / sqrt(50) = 2.25 / sqrt(2.75 * 50).
    assert float(data.ca_boundary) == pytest.approx(0.89465, abs=1e-4)
    assert float(data.cp_boundary) == pytest.approx(0.19188, abs=1e-4)


@pytest.mark.slow
def test_an_interrupted_run_goes_on(made, store, monkeypatch):
    files = sorted(store.iterdir())
    assert len(files) == 6
    files[0].unlink()  # as if it had not been computed yet
    files[1].write_bytes(b"cut off")
    trained, train_and_compare = [], infonce._train_and_compare
    monkeypatch.setattr(infonce, "_train_and_compare", lambda *part: (
        trained.append(part), train_and_compare(*part))[1])
    told = []
    with pytest.warns(UserWarning, match="damaged"):
        again = infonce.compute_infonce(TINY, store=store, progress=lambda *event: told.append(event))
    assert len(trained) == 2
    assert told == [("InfoNCE trainings", done, 6) for done in (4, 5, 6)]
    xr.testing.assert_identical(again, made[0])


def fake_training(preset, nu, temperature, first_seed):
    return {name: np.array([nu + temperature + first_seed + i for i in range(2)])
            for name in infonce._VARIABLES}


def test_parts_of_other_settings_are_not_used(tmp_path, monkeypatch):
    computed = []

    def fake(*part):
        computed.append(part)
        return fake_training(*part)

    monkeypatch.setattr(infonce, "_train_and_compare", fake)
    def compute(batch):
        infonce.compute_infonce(dataclasses.replace(TINY, batch=batch), store=tmp_path, progress=lambda *event: None)
        return len(computed)

    assert [compute(64), compute(64)] == [6, 6]
    with pytest.warns(UserWarning, match="batch is 64 there, 65 here"):
        assert compute(65) == 12
    with np.load(tmp_path / "nu0.0_temperature0.05_first_seed0.npz") as archive:
        assert json.loads(json.loads(str(archive["settings"]))["settings"])["batch"] == 65


def test_blocks_of_seeds_are_put_together(tmp_path, monkeypatch):
    """Three seeds, two in a part: the last part has one seed too many, which is cut off."""
    monkeypatch.setattr(infonce, "_SEEDS_PER_PART", 2)
    monkeypatch.setattr(infonce, "_train_and_compare", fake_training)
    data = infonce.compute_infonce(dataclasses.replace(TINY, trainings=3), store=tmp_path, progress=lambda *event: None)
    expected = data.nu + data.temperature + data.seed
    np.testing.assert_allclose(data.error_info_nce, expected.transpose("nu", "temperature", "seed"))


@pytest.mark.slow
def test_the_figure_is_written_and_its_parts_are_deleted(made, tmp_path, monkeypatch):
    def compute(preset, *, store, progress):
        store.mkdir()
        progress("InfoNCE trainings", 1, 1)
        return made[0]

    monkeypatch.setitem(paper_figs.FIGURES, "infonce", dataclasses.replace(infonce.FIGURES["infonce"], compute=compute))
    told = []
    paths = paper_figs.make("infonce", "quick", tmp_path, lambda *event: told.append(event))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["infonce.nc", "infonce.pdf", "infonce.png", "infonce.txt"]
    assert all(path.stat().st_size > 500 for path in paths)
    assert told == [("infonce: InfoNCE trainings", 1, 1)]
