"""Drift since a saved diagnosis: found where there is some, not where there is none; files that are no baseline."""

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
import scipy.stats

from phasejax import Regime, diagnose
from phasejax.datasets import load_digit_halves
from phasejax.diagnosis import Diagnosis, Drift, Measured, SpectraSummary, detect_drift, diagnose_again, load_baseline
from phasejax.diagnosis._content_drift import difference, quantities
from phasejax.diagnosis._estimates import NAMES, PARAMETERS, RATIOS
from phasejax.diagnosis._paired_data import paired_rows
from phasejax.diagnosis._spectra_summary import spectra_summary
from tests.diagnosis.conftest import SAVED
from tests.diagnosis.simulated import K, N, simulated

BASE: dict[str, Any] = {"kappa": 1.5, "nu": 0.3, "nuisance_y": 2.0}


def drawn(seed, **changed):
    """Rows of the model at `BASE` with some parameters changed, and noisy labels."""
    x, y, s = simulated(**BASE | changed, seed=seed)
    return x, y, s + 0.2 * np.random.default_rng([seed, 1]).standard_normal(s.shape)


def diagnosed(seed, **changed):
    return diagnose(*drawn(seed, **changed), method="moments", k=K, predicted_scores=False)


@pytest.fixture(scope="module")
def found(saved_diagnosis):
    return saved_diagnosis


@pytest.fixture(scope="module")
def baseline():
    return load_baseline(SAVED)


@pytest.fixture(scope="module")
def at_base():
    """The diagnosis that later ones are compared with."""
    return diagnosed(0)


def test_a_baseline_holds_what_was_saved(baseline, found):
    for field in dataclasses.fields(found):
        if field.name not in ("draws", "ca", "cp", "cp_reverse"):
            assert getattr(baseline, field.name) == getattr(found, field.name), field.name
    for name in NAMES:
        assert baseline.estimates[name] == found.estimates[name]
        np.testing.assert_array_equal(baseline.draws[name], found.draws[name])
    assert set(NAMES) == {*RATIOS, *PARAMETERS}
    same = detect_drift(baseline, found)
    assert not same.moved
    assert {(change.z, change.p, change.adjusted) for change in same.changes} == {(0.0, 1.0, 1.0)}


@pytest.mark.slow
def test_no_drift_without_a_change(at_base):
    """Eight new samples of the same model; over 100 pairs at n = 1000, d = 20, k = 3 there was no false alarm."""
    drifts = [detect_drift(at_base, diagnosed(seed)) for seed in range(1, 9)]
    assert not any(drift.moved for drift in drifts)
    z = np.array([[change.z for change in drift.changes] for drift in drifts])
    assert 0.2 < z.std() < 1.2


@pytest.mark.slow
@pytest.mark.parametrize(("changed", "names"), [
    ({"nu": 0.5}, {"nu", "delta_ca", "delta_cp"}),
    ({"nuisance_y": 4.0}, {"nuisance_y"}),
    ({"kappa": 2.0}, {"kappa"}),
])
def test_a_change_is_found_and_named(at_base, changed, names):
    drift = detect_drift(at_base, diagnosed(11, **changed))
    assert drift.moved
    beyond = {change.name for change in drift.changes if change.beyond}
    assert names <= beyond
    assert not beyond & ({"nu", "nuisance_x", "nuisance_y", "kappa", "gamma_x", "gamma_y", "decay"} - names)
    (name, value), = changed.items()
    assert np.sign(drift.change(name).z) == np.sign(value - BASE[name])
    assert not drift.regime_moved
    assert name in drift.summary().splitlines()[0]
    assert f"*{name}" in drift.summary()


