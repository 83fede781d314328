"""Diagnosis by moment matching as a user meets it: answers, intervals, advice, unlabelled rows, tables."""

import dataclasses
import json
import pickle
from functools import partial

import numpy as np
import pytest

import phasejax
from phasejax import Regime, SpikedModel, regime
from phasejax.datasets import load_digit_halves
from phasejax.diagnosis import MomentDiagnosis, _moment_diagnosis, _paired_data, choose_estimator
from phasejax.diagnosis._estimates import PARAMETERS, RATIOS, Estimate
from phasejax.io import InputNote, open_table
from tests.diagnosis.simulated import CASES, D, simulated

diagnose = partial(phasejax.diagnose, method="moments")


@pytest.fixture(scope="module")
def both():
    return diagnose(*simulated(*CASES[Regime.BOTH]), k=2)


@pytest.mark.slow
def test_no_regime_is_stated_on_noise():
    """Independent views and coin tosses, 15 data sets: 1 of 420 others was called predictable, so at most 1 of these
    (probability of more: .0006)."""
    predicted = []
    for seed in range(15):
        rng = np.random.default_rng([seed, 99])
        x, y = rng.standard_normal((2, 300, 6))
        found = diagnose(x, y, rng.integers(0, 2, 300), seed=seed)
        predicted.append(found.labels_predicted)
        if not found.labels_predicted:
            assert found.regime is None
            assert "Regime           undecided (nothing predicts the labels beyond chance)" in found.summary()
            assert found.recommendation.startswith("Undecided")
    assert sum(predicted) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("expected", CASES)
def test_each_regime_is_stated_with_intervals_that_hold_the_truth(expected):
    """One data set each; intervals of level 0.99, with 3 % on top for what they miss now and then."""
    kappa, nu, nuisance_y = CASES[expected]
    found = diagnose(*simulated(kappa, nu, nuisance_y), k=2, confidence=0.99, predicted_scores=False)
    model = SpikedModel.homogeneous(kappa, nu, k=2, d=D, gamma_x=0.5, gamma_y=0.5, nuisance_y=nuisance_y)
    assert regime(model) is expected
    assert found.likeliest is expected
    assert found.probabilities[expected.value] > 0.9
    truth = {"kappa": kappa, "nu": nu, "gamma_x": 0.5, "nuisance_y": nuisance_y}
    for name, value in truth.items():
        estimate = found.estimates[name]
        assert estimate.low < estimate.value < estimate.high
        assert estimate.low * 0.97 <= value <= estimate.high * 1.03, name
    assert regime(found.model) is expected


@pytest.mark.slow
def test_one_scalar_label_is_enough_where_k_is_known():
    """Two signals, a label on their sum: the second direction is not taken for nuisance."""
    x, y, s = simulated(*CASES[Regime.BOTH])
    assert diagnose(x, y, s.sum(1), k=2, predicted_scores=False).regime is Regime.BOTH
    # With one signal fewer than there are, the second looks like strong nuisance: nothing is stated.
    assert diagnose(x, y, s.sum(1), k=1, predicted_scores=False).regime is None


@pytest.mark.slow
def test_k_is_counted_from_the_labels():
    x, y, s = simulated(*CASES[Regime.BOTH])
    labels = np.column_stack([s, np.random.default_rng(9).standard_normal((len(s), 2))])
    found = diagnose(x, y, labels, predicted_scores=False)
    assert (found.k, found.k_estimated, found.label_columns) == (2, True, 4)
    assert "counted from the labels" in found.summary()


