r"""Alignment, prediction and their mixture as scikit-learn estimators.

Both views are centred, their moments divide by n, and the closed-form solvers do the rest in
float64. Regularisation replaces the variances,

.. math::
    S_{xx} \to (1 - s_x)\, S_{xx} + (s_x \bar\sigma_x^2 + r)\, I, \qquad
    \bar\sigma_x^2 = \mathrm{tr}\, S_{xx} / d_x, \qquad \text{likewise } S_{yy}

where the `ridge` r is the same for both views, and the `shrinkage` s too unless Ledoit and Wolf's rule
chooses it for each. Left alone, S_xy would then be too large for the variances: correlations could
exceed 1 and predictions overshoot. Therefore correlations are scaled by sqrt((1 - s_x)(1 - s_y)),
as in the shrunk covariance of the stacked views, and predictions by 1 - s of the view they
start from, which makes them those of ridge regression. Encoders do not depend on that factor.

X and y are as in `sklearn.cross_decomposition.CCA`: y is the second view, (n, d_y), or (n,) if it has a
single column. Nothing is random.
"""

# ruff: noqa: N803  (X is the name that scikit-learn's protocol prescribes)
import math
from abc import ABCMeta, abstractmethod
from functools import partial
from typing import Any, TypeVar, cast

import jax
import numpy as np
from jaxtyping import Array, ArrayLike, Float
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin, TransformerMixin
from sklearn.base import ClassNamePrefixFeaturesOutMixin as FeatureNames
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted, validate_data

from phasejax._core.validation import check_choice
from phasejax.linear._covariances import Covariances, pseudo_whitening_in_any_units
from phasejax.linear._estimator_checks import check_components, check_number, check_second_view, check_solved
from phasejax.linear._solvers import Prediction, solve_ca, solve_cp, solve_joint

_Codes = Float[np.ndarray, "n k"]
_DIRECTIONS = ("x_to_y", "y_to_x")
_Estimator = TypeVar("_Estimator", bound="_TwoViews")  # of which `fit` returns the same
_compiled_alignment = jax.jit(solve_ca, static_argnums=1)


@partial(jax.jit, static_argnums=1)
def _compiled_prediction(moments: Covariances, k: int, lam: Float[ArrayLike, ""] | None) -> tuple[Prediction, Array]:
    """The solution with x as the source, and the linear prediction E S_xy S_yy^+ of its codes from y."""
    solution = solve_cp(moments, k) if lam is None else solve_joint(moments, k, lam)
    root = pseudo_whitening_in_any_units(moments.yy)
    return solution, cast(Array, solution.encoder @ moments.xy @ root.T @ root)


def _regularised_variance(centred, shrinkage, ridge):
    """(1 - s) S + (s tr S / d + r) I of centred rows, shape (d, d)."""
    variance = centred.T @ centred / len(centred)
    d = len(variance)
    return (1 - shrinkage) * variance + (shrinkage * np.trace(variance) / d + ridge) * np.eye(d)


