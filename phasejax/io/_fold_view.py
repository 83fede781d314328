"""A view as the training rows of a fold see it: as it is, without what confounders predict, in principal components.

Whatever is scored on held-out rows must not have seen them, not even without their labels: centring, scales, axes
and the slopes of confounders come from the rows that are trained on.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from phasejax._core.residuals import residuals_of
from phasejax._core.validation import check_count
from phasejax.io._reduction import PrincipalComponents

# Rows up to which a view with more columns than rows is first rotated to as many columns as it has rows.
_FEW_ROWS = 2000


@dataclass(frozen=True, eq=False)
class FoldView:
    """The rows of a view, and to how many principal components each fold's training rows reduce it.

    Args:
        rows: shape (n, d), or (n, ...) for images, which are left as they are.
        width: number of components; None leaves the columns as they are.
        standardise: whether columns count with unit variances, for quantities in different units.
        among: the rows that components may be fitted to; None for all, as far as they are trained on.
        confounders: columns of like scale whose linear effect each fold's training rows remove, shape (n, q), before
            there are components; None for none.

    >>> view = FoldView(np.array([[0.0, 0.0], [2.0, 2.0], [4.0, 4.1], [0.0, 9.0]]), 1)
    >>> view.fitted_to(np.array([True, True, True, False])).round(1).tolist()
    [[-2.9], [-0.0], [2.9], [3.6]]
    """

    rows: np.ndarray
    width: int | None = None
    standardise: bool = False
    among: Bool[np.ndarray, "n"] | None = None
    confounders: Float[np.ndarray, "n q"] | None = None

    @classmethod
    def reduced(cls, rows: Float[np.ndarray, "n d"], width: int, *, standardise: bool = False) -> "FoldView":
        """A view that is reduced, in coordinates that make its components cheap to find.

        Of more columns than rows only what the rows span is kept, in orthonormal coordinates. They depend on all rows,
        but distances and angles between rows, and so the principal components of any of them, stay the same: nothing
        of a held-out row gets into the components of the others.
        """
        if not standardise and len(rows) < rows.shape[1] and len(rows) <= _FEW_ROWS:
            rows = span_coordinates(rows)
        return cls(rows, width, standardise)

    @classmethod
    def of(cls, view: Any) -> "FoldView":
        """The view itself, or an array as a view that is left as it is."""
        return view if isinstance(view, FoldView) else cls(np.asarray(view))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def same_in_folds(self) -> bool:
        """Whether it is the same for all folds."""
        return self.width is None and self.confounders is None

    @property
    def shape(self) -> tuple[int, ...]:
        """What `fitted_to` returns has this shape."""
        return self.rows.shape if self.width is None else (len(self.rows), self.width)

    def fitted_to(self, training: Bool[np.ndarray, "n"]) -> np.ndarray:
        """All rows in the components of the training rows; zero in those beyond their rank."""
        training = training if self.among is None else training & self.among
        rows = self.rows if self.confounders is None else residuals_of(self.rows, self.confounders, training)
        if self.width is None:
            return rows
        found = PrincipalComponents.fit(rows[training], self.width, standardise=self.standardise, beyond_rank="zero")
        return found.transform(rows)


def fold_views(x: Any, y: Any, pca: int | None = None) -> tuple[FoldView, FoldView]:
    """Two views, each reduced to `pca` components of a fold's training rows where it has more columns.

    Args:
        x, y: finite numbers, shapes (n, d_x) and (n, d_y); a `FoldView` stays what it is.
        pca: number of components; None leaves both as they are.

    Raises:
        ValueError: pca is no count.
    """
    if pca is None:
        return FoldView.of(x), FoldView.of(y)
    check_count("pca", pca)
    x, y = FoldView.of(x), FoldView.of(y)
    first, second = (FoldView.reduced(view.rows, int(pca)) if view.width is None and view.shape[1] > pca else view
                     for view in (x, y))
    return first, second


def span_coordinates(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
    """Rows in n orthonormal coordinates of what they and their columns' medians span, with the medians at 0.

    By a QR decomposition, which is as exact for each row as its own distance from the medians: one far row takes no
    digits from the others.

    >>> rows = np.array([[1.0, 2.0, 3.0, 5.0], [4.0, 6.0, 3.0, 5.0], [1.0, 2.0, 3.0, 7.0]])
    >>> np.linalg.norm(span_coordinates(rows)[1:] - span_coordinates(rows)[0], axis=1).round(6).tolist()
    [5.0, 2.0]
    """
    centred = rows - np.median(rows, 0)
    exponent = int(np.frexp(np.abs(centred).max())[1])
    upper = np.asarray(np.linalg.qr(np.ldexp(centred, -exponent).T, mode="r"))
    return np.ldexp(upper.T, exponent)
