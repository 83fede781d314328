"""Known nuisance removed in the diagnosis: what is found without it, and by which rows.

False alarms over many sets: `python -m benchmarks confounders`.
"""

import re
from dataclasses import replace

import numpy as np
import pytest

from phasejax import Regime, diagnose
from phasejax.diagnosis import Diagnosis, RemovedConfounders, diagnose_again, fair_scores, label_content, shared_signal
from phasejax.diagnosis._confounders import without_confounders
from phasejax.io import match_rows

N, D = 160, 6
ROWS = np.arange(N)


def batches(signal, of_labels=0.0):
    """Two views that share four batches' shifts, and `signal` times two signals, which the labels measure."""
    rng = np.random.default_rng(0)
    batch, s = ROWS % 4, rng.standard_normal((N, 2))
    shifts = [rng.normal(0, 6, (4, D))[batch] for _ in range(2)]
    x, y = (shift + rng.standard_normal((N, D)) + signal * np.pad(s, ((0, 0), (0, D - 2))) for shift in shifts)
    return x, y, s + of_labels * rng.normal(0, 1, (4, 2))[batch], np.array([f"b{level}" for level in batch])


def without(x, y, labels, confounders, groups=None):
    """The rows of a diagnosis, what was removed and what is said about it."""
    return without_confounders(match_rows(x, y, labels, groups=groups), confounders, "real", None)


@pytest.fixture(scope="module")
def diagnosed():
    """The diagnosis of views that share a strong signal, without the stronger batches."""
    x, y, labels, batch = batches(2.0)
    return diagnose(x, y, labels, confounders={"batch": batch}, k=2, fit=False, predicted_scores=False)


def test_what_views_share_through_a_batch_is_no_shared_signal_once_it_is_removed():
    x, y, labels, batch = batches(0.0, of_labels=1.0)
    data, *_ = without(x, y, labels, {"batch": batch})
    assert shared_signal(x, y, labels, ROWS, kind="real").seen
    assert not shared_signal(data.x, data.y, data.encoded, data.labelled, kind="real", strata=data.strata).views_share


def test_a_shared_signal_stays_and_moves_from_neither_to_both(diagnosed):
    x, y, labels, _ = batches(2.0)
    assert label_content(x, y, labels, ROWS, ks=[2]).regime(2) is Regime.NEITHER
    assert diagnosed.regime is Regime.BOTH


def test_the_diagnosis_says_what_was_removed_and_is_read_back(diagnosed):
    removed = diagnosed.confounders
    assert isinstance(removed, RemovedConfounders)
    assert (removed.names, removed.levels, removed.columns, removed.rows) == (("batch",), (4,), 3, N - 4)
    assert removed.within == 4
    x, _, labels, batch = batches(2.0)
    means = np.stack([x[batch == name].mean(0) for name in np.unique(batch)])[ROWS % 4]
    rss, tss = np.sum((x - means) ** 2), np.sum((x - x.mean(0)) ** 2)
    assert removed.x_share == pytest.approx(1 - rss / (N - 4) * (N - 1) / tss)
    assert "removed batch (4 levels): explained" in diagnosed.summary()
    assert (diagnosed.n, diagnosed.content.n) == (N, N - 4)
    assert Diagnosis.from_json(diagnosed.to_json()).confounders == removed
    unseen = replace(diagnosed, shared=replace(diagnosed.shared, views_p=0.5, labels_p=0.5))
    assert "what they have in common may be the confounders' alone" in unseen.verdict
    with pytest.raises(ValueError, match="baseline: expected a diagnosis without confounders, got one that removed b"):
        diagnose_again(diagnosed, x, x[:, ::-1], labels)


