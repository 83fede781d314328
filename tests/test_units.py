"""No number depends on units: factors, units of single columns, offsets and far rows, through every public method.

Situations, each with its public source where there is one:

- fluxes in units of 1e-17, whose squares vanish beside an absolute ridge (mixOmics #399, scikit-learn #6002)
- columns in units from 1e-9 to 1e3, such as kelvin beside dex (scikit-learn #6002)
- embeddings of unit length, whose variances decay by seven orders of magnitude with the shared signal in the last
- a mean of 1e6 with unit spread, in float32 or bound for float32 (julian dates, counters; scikit-learn #13905)
- one row far from all others (a misread sentinel, a saturated detector)
- 300 rows with 20,000 columns a side (google-research #833, cca_zoo #126)
- a learned temperature of 0.01, where CLIP ends: tests/linear/test_losses.py and test_infonce.py
"""

import dataclasses
import math
import os
import re
import subprocess
import sys
from functools import cache, partial

import jax
import numpy as np
import pytest

import phasejax as pj
from phasejax import diagnose
from phasejax.diagnosis import (
    detect_drift,
    diagnose_again,
    label_content,
    plot_diagnosis,
    predict_scores,
    shared_signal,
    write_report,
)
from phasejax.information import estimate_decomposition
from phasejax.similarity import METRICS, compare_representations
from tests.support import ROOT

FACTORS = [(1e-20, 1e20), (1e-10, 1.0), (1e3, 1e-17), (1e20, 1e-20)]
close = partial(np.testing.assert_allclose, rtol=1e-9)


def linear(rng, n, k, d_x, d_y, noise):
    s = rng.standard_normal((n, k))
    x = s @ rng.standard_normal((k, d_x)) + noise * rng.standard_normal((n, d_x))
    return s, x, s @ rng.standard_normal((k, d_y)) + noise * rng.standard_normal((n, d_y))


def plain():
    """Six and five columns with two shared signals, and the sign of one as classes."""
    s, x, y = linear(np.random.default_rng(6), 500, 2, 6, 5, 0.5)
    return x, y, (s[:, 0] > 0).astype(int)


def of_unit_length():
    """Rows of unit length, whose shared signal lies in the directions with the least variance."""
    rng = np.random.default_rng(21)
    n, d = 1200, 40
    s, decay = rng.standard_normal((n, 4)), np.exp(-np.arange(d) / 5)

    def view():
        z = rng.standard_normal((n, d))
        z[:, -4:] = 0.9 * s + np.sqrt(1 - 0.9**2) * z[:, -4:]
        rows = (z * decay) @ np.linalg.qr(rng.standard_normal((d, d)))[0]
        rows = rows + 3 * np.linalg.qr(rng.standard_normal((d, 1)))[0].T
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    return view(), view(), (s[:, 0] > 0).astype(int)


def wide():
    """300 rows with 20,000 columns a side in float32."""
    _, x, y = linear(np.random.default_rng(8), 300, 3, 20_000, 20_000, 1.0)
    return x.astype(np.float32), y.astype(np.float32)


X, Y, CLASSES = plain()
UNITS_X, UNITS_Y = (np.geomspace(1e-9, 1e3, view.shape[1]) for view in (X, Y))
RIGHT = {plain: [0.9578, 0.9240, 0.1228], of_unit_length: [0.8245, 0.8072, 0.6884]}


def correlations(x, y):
    """Canonical correlations from orthonormal bases of the standardised views."""
    q, r = (np.linalg.qr((view - view.mean(0)) / view.std(0))[0] for view in (x, y))
    return np.linalg.svd(q.T @ r, compute_uv=False)


# The diagnosis

# What is reported in units of the data, by the name of the field, and what needs both views in the same units.
IN_DATA_UNITS = {"kappa", "gamma_x", "gamma_y", "nuisance_x", "nuisance_y", "signal_x", "signal_y",
                 "composite_delta_ca", "composite_delta_cp", "variance_x", "variance_y"}


def without_units(found, path=()):
    """All numbers and texts of a diagnosis by their path, but for those in units of the data."""
    for name, value in found.items() if isinstance(found, dict) else enumerate(found):
        here = (*path, name)
        if name in IN_DATA_UNITS or here[-2:] in (("cp", "values"), ("cp_reverse", "values"), ("pls", "values")):
            continue
        if isinstance(value, dict | list | tuple):
            yield from without_units(value, here)
        else:
            yield here, value


