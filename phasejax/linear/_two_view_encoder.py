r"""Two views in one table on their way to labels: the step of a scikit-learn pipeline that encodes them.

Pipelines, cross-validation and searches know one table X and one target y. Here X has the columns of both views side
by side, and y is free for the labels.
"""

# ruff: noqa: N803  (X is the name that scikit-learn's protocol prescribes)
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from jaxtyping import Float, Int
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted, has_fit_parameter, validate_data

from phasejax._core.validation import check_choice, shown
from phasejax.linear._estimator_checks import check_values, naming
from phasejax.linear._estimators import CrossAlignment

_Columns = Int[np.ndarray, "_"]
_USES = ("both", "x", "y")


class TwoViewEncoder(TransformerMixin, BaseEstimator):
    """Codes of two views that stand side by side in one table, for the classifier or regressor that comes next.

    The encoder is fitted to the pairs without labels. What follows in the pipeline sees its codes alone, so that
    the pipeline's score is what the codes tell about the labels.

    Args:
        encoder: `CrossAlignment`, `CrossPrediction`, `JointAlignmentPrediction`, or what else has `fit(X, Y)` and
            `transform(X, Y)`, such as `sklearn.cross_decomposition.CCA`; `CrossAlignment()` when left out.
        split: number of columns of the first view, which are followed by those of the second; or a pair of lists of
            columns, by name or number. Columns in neither list are left out.
        use: the codes that come out, of "both" views, or of "x" or "y" alone. Both views are fitted in any case.

    Attributes:
        encoder_: the fitted encoder.
        columns_x_, columns_y_: numbers of the columns of either view.
        n_features_in_, feature_names_in_: of the whole table.

    `sample_weight` is the encoder's; a pipeline passes it after `set_fit_request(sample_weight=True)`. Codes get
    smaller with `ridge` and `shrinkage`: before a penalised classifier, a `StandardScaler` makes up for it.

    >>> from phasejax import CrossAlignment, TwoViewEncoder
    >>> from phasejax.datasets import load_digit_halves
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> x, y, labels = load_digit_halves()
    >>> encoder = TwoViewEncoder(CrossAlignment(8, shrinkage=0.01), split=x.shape[1])
    >>> model = make_pipeline(encoder, StandardScaler(), LogisticRegression())
    >>> round(float(cross_val_score(model, np.hstack([x, y]), labels, cv=3).mean()), 1)
    0.8
    """

    feature_names_in_: np.ndarray  # set where the table has names

    def __init__(self, encoder: Any = None, *, split: Any = None, use: str | Any = "both"):
        self.encoder = encoder
        self.split = split
        self.use = use

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "TwoViewEncoder":
        """Fit the encoder to both views.

        Args:
            X: both views, shape (n, d), finite.
            y: ignored; the place of the labels in a pipeline.
            sample_weight: weight of each row, shape (n,), for the encoder.

        Returns:
            The fitted transformer itself.

        Raises:
            ValueError: a split that does not fit the columns; an encoder that does not encode both views, or takes no
                weights though there are some; what the encoder refuses.
        """
        check_choice("use", self.use, _USES)
        table = self._table(X, ensure_min_samples=2, ensure_min_features=2)
        self.columns_x_, self.columns_y_ = self._columns(table.shape[1])
        if not (self.encoder is None or (hasattr(self.encoder, "get_params") and not isinstance(self.encoder, type))):
            raise TypeError(f"encoder: expected an estimator of two views, got {shown(self.encoder)}")
        encoder: Any = CrossAlignment() if self.encoder is None else clone(self.encoder)
        if sample_weight is not None and not has_fit_parameter(encoder, "sample_weight"):
            raise ValueError(f"sample_weight: expected an encoder that takes weights, got {type(encoder).__name__}")
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        self.encoder_ = encoder.fit(*self._views(table), **weights)
        self._n_codes = np.shape(self._codes(table[:1]))[1]
        return self

    def transform(self, X: Any) -> Float[np.ndarray, "n c"]:
        """The codes of the rows of both views, or of one of them.

        Args:
            X: both views, with the columns of `fit`.

        Returns:
            Codes, shape (n, k), or (n, 2 k) of both views; an array, or what `set_output` asked for.

        Raises:
            ValueError: other columns than in `fit`, or values that are not finite.
        """
        check_is_fitted(self)
        return self._codes(self._table(X, reset=False))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the codes: x0, x1, ... of the first view, y0, y1, ... of the second."""
        check_is_fitted(self)
        views = "xy" if self.use == "both" else self.use
        return np.asarray([f"{view}{i}" for view in views for i in range(self._n_codes // len(views))], dtype=object)

    def _table(self, X, **options) -> np.ndarray:
        check_values("X", X)
        with naming("X"):
            return cast(np.ndarray, validate_data(self, X, dtype=np.float64, estimator=None, **options))

    def _codes(self, table):
        pair = self.encoder_.transform(*self._views(table))
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise ValueError("encoder: expected one whose transform(X, Y) gives the codes of both views, got "
                             f"{type(self.encoder_).__name__}")
        codes = [np.asarray(part) for part in pair]
        return np.hstack(codes) if self.use == "both" else codes[_USES.index(self.use) - 1]

    def _views(self, table):
        """Both views, with names where the table has some."""
        views = [table[:, columns] for columns in (self.columns_x_, self.columns_y_)]
        if not hasattr(self, "feature_names_in_"):
            return views
        import pandas as pd

        return [pd.DataFrame(view, columns=self.feature_names_in_[columns])
                for view, columns in zip(views, (self.columns_x_, self.columns_y_), strict=True)]

    def _columns(self, d) -> tuple[_Columns, _Columns]:
        """Numbers of the columns of both views."""
        split = self.split
        if isinstance(split, int | np.integer) and not isinstance(split, bool):
            if not 1 <= split < d:
                raise ValueError(f"split: expected 1 to {d - 1}, since X has {d} columns, got {split}")
            return np.arange(split), np.arange(split, d)
        if not isinstance(split, Sequence) or isinstance(split, str) or len(split) != 2:
            raise ValueError("split: expected a number of columns, or a pair of lists of columns, got "
                             f"{'none' if split is None else repr(split)}")
        of_x, of_y = (self._numbers(columns, d) for columns in split)
        if len(np.unique([*of_x, *of_y])) < len(of_x) + len(of_y):
            raise ValueError("split: expected every column in one view at most, got one in two places")
        return of_x, of_y

    def _numbers(self, columns, d):
        names = getattr(self, "feature_names_in_", np.array([], dtype=object)).tolist()
        columns = [columns] if isinstance(columns, str) else list(columns)
        if not columns:
            raise ValueError("split: expected at least one column in each view, got an empty list")
        for column in columns:
            known = column in names if isinstance(column, str) else (
                isinstance(column, int | np.integer) and not isinstance(column, bool) and 0 <= column < d)
            if not known:
                raise ValueError(f"split: expected columns of X by name or by number from 0 to {d - 1}, got {column!r}")
        return np.array([names.index(column) if isinstance(column, str) else column for column in columns])
