"""Results as JSON: what turns nested containers of arrays into plain Python objects."""

import math
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """A nested container of arrays as dictionaries, lists, numbers and text, which `json.dumps` takes.

    JSON has no infinity and no NaN. They become the texts "inf", "-inf" and "nan", from which `float` makes the
    numbers again.

    Args:
        value: dictionaries, lists, tuples, NumPy arrays and scalars, numbers, text, booleans and None, nested.
            Anything else is left as it is.

    Returns:
        The same with lists for tuples and arrays, and Python's own numbers for NumPy's.

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
        case float() if not math.isfinite(value):
            return str(value)
        case _:
            return value
