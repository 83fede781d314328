"""Views, and label columns of some of their rows, as the functions that score and test them take them."""

from typing import Any

import numpy as np

from phasejax._core.validation import check_array, check_choice, check_count, check_seed, shown
from phasejax.io._labels import labelled_rows


def check_view(name: str, view: Any) -> None:
    """Refuse what has not the two dimensions of a view, whether it is an array or reads its rows when asked for.

    Raises:
        ValueError: in one line.
    """
    if isinstance(view, np.ndarray) or not hasattr(view, "shape"):
        check_array(name, view, 2)
    if len(view.shape if hasattr(view, "shape") else np.shape(view)) != 2:
        raise ValueError(f"{name}: expected two dimensions (rows, columns), got shape {tuple(view.shape)}")


def check_label_rows(x: Any, y: Any, columns: Any, labelled: Any, *, seed: Any = 0, kind: str | None = None,
                     ks: Any = None, groups: Any = None) -> tuple[Any, Any, np.ndarray, np.ndarray]:
    """Refuse views and label columns that do not belong together.

    Args:
        x, y: views of the same n rows.
        columns: label columns of m of them, shape (m, l).
        labelled: which rows these are, integers from 0 to n - 1.
        seed: of random draws.
        kind: "class" or "real", where it is used.
        ks: widths, where they are used.
        groups: the group of each of the n rows, integers; None where rows are independent.

    Returns:
        x, y, columns and labelled, lists as arrays.

    Raises:
        ValueError: in one line that names the argument.
    """
    views = []
    for name, view in (("x", x), ("y", y)):
        view = view if hasattr(view, "shape") else check_array(name, view, 2)
        check_view(name, view)
        views.append(view)
    if len(views[0]) != len(views[1]):
        raise ValueError(f"y: expected {len(views[0])} rows as in x, got {len(views[1])}")
    if labelled is None:
        raise ValueError("labelled: expected indices of rows, got None")
    rows, columns = labelled_rows(labelled, len(views[0])), np.asarray(check_array("columns", columns, 2))
    if len(columns) != len(rows) or not columns.shape[1]:
        raise ValueError(f"columns: expected one row for each of the {len(rows)} labelled rows, got shape "
                         f"{columns.shape}")
    check_seed("seed", seed)
    if kind is not None:
        check_choice("kind", kind, ("class", "real"))
    if groups is not None and (np.shape(groups) != (len(views[0]),) or np.asarray(groups).dtype.kind not in "iu"):
        raise ValueError(f"groups: expected {len(views[0])} integers, one for each row, got {shown(groups)}")
    if ks is not None:
        if not isinstance(ks, list | tuple | range | np.ndarray) or not len(ks):
            raise ValueError(f"ks: expected a list of widths, got {shown(ks)}")
        for k in ks:
            check_count("k" if len(ks) == 1 else "ks", k)
    return views[0], views[1], columns, rows


def check_strata(strata: Any, n: int, groups: Any) -> None:
    """Refuse strata that are no integers, one for each of n rows, or that divide a group.

    Raises:
        ValueError: in one line.
    """
    if np.shape(strata) != (n,) or np.asarray(strata).dtype.kind not in "iu":
        raise ValueError(f"strata: expected {n} integers, one for each row, got {shown(strata)}")
    if groups is not None and len(np.unique(np.stack([strata, groups]), axis=1).T) > len(np.unique(groups)):
        raise ValueError("strata: expected one for all rows of a group, got several")


def labels_in_words(kind: str, columns: int) -> str:
    """How many classes or real labels so many linearly independent columns stand for; one class less has a column."""
    return f"{columns + 1} classes" if kind == "class" else f"{columns} real label{'s' * (columns > 1)}"
