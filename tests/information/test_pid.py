"""Partial information: published values of gates, brute force, and sums written otherwise."""

import itertools

import numpy as np
import pytest
import scipy.optimize

from phasejax.information import PartialInformation, decompose, mutual_information, pair_table
from tests.information.conftest import kl_information

BIT = np.log(2)
AND = 1.5 - 0.75 * np.log2(3)  # redundancy of the AND gate in bits; I(x, y; t) = h(1/4) = 0.811


def table_of(function, states):
    """Equally likely (x, y, t) triples, counted."""
    triples = [(x, y, function(x, y)) for x, y in states]
    table = np.zeros(tuple(max(column) + 1 for column in zip(*triples, strict=True)))
    for triple in triples:
        table[triple] += 1 / len(triples)
    return table


BOTH = list(itertools.product((0, 1), repeat=2))
# The table of each gate, and its redundancy, unique x, unique y and synergy in bits: by BROJA (Bertschinger et al.
# 2014), then by I_min (Williams and Beer 2010).
GATES = {
    "AND": (table_of(lambda x, y: x & y, BOTH), (AND, 0, 0, 0.5), (AND, 0, 0, 0.5)),
    "XOR": (table_of(lambda x, y: x ^ y, BOTH), (0, 0, 0, 1), (0, 0, 0, 1)),
    "COPY": (table_of(lambda x, y: 2 * x + y, BOTH), (0, 1, 1, 0), (1, 0, 0, 1)),
    "RDN": (table_of(lambda x, y: x, [(0, 0), (1, 1)]), (1, 0, 0, 0), (1, 0, 0, 0)),
    "UNQ": (table_of(lambda x, y: x, BOTH), (0, 1, 0, 0), (0, 1, 0, 0)),
    "RDNXOR": (table_of(lambda x, y: 2 * (x // 2) + (x ^ y) % 2,
                        [(2 * r + a, 2 * r + b) for r, a, b in itertools.product((0, 1), repeat=3)]),
               (1, 0, 0, 1), (1, 0, 0, 1)),
}


def values(parts):
    return np.array([parts.redundancy, parts.unique_x, parts.unique_y, parts.synergy])


@pytest.mark.parametrize("name", GATES)
def test_gates_have_their_published_parts(name):
    table, broja, imin = GATES[name]
    found = decompose(table, tolerance=1e-9)
    np.testing.assert_allclose(values(found) / BIT, broja, atol=1e-7)
    assert -1e-12 <= found.gap < 1e-7
    np.testing.assert_allclose(values(decompose(table, measure="imin")) / BIT, imin, atol=1e-12)
    swapped = values(decompose(table.transpose(1, 0, 2), tolerance=1e-9))
    np.testing.assert_allclose(swapped[[0, 2, 1, 3]] / BIT, broja, atol=1e-7)


def brute_force(table):
    """Two binary modalities: given t the tables with its marginals have one parameter each."""
    square = np.array([[1.0, -1.0], [-1.0, 1.0]])
    low = [-min(table[0, 0, t], table[1, 1, t]) for t in (0, 1)]
    high = [min(table[0, 1, t], table[1, 0, t]) for t in (0, 1)]

    def moved(shift):
        return kl_information(np.maximum(table + square[:, :, None] * np.asarray(shift), 0))

    return scipy.optimize.differential_evolution(moved, list(zip(low, high, strict=True)), seed=0, tol=1e-12).fun


def test_the_optimum_is_that_of_brute_force():
    rng = np.random.default_rng(0)
    for _ in range(4):
        table = rng.dirichlet(np.full(8, 0.5)).reshape(2, 2, 2)
        found = decompose(table, tolerance=1e-9)
        least = brute_force(table)
        assert found.redundancy + found.unique_x + found.unique_y == pytest.approx(least, abs=1e-7)
        assert found.total == pytest.approx(kl_information(table), abs=1e-10)
        assert found.redundancy + found.unique_x == pytest.approx(
            kl_information(table.sum(1, keepdims=True)), abs=1e-10)


def test_parts_are_those_of_the_values_not_of_their_names():
    """Permuted values, a value split in two halves and one that never occurs change nothing."""
    rng = np.random.default_rng(1)
    table = rng.dirichlet(np.full(24, 0.5)).reshape(3, 2, 4)
    expected = values(decompose(table))
    changed = np.concatenate([0.5 * table[[1]], table[[2, 0]], 0.5 * table[[1]], 0 * table[[0]]])[:, ::-1, [3, 1, 0, 2]]
    np.testing.assert_allclose(values(decompose(changed)), expected, atol=1e-6)
    np.testing.assert_allclose(values(decompose(changed, measure="imin")), values(decompose(table, measure="imin")),
                               atol=1e-12)


def test_rows_that_tell_nothing_have_no_parts():
    table = np.einsum("xy,t->xyt", np.full((2, 3), 1 / 6), [0.3, 0.7])
    for measure in ("broja", "imin"):
        np.testing.assert_allclose(values(decompose(table, measure=measure)), 0, atol=1e-12)


@pytest.mark.parametrize(("table", "message"), [
    (np.full((2, 2, 2), 0.2), "table: expected probabilities that sum to 1, got a sum of 1.6"),
    (np.array([[[1.5, -0.5]]]), "table: expected probabilities of at least 0, got -0.5"),
    (np.array([[[np.nan, 1.0]]]), "table: expected probabilities of at least 0, got nan"),
])
def test_bad_tables_are_refused(table, message):
    with pytest.raises(ValueError, match=message):
        decompose(table)
    with pytest.raises(ValueError, match="tolerance: expected none with measure 'imin', which is exact, got 1e-05"):
        decompose(np.full((2, 2, 2), 0.125), measure="imin", tolerance=1e-5)
    with pytest.raises(ValueError, match="measure: expected one of broja, imin, got 'pm'"):
        decompose(np.ones((1, 1, 1)), measure="pm")


def test_redundancy_moves_the_parts(models):
    parts = {r: decompose(pair_table(models[r]), tolerance=1e-5) for r in (0, 4, 8)}
    for r, found in parts.items():
        exact = mutual_information(models[r])
        assert found.total == pytest.approx(1.159, abs=1e-9)
        assert found.redundancy + found.unique_x == pytest.approx(exact.x, abs=1e-9)
        assert abs(found.gap) < 3e-5
    assert parts[0].redundancy < parts[4].redundancy < parts[8].redundancy == pytest.approx(1.159, abs=1e-9)
    assert parts[0].synergy > parts[4].synergy > parts[8].synergy
    # Even independent modalities have some by this definition: the label couples them (mechanistic redundancy).
    assert parts[0].redundancy > 0.05


def test_a_table_of_one_entry_tells_nothing():
    found = decompose(np.ones((1, 1, 1)))
    assert isinstance(found, PartialInformation)
    assert found.total == 0
