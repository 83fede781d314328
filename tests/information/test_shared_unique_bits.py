"""Bits of two modalities: their information about the label by sums written otherwise, rows by their moments."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phasejax.information import (
    Information,
    Rows,
    SharedUniqueBits,
    draw_rows,
    joint_table,
    mutual_information,
    pair_table,
    shared_unique_bits,
)
from phasejax.information._shared_unique_bits import all_bits, label_given_states, label_of_seed
from tests.information.conftest import KEY, kl_information


def test_total_information_is_constant(models):
    assert isinstance(models[0], SharedUniqueBits)
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


def test_models_are_made_in_double_precision_too():
    with jax.enable_x64(True):
        assert mutual_information(shared_unique_bits(KEY, 4)).both == pytest.approx(1.159, abs=1e-5)


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
    assert isinstance(found, Information)
    expected = [kl_information(t.reshape(-1, 1, 3)) for t in (flat, flat.sum(2), flat.sum(1), flat.sum((1, 2)))]
    np.testing.assert_allclose([found.both, found.x, found.y, found.shared], expected, atol=1e-10)
    assert found.accuracy_x == pytest.approx(flat.sum(2).max(-1).sum())
    np.testing.assert_allclose(flat.sum((0, 1, 2)), 1 / 3, atol=1e-12)
    # The table of the bits that matter tells the same.
    table = pair_table(model)
    assert table.shape == (8, 8, 3)  # one shared bit, and of each modality one of its own and one for the synergy
    assert kl_information(table) == pytest.approx(0.7, abs=1e-9)
    assert kl_information(table.sum(1, keepdims=True)) == pytest.approx(found.x, abs=1e-10)


def test_rows_have_the_moments_of_the_model(models):
    model, n = models[4], 200_000
    rows = jax.jit(lambda key, model: draw_rows(key, model, n))(jax.random.key(5), model)
    assert isinstance(rows, Rows)
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


@pytest.mark.parametrize(("changes", "message"), [
    ({"redundancy": 9}, "redundancy: expected 0 to 8, got 9"),
    ({"redundancy": 2, "synergy": 3}, "synergy: expected 0 or more with the 6 features"),
    ({"redundancy": 2, "information": 1.4}, r"information: expected between 0 and less than log\(4\) nats, got 1.4"),
    ({"redundancy": 2, "information": 0.0}, "information: expected between 0"),
    ({"redundancy": 2, "classes": 1}, "classes: expected a whole number from 2 to 65536, got 1"),
])
def test_models_out_of_reach_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        shared_unique_bits(KEY, **changes)


def test_states_are_in_the_order_of_their_bits():
    """Shared bits come first, and bit 0 runs fastest."""
    model, _ = label_of_seed(4, 0)
    table = joint_table(model)
    state = 0b101_00001011  # x_c = 11, x_u = 5
    for given, mean in zip(label_given_states(model), (table.mean(2), table.mean(1)), strict=True):
        np.testing.assert_allclose(given[state], mean[0b1011, 0b101])
    assert all_bits(12)[state].tolist() == [1, 1, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0]
    assert all_bits(2).tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]


def test_a_seed_has_the_same_weights_at_every_redundancy():
    (none, key), (all_shared, same_key) = label_of_seed(0, 5), label_of_seed(8, 5)
    np.testing.assert_allclose(np.concatenate([none.unique_x, none.unique_y]), all_shared.shared)
    assert jax.random.key_data(key).tolist() == jax.random.key_data(same_key).tolist()
