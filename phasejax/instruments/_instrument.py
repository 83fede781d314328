r"""What every simulated pair of instruments has: parameters with units and ranges, expected views, and rows.

An instrument here is the pair of devices that make the two views of an object, with the conditions under which both
look at it. Given the object and the conditions, each device shows an expected value and adds noise of its own:

.. math::  x = f_x(z; \theta) + \epsilon_x, \qquad y = f_y(z; \theta) + \epsilon_y

with the object and the conditions z, the parameters theta of the instrument, and noise that is independent between the
views. Whatever the views share comes from z: properties of the object are signal or, where no label asks for them,
nuisance; conditions are nuisance.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from phasejax._core.checked_call import checked
from phasejax._core.input_files import check_memory
from phasejax._core.pytree import pytree
from phasejax._core.validation import KeyLike, check_count, check_key, check_number, did_you_mean, is_traced

Self = TypeVar("Self", bound="Instrument")
# What a parameter may be given as; it is kept as an array without dimensions.
Number: TypeAlias = Float[Array, ""] | Float[np.ndarray, ""] | float | int


def parameter(default: float | int, unit: str, least: float | int, most: float | int) -> Any:
    """A differentiable parameter of an instrument: a leaf of its pytree.

    Args:
        default: its value when left out.
        unit: of the value, "1" for a pure number.
        least, most: the values that are allowed.
    """
    return dataclasses.field(default=default, metadata={"unit": unit, "least": least, "most": most})


def count(default: int, least: int, most: int) -> Any:
    """A whole number of an instrument, such as its columns: a constant of compiled programs."""
    return dataclasses.field(default=default, metadata={"static": True, "least": least, "most": most})


@pytree
class ExpectedViews:
    """What the two devices show of n objects but for their own noise, and how large that noise is.

    Args:
        x, y: expected views given the object and the conditions, shapes (n, d_x) and (n, d_y).
        variance_x, variance_y: variances of the noise, which is independent between columns, views and rows; the
            same shapes.
        labels: properties of the objects by name, shape (n,): real values, or numbers 0, 1, ... of classes.
        nuisances: conditions of the observation that both devices see, by name, shape (n,).
        weights: how much each row counts, shape (n,), smooth in the parameters; None where all count alike.
        noise_x, noise_y: mean covariances of the noise where its columns depend on each other, shapes (d_x, d_x) and
            (d_y, d_y); None where they do not.
    """

    x: Float[Array, "n d_x"]
    y: Float[Array, "n d_y"]
    variance_x: Float[Array, "n d_x"]
    variance_y: Float[Array, "n d_y"]
    labels: dict[str, Num[Array, "n"]]
    nuisances: dict[str, Num[Array, "n"]]
    weights: Float[Array, "n"] | None = None
    noise_x: Float[Array, "d_x d_x"] | None = None
    noise_y: Float[Array, "d_y d_y"] | None = None


@pytree
class InstrumentSample:
    """n objects as the two instruments see them.

    Args:
        x, y: the views, shapes (n, d_x) and (n, d_y).
        labels: properties of the objects by name, shape (n,): real values, or numbers 0, 1, ... of classes.
        nuisances: conditions of the observation by name, shape (n,).
    """

    x: Float[Array, "n d_x"]
    y: Float[Array, "n d_y"]
    labels: dict[str, Num[Array, "n"]]
    nuisances: dict[str, Num[Array, "n"]]


class Instrument:
    """A pair of instruments: the base class of `StarSurvey` and `CiteSeq`.

    A subclass is a `pytree` whose fields are made by `parameter` and `count`, with `label_classes`, `default_labels`
    and `expected_views`. Numbers are kept as float64 on the host; JAX arrays are kept as they are.
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            object.__setattr__(self, field.name, admissible(field, getattr(self, field.name)))

    @property
    def label_classes(self) -> Mapping[str, int]:
        """The labels by name: the number of classes of each, 0 for a real value."""
        raise NotImplementedError

    @property
    def default_labels(self) -> tuple[str, ...]:
        """Labels that count as the signal unless others are asked for."""
        raise NotImplementedError

    @property
    def default_k(self) -> int:
        """Width of the bottleneck unless another is asked for; never fewer than the labels have columns."""
        return 1

    def expected_views(self, key: Array, n: int) -> ExpectedViews:
        """Draw n objects with their conditions, and what each device expects of them.

        The same key gives the same objects whatever the parameters, so that everything computed from them is a
        differentiable function of the parameters.
        """
        raise NotImplementedError

    def noisy(self, key: Array, expected: ExpectedViews) -> tuple[Array, Array]:
        """Views with noise; normal here, with the variances of `expected`."""
        keys = jax.random.split(key)
        x, y = (mean + jnp.sqrt(variance) * jax.random.normal(one, mean.shape, mean.dtype)
                for one, mean, variance in zip(keys, (expected.x, expected.y),
                                               (expected.variance_x, expected.variance_y), strict=True))
        return x, y

    def observed(self, key: Array, n: int) -> InstrumentSample:
        """Draw n objects and their views with noise."""
        return _observed(self, key, n)

    @classmethod
    def parameters(cls) -> dict[str, dict[str, Any]]:
        """Unit, least and most value of each differentiable parameter, by name."""
        return {field.name: dict(field.metadata) for field in dataclasses.fields(cls)  # type: ignore[arg-type]
                if not field.metadata.get("static")}

    def replace(self: Self, **fields: Any) -> Self:
        """A copy with the named fields changed.

        Raises:
            ValueError: a name that is no field, or a value out of range.
        """
        known = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]
        for name in fields:
            if name not in known:
                raise ValueError(f"{name}: expected one of {', '.join(known)}{did_you_mean(name, known)}")
        return type(self)(**(known | fields))


def admissible(field: dataclasses.Field, value: Any) -> Any:
    """The value of a field made by `parameter` or `count`, after checks."""
    least, most = field.metadata["least"], field.metadata["most"]
    if field.metadata.get("static"):
        return check_count(field.name, value, least, most)
    if is_traced(value):
        return jnp.where((value >= least) & (value <= most), value, jnp.nan)
    try:
        number = check_number(field.name, value, least=least, most=most)
    except ValueError as error:
        unit = field.metadata["unit"]
        raise ValueError(f"{error}" if unit == "1" else f"{error}, in units of {unit}") from None
    return value if isinstance(value, jax.Array) else np.asarray(number, np.float64)


@checked
def observe(key: KeyLike, instrument: Instrument, n: int) -> InstrumentSample:
    """Draw n objects and what a pair of instruments shows of them.

    The same key gives the same objects and standard normal numbers whatever the instrument's parameters.

    Args:
        key: random key or a seed.
        instrument: such as a `StarSurvey` or a `CiteSeq`.
        n: number of objects, >= 1.

    Raises:
        ValueError: n < 1.

    >>> from phasejax.instruments import STAR_PRESETS
    >>> sample = observe(0, STAR_PRESETS["both"], n=5)
    >>> len(sample.x), sorted(sample.labels)[:2]
    (5, ['binary', 'feh'])
    """
    key = check_key("key", key)
    check_memory("n", 8 * 256 * check_count("n", n))
    return instrument.observed(key, n)


def _drawn(key, instrument, n):
    objects, noise = jax.random.split(key)
    expected = instrument.expected_views(objects, n)
    x, y = instrument.noisy(noise, expected)
    return InstrumentSample(x=x, y=y, labels=expected.labels, nuisances=expected.nuisances)


_observed = jax.jit(lambda instrument, key, n: _drawn(key, instrument, n), static_argnums=2)
