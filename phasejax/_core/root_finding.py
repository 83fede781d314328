r"""Zeros of functions in a fixed number of steps, for use under `jit` and `vmap`, and their derivatives.

A search (`bisect`, `newton`) should carry no derivative, so that none is sent through its branches and steps: its
start is frozen here, and callers freeze the parameters of its function with `jax.lax.stop_gradient`.
`differentiable_root` gives the result the derivative of the implicit function theorem. If x(p) solves F(x, p) = 0,

.. math::  \frac{dx}{dp} = -\Bigl(\frac{\partial F}{\partial x}\Bigr)^{-1} \frac{\partial F}{\partial p},

which is the derivative of one Newton step from x with the Jacobian held fixed: one rule for every search.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.lax import stop_gradient
from jax.typing import ArrayLike
from jaxtyping import Array, Float

# Halvings that exhaust the digits of float64.
BISECTIONS = 50
# Newton steps from a start that is orders of magnitude off: the distance first halves, later the digits double.
NEWTON_STEPS = 30


def bisect(rising: Callable[[Array], Array], low: ArrayLike, high: ArrayLike) -> Float[Array, ""]:
    """Where an increasing scalar function crosses zero.

    Args:
        rising: the function, of which only the sign is used, with frozen parameters.
        low, high: ends of an interval that holds the zero.

    Returns:
        The zero to (high - low) / 2^51. Without a zero inside, the end of the interval that is nearer to it.

    >>> round(float(bisect(lambda x: x**2 - 2, 0.0, 2.0)), 6)
    1.414214
    """
    def halve(_, ends):
        middle = (ends[0] + ends[1]) / 2
        above = rising(middle) > 0
        return jnp.where(above, ends[0], middle), jnp.where(above, middle, ends[1])

    ends: Any = stop_gradient((low, high))
    low_end, high_end = jax.lax.fori_loop(0, BISECTIONS, halve, ends)
    return (low_end + high_end) / 2


def newton(residual: Callable[[Array], tuple[Array, Array]], start: ArrayLike) -> Float[Array, ""]:
    """Zero of a scalar function by Newton's method.

    A start is safe on the side of the zero on which value and second derivative have the same sign, if they keep it
    up to there: no step then passes the zero.

    Args:
        residual: gives the function's value and its slope, with frozen parameters.
        start: where the search begins.

    Returns:
        The point after 30 steps.

    >>> round(float(newton(lambda x: (x**2 - 2, 2 * x), 100.0)), 6)
    1.414214
    """
    def step(_, x):
        value, slope = residual(x)
        return x - value / slope

    first: Any = stop_gradient(start)
    return jax.lax.fori_loop(0, NEWTON_STEPS, step, first)


def differentiable_root(residual: Callable[[Array], Array], root: Array) -> Array:
    """A root that was found without derivatives, with those of the implicit function theorem.

    The value is that of one more Newton step, which changes a root by rounding only.

    Args:
        residual: function of the unknowns whose zero it is; may close over traced parameters.
        root: its zero, a scalar or two unknowns, shape (2,).

    Returns:
        The root, differentiable with respect to whatever `residual` depends on.

    >>> def root_of(p):
    ...     return differentiable_root(lambda x: x**2 - p, jnp.sqrt(p))
    >>> float(jax.grad(root_of)(4.0))
    0.25
    """
    root = stop_gradient(root)
    value, slope = residual(root), stop_gradient(jax.jacfwd(residual)(root))
    if root.ndim == 0:
        return root - value / slope
    (a, b), (c, d) = slope
    # The inverse of a 2 x 2 matrix written out: LAPACK calls under `vmap` can wait for ever on the CPU.
    return root - jnp.stack([d * value[0] - b * value[1], a * value[1] - c * value[0]]) / (a * d - b * c)
