"""Views with no more columns than their rows can carry, before they are diagnosed.

Columns that others determine are left out. Principal components take the place of the columns where a user asks for
them, and where there are no more rows than columns.

Scores of held-out rows rest on components of the training rows of each fold (`phasejax.io._fold_view`). The
permutation tests and the label content need one basis for all rows, fitted to all of them without the labels:

- Each view has a basis of its own, which does not know how rows are paired, so it is the same for every permutation of
  the pairs, and for every permutation of the labels. The tests stay exact given the basis.
- The content is that of the components as they are, as it would be of columns that somebody chose without the labels.
  Its fits to other rows, and the labels they see, are cross-fitted in these coordinates.
"""

import numpy as np

from phasejax.diagnosis._paired_data import IN_MEMORY
from phasejax.diagnosis._units import view_in_like_units
from phasejax.io import Table
from phasejax.io._arrays import finite_view
from phasejax.io._fold_view import FoldView
from phasejax.io._reduction import PrincipalComponents, fit_width, reduce_to_rank

InFolds = tuple[FoldView | None, FoldView | None]


def reduced_views(x: np.ndarray | Table, y: np.ndarray | Table, *, units: int, pca: int | None
                  ) -> tuple[tuple[np.ndarray | Table, np.ndarray | Table], InFolds, tuple[str, ...]]:
    """Both views in as many columns as can be told apart.

    Args:
        x, y: n matched rows each.
        units: independent units among them: rows, or groups where there are any.
        pca: principal components of each view, or of as many columns as it has; None to let the sizes decide.

    Returns:
        The views; for each that is reduced to components, what reduces it by the training rows of a fold, else None;
        and one sentence about each change.

    Raises:
        ValueError: values that are not finite, no column that varies, more components than the rows have, components of
            views that do not fit in memory.
    """
    if pca is not None and (isinstance(pca, bool) or not isinstance(pca, int | np.integer) or pca < 2):
        raise ValueError(f"pca: expected a whole number of components from 2 on, got {pca!r}")
    if len(x) != len(y) or any(len(view.shape) != 2 or 0 in view.shape for view in (x, y)):
        return (x, y), (None, None), ()  # refused where rows are paired
    if len(x) * (x.shape[1] + y.shape[1]) > IN_MEMORY:
        if pca is not None:
            raise ValueError(f"pca: expected views of at most {IN_MEMORY:.0e} numbers in all, got "
                             f"{len(x)} x {x.shape[1] + y.shape[1]}")
        return (x, y), (None, None), ()
    x, y = (view.rows(0, len(view)) if isinstance(view, Table) else view for view in (x, y))
    if any(np.asarray(view).dtype.kind not in "fiub" for view in (x, y)):
        return (x, y), (None, None), ()
    for name, view in (("x", x), ("y", y)):
        finite_view(name, view)
    (x, of_x), (y, of_y) = reduce_to_rank("x", x), reduce_to_rank("y", y)
    notes = [note for note in (of_x, of_y) if note]
    if pca is not None and pca >= units:
        raise ValueError(f"pca: expected fewer components than the {units} rows or groups, got {pca}")
    widths = fit_width(units, x.shape[1], y.shape[1]) if pca is None else (min(pca, x.shape[1]), min(pca, y.shape[1]))
    views, in_folds = [], []
    for name, view, width in (("x", x, widths[0]), ("y", y, widths[1])):
        own = None
        if width < view.shape[1]:
            rows = np.asarray(view, np.float64)
            view, of_units = view_in_like_units(name, rows)
            own = FoldView.reduced(rows, width, standardise=bool(of_units))
            components = PrincipalComponents.fit(view, width, standardise=False)
            view = components.transform(view)
            why = "" if pca is not None else f", since {units} independent rows or groups are too few for them"
            notes += [*of_units, components.note(name) + why]
        elif pca is not None:
            notes.append(f"{name}: keeps its {view.shape[1]} columns, no more than the {pca} components asked for")
        views.append(view)
        in_folds.append(own)
    return (views[0], views[1]), (in_folds[0], in_folds[1]), tuple(notes)
