"""Bits with known information, and its decomposition: analytic values, brute force, sums written otherwise."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from phasejax import information
from phasejax.information import (
    PartialInformation,
    decompose,
    draw_rows,
    estimate_decomposition,
    joint_table,
    mutual_information,
    pair_table,
    shared_unique_bits,
    tanh_network,
)
from phasejax.information._pid_estimate import contingency_table
from phasejax.information._shared_unique_bits import all_bits
from tests.support import ROOT

KEY = jax.random.key(3)
BIT = np.log(2)
AND = 1.5 - 0.75 * np.log2(3)  # redundancy in bits; I(x, y; t) = h(1/4) = 0.811


@pytest.fixture(scope="module")
def models():
    return {r: shared_unique_bits(KEY, r) for r in range(9)}


def table_of(function, states):
    """Equally likely (x, y, t) triples, counted."""
    triples = [(x, y, function(x, y)) for x, y in states]
    table = np.zeros(tuple(max(column) + 1 for column in zip(*triples, strict=True)))
    for triple in triples:
        table[triple] += 1 / len(triples)
    return table


BOTH = list(itertools.product((0, 1), repeat=2))
# Of x, y in bits: redundancy, unique x, unique y, synergy; BROJA (Bertschinger et al. 2014), then I_min (Williams and
# Beer 2010).
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


def kl_information(table):
    """I(x, y; t) as a relative entropy, term by term."""
    return sum(p * np.log(p / (table[x, y].sum() * table[:, :, t].sum()))
               for (x, y, t), p in np.ndenumerate(table) if p > 1e-300)


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
    with pytest.raises(ValueError, match="measure: expected one of broja, imin, got 'pm'"):
        decompose(np.ones((1, 1, 1)), measure="pm")


def test_total_information_is_constant(models):
    found = {r: mutual_information(model) for r, model in models.items()}
    for information_ in found.values():
        assert information_.both == pytest.approx(1.159, abs=1e-5)
    assert found[0].shared == pytest.approx(0, abs=1e-10)
    assert found[8].shared == pytest.approx(1.159, abs=1e-5)
    assert all(np.diff([found[r].shared for r in range(9)]) > 0)
    # Synergy and other sizes change nothing about it either.
    for r, s in ((4, 4), (6, 2), (5, 1)):
        assert mutual_information(shared_unique_bits(KEY, r, synergy=s)).both == pytest.approx(1.159, abs=1e-5)
    alone = mutual_information(shared_unique_bits(KEY, 0, synergy=4, features=4, classes=3, information=0.9))
    assert (alone.both, alone.x, alone.y) == pytest.approx((0.9, 0, 0), abs=1e-9)


def test_information_is_that_of_a_loop_over_states(models):
    """One small model, state by state."""
    model = shared_unique_bits(KEY, 1, synergy=1, features=4, shared=2, unique=2, classes=3, information=0.7)
    joint = np.zeros((2, 2, 2, 2, 2, 2, 3))  # c0 c1 x0 x1 y0 y1
    for bits in itertools.product((0, 1), repeat=6):
        c, x, y = bits[:2], bits[2:4], bits[4:]
        logits = np.array(model.bias, float)
        for part, given in ((model.shared, c), (model.unique_x, x), (model.unique_y, y),
                            (model.synergy, [a ^ b for a, b in zip(x, y, strict=True)])):
            logits = logits + sum(b * w for b, w in zip(given, np.asarray(part), strict=True))
        joint[bits] = np.exp(logits) / np.exp(logits).sum() / 64
    flat = joint.reshape(4, 4, 4, 3)
    found = mutual_information(model)
    expected = [kl_information(t.reshape(-1, 1, 3)) for t in (flat, flat.sum(2), flat.sum(1), flat.sum((1, 2)))]
    np.testing.assert_allclose([found.both, found.x, found.y, found.shared], expected, atol=1e-10)
    assert found.accuracy_x == pytest.approx(flat.sum(2).max(-1).sum())
    np.testing.assert_allclose(flat.sum((0, 1, 2)), 1 / 3, atol=1e-12)
    # The table of the bits that matter tells the same.
    table = pair_table(model)
    assert table.shape == (8, 8, 3)  # one shared bit, and of each modality one of its own and one for the synergy
    assert kl_information(table) == pytest.approx(0.7, abs=1e-9)
    assert kl_information(table.sum(1, keepdims=True)) == pytest.approx(found.x, abs=1e-10)


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


def test_rows_have_the_moments_of_the_model(models):
    model, n = models[4], 200_000
    rows = jax.jit(lambda key, model: draw_rows(key, model, n))(jax.random.key(5), model)
    error = 1 / np.sqrt(n)
    moments = np.asarray(jnp.concatenate([rows.x, rows.y], 1), float)
    expected = np.zeros((24, 24))
    expected[np.arange(24), np.arange(24)] = 0.25
    expected[np.arange(8), 12 + np.arange(8)] = expected[12 + np.arange(8), np.arange(8)] = 0.25
    np.testing.assert_allclose(moments.T @ moments / n, expected, atol=5 * 0.25 * error)
    np.testing.assert_allclose(moments.mean(0), 0, atol=5 * 0.5 * error)
    # Shares of each class given the first shared bit and the last own bits.
    table = joint_table(model).reshape(2**7, 2, 2, 8, 2, 8, 4).mean((0, 3, 5))  # c_0; x_u,3; y_u,3
    bits = (moments[:, [0, 11, 23]] > 0).astype(int)
    for given in itertools.product((0, 1), repeat=3):
        chosen = np.asarray(rows.labels)[(bits == given).all(1)]
        shares = np.bincount(chosen, minlength=4) / len(chosen)
        np.testing.assert_allclose(shares, table[given], atol=5 * 0.5 / np.sqrt(len(chosen)))


def test_synergy_is_drawn_as_it_is_tabulated():
    """p(l | x_u,3, y_u,3), a pair of bits of which neither alone tells anything."""
    model, n = shared_unique_bits(KEY, 0, synergy=4, features=4), 50_000
    rows = draw_rows(jax.random.key(7), model, n)
    table = joint_table(model).reshape(256, 2, 8, 2, 8, 4).mean((0, 2, 4))
    bits = (np.asarray([rows.x[:, 11], rows.y[:, 11]]).T > 0).astype(int)
    for given in itertools.product((0, 1), repeat=2):
        chosen = np.asarray(rows.labels)[(bits == given).all(1)]
        shares = np.bincount(chosen, minlength=4) / len(chosen)
        np.testing.assert_allclose(shares, table[given], atol=5 * 0.5 / np.sqrt(len(chosen)))
    assert np.abs(table[0, 0] - table[0, 1]).max() > 0.1


def test_the_network_is_the_one_written_out():
    net = tanh_network(jax.random.key(1), 2, 3)
    outputs = []
    for bits in itertools.product((-0.5, 0.5), repeat=3):
        h = np.array(bits)
        for layer in range(3):
            h = (np.tanh(h) if layer else h) @ np.asarray(net.weights[layer], float) + np.asarray(net.biases[layer])
        outputs.append(h)
    standard = (outputs - np.mean(outputs, 0)) / np.std(outputs, 0)
    found = net(jnp.array(list(itertools.product((-0.5, 0.5), repeat=3)), jnp.float32))
    np.testing.assert_allclose(found, standard, atol=2e-5)
    assert np.abs(net.weights).max() <= 3**-0.5
    assert all_bits(2).tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]


@pytest.mark.parametrize(("changes", "message"), [
    ({"redundancy": 9}, "redundancy: expected 0 to 8, got 9"),
    ({"redundancy": 2, "synergy": 3}, "synergy: expected 0 or more with the 6 features"),
    ({"redundancy": 2, "information": 1.4}, r"information: expected between 0 and less than log\(4\) nats, got 1.4"),
    ({"redundancy": 2, "information": 0.0}, "information: expected between 0"),
    ({"redundancy": 2, "classes": 1}, "classes: expected a whole number of at least 1, got 0"),
])
def test_models_out_of_reach_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        shared_unique_bits(KEY, **changes)


def test_estimates_tell_their_bias(models):
    rows = draw_rows(jax.random.key(6), models[4], 4096)
    exact = decompose(pair_table(models[4]))
    found = estimate_decomposition(np.asarray(rows.x), np.asarray(rows.y), np.asarray(rows.labels), shuffles=2)
    # Cells lose a share of what the bits tell; the label is nearly linear in the bits, so it is small.
    assert exact.redundancy - 0.13 < found.parts.redundancy < exact.redundancy
    assert 1.159 - 0.13 < found.parts.total < 1.159
    assert found.chance.total == pytest.approx(0.027, abs=0.01)
    assert 0 < found.chance.redundancy < 0.01
    # Of k-means' cells, which all fill, Miller's bias; its excess over chance is within noise.
    shuffled = estimate_decomposition(np.asarray(rows.x), np.asarray(rows.y),
                                      np.random.default_rng(0).permutation(rows.labels), method="kmeans", shuffles=3)
    assert shuffled.chance.total == pytest.approx((144 - 1) * 3 / (2 * 4096), rel=0.25)
    assert abs(shuffled.above_chance.total) < 6 * shuffled.chance_deviation.total


def test_quantiles_of_a_gaussian_lose_a_known_share():
    """The label is the sign of u; x = u + noise: I by quadrature, and by 12 cells of equal counts."""
    rng = np.random.default_rng(2)
    u = rng.standard_normal(20_000)
    x, y = u + rng.standard_normal(20_000), rng.standard_normal(20_000)
    found = estimate_decomposition(x[:, None], y[:, None], (u > 0).astype(int), method="quantile", shuffles=3)
    grid = np.linspace(-8, 8, 4001)
    density = np.exp(-grid**2 / 4) / np.sqrt(4 * np.pi)
    p = scipy.stats.norm.cdf(grid / np.sqrt(2))  # u | x has mean x / 2 and variance 1 / 2
    entropy = -(p * np.log(p + 1e-300) + (1 - p) * np.log1p(-p + 1e-300))
    exact = np.log(2) - np.sum(density * entropy) * (grid[1] - grid[0])
    assert exact - 0.02 < found.parts.redundancy + found.parts.unique_x < exact + 0.01
    assert found.above_chance.unique_x == pytest.approx(exact, abs=0.02)
    assert found.parts.redundancy + found.parts.unique_y < 0.002


def test_bad_rows_are_refused():
    x, labels = np.zeros((200, 2)), np.zeros(200, int)
    for arguments, keywords, message in [
            ((x, x[:9], labels), {}, "y: expected 200 rows as in x, got 9"),
            ((x[:50], x[:50], labels[:50]), {}, "x: expected at least 120 rows for 12 cells, got 50"),
            ((x, x + np.nan, labels), {}, "y: expected finite numbers"),
            ((x, x, labels - 1), {}, "labels: expected classes from 0 on, got -1"),
            ((x, x, labels), {"method": "knn"}, "method: expected one of quantile, kmeans, posterior, got 'knn'")]:
        with pytest.raises(ValueError, match=message):
            estimate_decomposition(*arguments, **keywords)
    assert contingency_table(labels, labels, labels).shape == (1, 1, 1)
    assert isinstance(decompose(np.ones((1, 1, 1))), PartialInformation)


def test_the_public_names_are_there_and_in_the_readme():
    text = (ROOT / "README.md").read_text()
    section = text[text.index("## Information"):]
    section = section[:section.index("\n## ", 4)]
    for name in information.__all__:
        assert getattr(information, name) is not None
        assert f"`{name}`" in section, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = information.nothing
