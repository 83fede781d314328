"""Frozen dataclasses as pytrees: round trips, names of leaves, and checks that only users meet."""

import dataclasses

import jax
import numpy as np
import pytest

from phasejax._core.pytree import HostOrDevice, pytree


@pytree
class Interval:
    low: HostOrDevice
    high: HostOrDevice

    def __post_init__(self):
        if self.low > self.high:
            raise ValueError("low: expected at most high")


def test_leaves_have_names_and_come_back():
    interval = Interval(low=np.float64(1.0), high=np.float64(2.0))
    leaves, tree = jax.tree_util.tree_flatten_with_path(interval)
    assert [jax.tree_util.keystr(path) for path, _ in leaves] == [".low", ".high"]
    again = jax.tree_util.tree_unflatten(tree, [leaf for _, leaf in leaves])
    assert (again.low, again.high) == (1.0, 2.0)
    assert isinstance(again.low, np.float64)  # exact parameters stay on the host


def test_checks_are_made_for_users_and_not_for_jax():
    with pytest.raises(ValueError, match="low: expected"):
        Interval(low=2.0, high=1.0)
    turned = jax.tree.map(lambda leaf: -leaf, Interval(low=1.0, high=2.0))
    assert (turned.low, turned.high) == (-1.0, -2.0)
    jax.tree.map(lambda leaf: None, Interval(low=1.0, high=2.0))


def test_instances_are_frozen_and_told_apart_by_identity():
    interval = Interval(low=np.zeros(2).sum(), high=1.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        interval.low = 3.0
    assert interval == interval
    assert interval != Interval(low=np.float64(0.0), high=1.0)


def test_transformations_take_and_return_them():
    stacked = jax.vmap(lambda i: jax.tree.map(lambda leaf: 2 * leaf, i))(
        jax.tree.map(lambda leaf: np.full(3, leaf), Interval(low=0.0, high=1.0)))
    assert stacked.high.tolist() == [2, 2, 2]
    gradient = jax.grad(lambda i: i.high**2 - i.low)(Interval(low=0.0, high=3.0))
    assert (float(gradient.low), float(gradient.high)) == (-1, 6)
