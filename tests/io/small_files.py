"""Small files that tests of inputs write, and what is read from them."""

import numpy as np

from phasejax.io import as_named


def write(path, text):
    """Write a text as it is, with its own ends of lines."""
    with open(path, "w", encoding="utf-8", newline="") as stream:
        stream.write(text)
    return path


def values(path, name="x"):
    """The numbers or text of a file, without its identifiers."""
    found = as_named(path, name).values
    return found if isinstance(found, np.ndarray) else found.rows(0, len(found))
