"""Drift between diagnoses by content: false alarms without a change, and changes that are found.

Sets of 300 to 500 rows from nine models that are hard in one way each: Gaussian signals, few labels, tails of t with 5
and 3 degrees of freedom, a nuisance of heavy tails that both views have, one component where two are alike (for CA,
and for both), counts, spectra that fall as a power. Of four sets of a model all pairs are compared, and one set of a
changed model with each. Of real data (digits, breast cancer, wine, diabetes) random halves are compared, and with the
first half the second, of which y's rows were shuffled within classes, or within tenths of the label.

Constants of `detect_drift` were chosen on sets of the same models, and of star surveys, with other seeds.
"""

import itertools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets

from benchmarks.report import Row, row
from phasejax._core.progress import ProgressCallback
from phasejax._core.resumable import compute_parts
from phasejax.datasets import load_digit_halves
from phasejax.diagnosis import detect_drift, diagnose

LEVEL = 0.01
_SETS = 4  # of a model in one part
_PARTS, _HALVES = 6, 12  # parts of each model; pairs of halves of each real data set
_TENTHS = 10

Sample = dict[str, Any]


def _spiked(rng, changed, n=400, d=10, tails=None, labels=None) -> Sample:
    """Two signals, and nuisance that both views share to .5, or to .85."""
    nu = 0.85 if changed else 0.5
    s, u, own = rng.standard_normal((n, 2)), rng.standard_normal((n, d - 2)), rng.standard_normal((n, d - 2))
    x, y = (np.hstack([2.5 * s + np.sqrt(0.5) * rng.standard_normal((n, 2)), nuisance])
            for nuisance in (u, 2 * (nu * u + np.sqrt(1 - nu**2) * own)))
    if tails is not None:
        x, y = (view * np.sqrt(tails / rng.chisquare(tails, (n, 1))) for view in (x, y))
    some = np.arange(n if labels is None else labels)
    return {"x": x, "y": y, "labels": s[some], "labelled": some, "k": 2}


def _loadings(seed, d):
    return np.random.default_rng(seed).standard_normal((4, d))


def _two_components(rng, seed, signal, nuisance, noise, n=500, d=8, labels=150) -> Sample:
    """A signal and a nuisance that both views show with random loadings, and one component."""
    a, b, c, e = _loadings(seed, d)
    x, y = (np.outer(signal, of_signal) + np.outer(nuisance, of_nuisance) + noise * rng.standard_normal((n, d))
            for of_signal, of_nuisance in ((a, b), (c, e)))
    return {"x": x, "y": y, "labels": signal[:labels], "labelled": np.arange(labels), "k": 1}


def _heavy_nuisance(rng, changed) -> Sample:
    s = rng.standard_normal(500)
    return _two_components(rng, 5, s, (0.2 if changed else 1.0) * np.exp(1.3 * rng.standard_normal(500)), 0.5,
                           labels=500)


def _alike_in_one(rng, changed) -> Sample:
    s, u = rng.standard_normal((2, 500))
    return _two_components(rng, 6, s, (1.5 if changed else 0.85) * u, 0.6)


def _alike(rng, changed, n=500, d=8) -> Sample:
    """A signal on one axis and a nuisance on another, nearly as strong; or stronger."""
    s, u = (0.8 if changed else 1.12) * rng.standard_normal(n), rng.standard_normal(n)
    x, y = (np.c_[s + 0.7 * rng.standard_normal(n), u + 0.7 * rng.standard_normal(n), rng.standard_normal((n, d - 2))]
            for _ in range(2))
    return {"x": x, "y": y, "labels": s[:150], "labelled": np.arange(150), "k": 1}


def _counts(rng, changed, n=500, d=12) -> Sample:
    """Logarithms of overdispersed counts, with three classes; or with programs that y shows by half."""
    of_x, of_y = 0.5 * np.random.default_rng(7).standard_normal((2, 4, d))
    classes = rng.integers(3, size=n)
    z = 1.5 * np.eye(4)[classes] + 0.6 * rng.standard_normal((n, 4))
    x = np.log1p(rng.poisson(np.exp(z @ of_x + rng.gamma(2, 0.5, (n, 1)) - 0.5)))
    y = np.log1p(rng.poisson(np.exp((0.5 if changed else 1.0) * z @ of_y + 1.5) * rng.gamma(2, 0.5, (n, d))))
    return {"x": x, "y": y, "labels": classes, "labelled": np.arange(n), "k": 2}