class _TwoViews(FeatureNames, TransformerMixin, MultiOutputMixin, BaseEstimator, metaclass=ABCMeta):
    """What the estimators share: checks, centring, regularised variances, encoding."""

    # Options, which scikit-learn wants set unchecked by __init__ (hence Any there), and what `_solve` fits.
    n_components: int
    shrinkage: float | str
    ridge: float
    encoder_x_: np.ndarray
    encoder_y_: np.ndarray

    def fit(self: _Estimator, X: Any, y: Any) -> _Estimator:
        """Fit the estimator to paired rows.

        Args:
            X: first view, shape (n, d_x), finite, n >= 2.
            y: second view, shape (n, d_y) or (n,), finite.

        Returns:
            The fitted estimator itself.

        Raises:
            ValueError: an option out of range; n_components above min(d_x, d_y); other row
                counts; values that are not finite; without regularisation, dependent columns.
        """
        self._check_options()
        x = self._first_view(X, reset=True, ensure_min_samples=2)
        second, self._y_is_column = self._second_view(y, len(x))
        check_components(self.n_components, min(x.shape[1], second.shape[1]))
        # Means of differences from the first row, so that a constant column has exactly variance 0.
        self.mean_x_, self.mean_y_ = (view[0] + (view - view[0]).mean(0) for view in (x, second))
        x, second = x - self.mean_x_, second - self.mean_y_
        self.shrinkage_ = tuple(float(ledoit_wolf_shrinkage(view, assume_centered=True))
                                if self.shrinkage == "auto" else float(self.shrinkage) for view in (x, second))
        # In NumPy, since a compiled function would be compiled again for every n, that is in every fold.
        self._solve(Covariances(xx=_regularised_variance(x, self.shrinkage_[0], self.ridge), xy=x.T @ second / len(x),
                                yy=_regularised_variance(second, self.shrinkage_[1], self.ridge)))
        return self

    def transform(self, X: Any, y: Any = None) -> _Codes | tuple[_Codes, _Codes]:
        """Encode one view, or both.

        Args:
            X: first view, shape (n, d_x).
            y: second view, shape (n, d_y) or (n,); left out, only X is encoded.

        Returns:
            Codes of X, shape (n, k), or the pair of codes of X and of y. `fit_transform` returns
            those of X, which is what the next step of a pipeline takes.

        Raises:
            ValueError: other columns than in `fit`, or values that are not finite.
        """
        check_is_fitted(self)
        if y is None:
            return (self._first_view(X) - self.mean_x_) @ self.encoder_x_.T
        x, second = self._views(X, y)
        return (x - self.mean_x_) @ self.encoder_x_.T, (second - self.mean_y_) @ self.encoder_y_.T

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    @abstractmethod
    def _solve(self, moments):
        """Set the fitted attributes from regularised moments."""

    def _check_options(self):
        check_components(self.n_components)
        if self.shrinkage != "auto":
            check_number("shrinkage", self.shrinkage, 1, '0 to 1 or "auto"')
        check_number("ridge", self.ridge, math.inf, "a finite variance >= 0")

    def _first_view(self, X, reset=False, **options) -> np.ndarray:
        # estimator=None: scikit-learn's long advice on NaN is left out of the message.
        return cast(np.ndarray, validate_data(self, X, dtype=np.float64, reset=reset, estimator=None, **options))

    def _views(self, X, y):
        check_is_fitted(self)
        x = self._first_view(X)
        return x, self._second_view(y, len(x), self.mean_y_)[0]

    def _second_view(self, y, rows=None, mean=None):
        return check_second_view(type(self).__name__, y, rows, mean)

    @property
    def _n_features_out(self):
        return len(self.encoder_x_)


