"""What the diagnosis foretells of trained encoders, beside what their probes measured."""

import numpy as np
import pytest
import xarray as xr

from paper_figs import features
from phasejax.deep import evaluate, train_grid
from phasejax.diagnosis import compare_with_diagnosis
from phasejax.diagnosis._agreement import _with_agreement
from tests.deep.conftest import TINY
from tests.deep.test_evaluation import pixels


@pytest.fixture(scope="module")
def trained():
    return train_grid(TINY)


@pytest.fixture(scope="module")
def scores(trained):
    return evaluate(trained)


@pytest.fixture(scope="module")
def agreement(trained, scores):
    return compare_with_diagnosis(trained, scores, rows=200, components=4)


@pytest.mark.slow
def test_diagnosed_and_measured_winners_are_compared_cell_by_cell(trained, scores, agreement):
    assert agreement.predicted.dims == ("jitter", "noise", "seed")
    accuracy = scores.accuracy.sel(probe_size=200)
    votes, regime_votes = [], []
    for jitter in TINY.jitters:
        for seed in range(2):
            ca, cp = (float(accuracy.sel(objective=o, jitter=jitter, noise=0.5, seed=seed)) for o in ("vicreg", "cp"))
            cell = agreement.sel(jitter=jitter, noise=0.5, seed=seed)
            assert float(cell.measured) == ca - cp
            error = ((ca * (1 - ca) + cp * (1 - cp)) / 30) ** 0.5
            assert float(cell.error) == pytest.approx(error)
            assert bool(cell.tie) == (abs(ca - cp) <= 2 * error)
            if not cell.tie:
                votes.append((float(cell.predicted) > 0) == (ca > cp))
                if str(cell.regime.values) in ("CA only", "CP only"):
                    regime_votes.append((str(cell.regime.values) == "CA only") == (ca > cp))
    for found, expected in ((agreement.agreement, votes), (agreement.agreement_regime, regime_votes)):
        np.testing.assert_allclose(found, np.mean(expected) if expected else np.nan)
    with pytest.raises(ValueError, match="trained: expected the objective deepcca, got vicreg, cp, cp_reverse"):
        compare_with_diagnosis(trained, scores, alignment="deepcca")


def test_ties_do_not_vote():
    found = _with_agreement(xr.Dataset({
        "regime": ("cell", ["CA only", "CP only", "CA only", "Both", "CP only"]),
        "predicted": ("cell", [0.1, 0.1, -0.1, 0.2, -0.2]), "measured": ("cell", [0.3, 0.01, -0.3, 0.3, -0.2]),
        "tie": ("cell", [False, True, False, False, False])}))
    assert found.agreement == 1.0
    assert found.agreement_regime == pytest.approx(2 / 3)


@pytest.mark.slow
def test_the_figure_and_its_table_show_what_was_found(agreement):
    drawn = pixels(features.draw_agreement(agreement))
    assert drawn.std() > 5
    assert drawn[0].min() > 250  # the margin is white: nothing is cut off
    assert drawn[:, [0, -1]].min() > 250
    cells = features.tabulate_agreement(agreement).reset_index().set_index(["jitter", "seed"])
    assert cells.loc[(0.3, 1), "reduced_chi2"] == float(agreement.reduced_chi2.sel(jitter=0.3, seed=1).item())
    assert set(cells.regime) <= {"Both", "CA only", "CP only", "Neither"}
