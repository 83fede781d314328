"""What the diagnosis says where there is nothing to say, and whether it speaks where there is.

Sets of noise of many kinds, of 100 to 5000 rows and 5 to 100 columns, classes and real labels in turn: how often do the
two tests of `shared_signal` find something at level 0.01, and how often both? Then sets in which the views share
signals that labels measure, from far too weak to plain: how often do both tests find it where held-out
probes of fitted linear encoders (CA and both CP encoders, k = 1 to 8) beat chance by three standard errors? Rows of
different folds serve each other's fits, so that their mean scatters more than that of independent rows; standard errors
are shown with the correction for that (Nadeau and Bengio 2003) and without it. At last the whole of `diagnose`, without
a pilot: how often does it state a regime or decide between objectives on noise?
"""

import json
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.report import Row, row
from phasejax import __version__, diagnose
from phasejax._core.progress import ProgressCallback
from phasejax._core.resumable import compute_parts
from phasejax.diagnosis import SharedSignal, shared_signal
from phasejax.io import encode_labels

KINDS = ("Gaussian", "t5, unequal scales", "one-hot columns", "fewer rows than columns", "shuffled real pairs",
         "shared, labels random", "labels from x alone", "labels from both, nothing shared", "25 groups of 20",
         "groups of 1 to 60")
# Kinds in which the views do share something.
SHARING = ("shared, labels random",)
_REAL = ("load_digits", "load_breast_cancer", "load_wine", "load_diabetes")
# Numbers of components at which encoders are probed.
_KS = (1, 2, 4, 8)
# Standard error of a mean over five folds, over that of as many independent rows: the root of (1/5 + 1/4) / (1/5).
_CORRECTION = 1.5


@dataclass(frozen=True)
class Sample:
    """Paired views with labels.

    Args:
        kind: one of `KINDS`, or "shared".
        x, y: the views.
        labels: of every row, or of the rows `labelled`.
        label_kind: "class" or "real".
        labelled: which rows have labels.
        groups: the group of each row, or None.
    """

    kind: str
    x: np.ndarray
    y: np.ndarray
    labels: np.ndarray
    label_kind: Literal["class", "real"]
    labelled: np.ndarray
    groups: np.ndarray | None = None


def run(count: int = 540, shared: int = 200, diagnosed: int = 200, store: Path | None = None,
        progress: bool | ProgressCallback = False) -> list[Row]:
    """False alarms by kind of noise, and power.

    Args:
        count: sets of noise.
        shared: sets with a shared signal.
        diagnosed: sets of noise that are diagnosed as a whole.
        store: folder that keeps what is done, so that a run that was killed goes on; None keeps nothing.
        progress: False, True for a bar, or a callback that is called after every part.
    """
    points = [("noise", number) for number in range(count)] + [("shared", number) for number in range(shared)]
    points += [("diagnosed", number) for number in range(diagnosed)]

    def measure(part: str, number: int) -> dict[str, object]:
        if part == "diagnosed":
            return stated(noise_set(number))
        sample = noise_set(number) if part == "noise" else shared_set(number)
        found = tested(sample)
        return {"kind": sample.kind, "views": found.views_share, "labels": found.labels_concerned, "seen": found.seen,
                "probe": probe_above_chance(sample) if part == "shared" else 0.0}

    # The tests hold BLAS to one thread, so that parts side by side would do no harm; but limits are of the process.
    parts = compute_parts(points, measure, settings=json.dumps([__version__, "noise"]), store=store, progress=progress,
                          precision=None, workers=1, task="noise")
    rows, by_kind = [], defaultdict(list)
    for part in parts[:count]:
        by_kind[str(part["kind"])].append(part)
    for kind, found in [*by_kind.items(), ("all kinds", parts[:count])]:
        rows.append(row(kind, "sets", len(found), "1"))
        for metric in ("views", "labels", "seen"):
            # Where views do share something, to find it is no false alarm.
            counted = [part for part in found if metric != "views" or str(part["kind"]) not in SHARING]
            name = "views found to share" if kind in SHARING and metric == "views" else f"false alarms, {metric}"
            rows.append(row(kind, name, np.mean([part[metric] for part in counted or found]), "1"))
    for case, factor in (("probe above 3 standard errors", _CORRECTION), ("probe above 3, not corrected", 1.0)):
        above = [part for part in parts[count:count + shared] if part["probe"] > 3 * factor]
        rows.append(row(case, "sets", len(above), "1"))
        for metric in ("views", "labels", "seen"):
            rows.append(row(case, f"found, {metric}", np.mean([part[metric] for part in above]), "1"))
    for metric in ("regime", "objective"):
        found = [part[metric] for part in parts[count + shared:]]
        rows.append(row("noise, diagnosed as a whole", f"{metric} stated", np.mean(found) if found else np.nan, "1"))
    return rows


