"""Arguments of public functions, checked against their annotations before anything is computed.

What an annotation says is checked here once: objects of this and of other packages, flags, paths, functions, progress,
and arrays with their number of dimensions. Whole numbers come out as Python's own. What is left to the functions are
ranges of numbers, choices of text, and arguments that may be nearly anything, such as the views of a diagnosis.
"""

import decimal
import functools
import inspect
import numbers
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, Union, cast

import jax
import numpy as np
from jaxtyping import AbstractArray

from phasejax._core.forks import check_not_forked
from phasejax._core.progress import ProgressCallback
from phasejax._core.validation import check_array, check_choice, check_flag, check_path, plain_whole, shown

F = TypeVar("F", bound=Callable[..., Any])
Check = Callable[[str, Any], Any]


def checked(function: F) -> F:
    """Check the arguments of a function against its annotations whenever it is called.

    Raises:
        ValueError: in one line, naming the argument, what was expected and what was given.
        RuntimeError: the function computes with JAX, which would wait for ever in this process (`forks`).

    >>> @checked
    ... def halves(path: str, pairs: bool = False) -> None: ...
    >>> halves("x.npy", pairs="no")
    Traceback (most recent call last):
    ...
    ValueError: pairs: expected True or False, got 'no'
    """
    if isinstance(function, type):  # a class: what it is made of
        made: Any = function
        made.__init__ = checked(made.__init__)
        return made
    signature = inspect.signature(function)
    checks: dict[str, Check] | None = None
    dims: dict[str, tuple[str, ...]] = {}
    computes = False

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal checks, dims, computes
        if checks is None:
            checks, dims, computes = _checks(function, signature), _named_dims(function), _computes(function)
        if computes:
            check_not_forked()
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError:
            return function(*args, **kwargs)  # Python says what is missing or unknown
        for name in given.arguments.keys() & checks.keys():
            given.arguments[name] = checks[name](name, given.arguments[name])
        _check_same_dims(given.arguments, dims)
        return function(*given.args, **given.kwargs)

    return cast(F, call)


def _named_dims(function: Callable) -> dict[str, tuple[str, ...]]:
    """The names of the dimensions of each argument that is an array of one kind of shape."""
    found = {}
    for name, hint in typing.get_type_hints(function).items():
        arrays = {one for one in (typing.get_args(hint) or (hint,))
                  if isinstance(one, type) and issubclass(one, AbstractArray)}
        shapes = {one.dim_str for one in arrays}
        words = tuple(next(iter(shapes)).split()) if len(shapes) == 1 else ()
        if name != "return" and all(word.isidentifier() for word in words):
            found[name] = words
    return found


