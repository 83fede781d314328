"""The figure of simulated instruments, of one preset and two parameters."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from paper_figs import __main__ as paper_figs
from paper_figs import instruments
from phasejax.instruments import STAR_PRESETS, instrument_regime, upgrades


@pytest.mark.slow
def test_arrows_lead_to_where_the_changed_instrument_is(tmp_path, monkeypatch):
    preset = STAR_PRESETS["neither"]
    monkeypatch.setattr(instruments, "PRESETS_OF", {"stars": {"neither": preset, "again": preset}})
    monkeypatch.setattr(instruments, "upgrades", lambda one, rows: upgrades(
        one, parameters=["field_extinction", "magnitude_scatter"], rows=rows))
    paths = paper_figs.make("instruments", "quick", tmp_path)
    assert [path.suffix for path in paths] == [".nc", ".png", ".pdf", ".txt", ".csv"]
    data = xr.open_dataset(paths[0], engine="scipy")
    assert data.preset.values.tolist() == ["neither, again"]
    table = pd.read_csv(paths[-1])
    assert table["regime"].tolist()[0] == "Neither"
    assert sorted(table["regime"][1:]) == ["CA only", "CP only"]
    for arrow in range(2):
        one = data.isel(arrow=arrow)
        moved = preset.replace(**{str(one.parameter.values): float(one.after)})
        found = instrument_regime(moved, rows=data.attrs["objects"])
        assert found.regime.value == str(one.regime_after.values)
        assert np.allclose(one.content_after, [found.content["ca"], found.content["cp"]], atol=1e-6)
