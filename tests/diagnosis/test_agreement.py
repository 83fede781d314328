"""What is foretold of trained encoders, beside what their probes measured."""

import numpy as np
import pytest
import xarray as xr

from paper_figs import features
from phasejax.deep import evaluate
from phasejax.diagnosis import _agreement, compare_with_diagnosis
from phasejax.diagnosis._agreement import _with_agreement
from phasejax.io._reduction import PrincipalComponents
from phasejax.plotting import paper_style
from tests.deep.conftest import TINY, trained_once
from tests.deep.test_evaluation import pixels


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return trained_once(tmp_path_factory)


@pytest.fixture(scope="module")
def scores(trained):
    return evaluate(trained)


@pytest.fixture(scope="module", autouse=True)
def brief():
    """Few steps of the pilot, few principal components."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_agreement, "_STEPS", 20)
        patch.setattr(_agreement, "_COMPONENTS", 8)
        yield


@pytest.fixture(scope="module")
def agreement(trained, scores):
    return compare_with_diagnosis(trained, scores, rows=200)


@pytest.mark.slow
def test_foretold_and_measured_differences_are_compared_cell_by_cell(trained, scores, agreement):
    assert agreement.predicted.dims == ("jitter", "noise", "seed")
    assert agreement.source.values.tolist() == ["linear", "lifted", "pilot"]
    weights = xr.DataArray([1, 2, 8], dims="source", coords={"source": ["linear", "lifted", "pilot"]})
    np.testing.assert_allclose(agreement.predicted, agreement.by_source.weighted(weights).mean("source"))
    assert not (agreement.sure & ~agreement.decided).any()
    accuracy = scores.accuracy.sel(probe_size=200)
    votes, pilot_votes = [], []
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
                pilot_votes.append((float(cell.by_source.sel(source="pilot")) > 0) == (ca > cp))
    for found, expected in ((agreement.agreement, votes), (agreement.agreement_pilot, pilot_votes)):
        np.testing.assert_allclose(found, np.mean(expected) if expected else np.nan)
    # Without a pilot only closed forms foretell.
    found = compare_with_diagnosis(trained, scores, rows=200, pilot=False)
    xr.testing.assert_allclose(found.by_source, agreement.by_source.sel(source=["linear", "lifted"]))
    assert np.isnan(found.agreement_pilot)
    assert not found.sure.any()


@pytest.mark.slow
def test_a_missing_objective_is_named(trained, scores):
    with pytest.raises(ValueError, match="trained: expected the objective deepcca, got vicreg, cp, cp_reverse"):
        compare_with_diagnosis(trained, scores, alignment="deepcca")


def test_classes_too_few_to_cross_validate_are_left_out_of_scores_too(monkeypatch):
    """Four rows of a third class are no labels for the diagnosis; they were a class of the scores."""
    given, found = [], _agreement.fair_scores
    monkeypatch.setattr(_agreement, "fair_scores", lambda *args, **kwargs: given.append(args) or found(*args, **kwargs))
    rng = np.random.default_rng(0)
    labels = np.r_[np.zeros(30, int), np.full(4, 2), np.full(30, 5)]
    images = rng.standard_normal((80, 2, 2, 3)).astype(np.float32)
    images[:64, 0, 0, 0] += labels
    _agreement._foretell(TINY, images, images[..., ::-1] + images[::-1], labels, 2, False)
    x, _, columns, labelled = given[0]
    assert columns.shape == (60, 2)
    assert labelled.tolist() == [*range(30), *range(34, 64)]
    # Components of a fold are those of its training rows with labels.
    training = np.arange(80) % 2 == 0
    first = images.reshape(80, -1)[:64][training[:64]]
    expected = PrincipalComponents.fit(first, x.width, standardise=False).transform(images.reshape(80, -1))
    np.testing.assert_allclose(x.fitted_to(training), expected)


def test_ties_do_not_vote():
    by_source = xr.DataArray([[0.1, -0.1], [0.1, 0.1], [0.0, -0.2], [0.2, 0.2], [0.2, -0.6]], dims=("cell", "source"),
                             coords={"source": ["linear", "pilot"]})
    found = _with_agreement(xr.Dataset({
        "by_source": by_source, "predicted": by_source.mean("source") + 0.01,
        "measured": ("cell", [0.3, 0.01, -0.3, 0.3, -0.2]), "decided": ("cell", [True, True, True, False, False]),
        "tie": ("cell", [False, True, False, False, False])}))
    assert found.agreement == 1.0
    assert found.agreement_pilot == 0.75
    assert found.agreement_decided == 1.0
    assert np.isnan(_with_agreement(found.assign(tie=~found.tie, decided=found.decided & False)).agreement_decided)


@pytest.mark.slow
def test_the_figure_and_its_table_show_what_was_found(agreement):
    with paper_style():
        drawn = pixels(features.draw_agreement(agreement))
    assert drawn.std() > 5
    assert drawn[0].min() > 250  # the margin is white: nothing is cut off
    assert drawn[:, [0, -1]].min() > 250
    cells = features.tabulate_agreement(agreement).reset_index().set_index(["jitter", "seed"])
    for source in ("linear", "lifted", "pilot"):
        expected = agreement.by_source.sel(source=source, jitter=0.3, seed=1).item()
        assert cells.loc[(0.3, 1), f"predicted_{source}"] == expected
    assert len(cells) == 4
    assert set(cells.regime) <= {"Both", "CA only", "CP only", "Neither"}
