"""Checks of arguments: what passes, and what is said about the rest."""

import jax
import numpy as np
import pytest

from phasejax._core.validation import check_among, check_choice, check_count, is_traced


@pytest.mark.parametrize("value", [1, np.int32(7), np.array(3), True])
def test_counts_are_whole_numbers_from_1(value):
    check_count("seeds", value)


@pytest.mark.parametrize(("value", "shown"), [(0, "0"), (-1, "-1"), (2.0, "2.0"), ("3", "3"), (None, "None"),
                                              (np.array([1, 2]), r"\[1 2\]")])
def test_what_is_no_count_is_refused(value, shown):
    with pytest.raises(ValueError, match=rf"^seeds: expected a whole number of at least 1, got {shown}$"):
        check_count("seeds", value)


def test_names_are_among_those_known():
    known = {"cka": 1, "svcca": 2}
    check_choice("metric", "cka", known)
    check_among("metrics", ["svcca", "cka"], known)
    check_among("metrics", [], known)
    with pytest.raises(ValueError, match=r"^metric: expected one of cka, svcca, got 'knn'$"):
        check_choice("metric", "knn", known)
    with pytest.raises(ValueError, match=r"^metrics: expected one of cka, svcca, got 'knn'$"):
        check_among("metrics", ("cka", "knn", "other"), iter(known))


def test_only_values_inside_transformations_are_traced():
    seen = []

    def function(x):
        seen.append(is_traced(1.0, x))
        return x

    assert not is_traced(1.0, np.ones(2), jax.numpy.ones(2))
    function(1.0)
    jax.jit(function)(1.0)
    jax.grad(function)(1.0)
    jax.vmap(function)(np.ones(2))
    assert seen == [False, True, True, True]
