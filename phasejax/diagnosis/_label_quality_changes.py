"""Labels of lower quality: with noise of a known size, in fewer classes, or with wrong classes.

Noise lowers what a probe predicts, not which directions the labels point to: with t the label and e noise that knows
nothing of the views, cov(x, t + e) = cov(x, t), so the label content, a ratio in which t appears only through such
covariances, is the same in the population, and only its error grows. Reassignment shrinks covariances towards those of
the frequencies, alike for classes of one size. Coarser classes are other labels: their content may differ.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from scipy.cluster.hierarchy import cut_tree, linkage

from phasejax._core.checked_call import checked
from phasejax._core.validation import check_array, check_count, check_number, check_seed, shown
from phasejax.diagnosis._folds import assign_folds
from phasejax.diagnosis._linear_readout import best_penalty
from phasejax.io._labels import class_name

_FOLDS = 5


@checked
def noise_for_r2(columns: Float[np.ndarray, "m l"], features: Float[np.ndarray, "m p"], share: float | int, *,
                 units: Int[np.ndarray, "m"] | None = None, seed: int = 0
                 ) -> tuple[Float[np.ndarray, "l"], Float[np.ndarray, "l"]]:
    r"""Standard deviation of the noise that lowers the held-out R^2 of label columns to a share of itself.

    A ridge regression with a fixed penalty predicts held-out labels as H t. Noise of variance s^2 adds s^2 A to the
    squared errors, where A counts the noise of held-out and of training rows, and s^2 B to the squares, so that

    .. math::
        f R_0^2 = 1 - \frac{\mathrm{SSE} + s^2 A}{\mathrm{SST} + s^2 B} \;\Rightarrow\;
        s^2 = \frac{(1 - f)\, R_0^2\, \mathrm{SST}}{A - (1 - f R_0^2) B}, \qquad A = m + \sum_f \|H_f\|^2

    With many rows for each column, s^2 is var(t) (1 / f - 1), whatever R_0^2 is.

    Args:
        columns: label columns.
        features: what predicts them; columns are standardised.
        share: f, the share of R^2 that is to be left, above 0, up to 1.
        units: numbers of the groups within which all rows get the same noise; None for noise of each row.
        seed: of the division into 5 folds of whole units.

    Returns:
        The standard deviation for each column, and R_0^2. Of a column that is not predicted (R_0^2 <= 0) the standard
        deviation is the one for many rows.

    Raises:
        ValueError: a share out of range, arrays of different lengths.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((2000, 2))
    >>> noise, r2 = noise_for_r2(x[:, :1] + rng.standard_normal((2000, 1)), x, 0.5)
    >>> noise.round(1).tolist(), r2.round(1).tolist()
    ([1.4], [0.5])
    """
    share = check_number("share", share, above=0, most=1)
    columns, features = np.asarray(check_array("columns", columns, 2)), np.asarray(check_array("features", features, 2))
    if len(columns) != len(features):
        raise ValueError(f"features: expected {len(columns)} rows as in columns, got {len(features)}")
    m, rng = len(columns), np.random.default_rng(check_seed("seed", seed))
    of_units = None if units is None else np.unique(units, return_inverse=True)[1].reshape(-1)
    number = m if of_units is None else int(of_units.max()) + 1
    if number < 2:
        raise ValueError(f"columns: expected at least 2 independent rows, got {number}")
    fold = assign_folds(rng, np.zeros(m, int), of_units, min(_FOLDS, number))
    sizes = np.ones(m) if of_units is None else np.bincount(of_units)
    together = None if of_units is None else np.eye(number)[of_units]
    deviation = features.std(0)
    z = (features - features.mean(0))[:, deviation > 0] / deviation[deviation > 0]
    values, vectors = np.linalg.eigh(z.T @ z / m)
    covariances = vectors.T @ (z.T @ (columns - columns.mean(0))) / m
    noise, clean = np.empty(columns.shape[1]), np.empty(columns.shape[1])
    for place, column in enumerate(columns.T):
        penalty = best_penalty(np.maximum(values, 0), covariances[:, place]**2, float(column.var()), m)
        errors, of_noise = 0.0, float(m)
        for f in range(int(fold.max()) + 1):
            train, test = fold != f, fold == f
            smoother = _smoother(z[train], z[test], penalty)
            errors += float(np.sum((column[test] - smoother @ column[train]) ** 2))
            of_noise += float(np.sum((smoother if together is None else smoother @ together[train]) ** 2))
        total, of_total = m * float(column.var()), m - float(np.sum(sizes**2)) / m
        clean[place] = r2 = 1 - errors / total
        noise[place] = np.sqrt((1 - share) * r2 * total / (of_noise - (1 - share * r2) * of_total) if r2 > 0 else
                               (1 / share - 1) * total / m)
    return noise, clean


def _smoother(train, test, penalty):
    """The matrix from training labels to predictions of held-out ones."""
    mean, n = train.mean(0), len(train)
    centred = train - mean
    weights = np.linalg.solve(centred.T @ centred + n * penalty * np.eye(train.shape[1]), centred.T)
    # A constant added to all labels is added to all predictions.
    return 1 / n + (test - mean) @ (weights - weights.mean(1, keepdims=True))


@checked
def quantile_bins(values: Float[np.ndarray, "m"], bins: int) -> Int[np.ndarray, "m"]:
    """Real labels as classes of equal size: the number, from 0 on, of the quantile bin that each value lies in.

    Args:
        values: the labels.
        bins: number of bins, at least 2.

    Raises:
        ValueError: more bins than values, or than quantiles, that differ.

    >>> quantile_bins(np.array([3.0, 1.0, 2.0, 4.0]), 2).tolist()
    [1, 0, 0, 1]
    """
    bins = check_count("bins", bins, least=2)
    values = np.asarray(check_array("values", values, 1))
    different = len(np.unique(values))
    if bins > different:
        raise ValueError(f"bins: expected at most {different}, the number of different labels, got {bins}")
    edges = np.quantile(values, np.arange(1, bins) / bins, method="inverted_cdf")
    codes = np.searchsorted(np.unique(edges), values, side="left")
    if len(np.unique(codes)) < bins:
        raise ValueError(f"bins: expected labels with {bins} bins of equal size, got {len(np.unique(codes))}, since "
                         "some labels occur too often")
    return codes


@checked
def fold_classes(labels: ArrayLike, mapping: Mapping[Any, Any]) -> np.ndarray:
    """Classes folded into coarser ones, such as cell types into lineages.

    Args:
        labels: classes.
        mapping: the coarser class of each class, by its name; classes that do not occur may be in it.

    Raises:
        ValueError: a class that the mapping lacks, or fewer than 2 coarser classes.

    >>> fold_classes(np.array(["CD4", "CD8", "B"]), {"CD4": "T", "CD8": "T", "B": "B"}).tolist()
    ['T', 'T', 'B']
    """
    labels = _classes(labels)
    names = {str(class_name(np.float64(old) if isinstance(old, float) else old)): str(new)
             for old, new in mapping.items()}
    classes, index = np.unique(labels, return_inverse=True)
    known = [str(class_name(one)) for one in classes]
    if missing := [one for one in known if one not in names]:
        raise ValueError(f"mapping: expected a coarser class for each of {', '.join(known)}, got none for "
                         f"{', '.join(missing)}")
    coarse = np.array([names[one] for one in known])
    if len(set(coarse.tolist())) < 2:
        raise ValueError(f"mapping: expected at least 2 coarser classes, got only {coarse[0]}")
    return coarse[index.reshape(-1)]


@checked
def merge_classes(labels: ArrayLike, features: Float[np.ndarray, "m p"], classes: int) -> np.ndarray:
    """Classes merged into fewer, those first whose means of the features are nearest (Ward's linkage).

    Args:
        labels: classes.
        features: of which the class means are compared, columns in like units, which count by their variance.
        classes: number of classes to be left, at least 2, fewer than there are.

    Returns:
        The name of the merged class of each row: those of its classes with a plus between them.

    Raises:
        ValueError: a number of classes out of range.

    Source: Ward 1963, of class means that count alike.

    >>> labels, features = np.array(["a", "b", "c", "c"]), np.array([[0.0], [0.1], [5.0], [5.2]])
    >>> merge_classes(labels, features, 2).tolist()
    ['a + b', 'a + b', 'c', 'c']
    """
    names, index = np.unique(_classes(labels), return_inverse=True)
    if len(index) != len(features):
        raise ValueError(f"features: expected {len(index)} rows as in labels, got {len(features)}")
    classes = check_count("classes", classes, least=2)
    if classes >= len(names):
        raise ValueError(f"classes: expected fewer than the {len(names)} classes of the labels, got {classes}")
    means = np.stack([features[index == code].mean(0) for code in range(len(names))])
    merged = cut_tree(linkage(means, "ward"), n_clusters=classes)[:, 0]
    joined = {code: " + ".join(str(class_name(one)) for one in names[merged == code]) for code in np.unique(merged)}
    return np.array([joined[code] for code in merged])[index]


@checked
def reassign_labels(labels: ArrayLike, share: float | int, *, units: Int[np.ndarray, "m"] | None = None,
                    seed: int = 0) -> np.ndarray:
    """Classes of which a share, drawn at random, trade places: each gets another class, and none becomes rarer.

    Args:
        labels: classes.
        share: of the rows that get another class, 0 to 1.
        units: numbers of the groups of rows that change together; None where each row is its own.
        seed: of the draw.

    Raises:
        ValueError: a share out of range, or above twice what the rarer classes hold, of which none can trade.

    >>> labels = np.repeat(["a", "b"], 4)
    >>> changed = reassign_labels(labels, 0.5)
    >>> int(np.sum(changed != labels)), sorted(changed.tolist()) == sorted(labels.tolist())
    (4, True)
    """
    labels, share = _classes(labels), check_number("share", share, least=0, most=1)
    rng = np.random.default_rng(check_seed("seed", seed))
    first, units = (None, None) if units is None else np.unique(units, return_index=True, return_inverse=True)[1:]
    of_units = labels if first is None else labels[first]
    codes = np.unique(of_units, return_inverse=True)[1].reshape(-1)
    count = round(share * len(codes))
    common = int(np.bincount(codes).argmax())
    most = 2 * int(np.sum(codes != common))
    if count > min(most, len(codes)):
        raise ValueError(f"share: expected at most {most / len(codes):.2g}, since {of_units[codes == common][0]} is "
                         f"the class of more than half and keeps its frequency, got {share:g}")
    if count < 2:
        return labels.copy()
    changed = of_units.copy()
    chosen = _balanced_choice(rng, codes, count)
    changed[chosen] = of_units[_deranged(rng, chosen, codes)]
    return changed if units is None else changed[units.reshape(-1)]


def _balanced_choice(rng, codes, count):
    """Rows drawn at random, no class more than half of them: what is too many is drawn again from other classes."""
    order = rng.permutation(len(codes))
    chosen, rest = order[:count], order[count:]
    largest = int(np.bincount(codes[chosen]).argmax())
    surplus = int(np.sum(codes[chosen] == largest)) - count // 2
    if surplus > 0:
        instead = rest[codes[rest] != largest][:surplus]
        kept = np.flatnonzero(codes[chosen] == largest)[len(instead):]
        chosen = np.concatenate([chosen[codes[chosen] != largest], chosen[kept], instead])
    while 2 * np.bincount(codes[chosen]).max() > len(chosen):  # of an odd number one trades with nobody
        largest = int(np.bincount(codes[chosen]).argmax())
        chosen = np.delete(chosen, np.flatnonzero(codes[chosen] == largest)[0])
    return chosen


def _deranged(rng, chosen, codes):
    """The chosen rows in an order in which no place keeps its class."""
    order = rng.permutation(chosen)
    while (same := np.flatnonzero(codes[order] == codes[chosen])).size:
        for place in same:
            if codes[order[place]] != codes[chosen[place]]:
                continue  # an earlier swap has changed it
            others = np.flatnonzero((codes[order] != codes[chosen[place]]) & (codes[chosen] != codes[order[place]]))
            other = rng.choice(others)
            order[[place, other]] = order[[other, place]]
    return order


def _classes(labels):
    values = np.asarray(labels)
    if values.ndim != 1 or values.dtype.kind not in "iubUSf" or not values.size:
        raise ValueError(f"labels: expected one column of classes, got {shown(labels)}")
    return values


def check_shares(name: str, shares: Sequence[Any]) -> tuple[float, ...]:
    """Shares between 0 and 1, in the order of growing damage that the caller needs.

    Raises:
        ValueError: anything else, in one line.
    """
    if isinstance(shares, str) or not np.iterable(shares) or not len(tuple(shares)):
        raise ValueError(f"{name}: expected numbers above 0 and below 1, got {shown(shares)}")
    return tuple(check_number(name, share, above=0, below=1) for share in shares)
