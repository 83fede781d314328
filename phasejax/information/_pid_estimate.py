r"""Partial information estimated from rows: each modality is quantised into cells, and the counts are decomposed.

Two biases have opposite signs. Quantising loses information, since no function of x tells more than x. Finite
samples feign information: plug-in values of independent variables are too high by about (X - 1)(L - 1) / 2n nats
for X cells and L labels (Miller 1955). For the total, X is the product of both modalities' cells, and most of the
bias appears as synergy. The values are corrected for neither. `chance`, from shuffled labels, tells the second bias
where there is nothing to be told, which is the most it can be.

Measured on `shared_unique_bits(key(3), 4)` with n = 4096, in nats: the exact redundancy is 0.699, the unique
informations are 0.233 and 0.053, the synergy is 0.174. "posterior" with 12 cells gives 0.590, 0.257, 0.066 and 0.140
(chance 0.003, 0.001, 0.002, 0.020), with 24 cells 0.639, 0.249, 0.062 and 0.158 (chance 0.006, 0.002, 0.001, 0.045).
"kmeans", which does not know the label, loses most of the information of 12 bits: 0.159, 0.064, 0.063 and 0.137.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from phasejax._core.checked_call import checked
from phasejax._core.digits import significant
from phasejax._core.overview import Overview
from phasejax._core.pytree import HostOrDevice
from phasejax._core.records import Record
from phasejax._core.thin_svd import thin_svd
from phasejax._core.validation import check_array, check_choice, check_count, check_seed
from phasejax.information._pid import PARTS, PartialInformation, decompose

METHODS = ("quantile", "kmeans", "posterior")

_MOST_SHUFFLES = 100_000


@dataclass(frozen=True)
class EstimatedPartialInformation(Record):
    """Partial information of quantised rows, in nats, and what chance alone gives.

    Args:
        parts: plug-in values from the counts.
        chance: mean values with shuffled labels, which are the bias of `parts` where rows tell nothing.
        chance_deviation: standard deviations over the shuffles.
        cells_x, cells_y: numbers of cells that the rows fall into.
    """

    parts: PartialInformation
    chance: PartialInformation
    chance_deviation: PartialInformation
    cells_x: int
    cells_y: int

    _kind = "phasejax.estimated_partial_information"

    def _overview(self) -> Overview:
        rows = [(name.replace("_", " "), significant(getattr(self.parts, name)),
                 f"{significant(getattr(self.chance, name))} ± {significant(getattr(self.chance_deviation, name), 1)}")
                for name in PARTS]
        return Overview(kind="Partial information", answer=f"{significant(self.parts.total)} nats about the label in "
                        "quantised rows, before correction", columns=("part", "nats", "by chance"), rows=rows,
                        note=f"{self.cells_x} cells of x, {self.cells_y} of y; chance: labels shuffled")

    @property
    def computed_on(self) -> dict[str, str] | None:
        """Versions, device, cores and flags, on which the last digits depend."""
        return self.parts.computed_on

    @property
    def above_chance(self) -> PartialInformation:
        """`parts` minus `chance`; close to unbiased for the quantised modalities where information is weak."""
        return _combined(lambda a, b: a - b, [self.parts, self.chance])


@checked
def estimate_decomposition(x: Float[HostOrDevice, "n d_x"], y: Float[HostOrDevice, "n_y d_y"],
                           labels: ArrayLike, *, method: str = "posterior", cells: int = 12,
                           measure: str = "broja", shuffles: int = 20, seed: int = 0) -> EstimatedPartialInformation:
    """Decompose the information of quantised modalities about a label.

    Args:
        x, y: paired rows, shapes (n, d_x) and (n, d_y), finite.
        labels: classes, whole numbers from 0 on or text, shape (n,).
        method: how a modality is divided into cells. "quantile": equal counts along its first principal
            component; "kmeans": clusters of its rows; both depend on the units of single columns. "posterior":
            clusters of the class probabilities that a logistic regression on standardised columns gives for
            rows it was not fitted to, which keeps what is linear in the logits however many columns there
            are, in any units.
        cells: of each modality, at least 2.
        measure: "broja" or "imin", see `decompose`.
        shuffles: of the labels, at least 2.
        seed: of clusters, folds and shuffles.

    Returns:
        The parts, in nats, and those of shuffled labels.

    Raises:
        ValueError: rows that do not pair, NaN, an unknown method, too few rows.

    >>> rng, labels = np.random.default_rng(0), np.arange(400) % 2
    >>> x, y = labels[:, None] + 0.1 * rng.standard_normal((400, 1)), rng.standard_normal((400, 1))
    >>> found = estimate_decomposition(x, y, labels, method="quantile", cells=2, shuffles=2)
    >>> round(found.parts.unique_x, 1)  # x alone tells the label, log 2 = 0.69 nats
    0.7
    """
    check_choice("method", method, METHODS)
    check_count("cells", cells, 2)
    check_count("shuffles", shuffles, 2, _MOST_SHUFFLES)
    check_seed("seed", seed)
    x, y = (np.asarray(check_array(name, rows), float) for name, rows in (("x", x), ("y", y)))
    for name, rows in (("x", x), ("y", y)):
        if rows.ndim not in (1, 2) or not rows.size:
            raise ValueError(f"{name}: expected rows of numbers, shape (n, d), got shape {rows.shape}")
    x, y = (rows.reshape(len(rows), -1) for rows in (x, y))
    labels = _classes(labels)
    for name, rows in (("y", y), ("labels", labels)):
        if len(rows) != len(x):
            raise ValueError(f"{name}: expected {len(x)} rows as in x, got {len(rows)}")
    if len(x) < 10 * cells:
        raise ValueError(f"x: expected at least {10 * cells} rows for {cells} cells, got {len(x)}")
    for name, rows in (("x", x), ("y", y)):
        if not np.isfinite(rows).all():
            raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
    with threadpool_limits(1):  # matrices are so small that threads only wait for each other
        code_x, code_y = (np.unique(_cells_of_rows(rows, labels, method, cells, seed), return_inverse=True)[1]
                          for rows in (x, y))

    aim = {"tolerance": 1e-5} if measure == "broja" else {}

    def parts(labels):
        return decompose(contingency_table(code_x, code_y, labels), measure=measure, **aim)

    rng = np.random.default_rng(seed)
    shuffled = [parts(rng.permutation(labels)) for _ in range(shuffles)]
    return EstimatedPartialInformation(
        parts=parts(labels), chance=_combined(lambda *v: float(np.mean(v)), shuffled),
        chance_deviation=_combined(lambda *v: float(np.std(v, ddof=1)), shuffled),
        cells_x=int(code_x.max()) + 1, cells_y=int(code_y.max()) + 1)


def _classes(labels) -> Int[np.ndarray, "n"]:
    """Classes as numbers from 0 on without gaps, whatever numbers or words they are."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iubUS" or not labels.size:
        raise ValueError(f"labels: expected classes, whole numbers or text of shape (n,), got {labels.dtype} of shape "
                         f"{labels.shape}")
    if labels.dtype.kind == "i" and labels.min() < 0:
        raise ValueError(f"labels: expected classes from 0 on, got {labels.min()}")
    classes, codes = np.unique(labels, return_inverse=True)
    if 2 * len(classes) > len(labels):
        raise ValueError(f"labels: expected at most a class for every two of {len(labels)} rows, got {len(classes)}")
    return codes


