"""Results as JSON: nested containers of arrays as plain Python objects, and records made again from what JSON holds."""

import contextlib
import enum
import json
import math
import re
import types
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np
from jaxtyping import AbstractArray

_Record = TypeVar("_Record")
_NOT_FINITE = ("inf", "-inf", "nan")


def plain(value: Any) -> Any:
    """A nested container of arrays as dictionaries, lists, numbers and text, which `json.dumps` takes.

    JSON has no infinity and no NaN. They become the texts "inf", "-inf" and "nan", from which `float` makes the
    numbers again.

    Args:
        value: dictionaries, lists, tuples, NumPy arrays and scalars, numbers, text, booleans and None, nested.
            Anything else is left as it is.

    Returns:
        The same with lists for tuples and arrays, Python's own numbers for NumPy's, and values for members of
        enumerations.

    >>> plain({"ratios": np.array([0.5, np.inf]), "shape": (2, 3)})
    {'ratios': [0.5, 'inf'], 'shape': [2, 3]}
    """
    match value:
        case dict():
            return {name: plain(item) for name, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case np.ndarray() | np.generic():
            return plain(value.tolist())
        case _ if hasattr(value, "__jax_array__") or type(value).__module__.startswith("jaxlib"):
            return plain(np.asarray(value))
        case float() if not math.isfinite(value):
            return str(value)
        case enum.Enum():
            return plain(value.value)
        case _:
            return value


def schema(name: str, version: int) -> dict[str, Any]:
    """The first entry of a file of results, by which a reader knows what follows.

    >>> schema("phasejax.drift", 1)
    {'schema': {'name': 'phasejax.drift', 'version': 1}}
    """
    return {"schema": {"name": name, "version": version}}


def restored(record: type[_Record], saved: Any, name: str = "") -> _Record:
    """A record made again from what `plain(asdict(record))` gave, every field checked against its annotation.

    Nothing that a file holds is trusted: a field that is missing or holds another type is an error, names that the
    record does not have are left out. A class with a method `from_dict` reads itself where what was saved says its
    kind, or has none.

    Args:
        record: a dataclass whose fields are numbers, text, booleans, None, tuples, dictionaries with names of text,
            NumPy arrays, members of enumerations, or such dataclasses. A field of type Any gets what the file holds.
        saved: dictionaries, lists, numbers and text, nested, as JSON holds them.
        name: what errors call the record: the path of fields that leads to it.

    Raises:
        ValueError: naming the field, what was expected and what was given.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Interval:
    ...     low: float
    ...     high: float
    >>> restored(Interval, {"low": 0, "high": "inf"})
    Interval(low=0.0, high=inf)
    """
    if not isinstance(saved, dict):
        raise ValueError(f"expected {f'an object in the field {name}' if name else 'an object'}, got {_short(saved)}")
    values, hints = {}, get_type_hints(record)
    for field in fields(record):  # pyright: ignore[reportArgumentType] (a dataclass, as documented)
        path = f"{name}.{field.name}" if name else field.name
        if field.name in saved:
            values[field.name] = _restored_as(hints[field.name], saved[field.name], path)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"expected the field {path}, got none")
    return record(**values)


def _restored_as(hint: Any, saved: Any, path: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return saved
    if origin in (Union, types.UnionType):
        if saved is None and type(None) in arguments:
            return None
        return _restored_as(_member(arguments, saved), saved, path)
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return _restored_array(hint, saved, path)
    if isinstance(hint, enum.EnumMeta):
        known: dict[Any, Any] = {one.value: one for one in cast(Any, hint)}
        if isinstance(saved, str | int) and saved in known:
            return known[saved]
        raise ValueError(f"expected one of {', '.join(map(str, known))} in the field {path}, got {_short(saved)}")
    if origin is tuple and isinstance(saved, list | tuple):
        inner = arguments[:1] * len(saved) if arguments[-1] is Ellipsis else arguments
        if len(inner) == len(saved):
            return tuple(_restored_as(one, item, f"{path}[{place}]")
                         for place, (one, item) in enumerate(zip(inner, saved, strict=True)))
    elif origin is dict and isinstance(saved, dict):
        return {key: _restored_as(arguments[1], item, f"{path}.{key}") for key, item in saved.items()}
    elif origin is Literal:
        if saved in arguments:
            return saved
    elif hasattr(hint, "from_dict") and isinstance(saved, dict) and ("schema" in saved or not hasattr(hint, "_kind")):
        return hint.from_dict(saved)
    elif is_dataclass(hint) and isinstance(hint, type):
        return restored(hint, saved, path)
    elif hint is float and (isinstance(saved, int | float) or saved in _NOT_FINITE) and not isinstance(saved, bool):
        with contextlib.suppress(OverflowError):  # a whole number of hundreds of digits
            return float(saved)
    elif hint in (int, str, bool) and type(saved) is hint:
        return saved
    expected = getattr(hint, "__name__", str(hint)) if origin is None else str(hint)
    raise ValueError(f"expected {expected} in the field {path}, got {_short(saved)}")


def _member(arguments: tuple, saved: Any) -> Any:
    """Which member of a union something saved is: the one of its own type, an array on the host, or the first."""
    members = [one for one in arguments if one is not type(None)]
    own = [one for one in members if type(saved) is one]
    on_host = [one for one in members if isinstance(one, type) and issubclass(one, AbstractArray)
               and one.array_type is np.ndarray]
    return (own or on_host or members)[0]


def _restored_array(hint: Any, saved: Any, path: str) -> np.ndarray:
    """Nested lists as an array of the kind and number of dimensions that its annotation says."""
    kind, taken = next((kind, taken) for name, kind, taken in (("float", np.float64, "fi"), ("bool", np.bool_, "b"),
                                                               ("int", np.int64, "i"))
                       if any(name in dtype for dtype in hint.dtypes))
    try:
        array = np.array(_numbers(saved))
        right = array.ndim == len(hint.dims) and (array.size == 0 or array.dtype.kind in taken)
    except (ValueError, TypeError, OverflowError):  # lists of different lengths, objects
        right, array = False, np.array(0)
    if not right:
        raise ValueError(f"expected an array with {len(hint.dims)} dimensions in the field {path}, got {_short(saved)}")
    return array.astype(kind)


def _numbers(saved: Any) -> Any:
    """Nested lists with numbers for the texts that stand for those which JSON does not have."""
    if isinstance(saved, list | tuple):
        return [_numbers(one) for one in saved]
    return float(saved) if isinstance(saved, str) and saved in _NOT_FINITE else saved


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def from_text(text: str) -> Any:
    """What JSON text holds.

    Raises:
        ValueError: text that is no JSON, or not all of it, in one line.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"expected a complete JSON text, got {error}") from None


def lines_of_lists(text: str) -> str:
    """Indented JSON with every list of numbers or text on one line, which is shorter and easier to read.

    >>> print(lines_of_lists('{\\n  "a": [\\n    1,\\n    2\\n  ]\\n}'))
    {
      "a": [1, 2]
    }
    """
    return re.sub(r"\[\n\s+([^\[\]{}]*?)\n\s+\]",
                  lambda found: f"[{re.sub(chr(10) + ' +', ' ', found.group(1))}]", text)
