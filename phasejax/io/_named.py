"""Rows with their identifiers and column names, as files and Python's data containers bring them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phasejax.io._table import Table


@dataclass(frozen=True, eq=False)
class NamedRows:
    """Numbers or labels of ``n`` rows, with what says which row is which.

    Args:
        values: Array ``(n, d)`` of numbers, or labels ``(n,)`` or ``(n, L)`` (numbers or text); a ``Table`` is read in blocks.
        ids: Identifiers of the rows, ``(n,)`` of int64 or text; None where there are none.
        columns: Names of the columns of ``values``; None where there are none.
        notes: Lines that say how the input was read, such as ``"x.csv: 300 rows, 12 columns, header, id object_id"``.
    """

    values: np.ndarray | Table
    ids: np.ndarray | None = None
    columns: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
