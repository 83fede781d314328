"""The logistic regression that reads classes from a pilot's outputs."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from phasejax.diagnosis import _linear_readout
from phasejax.diagnosis._linear_readout import logistic_classes

RNG = np.random.default_rng(0)
CENTRES = np.array([[0.0, 0, 0], [1, 0.4, 0], [0.2, 1, 0.3]])
CLASSES = np.repeat([0, 1, 2], [30, 20, 10])
Z = CENTRES[CLASSES] + RNG.standard_normal((60, 3)) @ np.diag([1.0, 0.3, 2.0]) + [0.0, 5.0, -3.0]
HELD_OUT = CENTRES[RNG.integers(0, 3, 2000)] + RNG.standard_normal((2000, 3)) @ np.diag([1.0, 0.3, 2.0]) + [0.0, 5, -3]


def by_definition(z, classes, held_out, c=0.1):
    """The documented formula, minimised by a general method; gradients by differences."""
    mean, scale = z.mean(0), z.std(0)
    z, held_out = (z - mean) / scale, (held_out - mean) / scale

    def objective(values):
        w, b = values[:9].reshape(3, 3), values[9:]
        return -log_softmax(z @ w + b, 1)[np.arange(len(z)), classes].sum() + (w**2).sum() / (2 * c)

    found = minimize(objective, np.zeros(12), method="L-BFGS-B", options={"maxfun": 10**5}).x
    return (held_out @ found[:9].reshape(3, 3) + found[9:] - np.log(np.bincount(classes))).argmax(1)


def test_classes_are_those_of_the_formula():
    found = logistic_classes(Z, CLASSES, HELD_OUT)
    assert np.mean(found != by_definition(Z, CLASSES, HELD_OUT)) < 0.003  # rows on a boundary
    for other in (1.0, 0.01):
        assert np.mean(found != by_definition(Z, CLASSES, HELD_OUT, other)) > 0.01


@pytest.mark.parametrize(("of", "by"), [(1e12, 0.0), (1e-12, 0.0), (1.0, 1e3)])
def test_units_and_origins_change_nothing(of, by):
    np.testing.assert_array_equal(logistic_classes(of * Z + by, CLASSES, of * HELD_OUT + by),
                                  logistic_classes(Z, CLASSES, HELD_OUT))


def test_a_constant_column_counts_for_nothing_and_a_single_class_is_guessed():
    wide = [np.c_[rows, np.full(len(rows), 7.0)] for rows in (Z, HELD_OUT)]
    np.testing.assert_array_equal(logistic_classes(wide[0], CLASSES, wide[1]), logistic_classes(Z, CLASSES, HELD_OUT))
    assert logistic_classes(Z, np.full(60, 4), HELD_OUT[:3]).tolist() == [4, 4, 4]


def test_a_rare_class_counts_like_any_other():
    """One in twenty, two standard deviations off: half way between the centres 0.84 of both would be told apart."""
    rng = np.random.default_rng(0)
    classes = np.arange(400) % 20 == 0
    z, held_out = (rng.standard_normal((400, 2)) + 2 * classes[:, None] * [1, 0] for _ in range(2))
    right = logistic_classes(z, classes.astype(int), held_out) == classes
    assert min(right[classes].mean(), right[~classes].mean()) > 0.65  # rare ones' standard error is 0.08


def test_of_many_rows_some_of_every_class_are_taken(monkeypatch):
    monkeypatch.setattr(_linear_readout, "_MOST_ROWS", 12)
    by_class = np.repeat([0, 1, 2], [6, 4, 2])
    taken = np.concatenate([np.flatnonzero(by_class == c) * 5 for c in range(3)])
    shuffled = np.random.default_rng(1).permutation(60)
    np.testing.assert_array_equal(logistic_classes(Z[taken], by_class, HELD_OUT),
                                  logistic_classes(Z, CLASSES, HELD_OUT))
    assert set(logistic_classes(Z[shuffled], CLASSES[shuffled], HELD_OUT)) == {0, 1, 2}
