r"""What the scikit-learn estimators of two views share: checks, names, moments, regularisation, encoding.

Both views are centred, and their moments are averages, weighted if asked. Regularisation replaces the variances,

.. math::
    S_{xx} \to (1 - s_x)\, S_{xx} + (s_x \bar\sigma_x^2 + r)\, I, \qquad
    \bar\sigma_x^2 = \mathrm{tr}\, S_{xx} / d_x, \qquad \text{likewise } S_{yy}

where the `ridge` r is the same for both views, and the `shrinkage` s too unless Ledoit and Wolf's rule
chooses it for each. Left alone, S_xy would then be too large for the variances: correlations could
exceed 1 and predictions overshoot. Therefore correlations are scaled by sqrt((1 - s_x)(1 - s_y)),
as in the shrunk covariance of the stacked views, and predictions by 1 - s of the view they
start from, which makes them those of ridge regression. Encoders do not depend on that factor.

Columns that do not vary have weight 0 and count nowhere, not in d_x either. Where a variance has to be inverted and
nothing regularises it, columns that are combinations of others get weight 0 as well, with a warning.

X and y are as in `sklearn.cross_decomposition.CCA`: y is the second view, (n, d_y), or (n,) if it has a
single column. Nothing is random, and everything is computed in float64.
"""

# ruff: noqa: N803  (X is the name that scikit-learn's protocol prescribes)
import math
from abc import ABCMeta, abstractmethod
from collections.abc import Collection
from typing import Any, TypeVar, cast

import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator, MultiOutputMixin, TransformerMixin
from sklearn.base import ClassNamePrefixFeaturesOutMixin as FeatureNames
from sklearn.utils.validation import check_is_fitted, validate_data

from phasejax.linear._estimator_checks import (
    check_components,
    check_names,
    check_number,
    check_second_view,
    check_values,
    column_names,
    columns_to_solve,
    naming,
    sample_weights,
)
from phasejax.linear._one_thread import one_thread
from phasejax.linear._pair_moments import pair_moments, submatrix

# Rows in single precision are not copied into double as a whole before the fit: their moments are computed in blocks.
_AS_GIVEN = (np.float64, np.float32)
_Codes = Float[np.ndarray, "n k"]
_Estimator = TypeVar("_Estimator", bound="TwoViews")  # of which `fit` returns the same