def _check_same_dims(arguments: Mapping[str, Any], dims: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse arrays whose sizes differ where annotations give them the same name, or from those of the covariances."""
    known: dict[str, tuple[int, str]] = {}
    for name, value in arguments.items():
        if type(value).__module__.startswith("phasejax.linear."):
            known |= {dim: (getattr(value, dim), name) for dim in ("d_x", "d_y") if hasattr(value, dim)}
    for name, words in dims.items():
        shape = getattr(arguments.get(name), "shape", None)
        if shape is None or len(shape) != len(words):
            continue
        for word, size in zip(words, shape, strict=True):
            expected, other = known.setdefault(word, (size, name))
            if size != expected and word != "_":
                raise ValueError(f"{name}: expected {word} = {expected} as in {other}, got shape {tuple(shape)}")


def _computes(function) -> bool:
    """Whether the module of a function uses JAX itself; what it calls of other modules is asked there.

    Making an object of a class computes nothing, and happens where a module is imported.
    """
    known = inspect.unwrap(function).__globals__.values()
    modules = (one.__name__ for one in known if isinstance(one, types.ModuleType))
    return function.__name__ != "__init__" and any(name.partition(".")[0] in ("jax", "flax", "optax")
                                                   for name in modules)


def _checks(function, signature) -> dict[str, Check]:
    """The check of each argument whose annotation can be checked."""
    hints = typing.get_type_hints(function)
    # Elsewhere text is mostly one of some choices, which the function lists.
    found = {name: _check_of(hints[name]) if hints[name] not in (str, str | None)
             else _check_text if function.__name__ == "__init__" or name == "text" else _check_hashable
             for name, parameter in signature.parameters.items()
             if name in hints and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)}
    return {name: check for name, check in found.items() if check is not None}


def _check_of(hint: Any) -> Check | None:
    """The check that an annotation stands for; None where it is left to the function."""
    members = set(typing.get_args(hint) if typing.get_origin(hint) in (Union, types.UnionType) else (hint,))
    optional = type(None) in members
    members = {_plain_class(one) for one in members - {type(None)}}
    arrays = {one for one in members if isinstance(one, type) and issubclass(one, AbstractArray)}
    if ProgressCallback in members:
        check = _check_progress
    elif members == {bool}:
        check = check_flag
    elif members == {int}:
        check = _check_whole
    elif members and members <= {int, float}:
        check = _check_real
    elif all(typing.get_origin(one) is Literal for one in members) and members:
        check = functools.partial(_check_literal, tuple(text for one in members for text in typing.get_args(one)))
    elif len(members) == 1 and typing.get_origin(only := next(iter(members))) is tuple and _is_uniform(only):
        check = functools.partial(_check_tuple, typing.get_args(only)[0])
    elif members != {str} and members and all(one is str or _is_path(one) for one in members):
        check = check_path
    elif members == {np.ndarray}:
        check = check_array
    elif arrays:
        check = _check_of_arrays(arrays, members - arrays)
    elif any(typing.get_origin(one) is Callable or one is Callable for one in members):
        check = _check_callable if len(members) == 1 else None
    elif members and all(typing.get_origin(one) in (dict, Mapping) for one in members):
        check = functools.partial(_check_instance, (Mapping,))
    elif members and all(_is_class_to_check(one) for one in members):
        check = functools.partial(_check_instance, tuple(sorted(members, key=lambda one: one.__name__)))
    else:
        check = None
    if check is None or not optional:
        return check
    return lambda name, value: None if value is None else check(name, value)


def _plain_class(one: Any) -> Any:
    """The class of this package by which a type variable is bound, or of which an annotation names the parameters."""
    bound = getattr(one, "__bound__", None) if isinstance(one, TypeVar) else typing.get_origin(one)
    return bound if _is_class_to_check(bound) else one


def _is_path(one):
    return isinstance(one, type) and hasattr(one, "__fspath__")


def _is_class_to_check(one):
    """Whether an annotation is a class of this package, of xarray or of matplotlib."""
    return (isinstance(one, type) and typing.get_origin(one) is None
            and one.__module__.partition(".")[0] in ("phasejax", "xarray", "matplotlib"))


def _check_of_arrays(arrays, others) -> Check | None:
    """The check of what may be an array, or besides one of the other classes."""
    if any("key" in str(one.dtypes) for one in arrays):
        return None  # `check_key`
    scalars = {one for one in others if one in (int, float, complex) or (isinstance(one, type)
                                                                        and issubclass(one, np.generic))}
    classes = tuple(others - scalars)
    if any(not _is_class_to_check(one) for one in classes):
        return None
    dims = {_count_of_dimensions(one) for one in arrays}
    if scalars - {np.generic, np.number}:
        dims.add(0)
    only = dims.pop() if len(dims) == 1 else None

    def check(name: str, value: Any) -> Any:
        if isinstance(value, (jax.ShapeDtypeStruct, *classes)):
            return value
        array = check_array(name, value, None if value is None else only)
        return value if scalars and np.ndim(array) == 0 and not isinstance(value, np.ndarray) else array

    return check


def _count_of_dimensions(array: Any) -> int | None:
    words = array.dim_str.split()
    return None if any(word.startswith(("*", "...", "#", "?")) for word in words) else len(words)


def _check_instance(classes: tuple[type, ...], name: str, value: Any) -> Any:
    if isinstance(value, classes):
        return value
    wanted = " or ".join("dictionary" if one is Mapping else one.__name__ for one in classes)
    raise ValueError(f"{name}: expected {'an' if wanted[0] in 'AEIOUaeiou' else 'a'} {wanted}, got {shown(value)}")


def _check_text(name: str, value: Any) -> Any:
    if not isinstance(value, str | None):
        raise ValueError(f"{name}: expected text, got {shown(value)}")
    return value


def _check_hashable(name: str, value: Any) -> Any:
    try:
        hash(value)
    except TypeError:  # arrays and lists, which cannot be compared with a text
        raise ValueError(f"{name}: expected text, got {shown(value)}") from None
    return value


def _check_whole(name: str, value: Any) -> Any:
    """Numbers out of range, and those with decimals, are left to the function, which knows the range."""
    whole = plain_whole(name, value)
    if not _is_number(whole) or isinstance(value, decimal.Decimal):
        raise ValueError(f"{name}: expected a whole number, got {shown(value)}")
    return whole


def _check_real(name: str, value: Any) -> Any:
    if not _is_number(value) or (isinstance(value, int) and abs(value) > 2**1000):
        raise ValueError(f"{name}: expected a number, got {shown(value)}")
    return value


def _is_number(value: Any) -> bool:
    if isinstance(value, np.ndarray | jax.Array):
        return value.ndim == 0 and jax.numpy.issubdtype(value.dtype, np.number) and not np.iscomplexobj(value)
    return isinstance(value, numbers.Real | decimal.Decimal) and not isinstance(value, bool)


def _check_literal(known: tuple[str, ...], name: str, value: Any) -> Any:
    check_choice(name, value, known)
    return value


def _is_uniform(hint: Any) -> bool:
    """Whether a tuple holds any number of values of one plain type."""
    members = typing.get_args(hint)
    return len(members) == 2 and members[1] is ... and members[0] in (int, float, str)


def _check_tuple(of: type, name: str, value: Any) -> Any:
    noun = {int: "whole numbers", float: "numbers", str: "names"}[of]
    if not isinstance(value, tuple | list | range | np.ndarray) or np.ndim(np.asarray(value, object)) != 1:
        raise ValueError(f"{name}: expected {noun}, such as a tuple, got {shown(value)}")
    for one in value:
        if not (isinstance(one, str) if of is str else _is_number(one) and (of is float or hasattr(one, "__index__"))):
            raise ValueError(f"{name}: expected {noun}, got {shown(one)}")
    return tuple(plain_whole(name, one) for one in value) if of is int else tuple(value)


def _check_callable(name: str, value: Any) -> Any:
    if not callable(value):
        raise ValueError(f"{name}: expected a function, got {shown(value)}")
    return value


def _check_progress(name: str, value: Any) -> Any:
    """Refuse what is neither a flag nor a function; what a user's function raises says that it was this argument."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if not callable(value) or isinstance(value, type):
        raise ValueError(f"{name}: expected True, False or a function of (task, done, total), got {shown(value)}")
    return value
