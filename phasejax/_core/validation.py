"""Checks of what users pass in, one line each: the name of the argument, what was expected and what was given.

They are made once, in public functions. A number comes out as one of Python's own, whatever type it had, so that
results that hold it can be saved. Whatever a compiled program may be computing (`is_traced`) cannot be inspected and is
not checked.
"""

import contextlib
import difflib
import math
import operator
import os
from collections.abc import Iterable, Iterator
from typing import Any, SupportsIndex, TypeAlias

import jax
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Key, UInt32

from phasejax._core.terminal import one_line

# What a function that draws takes: a key of JAX, of the new or the old kind, or a whole number to make one of.
KeyLike: TypeAlias = Key[Array, ""] | UInt32[Array, "2"] | SupportsIndex
_MOST_SEED = 2**64 - 1
_LONGEST_SHOWN = 60
_LONGEST_NAME = 255


def check_count(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """Refuse what is not a whole number of at least 1, or within other bounds.

    Args:
        name: the argument, as the error calls it.
        value: what was given for it.
        least: the least number that is allowed.
        most: the greatest one, if there is one.

    Returns:
        The number.

    Raises:
        ValueError: naming the argument and what was given.

    >>> check_count("seeds", np.int64(3))
    3
    >>> check_count("seeds", 2.5)
    Traceback (most recent call last):
    ...
    ValueError: seeds: expected a whole number of at least 1, got 2.5
    """
    whole = _whole(value)
    if whole is None or whole < least or (most is not None and whole > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name}: expected a whole number {bounds}, got {shown(value)}")
    return whole


def check_number(name: str, value: Any, *, least: int | float | None = None, above: int | float | None = None,
                 most: int | float | None = None, below: int | float | None = None) -> float:
    """Refuse what is not a finite real number within the given bounds.

    Args:
        name: the argument, as the error calls it.
        value: what was given for it.
        least, above: the number must be at least so large, or larger.
        most, below: it must be at most so large, or smaller.

    Returns:
        The number.

    Raises:
        ValueError: naming the argument and what was given.

    >>> check_number("confidence", np.float32(0.5), least=0.5, below=1)
    0.5
    >>> check_number("confidence", None, least=0.5, below=1)
    Traceback (most recent call last):
    ...
    ValueError: confidence: expected a number of at least 0.5 and below 1, got None
    """
    number = math.nan
    if not isinstance(value, str | bytes | bool | np.bool_):
        try:
            if np.ndim(value) == 0:
                number = float(value)
        except Exception:  # whatever an object's own conversion raises
            pass
    if not (math.isfinite(number) and (least is None or number >= least) and (above is None or number > above)
            and (most is None or number <= most) and (below is None or number < below)):
        bounds = [f"{words} {bound:g}" for words, bound in (("of at least", least), ("above", above),
                                                            ("of at most", most), ("below", below))
                  if bound is not None]
        raise ValueError(f"{name}: expected a number {' and '.join(bounds)}".rstrip() + f", got {shown(value)}")
    return number


def check_confidence(value: Any) -> float:
    """Refuse what is no level of an interval, from 0.5 to below 1, and return it."""
    return check_number("confidence", value, least=0.5, below=1)


def check_seed(name: str, value: Any) -> int:
    """Refuse what is no seed, a whole number from 0 to 2^64 - 1, and return it."""
    try:
        return check_count(name, value, 0, _MOST_SEED)
    except ValueError:
        raise ValueError(f"{name}: expected a whole number from 0 to 2^64 - 1, got {shown(value)}") from None


def check_key(name: str, value: Any) -> Key[Array, ""]:
    """The random key that was given, or that of the seed that was given.

    All 64 bits of a seed count, whatever precision is enabled.

    Args:
        name: the argument, as the error calls it.
        value: a key, of the new or the old kind, or a whole number from 0 to 2^64 - 1.

    Raises:
        ValueError: naming the argument and what was given.

    >>> bool((check_key("key", 5) == jax.random.key(5)).all())
    True
    """
    if isinstance(value, jax.Array):
        if jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key):
            if value.shape == ():
                return value
        elif value.dtype == np.uint32 and value.shape == (2,):
            return jax.random.wrap_key_data(value)
        elif is_traced(value) and value.shape == () and np.issubdtype(value.dtype, np.integer):
            return jax.random.key(value)
    try:
        seed = check_seed(name, value)
    except ValueError:
        raise ValueError(f"{name}: expected a random key or a whole number from 0 to 2^64 - 1, got {shown(value)}"
                         ) from None
    with jax.enable_x64(True):  # 32 bits are all that a seed has otherwise
        return jax.random.key(np.uint64(seed).astype(np.int64))


