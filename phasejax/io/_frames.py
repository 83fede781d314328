"""Data frames as tables of numbers or labels: which column identifies the rows, and which cannot be a feature."""

from typing import Any

import numpy as np

from phasejax.io._other_columns import OtherColumns, is_left_out, left_out_note
from phasejax.io._plain_values import column_values, stores_whole_numbers
from phasejax.io._row_identifiers import checked_ids, index_ids, plain_ids
from phasejax.io._table import EXACT
from phasejax.io._text_header import is_id_name


def of_frame(frame: Any, name: str, id_column: str | None, others: OtherColumns
             ) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...] | None, tuple[str, ...], bool]:
    """The columns of a pandas DataFrame as values, identifiers, names, notes and `whole`, as `NamedRows` takes them.

    Args:
        frame: the DataFrame.
        name, id_column: as in `phasejax.io.as_named`.
        others: columns that are no features (`no_features`).

    Raises:
        ValueError: no column `id_column`, columns of several kinds that are not one table of numbers, two columns that
            look like identifiers, or one whose values repeat or are missing.
    """
    frame, left_out = _without_others(frame, name, others)
    frame, ids, notes = _split_identifiers(frame, name, id_column)
    columns = tuple(map(str, frame.columns))
    named = [place for place, column in enumerate(columns) if len(columns) > 1 and is_id_name(column, surely=True)]
    for place in named:
        _check_repeats(frame.iloc[:, place], name, columns[place])
    parts = [column_values(frame.iloc[:, place], name, feature=name in ("x", "y")) for place in range(frame.shape[1])]
    texts = [column for column, part in zip(columns, parts, strict=True) if part.dtype.kind == "U"]
    if texts and len(texts) < len(columns):
        raise ValueError(f"{name}: expected numbers in every column, got text in column {texts[0]}")
    notes = (*left_out, *notes, *(f"{name}: column {columns[place]} is read as data, though its name is that of an "
                                   "identifier" for place in named))
    if len(parts) == 1 and parts[0].ndim == 2:  # a column of lists
        return parts[0], ids, None, notes, False
    values = np.ascontiguousarray(np.column_stack(parts)) if parts else np.empty((len(frame), 0))
    for column, part in zip(columns, parts, strict=True):
        if values.dtype.kind == "f" and part.dtype.kind in "iu" and part.size and \
                max(-int(part.min()), int(part.max())) > EXACT:
            raise ValueError(f"{name}: expected numbers that float64 holds exactly, got {part.max()} in column "
                             f"{column} (identifiers? then name the column id)")
    whole = all(stores_whole_numbers(frame.iloc[:, place]) for place in range(frame.shape[1]))
    return values, ids, columns, notes, whole


def _without_others(frame, name, others):
    """A DataFrame without the columns that labels or groups were taken from, where these cannot be features."""
    names = [str(column) for column in frame.columns]
    named = [place for place, column in enumerate(names) if column in others and names.count(column) == 1]
    found = [place for place in named if is_left_out(
        names[place], others, numeric=_holds_numbers(frame.iloc[:, place]),
        repeats=not all_differ(frame.iloc[:, place]))]
    if not found or len(found) == len(names):
        return frame, ()
    kept = [place for place in range(len(names)) if place not in found]
    return frame.iloc[:, kept], tuple(left_out_note(name, names[place], others) for place in found)


def _check_repeats(column, name, called):
    """Refuse a column with the name of an identifier whose whole numbers repeat or are missing."""
    import pandas as pd

    known = column.dropna()
    is_real = pd.api.types.is_float_dtype(column.dtype) and bool(np.any(known != np.floor(known)))
    if is_real or not len(known) or not (whole_or_text(known, floats=True) or len(known) < len(column)):
        return
    if len(known) < len(column):
        raise ValueError(f"{name}: expected an identifier in every row of column {called}, got "
                         f"{len(column) - len(known)} missing")
    if not known.is_unique:
        raise ValueError(f"{name}: expected an identifier of each row in column {called}, got "
                         f"{known[known.duplicated()].iloc[0]} again; leave the column out, or give it as groups")


