"""Algorithm 1 of K26: regimes from spectra whose components are classified by what labels they predict."""

from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from phasejax._core.thin_svd import thin_svd
from phasejax.linear import covariances_from_samples, solve_ca, solve_cp
from phasejax.theory import separation_ratio

# The constants of the published algorithm. The ridge is added to the variances that are whitened, in squared units of
# the data; the score ridge is that of the regression of the labels on the scores of a component.
RIDGE = 1e-6
MAX_COMPONENTS = 50
FOLDS = 5
FOLD_SEED = 42
SCORE_RIDGE = 1.0


@dataclass(frozen=True)
class ClassifiedSpectrum:
    """Singular values, each judged to be signal or nuisance by how well its scores predict the labels.

    Args:
        values: singular values, largest first, shape (m,).
        r2: out-of-fold R^2 of the labels from each component's scores, clipped at 0 and summed
            over label columns, shape (m,).
        is_signal: the components judged to be signal, shape (m,).
    """

    values: Float[np.ndarray, "m"]
    r2: Float[np.ndarray, "m"]
    is_signal: Bool[np.ndarray, "m"]

    @property
    def delta(self) -> float:
        """Separation ratio: least signal value over largest nuisance value; 0 without signal, inf without nuisance."""
        with jax.enable_x64(True):
            return float(separation_ratio(self.values, self.is_signal))

    @property
    def recovered(self) -> int:
        """Number of signal components above the largest nuisance value."""
        return int(np.sum(self.values[self.is_signal] > self.largest_nuisance))

    @property
    def largest_nuisance(self) -> float:
        """The largest nuisance value; -inf without nuisance."""
        return float(np.max(self.values[~self.is_signal], initial=-np.inf))


@dataclass(frozen=True)
class Variances:
    """Principal variances of one view and the part of them that its signal components hold.

    Args:
        signal: mean variance of the signal components; 0 without any.
        nuisance: mean variance of the others; 0 without any.
        dominance: Q, variance of the signal components over that of as many leading ones: 1 when
            the signal is what varies most, 0 without signal.
    """

    signal: float
    nuisance: float
    dominance: float


@dataclass(frozen=True)
class SpectralEstimate:
    """All that Algorithm 1 finds in paired data (`classify_spectra`)."""

    ca: ClassifiedSpectrum
    cp: ClassifiedSpectrum
    cp_reverse: ClassifiedSpectrum
    pls: ClassifiedSpectrum
    variances_x: Variances
    variances_y: Variances


