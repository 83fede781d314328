r"""Linear probes of frozen embeddings: how well a linear model predicts signal and nuisance from them.

Classes are predicted by multinomial logistic regression on standardised columns z,

.. math::
    \min_{W, b}\; -\frac{1}{m} \sum_i \log \frac{e^{z_i^\top w_{l_i} + b_{l_i}}}{\sum_c e^{z_i^\top w_c + b_c}}
    + \frac{\lambda}{2} \|W\|^2

over m labelled rows with classes l_i, by L-BFGS until the gradient is small (scikit-learn's C is 1 / (lambda m)). The
nuisance is predicted by ridge regression. In both the penalty is the one with the least loss on validation rows. All
computation is in float64.

Source: the frozen-probe protocol of K26, section 4.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import scipy.stats
from jaxtyping import Bool, Float, Int
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from phasejax._core.checked_call import checked
from phasejax._core.forks import check_not_forked
from phasejax._core.validation import check_array, check_count, check_number

PENALTIES = 10.0 ** np.arange(1, -5, -1)
_TOLERANCE = 1e-6  # L-BFGS stops when no component of the gradient exceeds it, in nats per standard deviation
_MAX_ITERATIONS = 2000


@dataclass(frozen=True, eq=False)
class ProbeScores:
    """How well probes predict the signal and the nuisance from embeddings.

    Args:
        accuracy: share of test rows whose class is predicted, for each number of labelled rows; NaN where embeddings
            are not finite.
        converged: whether the optimum was reached, for each number of labelled rows.
        position_r2: R^2 on test rows of the ridge regression of the nuisance on the embedding, fitted to all training
            rows, mean over the coordinates; NaN where no nuisance is known or embeddings are not finite.
        chance: share of the most frequent class among the test rows.
    """

    accuracy: Float[np.ndarray, "sizes"]
    converged: Bool[np.ndarray, "sizes"]
    position_r2: float
    chance: float


@checked
@dataclass(frozen=True, eq=False)
class ProbeRows:
    """Embeddings with the labels and the nuisance to be predicted, and which rows serve for what.

    Args:
        features: embeddings, shape (n, d).
        labels: classes from 0 on, shape (n,).
        positions: nuisance, shape (n, t); t = 0 where none is known.
        train: number of training rows, which come first and in random order.
        validation: number of validation rows, which follow; all further rows are test rows.

    Raises:
        ValueError: arrays of different lengths, a part without rows, a negative class.
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


@checked
def probe(rows: ProbeRows, sizes: tuple[int, ...]) -> ProbeScores:
    """Fit linear probes to the first m training rows, for each m of `sizes`, and score them on the test rows.

    A class that is missing among the first m rows is never predicted.

    Args:
        rows: embeddings, and what is to be predicted from them.
        sizes: numbers m of labelled rows.

    Returns:
        Accuracies by size; R^2 of the nuisance; the accuracy of the most frequent class.

    Raises:
        ValueError: a size outside 1 to the number of training rows.

    Source: K26, section 4.

    >>> classes = np.arange(30) % 2
    >>> rows = ProbeRows(features=classes[:, None] * np.ones(2), labels=classes, positions=np.empty((30, 0)),
    ...                  train=10, validation=10)
    >>> probe(rows, (4, 10)).accuracy.tolist()
    [1.0, 1.0]
    """
    check_not_forked()
    for size in sizes:
        if not 1 <= size <= rows.train:
            raise ValueError(f"sizes: expected 1 to {rows.train}, the training rows, got {size}")
    chance = float(np.bincount(rows.labels[rows.train + rows.validation:]).max()
                   / (len(rows.labels) - rows.train - rows.validation))
    if not np.isfinite(rows.features).all():
        return ProbeScores(np.full(len(sizes), np.nan), np.zeros(len(sizes), bool), np.nan, chance)
    found = [_class_accuracy(rows, size) for size in sizes]
    return ProbeScores(np.array([accuracy for accuracy, _ in found]), np.array([done for _, done in found]),
                       _position_r2(rows), chance)


