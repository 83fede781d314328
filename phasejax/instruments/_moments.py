r"""Covariances of the views that a pair of instruments shows, in the limit of many objects.

Over a fixed draw of objects and conditions z, in float64,

.. math::  S_{xx} = \mathrm{Cov}\, E[x|z] + \mathrm{diag}\, E\, \mathrm{Var}[x|z], \qquad
           S_{xy} = \mathrm{Cov}(E[x|z], E[y|z])

so that noise, which the views do not share, enters exactly and only z is drawn. Since the same key is used whatever the
parameters (common random numbers), everything here is a differentiable function of them. With 4096 objects a
covariance that is zero comes out with a standard deviation of 1/64 of both standard deviations.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from phasejax._core.checked_call import checked
from phasejax._core.input_files import check_memory
from phasejax._core.pytree import HostOrDevice, pytree
from phasejax._core.validation import check_among, check_count, check_key, check_seed, is_traced
from phasejax.instruments._instrument import Instrument

ROWS, LEAST_ROWS = 4096, 400


@pytree
class InstrumentMoments:
    """Covariances of two simulated views with each other and with labels.

    Args:
        xx, xy, yy: of the views, shapes (d_x, d_x), (d_x, d_y), (d_y, d_y).
        x_labels, y_labels: of the views with L label columns, shapes (d_x, L), (d_y, L). A real label is one column
            of unit variance; a label with m classes is m - 1 columns, the indicators of all classes but the last.
        label_variance: sum of the variances of these columns; None where it is not known.
    """

    xx: Float[HostOrDevice, "d_x d_x"]
    xy: Float[HostOrDevice, "d_x d_y"]
    yy: Float[HostOrDevice, "d_y d_y"]
    x_labels: Float[HostOrDevice, "d_x l"]
    y_labels: Float[HostOrDevice, "d_y l"]
    label_variance: Float[HostOrDevice, ""] | None = None


@checked
def instrument_moments(instrument: Instrument, labels: Sequence[str] | None = None, *, rows: int = ROWS,
                       seed: int = 0) -> InstrumentMoments:
    """Covariances of the views of many objects, by Monte Carlo over the objects with a fixed key, noise exactly.

    Args:
        instrument: such as a `StarSurvey`. Works under jit and grad.
        labels: names of labels; the instrument's own default when left out.
        rows: objects that are drawn.
        seed: of the draw.

    Raises:
        ValueError: an unknown label, or fewer than 400 rows.

    >>> from phasejax.instruments import STAR_PRESETS
    >>> instrument_moments(STAR_PRESETS["kepler"], rows=500).xy.shape
    (52, 36)
    """
    names, key = checked_settings(instrument, labels, rows, seed)
    return compiled(moments_of)(instrument, key, names, rows)


def checked_settings(instrument: Instrument, labels: Sequence[str] | None, rows: int, seed: int
                     ) -> tuple[tuple[str, ...], Array]:
    """Names of the labels, and the key of the draw, after checks."""
    if labels is None:
        names = instrument.default_labels
    else:
        given = (labels,) if isinstance(labels, str) else labels
        check_among("labels", given, instrument.label_classes)
        names = tuple(dict.fromkeys(map(str, given)))
        if not names:
            raise ValueError("labels: expected at least one, got none")
    check_memory("rows", 8 * 256 * check_count("rows", rows, LEAST_ROWS))
    return names, check_key("seed", check_seed("seed", seed))


@cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of (instrument, key, ...) compiled in float64, with all further arguments static, and its results on
    the host, so that they keep their digits; where the instrument is traced, it becomes part of the caller's program.
    """
    program = jax.jit(function, static_argnums=range(2, len(inspect.signature(function).parameters)))

    def call(instrument, *args):
        if is_traced(*jax.tree.leaves(instrument)):
            return function(instrument, *args)
        with jax.enable_x64(True):
            return jax.device_get(program(instrument, *args))

    return call


def label_columns(values: dict[str, Array], classes: dict[str, int], weights: Array) -> Array:
    """Labels as columns (n, L), centred: real ones with unit variance, classes by all indicators but the last.

    Args:
        values: of each label, by name.
        classes: number of classes of each label, 0 for a real one.
        weights: of the rows; they sum to 1.
    """
    columns = []
    for name, count in classes.items():
        label = values[name]
        if count:
            columns += [(label == one).astype(jnp.result_type(float)) for one in range(count - 1)]
        else:
            columns.append(label / jnp.sqrt(weights @ (label - weights @ label) ** 2))
    stacked = jnp.stack(columns, axis=1)
    return stacked - weights @ stacked


def moments_of(instrument: Instrument, key: Array, names: tuple[str, ...], rows: int) -> InstrumentMoments:
    """`instrument_moments` without checks, to be compiled."""
    expected = instrument.expected_views(key, rows)
    given = jnp.ones(rows) if expected.weights is None else expected.weights
    weights = given / given.sum()
    x, y = expected.x - weights @ expected.x, expected.y - weights @ expected.y
    t = label_columns(expected.labels, {name: instrument.label_classes[name] for name in names}, weights)
    noise_x, noise_y = (jnp.diag(weights @ variance) if covariance is None else covariance for variance, covariance in (
        (expected.variance_x, expected.noise_x), (expected.variance_y, expected.noise_y)))
    of_x, of_y = x.T * weights, y.T * weights
    return InstrumentMoments(xx=of_x @ x + noise_x, xy=of_x @ y, yy=of_y @ y + noise_y, x_labels=of_x @ t,
                             y_labels=of_y @ t, label_variance=jnp.sum(weights @ t**2))