def _split_identifiers(frame: Any, name: str, id_column: str | None) -> tuple[Any, np.ndarray | None, tuple[str, ...]]:
    """A pandas DataFrame without the column that identifies its rows, the identifiers, and a note about them.

    Raises:
        ValueError: as `of_frame`.
    """
    names = [str(column) for column in frame.columns]
    if id_column is not None:
        if id_column in names:
            place = names.index(id_column)
            ids = _column_ids(frame.iloc[:, place], name)
            return frame.drop(columns=frame.columns[place]), ids, (f"{name}: id {id_column}",)
        if id_column != frame.index.name:
            raise ValueError(f"{name}: expected a column {id_column} with identifiers, got columns "
                             f"{', '.join(names[:12])}{' ...' if len(names) > 12 else ''}")
        return frame, checked_ids(plain_ids(frame.index), name), ()
    ids = index_ids(frame.index)
    differing = [place for place, column in enumerate(names) if len(names) > 1 and
                 all_differ(frame.iloc[:, place], floats=is_id_name(column, surely=True))]
    alike = [place for place in differing if is_id_name(names[place])]
    if not alike and ids is None and len(differing) == 1 and _is_text_beside_numbers(frame):
        alike = differing  # numbers of rows, or names, beside the one column of text or numbers
    if not alike:
        return frame, ids, ()
    surely = [place for place in alike if is_id_name(names[place], surely=True)]
    if ids is not None and len(surely) == 1 and np.array_equal(np.sort(ids), np.arange(len(ids))):
        ids, alike = None, surely  # the index is what rows were numbered by, before they were put in another order
    if ids is not None or len(alike) > 1:
        found = f"column{'s' * (len(alike) > 1)} {' and '.join(names[place] for place in alike)}"
        raise ValueError(f"{name}: expected one column of identifiers or none, got the {found}"
                         f"{' beside an index' if ids is not None else ''}, which would count as features; "
                         "drop them, or say which one identifies the rows (id)")
    place = alike[0]
    return (frame.drop(columns=frame.columns[place]), _column_ids(frame.iloc[:, place], name),
            (f"{name}: column {names[place]} identifies the rows (all its values differ) and is no feature",))


def _column_ids(column, name):
    """The identifiers in a column, which may be dates or decimals."""
    import pandas as pd

    of_dates = pd.api.types.is_datetime64_any_dtype(column.dtype)
    is_decimal = pd.api.types.is_object_dtype(column.dtype) and pd.api.types.infer_dtype(column) == "decimal"
    return checked_ids(column.to_numpy() if of_dates or is_decimal else column_values(column, name), name)


def all_differ(column: Any, *, floats: bool = False) -> bool:
    """Whether a pandas column holds whole numbers or text of which nothing is missing and none occurs twice.

    Args:
        column: the Series.
        floats: whether whole numbers stored as floats or decimals count, and dates.
    """
    return whole_or_text(column, floats=floats) and not column.isna().any() and bool(column.is_unique)


def whole_or_text(column: Any, *, floats: bool) -> bool:
    """Whether a pandas column holds whole numbers or text, as identifiers are.

    Args:
        column: the Series.
        floats: whether whole numbers stored as floats or decimals count, and dates.
    """
    import pandas as pd

    kind = column.dtype
    if pd.api.types.is_integer_dtype(kind):
        return True
    if pd.api.types.is_datetime64_any_dtype(kind):
        return floats
    if pd.api.types.is_float_dtype(kind):
        values = column.to_numpy(float, na_value=np.nan)
        return floats and bool(np.all(values == np.floor(values)) and np.all(np.abs(values) < EXACT))
    if isinstance(kind, pd.CategoricalDtype):
        column = column.astype(kind.categories.dtype)
        return not pd.api.types.is_float_dtype(column.dtype) and whole_or_text(column, floats=False)
    found = pd.api.types.infer_dtype(column, skipna=True)
    return found in ("string", "bytes", "integer") or (
        floats and found == "decimal" and all(entry == int(entry) for entry in column.dropna()))


def _holds_numbers(column):
    """Whether a column of a view counts as numbers: by its type, its categories, or the objects in it."""
    import pandas as pd

    kind = column.dtype.categories.dtype if isinstance(column.dtype, pd.CategoricalDtype) else column.dtype
    return pd.api.types.is_numeric_dtype(kind) or (
        pd.api.types.is_object_dtype(kind) and pd.api.types.infer_dtype(column, skipna=True) in (
            "integer", "floating", "mixed-integer-float", "decimal", "boolean", "empty"))


def _is_text_beside_numbers(frame):
    import pandas as pd

    return len({pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes}) > 1
