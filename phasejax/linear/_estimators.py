"""Alignment, prediction and their mixture as scikit-learn estimators: what each solves, scores and predicts."""

# ruff: noqa: N803  (X is the name that scikit-learn's protocol prescribes)
import math
from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from phasejax._core.validation import check_choice
from phasejax.linear._closed_forms import linear_partner, solve_alignment, solve_prediction
from phasejax.linear._estimator_checks import check_number, sample_weights
from phasejax.linear._two_views import TwoViews

_DIRECTIONS = ("x_to_y", "y_to_x")


class CrossAlignment(TwoViews):
    """Alignment (CA), which is canonical correlation analysis: the k most correlated pairs of directions of two views.

    Args:
        n_components: k, 1 to min(d_x, d_y).
        shrinkage: share by which both variances shrink towards a multiple of the identity, 0 to 1, or "auto"
            for Ledoit and Wolf's choice in each view.
        ridge: variance >= 0 that is added to both views' variances, in squared units of the data.

    Attributes:
        encoder_x_: (k, d_x), whose outputs have unit (regularised) variance.
        encoder_y_: (k, d_y), the same for y, with outputs positively correlated with those of x.
        spectrum_: all canonical correlations, largest first, at most 1; as many as the lesser rank of the views.
        mean_x_, mean_y_: subtracted means, shapes (d_x,) and (d_y,).
        shrinkage_: the shrinkage used, (s_x, s_y).
        n_features_in_, feature_names_in_: of X; the names of y's columns, if it has any, are `feature_names_in_y_`.

    Columns that do not vary have weight 0, and so have combinations of other columns where nothing regularises.

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

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Mean over the k components of the correlation between the codes of X and of y, from -1 to 1.

        On held-out rows that is the mean held-out canonical correlation. A component counts with
        its sign. NaN where a code does not vary, as in a single row. More components usually
        lower the mean, which judges how well they are aligned and not how much they explain.
        Correlations are weighted where the rows have weights.
        """
        x, second = self._views(X, y)
        weights = sample_weights(sample_weight, len(x))
        codes, partners = (codes - np.average(codes, 0, weights) for codes in self._codes(x, second))
        with np.errstate(invalid="ignore"):
            correlations = np.average(codes * partners, 0, weights) / np.sqrt(
                np.average(codes**2, 0, weights) * np.average(partners**2, 0, weights))
        return float(correlations.mean())

    def _solve(self, xx, xy, yy, kept):
        encoder_x, encoder_y, spectrum = solve_alignment(xx, xy, yy, self.n_components)
        # At most 1 but for rounding.
        self.spectrum_ = np.minimum(math.sqrt((1 - self.shrinkage_[0]) * (1 - self.shrinkage_[1])) * spectrum, 1.0)
        return encoder_x, encoder_y


class _Predictor(RegressorMixin, TwoViews):
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
            return self._predicted(self._fitted_second_view(X))
        predicted = self._predicted(self._first_view(X))
        return predicted[:, 0] if self._y_is_column else predicted

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R^2 of the predicted target view, its columns weighted by their variance; at most 1.

        That is 1 - mean squared error / variance, each summed over the target's columns, and weighted where the rows
        have weights. NaN where the target does not vary, as in a single row.
        """
        source, target = self._ordered(*self._views(X, y))
        weights = sample_weights(sample_weight, len(source))
        error = np.average((target - self._predicted(source)) ** 2, 0, weights).sum()
        variance = np.average((target - np.average(target, 0, weights)) ** 2, 0, weights).sum()
        return float(1 - error / variance) if variance > 0 else math.nan

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

    def _solve_prediction(self, xx, xy, yy, kept, lam=None):
        """Set the decoder; return encoders of X and of y, the solver's spectrum and the factor 1 - s of the source."""
        variances, names = self._ordered(xx, yy), self._ordered("X", "y")
        source_first = xy if self.direction == "x_to_y" else xy.T
        encoder, decoder, spectrum = solve_prediction(names, variances[0], source_first, variances[1],
                                                      self.n_components, lam)
        kept_share, of_target = self._ordered(*(1 - share for share in self.shrinkage_))
        partner = of_target * linear_partner(encoder, source_first, variances[1])
        target_columns, d_target = self._ordered(*kept)[1], len(self._ordered(self.mean_x_, self.mean_y_)[1])
        self.decoder_ = np.zeros((d_target, self.n_components))
        self.decoder_[target_columns] = kept_share * decoder
        return self._ordered(encoder, partner), spectrum, kept_share


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
        spectrum_: all singular values of S_target,source S_source^{-1/2} among columns that vary, largest
            first, in the target's units.
        mean_x_, mean_y_, shrinkage_ and the names of columns: as for `CrossAlignment`.

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

    def _inverted(self):
        return self._ordered("X", "y")[:1]

    def _solve(self, xx, xy, yy, kept):
        encoders, spectrum, share = self._solve_prediction(xx, xy, yy, kept)
        self.spectrum_ = share * spectrum
        return encoders


class JointAlignmentPrediction(_Predictor):
    r"""Prediction plus lam times alignment, from the k leading eigenvectors of B B' + lam (C C' - I).

    lam = 0 is `CrossPrediction`; a large lam encodes the source as `CrossAlignment` does and
    predicts the target from those codes. The score is the R^2 of that prediction. Unlike the objective
    it can be compared between values of lam, among which it favours small ones.

    Args:
        n_components, direction, shrinkage, ridge: as for `CrossPrediction`.
        lam: weight of alignment, >= 0, in squared units of the target.

    Attributes:
        encoder_x_, encoder_y_, decoder_, mean_x_, mean_y_, shrinkage_, names: as for `CrossPrediction`.
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

    def _solve(self, xx, xy, yy, kept):
        encoders, spectrum, share = self._solve_prediction(xx, xy, yy, kept, float(self.lam))
        self.spectrum_ = share**2 * (spectrum + self.lam) - self.lam  # B and C, but not I, carry the factor
        return encoders
