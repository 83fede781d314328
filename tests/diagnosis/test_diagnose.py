"""Diagnosis by the published method, and what both methods refuse."""

import json
import pickle
from functools import partial

import numpy as np
import pytest

import phasejax
from phasejax import Regime
from phasejax.datasets import load_digit_halves
from phasejax.io import InputNote

diagnose = partial(phasejax.diagnose, method="spectral")


def separable(n=400, nuisance=0.0, scale_y=1.0, seed=0):
    """Two shared signals, three nuisance coordinates with correlation `nuisance`, variance scale_y^2 in y."""
    rng = np.random.default_rng(seed)
    s, u = 2 * rng.standard_normal((n, 2)), rng.standard_normal((n, 3))
    v = nuisance * u + np.sqrt(1 - nuisance**2) * rng.standard_normal((n, 3))
    x = np.c_[s + 0.3 * rng.standard_normal((n, 2)), u]
    return x, np.c_[s + 0.3 * rng.standard_normal((n, 2)), scale_y * v], s


@pytest.mark.parametrize(("nuisance", "scale_y", "expected"), [
    (0.2, 1.0, Regime.BOTH), (0.8, 20.0, Regime.CA_ONLY), (0.9999, 0.5, Regime.CP_ONLY),
    (0.9999, 20.0, Regime.NEITHER)])
def test_each_regime_is_found(nuisance, scale_y, expected):
    found = diagnose(*separable(nuisance=nuisance, scale_y=scale_y))
    assert found.regime is expected
    first = {Regime.BOTH: "Align or predict", Regime.CA_ONLY: "Align:", Regime.CP_ONLY: "Predict y from x:",
             Regime.NEITHER: ("Predict x from y", "Keep a single")}[expected]
    assert found.recommendation.startswith(first)
    assert found.recommendation.endswith(".")


def test_parameters_are_estimated():
    found = diagnose(*separable(n=20_000, nuisance=0.5))
    assert found.kappa == pytest.approx(2.0, rel=0.03)
    assert found.nu == pytest.approx(0.5, abs=0.02)
    assert found.gamma_x == pytest.approx(0.09, abs=0.05)
    assert found.nuisance_y == pytest.approx(1.0, rel=0.05)


def test_digit_halves():
    x, y, labels = load_digit_halves()
    assert (len(x), len(np.unique(labels))) == (1797, 10)
    found = diagnose(x, y, labels)
    assert found.label_columns == 10
    # Leading correlations of the raw halves, from an independent CCA.
    from sklearn.cross_decomposition import CCA
    u, v = CCA(n_components=2, max_iter=5000).fit_transform(x, y)
    reference = [np.corrcoef(u[:, i], v[:, i])[0, 1] for i in range(2)]
    np.testing.assert_allclose(found.ca.values[:2], reference, atol=0.01)


def test_integer_float_and_text_classes_are_one_and_the_same():
    x, y, s = separable()
    classes = (s[:, 0] > 0).astype(int)
    numbers = diagnose(x, y, classes)
    text = diagnose(x, y, np.array(["no", "yes"])[classes])
    forced = diagnose(x, y, classes.astype(float), label_kind="class")
    for other in (text, forced, diagnose(x, y, classes.astype(bool)), diagnose(x, y, classes[:, None])):
        np.testing.assert_allclose(other.ca.r2, numbers.ca.r2)
    assert diagnose(x, y, classes, label_kind="real").label_columns == 1


def test_float32_and_integer_views_are_accepted():
    x, y, s = separable()
    assert diagnose(x.astype(np.float32), y, s).delta_ca == pytest.approx(diagnose(x, y, s).delta_ca, rel=1e-4)
    diagnose(np.round(10 * x).astype(int), y, s)