def classify_spectra(x: Float[np.ndarray, "n d_x"], y: Float[np.ndarray, "n d_y"], labels: Float[np.ndarray, "m l"], *,
                     labelled: Int[np.ndarray, "m"] | None = None, signals: int | None = None,
                     ridge: str | float = "relative") -> SpectralEstimate:
    """Classify the spectra of C (alignment), A (prediction, both ways), S_xy (PLS) and of each view.

    Unless the ridge is the published one, nothing depends on the units of a view, except the values that are in its
    units: those of A (units of the target), of S_xy and of the variances. Those of C do not change either where each
    column has units of its own, while A and S_xy weigh the columns of what is predicted by their variance.

    Args:
        x, y: paired observations, finite; float64 is kept, less is converted to it.
        labels: label columns, classes one-hot.
        labelled: the rows that have labels, where not all do. All rows count for the spectra.
        signals: how many components, those with the highest R^2, are signal; found by the elbow when left out.
        ridge: "relative", which is none on the orthonormal combinations of a view's columns, with scores of unit
            variance; or "published", `RIDGE` in squared units of the data and scores in the units of the data; or
            another ridge in place of `RIDGE`.

    Raises:
        ValueError: columns that are linearly dependent to working precision.

    Source: K26, Algorithm 1 with the elbow classifier.
    """
    labelled = np.arange(len(x)) if labelled is None else labelled
    x, y = (np.asarray(view, np.float64) - np.mean(view, 0, np.float64) for view in (x, y))
    folds = _folds(len(labelled))
    in_units = _unit_scores if ridge == "relative" else np.asarray
    judge = elbow if signals is None else partial(_highest, count=signals)
    m = min(MAX_COMPONENTS, x.shape[1], y.shape[1])
    added = RIDGE if ridge == "published" else 0.0 if ridge == "relative" else float(ridge)
    white_x, white_y = (_whitened("x", x), _whitened("y", y)) if ridge == "relative" else (x, y)
    with jax.enable_x64(True):
        alignment, forward, backward = jax.tree.map(np.asarray, _solve(
            x, y, white_x, white_y, m, added))
    for name, view, solution in (("x", x, forward), ("y", y, backward)):
        if not np.isfinite(solution.spectrum).all():
            raise ValueError(f"{name}: expected linearly independent columns, got rank "
                             f"{np.linalg.matrix_rank(view)} from {view.shape[1]} columns")

    def classify(values, *scores):
        r2 = out_of_fold_r2(in_units(np.stack(scores, axis=2))[labelled], labels, folds)
        return ClassifiedSpectrum(values[:m], r2, judge(r2))

    left, values, right = thin_svd(x.T @ y / len(x))
    return SpectralEstimate(
        ca=classify(np.clip(alignment.spectrum, 0, 1), white_x @ alignment.encoder_x.T,
                    white_y @ alignment.encoder_y.T),
        cp=classify(forward.spectrum, white_x @ forward.encoder.T),
        cp_reverse=classify(backward.spectrum, white_y @ backward.encoder.T),
        pls=classify(values, x @ left[:, :m], y @ right[:m].T),
        variances_x=_variances(x, labels, labelled, folds, in_units),
        variances_y=_variances(y, labels, labelled, folds, in_units))


def _whitened(name, view):
    """Combinations of the centred columns that are uncorrelated with unit variance, exact in any units.

    An orthogonal decomposition of the rows keeps the digits that their covariance loses where columns are nearly
    dependent, as they are in embeddings with a decaying spectrum or beside one far row, and it needs no ridge.
    """
    unit = view / np.sqrt(np.mean(view**2, 0))
    values = np.linalg.eigvalsh(unit.T @ unit / len(unit))
    rank = int(np.sum(values > 100 * len(values) * np.finfo(float).eps))
    if rank < len(values):
        raise ValueError(f"{name}: expected linearly independent columns, got rank {rank} from {len(values)} columns")
    return np.sqrt(len(unit)) * np.linalg.qr(unit)[0]


@partial(jax.jit, static_argnums=4)
def _solve(x, y, white_x, white_y, m, ridge):
    """Alignment of the views, and prediction of each from the other, where the source may be whitened already."""
    return (solve_ca(covariances_from_samples(white_x, white_y).with_ridge(ridge), m),
            solve_cp(covariances_from_samples(white_x, y).with_ridge(ridge), m),
            solve_cp(covariances_from_samples(white_y, x).with_ridge(ridge), m))


def _unit_scores(scores):
    """Scores (n, m, p), each divided by its root mean square; of what has no variance they stay 0.

    The ridge of the regression on them is a number, so that scores in the units of the data would give other answers
    in other units.
    """
    size = np.sqrt(np.mean(scores**2, axis=0))
    return scores / np.where(size > 0, size, 1)


