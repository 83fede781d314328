"""Label content from data: how often it names the right regime at the number of rows at hand, and what intervals cover.

What is right is the content of fits to as many rows, averaged over samples of the same model and judged with the
population's covariances. Cells count as off the boundary where both contents are more than 0.1 away from 0.8. Beside
the spiked models of `benchmarks.diagnosis` there are models with power-law nuisance of which few directions are
correlated. How often the same regime is the population's is shown as well: at few rows it is another.
"""

import json
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.diagnosis import _K, _data, _off_boundary
from benchmarks.report import Row, row
from phasejax import Regime, SpikedModel, __version__
from phasejax._core.progress import ProgressCallback
from phasejax._core.resumable import compute_parts
from phasejax.diagnosis import label_content
from phasejax.diagnosis._content import KEPT, OBJECTIVES
from phasejax.io import encode_labels
from phasejax.theory._model import canonical_moments

_LABELS = ("spanning", "scalar", "classes")
# Rows, labelled rows and columns of the larger view. With 100 rows of 40 columns no regime is stated: they are too few.
_SHAPES = {"homogeneous": ((100, 100, 40), (400, 400, 40)), "heterogeneous": ((100, 100, 40), (400, 400, 40)),
           "power law": ((120, 120, 10), (400, 400, 32), (1000, 1000, 40), (2000, 300, 40))}


def run(cells: int = 20, seeds: int = 2, store: Path | None = None, progress: bool | ProgressCallback = False
        ) -> list[Row]:
    """One part of the table for each kind of model, shape and labels.

    Args:
        cells: models of each kind and shape.
        seeds: samples of each model.
        store: folder that keeps what is done, so that a run that was killed goes on; None keeps nothing.
        progress: False, True for a bar, or a callback that is called after every part.
    """
    points = [(kind, *shape, labels) for kind, shapes in _SHAPES.items()
              for shape, labels in product(shapes, _LABELS)]

    def measure(*point: Any) -> dict[str, list]:
        kind, n, labelled, d, labels = point
        rows = _accuracy(kind, n, labelled, d, labels, cells, seeds)
        return {name: [entry[name] for entry in rows] for name in Row.__annotations__}

    parts = compute_parts(points, measure, settings=json.dumps([__version__, cells, seeds]), store=store,
                          progress=progress, precision=None, workers=1, task="content")
    columns = ({name: values.tolist() for name, values in part.items()} for part in parts)
    return [row(*measured) for part in columns
            for measured in zip(*(part[name] for name in Row.__annotations__), strict=True)]


def _accuracy(kind: str, n: int, labelled: int, d: int, labels: str, cells: int, seeds: int) -> list[Row]:
    """How often the content of samples of one kind names the regime at n, states one, and covers the content at n."""
    right, stated, correct, wrong, covered, agrees, seconds = [], [], [], 0, [], [], []
    models = _power_law_models(d, cells) if kind == "power law" else [model for model, _ in
                                                                      _off_boundary(kind, d, cells)]
    for number, model in enumerate(models):
        truth = _content_at(np.random.default_rng([number, 1000]), model, n, labelled, labels)
        off = np.all(np.abs(truth[:2] - KEPT) > 0.1)
        for seed in range(seeds):
            x, y, t, label_kind = _data(np.random.default_rng([number, seed]), model, n, "Gaussian", labels)
            start = time.perf_counter()
            curve = label_content(x, y, _columns(t[:labelled], label_kind), np.arange(labelled), ks=[_K], seed=seed)
            seconds.append(time.perf_counter() - start)
            shares = list(curve.at(_K).values())
            # Half a per mille for rounding, and for the error of what is held to be true.
            covered.append([share.low - 5e-4 <= value <= share.high + 5e-4
                            for share, value in zip(shares, truth, strict=True)])
            if (found := curve.regime(_K)) is not None:
                wrong += found is not _regime(truth)
            if off:
                right.append(curve.likeliest(_K) is _regime(truth))
                stated.append(found is not None)
                correct += [right[-1]] * stated[-1]
            agrees.append(_regime(truth) is _regime(_content_of_population(model)))
    case = f"{kind}, n = {n}, {labelled} labelled, d = {d}, {labels}"
    rows = [row(case, "off_boundary", len(right) / len(seconds), "share"), row(case, "correct", _mean(right), "share"),
            row(case, "stated", _mean(stated), "share"), row(case, "stated_correct", _mean(correct), "share"),
            row(case, "wrong_anywhere", wrong, "1"),
            *(row(case, f"coverage_{name}", np.mean(covered, 0)[i], "share") for i, name in enumerate(OBJECTIVES)),
            row(case, "regime_of_population", _mean(agrees), "share"), row(case, "time", np.median(seconds), "s")]
    print(case + ": " + ", ".join(f"{r['metric']} {r['value']:.3f}" for r in rows), flush=True)
    return rows