def test_scores_are_shares_of_the_variance_that_confounders_leave():
    """t = e + batch and x = e + noise + batch, of unit variances: x tells half of what is left of t."""
    rng = np.random.default_rng(1)
    batch = np.eye(6)[np.arange(600) % 6]
    e, noise, other = rng.standard_normal((3, 600, 2))
    x, y = e + noise + batch @ rng.normal(0, 4, (6, 2)), other + batch @ rng.normal(0, 4, (6, 2))
    found = fair_scores(x, y, e + batch @ rng.normal(0, 4, (6, 2)), np.arange(600), kind="real", k=1, repeats=1,
                        confounders=batch)
    # Four standard errors of R2 = 1/2 of 1200 values.
    assert found.values["linear"]["x"] == pytest.approx(0.5, abs=4 * (0.5 / 1200) ** 0.5)
    assert found.values["linear"]["y"] == pytest.approx(0.0, abs=0.03)


def test_batches_that_scatter_differently_are_no_shared_signal_within_batches():
    """Rows of loud batches are large in both views, which free permutations find (120 of 120 sets)."""
    rng = np.random.default_rng(2)
    level = ROWS % 4
    x, y = (rng.standard_normal((N, 3)) * np.array([0.3, 1, 2, 4])[level][:, None] for _ in range(2))
    tests = [shared_signal(x, y, x[:, :1], ROWS, kind="real", strata=strata) for strata in (None, level)]
    assert tests[0].views_p <= 0.01
    assert tests[1].views_p > 0.05


def test_groups_need_several_for_each_level():
    x, y, labels, _ = batches(2.0)
    donor = np.repeat(np.arange(20), N // 20)
    with pytest.raises(ValueError, match="confounders: expected at most half as many columns between groups as the 20 "
                                         "groups, got 19; whole groups go into folds"):
        without(x, y, labels, {"donor": donor}, donor)
    site = np.array(["north", "south"])[donor % 2]
    data, removed, _ = without(x, y, labels, {"site": site}, donor)
    assert (data.number_of_groups, removed.rows, removed.within) == (18, 18 * N // 20, 2)
    assert without(x, y, labels, {"site": site[::-1], "day": ROWS % 2}, donor)[1].within == 0  # days divide groups


@pytest.mark.parametrize(("confounders", "options", "message"), [
    ("labels", {}, "confounders: expected some that do not determine the labels, got confounder (2 levels), which"),
    ("x", {}, "x: expected columns that confounders do not determine, got none"),
    ("batch", {"method": "spectral"}, "confounders: expected none with method 'spectral', whose models do not know")])
def test_confounders_that_leave_nothing_are_refused(confounders, options, message):
    x, y, labels, batch = batches(2.0)
    given = {"labels": labels[:, 0] > 0, "x": x, "batch": batch}[confounders]
    with pytest.raises(ValueError, match=re.escape(message)):
        diagnose(x, y, (labels[:, 0] > 0).astype(int), confounders=given, **options)


def test_labels_that_are_mostly_a_confounder_and_a_column_that_is_one_are_told():
    x, y, labels, batch = batches(2.0)
    temperature = np.random.default_rng(3).standard_normal(N)
    data, _, said = without(np.column_stack([x, 3 * temperature + 1]), y, 5 * temperature + labels[:, 0],
                            {"batch": batch, "temperature": temperature})
    assert data.d_x == data.scored[0].shape[1] == D
    assert "x: 1 of 7 columns left out: confounders determine them" in said
    assert any(re.match(r"the confounders explain 9\d% of the labels", line) for line in said)


def test_views_of_more_columns_than_rows_are_reduced_without_the_confounders():
    rng = np.random.default_rng(4)
    x, y, labels, batch = batches(2.0)
    wide = x @ rng.standard_normal((D, 2 * N)) + rng.standard_normal((N, 2 * N))
    data, *_ = without(wide, y, labels, {"batch": batch})
    assert data.d_x < N // 2
    of_fold = data.scored[0].fitted_to(ROWS < 120)
    assert of_fold.shape == (N, data.d_x)
    np.testing.assert_allclose([of_fold[:120][batch[:120] == name].mean(0) for name in np.unique(batch)], 0, atol=1e-9)
