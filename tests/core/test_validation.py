"""Checks of arguments: what passes, and what is said about the rest."""

import jax
import numpy as np
import pytest

from phasejax._core.validation import (
    check_among,
    check_choice,
    check_confidence,
    check_count,
    check_key,
    check_number,
    check_seed,
    is_traced,
)


@pytest.mark.parametrize("value", [1, np.int32(7), np.array(3)])
def test_counts_are_whole_numbers_from_1(value):
    found = check_count("seeds", value)
    assert type(found) is int
    assert found == value


@pytest.mark.parametrize(("value", "shown"), [(0, "0"), (-1, "-1"), (2.0, "2.0"), (True, "True"), ("3", "'3'"),
                                              (None, "None"), (np.array([1, 2]), r"\[1 2\]")])
def test_what_is_no_count_is_refused(value, shown):
    with pytest.raises(ValueError, match=rf"^seeds: expected a whole number of at least 1, got {shown}$"):
        check_count("seeds", value)


def test_a_long_value_is_cut_to_one_line():
    with pytest.raises(ValueError, match=r"^seeds: expected a whole number from 2 to 9, got \[\[0\. .{40,60}\.\.\.$"):
        check_count("seeds", np.zeros((30, 30)), 2, 9)


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.array(0.5), jax.numpy.array(0.5), np.float16(0.5)])
def test_numbers_come_out_as_pythons_own(value):
    assert type(check_number("ridge", value)) is float
    assert check_confidence(value) == 0.5


@pytest.mark.parametrize("value", [None, "0.9", np.nan, 1.0, 0.4, np.array([0.9]), 10**400, 0.9j])
def test_what_is_no_level_is_refused(value):
    with pytest.raises(ValueError, match=r"^confidence: expected a number of at least 0\.5 and below 1, got "):
        check_confidence(value)


def test_seeds_have_64_bits_and_all_of_them_count():
    assert check_seed("seed", np.uint64(2**64 - 1)) == 2**64 - 1
    keys = [jax.random.key_data(check_key("key", seed)).tolist() for seed in (0, np.int64(5), 2**32, 2**64 - 1)]
    assert keys == [[0, 0], [0, 5], [1, 0], [2**32 - 1, 2**32 - 1]]
    for value in (-1, 2**64, 1.5, "a", None, [1, 2]):
        with pytest.raises(ValueError, match=r"^seed: expected a whole number from 0 to 2\^64 - 1, got "):
            check_seed("seed", value)
        with pytest.raises(ValueError, match=r"^key: expected a random key or a whole number from 0 to 2\^64 - 1, "):
            check_key("key", value)


def test_keys_are_taken_as_they_are():
    expected = jax.random.key_data(jax.random.key(3)).tolist()
    for key in (jax.random.key(3), jax.random.PRNGKey(3)):
        assert jax.random.key_data(check_key("key", key)).tolist() == expected
        assert jax.random.key_data(jax.jit(lambda key: check_key("key", key))(key)).tolist() == expected
    assert jax.random.key_data(jax.jit(lambda seed: check_key("key", seed))(3)).tolist() == expected
    with pytest.raises(ValueError, match=r"^key: expected a random key or"):
        check_key("key", jax.random.split(jax.random.key(0)))


def test_names_are_among_those_known():
    known = {"cka": 1, "svcca": 2}
    check_choice("metric", "cka", known)
    check_among("metrics", ["svcca", "cka"], known)
    check_among("metrics", [], known)
    with pytest.raises(ValueError, match=r"^metric: expected one of cka, svcca, got 'knn'$"):
        check_choice("metric", "knn", known)
    for value in (None, ["cka"], np.array(["cka"]), 3):
        with pytest.raises(ValueError, match=r"^metric: expected one of cka, svcca, got "):
            check_choice("metric", value, known)
    with pytest.raises(ValueError, match=r"^metrics: expected one of cka, svcca, got 'knn'$"):
        check_among("metrics", ("cka", "knn", "other"), iter(known))
    for value in ("cka", None, 3):
        with pytest.raises(ValueError, match=r"^metrics: expected a list of names out of cka, svcca, got "):
            check_among("metrics", value, known)


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
