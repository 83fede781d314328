r"""Known nuisance removed from the other columns of a table: the step of a scikit-learn pipeline before two views.

Confounders are columns of the table, so that pipelines and cross-validation hand every fold its own: slopes come from
the rows of `fit` alone.
"""

# ruff: noqa: N803  (X is the name that scikit-learn's protocol prescribes)
from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from phasejax._core.residuals import slopes_on
from phasejax.io._confounder_coding import ConfounderCoding
from phasejax.io._confounders import plain_column
from phasejax.linear._estimator_checks import check_values


class ConfounderRemover(TransformerMixin, BaseEstimator):
    r"""All columns of a table but the confounders, less what least squares predict of them from the confounders.

    .. math::  x - \bar x - (c - \bar c) B, \qquad B = \arg\min \sum_i \| x_i - \bar x - (c_i - \bar c) B \|^2

    with means and B, the least of them where several are best, from the rows of `fit`. A confounder is a class, whose
    levels have an indicator each, where it holds text, booleans or whole numbers that occur often; other numbers count
    linearly. A level that `fit` has not seen counts as the average of the others.

    Before `TwoViewEncoder` it removes the confounders from both views. Class labels stay as they are.

    Args:
        columns: the confounders, by name or number.

    Attributes:
        columns_: their numbers.
        levels_: of each confounder its levels; None for real values.
        coef_: B, shape (q, d): for each level, or standardised real value, and each other column.
        mean_: means of the other columns, shape (d,).
        n_features_in_, feature_names_in_: of the whole table.

    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.pipeline import make_pipeline
    >>> from phasejax import CrossAlignment, TwoViewEncoder
    >>> from phasejax.datasets import load_digit_halves
    >>> x, y, labels = load_digit_halves()
    >>> batch = np.arange(len(x)) % 3
    >>> table = np.column_stack([batch, np.hstack([x, y]) + 9.0 * batch[:, None]])
    >>> encoder = TwoViewEncoder(CrossAlignment(8, shrinkage=0.01), split=x.shape[1])
    >>> model = make_pipeline(ConfounderRemover(columns=[0]), encoder, LogisticRegression(max_iter=500))
    >>> bool(cross_val_score(model, table, labels, cv=3).mean() > 0.75)
    True
    """

    n_features_in_: int
    feature_names_in_: np.ndarray  # set where the table has names

    def __init__(self, columns: Any = None):
        self.columns = columns

    def fit(self, X: Any, y: Any = None) -> "ConfounderRemover":
        """Fit slopes of all other columns on the confounders.

        Args:
            X: a table of finite numbers; in a data frame confounders may be text.
            y: ignored; the place of the labels in a pipeline.

        Returns:
            The fitted transformer itself.

        Raises:
            ValueError: unknown columns, no other columns, values that are missing or not finite.
        """
        confounders, rest = self._parts(X, reset=True)
        self._coding = ConfounderCoding.of(confounders)
        self.levels_ = [None if levels is None else np.unique(values)
                        for levels, values in zip(self._coding.levels, confounders.values(), strict=True)]
        self.mean_, self._origin, self.coef_ = slopes_on(rest, self._known(confounders))
        return self

    def transform(self, X: Any) -> Float[np.ndarray, "n d"]:
        """The other columns of the rows without the confounders' effect.

        Args:
            X: a table with the columns of `fit`.

        Returns:
            Residuals, shape (n, d); an array, or what `set_output` asked for.

        Raises:
            ValueError: other columns than in `fit`, or values that are missing or not finite.
        """
        check_is_fitted(self)
        confounders, rest = self._parts(X, reset=False)
        return rest - self.mean_ - (self._known(confounders) - self._origin) @ self.coef_

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns that are left: their own, or x0, x1, ... by their numbers in the table."""
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", [f"x{place}" for place in range(self.n_features_in_)])
        return np.delete(np.asarray(names, dtype=object), self.columns_)

    def _parts(self, X, reset):
        """The values of each confounder by the number of its column, and the other columns."""
        least = 2 if reset else 1  # rows, and columns of a table
        if hasattr(X, "iloc"):
            validate_data(self, X, reset=reset, skip_check_array=True)
            self._set_columns(X.shape[1], reset)
            rest = X.iloc[:, np.setdiff1d(np.arange(X.shape[1]), self.columns_)]
            columns = [plain_column(X.iloc[:, place]) for place in self.columns_]
            rest = check_array(rest, dtype="float64", estimator=None, ensure_min_samples=least)
        else:
            check_values("X", X)
            table = np.asarray(validate_data(self, X, reset=reset, dtype=np.float64, estimator=None,
                                             ensure_min_samples=least, ensure_min_features=least))
            self._set_columns(table.shape[1], reset)
            columns, rest = list(table[:, self.columns_].T), np.delete(table, self.columns_, 1)
        return dict(zip(map(str, self.columns_), columns, strict=True)), np.asarray(rest)

    def _set_columns(self, d, reset):
        if not reset:
            return
        names = list(getattr(self, "feature_names_in_", ()))
        if self.columns is None:
            raise ValueError("columns: expected those of the confounders, got none")
        given = [self.columns] if isinstance(self.columns, str | int | np.integer) else list(self.columns)
        places = [names.index(one) if isinstance(one, str) and one in names else one for one in given]
        for one, place in zip(given, places, strict=True):
            if isinstance(place, bool) or not isinstance(place, int | np.integer) or not 0 <= place < d:
                raise ValueError(f"columns: expected columns of X by name or by number from 0 to {d - 1}, got {one!r}")
        self.columns_ = np.unique(np.array(places, int))
        if not len(self.columns_):
            raise ValueError("columns: expected those of the confounders, got none")
        if len(self.columns_) == d:
            raise ValueError(f"columns: expected fewer than the {d} columns of X, got all")

    def _known(self, confounders):
        """Indicators of levels, and real values in standard deviations of those in `fit`."""
        return self._coding.known(confounders)