def assert_same_diagnosis(found, expected):
    ours, theirs = (dict(without_units(each.to_dict())) for each in (found, expected))
    assert ours.keys() == theirs.keys()
    for path, value in theirs.items():
        if isinstance(value, float):
            np.testing.assert_allclose(ours[path], value, rtol=1e-9, atol=1e-12, err_msg=str(path))
        else:
            assert ours[path] == value, path


@pytest.mark.parametrize("method", ["moments", "spectral"])
def test_a_diagnosis_is_the_same_in_any_units(method):
    find = partial(diagnose, labels=CLASSES, method=method)
    expected = find(X, Y)
    np.testing.assert_allclose(expected.ca.values[:3], RIGHT[plain], atol=6e-5)
    for of_x, of_y in FACTORS:
        found = find(of_x * X, of_y * Y)
        assert_same_diagnosis(found, expected)
        close(found.cp.values, of_y * expected.cp.values)
        close(found.cp_reverse.values, of_x * expected.cp_reverse.values)
    if method == "spectral":
        found = find(1e-17 * X, 1e-17 * Y)
        for name in ("composite_delta_ca", "composite_delta_cp"):
            assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-9)


# What takes arrays of data and has no units at all, as nested numbers and texts. `method="content"` is the default.

SOME, SOME_CLASSES = (X[:160], Y[:160]), CLASSES[:160]


def pages(x, y, tmp_path):
    """A diagnosis by content as JSON, as the text of its report, as what its figure shows, and as a baseline.

    What has moved where a quarter of the pairs are shuffled holds variances, which have units.
    """
    found = diagnose(x, y, SOME_CLASSES, k=2, fit=False)
    drift = detect_drift(found, diagnose_again(found, x, np.r_[y[40::-1], y[41:]], SOME_CLASSES)).to_dict()
    changes = [change for change in drift["changes"] if not change["name"].startswith("variance")]
    assert len(changes) == len(drift["changes"]) - 2
    figure = plot_diagnosis(found)
    write_report(found, tmp_path / "page.html")
    text = re.sub("(?s)<svg.*?</svg>|<footer>.*?</footer>", "", (tmp_path / "page.html").read_text())
    return {"json": found.to_dict(), "report": text.split("\n"), "drift": drift | {"changes": changes},
            "figure": [[line.get_xydata().tolist() for line in ax.lines] for ax in figure.axes],
            "words": [[word.get_text() for word in ax.texts] for ax in figure.axes]}


OUTPUTS = {  # scores of representations are in the JSON of a diagnosis
    "diagnose": pages,
    "diagnose with a fit": lambda x, y, _: diagnose(x, y, SOME_CLASSES, k=2),
    "shared_signal": lambda x, y, _: shared_signal(x, y, np.eye(2)[SOME_CLASSES], np.arange(160), kind="class"),
    "label_content": lambda x, y, _: label_content(x, y, SOME[0][:, :1], np.arange(160)),
    **{f"estimate_decomposition by {method}": lambda x, y, _, method=method: estimate_decomposition(
        x, y, SOME_CLASSES, cells=3, shuffles=2, method=method) for method in ("posterior", "kmeans", "quantile")}}


@cache
def in_plain_units(name, tmp_path):
    return dict(without_units(as_dict(OUTPUTS[name](*SOME, tmp_path))))


def as_dict(found):
    return found.to_dict() if hasattr(found, "to_dict") else found if isinstance(found, dict) else \
        dataclasses.asdict(found)


@pytest.mark.parametrize(("name", "of_x", "of_y"), [
    *(pytest.param(name, 1e-20, 1e20, marks=[pytest.mark.slow] * (name == "diagnose with a fit")) for name in OUTPUTS),
    *((name, 1e20, 1e-9) for name in OUTPUTS if name not in ("diagnose", "diagnose with a fit"))])
