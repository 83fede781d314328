"""Identifiers that a file holds in an array of its own, beside the array of values: x and ids, or x and x_ids."""

from collections.abc import Callable, Mapping

import numpy as np

from phasejax.io._frames import all_differ
from phasejax.io._row_identifiers import text_ids
from phasejax.io._text_header import is_id_name


def identifiers_beside(member: str, shapes: Mapping[str, tuple[int, ...]], read: Callable[[str], np.ndarray], name: str
                       ) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Identifiers of the rows of an array, from the array beside it that is named as such and fits, and a note.

    Args:
        member: name of the array of values.
        shapes: of all arrays of the file, by name.
        read: gives the values of one of them.
        name: what errors call the file.

    Raises:
        ValueError: several arrays could be the identifiers.
    """
    import pandas as pd

    folder, _, own = member.rpartition("/")
    rows = shapes[member][:1]
    beside = {path: path.rpartition("/")[2] for path in shapes
              if path.rpartition("/")[0] == folder and path != member and shapes[path] == rows}
    others = [called for path in shapes if path != member and not is_id_name(called := path.rpartition("/")[2],
                                                                             surely=True)]
    named = {path: called for path, called in beside.items() if is_id_name(called, surely=True)
             and not any(called.startswith(f"{other}_") for other in others)}
    own_named = {path: called for path, called in named.items() if called.startswith(f"{own}_")}
    found = {path: values for path in own_named or named
             if all_differ(pd.Series(values := read(path)), floats=True)}
    if len(found) > 1:
        raise ValueError(f"{name}: expected one array of identifiers beside {member} or none, got "
                         f"{' and '.join(found)}")
    if not found:
        return None, ()
    (path, values), = found.items()
    ids = text_ids(values)
    return ids, () if ids is None else (f"{name}: {path} identifies the rows",)