def test_json_is_valid_and_complete():
    found = diagnose(*separable())
    read = json.loads(found.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert read["regime"] == "Both"
    assert read["ca"]["is_signal"][:2] == [True, True]
    assert read["delta_cp"] == found.delta_cp
    assert set(read) >= {"delta_ca", "r_ca", "kappa", "nu", "gamma_x", "nuisance_y", "recommendation", "warnings"}


def test_infinite_ratios_survive_json():
    rng = np.random.default_rng(0)
    s = rng.standard_normal((50, 1))
    found = diagnose(s + 0.1 * rng.standard_normal((50, 1)), s + 0.1 * rng.standard_normal((50, 1)), s)
    assert found.delta_ca == np.inf  # one component, and it is signal: no nuisance is left
    assert json.loads(found.to_json())["delta_ca"] == "inf"


def test_a_diagnosis_can_be_pickled():
    found = diagnose(*separable())
    assert pickle.loads(pickle.dumps(found)).to_json() == found.to_json()


def test_labels_that_nothing_predicts():
    x, y, _ = separable()
    found = diagnose(x, y, np.random.default_rng(5).standard_normal(len(x)))
    assert found.regime in (Regime.NEITHER, Regime.CA_ONLY, Regime.CP_ONLY, Regime.BOTH)
    with pytest.warns(InputNote, match=r"labels: (\d+ different integers, read as classes|left out classes with)"):
        found = diagnose(x, y, np.random.default_rng(1).integers(0, 200, len(x)))
    assert any("predicts the labels" in warning for warning in found.warnings) or found.ca.r2.max() < 0.1


def test_few_rows_are_warned_about():
    x, y, s = separable(n=9)
    assert any("some canonical correlations are 1 by construction" in w for w in diagnose(x, y, s).warnings)
    x, y, s = separable(n=60)
    assert any("below 10 (d_x + d_y)" in w for w in diagnose(x, y, s).warnings)
    assert not diagnose(*separable()).warnings


X, Y, L = separable(n=40)


def spoiled(array, **cells):
    array = array.copy()
    for value, index in cells.values():
        array[index] = value
    return array


@pytest.mark.parametrize(("x", "y", "labels", "message"), [
    (X, Y[:-1], L, "y: expected 40 rows as in x, got 39"),
    (spoiled(X, a=(np.nan, (7, 1)), b=(np.inf, (9, 0))), Y, L,
     "x: expected finite values, got 2 that are NaN or infinite, the first in row 7"),
    (X, spoiled(Y, a=(-np.inf, (0, 0))), L, "y: expected finite values, got 1 .* the first in row 0"),
    (X[:1], Y[:1], L[:1], "x: expected at least 2 rows, got 1"),
    (0 * X, Y, L, "x: expected columns that vary, got 5 constant"),
    (X[:, 0], Y, L, r"x: expected two dimensions \(rows, columns\), got shape \(40,\)"),
    (X[:, :0], Y, L, "x: expected at least 1 column"),
    (X.astype(object) + 0j, Y, L, r"x: expected numbers or text, got objects \(complex\)"),
    (X.astype(complex), Y, L, "x: expected numbers, got dtype complex128"),
    (X, Y, L[:-1], "labels: expected 40 rows, one for each labelled row of x, got 39"),
    (X, Y, np.r_[np.arange(40) % 2, np.arange(40)], "labels: expected 40 rows, one for each labelled row of x, got 80"),
    (X, Y, np.array([]), r"labels: expected shape \(40,\) or \(40, L\), got \(0,\)"),
    (X, Y, np.zeros((40, 2, 2)), "labels: expected shape"),
    (X, Y, np.zeros(40, int), "labels: expected at least 2 classes, got only 0"),
    (X, Y, np.array(["a"] * 40), "labels: expected at least 2 classes, got only a"),
    (X, Y, np.ones(40), "labels: expected columns that vary, got a constant in column 0"),
    (X, Y, np.arange(40), "labels: expected classes with several members, got 40 classes in 40 rows"),
    (X, Y, np.array(["", ""] * 20), "labels: expected some that are not missing, got none"),
    (X, Y, np.array(["a", {}] * 20, object), "labels: expected numbers or text, got objects"),
    (X, Y, spoiled(L, a=(np.inf, (3, 0))), "labels: expected finite values, got 1 .* the first in row 3"),
    (X, Y, np.array([["a", "b"]] * 40), "labels: expected real numbers, got text"),
])
@pytest.mark.parametrize("method", ["content", "moments", "spectral"])
def test_bad_input_is_refused_in_one_line(x, y, labels, message, method):
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        phasejax.diagnose(x, y, labels, method=method)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", ["content", "moments", "spectral"])
def test_columns_that_others_determine_are_left_out_with_a_warning(method):
    """A constant, a difference of two columns and a one-hot block that sums to one: the answer is that without them."""
    x, y, s = separable(n=120)
    block = np.eye(3)[np.random.default_rng(0).integers(0, 3, 120)]
    options = {"method": method} | ({} if method == "spectral" else {"predicted_scores": False})
    told = []
    plain = phasejax.diagnose(np.c_[x, block[:, :2]], y, s, **options, progress=lambda *report: told.append(report))
    if method == "content":  # one task, in steps of about equal times, which its parts have in parentheses
        assert [task for task, _, _ in told] == ["diagnosis (is anything shared)", "diagnosis (label content)",
                                                 "diagnosis (moments of a spiked model)", "diagnosis"]
        assert [done / total for _, done, total in told] == pytest.approx([0, 0.045, 0.09, 1], abs=0.01)
    found = phasejax.diagnose(np.c_[x, block, x[:, 0] - x[:, 1]], np.c_[y, np.full(120, 3.0)], s, **options)
    assert any(warning.startswith("x: 2 of 9 columns left out") for warning in found.warnings)
    assert any(warning.startswith("y: 1 of 6 columns left out: 5 does not vary") for warning in found.warnings)
    assert (found.d_x, found.d_y) == (plain.d_x, plain.d_y)
    if method == "content":
        assert found.content.ca[0].value == pytest.approx(plain.content.ca[0].value, abs=1e-6)
    else:
        np.testing.assert_allclose(found.ca.values, plain.ca.values, rtol=1e-6)


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match="method: expected 'content', 'moments' or 'spectral', got 'magic'"):
        diagnose(X, Y, L, method="magic")
    with pytest.raises(ValueError, match="label_kind: expected"):
        diagnose(X, Y, L, label_kind="text")
    with pytest.raises(ValueError, match="labels: expected one column of classes, got 2"):
        diagnose(X, Y, L.astype(int), label_kind="class")


def test_diagnosis_is_public():
    assert phasejax.diagnosis.SpectralDiagnosis is type(diagnose(X, Y, L))