def _mean(values):
    return np.mean(values) if values else np.nan


def _regime(content) -> Regime:
    return Regime.from_code(int(content[0] > KEPT) + 2 * int(content[1] > KEPT))


def _columns(labels, kind):
    columns = encode_labels(labels, len(labels), kind)
    return columns if kind == "class" else columns / columns.std(0)


def _power_law_models(d: int, count: int) -> list[SpikedModel]:
    """Models whose nuisance variances fall as a power, with a few correlated directions among the largest."""
    models, rng = [], np.random.default_rng(2024)
    for _ in range(count):
        d_y = int(rng.integers(d // 2 + 2, d + 1))
        p = d_y - _K
        variances = [rng.uniform(0.5, 8) * np.arange(1.0, size + 1) ** -rng.uniform(0.5, 1.5) for size in (d - _K, p)]
        nu, correlated = np.zeros(p), rng.permutation(min(p, 12))[:rng.integers(1, 8)]
        nu[correlated] = rng.uniform(0.2, 0.97) * rng.uniform(0.6, 1) ** np.arange(len(correlated))
        gamma_x, gamma_y = rng.uniform(0.05, 1.5, 2)
        models.append(SpikedModel.geometric(rng.uniform(0.4, 2.5), nu, decay=rng.uniform(0.7, 1), k=_K, d=d, d_y=d_y,
                                            gamma_x=gamma_x, gamma_y=gamma_y, nuisance_x=variances[0],
                                            nuisance_y=variances[1]))
    return models


def _content_of_population(model: SpikedModel) -> np.ndarray:
    variance_x, cross, variance_y = map(np.asarray, canonical_moments(model))
    m = len(cross)
    rho, tau, tau_reverse = (cross / np.sqrt(scale) for scale in (variance_x[:m] * variance_y[:m], variance_x[:m],
                                                                   variance_y[:m]))
    kept = [np.argsort(-ranking, kind="stable")[:_K] for ranking in (rho, tau, tau_reverse)]
    return np.array([np.sum(rho[top[top < _K]] ** 2) for top in kept]) / np.sum(rho[:_K] ** 2)


def _content_at(rng: np.random.Generator, model: SpikedModel, n: int, labelled: int, labels: str, samples: int = 30
                ) -> np.ndarray:
    """Content of fits to n rows, averaged over samples, by the population's covariances of views and labels."""
    big = _data(rng, SpikedModel.homogeneous(1.0, 0.0, k=_K, d=_K, gamma_x=0.0), 200_000, "Gaussian", labels)
    with_signal = big[0].T @ (columns := _columns(*big[2:])) / len(columns)  # x is the signal itself
    on_x, on_y = (np.vstack([model.kappa[:, None] * with_signal, np.zeros((d - _K, columns.shape[1]))])
                  for d in (model.d_x, model.d_y))
    parts, total = np.zeros(3), 0.0
    for _ in range(samples):
        x, y, t, kind = _data(rng, model, n, "Gaussian", labels)
        t = _columns(t[:labelled], kind)
        x, y, t = (view - view.mean(0) for view in (x, y, t))
        root_x, root_y = (np.linalg.inv(np.linalg.cholesky(view.T @ view / n)) for view in (x, y))
        b = root_x @ (x.T @ y / n)
        c = b @ root_y.T
        b_x, b_y = (root @ (view[:labelled].T @ t / labelled) for root, view in ((root_x, x), (root_y, y)))
        h, g = root_x @ on_x, root_y @ on_y
        left, forward, backward = (np.linalg.svd(matrix)[0][:, :_K]
                                          for matrix in (c, b, root_y @ (y.T @ x / n)))
        for i, (p, q) in enumerate(((left, c.T @ left), (forward, c.T @ forward), (c @ backward, backward))):
            parts[i] += np.sum((p.T @ h) * (q.T @ b_y) + (p.T @ b_x) * (q.T @ g))
        total += np.sum(h * (c @ b_y)) + np.sum(b_x * (c @ g))
    return parts / total