def _power_law(rng, changed, n=400, d=14) -> Sample:
    variances = np.arange(1, d + 1) ** -1.0
    turns = [np.linalg.qr(part)[0] for part in np.random.default_rng(8).standard_normal((2, d, d))]
    z = rng.standard_normal((n, d))
    x = (z + 0.3 * rng.standard_normal((n, d))) * np.sqrt(variances) @ turns[0]
    y = (z * np.sqrt(variances[::-1] + 0.05) + (0.9 if changed else 0.5) * rng.standard_normal((n, d))) @ turns[1]
    return {"x": x, "y": y, "labels": z[:, 0] + 0.5 * z[:, 1], "labelled": np.arange(n), "k": 2}


MODELS: dict[str, Callable[[np.random.Generator, bool], Sample]] = {
    "spiked": _spiked,
    "few labels": lambda rng, changed: _spiked(rng, changed, n=500, labels=100),
    "t5 tails": lambda rng, changed: _spiked(rng, changed, tails=5),
    "t3 tails": lambda rng, changed: _spiked(rng, changed, tails=3),
    "heavy nuisance": _heavy_nuisance, "alike in one view": _alike_in_one, "alike": _alike, "counts": _counts,
    "power law": _power_law}


def _digits():
    x, y, labels = load_digit_halves()
    return x, y, labels, 4


def _columns_of(load, x, y, k):
    bunch = load()
    return bunch.data[:, x], bunch.data[:, y], bunch.target, k


REAL: dict[str, Callable[[], tuple[Any, Any, Any, int]]] = {
    "digits": _digits,
    "breast cancer": lambda: _columns_of(datasets.load_breast_cancer, slice(10), slice(20, None), 1),
    "wine": lambda: _columns_of(datasets.load_wine, slice(6), slice(6, None), 2),
    "diabetes": lambda: _columns_of(datasets.load_diabetes, slice(4), slice(4, None), 1)}


def _halves(name: str, rng: np.random.Generator) -> tuple[Sample, Sample, Sample]:
    """Two random halves with as many rows of every class, and the second with rows of y shuffled within classes."""
    x, y, labels, k = REAL[name]()
    x, y, labels = np.asarray(x, float), np.asarray(y, float), np.asarray(labels)
    real = name == "diabetes"
    classes = np.argsort(np.argsort(labels)) * _TENTHS // len(labels) if real else labels
    order = np.concatenate([rng.permutation(np.flatnonzero(classes == one)) for one in np.unique(classes)])
    size = len(order) // 2
    first, second = (rng.permutation(order[start::2][:size]) for start in (0, 1))
    partners = second.copy()
    for one in np.unique(classes):
        own = classes[second] == one
        partners[own] = rng.permutation(second[own])
    about = {"k": k, "label_kind": "real" if real else "class"}

    def sample(rows, others):
        return {"x": x[rows], "y": y[others], "labels": labels[rows], **about}

    return sample(first, first), sample(second, second), sample(second, partners)


def _work(name: str, number: int) -> dict[str, np.ndarray]:
    """Alarms of pairs without a change, and of pairs with one; and the least adjusted p of the former."""
    rng = np.random.default_rng([26, [*MODELS, *REAL].index(name), number])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name in MODELS:
            samples = [*(MODELS[name](rng, False) for _ in range(_SETS)), MODELS[name](rng, True)]
        else:
            samples = _halves(name, rng)
        *same, changed = [diagnose(**sample, fit=False) for sample in samples]
        drifts = [detect_drift(*pair, level=LEVEL) for pair in itertools.combinations(same, 2)]
        seen = [detect_drift(one, changed, level=LEVEL).moved for one in (same if name in MODELS else same[:1])]
    return {"false": np.array([drift.moved for drift in drifts]), "seen": np.array(seen),
            "least": np.array([min(change.adjusted for change in drift.changes) for drift in drifts])}


def run(store: Path | None = None, progress: bool | ProgressCallback = False, parts: int = _PARTS,
        halves: int = _HALVES) -> list[Row]:
    """Shares of pairs with an alarm, by model and data set.

    Args:
        store: folder that keeps the parts.
        progress: how to report.
        parts: of each model, of six pairs each.
        halves: pairs of halves of each real data set.
    """
    points = [(name, number) for name in (*MODELS, *REAL) for number in range(parts if name in MODELS else halves)]
    found = compute_parts(points, _work, settings="1", store=store, progress=progress, precision=None, workers=1,
                          task="drift")
    rows: list[Row] = []
    for name in ("", *MODELS, *REAL):
        of = [part for (model, _), part in zip(points, found, strict=True) if name in ("", model)]
        false, seen, least = (np.concatenate([part[which] for part in of]) for which in ("false", "seen", "least"))
        case = name or "all"
        rows += [row(case, f"alarms at level {LEVEL:g} without a change", false.sum(), "pairs"),
                 row(case, "pairs without a change", len(false), "pairs"),
                 row(case, "share with least adjusted p below .05", np.mean(least < 0.05), "1"),
                 row(case, "changes seen", seen.sum(), "pairs"), row(case, "pairs with a change", len(seen), "pairs")]
    return rows