class TwoViews(FeatureNames, TransformerMixin, MultiOutputMixin, BaseEstimator, metaclass=ABCMeta):
    """An estimator of two views, which `_solve` makes a particular one."""

    # Options, which scikit-learn wants set unchecked by __init__ (hence Any there), and what `_solve` fits.
    n_components: int
    shrinkage: float | str
    ridge: float
    encoder_x_: np.ndarray
    encoder_y_: np.ndarray

    def fit(self: _Estimator, X: Any, y: Any, sample_weight: Any = None) -> _Estimator:
        """Fit the estimator to paired rows.

        Args:
            X: first view, shape (n, d_x), finite, n >= 2.
            y: second view, shape (n, d_y) or (n,), finite.
            sample_weight: weight of each row in means and covariances, shape (n,), >= 0; a whole number counts as so
                many equal rows. Their scale matters only to `shrinkage="auto"`, for which their sum is n.

        Returns:
            The fitted estimator itself.

        Raises:
            ValueError: an option out of range; n_components above the rank of a view; other row counts; values that
                are not finite; a view without a column that varies; without regularisation, no more rows than columns.
        """
        self._check_options()
        x = self._first_view(X, reset=True, ensure_min_samples=2, dtype=_AS_GIVEN)
        second, self._y_is_column = self._second_view(y, len(x), dtype=_AS_GIVEN)
        of_x, of_y, xy = pair_moments(x, second, sample_weights(sample_weight, len(x)),
                                      fourth=self.shrinkage == "auto")
        self.mean_x_, self.mean_y_ = of_x.mean, of_y.mean
        self._set_names_of_y(column_names(y))
        self.shrinkage_ = tuple(view.ledoit_wolf() if self.shrinkage == "auto" else float(self.shrinkage)
                                for view in (of_x, of_y))
        with one_thread(max(xy.shape)):
            kept, variances, names = [], [], (getattr(self, "feature_names_in_", None), column_names(y))
            for name, view, share, columns in zip("Xy", (of_x, of_y), self.shrinkage_, names, strict=True):
                exact = share == self.ridge == 0 and name in self._inverted()
                kept.append(columns_to_solve(name, view, exact, columns))
                variances.append(view.regularised(kept[-1], share, self.ridge))
            check_components(self.n_components, tuple(map(len, kept)), xy.shape)
            encoders = self._solve(variances[0], submatrix(xy, *kept), variances[1], kept)
        self.encoder_x_, self.encoder_y_ = (
            _spread(encoder, columns, d) for encoder, columns, d in zip(encoders, kept, xy.shape, strict=True))
        return self

    def transform(self, X: Any, y: Any = None) -> Any:
        """Encode one view, or both.

        Args:
            X: first view, shape (n, d_x).
            y: second view, shape (n, d_y) or (n,); left out, only X is encoded.

        Returns:
            Codes of X, shape (n, k), or the pair of codes of X and of y; arrays, or what `set_output` asked for.
            `fit_transform` returns those of X, which is what the next step of a pipeline takes.

        Raises:
            ValueError: other columns than in `fit`, or values that are not finite.
        """
        if y is None:
            check_is_fitted(self)
            return (self._first_view(X) - self.mean_x_) @ self.encoder_x_.T
        codes, partners = self._codes(*self._views(X, y))
        frame = _CodesOfY(partners, [f"{type(self).__name__.lower()}_y{i}" for i in range(partners.shape[1])])
        frame.set_output(transform=vars(self).get("_sklearn_output_config", {}).get("transform"))
        return codes, frame.transform(y)  # scikit-learn frames the first of a pair alone

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    @abstractmethod
    def _solve(self, xx, xy, yy, kept) -> tuple[np.ndarray, np.ndarray]:
        """Both encoders of the columns that are kept, from their regularised covariances; sets what else is fitted."""

    def _inverted(self) -> Collection[str]:
        """The views, X and y, whose variances are inverted."""
        return "Xy"

    def _check_options(self):
        check_components(self.n_components)
        if self.shrinkage != "auto":
            check_number("shrinkage", self.shrinkage, 1, '0 to 1 or "auto"')
        check_number("ridge", self.ridge, math.inf, "a finite variance >= 0")

    def _first_view(self, X, reset=False, **options) -> np.ndarray:
        # estimator=None: scikit-learn's long advice on NaN is left out of the message.
        check_values("X", X)
        options = {"dtype": np.float64, "estimator": None, **options}
        with naming("X"):
            return cast(np.ndarray, validate_data(self, X, reset=reset, **options))

    def _views(self, X, y):
        check_is_fitted(self)
        x = self._first_view(X)
        return x, self._fitted_second_view(y, len(x))

    def _second_view(self, y, rows=None, mean=None, **options):
        return check_second_view(type(self).__name__, y, rows, mean, **options)

    def _fitted_second_view(self, y, rows=None):
        """The second view, whose columns are those of `fit`."""
        check_names(getattr(self, "feature_names_in_y_", None), column_names(y))
        return self._second_view(y, rows, self.mean_y_)[0]

    def _set_names_of_y(self, names):
        if names is not None:
            self.feature_names_in_y_ = names
        elif hasattr(self, "feature_names_in_y_"):  # of an earlier fit
            del self.feature_names_in_y_

    def _codes(self, x, second):
        return (x - self.mean_x_) @ self.encoder_x_.T, (second - self.mean_y_) @ self.encoder_y_.T

    @property
    def _n_features_out(self):
        return len(self.encoder_x_)


class _CodesOfY(TransformerMixin, BaseEstimator):
    """Codes of the second view, in the container that scikit-learn's settings ask for."""

    def __init__(self, codes, names):
        self.codes, self.names = codes, names

    def transform(self, X):
        return self.codes

    def get_feature_names_out(self, input_features=None):
        return np.asarray(self.names, dtype=object)


def _spread(encoder, columns, d):
    """An encoder of all d columns, whose weights are 0 on those that are not among `columns`."""
    if len(columns) == d:
        return encoder
    whole = np.zeros((len(encoder), d))
    whole[:, columns] = encoder
    return whole