def out_of_fold_r2(scores: Float[np.ndarray, "n m p"], labels: Float[np.ndarray, "n l"],
                   folds: list[np.ndarray]) -> Float[np.ndarray, "m"]:
    r"""R^2 of predicting held-out labels from each component's p scores by ridge regression.

    .. math::
        R^2_{i} = \sum_l \max\Big(0,\; 1 - \frac{\sum_f \sum_{r \in f} (t_{rl} - \hat t^{(-f)}_{rl})^2}
                                               {\sum_f \sum_{r \in f} (t_{rl} - \bar t_{fl})^2}\Big)

    with the prediction of fold f from all other rows, and the mean taken within the fold.
    """
    n, m, p = scores.shape
    residual, total = np.zeros((m, labels.shape[1])), np.zeros(labels.shape[1])
    for test in folds:
        train = np.ones(n, bool)
        train[test] = False
        centre, label_centre = scores[train].mean(0), labels[train].mean(0)
        z, t = scores[train] - centre, labels[train] - label_centre
        gram = np.einsum("rip,riq->ipq", z, z) + SCORE_RIDGE * np.eye(p)
        weights = np.linalg.solve(gram, _cross(z, t))
        z, t = scores[test] - centre, labels[test] - label_centre
        # sum (t - z w)^2 multiplied out: the residuals themselves would be (rows, m, l) numbers.
        residual += (np.sum(t**2, 0) - 2 * np.sum(weights * _cross(z, t), 1)
                     + np.einsum("ipl,ipq,iql->il", weights, np.einsum("rip,riq->ipq", z, z), weights))
        total += np.sum((labels[test] - labels[test].mean(0)) ** 2, 0)
    # What rounding leaves of a column without variance within the folds, in any units.
    varies = total > 1e-24 * np.sum(labels**2, 0)
    r2 = np.where(varies, 1 - residual / np.where(varies, total, 1), 0)
    return np.maximum(r2, 0).sum(1)


def elbow(r2: Float[np.ndarray, "m"]) -> Bool[np.ndarray, "m"]:
    """Signal components: those before the elbow of the sorted R^2 curve.

    The curve, sorted downwards, is fitted by two straight lines, one for the first b components
    and one for the others; the b with the least residual sum of squares gives the signal. No
    component is signal when all R^2 are 0; a single component is.
    """
    m = len(r2)
    if m < 2 and m > 0:
        return np.ones(m, bool)
    if not np.any(r2 > 0):
        return np.zeros(m, bool)
    order = np.argsort(-r2, kind="stable")
    curve = r2[order]
    residuals = [_line_residual(curve[:b]) + _line_residual(curve[b:]) for b in range(1, m)]
    is_signal = np.zeros(m, bool)
    is_signal[order[:1 + int(np.argmin(residuals))]] = True
    return is_signal


def _highest(r2, count):
    is_signal = np.zeros(len(r2), bool)
    is_signal[np.argsort(-r2, kind="stable")[:count]] = True
    return is_signal & (r2 > 0)


def _line_residual(values):
    if len(values) < 2:
        return 0.0
    position = np.arange(len(values)) - (len(values) - 1) / 2
    centred = values - values.mean()
    slope = position @ centred / (position @ position)
    return float(np.sum((centred - slope * position) ** 2))


def _variances(view, labels, labelled, folds, in_units):
    m = min(MAX_COMPONENTS, view.shape[1], len(view) - 1)
    left, values, _ = thin_svd(view)
    scores, variances = left[:, :m] * values[:m], values[:m] ** 2 / len(view)
    is_signal = elbow(out_of_fold_r2(in_units(scores[:, :, None])[labelled], labels, folds))
    if not is_signal.any():
        return Variances(signal=0.0, nuisance=float(variances.mean()), dominance=0.0)
    return Variances(signal=float(variances[is_signal].mean()),
                     nuisance=float(variances[~is_signal].mean()) if not is_signal.all() else 0.0,
                     dominance=float(variances[is_signal].sum() / variances[:is_signal.sum()].sum()))


def _folds(n):
    rows = np.arange(n)
    # The published estimator's own generator: other folds would give other numbers.
    np.random.RandomState(FOLD_SEED).shuffle(rows)
    return np.array_split(rows, FOLDS)


def _cross(z, t):
    n, m, p = z.shape
    return (z.reshape(n, m * p).T @ t).reshape(m, p, t.shape[1])