class CrossAlignment(_TwoViews):
    """Alignment (CA), which is canonical correlation analysis: the k most correlated pairs of directions of two views.

    Args:
        n_components: k, 1 to min(d_x, d_y).
        shrinkage: share by which both variances shrink towards a multiple of the identity, 0 to 1, or "auto"
            for Ledoit and Wolf's choice in each view.
        ridge: variance >= 0 that is added to both views' variances, in squared units of the data.

    Attributes:
        encoder_x_: (k, d_x), whose outputs have unit (regularised) variance.
        encoder_y_: (k, d_y), the same for y, with outputs positively correlated with those of x.
        spectrum_: all min(d_x, d_y) canonical correlations, largest first, at most 1.
        mean_x_, mean_y_: subtracted means, shapes (d_x,) and (d_y,).
        shrinkage_: the shrinkage used, (s_x, s_y).

    Source: K26, eq. 1 and Theorem A.1; `phasejax.linear.solve_ca`.

    >>> from phasejax import CrossAlignment
    >>> rng = np.random.default_rng(0)
    >>> shared = rng.standard_normal((10_000, 1))
    >>> X, Y = (shared + rng.standard_normal((10_000, d)) for d in (4, 3))
    >>> CrossAlignment().fit(X, Y).spectrum_.round(1).tolist()
    [0.8, 0.0, 0.0]
    """

    def __init__(self, n_components: int | Any = 1, *, shrinkage: float | str | Any = 0.0, ridge: float | Any = 0.0):
        self.n_components = n_components
        self.shrinkage = shrinkage
        self.ridge = ridge

    def score(self, X: Any, y: Any) -> float:
        """Mean over the k components of the correlation between the codes of X and of y, from -1 to 1.

        On held-out rows that is the mean held-out canonical correlation. A component counts with
        its sign. NaN where a code does not vary, as in a single row. More components usually
        lower the mean, which judges how well they are aligned and not how much they explain.
        """
        x, second = self._views(X, y)
        codes, partners = x @ self.encoder_x_.T, second @ self.encoder_y_.T
        codes, partners = codes - codes.mean(0), partners - partners.mean(0)
        with np.errstate(invalid="ignore"):
            correlations = (codes * partners).sum(0) / np.sqrt((codes**2).sum(0) * (partners**2).sum(0))
        return float(correlations.mean())

    def _solve(self, moments):
        with jax.enable_x64(True):
            solution = jax.tree.map(np.asarray, _compiled_alignment(moments, self.n_components))
        check_solved(solution.spectrum, ("X", moments.xx), ("y", moments.yy))
        if not np.isfinite(solution.encoder_y).all():
            raise ValueError("n_components: expected at most the rank of the covariance of X and y = "
                             f"{np.linalg.matrix_rank(moments.xy)}, got {self.n_components}")
        self.encoder_x_, self.encoder_y_ = solution.encoder_x, solution.encoder_y
        self.spectrum_ = math.sqrt((1 - self.shrinkage_[0]) * (1 - self.shrinkage_[1])) * solution.spectrum


class _Predictor(RegressorMixin, _TwoViews):
    """A rank-k prediction of one view, the target, from the other, the source."""

    direction: str

    def predict(self, X: Any) -> Float[np.ndarray, "n d_target"] | Float[np.ndarray, "n"]:
        """Predict the target view.

        Args:
            X: the source view: rows of X for direction "x_to_y", rows of y for "y_to_x".

        Returns:
            Prediction of the target view, shape (n, d_target), or (n,) where the target is a y
            that was given to `fit` with shape (n,).

        Raises:
            ValueError: other columns than in `fit`, or values that are not finite.
        """
        check_is_fitted(self)
        if self.direction == "y_to_x":
            return self._predicted(self._second_view(X, mean=self.mean_y_)[0])
        predicted = self._predicted(self._first_view(X))
        return predicted[:, 0] if self._y_is_column else predicted

    def score(self, X: Any, y: Any) -> float:
        """R^2 of the predicted target view, its columns weighted by their variance; at most 1.

        That is 1 - mean squared error / variance, each summed over the target's columns.
        """
        source, target = self._ordered(*self._views(X, y))
        return float(r2_score(target, self._predicted(source), multioutput="variance_weighted"))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if self.direction == "y_to_x":  # an estimator that predicts X from y is no regressor of y
            tags.estimator_type = tags.regressor_tags = None
        return tags

    def _ordered(self, of_x, of_y):
        return (of_x, of_y) if self.direction == "x_to_y" else (of_y, of_x)

    def _predicted(self, source):
        mean, target_mean = self._ordered(self.mean_x_, self.mean_y_)
        encoder, _ = self._ordered(self.encoder_x_, self.encoder_y_)
        return (source - mean) @ encoder.T @ self.decoder_.T + target_mean

    def _check_options(self):
        super()._check_options()
        check_choice("direction", self.direction, _DIRECTIONS)

    def _solve_prediction(self, moments, lam=None):
        """Set encoders and decoder, and return the solver's spectrum and the factor 1 - s of the source."""
        with jax.enable_x64(True):
            source_first = moments if self.direction == "x_to_y" else moments.reverse()
            solution, partner = jax.tree.map(np.asarray, _compiled_prediction(source_first, self.n_components, lam))
        check_solved(solution.spectrum, *self._ordered(("X", moments.xx), ("y", moments.yy)))
        kept, target_kept = self._ordered(*(1 - share for share in self.shrinkage_))
        self.encoder_x_, self.encoder_y_ = self._ordered(solution.encoder, target_kept * partner)
        self.decoder_ = kept * solution.decoder
        return solution.spectrum, kept