@pytest.mark.slow
def test_a_crossed_boundary_is_found(at_base):
    drift = detect_drift(at_base, diagnosed(12, nuisance_y=40.0))
    assert (drift.regime_before, drift.regime_now) == (Regime.BOTH, Regime.CA_ONLY)
    assert drift.regime_moved
    assert drift.regime_changed is not None
    assert drift.regime_changed > 0.99
    assert "yes: the regime" in drift.summary()
    read = json.loads(drift.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert (read["moved"], read["regime_moved"], read["regime_now"]) == (True, True, "CA only")
    assert [change["name"] for change in read["changes"]] == list(NAMES)


def test_diagnose_again_takes_the_settings_of_the_baseline(baseline):
    settings = dataclasses.replace(baseline, confidence=0.8)
    x, y, s = drawn(3)
    again = diagnose_again(settings, x, y, s)
    assert (again.k, again.confidence, again.predicted_scores, again.k_estimated) == (K, 0.8, None, False)
    with pytest.raises(ValueError, match="y: expected 12 columns as in the baseline, got 11"):
        diagnose_again(baseline, x, y[:, 1:], s)


@pytest.mark.parametrize(("field", "value", "message"), [
    ("d_x", 11, "x: expected 12 columns as in the baseline, got 11"),
    ("d_y", 11, "y: expected 12 columns as in the baseline, got 11"),
    ("k", 3, "k: expected 2 signals as in the baseline, got 3"),
    ("label_columns", 3, "labels: expected 2 independent label columns .* as in the baseline, got 3"),
    ("confidence", 0.8, "confidence: expected 0.9 .* as in the baseline, got 0.8"),
    ("kind", "class", r"labels: expected those of kind 'real' as in the baseline, got 'class' \(label_kind .*\)"),
    ("groups", 40, "groups: expected none, as in the baseline, got 40 groups"),
])
def test_another_design_is_no_comparison(baseline, found, field, value, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        detect_drift(baseline, dataclasses.replace(found, **{field: value}))


def test_arguments_of_detect_drift(baseline, found):
    for level in (0.0, 1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match="level: expected a number above 0 and below 1, got"):
            detect_drift(baseline, found, level=level)
    with pytest.raises(ValueError, match="now: expected a diagnosis of method 'moments', got SpectralDiagnosis"):
        detect_drift(baseline, diagnose(*drawn(0), method="spectral"))
    with pytest.raises(ValueError, match=r"name: expected one of delta_ca, .*, got 'size'"):
        detect_drift(baseline, found).change("size")


def gaussian_posteriors(rng, spread, shift=0.0):
    """Draws around an estimate that errs by as much as they spread, on the scale of each test."""
    draws = {}
    for name in NAMES:
        u = shift + spread * (rng.standard_normal() + rng.standard_normal(400))
        draws[name] = (1 / (1 + np.exp(-u)) if name in ("nu", "label_share") else
                       np.clip(0.4 + 0.1 * u, 0, 1) if name in ("decay", "uncorrelated") else np.exp(u))
    return draws


def test_false_alarms_keep_to_the_level_and_use_it(baseline, found):
    """Independent Gaussian posteriors, for which Holm is nearly exact: 1 - (1 - 0.2 / 12)^12 = 0.18 at level 0.2.

    Bounds: four standard errors over 500 pairs.
    """
    rng, level, pairs = np.random.default_rng(0), 0.2, 500
    alarms = 0
    for _ in range(pairs):
        before = dataclasses.replace(baseline, draws=gaussian_posteriors(rng, 0.3))
        drift = detect_drift(before, dataclasses.replace(found, draws=gaussian_posteriors(rng, 0.3)), level=level)
        alarms += any(change.beyond for change in drift.changes)
    expected = 1 - (1 - level / len(NAMES)) ** len(NAMES)
    assert abs(alarms / pairs - expected) < 4 * np.sqrt(expected * (1 - expected) / pairs)


def test_holm_rejects_what_the_step_down_procedure_rejects(baseline, found):
    rng = np.random.default_rng(1)
    before = dataclasses.replace(baseline, draws=gaussian_posteriors(rng, 0.3))
    drift = detect_drift(before, dataclasses.replace(found, draws=gaussian_posteriors(rng, 0.3, shift=0.8)))
    ordered = sorted(drift.changes, key=lambda change: change.p)
    rejected = 0
    for level in (1e-4, 0.01, 0.05, 0.2, 0.5):
        kept = next((i for i, c in enumerate(ordered) if c.p >= level / (len(NAMES) - i)), len(NAMES))
        assert {c.name for c in drift.changes if c.adjusted < level} == {c.name for c in ordered[:kept]}
        rejected += kept
    assert 0 < rejected < 5 * len(NAMES)


def test_tails_beyond_the_draws_are_gaussian(baseline, found):
    """For Gaussian draws p is that of z, and goes on falling beyond what pairs of draws resolve."""
    rng = np.random.default_rng(2)
    draws, changes = gaussian_posteriors(rng, 0.3), []
    for shift in (0.3, 2.0, 3.0, 4.0):
        moved = draws | {"delta_ca": draws["delta_ca"] * np.exp(shift)}
        changes.append(detect_drift(dataclasses.replace(baseline, draws=draws), dataclasses.replace(found, draws=moved)
                                    ).change("delta_ca"))
    for change in changes:
        assert change.p == pytest.approx(2 * _normal_tail(abs(change.z)), rel=0.3)
    assert changes[-1].p < 1e-10
    assert [change.p for change in changes] == sorted((change.p for change in changes), reverse=True)


def _normal_tail(z):
    import scipy.integrate

    return scipy.integrate.quad(lambda t: np.exp(-t * t / 2) / np.sqrt(2 * np.pi), z, z + 12)[0]


def test_a_parameter_at_zero_is_not_known_exactly(baseline, found):
    rng = np.random.default_rng(3)
    common = gaussian_posteriors(rng, 0.3)
    zero = dataclasses.replace(baseline, draws=common | {"decay": np.zeros(400)})

    def decay(rows_before, mean, sd):
        now = dataclasses.replace(found, draws=common | {"decay": np.clip(mean + sd * rng.standard_normal(400), 0, 1)})
        return detect_drift(dataclasses.replace(zero, n=rows_before), now).change("decay")

    assert decay(N, 0.3, 0.03).beyond
    assert decay(N, 0.3, 0.03).z == pytest.approx(0.3 / 0.03 / np.sqrt(2), rel=0.1)
    # A small decay that the many rows show now, and that the few rows then could not.
    assert not decay(N // 100, 0.02, 0.002).beyond


def test_the_uncorrelated_share_is_no_finer_than_its_coordinates(baseline, found):
    """Near 0 a fit may put one coordinate's edge at 0.04 with a spread of 0.006, and the next fit at 0."""
    rng = np.random.default_rng(4)
    common = gaussian_posteriors(rng, 0.3)
    before = dataclasses.replace(baseline, draws=common | {"uncorrelated": np.zeros(400)})

    def uncorrelated(mean):
        now = common | {"uncorrelated": mean + 0.006 * rng.standard_normal(400)}
        return detect_drift(before, dataclasses.replace(found, draws=now), level=0.2).change("uncorrelated")

    assert not uncorrelated(0.04).beyond
    assert uncorrelated(0.6).beyond


def test_the_regime_is_judged_by_both_probabilities(baseline, found):
    def regimes(before, now, **settings):
        before, now = ({regime.value: float(p) for regime, p in zip(Regime, ps, strict=True)} for ps in (before, now))
        return detect_drift(dataclasses.replace(baseline, probabilities=before),
                            dataclasses.replace(found, probabilities=now), **settings)

    drift = regimes([0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1])
    assert drift.regime_changed == pytest.approx(1 - 0.2)
    assert not drift.moved
    assert regimes([0, 0, 0, 1], [0, 1, 0, 0]).moved
    assert not regimes([0, 0, 0, 1], [0, 0.5, 0, 0.5]).moved
    # No regime's probability is known to better than one draw in 4000.
    assert not regimes([0, 0, 0, 1], [0, 1, 0, 0], level=1e-4).moved


def test_another_version_is_said(baseline, found):
    drift = detect_drift(dataclasses.replace(baseline, phasejax_version="0.0.9"), found)
    assert any("written by phasejax 0.0.9" in warning for warning in drift.warnings)
    assert "Warning: the baseline was written by phasejax 0.0.9" in drift.summary()
    assert isinstance(drift, Drift)


def test_a_bad_fit_on_either_side_is_said(baseline, found):
    for before, now in ((2.9, 2.9), (20.0, 1.0), (1.0, 20.0)):
        drift = detect_drift(dataclasses.replace(baseline, reduced_chi2=before),
                             dataclasses.replace(found, reduced_chi2=now))
        assert any("reduced chi-squared of 20.0" in warning for warning in drift.warnings) is (max(before, now) > 3)


def _without(name):
    return lambda read: {key: value for key, value in read.items() if key != name}


def _with(*path, value):
    def change(read):
        read = json.loads(json.dumps(read))
        inner = read
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        return read
    return change


@pytest.mark.parametrize(("change", "message"), [
    (lambda read: [], "expected a diagnosis written by phasejax, got another JSON file"),
    (lambda read: {"version": 1}, "expected a diagnosis written by phasejax, got another JSON file"),
    (_with("method", value="spectral"), "expected a diagnosis of method content or moments, got spectral"),
    (_without("draws"), "expected the field draws, got a diagnosis without it"),
    (_without("k"), "expected the field k, got a diagnosis without it"),
    (_with("k", value=2.5), "k: expected a whole number from 1, got 2.5"),
    (_with("n", value=True), "n: expected a whole number from 2, got True"),
    (_with("reduced_chi2", value="nan"), "reduced_chi2: expected a number from 0, got 'nan'"),
    (_with("estimates", value=[]), "estimates: expected values by name, got list"),
    (_with("estimates", "nu", value=0.3), "estimates, nu: expected value, low and high, got 0.3"),
    (_with("draws", "nu", value=None), "draws, nu: expected a list of numbers, got None"),
    (_with("draws", "nu", value=[0.2, 1.2]), r"draws, nu: expected .* from 0 to 1, got \[1.2\]"),
    (_with("draws", "kappa", value=[1.0, "inf"]), "draws, kappa: expected a list of numbers, got .*'inf'"),
    (_with("draws", "kappa", value=[0.0, 1.0]), r"draws, kappa: expected .* from 0 to inf, got \[0.0\]"),
    (_with("draws", "kappa", value=[1.0]), r"draws, kappa: expected at least 2 finite numbers .* got \[1.0\]"),
    (_with("probabilities", value={"Both": 1.0}), "expected the field Neither, got"),
    (_with("draws", value=None), r"draws: expected those of the posterior, which are compared \(phasejax diagnose"),
])
def test_other_json_is_refused_in_one_line(tmp_path, found, change, message):
    path = tmp_path / "other.json"
    path.write_text(json.dumps(change(json.loads(found.to_json(draws=True)))))
    with pytest.raises(ValueError, match=f"^{path}: {message}") as raised:
        load_baseline(path)
    assert "\n" not in str(raised.value)


def test_no_file_no_text_and_half_a_file_are_refused(tmp_path, found):
    with pytest.raises(ValueError, match="expected a readable file, got No such file"):
        load_baseline(tmp_path / "none.json")
    with pytest.raises(ValueError, match="expected a regular file, got a folder"):
        load_baseline(tmp_path)
    path, text = tmp_path / "baseline.json", found.to_json(draws=True)
    path.write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(ValueError, match="expected a JSON file, got something else"):
        load_baseline(path)
    for length in (0, 1, 100, len(text) // 2, len(text) - 3):
        path.write_text(text[:length])
        with pytest.raises(ValueError, match="expected a complete JSON file, got") as raised:
            load_baseline(path)
        assert "\n" not in str(raised.value)


# Diagnoses by content


def by_content(x, y, labels, **settings):
    return diagnose(x, y, labels, fit=False, **settings)


def shuffled_within(labels, seed=0):
    """A permutation of the rows that keeps every row's class."""
    rng, order = np.random.default_rng(seed), np.arange(len(labels))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        order[rows] = rng.permutation(rows)
    return order


def with_classes(seed, **changed):
    """Rows of the model at `BASE` with the quadrant of the signals as classes."""
    x, y, s = simulated(**BASE | changed, seed=seed)
    return x, y, (s[:, 0] > 0) + 2 * (s[:, 1] > 0)


@pytest.fixture(scope="module")
def of_content():
    """A diagnosis by content with all its draws."""
    return by_content(*with_classes(0), k=K)


@pytest.fixture(scope="module")
def content(of_content, tmp_path_factory):
    """The baseline that it is, saved without draws and read back."""
    path = tmp_path_factory.mktemp("baseline") / "content.json"
    path.write_text(of_content.to_json())
    return load_baseline(path)


@pytest.fixture(scope="module")
def content_now(content):
    return diagnose_again(content, *with_classes(1))


def test_a_baseline_needs_no_draws_of_scores(of_content, content, content_now):
    """The same changes to the bit; what needs draws says so."""
    assert of_content.scores
    assert content.scores[0].draws.kept is None
    assert detect_drift(content, content_now) == detect_drift(of_content, content_now)
    for answer in (lambda: content.uses, content.summary, lambda: content.scores[0].score("CA")):
        with pytest.raises(ValueError, match=r"^draws: expected a diagnosis that was saved with its draws"):
            answer()


CONTENT_NAMES = [
    "s_CA", "s_CP", "s_CP y->x", *(f"score of {name}" for name in (
        "CA", "CP both", "CA of x", "CA of y", "CP x->y", "CP y->x", "joint", "x", "y", "x and y")),
    *(f"canonical correlation {place}" for place in (1, 2, 3, 4)), "squared canonical correlations", "variance of x",
    "variance of y", "participation ratio of x", "participation ratio of y"]


def test_the_default_baseline_is_one_by_content(content, content_now):
    assert isinstance(content, Diagnosis)
    assert (content_now.k, content_now.confidence, content_now.fit) == (content.k, content.confidence, None)
    same = detect_drift(content, content)
    assert {(change.z, change.p, change.adjusted) for change in same.changes} == {(0.0, 1.0, 1.0)}
    drift = detect_drift(content, content_now)
    assert [change.name for change in drift.changes] == CONTENT_NAMES
    assert not drift.moved
    assert (drift.method, drift.regime_before, drift.regime_now) == ("content", Regime.BOTH, Regime.BOTH)
    for change in drift.changes:
        assert change.before is not None
        assert change.before.low <= change.before.value <= change.before.high, change.name
        assert change.adjusted >= change.p
    read = json.loads(drift.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert (read["moved"], read["method"], read["regime_now"]) == (False, "content", "Both")
    assert drift.summary().splitlines()[0].split(maxsplit=1) == ["Drift", "none beyond chance (level 0.01)"]


@pytest.mark.parametrize(("changed", "names"), [
    ({"nuisance_y": 4.0}, {"variance of y"}),
    pytest.param({"gamma": 1.0}, {"score of CA", "score of y"}, marks=pytest.mark.slow),
    pytest.param({"gamma": 1.5}, {"score of CA", "score of CP both", "score of y"}, marks=pytest.mark.slow),
    pytest.param({"nu": 0.7}, {"squared canonical correlations", "canonical correlation 3"}, marks=pytest.mark.slow),
])
def test_a_change_of_the_data_is_found_by_content(content, changed, names):
    """Nuisance of twice the variance, signals with two and three times the noise, nuisance that is more correlated."""
    drift = detect_drift(content, diagnose_again(content, *with_classes(2, **changed)))
    assert drift.moved
    assert names <= {change.name for change in drift.changes if change.beyond}
    assert "yes: " in drift.summary().splitlines()[0]


@pytest.mark.slow
def test_pairs_that_are_shuffled_within_their_classes_are_found(content):
    x, y, labels = with_classes(1)
    drift = detect_drift(content, diagnose_again(content, x, y[shuffled_within(labels)], labels))
    beyond = {change.name for change in drift.changes if change.beyond}
    assert {"canonical correlation 1", "squared canonical correlations"} <= beyond
    # What each view is and says about the labels is unchanged.
    assert not beyond & {"score of x", "score of y", "variance of x", "participation ratio of y"}


@pytest.mark.slow
def test_labels_that_mean_something_else_are_found(content):
    x, y, labels = with_classes(1)
    drift = detect_drift(content, diagnose_again(content, x, y, np.random.default_rng(0).permutation(labels)))
    beyond = {change.name for change in drift.changes if change.beyond}
    assert {"score of CA", "score of x", "score of x and y"} <= beyond
    assert not any(name.startswith(("canonical", "variance", "participation")) for name in beyond)


@pytest.mark.slow
def test_a_new_unit_shows_in_the_variance_alone(content, content_now):
    x, y, labels = with_classes(1)
    moved = detect_drift(content, diagnose_again(content, x + 7.0, 4 * y, labels))
    assert {change.name for change in moved.changes if change.beyond} == {"variance of y"}
    plain = {change.name: change for change in detect_drift(content, content_now).changes}
    for change in moved.changes:
        if change.name != "variance of y":
            assert change.z == pytest.approx(plain[change.name].z, abs=1e-6), change.name


@pytest.mark.slow
def test_spectra_of_other_numbers_of_rows_are_compared_and_content_is_not(content):
    """A third of the rows spreads canonical correlations out; by the bias of each that is no drift."""
    drift = detect_drift(content, diagnose_again(content, *(array[:200] for array in with_classes(1))))
    assert not any(change.name.startswith(("s_C", "score")) for change in drift.changes)
    assert any("n = 200 with 200 labels, in the baseline 600 with 600: label content and scores" in warning
               for warning in drift.warnings)
    assert not drift.moved
    squares = drift.change("squared canonical correlations")
    assert squares.before is not None
    assert squares.now is not None
    assert squares.now.value > squares.before.value
    assert abs(squares.z) < 3


def measured(name, found):
    return quantities(found, found.k)[name]


def test_the_test_is_that_of_welch(content, content_now):
    """z and p by SciPy's Welch test of two samples with the same means, errors and degrees of freedom."""
    before, now = (measured("variance of x", found) for found in (content, content_now))
    change = detect_drift(content, content_now).change("variance of x")
    assert difference(before, now, N, N) == (change.z, change.p)
    size = before.freedom + 1
    reference = scipy.stats.ttest_ind_from_stats(now.u, now.error * size**0.5, size, before.u,
                                                 before.error * size**0.5, size, equal_var=False)
    assert difference(before, now, N, N) == pytest.approx((reference.statistic, reference.pvalue))
    z, p = difference(before, now, N, 2 * N)
    expected = (before.bias * N + now.bias * 2 * N) / 2 * (1 / (2 * N) - 1 / N)
    assert z == pytest.approx((now.u - before.u - expected) / math.hypot(before.error, now.error, expected / 2))
    assert 0 < p <= 1
    # Of a score each error is at least the other's, at equal numbers of rows.
    before, now = (dataclasses.replace(measured("score of x", found), u=u, value=u, error=error)
                   for found, u, error in ((content, 0.5, 0.01), (content_now, 0.6, 0.03)))
    assert difference(before, now, N, 2 * N)[0] == pytest.approx(0.1 / math.hypot(0.03 * 2**0.5, 0.03))


def test_numbers_near_one_are_compared_on_two_scales(content):
    """A share of .96 and one of .79 with the errors of their own places may be the same; .99 and .2 are not."""
    def share(value, error):  # of a jackknife that was shrunk
        error *= 0.85
        return dataclasses.replace(measured("s_CA", content), value=value, u=value, error=error)

    z, p = difference(share(0.96, 0.02), share(0.79, 0.02), N, N)
    # log((s + .05) / (1.05 - s)), its derivative 1.1 / ((s + .05) (1.05 - s)), and of both errors the larger.
    expected = (math.log(0.84 / 0.26) - math.log(1.01 / 0.09)) / (0.02 * 1.1 / (1.01 * 0.09) * 2**0.5)
    assert z == pytest.approx(expected)
    assert p == pytest.approx(2 * scipy.stats.t.sf(-expected, 2 * share(0.96, 0.02).freedom), rel=1e-6)
    plain = 0.17 / (0.02 * 2**0.5)
    assert abs(z) < 0.7 * plain
    # Far from the ends, and where the fall is large, the scale as it is decides, or nearly so.
    assert difference(share(0.55, 0.02), share(0.45, 0.02), N, N)[0] == pytest.approx(-0.1 / (0.02 * 2**0.5), rel=0.02)
    assert difference(share(1.03, 0.01), share(0.2, 0.04), N, N)[1] < 1e-6
    one = measured("canonical correlation 1", content)
    near = [dataclasses.replace(one, value=value, u=value, error=6e-4, bias=0.0) for value in (0.9894, 0.9930)]
    fisher = (np.arctanh(0.9930) - np.arctanh(0.9894)) / (6e-4 / (1 - 0.9930**2) * 2**0.5)
    assert difference(near[0], near[1], N, N)[0] == pytest.approx(fisher, rel=0.05)  # less than its constant changes


def test_a_correlation_of_one_by_a_few_rows_is_no_certainty(content):
    """Without an error of its own it gets that of the other data set."""
    one = dataclasses.replace(measured("canonical correlation 1", content), value=1.0, u=1.0, error=0.0, bias=0.0)
    other = dataclasses.replace(one, value=0.97, u=0.97, error=0.02)
    assert difference(one, other, N, N)[0] == pytest.approx(-0.03 / (0.02 * 2**0.5))
    assert difference(one, one, N, N) == (0.0, 1.0)


def test_regimes_move_where_both_are_stated(content, content_now):
    def regimes(before, now, level=0.05, label_z=20.0):
        sides = [dataclasses.replace(found, content=dataclasses.replace(
            found.content, probabilities=(tuple(ps),) * len(found.content.ks), label_z=z))
            for found, ps, z in ((content, before, 20.0), (content_now, now, label_z))]
        return detect_drift(*sides, level=level)

    drift = regimes([0.01, 0.01, 0.0, 0.98], [0.0, 0.99, 0.0, 0.01])
    assert (drift.regime_before, drift.regime_now, drift.regime_moved) == (Regime.BOTH, Regime.CA_ONLY, True)
    assert "*Regime" in drift.summary()
    assert not regimes([0.01, 0.01, 0.0, 0.98], [0.0, 0.92, 0.0, 0.08]).regime_moved
    undecided = regimes([0.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0], label_z=1.0)
    assert (undecided.regime_now, undecided.regime_moved) == (None, False)
    assert undecided.to_dict()["regime_now"] == "undecided"
    assert "undecided, likeliest CA only (probability 1)" in undecided.summary()


@pytest.mark.slow
def test_a_width_that_was_left_open_stays_open():
    x, y, labels = with_classes(0)
    baseline = by_content(x, y, labels, predicted_scores=False)
    again = diagnose_again(baseline, *with_classes(1))
    assert (baseline.k, again.k, again.scores) == (None, None, ())
    assert not detect_drift(baseline, again).moved
    # As many label directions are not always counted: compared is the next width below that both have.
    fewer = dataclasses.replace(again, directions=1)
    assert [change.name for change in detect_drift(baseline, fewer).changes][:3] == CONTENT_NAMES[:3]
    assert detect_drift(baseline, fewer).change("s_CA") == detect_drift(baseline, again).change("s_CA")


@pytest.mark.slow
def test_redundant_columns_are_left_out_again(content):
    x, y, labels = with_classes(0)
    wide = [np.c_[view, view[:, :2].sum(1)] for view in (x, with_classes(1)[0])]
    baseline = by_content(wide[0], y, labels, k=K, predicted_scores=False)
    assert baseline.d_x == 12
    again = diagnose_again(baseline, wide[1], *with_classes(1)[1:])
    assert not detect_drift(baseline, again).moved
    with pytest.raises(ValueError, match=r"^x: expected 13 columns as in the baseline, got 12$"):
        diagnose_again(baseline, x, y, labels)
    constant = np.c_[x, np.zeros(len(x))]
    other = detect_drift(baseline, by_content(constant, y, labels, k=K, predicted_scores=False))
    assert any(warning.startswith("x: other columns than in the baseline") for warning in other.warnings)


def test_principal_components_are_no_baseline():
    x, y, labels = with_classes(0)
    baseline = by_content(x, y, labels, k=K, pca=6, predicted_scores=False)
    for compare in (lambda: diagnose_again(baseline, x, y, labels), lambda: detect_drift(baseline, baseline)):
        with pytest.raises(ValueError, match=r"^baseline: expected a diagnosis of the columns themselves, got one of "
                                             r"principal components, .*$"):
            compare()


def test_other_methods_and_designs_are_no_comparison(content, content_now, found):
    with pytest.raises(ValueError, match=r"^now: expected a diagnosis of method 'content', got MomentDiagnosis$"):
        detect_drift(content, found)
    with pytest.raises(ValueError, match=r"^now: expected a diagnosis of method 'moments', got Diagnosis$"):
        detect_drift(found, content)
    for changed, message in (({"k": 3}, "k: expected 2 as in the baseline, got 3"),
                             ({"d_y": 11}, "y: expected 12 columns as in the baseline, got 11"),
                             ({"kind": "real", "label_columns": 7},
                              "labels: expected those of kind 'class' as in the baseline, got 'real' .label_kind says"),
                             ({"groups": 40}, "groups: expected none, as in the baseline, got 40 groups$"),
                             ({"label_columns": 2}, "labels: expected 3 independent label columns")):
        with pytest.raises(ValueError, match=f"^{message}"):
            detect_drift(content, dataclasses.replace(content_now, **changed))


def test_groups_and_kinds_are_those_of_the_baseline(content, content_now):
    x, y, labels = with_classes(1)
    grouped = dataclasses.replace(content, groups=40)
    missing = (r"^groups: expected which rows belong together, as in the baseline \(40 groups\), got none$")
    with pytest.raises(ValueError, match=missing):
        detect_drift(grouped, content_now)
    with pytest.raises(ValueError, match=missing):
        diagnose_again(grouped, x, y, labels)
    with pytest.raises(ValueError, match=r"^groups: expected none, as in the baseline, got some$"):
        diagnose_again(content, x, y, labels, groups=np.arange(len(x)) // 2)
    with pytest.raises(ValueError, match=r"^labels: expected those of kind 'class' as in the baseline, got 'real' "):
        diagnose_again(content, x, y, labels, label_kind="real")
    # Another number of groups is no other design.
    near = detect_drift(grouped, dataclasses.replace(content_now, groups=41))
    assert near.summary().splitlines()[-1].endswith(f"{content.n} -> {content_now.n} in 40 -> 41 groups")
    assert near.change("s_CA").compared
    # As many rows in half of the groups are another size: content is not compared, and the spectra's bias is another.
    far = detect_drift(grouped, dataclasses.replace(content_now, groups=20))
    assert not any(change.name == "s_CA" for change in far.changes)
    assert any(f"n = {content_now.n} in 20 groups with" in warning for warning in far.warnings)
    assert far.change("squared canonical correlations").z != near.change("squared canonical correlations").z


@pytest.mark.parametrize("views_p", [0.4, 0.002])
@pytest.mark.parametrize("when", ["before", "now"])
def test_where_nothing_shared_is_seen_there_is_no_regime(content, content_now, views_p, when):
    """Shuffled pairs, and shuffled labels: as `diagnose` says it, before anything else."""
    sides = {"before": content, "now": content_now}
    shared = dataclasses.replace(content_now.shared, views_p=views_p, labels_p=0.4)
    sides[when] = dataclasses.replace(sides[when], shared=shared)
    drift = detect_drift(sides["before"], sides["now"])
    lines = drift.summary().splitlines()
    assert "none: nothing shared that the labels measure is seen" in lines[1]
    assert "probability" not in lines[1].split("->")[when == "now"]
    assert lines[2].split(maxsplit=3) == ["Shared", "signal", when, shared.reason()]
    read = drift.to_dict()
    assert (read[f"regime_{when}"], read["regime_changed"], read["regime_moved"]) == ("none", None, False)
    assert (read[f"unseen_{when}"], read[f"probabilities_{when}"]) == (shared.reason(), {})
    # A share of nothing is no number, and is counted as not compared.
    assert [change.name for change in drift.changes if not change.compared] == CONTENT_NAMES[:3]
    assert {(change.z, change.p, change.beyond) for change in drift.changes[:3]} == {(0.0, 1.0, False)}
    assert lines[0].endswith("(level 0.01, 3 of 22 numbers not compared)")
    assert lines[3].startswith("s_CA ")
    assert lines[3].endswith("   not compared")
    assert "not measurable" in lines[3]
    assert any(warning.startswith("not measurable, and not compared: s_CA, s_CP, s_CP y->x;")
               for warning in drift.warnings)


def test_intervals_end_where_numbers_do(content, content_now):
    """A share of 1.02 has an interval up to 1; one that could be anything between 0 and 1 has none."""
    def with_share(value, half):
        share = dataclasses.replace(content.content.ca[0], value=value, low=value - half, high=value + half)
        return dataclasses.replace(content, content=dataclasses.replace(
            content.content, ca=(share,) * len(content.content.ks)))

    before = detect_drift(with_share(1.02, 0.1), content_now).change("s_CA").before
    assert before is not None
    assert (before.value, before.low, before.high) == pytest.approx((1.0, 0.92, 1.0))
    vague = detect_drift(with_share(0.6, 0.7), content_now)
    assert vague.to_dict()["changes"][0]["before"] is None
    assert "not measurable -> " in vague.summary()
    assert not vague.change("s_CA").compared
    # It counts in the correction as one that has not moved.
    first = min(vague.changes, key=lambda change: change.p)
    assert first.adjusted == pytest.approx(min(1.0, first.p * len(CONTENT_NAMES)))
    for one in quantities(content, K).values():
        for error in (0.0, 0.3, 5.0):
            estimate = dataclasses.replace(one, error=error).estimate(0.9)
            assert estimate is None or one.least <= estimate.low <= estimate.value <= estimate.high <= one.most


def test_an_unknown_share_hides_no_fall_to_chance(content, content_now):
    """Encoders that are at chance cannot lose more, however little is known about the content."""
    wide = tuple(dataclasses.replace(one, low=one.value - 3, high=one.value + 3) for one in content_now.content.ca)
    unsure = dataclasses.replace(content_now, content=dataclasses.replace(content_now.content, ca=wide))

    def fall(found, to):
        scores = found.scores[0]
        values = {"linear": scores.values["linear"] | {"CA": to}}
        return detect_drift(content, dataclasses.replace(
            found, scores=(dataclasses.replace(scores, values=scores.values | values),))).change("score of CA")

    chance = content.scores[0].chance
    assert fall(unsure, chance + 0.02).beyond
    # The same uncertainty where the score is high is that of its share, half of what the columns know.
    before = measured("score of CA", content)
    assert not fall(unsure, before.value - 0.1).beyond
    columns = content_now.scores[0].values["linear"]["x and y"]
    assert measured("score of CA", unsure).error == pytest.approx(0.5 * (columns - chance), rel=0.1)


def test_a_baseline_without_spectra_or_scores_is_compared_by_the_rest(content, content_now):
    bare = dataclasses.replace(content, spectra=None, scores=())
    drift = detect_drift(bare, content_now)
    assert [change.name for change in drift.changes] == CONTENT_NAMES[:3]
    assert sum("they are not compared" in warning for warning in drift.warnings) == 2


@pytest.mark.parametrize(("change", "message"), [
    (_without("content"), "expected the field content, got none"),
    (_with("spectra", "variance_x", "value", value="nan"), "variance of x: expected a finite number with its error"),
    (_with("spectra", "variance_x", "error", value=-1), "variance of x: expected a finite number with its error"),
    (_with("spectra", "freedom", value=0), "canonical correlation 1: expected a finite number with its error"),
    (_with("k", value="two"), "expected int in the field k, got 'two'"),
    (_with("scores", 0, "errors", value=None), "draws: expected lists of numbers by source and name, or their errors"),
    (_with("scores", 0, "errors", "linear", "CA", value="nan"), "score of CA: expected a finite number with its error"),
    (_with("scores", 0, "errors", value={}), "sources: expected those of the values and the draws, got others"),
])
def test_another_content_is_refused_in_one_line(tmp_path, of_content, change, message):
    path = tmp_path / "other.json"
    path.write_text(json.dumps(change(json.loads(of_content.to_json()))))
    with pytest.raises(ValueError, match=f"^{path}: {message}") as raised:
        load_baseline(path)
    assert "\n" not in str(raised.value)


def test_spectra_against_their_definitions():
    """Values by scikit-learn's and NumPy's routes, errors by deleting the rows of each group from the data."""
    x, y, _ = simulated(**BASE)
    data = paired_rows(x, y, x[:, :1], seed=3)
    found = spectra_summary(data, data)
    assert isinstance(found, SpectraSummary)
    assert isinstance(found.squared_correlations, Measured)
    orthogonal = [np.linalg.qr(view - view.mean(0))[0] for view in (x, y)]
    rho = np.linalg.svd(orthogonal[0].T @ orthogonal[1], compute_uv=False)
    np.testing.assert_allclose([one.value for one in found.correlations], rho[:4])
    assert found.squared_correlations.value == pytest.approx(np.sum(rho**2))
    assert found.variance_y.value == pytest.approx(y.var(0, ddof=1).sum())
    values = np.linalg.svd(y - y.mean(0), compute_uv=False) ** 2
    assert found.participation_y.value == pytest.approx(values.sum() ** 2 / np.sum(values**2))
    # Sum of the variances: the spread over many data sets, and no bias.
    others = np.array([simulated(**BASE, seed=seed)[1].var(0, ddof=1).sum() for seed in range(100, 200)])
    assert found.variance_y.error == pytest.approx(others.std(), rel=0.6)  # 3.6 standard errors: 19 degrees of freedom
    assert abs(found.variance_y.bias) < 0.1 * found.variance_y.error


def test_the_jackknife_of_a_mean_is_that_of_the_textbook():
    """Of one column in equal groups: the squared error is that of the mean over groups, the bias is 0."""
    x, y, _ = simulated(**BASE, n=400)
    data = paired_rows(x, y, x[:, :1])
    error = spectra_summary(data, data).variance_x.error
    traces = np.array([np.trace(one[:12, :12]) for one in data.without])
    assert error == pytest.approx(np.sqrt(19 / 20 * np.sum((traces - traces.mean()) ** 2)))
    assert error != pytest.approx(np.sqrt(np.sum((traces - traces.mean()) ** 2) / 19), rel=0.1)


@pytest.mark.by_hand
def test_false_alarms_of_halves_of_the_digits_and_power():
    """Two random halves (898 rows each) are alike; pairs shuffled within the digits are not."""
    x, y, labels = load_digit_halves()
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(x))
        first, second = np.sort(order[:898]), np.sort(order[898:1796])
        baseline = by_content(x[first], y[first], labels[first], k=8)
        assert not detect_drift(baseline, by_content(x[second], y[second], labels[second], k=8)).moved
    other = y[second][shuffled_within(labels[second])]
    drift = detect_drift(baseline, by_content(x[second], other, labels[second], k=8))
    assert "squared canonical correlations" in {change.name for change in drift.changes if change.beyond}