def check_array(name: str, value: Any, dims: int | None = None) -> Any:
    """Refuse what is no array of real numbers, or one of another number of dimensions, and return an array.

    Args:
        name: the argument, as the error calls it.
        value: an array of NumPy or JAX, or a list of numbers.
        dims: number of its dimensions; any when left out.

    Raises:
        ValueError: naming the argument and what was given.

    >>> check_array("spectrum", [0.5, 0.2], 1).shape
    (2,)
    >>> check_array("spectrum", ["a"], 1)
    Traceback (most recent call last):
    ...
    ValueError: spectrum: expected an array of numbers with 1 dimension, got text
    """
    array, got = value, None
    if np.ma.is_masked(value):
        got = "masked values"
    elif not isinstance(value, jax.Array | np.ndarray | np.generic):
        try:
            array = np.asarray(value)
        except Exception:  # whatever an object's own conversion raises
            got = shown(value)
    elif isinstance(value, np.matrix | np.ma.MaskedArray):
        array = np.asarray(value)
    if got is None and jax.numpy.issubdtype(array.dtype, jax.dtypes.extended):
        got = f"dtype {array.dtype}"
    if got is None and not (array.dtype == bool or jax.numpy.issubdtype(array.dtype, np.integer)
                            or jax.numpy.issubdtype(array.dtype, np.floating)):
        got = "text" if array.dtype.kind in "US" else shown(value) if array.ndim == 0 else f"dtype {array.dtype}"
    if got is None and dims is not None and array.ndim != dims:
        got = f"shape {tuple(array.shape)}"
    if got is not None:
        having = "" if dims is None else f" with {dims} dimension{'s' * (dims != 1)}"
        raise ValueError(f"{name}: expected an array of numbers{having}, got {got}")
    return array


def check_flag(name: str, value: Any) -> bool:
    """Refuse what is neither True nor False: any other object would count as one of them unasked.

    >>> check_flag("centre", "no")
    Traceback (most recent call last):
    ...
    ValueError: centre: expected True or False, got 'no'
    """
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name}: expected True or False, got {shown(value)}")
    return bool(value)


def check_path(name: str, value: Any) -> str | os.PathLike:
    """Refuse what is no path of a file or folder: neither text nor a `pathlib.Path`, or empty.

    >>> check_path("store", 5)
    Traceback (most recent call last):
    ...
    ValueError: store: expected a path, got 5
    """
    if not isinstance(value, str | os.PathLike) or isinstance(os.fspath(value), bytes) or not os.fspath(value):
        raise ValueError(f"{name}: expected a path, got {shown(value)}")
    if "\x00" in os.fspath(value) or any(len(part.encode(errors="replace")) > _LONGEST_NAME
                                         for part in os.fspath(value).split(os.sep)):
        raise ValueError(f"{name}: expected a path, got one that no file can have, {shown(value)}")
    return value


def plain_whole(name: str, value: Any) -> Any:
    """Python's own number where a whole one is given, such as NumPy's; whatever else is given is left as it is.

    Raises:
        ValueError: True or False, which Python would count as 1 or 0.
    """
    if isinstance(value, bool | np.bool_):
        raise ValueError(f"{name}: expected a whole number, got {value}")
    if is_traced(value):
        return value
    whole = _whole(value)
    return value if whole is None else whole


def _whole(value: Any) -> int | None:
    if isinstance(value, bool | np.bool_) or getattr(value, "dtype", None) == np.dtype(bool):
        return None
    try:
        return operator.index(value)
    except Exception:  # whatever an object's own conversion raises
        return None


@contextlib.contextmanager
def users_own(name: str, what: str) -> Iterator[None]:
    """What a function of the user's raises comes through as it is, with a line that says which function it was.

    Args:
        name: the argument, as an error calls it.
        what: which function.

    >>> try:
    ...     with users_own("quantities", "the function 'own'"):
    ...         {}["a"]
    ... except KeyError as error:
    ...     print(error.__notes__)
    ["quantities: expected a result from the function 'own', got KeyError: 'a'"]
    """
    try:
        yield
    except Exception as error:
        error.add_note(one_line(f"{name}: expected a result from {what}, got {type(error).__name__}: {error}"))
        raise


def shown(value: Any) -> str:
    """A value in one line of an error: numbers as they are, other things as Python writes them, cut where long."""
    try:
        text = str(value) if isinstance(value, int | float | np.generic | np.ndarray | jax.Array) else repr(value)
    except Exception:  # numbers of thousands of digits, and objects that cannot be written
        text = f"a number of {value.bit_length()} bits" if isinstance(value, int) else f"a {type(value).__name__}"
    text = one_line(" ".join(text.split()))
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN - 3]}..."


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
    ValueError: precision: expected one of float32, bfloat16, got 'float16' (did you mean 'bfloat16'?)
    """
    known = tuple(known)
    if not any(isinstance(value, str) and value == one for one in known):
        raise ValueError(f"{name}: expected one of {', '.join(known)}, got {shown(value)}{did_you_mean(value, known)}")


def did_you_mean(value: Any, known: Iterable[str]) -> str:
    """The known name that a misspelt one is most like, as the end of an error; empty where none is like it.

    Capitals, hyphens and underscores count little.

    >>> did_you_mean("cka_linaer", ("cka_linear", "svcca"))
    " (did you mean 'cka_linear'?)"
    >>> did_you_mean("colour", ("cka_linear", "svcca")), did_you_mean(3, ("cka_linear", "svcca"))
    ('', '')
    """
    if not isinstance(value, str):
        return ""
    plain = {name.casefold().replace("-", "_").replace(" ", "_"): name for name in known}
    near = difflib.get_close_matches(value.casefold().replace("-", "_").replace(" ", "_"), plain, n=1, cutoff=0.6)
    return f" (did you mean {plain[near[0]]!r}?)" if near else ""


def check_among(name: str, values: Any, known: Iterable[str]) -> None:
    """Refuse values of which any is none of the known ones, as `check_choice` does for a single value.

    Args:
        name: the argument, as the error calls it.
        values: what was given for it.
        known: what may be among them.

    Raises:
        ValueError: naming the argument, the known values and the first other one that was given; a text alone, or
            what holds no values.
    """
    known = tuple(known)
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise ValueError(f"{name}: expected a list of names out of {', '.join(known)}, got {shown(values)}")
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
