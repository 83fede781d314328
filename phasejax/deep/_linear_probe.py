r"""Linear probes of frozen embeddings: what a linear model can read out of them from few labels.

Classes: multinomial logistic regression on standardised columns z,

.. math::
    \min_{W, b}\; -\frac{1}{m} \sum_i \log \frac{e^{z_i^\top w_{l_i} + b_{l_i}}}{\sum_c e^{z_i^\top w_c + b_c}}
    + \frac{\lambda}{2} \|W\|^2

by L-BFGS until the gradient is small; scikit-learn's C is 1 / (lambda m). Real targets: ridge
regression. The penalty is chosen by the loss on validation rows. In float64.

Source: the frozen-probe protocol of K26, section 4.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import scipy.stats
from jaxtyping import Bool, Float, Int
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

PENALTIES = 10.0 ** np.arange(1, -5, -1)
_TOLERANCE = 1e-6  # of the largest gradient component, nats per standard deviation
_MAX_ITERATIONS = 2000


@dataclass(frozen=True, eq=False)
class ProbeScores:
    """What probes read out of the embeddings of one cell.

    Args:
        accuracy: on test rows, for each number of labelled rows; NaN where embeddings are not finite.
        converged: whether the optimum was reached.
        position_r2: mean over the coordinates of R^2 on test rows of the ridge regression of the
            nuisance on the embedding, from the most labelled rows; NaN where no nuisance is known.
        chance: share of the most frequent class among the test rows.
    """

    accuracy: Float[np.ndarray, "sizes"]
    converged: Bool[np.ndarray, "sizes"]
    position_r2: float
    chance: float


@dataclass(frozen=True, eq=False)
class ProbeRows:
    """Embeddings with what they are probed for, and which rows serve for what.

    Args:
        features: embeddings, shape (n, d).
        labels: classes from 0 on, shape (n,).
        positions: nuisance, shape (n, t), t = 0 where none is known.
        train, validation: the first rows, in random order, and the number of those that follow; the
            rest test.
    """

    features: Float[np.ndarray, "n d"]
    labels: Int[np.ndarray, "n_labels"]
    positions: Float[np.ndarray, "n_positions t"]
    train: int
    validation: int

    def __post_init__(self):
        n = len(self.features)
        for name in ("labels", "positions"):
            if len(getattr(self, name)) != n:
                raise ValueError(f"{name}: expected {n} rows as in features, got {len(getattr(self, name))}")
        if min(self.train, self.validation, n - self.train - self.validation) < 1:
            raise ValueError(f"train, validation: expected at least one row each and one to test, got {self.train} "
                             f"and {self.validation} of {n}")
        if self.labels.min() < 0:
            raise ValueError(f"labels: expected classes from 0 on, got {self.labels.min()}")


def probe(rows: ProbeRows, sizes: tuple[int, ...]) -> ProbeScores:
    """Probe with the first m training rows, for each m of `sizes`.

    A class that is missing among them is never predicted.

    Raises:
        ValueError: a size outside 1 to the training rows.
    """
    for size in sizes:
        if not 1 <= size <= rows.train:
            raise ValueError(f"sizes: expected 1 to {rows.train}, the training rows, got {size}")
    chance = float(np.bincount(rows.labels[rows.train + rows.validation:]).max()
                   / (len(rows.labels) - rows.train - rows.validation))
    if not np.isfinite(rows.features).all():
        return ProbeScores(np.full(len(sizes), np.nan), np.zeros(len(sizes), bool), np.nan, chance)
    found = [_classified(rows, size) for size in sizes]
    return ProbeScores(np.array([accuracy for accuracy, _ in found]), np.array([done for _, done in found]),
                       _position_r2(rows), chance)


def seed_interval(values: Float[np.ndarray, "*shape"], axis: int, level: float = 0.95
                  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over seeds with the ends of Student's t interval; NaN seeds are left out.

    The ends are NaN where fewer than two seeds are left.
    """
    values = np.moveaxis(np.asarray(values, float), axis, 0)
    finite = np.isfinite(values)
    count = finite.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(finite, values, 0).sum(0) / count
        variance = np.where(finite, (values - mean) ** 2, 0).sum(0) / (count - 1)
        half = scipy.stats.t.ppf((1 + level) / 2, np.maximum(count - 1, 1)) * np.sqrt(variance / count)
    return tuple(np.asarray(end) for end in (mean, mean - half, mean + half))  # of one shape, also where that is ()


def _parts(rows, size):
    """Standardised features of the first training rows, of validation and of test rows."""
    train, rest = rows.features[:size].astype(np.float64), rows.features[rows.train:].astype(np.float64)
    scale = train.std(0)
    unit = np.where(scale > 1e-9 * (np.abs(train).max(0) + 1e-300), 1 / np.where(scale > 0, scale, 1), 0.0)
    centre = train.mean(0)
    return (train - centre) * unit, *np.split((rest - centre) * unit, [rows.validation])


def _classified(rows, size):
    """Accuracy on test rows with the penalty of the least validation loss, and whether it is that of the optimum."""
    train, validation, test = _parts(rows, size)
    labels, held_out, tested = rows.labels[:size], *np.split(rows.labels[rows.train:], [rows.validation])
    if len(np.unique(labels)) == 1:
        return float(np.mean(tested == labels[0])), True
    model = LogisticRegression(tol=_TOLERANCE, max_iter=_MAX_ITERATIONS, warm_start=True)
    best = (np.inf, 0.0, False)
    for penalty in PENALTIES:
        model.set_params(C=1 / (penalty * size))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # told by `converged`
            model.fit(train, labels)
        loss = _log_loss(model, validation, held_out)
        if loss < best[0]:
            best = loss, float(np.mean(model.predict(test) == tested)), bool(model.n_iter_.max() < _MAX_ITERATIONS)
    return best[1:]


def _log_loss(model, features, labels):
    # A class that the model has not seen has no probability to take the logarithm of.
    known = np.isin(labels, model.classes_)
    if not known.any():
        return 0.0
    shares = model.predict_log_proba(features[known])
    return -float(np.mean(shares[np.arange(known.sum()), np.searchsorted(model.classes_, labels[known])]))


def _position_r2(rows):
    if not rows.positions.shape[1]:
        return np.nan
    train, validation, test = _parts(rows, rows.train)
    targets = rows.positions.astype(np.float64)
    held_out, tested = np.split(targets[rows.train:], [rows.validation])
    centre = targets[:rows.train].mean(0)
    values, vectors = np.linalg.eigh(train.T @ train / rows.train)
    projected = vectors.T @ (train.T @ (targets[:rows.train] - centre)) / rows.train

    def predicted(features, penalty):
        return centre + features @ (vectors @ (projected / (values + penalty)[:, None]))

    losses = [np.mean((predicted(validation, penalty) - held_out) ** 2) for penalty in PENALTIES]
    left = tested - predicted(test, PENALTIES[int(np.argmin(losses))])
    return float(np.mean(1 - (left**2).mean(0) / tested.var(0)))