@checked
def seed_interval(values: Float[np.ndarray, "*shape"], axis: int, level: float = 0.95
                  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Mean over seeds with Student's t interval; seeds with NaN are left out.

    .. math::  \bar v \pm t_{m-1,\,(1+\text{level})/2}\; s / \sqrt m

    with s the standard deviation (1/(m - 1)) of the m seeds that are left.

    Args:
        values: one value for each seed, and whatever other axes.
        axis: the axis of the seeds.
        level: coverage of the interval, between 0 and 1.

    Returns:
        The mean, the lower and the upper end; the ends are NaN where fewer than two seeds are left.

    >>> mean, low, high = seed_interval(np.array([1.0, 2.0, 3.0]), axis=0)
    >>> round(float(mean), 3), round(float(low), 3), round(float(high), 3)
    (2.0, -0.484, 4.484)
    """
    values = check_array("values", values)
    if not values.ndim:
        raise ValueError(f"values: expected a value for each seed, got the single number {values}")
    check_count("axis", axis, -values.ndim, values.ndim - 1)
    level = check_number("level", level, above=0, below=1)
    values = np.moveaxis(np.asarray(values, float), axis, 0)
    finite = np.isfinite(values)
    count = finite.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(finite, values, 0).sum(0) / count
        variance = np.where(finite, (values - mean) ** 2, 0).sum(0) / (count - 1)
        half = scipy.stats.t.ppf((1 + level) / 2, np.maximum(count - 1, 1)) * np.sqrt(variance / count)
    # Arrays also where only the axis of the seeds was given, for which NumPy returns scalars.
    return np.asarray(mean), np.asarray(mean - half), np.asarray(mean + half)


def _standardised_parts(rows, size):
    """Features of the first training rows, the validation rows and the test rows, all standardised by the first."""
    train, rest = rows.features[:size].astype(np.float64), rows.features[rows.train:].astype(np.float64)
    scale = train.std(0)
    unit = np.where(scale > 1e-9 * (np.abs(train).max(0) + 1e-300), 1 / np.where(scale > 0, scale, 1), 0.0)
    centre = train.mean(0)
    return (train - centre) * unit, *np.split((rest - centre) * unit, [rows.validation])


def _class_accuracy(rows, size):
    """Accuracy on test rows at the penalty of least validation loss, and whether the optimum was reached there."""
    train, validation, test = _standardised_parts(rows, size)
    labels, held_out, tested = rows.labels[:size], *np.split(rows.labels[rows.train:], [rows.validation])
    if len(np.unique(labels)) == 1:
        return float(np.mean(tested == labels[0])), True
    predicted, converged = logistic_predictions(train, labels, validation, held_out, test)
    return float(np.mean(predicted == tested)), converged


def logistic_predictions(train: Float[np.ndarray, "m d"], labels: Int[np.ndarray, "m"],
                         validation: Float[np.ndarray, "v d"], held_out: Int[np.ndarray, "v"],
                         rows: Float[np.ndarray, "n d"], tolerance: float = _TOLERANCE
                         ) -> tuple[Int[np.ndarray, "n"], bool]:
    """Classes of rows at the penalty of least validation loss, and whether the optimum was reached there.

    Args:
        train, labels: standardised rows and their classes, of which there are at least two.
        validation, held_out: likewise, to choose the penalty.
        rows: whose classes are predicted.
        tolerance: L-BFGS stops when no component of the gradient exceeds it.
    """
    model = LogisticRegression(tol=tolerance, max_iter=_MAX_ITERATIONS, warm_start=True)
    least, best = np.inf, (np.zeros(len(rows), int), False)
    for place, penalty in enumerate(PENALTIES):
        model.set_params(C=1 / (penalty * len(train)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the second value says so
            model.fit(train, labels)
        loss = _log_loss(model, validation, held_out)
        if place == 0 or loss < least:
            least, best = loss, (np.asarray(model.predict(rows)), bool(model.n_iter_.max() < _MAX_ITERATIONS))
    return best


def _log_loss(model, features, labels):
    """Mean negative log-probability of the classes, in nats, over the rows whose class the model has seen."""
    known = np.isin(labels, model.classes_)
    if not known.any():
        return 0.0
    with np.errstate(divide="ignore"):  # where a probability rounds to 0, the loss is infinite
        shares = model.predict_log_proba(features[known])
    return -float(np.mean(shares[np.arange(known.sum()), np.searchsorted(model.classes_, labels[known])]))


def _position_r2(rows):
    """R^2 of the nuisance on test rows at the penalty of least validation loss, mean over the coordinates."""
    if not rows.positions.shape[1]:
        return np.nan
    train, validation, test = _standardised_parts(rows, rows.train)
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
