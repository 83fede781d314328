"""Columns of a view that are no features of it, since labels or groups were taken from columns of their name."""

from collections.abc import Mapping

from phasejax.io._text_header import is_id_name

# What is said of a column, by its name, or by its place in a table of which no column has a name.
OtherColumns = Mapping[str | int, str]


def no_features(groups_column: str | None, labels_column: str | int | None, id_column: str | None,
                others: Mapping[str, str] | None = None) -> OtherColumns:
    """What is said of the columns that are left out, by their name or place.

    Args:
        groups_column: name of what says which rows belong together; None without.
        labels_column: name or place of what labels were taken from; None without.
        id_column: name of the column of identifiers, which is no feature anyway.
        others: what is said of more columns, by name; None without.

    >>> no_features("patient", "class", None)["class"]
    'has the name of the labels'
    """
    of_labels = "holds the labels" if isinstance(labels_column, int) else "has the name of the labels"
    found = {**(others or {}), labels_column: of_labels, groups_column: "says which group a row belongs to"}
    return {column: words for column, words in found.items() if column is not None and column != id_column}


def is_left_out(column: str, others: OtherColumns, *, numeric: bool, repeats: bool) -> bool:
    """Whether a named column is one of these and cannot be a feature; numbers are compared once rows are matched.

    Args:
        column: its name.
        others: as `no_features` gives them.
        numeric: whether it holds numbers.
        repeats: whether values occur twice; where none does, they are identifiers.
    """
    return column in others and repeats and (not numeric or is_id_name(column, surely=True))


def left_out_note(name: str, column: str, others: OtherColumns) -> str:
    """The line that says that a column was left out.

    Args:
        name: the view or the file.
        column: name or place of the column.
        others: as `no_features` gives them.
    """
    return f"{name}: column {column} {others.get(column) or others[int(column)]} and is no feature"
