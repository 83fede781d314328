"""TODO module docstring of _core.serialise."""

import math

import numpy as np


def plain(value):
    """Nested containers with arrays as Python objects that JSON can hold; numbers it cannot hold become text."""
    match value:
        case dict():
            return {name: plain(item) for name, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case np.ndarray():
            return plain(value.tolist())
        case float() if not math.isfinite(value):
            return str(value)
        case _:
            return value
