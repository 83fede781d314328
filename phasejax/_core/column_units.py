"""Columns of a view that are quantities in different units, such as kelvin beside dex: what each is divided by."""

import numpy as np
from jaxtyping import Float

# Ratio of the largest to the least standard deviation of columns above which they count as quantities in different
# units.
MIXED_UNITS = 1e3
# Share of the largest standard deviation up to which a column counts as constant.
_CONSTANT = 1e-12


def units_of_columns(deviations: Float[np.ndarray, "d"]) -> Float[np.ndarray, "d"] | None:
    """The standard deviation of each column where they differ by orders of magnitude; None where they are alike.

    Args:
        deviations: standard deviations of the columns; one that does not vary gets 1.

    >>> units_of_columns(np.array([400.0, 0.1, 0.0])).tolist(), units_of_columns(np.array([4.0, 0.1]))
    ([400.0, 0.1, 1.0], None)
    """
    varies = deviations > _CONSTANT * max(deviations.max(initial=0), np.finfo(float).tiny)
    if not varies.any() or deviations.max() <= MIXED_UNITS * deviations[varies].min():
        return None
    return np.where(varies, deviations, 1.0)
