"""Identifiers of stars in catalogues, which are whole numbers however a file stores them, and may be missing."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from phasejax._core.terminal import one_line
from phasejax.io._table import EXACT

# Catalogues' names that may stand before a number.
_PREFIX = re.compile(r"(?:KIC|KID|TIC|Gaia(?:\s*E?DR\d)?)[\s_-]*(?=\d+$)", re.IGNORECASE)
_MISSING = ("", "nan", "none", "null", "<na>", "nat", "--")


def star_ids(columns: Sequence[pd.Series], names: Sequence[str]) -> tuple[list[np.ndarray], bool]:
    """The identifiers of one catalogue in several files, as text that can be compared; empty where there is none.

    Whole numbers, floats, and text such as "007", "7.0" or "KIC 7" are the same identifier. Numbers below 1 stand for
    missing ones. Where a file has lost the last digits of long ones, by storing them as floats, all are compared
    without these.

    Args:
        columns: a column of each file.
        names: what errors call the columns.

    Returns:
        The identifiers of each file, and whether digits were lost.

    Raises:
        ValueError: an identifier that is no whole number.
    """
    found = [[_whole(value, name) for value in column.astype(object).tolist()]
             for column, name in zip(columns, names, strict=True)]
    lost = any(isinstance(one, float) and one > EXACT for numbers in found for one in numbers)
    texts = [["" if one is None or one < 1 else str(int(float(one)) if lost else int(one)) for one in numbers]
             for numbers in found]
    return [np.array(text, str) for text in texts], lost


def _whole(value, name):
    """A number without decimals, as int or float; None where it is missing."""
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        text = _PREFIX.sub("", value.strip())
        if text.lower() in _MISSING:
            return None
        if match := re.fullmatch(r"([+-]?\d+)(?:\.0*)?", text):
            return int(match[1])
    elif not isinstance(value, bool | np.bool_):
        try:
            number = float(value)
            if np.isnan(number):
                return None
            if number == np.floor(number) and np.isfinite(number):
                return number if isinstance(value, float | np.floating) else int(value)
        except (TypeError, ValueError, OverflowError):
            pass
    raise ValueError(f"{name}: expected whole numbers that identify stars, got {one_line(str(value), 40)!r}")


def same_star(ids: Sequence[Shaped[np.ndarray, "n"]], n: int) -> Int[np.ndarray, "n"]:
    """The number of the star that each row shows: rows are of one star where they share an identifier of any catalogue.

    Args:
        ids: identifiers of each catalogue, empty where there is none.
        n: number of rows.
    """
    edges: list[Any] = []
    for of_catalogue in ids:
        rows = np.flatnonzero(of_catalogue != "")
        if rows.size:
            _, first, inverse = np.unique(of_catalogue[rows], return_index=True, return_inverse=True)
            edges.append(np.stack([rows, rows[first][inverse.reshape(-1)]]))
    pairs = np.concatenate(edges, 1) if edges else np.zeros((2, 0), int)
    graph = coo_array((np.ones(pairs.shape[1]), (pairs[0], pairs[1])), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(int)