def contingency_table(x: Int[np.ndarray, "n"], y: Int[np.ndarray, "n"], labels: Int[np.ndarray, "n"]
                      ) -> Float[np.ndarray, "X Y T"]:
    """Shares of the rows in each combination of cells and label, which are numbered from 0 on.

    >>> contingency_table(np.array([0, 1]), np.array([0, 0]), np.array([1, 0])).tolist()
    [[[0.0, 0.5]], [[0.5, 0.0]]]
    """
    shape = tuple(int(codes.max()) + 1 for codes in (x, y, labels))
    counts = np.bincount(np.ravel_multi_index((x, y, labels), shape), minlength=int(np.prod(shape)))
    return counts.reshape(shape) / len(x)


def _cells_of_rows(rows: np.ndarray, labels: np.ndarray, method: str, cells: int, seed: int) -> np.ndarray:
    """The number of the cell that each row falls into; numbers may be left out."""
    from sklearn.cluster import KMeans

    rows = np.ldexp(rows, -np.frexp(np.abs(rows).max())[1])  # so that no square is out of range
    if method == "quantile":
        centred = rows - rows.mean(0)
        scores = centred @ thin_svd(centred)[2][0]
        return np.searchsorted(np.quantile(scores, np.arange(1, cells) / cells), scores, side="right")
    if method == "posterior":
        rows = _held_out_probabilities(rows, labels, seed)
    clusters = min(cells, len(np.unique(rows, axis=0)))
    # scikit-learn annotates n_init as text, its default "auto"; a number is documented.
    return KMeans(clusters, n_init=3, random_state=seed).fit_predict(rows)  # pyright: ignore[reportArgumentType]


def _held_out_probabilities(rows: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """Class probabilities of each row by a logistic regression fitted to the other folds."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))  # its penalty counts units of columns
    found = cross_val_predict(model, rows, labels, cv=folds, method="predict_proba")
    return np.asarray(found)


def _combined(function: Callable[..., float], parts: Sequence[PartialInformation]) -> PartialInformation:
    """What the function makes of the values that several decompositions have for each part."""
    names = ("redundancy", "unique_x", "unique_y", "synergy", "gap")
    redundancy, unique_x, unique_y, synergy, gap = (float(function(*(getattr(p, name) for p in parts)))
                                                    for name in names)
    return PartialInformation(redundancy, unique_x, unique_y, synergy, gap)
