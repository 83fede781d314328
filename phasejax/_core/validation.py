"""TODO module docstring of _core.validation."""

import operator
from collections.abc import Iterable

import jax


def check_count(name: str, value: int) -> None:
    """Refuse what is no whole number of at least 1.

    Raises:
        ValueError: naming `name` and what was given.
    """
    try:
        whole = operator.index(value)
    except TypeError:
        whole = 0
    if whole < 1:
        raise ValueError(f"{name}: expected a whole number of at least 1, got {value}")


def is_traced(*values) -> bool:
    """Whether any value is known to JAX only symbolically, so that it cannot be inspected."""
    return any(isinstance(value, jax.core.Tracer) for value in values)


def check_among(name: str, values: Iterable[str], known: Iterable[str]) -> None:
    """Refuse values that are none of the known ones, which are listed."""
    for value in values:
        if value not in known:
            raise ValueError(f"{name}: expected one of {', '.join(known)}, got {value!r}")
