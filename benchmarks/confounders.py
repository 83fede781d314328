"""Known confounders that both views share: false alarms of the tests once they are removed, and what power is left.

Small sets of 60 to 150 rows and 3 to 10 columns a view. Batches (3 to 8, of unequal sizes), batches whose rows also
scatter differently, batches and two real confounders, or six real ones shift both views by several standard deviations.
Without a shared signal the tests should find one at level .05 in one set of 20; with one (two directions of correlation
.5) in most sets. Beside that stand the same tests on the rows as they are and on plain residuals that are permuted
freely, and, for the power, on views to which no confounder was added.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from benchmarks.report import Row, row
from phasejax._core.progress import ProgressCallback
from phasejax._core.residuals import residuals_of
from phasejax._core.resumable import compute_parts
from phasejax.diagnosis import shared_signal
from phasejax.diagnosis._confounders import without_confounders
from phasejax.io import match_rows
from phasejax.io._confounders import encode_confounders

KINDS = ("batches", "batches that scatter differently", "batches and two real", "six real, few rows")
SETS, LEVEL = 300, 0.05
_SETS_WITH_SIGNAL, _SIGNAL = 60, 0.5
_FEW = 40  # sets without a signal that are tested as they are
_ARMS = ("as they are", "plain residuals", "removed", "never there")


def _sample(kind: str, signal: float, seed: int
            ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Confounders, both views with them, labels, and both views without."""
    rng = np.random.default_rng([KINDS.index(kind), int(signal > 0), seed])
    few = kind == KINDS[3]
    n, d = (40, 10) if few else (int(rng.integers(60, 151)), int(rng.integers(3, 11)))
    confounders: dict[str, np.ndarray] = {}
    scale = np.ones(n)
    if not few:
        levels = int(rng.integers(3, 9))
        batch = np.concatenate([np.arange(levels), rng.choice(levels, n - levels, p=rng.dirichlet(np.full(levels, 4)))])
        confounders["batch"] = np.array([f"b{level}" for level in batch])
        if kind == KINDS[1]:
            scale = rng.uniform(0.3, 3, levels)[batch]
    for place in range({0: 0, 1: 0, 2: 2, 3: 6}[KINDS.index(kind)]):
        confounders[f"c{place}"] = rng.standard_normal(n)
    known = encode_confounders(confounders).known
    shared = rng.standard_normal((n, 2))
    views = [rng.standard_normal((n, d)) for _ in range(2)]
    for view in views:
        view[:, :2] = np.sqrt(signal) * shared + np.sqrt(1 - signal) * view[:, :2]
    views = [view * scale[:, None] for view in views]
    shifted = [view + known @ rng.normal(0, 2, (known.shape[1], d)) for view in views]
    labels = shared + rng.standard_normal((n, 2)) + known @ rng.normal(0, 1, (known.shape[1], 2))
    return confounders, shifted[0], shifted[1], labels, views[0], views[1]


def _found(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n d"], labels: Float[np.ndarray, "n l"]) -> list[bool]:
    found = shared_signal(x, y, labels, np.arange(len(x)), kind="real", level=LEVEL)
    return [found.views_share, found.seen]


def _work(kind: str, signal: float, seed: int) -> dict[str, np.ndarray]:
    """What the two tests find with the confounders removed, and in two other arms: NaN where an arm is not tried."""
    confounders, x, y, labels, own_x, own_y = _sample(kind, signal, seed)
    known = encode_confounders(confounders).known
    data, *_ = without_confounders(match_rows(x, y, labels), confounders, "real", None)
    with threadpool_limits(1, "blas"):
        removed = shared_signal(data.x, data.y, data.encoded, data.labelled, kind="real", strata=data.strata,
                                level=LEVEL)
        arms: dict[str, list[bool] | list[float]] = {arm: [np.nan, np.nan] for arm in _ARMS}
        arms["removed"] = [removed.views_share, removed.seen]
        if signal:
            arms["never there"] = _found(own_x, own_y, labels)
        else:
            arms["plain residuals"] = _found(*(residuals_of(rows, known) for rows in (x, y, labels)))
            if seed < _FEW:
                arms["as they are"] = _found(x, y, labels)
    return {"found": np.array([arms[arm] for arm in _ARMS], float)}


def run(store: Path | None = None, progress: bool | ProgressCallback = False) -> list[Row]:
    """Shares of sets in which a shared signal is found, by kind of confounder and by what is done about it."""
    points = [(kind, signal, seed) for kind in KINDS for signal, sets in ((0.0, SETS), (_SIGNAL, _SETS_WITH_SIGNAL))
              for seed in range(sets)]
    parts = compute_parts(points, _work, settings="1", store=store, progress=progress, precision=None,
                          task="sets with confounders")
    found = np.stack([part["found"] for part in parts])
    rows = []
    for kind in KINDS:
        for signal, words in ((0.0, "nothing shared"), (_SIGNAL, "two directions shared")):
            chosen = found[[point[:2] == (kind, signal) for point in points]]
            for place, arm in enumerate(_ARMS):
                tried = chosen[np.isfinite(chosen[:, place, 0]), place]
                if len(tried):
                    case = f"{kind}, {words}, {arm} ({len(tried)} sets)"
                    rows += [row(case, metric, value, "1") for metric, value in zip(
                        ("views share", "both tests"), tried.mean(0), strict=True)]
    return rows
