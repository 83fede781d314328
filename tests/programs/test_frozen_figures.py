"""Table 1 and Fig. 12 on small folders in the published layouts, and what K26 prints."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from paper_figs import __main__ as paper_figs
from paper_figs import frozen_heads
from paper_figs.frozen_features import pairs_in
from paper_figs.frozen_heads import Protocol
from paper_figs.published_heads import PARAMETERS, REGIMES, TABLE_1
from phasejax.theory import SpikedModel, delta_ca, delta_cp, regime
from tests.published_layout import cells, star_tables, write_cells, write_stars


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setitem(frozen_heads.PROTOCOLS, "quick", Protocol(2, 6, (8,), 4, 0, False))


@pytest.mark.parametrize(("pair", "of_ca", "of_cp"), [("kepler", 0.479, 9.84), ("tess", 0.0687, 0.138)])
def test_the_stored_parameters_give_the_published_composite_ratios(pair, of_ca, of_cp):
    stored = PARAMETERS[pair]
    model = SpikedModel.create([stored.kappa], nu=stored.nu, gamma_x=stored.gamma_x, gamma_y=stored.gamma_y,
                               nuisance_x=1.0, nuisance_y=stored.nuisance_y, d=2)
    for found, printed in ((delta_ca(model), of_ca), (delta_cp(model), of_cp)):
        assert float(f"{float(found):.3g}") == printed
    assert regime(model).value == stored.regime
    assert (stored.regime == REGIMES[pair]) == (pair == "tess")  # Table 1 calls Kepler "Both", its parameters "CP only"


def test_a_folder_gives_every_pair_that_is_in_it(tmp_path):
    root = tmp_path / "hf"
    for instrument in ("kepler", "tess"):
        folder = write_stars(root / "cross_modal" / instrument, star_tables(), instrument)
        for name in ("ages_dataset_gyro.csv", "nss_dataset.csv"):
            (folder / name).rename(root / name)  # of another folder than the features
    assert [pair.name for pair in pairs_in(root)] == ["kepler", "tess"]
    assert all(set(pair.load().targets) == {"teff", "logg", "feh", "age", "binarity"} for pair in pairs_in(root))
    write_stars(root / "again")
    with pytest.raises(ValueError, match=r"--data .*hf: expected features of one pair LAMOST . Kepler, got "):
        pairs_in(root)


def test_cells_of_a_folder_and_what_ships(tmp_path, monkeypatch):
    found, dwarfs = (pair.load() for pair in pairs_in(None))
    assert (pd.Series(dwarfs.split).groupby(dwarfs.groups).nunique() == 1).all()
    assert len(dwarfs.rows("train")) / len(dwarfs.x) == pytest.approx(0.6, abs=0.02)
    assert len(found.x) == 779  # without types of fewer than 20 cells
    assert [len(found.rows(part)) / 779 for part in ("train", "validation", "test")] == pytest.approx(
        [0.6, 0.2, 0.2], abs=0.01)
    for kind in np.unique(found.targets["cell_type"]):
        assert np.mean(found.split[found.targets["cell_type"] == kind] == "test") == pytest.approx(0.2, abs=0.04)
    pytest.importorskip("anndata")
    monkeypatch.setattr("phasejax.io._hdf5.check_hdf5", lambda file, name: None)  # a process, which has its own tests
    write_cells(tmp_path / "bmmc.h5ad", *cells())
    (pair,) = pairs_in(tmp_path)
    assert set(pair.load().nuisance) == {"donor", "batch", "site"}
    assert pair.load().x.shape == (175, 40)
    np.save(tmp_path / "rna_embeddings_scgpt.npy", np.ones((180, 3)))
    assert pair.load().x.shape == (175, 3)


@pytest.mark.slow
def test_table_1_and_fig_12_of_stars(tmp_path):
    folder = write_stars(tmp_path / "data" / "stars")
    assert paper_figs.main(["table1", "fig12", "--data", str(folder.parent), "--out", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        [f"{name}.{ending}" for name in ("table1", "fig12") for ending in ("csv", "nc", "pdf", "png", "txt")]
        + ["table1.md"])
    table = pd.read_csv(tmp_path / "out" / "table1.csv").set_index(["pair", "target", "objective"]).loc["kepler"]
    assert set(table.index.get_level_values(0)) == {"binarity", "logg", "age"}
    for (pair, target), printed in TABLE_1.items():
        if pair == "kepler":
            assert table["published"][target][["CA", "CP", "CP rev", "LAMOST", "Kepler"]].tolist() == list(printed)
    assert table["value"]["logg", "LAMOST and Kepler"] > 0.6
    assert table["test_rows"]["logg", "CA"] == 40
    assert table["test_rows"]["age", "CA"] == 20
    assert (table["low"] <= table["value"]).all()
    markdown = (tmp_path / "out" / "table1.md").read_text()
    assert "[0.802 ± 0.009]" in markdown
    assert "Both in Table 1 of K26" in markdown
    spectra = xr.open_dataset(tmp_path / "out" / "fig12.nc", engine="scipy")
    # log g is in the span of the two signals that both instruments see, and nothing else is shared.
    one = spectra.sel(pair="kepler", spectrum="ca")
    assert (one.delta > 1).all()
    assert np.nonzero(one.is_signal.values == 1)[0].max() < 2


def test_what_is_wrong_with_a_folder_is_one_line_and_nothing_is_left(tmp_path, capsys):
    out = tmp_path / "out"

    def refused(message, *args):
        assert paper_figs.main([*args, "--out", str(out)]) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("error: ")
        assert message in error
        assert not out.exists() or not list(out.iterdir())

    refused("--data: expected figures among fig6, captions_predicted, neighbours, table1, fig12, got fig2", "fig2",
            "table1", "--data", str(tmp_path))
    refused("expected z_lamost_train.npy with", "table1", "--data", str(tmp_path))
    refused("none: expected a folder, got none", "table1", "--data", str(tmp_path / "none"))
    folder = write_stars(tmp_path / "stars")
    (folder / "z_lamost_val.npy").unlink()
    refused("z_lamost_val.npy: expected a readable file", "fig12", "--data", str(folder))
    arrays, meta, ages, binarity = star_tables()
    for part, frame in meta.items():
        frame["logg"] = np.nan
        arrays[f"labels_{part}"][:, 1] = np.nan
    write_stars(folder, (arrays, meta, ages, binarity))
    refused("expected values of logg in some row, got none", "fig12", "--data", str(folder))
    refused("expected values of logg in some row, got none", "table1", "--data", str(folder))
    arrays, meta, ages, binarity = star_tables()
    write_stars(folder, (arrays, meta, ages[ages["KID"] < 1090], binarity))
    refused("labels age: expected values among the rows to validate on, got 0", "table1", "--data", str(folder))
    meta["test"].loc[0, "KID"] = 1000
    write_stars(folder, (arrays, meta, ages, binarity))
    refused("expected every star in one part of the split, got KID 1000 in both train and test", "table1", "--data",
            str(folder))
