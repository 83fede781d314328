"""Zeros of functions in a fixed number of steps, for use under jit and vmap, and their derivatives.

The searches carry no derivative, so that none is sent through their branches. `differentiable_root`
gives their result the derivatives of the implicit function theorem.
"""

import jax
import jax.numpy as jnp
from jax.lax import stop_gradient

# Halvings that exhaust float64, and Newton steps enough for a start that is orders of magnitude off.
BISECTIONS, NEWTON_STEPS = 50, 30


def bisect(rising, low, high):
    """Where an increasing function crosses zero; carries no derivative."""
    def halve(_, ends):
        middle = (ends[0] + ends[1]) / 2
        above = rising(middle) > 0
        return jnp.where(above, ends[0], middle), jnp.where(above, middle, ends[1])

    low, high = jax.lax.fori_loop(0, BISECTIONS, halve, stop_gradient((low, high)))
    return (low + high) / 2


def newton(residual, start):
    """Zero of a scalar function from `start`, by its value and slope; carries no derivative."""
    def step(_, x):
        value, slope = residual(x)
        return x - value / slope

    return jax.lax.fori_loop(0, NEWTON_STEPS, step, stop_gradient(start))


def differentiable_root(residual, root):
    """One Newton step from a root found without derivatives: gives it those of the implicit function theorem."""
    root = stop_gradient(root)
    value, slope = residual(root), stop_gradient(jax.jacfwd(residual)(root))
    if root.ndim == 0:
        return root - value / slope
    (a, b), (c, d) = slope
    return root - jnp.stack([d * value[0] - b * value[1], a * value[1] - c * value[0]]) / (a * d - b * c)