def test_summary_json_and_pickle(both):
    summary = both.summary()
    for word in ("Regime", "Both (probability", "Delta_CA", "Delta_CP y->x", "kappa", "nu", "Predicted R2", "k = 2",
                 both.recommendation):
        assert word in summary
    read = json.loads(both.to_json(draws=True), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert (read["regime"], read["delta_ca"]) == ("Both", both.delta_ca)
    assert set(read["estimates"]) >= {*PARAMETERS, *RATIOS}
    assert {len(values) for values in read["draws"].values()} == {400}
    assert pickle.loads(pickle.dumps(both)).to_json() == both.to_json()


def test_a_recommendation_follows_from_the_predicted_scores(both):
    assert both.objective in ("CA", "CP x->y", "CP y->x")
    assert both.recommendation.startswith(("Align:", "Predict y from x:", "Predict x from y:"))
    assert type(choose_estimator(both)).__name__ in ("CrossAlignment", "CrossPrediction")
    # Labels that only x carries: two components shared with y cannot keep up with all columns of x.
    x, y, _ = simulated(*CASES[Regime.NEITHER])
    alone = diagnose(x, y, x[:, 5] + 0.1 * np.random.default_rng(0).standard_normal(len(x)), k=1)
    assert alone.objective == "x"
    assert alone.recommendation.startswith("Keep x alone")
    assert choose_estimator(alone).fit_transform(x).shape == x.shape


def test_labels_that_nothing_predicts_are_weak():
    x, y, _ = simulated(*CASES[Regime.BOTH])
    found = diagnose(x, y, np.random.default_rng(5).standard_normal(len(x)))
    assert found.k == 1
    assert any("the labels are weak" in warning for warning in found.warnings)
    assert found.recommendation.startswith("Undecided")


def test_undecided_when_no_regime_reaches_the_confidence():
    # On the boundary of alignment: rho = 6.25 / 6.75 = nu.
    found = diagnose(*simulated(2.5, 0.926, 40.0), k=2, confidence=0.99, predicted_scores=False)
    assert found.regime is None
    assert found.verdict.startswith("undecided (")
    assert any("do not decide" in warning for warning in found.warnings)
    assert json.loads(found.to_json(draws=True))["regime"] is None


def test_sensitivity_crosses_the_boundary_on_the_closed_form(both):
    changes = both.sensitivity()
    assert [change.parameter for change in changes if change.regime is None] != list(PARAMETERS)[:6]
    model = both.model
    for change in changes:
        if change.regime is not None:
            moved = model.replace(**{change.parameter: getattr(model, change.parameter) * change.factor})
            assert regime(moved) is change.regime
            nearly = model.replace(**{change.parameter: getattr(model, change.parameter) * change.factor**0.9})
            assert regime(nearly) is Regime.BOTH


@pytest.mark.slow
def test_rows_without_labels_narrow_the_intervals():
    x, y, s = simulated(*CASES[Regime.BOTH], n=3000)
    few = diagnose(x[:150], y[:150], s[:150], k=2, predicted_scores=False)
    rows = np.arange(150)[::-1]
    more = diagnose(x, y, s[rows], labelled=rows, k=2)
    assert (more.n, more.labelled) == (3000, 150)

    def width(found, name):
        return np.log(found.estimates[name].high / found.estimates[name].low)

    assert width(more, "nu") < 0.6 * width(few, "nu")
    assert width(more, "delta_cp") < width(few, "delta_cp")
    assert more.regime is Regime.BOTH


@pytest.mark.slow
def test_tables_in_blocks_give_what_arrays_give(monkeypatch, tmp_path):
    x, y, s = simulated(*CASES[Regime.BOTH])
    whole = diagnose(x, y, s, k=2)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    monkeypatch.setattr(_paired_data, "IN_MEMORY", 100)
    monkeypatch.setattr(_paired_data, "SAMPLE_ROWS", 500)
    found = diagnose(open_table(tmp_path / "x.npy"), open_table(tmp_path / "y.npy"), s, k=2)
    for name, estimate in whole.estimates.items():
        assert found.estimates[name].value == pytest.approx(estimate.value, rel=1e-6), name
    assert found.predicted_scores.score("x").value == pytest.approx(whole.predicted_scores.score("x").value, abs=0.05)
    labelled = np.arange(0, 600, 3)
    part = diagnose(open_table(tmp_path / "x.npy"), open_table(tmp_path / "y.npy"), s[labelled], labelled=labelled, k=2)
    in_memory = diagnose(x, y, s[labelled], labelled=labelled, k=2, predicted_scores=False)
    assert part.delta_ca == pytest.approx(in_memory.delta_ca)


@pytest.mark.slow
def test_digit_halves_are_no_spiked_model():
    found = diagnose(*load_digit_halves())
    assert found.k == 9
    assert found.reduced_chi2 > 3
    assert any("no spiked model" in warning for warning in found.warnings)
    assert found.predicted_scores.best == "x and y"


X, Y, S = simulated(*CASES[Regime.BOTH], n=60)


@pytest.mark.parametrize(("options", "message"), [
    ({"k": 0}, r"k: expected 1 to min\(d_x, d_y\) - 1 = 11, got 0"),
    ({"k": 12}, "k: expected 1 to"),
    ({"confidence": 1.0}, "confidence: expected a number of at least 0.5 and below 1, got 1.0"),
    ({"labelled": np.arange(61)}, "labelled: expected indices from 0 to 59, got 0 to 60"),
    ({"labelled": np.zeros(60, int)}, "labelled: expected every row once, got repeated indices"),
    ({"labelled": np.ones(60, bool)}, "labelled: expected indices of rows"),
    ({"labelled": np.arange(50)}, "labels: expected 50 rows, one for each labelled row of x, got 60"),
    ({"method": "spectral", "k": 2}, "k, labelled: expected none with method 'spectral'"),
])
def test_bad_options_are_refused_in_one_line(options, message):
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        diagnose(X, Y, S, **options)
    assert "\n" not in str(caught.value)


def test_the_same_view_twice_is_refused():
    with pytest.raises(ValueError, match="y: expected another view of the same things, got x itself"):
        diagnose(X, X, S)


@pytest.mark.slow
def test_a_copied_column_and_few_rows_are_warned_about():
    x, y, s = (np.vstack([view] * 3) + 1e-3 * np.random.default_rng(i).standard_normal((180, view.shape[1]))
               for i, view in enumerate((X, Y, S)))
    with pytest.warns(InputNote, match="100% of the rows lie in tight groups of about 3"):
        found = diagnose(np.column_stack([x, y[:, 3]]), y, s, predicted_scores=False)
    assert any("is a copy of one of y's" in warning for warning in found.warnings)
    x, y, s = simulated(*CASES[Regime.BOTH], n=20)
    assert any("saturated" in warning for warning in diagnose(x, y, s, k=2, predicted_scores=False).warnings)


def test_a_saved_diagnosis_is_the_same_diagnosis(saved_diagnosis):
    text = saved_diagnosis.to_json(draws=True)
    for again in (MomentDiagnosis.from_dict(saved_diagnosis.to_dict(draws=True)), MomentDiagnosis.from_json(text)):
        assert again.to_json(draws=True) == text
        assert again.summary() == saved_diagnosis.summary()
        for name in RATIOS:
            assert type(again.draws[name]) is np.ndarray
            np.testing.assert_array_equal(again.draws[name], saved_diagnosis.draws[name])
        np.testing.assert_array_equal(again.ca.is_signal, saved_diagnosis.ca.is_signal)
        assert again.predicted_scores == saved_diagnosis.predicted_scores
        assert again.estimates == saved_diagnosis.estimates
        assert again.regime is Regime.CA_ONLY


def test_what_is_not_finite_is_read_back_and_what_was_not_computed_too(saved_diagnosis):
    infinite = saved_diagnosis.estimates | {"delta_ca": Estimate(np.inf, 1.0, np.inf), "nu": Estimate(np.nan, 0.0, 1.0)}
    draws = saved_diagnosis.draws | {"delta_ca": np.r_[np.inf, saved_diagnosis.draws["delta_ca"][1:]]}
    found = dataclasses.replace(saved_diagnosis, estimates=infinite, draws=draws, reduced_chi2=np.nan,
                                predicted_scores=None, warnings=("one.", "two."), phasejax_version="0.0.9")
    again = MomentDiagnosis.from_json(found.to_json(draws=True))
    assert again.to_dict(draws=True) == found.to_dict(draws=True)
    assert again.estimates["delta_ca"].value == np.inf
    assert np.isnan(again.estimates["nu"].value)
    assert again.draws["delta_ca"][0] == np.inf
    assert (again.predicted_scores, again.warnings, again.phasejax_version) == (None, ("one.", "two."), "0.0.9")


def test_groups_and_kind_are_saved(saved_diagnosis):
    found = dataclasses.replace(saved_diagnosis, groups=40, kind="class")
    again = MomentDiagnosis.from_json(found.to_json(draws=True))
    assert (again.groups, again.kind) == (40, "class")
    assert "n = 600 in 40 groups" in again.summary()
    assert (saved_diagnosis.groups, saved_diagnosis.kind) == (None, "real")


def test_groups_are_the_sample_size_of_a_fit(monkeypatch, saved_diagnosis):
    """Sixty rows, each measured five times with little error, are worth sixty rows."""
    designs = []

    def stop(joint, design, **options):
        designs.append(design)
        raise ValueError("seen enough")

    monkeypatch.setattr(_moment_diagnosis, "match_moments", stop)
    x, y, s = simulated(*CASES[Regime.BOTH], n=60)
    rows = np.repeat(np.arange(60), 5)
    x, y = (view[rows] + 1e-3 * np.random.default_rng(0).standard_normal((300, 12)) for view in (x, y))
    with pytest.raises(ValueError, match="seen enough"):
        diagnose(x, y, s[rows], k=2, groups=rows)
    assert designs[0].n == pytest.approx(59, rel=0.07)
    assert designs[0].labelled <= designs[0].n
    first, second, *_ = _moment_diagnosis._limits(dataclasses.replace(saved_diagnosis, groups=25), False, 31)
    assert first.startswith("the number of groups = 25 is below 3 (d_x + d_y) = 72")
    assert second.startswith("the 600 rows in 25 groups scatter as 31 independent rows would")


def changed(diagnosis, *path, value):
    saved = inner = diagnosis.to_dict(draws=True)
    for key in path[:-1]:
        inner = inner[key]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return saved


@pytest.mark.parametrize(("path", "value", "message"), [
    (["method"], "spectral", "expected a diagnosis of method moments, got spectral"),
    (["phasejax_version"], 1, "expected a diagnosis written by phasejax, got another dictionary"),
    (["ca"], None, "expected the field ca, got a diagnosis without it"),
    (["ca"], [1.0], "ca: expected values by name, got list"),
    (["cp", "r2"], None, "expected the field r2, got a diagnosis without it"),
    (["cp", "values"], [1.0], "cp: expected values, r2 and is_signal of one length, got 1, 12, 12"),
    (["cp", "is_signal"], "yes", "is_signal: expected a list of true and false, got 'yes'"),
    (["groups"], 1, "groups: expected a whole number from 2, got 1"),
    (["kind"], "text", "kind: expected 'class' or 'real', got 'text'"),
    (["kind"], None, "expected the field kind, got a diagnosis without it"),
    (["k_estimated"], 1, "k_estimated: expected true or false, got 1"),
    (["n"], "600", "n: expected a whole number from 2, got '600'"),
    (["reduced_chi2"], -1, "reduced_chi2: expected a number from 0, got -1"),
    (["estimates", "nu", "low"], "low", "low: expected a number from 0, got 'low'"),
    (["draws", "nu"], [0.5, 1.5], r"draws, nu: expected at least 2 .* from 0 to 1, got \[1.5\]"),
    (["predicted_scores"], "none", "predicted_scores: expected values by name, got str"),
    (["predicted_scores", "best"], "z", "best: expected one of CA, .*, got 'z'"),
    (["predicted_scores", "scores"], [1], r"scores: expected a list of scores, got \[1\]"),
    (["warnings"], "one", "warnings: expected a list of sentences, got 'one'"),
])
def test_what_is_no_diagnosis_is_refused_in_one_line(saved_diagnosis, path, value, message):
    with pytest.raises(ValueError, match=f"^{message}") as raised:
        MomentDiagnosis.from_dict(changed(saved_diagnosis, *path, value=value))
    assert "\n" not in str(raised.value)


def test_what_is_no_json_is_refused_in_one_line(saved_diagnosis):
    with pytest.raises(ValueError, match="expected a complete JSON text, got") as raised:
        MomentDiagnosis.from_json(saved_diagnosis.to_json(draws=True)[:-10])
    assert "\n" not in str(raised.value)
    with pytest.raises(ValueError, match="expected a diagnosis written by phasejax, got another JSON text"):
        MomentDiagnosis.from_json("[]")