def stated(sample: Sample) -> dict[str, object]:
    """Whether `diagnose` states a regime, and whether it decides between objectives of any kind."""
    among = (("CA", "CP x->y", "CP y->x"), ("CA", "CP both"), ("CA of x", "CP x->y"), ("CA of y", "CP y->x"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notes about the input
        try:
            found = diagnose(sample.x, sample.y, sample.labels, labelled=sample.labelled, groups=sample.groups,
                             label_kind=sample.label_kind, k=3, fit=False)
        except ValueError as error:  # too few groups, or columns: nothing is stated
            print(f"{sample.kind}: {error}", flush=True)
            return {"regime": False, "objective": False}
    return {"regime": found.regime is not None, "objective": any(found.best(names).decided for names in among)}


def tested(sample: Sample) -> SharedSignal:
    """The two tests of a set."""
    columns = encode_labels(sample.labels, len(sample.labels), sample.label_kind)
    return shared_signal(sample.x, sample.y, columns, sample.labelled, kind=sample.label_kind, groups=sample.groups)


def noise_sets(count: int) -> Iterator[Sample]:
    """The first sets of noise: every kind in turn."""
    return map(noise_set, range(count))


def noise_set(number: int) -> Sample:
    """One set of noise; its number says which kind it is of, and seeds it."""
    kind, rng = KINDS[number % len(KINDS)], np.random.default_rng([15, number])
    n, (d_x, d_y) = int(np.exp(rng.uniform(np.log(100), np.log(5000)))), rng.integers(5, 101, size=2)
    groups, own = None, None
    match kind:
        case "one-hot columns":
            x, y = (np.hstack([_one_hot(rng, n, 1 + min(d, n) // 4), _one_hot(rng, n, 5)]) for d in (d_x, d_y))
        case "fewer rows than columns":
            n = int(rng.integers(100, 300))
            x, y = (rng.standard_normal((n, d)) * np.arange(1, d + 1) ** -0.5 for d in rng.integers(n, 2 * n, size=2))
        case "shuffled real pairs":
            x, y, own = _real_pair(_REAL[number // len(KINDS) % len(_REAL)])
            y = y[rng.permutation(len(y))]
            n = len(x)
        case "25 groups of 20" | "groups of 1 to 60":
            sizes = np.full(25, 20) if kind == "25 groups of 20" else rng.integers(1, 61, size=rng.integers(20, 100))
            groups = np.repeat(np.arange(len(sizes)), sizes)
            n, count = len(groups), len(sizes)
            between = rng.uniform(0, 1)
            x, y = (between * rng.standard_normal((count, d))[groups] + 0.3 * rng.standard_normal((n, d))
                    for d in np.minimum((d_x, d_y), 12))
        case _:
            x, y = rng.standard_normal((n, d_x)), rng.standard_normal((n, d_y))
            if kind == "t5, unequal scales":
                x, y = (rng.standard_t(5, view.shape) * 10 ** rng.uniform(-3, 3, view.shape[1]) for view in (x, y))
            if kind == "shared, labels random":
                signal = rng.standard_normal((n, 3))
                x[:, :3] += 2 * signal
                y[:, :3] += 2 * signal
            if kind == "labels from x alone":
                own = x @ rng.standard_normal(x.shape[1])
            if kind == "labels from both, nothing shared":
                own = sum(view[:, :3] @ rng.standard_normal(3) for view in (x, y))
    if own is None:
        own = rng.standard_normal(n)
        if groups is not None and rng.random() < 0.5:
            own = rng.permutation(groups[-1] + 1)[groups].astype(float)  # one label for the whole group
    is_class = own.dtype.kind == "i" or rng.random() < 0.5
    labels = own if own.dtype.kind == "i" or not is_class else np.argsort(np.argsort(own, kind="stable")) * 3 // n
    if groups is not None and is_class:
        labels = (own > np.median(own)).astype(int)
    every = own.dtype.kind == "i" or groups is not None or rng.random() < 0.5
    labelled = np.arange(n) if every else np.sort(rng.permutation(n)[:max(60, n // 4)])
    return Sample(kind, x, y, labels[labelled], "class" if is_class else "real", labelled, groups)


def shared_set(number: int) -> Sample:
    """One set with shared signals that labels measure, among shared nuisance; its number seeds it."""
    rng = np.random.default_rng([16, number])
    n, (d_x, d_y) = int(np.exp(rng.uniform(np.log(100), np.log(3000)))), rng.integers(5, 61, size=2)
    k = int(rng.integers(1, 5))
    signal = rng.standard_normal((n, k))
    x, y = rng.standard_normal((n, d_x)), rng.standard_normal((n, d_y))
    shared = rng.integers(0, min(d_x, d_y) - k + 1)  # nuisance coordinates that are correlated
    nu = rng.uniform(0, 0.9) * rng.integers(2)
    y[:, k:k + shared] = nu * x[:, k:k + shared] + np.sqrt(1 - nu**2) * y[:, k:k + shared]
    kappa = np.exp(rng.uniform(np.log(0.3), np.log(2)))
    x[:, :k] += kappa * signal
    y[:, :k] += kappa * np.exp(rng.uniform(-0.7, 0.7)) * signal
    t = signal @ rng.standard_normal(k)
    t += t.std() * rng.uniform(0, 3) * rng.standard_normal(n)
    is_class = rng.random() < 0.5
    labels = np.argsort(np.argsort(t)) * 3 // n if is_class else t
    labelled = np.sort(rng.permutation(n)[:n if rng.random() < 0.5 else max(60, n // 4)])
    if rng.random() < 0.5:  # signals spread over all columns
        x, y = (view @ np.linalg.qr(rng.standard_normal((view.shape[1],) * 2))[0] for view in (x, y))
    return Sample("shared", x @ np.diag(10 ** rng.uniform(-1, 1, d_x)), y, labels[labelled],
                  "class" if is_class else "real", labelled)


def probe_above_chance(sample: Sample) -> float:
    """By how many uncorrected standard errors the best held-out probe of linear encoders beats chance.

    The best is over objectives and k. A probe is least squares on both views' encoders with five folds. Its score is
    the mean product of held-out predictions with centred labels, summed over label columns, whose standard error is
    that of a mean.
    """
    columns = encode_labels(sample.labels, len(sample.labels), sample.label_kind)
    white = []
    with threadpool_limits(1, "blas"):
        for view in (sample.x, sample.y):
            centred = (view - view.mean(0)) / view.std(0)
            values, vectors = np.linalg.eigh(centred.T @ centred / len(view))
            white.append((centred, (vectors / np.sqrt(np.maximum(values, 1e-8))) @ vectors.T))
        (x, w_x), (y, w_y) = white
        cross = x.T @ y / len(x)
        both = np.linalg.svd(w_x @ cross @ w_y)
        encoders = {"CA": (x @ w_x @ both[0], y @ w_y @ both[2].T),
                    "CP": (x @ w_x @ np.linalg.svd(w_x @ cross)[0], y @ w_y @ np.linalg.svd(cross @ w_y)[2].T)}
        fold = np.random.default_rng(0).permutation(len(columns)) % 5
        best = -np.inf
        for of_x, of_y in encoders.values():
            for k in _KS:
                if 2 * k > min(10 * k, len(columns) // 4):
                    continue
                design = np.hstack([of_x[sample.labelled, :k], of_y[sample.labelled, :k]])
                product = np.zeros(len(columns))
                for f in range(5):
                    train, held_out = fold != f, fold == f
                    mean, centre = columns[train].mean(0), design[train].mean(0)
                    weights = np.linalg.lstsq(design[train] - centre, columns[train] - mean, rcond=None)[0]
                    predicted = (design[held_out] - centre) @ weights
                    product[held_out] = np.sum(predicted * (columns[held_out] - mean), 1)
                best = max(best, product.mean() / product.std() * np.sqrt(len(product)))
    return float(best)


def _one_hot(rng, n, classes):
    """One-hot columns of as many classes, some of them rare."""
    return np.eye(classes)[rng.choice(classes, n, p=rng.dirichlet(np.ones(classes)))]


def _real_pair(name):
    """Two halves of the columns of one of scikit-learn's data sets, with its labels."""
    from sklearn import datasets

    data = getattr(datasets, name)()
    values = data.data[:, data.data.std(0) > 0]
    half = values.shape[1] // 2
    return values[:, :half], values[:, half:], data.target