class CrossPrediction(_Predictor):
    """Prediction (CP), which is reduced-rank regression: one view is predicted from the best k directions of the other.

    Args:
        n_components: k, 1 to min(d_x, d_y).
        direction: "x_to_y" predicts y from X, "y_to_x" X from y. In both, `fit` and `score` take
            (X, y) and `transform` encodes X.
        shrinkage, ridge: as for `CrossAlignment`. Only the source's regularisation changes predictions.

    Attributes:
        encoder_x_: (k, d_x). The source's encoder has rows with unit (regularised) variance; the
            target's is the linear prediction of the source's codes from the target.
        encoder_y_: (k, d_y).
        decoder_: (d_target, k), from the source's codes to the target, in the target's units.
        spectrum_: all min(d_x, d_y) singular values of S_target,source S_source^{-1/2}, largest
            first, in the target's units.
        mean_x_, mean_y_, shrinkage_: as for `CrossAlignment`.

    Source: K26, eq. 2 and Theorem A.2; `phasejax.linear.solve_cp`.

    >>> from phasejax import CrossPrediction
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 4))
    >>> Y = X[:, :2] @ [[2.0, 1.0, 0.0], [0.0, 0.0, 0.5]] + 0.1 * rng.standard_normal((500, 3))
    >>> [round(CrossPrediction(k).fit(X, Y).score(X, Y), 2) for k in (1, 2)]
    [0.95, 0.99]
    """

    def __init__(self, n_components: int | Any = 1, *, direction: str | Any = "x_to_y",
                 shrinkage: float | str | Any = 0.0, ridge: float | Any = 0.0):
        self.n_components = n_components
        self.direction = direction
        self.shrinkage = shrinkage
        self.ridge = ridge

    def _solve(self, moments):
        spectrum, kept = self._solve_prediction(moments)
        self.spectrum_ = kept * spectrum


class JointAlignmentPrediction(_Predictor):
    r"""Prediction plus lam times alignment, from the k leading eigenvectors of B B' + lam (C C' - I).

    lam = 0 is `CrossPrediction`; a large lam encodes the source as `CrossAlignment` does and
    predicts the target from those codes. The score is the R^2 of that prediction. Unlike the objective
    it can be compared between values of lam, among which it favours small ones.

    Args:
        n_components, direction, shrinkage, ridge: as for `CrossPrediction`.
        lam: weight of alignment, >= 0, in squared units of the target.

    Attributes:
        encoder_x_, encoder_y_, decoder_, mean_x_, mean_y_, shrinkage_: as for `CrossPrediction`.
            The target's encoder is the one that minimises the alignment loss.
        spectrum_: the k leading eigenvalues, in squared units of the target.

    Source: K26, the corollary on the joint objective; `phasejax.linear.solve_joint`.

    >>> from phasejax import JointAlignmentPrediction
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 4))
    >>> Y = X[:, :2] @ [[2.0, 1.0, 0.0], [0.0, 0.0, 0.5]] + 0.1 * rng.standard_normal((500, 3))
    >>> round(JointAlignmentPrediction(2, lam=0.1).fit(X, Y).score(X, Y), 2)
    0.99
    """

    def __init__(self, n_components: int | Any = 1, *, lam: float | Any = 1.0, direction: str | Any = "x_to_y",
                 shrinkage: float | str | Any = 0.0, ridge: float | Any = 0.0):
        self.n_components = n_components
        self.lam = lam
        self.direction = direction
        self.shrinkage = shrinkage
        self.ridge = ridge

    def _check_options(self):
        super()._check_options()
        check_number("lam", self.lam, math.inf, "a finite weight >= 0")

    def _solve(self, moments):
        spectrum, kept = self._solve_prediction(moments, float(self.lam))
        self.spectrum_ = kept**2 * (spectrum + self.lam) - self.lam  # B and C, but not I, carry the factor
