"""Views whose columns are quantities in different units, such as kelvin beside dex, before they are diagnosed.

Prediction weighs the columns of what it predicts by their variance, and a model with one signal variance and one
nuisance variance describes columns of like size. So where the columns of a view differ by orders of magnitude the
answer would be about the units: each column is then divided by its standard deviation, and the diagnosis says so.
Alignment does not depend on that. Views in one unit are left as they are.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from phasejax._core.column_units import units_of_columns
from phasejax._core.digits import significant
from phasejax.diagnosis._paired_data import PairedRows


def rows_in_like_units(data: PairedRows) -> tuple[PairedRows, tuple[str, ...]]:
    """The same rows and moments, with columns of unit variance in each view of mixed units.

    Returns:
        The data, and one sentence for each view that was changed.
    """
    d_x, d = data.d_x, data.d_x + data.d_y
    deviations = np.sqrt(np.diag(data.joint))
    scale, notes = np.ones(len(data.joint)), []
    for name, columns, in_folds in zip("xy", (slice(0, d_x), slice(d_x, d)), data.in_folds, strict=True):
        if in_folds is None:  # principal components are in one unit, however much their variances differ
            scale[columns], note = _scales(name, deviations[columns])
            notes += note
    if not notes:
        return data, ()
    return replace(data, joint=data.joint / np.outer(scale, scale), without=data.without / np.outer(scale, scale),
                   x=data.x / scale[:d_x], y=data.y / scale[d_x:d]), tuple(notes)


def view_in_like_units(name: str, view: Float[np.ndarray, "n d"]) -> tuple[Float[np.ndarray, "n d"], tuple[str, ...]]:
    """The view, with columns of unit variance where they are in mixed units, and then a sentence that says so.

    >>> kelvin_and_dex = np.array([[5700.0, 4.41], [6100.0, 4.37], [5200.0, 4.52]])
    >>> view, notes = view_in_like_units("x", kelvin_and_dex)
    >>> view.std(0).round(6).tolist(), len(notes)
    ([1.0, 1.0], 1)
    """
    scale, notes = _scales(name, (view - view.mean(0)).std(0))
    return (view / scale, tuple(notes)) if notes else (view, ())


def _scales(name, deviations):
    """What each column is divided by, and what is said about it: nothing where the columns are of like size."""
    units = units_of_columns(deviations)
    if units is None:
        return np.ones(len(deviations)), []
    return units, [f"{name}: its columns seem to be in different units (standard deviations from "
                   f"{significant(deviations.min(), 2)} to {significant(deviations.max(), 2)}), so each was divided by "
                   f"its own; {name} is reported in these units."]