def test_every_output_is_the_same_in_any_units(name, of_x, of_y, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    expected = in_plain_units(name, folder)
    found = dict(without_units(as_dict(OUTPUTS[name](of_x * SOME[0], of_y * SOME[1], folder))))
    assert found.keys() == expected.keys()
    for path, value in expected.items():
        same = math.isclose(found[path], value, rel_tol=1e-9, abs_tol=1e-12) if isinstance(value, float) else \
            found[path] == value
        assert same, path


@pytest.mark.parametrize("make", RIGHT)
@pytest.mark.parametrize("factor", [1.0, 1e-17])
def test_canonical_correlations_are_the_right_ones(make, factor):
    x, y, labels = make()
    found = diagnose(factor * x, factor * y, labels, method="spectral")
    np.testing.assert_allclose(found.ca.values[:3], RIGHT[make], atol=6e-5)
    np.testing.assert_allclose(found.ca.values, correlations(x, y)[:len(found.ca.values)], rtol=1e-4, atol=1e-6)


def test_columns_in_units_of_their_own_leave_alignment_as_it_is_and_are_said():
    expected = diagnose(X, Y, CLASSES, method="spectral")
    found = diagnose(X * UNITS_X, Y * UNITS_Y, CLASSES, method="spectral")
    close(found.ca.values, expected.ca.values)
    close(found.ca.r2, expected.ca.r2, atol=1e-12)
    close(found.delta_ca, expected.delta_ca)
    assert (found.regime, found.r_ca) == (expected.regime, expected.r_ca)
    for name, warning in zip("xy", found.warnings, strict=False):
        assert warning.startswith(f"{name}: its columns seem to be in different units")
    moments, others = (diagnose(X * UNITS_X * factor, Y * UNITS_Y, CLASSES, method="moments")
                       for factor in (1.0, 1e-15))
    close(moments.ca.values, expected.ca.values)
    assert moments.warnings[0][:60] == found.warnings[0][:60]
    assert moments.regime == others.regime
    for name in ("delta_ca", "delta_cp", "reduced_chi2"):
        assert getattr(moments, name) == pytest.approx(getattr(others, name), rel=1e-9)


def test_the_published_ridge_depends_on_units_and_has_to_be_asked_for():
    published = partial(diagnose, labels=CLASSES, method="spectral", ridge="published")
    assert published(1e-9 * X, Y).ca.values[0] < 1e-3
    np.testing.assert_allclose(published(X, Y).ca.values, diagnose(X, Y, CLASSES, method="spectral").ca.values,
                               rtol=1e-4)
    with pytest.raises(ValueError, match=r"^ridge: expected 'relative' with method 'moments', got 'published'$"):
        diagnose(X, Y, CLASSES, method="moments", ridge="published")
    with pytest.raises(ValueError, match=r"^ridge: expected one of relative, published, got 'absolute'$"):
        diagnose(X, Y, CLASSES, method="spectral", ridge="absolute")


@pytest.mark.parametrize("method", ["moments", "spectral"])
def test_a_mean_far_from_zero_in_float32_takes_no_digits(method):
    far_x, far_y = (X + 1e6).astype(np.float32), (Y - 1e6).astype(np.float32)
    near_x, near_y = far_x.astype(float) - 1e6, far_y.astype(float) + 1e6
    assert_same_diagnosis(diagnose(far_x, far_y, CLASSES, method=method),
                          diagnose(near_x, near_y, CLASSES, method=method))


def test_predicted_scores_are_the_same_in_any_units():
    real = X[:, :2] + Y[:, :2]
    for columns, kind in ((np.eye(2)[CLASSES], "class"), (real, "real")):
        expected = predict_scores(X, Y, columns, k=2, kind=kind)
        variants = [(a * X, b * Y, columns) for a, b in FACTORS] + [(X + 1e6, Y - 1e6, columns)]
        variants += [(X, Y, 1e-18 * real), (X, Y, real + 1e6)] if kind == "real" else []
        for x, y, t in variants:
            found = predict_scores(x, y, t, k=2, kind=kind)
            for ours, theirs in zip(found.scores + found.gain_over_single,
                                    expected.scores + expected.gain_over_single, strict=True):
                # Adding 1e6 rounds the data themselves, to 1e-10.
                np.testing.assert_allclose([ours.value, ours.low, ours.high], [theirs.value, theirs.low, theirs.high],
                                           rtol=1e-8, atol=1e-9)
        mixed = predict_scores(X * UNITS_X, Y * UNITS_Y, columns, k=2, kind=kind)
        for name in ("CA", "x", "y", "x and y"):  # CP depends on the units of what is predicted
            assert mixed.score(name).value == pytest.approx(expected.score(name).value, rel=1e-8)


# The estimators


def test_estimators_are_the_same_in_any_units():
    ca = pj.CrossAlignment(2).fit(X, Y)
    np.testing.assert_allclose(ca.spectrum_[:3], RIGHT[plain], atol=6e-5)
    cp, joint = pj.CrossPrediction(2).fit(X, Y), pj.JointAlignmentPrediction(2, lam=0.7).fit(X, Y)
    for a, b in [*FACTORS, (UNITS_X, 1.0)]:
        scaled = pj.CrossAlignment(2).fit(a * X, b * Y)
        close(scaled.spectrum_, ca.spectrum_)
        close(scaled.transform(a * X, b * Y), ca.transform(X, Y), atol=1e-8)
        scaled = pj.CrossPrediction(2).fit(a * X, b * Y)
        close(scaled.predict(a * X), b * cp.predict(X), atol=1e-8 * b)
        close(scaled.transform(a * X, b * Y), cp.transform(X, Y), atol=1e-8)
        scaled = pj.JointAlignmentPrediction(2, lam=0.7 * b**2).fit(a * X, b * Y)
        close(scaled.predict(a * X), b * joint.predict(X), atol=1e-8 * b)
    close(pj.CrossAlignment(2).fit(X * UNITS_X, Y * UNITS_Y).spectrum_, ca.spectrum_)


@pytest.mark.parametrize("units", [1.0, 1e-17, UNITS_Y])
def test_codes_of_the_target_are_least_squares(units):
    y = Y * units
    found = pj.CrossPrediction(2).fit(X, y)
    codes, of_target = found.transform(X, y)
    standard = (Y - Y.mean(0)) / Y.std(0)
    close(of_target, standard @ np.linalg.lstsq(standard, codes, rcond=None)[0], atol=1e-9)


def test_canonical_correlations_of_singular_covariances_in_units_of_their_own():
    copied = np.c_[X, X[:, 0] + X[:, 1]]
    units = np.r_[UNITS_X, 1e-4]
    with jax.enable_x64(True):
        found = [np.asarray(pj.linear.canonical_correlations(pj.linear.covariances_from_samples(
            copied * scale, Y, centre=True), singular=True)) for scale in (1.0, units)]
    close(found[1], found[0])
    np.testing.assert_allclose(found[0][:3], RIGHT[plain], atol=6e-5)


def test_covariances_are_centred_before_a_cast_to_float32():
    far = pj.linear.covariances_from_samples(X + 1e6, Y - 1e6, centre=True)
    assert far.xx.dtype == np.float32
    np.testing.assert_allclose(far.xy, np.cov(X.T, Y.T, bias=True)[:6, 6:], rtol=1e-5, atol=1e-6)


# Similarity


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_similarity_is_the_same_in_any_units(distance):
    find = partial(compare_representations, distance=distance, permutations=19, resamples=20)
    expected = find(X[:200], Y[:200])
    for a, b in FACTORS:
        found = find(a * X[:200], b * Y[:200])
        for name, theirs in expected.metrics.items():
            ours = found.metrics[name]
            np.testing.assert_allclose([ours.value, ours.null_mean, ours.p_value, ours.low, ours.high],
                                       [theirs.value, theirs.null_mean, theirs.p_value, theirs.low, theirs.high],
                                       rtol=1e-9, atol=1e-12, err_msg=name)


def test_similarity_of_columns_in_units_of_their_own():
    with jax.enable_x64(True):
        for metric in (pj.similarity.mean_canonical_correlation,
                       partial(pj.similarity.svcca, components=3, standardise=True)):
            close(metric(X * UNITS_X, Y * UNITS_Y), metric(X, Y))
        np.testing.assert_allclose(pj.similarity.mean_canonical_correlation(X * UNITS_X, Y * UNITS_Y),
                                   correlations(X, Y).mean(), rtol=1e-9)


@pytest.mark.parametrize("name", [name for name in METRICS if name not in ("cknna",) and "knn" not in name])
def test_similarity_of_means_far_from_zero_bound_for_float32(name):
    """Without 64 bits the metrics compute in float32, but not before the means are gone; nor do tiny units vanish."""
    expected = float(METRICS[name](X, Y))
    assert float(METRICS[name](X + 1e7, Y - 1e7)) == pytest.approx(expected, rel=2e-5)
    assert float(METRICS[name](1e-60 * X, 1e60 * Y)) == pytest.approx(expected, rel=2e-5)


def test_neighbours_of_means_far_from_zero_bound_for_float32():
    for metric in (pj.similarity.mutual_knn, pj.similarity.cknna):
        assert float(metric(X + 1e7, Y, distance="euclidean")) == pytest.approx(
            float(metric(X, Y, distance="euclidean")), rel=1e-5)


# One row far from all others


@pytest.mark.parametrize("size", [1e3, 1e10])
def test_a_far_row_leaves_neighbours_and_gaussian_kernels_of_the_others(size):
    x = X[:200].copy()
    x[7] = size
    options = {"permutations": 19, "resamples": 10}
    with jax.enable_x64(True):
        for name in ("cka_rbf", "mutual_knn", "lcs_knn"):
            more = options if name == "cka_rbf" else options | {"distance": "euclidean"}
            found = compare_representations(x, Y[:200], metrics=[name], **more).metrics[name]
            without = compare_representations(X[:200], Y[:200], metrics=[name], **more).metrics[name]
            assert found.value == pytest.approx(without.value, abs=0.03), name


@pytest.mark.parametrize("method", ["moments", "spectral"])
def test_a_far_row_leaves_numbers_finite(method):
    x = X.copy()
    x[7] = 1e6
    found = diagnose(x, Y, CLASSES, method=method)
    assert np.isfinite(found.ca.values).all()
    assert np.isfinite(found.cp.values).all()
    np.testing.assert_allclose(found.ca.values, correlations(x, Y), atol=1e-6)
    if method == "moments":  # y has no far row
        assert found.predicted_scores.score("y").value == pytest.approx(
            diagnose(X, Y, CLASSES, method="moments").predicted_scores.score("y").value, rel=1e-9)


# Wide views


def test_wide_views_give_what_their_coordinates_give():
    """70 and 90 columns of 30 rows, turned to 30 coordinates by an SVD here, with copies of a row and a far row."""
    rng = np.random.default_rng(3)
    _, x, y = linear(rng, 30, 2, 90, 70, 0.5)
    x, y = x + 100.0, y - 3.0
    x[4], x[20:22], y[11:13] = x[5], x[2], y[1]
    y[7] *= 1e3
    turned = [left * values for left, values, _ in (np.linalg.svd(view, full_matrices=False) for view in (x, y))]
    turned[0][4], turned[0][20:22], turned[1][11:13] = turned[0][5], turned[0][2], turned[1][1]
    find = partial(compare_representations, k=4, distance="euclidean", permutations=19, resamples=9)
    metrics = {name: found for name, found in find(x, y).metrics.items() if "unbiased" not in name}
    expected = find(*turned, metrics=list(metrics)).metrics
    assert len(metrics) == 9
    for name, ours in metrics.items():
        theirs = expected[name]
        np.testing.assert_allclose([ours.value, ours.null_mean, ours.p_value, ours.low, ours.high],
                                   [theirs.value, theirs.null_mean, theirs.p_value, theirs.low, theirs.high],
                                   rtol=1e-6, atol=1e-9, err_msg=name)
    c, d = (view - view.mean(0) for view in (x, y))
    r, s = (view @ view.T / np.outer(*[np.linalg.norm(view, axis=1)] * 2) for view in (c, d))
    distance = 1 - np.sum(r * s) / np.linalg.norm(r) / np.linalg.norm(s)
    assert metrics["correlation_matrix_distance"].value == pytest.approx(distance, rel=1e-9)
    by_angle = compare_representations(x, y, metrics=["mutual_knn"], k=4, permutations=1, resamples=1)
    turned = compare_representations(*turned, metrics=["mutual_knn"], k=4, permutations=1, resamples=1)
    assert by_angle.metrics["mutual_knn"].value == turned.metrics["mutual_knn"].value


WIDE = """
import phasejax as pj
from benchmarks.report import peak_memory
from tests.test_units import wide
x, y = wide()
found = pj.similarity.compare_representations(x, y, permutations=19, resamples=9)
values = {name: metric.value for name, metric in found.metrics.items()}
direct = {name: float(getattr(pj.similarity, name)(x, y)) for name in ("cka", "correlation_matrix_distance", "svcca")}
print(values["cka"], values["correlation_matrix_distance"], direct["cka"], direct["correlation_matrix_distance"],
      peak_memory() / 2**30, len(values))
"""


@pytest.mark.slow
def test_twenty_thousand_columns_a_side_take_under_2_gb():
    # Compiled as tests are, which takes a third of the time and no less memory.
    done = subprocess.run([sys.executable, "-c", WIDE], check=True, capture_output=True, text=True, cwd=ROOT,
                          env=os.environ | {"PYTHONPATH": str(ROOT)})
    cka, distance, direct_cka, direct_distance, gib, count = map(float, done.stdout.split())
    assert cka == pytest.approx(0.99977, abs=6e-6)
    assert direct_cka == pytest.approx(0.99977, abs=6e-6)
    assert distance == pytest.approx(2.012e-4, abs=6e-8)
    assert direct_distance == pytest.approx(2.012e-4, abs=6e-8)
    assert count == 11  # all but the mean canonical correlation, which needs more rows than columns
    assert gib < 2
