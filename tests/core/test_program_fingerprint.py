"""Fingerprints of programs: equal for programs that compute the same, different for all others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phasejax._core.program_fingerprint import program_fingerprints


def of(function, *arguments):
    with jax.enable_x64(True):
        return program_fingerprints(jax.make_jaxpr(function)(*arguments or (jnp.ones(3),)))


def root(x, power):
    """A program with a loop, a branch and a function with a derivative of its own."""
    step = jax.lax.fori_loop(0, 3, lambda i, value: value - (value**power - 2.0) / 3, x)
    return jax.lax.cond(step.sum() > 0, lambda v: jax.nn.relu(v), lambda v: -v, step)


def test_names_and_order_do_not_count():
    def one(x):
        y = jnp.sin(x)
        return y + 1.0, jnp.cos(x)

    def another(argument):
        second = jnp.cos(argument)
        unused = argument * 7.0  # noqa: F841
        return jnp.sin(argument) + 1.0, second

    assert of(one) == of(another)
    assert len(set(of(one))) == 2


@pytest.mark.parametrize("other", [
    lambda x: jnp.sin(x) + np.nextafter(0.1, 1), lambda x: jnp.sin(x) + np.float32(0.1), lambda x: jnp.cos(x) + 0.1,
    lambda x: jnp.sin(x[::-1]) + 0.1, lambda x: jnp.sin(x) - 0.1, lambda x: jnp.sin(jnp.sin(x)) + 0.1])
def test_another_constant_operation_or_argument_counts(other):
    assert of(other) != of(lambda x: jnp.sin(x) + 0.1)


def test_what_loops_branches_and_inner_functions_do_counts():
    same = of(lambda x: root(x, 2))
    assert same == of(lambda x: root(x, 2))
    assert same != of(lambda x: root(x, 3))
    assert of(lambda x: jax.jit(lambda v: v * 2.0)(x)) != of(lambda x: jax.jit(lambda v: v * 3.0)(x))


def test_constants_that_a_function_closes_over_count():
    table = np.arange(3.0)
    other = table.copy()
    other[2] = np.nextafter(2.0, 3.0)
    assert of(lambda x: x + table) == of(lambda x: x + table.copy())
    assert of(lambda x: x + table) != of(lambda x: x + other)


def test_functions_on_the_host_are_told_apart_by_their_code():
    def call(function):
        return of(lambda x: jax.pure_callback(function, jax.ShapeDtypeStruct((3,), np.float64), x))

    scale = 2.0
    assert call(lambda x: np.sin(x)) == call(lambda y: np.sin(y))
    assert call(lambda x: np.sin(x)) != call(lambda x: np.cos(x))
    assert call(lambda x: scale * x) != (lambda scale: call(lambda x: scale * x))(3.0)


def test_each_result_has_its_own():
    first = of(lambda x: {"a": jnp.sin(x), "b": jnp.exp(x)})
    second = of(lambda x: {"a": jnp.sin(x), "b": jnp.exp(2 * x)})
    assert (first[0] == second[0], first[1] == second[1]) == (True, False)
