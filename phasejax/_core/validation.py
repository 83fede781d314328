"""Checks of what users pass in, one line each: the name of the argument, what was expected and what was given.

They are made once, in public functions. Whatever a compiled program may be computing (`is_traced`) cannot be
inspected and is not checked.
"""

import operator
from collections.abc import Iterable
from typing import Any

from jax.core import Tracer


def check_count(name: str, value: Any) -> None:
    """Refuse what is not a whole number of at least 1.

    Args:
        name: the argument, as the error calls it.
        value: what was given for it.

    Raises:
        ValueError: naming the argument and what was given.

    >>> check_count("seeds", 3)
    >>> check_count("seeds", 2.5)
    Traceback (most recent call last):
    ...
    ValueError: seeds: expected a whole number of at least 1, got 2.5
    """
    try:
        whole = operator.index(value)
    except TypeError:
        whole = 0
    if whole < 1:
        raise ValueError(f"{name}: expected a whole number of at least 1, got {value}")


def check_choice(name: str, value: Any, known: Iterable[str]) -> None:
    """Refuse a value that is none of the known ones.

    Args:
        name: the argument, as the error calls it.
        value: what was given for it.
        known: what may be given.

    Raises:
        ValueError: naming the argument, the known values and what was given.

    >>> check_choice("precision", "float16", ("float32", "bfloat16"))
    Traceback (most recent call last):
    ...
    ValueError: precision: expected one of float32, bfloat16, got 'float16'
    """
    known = tuple(known)
    if value not in known:
        raise ValueError(f"{name}: expected one of {', '.join(known)}, got {value!r}")


def check_among(name: str, values: Iterable[Any], known: Iterable[str]) -> None:
    """Refuse values of which any is none of the known ones, as `check_choice` does for a single value.

    Args:
        name: the argument, as the error calls it.
        values: what was given for it.
        known: what may be among them.

    Raises:
        ValueError: naming the argument, the known values and the first other one that was given.
    """
    known = tuple(known)
    for value in values:
        check_choice(name, value, known)


def is_traced(*values: Any) -> bool:
    """Whether JAX knows any of the values only symbolically, inside `jit`, `vmap` or `grad`.

    Such a value cannot be inspected: functions that check concrete values return NaN for traced ones instead.

    >>> import jax
    >>> is_traced(1.0, jax.numpy.ones(2))
    False
    >>> bool(jax.jit(lambda x: x * is_traced(x))(1.0))
    True
    """
    return any(isinstance(value, Tracer) for value in values)
