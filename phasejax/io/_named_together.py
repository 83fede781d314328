"""Two views, their labels and their groups, read in the order in which one says what is no feature of another.

A column that labels or groups were taken from cannot be a feature of the view that has it too. Where it holds text, or
has the name of an identifier, it is left out as the view is read; other numbers are compared once rows are matched.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phasejax.io._groups import group_name
from phasejax.io._named import NamedRows, as_named
from phasejax.io._text_table import split_text_path


def named_together(x: Any, y: Any, labels: Any = None, groups: Any = None, *,
                   id_columns: Mapping[str, str | None] | None = None,
                   other_columns: Mapping[str, str] | None = None, flatten: bool = False
                   ) -> tuple[NamedRows, NamedRows, NamedRows | None, NamedRows | None]:
    """The rows of x, y, labels and groups with their identifiers, as `as_named` reads each of them.

    Args:
        x, y, labels, groups: files or containers; labels and groups may be None.
        id_columns: column of identifiers of each of them by name; found where left out.
        other_columns: names of more columns that are no features, with what is said of each, as `as_named` takes them.
        flatten: whether each image of x and of y is one row.

    Raises:
        ValueError: as `as_named`.
    """
    of = {} if id_columns is None else id_columns
    groups = None if groups is None else as_named(groups, "groups", id_column=of.get("groups"))
    given = labels
    labels = None if labels is None else as_named(labels, "labels", id_column=of.get("labels"),
                                                  groups_column=group_name(groups))
    first, second = (as_named(view, name, id_column=of.get(name), groups_column=group_name(groups),
                              labels_column=_label_column(labels, given, view),
                              other_columns=other_columns, flatten=flatten)
                     for name, view in (("x", x), ("y", y)))
    return first, second, labels, groups


def _label_column(labels: NamedRows | None, given: Any, view: Any) -> str | int | None:
    """The column that labels were taken from: its name, or its place in a table of this view without names."""
    if labels is None:
        return None
    if labels.columns is not None:
        return labels.columns[0] if len(labels.columns) == 1 else None
    paths = [split_text_path(path) if isinstance(path, str | Path) else None for path in (given, view)]
    if paths[0] is None or paths[1] is None or paths[0][1] is None or not paths[0][1].isdigit():
        return None
    return int(paths[0][1]) if paths[0][0].resolve() == paths[1][0].resolve() else None
