"""False alarms where rows come in groups: 25 stars, each measured several times, and nothing shared.

What is proper to a star is drawn independently in x and in y, and its class is a coin toss: whatever a method finds is
an accident of 25 stars. It is asked at level 0.05, with and without being told which rows belong together, and the
share of data sets where something is found should be 0.05 when it is told. The stars have 20 rows each, or 5 to 40;
their rows are nearly alike, or spread as wide as the stars do. With 500 data sets of each of these four kinds, a share
has a standard error of 0.010 in one kind and of 0.005 over all. Without being told nearly everything is found, which 60
data sets show as well.
"""

import json
import warnings
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.report import Row, row
from phasejax import __version__
from phasejax._core.progress import ProgressCallback
from phasejax._core.resumable import compute_parts
from phasejax.diagnosis import predict_scores, shared_signal
from phasejax.io import InputNote, encode_labels
from phasejax.similarity import METRICS, compare_representations

_LEVEL = 0.05
_STARS, _COLUMNS_X, _COLUMNS_Y = 25, 10, 8
_SIZES = {"20 rows each": np.full(_STARS, 20), "5 to 40 rows": np.linspace(5, 40, _STARS).round().astype(int)}
_SPREADS = (0.3, 1.0)
_AT_ONCE = 20  # data sets of one part


def run(samples: int = 500, untold_samples: int = 60, permutations: int = 99, store: Path | None = None,
        progress: bool | ProgressCallback = False) -> list[Row]:
    """The share of false alarms of each metric of `similarity`, and of the tests and scores of the diagnosis.

    Args:
        samples: data sets of each kind, where groups are told.
        untold_samples: where they are not.
        permutations: random pairings of each data set.
        store: folder that keeps what is done, so that a run that was killed goes on; None keeps nothing.
        progress: False, True for a bar, or a callback that is called after every part.
    """
    methods: dict[str, Callable[..., dict[str, float]]] = {
        "similarity": partial(_similarity_alarms, permutations), "diagnosis": _diagnosis_alarms}
    kinds = [(method, sizes, spread, told) for method, sizes, spread, told in
             product(methods, _SIZES, _SPREADS, ("told", "untold"))]
    counts = {"told": samples, "untold": untold_samples}
    points = [(*kind, first) for kind in kinds for first in range(0, counts[kind[-1]], _AT_ONCE)]

    def measure(method, sizes, spread, told, first):
        found = []
        kind = [list(_SIZES).index(sizes), _SPREADS.index(spread)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputNote)  # that rows lie in groups
            for seed in range(first, min(first + _AT_ONCE, counts[told])):
                rng = np.random.default_rng([*kind, seed])  # other data in each kind, so that shares can be averaged
                x, y, labels, stars = repeated_measurements(rng, _SIZES[sizes], spread)
                found.append(methods[method](x, y, labels, stars if told == "told" else None, seed))
        return {name: [each[name] for each in found] for name in found[0]}

    settings = json.dumps([__version__, samples, untold_samples, permutations])
    parts = compute_parts(points, measure, settings=settings, store=store, progress=progress, precision=None,
                          workers=1, task="groups")
    shares = {}
    for kind in kinds:
        here = [part for point, part in zip(points, parts, strict=True) if point[:-1] == kind]
        shares[kind] = {name: np.mean(np.concatenate([part[name] for part in here])) for name in here[0]}
    rows = [row(f"{method}, {sizes}, spread {spread}, groups {told}, {counts[told]} sets", name, share, "1")
            for (method, sizes, spread, told), found in shares.items() for name, share in found.items()]
    for method, (told, count) in product(methods, counts.items()):
        alike = [found for kind, found in shares.items() if kind[0] == method and kind[-1] == told]
        rows += [row(f"{method}, groups {told}, all {len(alike) * count} sets", name,
                     np.mean([found[name] for found in alike]), "1") for name in alike[0]]
    return rows


def repeated_measurements(rng: np.random.Generator, sizes: np.ndarray, spread: float
                          ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Views with nothing in common, labels that concern neither, and the star of each row.

    Args:
        rng: what they are drawn with.
        sizes: rows of each star.
        spread: of the rows of a star, where stars have a spread of 1.
    """
    star = np.repeat(np.arange(len(sizes)), sizes)
    x, y = (rng.standard_normal((len(sizes), d))[star] + spread * rng.standard_normal((len(star), d))
            for d in (_COLUMNS_X, _COLUMNS_Y))
    return x, y, rng.permutation(np.arange(len(sizes)) % 2)[star], star


def _similarity_alarms(permutations: int, x: np.ndarray, y: np.ndarray, labels: np.ndarray,
                       groups: np.ndarray | None, seed: int) -> dict[str, float]:
    found = compare_representations(x, y, groups=groups, permutations=permutations, resamples=1, seed=seed)
    return {name: found.metrics[name].p_value <= _LEVEL for name in METRICS}


def _diagnosis_alarms(x: np.ndarray, y: np.ndarray, labels: np.ndarray, groups: np.ndarray | None, seed: int
                      ) -> dict[str, float]:
    """Whether the diagnosis' tests find that the views share something that labels measure, and its scores that a
    representation predicts them."""
    columns, everything = encode_labels(labels, len(labels)), np.arange(len(labels))
    tests = shared_signal(x, y, columns, everything, kind="class", groups=groups, level=_LEVEL, seed=seed)
    with threadpool_limits(1, "blas"):
        scores = predict_scores(x, y, columns, k=2, kind="class", groups=groups, seed=seed)
    return {"views found to share": tests.views_share, "labels found to be concerned": tests.labels_concerned,
            "labels found to be predicted": scores.beyond_chance,
            "balanced accuracy of x and y": scores.score("x and y").value}
