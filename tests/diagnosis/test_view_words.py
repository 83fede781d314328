"""What x and y are called in an answer: as they are, in principal components, or without confounders."""

from dataclasses import replace

import numpy as np
import pytest

from phasejax.diagnosis._confounders import RemovedConfounders
from phasejax.diagnosis._reduced_views import reduced_views
from phasejax.diagnosis._view_words import components_of, view_words


def warning(view, k):
    return f"{view}: 30 columns reduced to {k} principal components with 40 % of the variance"


@pytest.mark.parametrize(("components", "x", "together", "label", "whole"), [
    ({}, "x as it is", "x and y side by side", "x, all columns", ("all columns",) * 3),
    ({"x": 4, "y": 4}, "4 principal components of x", "4 principal components of each view side by side",
     "x, 4 components", ("all components",) * 3),
    ({"x": 4, "y": 7}, "4 principal components of x",
     "4 principal components of x beside 7 principal components of y", "x, 4 components", ("all components",) * 3),
    ({"y": 7}, "x as it is", "x beside 7 principal components of y", "x, all columns",
     ("all columns", "all components", "all columns and components"))])
def test_words_say_what_was_scored(saved_decision, components, x, together, label, whole):
    found = view_words(replace(saved_decision, warnings=tuple(warning(*one) for one in components.items())))
    assert (found.actions["x"], found.actions["x and y"], found.labels["x"]) == (x, together, label)
    assert tuple(found.whole[name] for name in ("x", "y", "x and y")) == whole
    assert set(found.actions) == set(found.labels)


def test_the_answer_of_components_and_residuals(saved_decision):
    found = replace(saved_decision, warnings=(warning("x", 4), warning("y", 4)))
    text = found.summary()
    for words in ("4 principal components of each view side by side, R2", "more than all components",
                  "Only x at hand       4 principal components of x, R2"):
        assert words in text
    assert "as it is" not in text
    assert "all columns" not in text
    removed = RemovedConfounders(("position",), (0,), 1, 298, 0.4, 0.3, 0.1, 0)
    found = replace(saved_decision, confounders=removed)
    assert "x and y without confounders side by side, R2" in found.verdict
    assert "as it is" not in found.summary()


def test_components_are_read_from_what_a_diagnosis_says():
    x = np.random.default_rng(0).normal(size=(40, 50))
    (a, b), _, notes = reduced_views(x, x[:, :3], units=40, pca=None)
    assert components_of(notes) == {"x": a.shape[1]}
    assert a.shape[1] < 50
    assert b.shape[1] == 3
