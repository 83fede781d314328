"""Signs of groups of dependent rows in names: identifiers that begin alike, and columns that name a patient."""

import re
from collections.abc import Iterator

import numpy as np

from phasejax.io._named import NamedRows
from phasejax.io._table import Table
from phasejax.io._text_header import is_id_name


def suspected_groups(x: NamedRows, y: NamedRows) -> Iterator[str]:
    """Lines about identifiers that share their beginnings, and columns that seem to name groups, of two views."""
    for name, view in (("x", x), ("y", y)):
        if view.ids is not None and (line := _repeated_beginnings(name, view.ids)):
            yield line
            break
    for name, view in (("x", x), ("y", y)):
        for place, column in enumerate(view.columns or ()):
            if is_id_name(column) and not isinstance(view.values, Table) and not _all_differ(view.values[:, place]):
                count = len(np.unique(view.values[:, place]))
                yield (f"{name}: column {column} has the name of an identifier and {count} values that repeat; if it "
                       "says which rows belong together, give it as groups")


def _all_differ(values):
    return len(np.unique(values)) == len(values) or bool(np.any(values != np.round(values)))


def _repeated_beginnings(name: str, ids: np.ndarray) -> str | None:
    """Identifiers such as star17_epoch3: many beginnings that repeat, each with an end of its own."""
    if ids.dtype.kind != "U" or len(ids) < 10:
        return None
    parts = [re.fullmatch(r"(.*[^_\-.:|/ ])[_\-.:|/ ]+([^_\-.:|/ ]+)", text) for text in ids.tolist()]
    if not all(parts):
        return None
    beginnings = [part[1] for part in parts if part]
    kinds = len(set(beginnings))
    if not 3 <= kinds <= len(ids) / 2:
        return None
    return (f"{name}: identifiers have {kinds} beginnings that repeat, such as {beginnings[0]} in {ids[0]}; if these "
            "say which rows belong together, give them as groups")
