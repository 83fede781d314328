"""Does the diagnosis name the right regime? On models with known answers, and beside what real data show.

Three ways to diagnose are compared on cells off the boundary, |log Delta| > 0.15 for CA and for CP: moment matching,
the spectral diagnosis as published, and a naive one. The naive diagnosis compares what the label directions and the
other directions have on average in the sample's spectra, without correction for n. A million rows in memory maps are
diagnosed in a process of their own. Real data follow, whose regime is not known: the predicted ranking of six
representations is compared with held-out probes of fitted estimators, and that of the three objectives with small
trained networks.
"""

import json
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np

from benchmarks.report import Row, row
from phasejax import Regime, SpikedModel, __version__, diagnose
from phasejax._core.progress import ProgressCallback
from phasejax._core.resumable import compute_parts
from phasejax.diagnosis import PredictedScores
from phasejax.io import encode_labels
from phasejax.io._labels import LabelKind
from phasejax.theory import delta_ca, delta_cp, delta_cp_reverse

_K, _MARGIN = 3, 0.15
# Rows and columns of the larger view: ten rows a column, and two and a half.
_SHAPES = ((400, 40), (100, 40))
_KINDS = ("homogeneous", "heterogeneous")
_NOISES = ("Gaussian", "t5")
_LABELS = ("spanning", "scalar", "classes")


def run(cells: int = 30, seeds: int = 5, shapes: tuple[tuple[int, int], ...] = _SHAPES, store: Path | None = None,
        progress: bool | ProgressCallback = False) -> list[Row]:
    """One row of the table for each kind of model, shape, noise and labels; then timing and real data.

    Args:
        cells: models off the boundary of each kind and shape.
        seeds: samples of each model.
        shapes: rows and columns of the larger view.
        store: folder that keeps what is done, so that a run that was killed goes on; None keeps nothing.
        progress: False, True for a bar, or a callback that is called after every part.
    """
    points = [(kind, n, d, noise, labels) for kind, (n, d), noise, labels in product(_KINDS, shapes, _NOISES, _LABELS)]
    points += [("timing",), ("large",), ("real",)]

    def measure(*point) -> dict[str, list]:
        match point:
            case ("timing",):
                rows = _timing()
            case ("large",):
                rows = _large()
            case ("real",):
                rows = _real_data()
            case (kind, n, d, noise, labels):
                rows = _accuracy(kind, n, d, noise, labels, cells, seeds)
        return {name: [entry[name] for entry in rows] for name in Row.__annotations__}

    # One part at a time, since it is timed; in the precision of a user's process, since the diagnosis chooses its own.
    parts = compute_parts(points, measure, settings=json.dumps([__version__, cells, seeds]), store=store,
                          progress=progress, precision=None, workers=1, task="diagnosis")
    columns = ({name: values.tolist() for name, values in part.items()} for part in parts)
    return [row(*measured) for part in columns
            for measured in zip(*(part[name] for name in Row.__annotations__), strict=True)]


def _accuracy(kind: str, n: int, d: int, noise: str, labels: str, cells: int, seeds: int) -> list[Row]:
    """How often each diagnosis names the right regime on one kind of data, and how often intervals cover the truth."""
    right, spectral, naive, stated, covered, seconds = [], [], [], [], [], []
    for number, (model, truth) in enumerate(_off_boundary(kind, d, cells)):
        regime = Regime.from_code(int(truth[0] > 0) + 2 * int(truth[1] > 0))
        for seed in range(seeds):
            x, y, t, label_kind = _data(np.random.default_rng([number, seed]), model, n, noise, labels)
            start = time.perf_counter()
            by_moments = diagnose(x, y, t, method="moments", k=_K, label_kind=label_kind,
                                  predicted_scores=False, seed=seed)
            seconds.append(time.perf_counter() - start)
            right.append(by_moments.likeliest is regime)
            if by_moments.regime is not None:
                stated.append(by_moments.regime is regime)
            intervals = [by_moments.estimates[name] for name in ("delta_ca", "delta_cp", "delta_cp_reverse")]
            covered.append([e.low <= np.exp(value) <= e.high for e, value in zip(intervals, truth, strict=True)])
            published = diagnose(x, y, t, method="spectral", label_kind=label_kind)
            spectral.append(published.regime is regime)
            naive.append(_naive(x, y, t, label_kind) is regime)
    case = f"{kind}, n = {n}, d = {d}, {noise}, {labels}"
    rows = [row(case, "correct", np.mean(right), "share"), row(case, "correct_spectral", np.mean(spectral), "share"),
            row(case, "correct_naive", np.mean(naive), "share"),
            row(case, "stated", len(stated) / len(right), "share"),
            row(case, "stated_correct", np.mean(stated) if stated else np.nan, "share"),
            row(case, "coverage_ca", np.mean(covered, 0)[0], "share"),
            row(case, "coverage_cp", np.mean(covered, 0)[1], "share"),
            row(case, "coverage_cp_reverse", np.mean(covered, 0)[2], "share"),
            row(case, "time", np.median(seconds), "s")]
    print(case + ": " + ", ".join(f"{r['metric']} {r['value']:.3f}" for r in rows), flush=True)
    return rows


def _off_boundary(kind: str, d: int, count: int) -> list[tuple[SpikedModel, list[float]]]:
    """Models spread evenly over those off the boundary, with the logarithms of their three separation ratios."""
    cells = []
    with jax.enable_x64(True):
        for kappa, nu in product(np.linspace(0.4, 3, 9), np.linspace(0.1, 0.95, 8)):
            model = _model(kind, kappa, nu, d)
            truth = [float(np.log(ratio(model))) for ratio in (delta_ca, delta_cp, delta_cp_reverse)]
            if min(abs(truth[0]), abs(truth[1])) > _MARGIN:
                cells.append((model, truth))
    return [cells[i] for i in np.linspace(0, len(cells) - 1, count).round().astype(int)]


def _model(kind: str, kappa: float, nu: float, d: int) -> SpikedModel:
    noise: dict[str, Any] = {"gamma_x": 1.0, "gamma_y": 0.05, "nuisance_x": 1.0, "nuisance_y": 5.0}
    if kind == "homogeneous":
        return SpikedModel.homogeneous(kappa, nu, k=_K, d=d, **noise)
    # Signals decay, two fifths of the nuisance are correlated, and y has fewer columns than x.
    d_y = round(0.7 * d)
    correlated = np.arange(d_y - _K) < round(0.4 * (d_y - _K))
    return SpikedModel.geometric(kappa, np.where(correlated, nu, 0.0), decay=0.8, k=_K, d=d, d_y=d_y, **noise)


def _data(rng: np.random.Generator, model: SpikedModel, n: int, noise: str, labels: str
          ) -> tuple[np.ndarray, np.ndarray, np.ndarray, LabelKind]:
    """Rows of x and y, their labels, and of which kind these are."""
    def draw(*shape):
        return rng.standard_normal(shape) if noise == "Gaussian" else rng.standard_t(5, shape) / np.sqrt(5 / 3)

    signal, p = draw(n, _K), len(model.nu)
    u, v = draw(n, model.d_x - _K), draw(n, model.d_y - _K)
    v[:, :p] = model.nu * u[:, :p] + np.sqrt(1 - model.nu**2) * v[:, :p]
    x = np.hstack([model.kappa * signal + np.sqrt(model.gamma_x) * draw(n, _K), np.sqrt(model.nuisance_x) * u])
    y = np.hstack([model.kappa * signal + np.sqrt(model.gamma_y) * draw(n, _K), np.sqrt(model.nuisance_y) * v])
    match labels:
        case "spanning":
            return x, y, signal, "real"
        case "scalar":
            return x, y, signal.sum(1) / np.sqrt(_K) + 0.5 * rng.standard_normal(n), "real"
        case _:
            return x, y, (signal > 0) @ 2 ** np.arange(_K), "class"


def _naive(x: np.ndarray, y: np.ndarray, labels: np.ndarray, label_kind: LabelKind) -> Regime:
    """The regime by averages: whether the label directions have more of the spectrum than the other directions.

    For CA the spectrum is that of squared canonical correlations, for CP that of squared regression singular values.
    """
    t = encode_labels(labels, len(x), label_kind)
    x, y, t = (view - view.mean(0) for view in (x, y, t))
    root_x, root_y = (np.linalg.qr(view)[0] for view in (x, y))
    seen, above = root_x.T @ t, []
    for partner in (root_y, y):
        cross = root_x.T @ partner
        signal = np.sum((cross.T @ seen) ** 2) / np.sum(seen**2)
        rest = (np.sum(cross**2) - _K * signal) / (min(cross.shape) - _K)
        above.append(signal > rest)
    return Regime.from_code(above[0] + 2 * above[1])


def _timing(n: int = 10_000, d: int = 200) -> list[Row]:
    """Seconds of the first and second diagnosis in a process, and of the spectral one."""
    model = _model("homogeneous", 2.0, 0.5, d)
    x, y, t, kind = _data(np.random.default_rng(0), model, n, "Gaussian", "scalar")
    case, seconds = f"timing, n = {n}, d = {d}, one label", []
    for _ in range(2):
        start = time.perf_counter()
        diagnose(x, y, t, method="moments", k=_K, label_kind=kind)
        seconds.append(time.perf_counter() - start)
    start = time.perf_counter()
    diagnose(x, y, t, method="spectral", label_kind=kind)
    return [row(case, "first_call", seconds[0], "s"), row(case, "second_call", seconds[1], "s"),
            row(case, "spectral", time.perf_counter() - start, "s")]


_LARGE = """
import json, sys, time
import numpy as np
from benchmarks.report import peak_memory
from phasejax import diagnose
from phasejax.io import open_table
start = time.perf_counter()
x, y = (open_table(f"{sys.argv[1]}/{name}.npy") for name in "xy")
found = diagnose(x, y, np.load(f"{sys.argv[1]}/labels.npy"), method="moments", k=3, label_kind="real")
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "peak": peak_memory(), "regime": found.likeliest.value,
                  "low": found.estimates["delta_ca"].low, "high": found.estimates["delta_ca"].high}))
"""


def large_pairs(folder: Path, n: int, d: int, block: int = 50_000) -> SpikedModel:
    """Write x.npy and y.npy, float32, and labels.npy of a spiked model block by block; returns the model."""
    model, rng = _model("homogeneous", 2.0, 0.5, d), np.random.default_rng(0)
    files = [np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float32, (n, d)) for name in "xy"]
    labels = np.empty(n)
    for start in range(0, n, block):
        rows = slice(start, min(start + block, n))
        x, y, labels[rows], _ = _data(rng, model, rows.stop - start, "Gaussian", "scalar")
        for file, view in zip(files, (x, y), strict=True):
            file[rows] = view
    np.save(folder / "labels.npy", labels)
    return model


def _large(n: int = 1_000_000, d: int = 512) -> list[Row]:
    """Two memory maps of float32, written here and diagnosed in a process of their own."""
    with tempfile.TemporaryDirectory() as folder:
        model = large_pairs(Path(folder), n, d)
        done = subprocess.run([sys.executable, "-c", _LARGE, folder], cwd=Path(__file__).parents[1],
                              capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    with jax.enable_x64(True):
        truth = float(delta_ca(model))
    case = f"large, n = {n}, d = {d}, memory maps"
    print(f"{case}: {found}, true Delta_CA {truth:.4f}", flush=True)
    return [row(case, "time", found["seconds"], "s"), row(case, "peak_memory", found["peak"] / 1e9, "GB"),
            row(case, "covered_ca", found["low"] <= truth <= found["high"], "1")]


def _real_data(splits: int = 20) -> list[Row]:
    """Rank correlations of predicted scores with those of held-out probes, and with those of trained networks."""
    from scipy.stats import spearmanr
    from sklearn.datasets import load_breast_cancer, load_wine

    from phasejax.datasets import load_digit_halves

    cancer, wine = cast(Any, load_breast_cancer()), cast(Any, load_wine())
    sets = {"digit halves": tuple(load_digit_halves()),
            "breast cancer, means and worsts": (cancer.data[:, :10], cancer.data[:, 20:], cancer.target),
            "wine, two parts": (wine.data[:, :6], wine.data[:, 6:], wine.target)}
    found = []
    for name, (x, y, labels) in sets.items():
        diagnosis = diagnose(x, y, labels, method="moments")
        predicted = [score.value for score in cast(PredictedScores, diagnosis.predicted_scores).scores]
        measured = np.mean([_probed(x, y, labels, diagnosis.k, seed) for seed in range(splits)], axis=0)
        trained = _trained(x, y, labels, diagnosis.k)
        found += [row(name, "rank_correlation", cast(Any, spearmanr(predicted, measured)).statistic, "1"),
                  row(name, "rank_correlation_networks", cast(Any, spearmanr(predicted[:3], trained)).statistic, "1"),
                  row(name, "same_best_networks", np.argmax(predicted[:3]) == np.argmax(trained), "1"),
                  row(name, "probability_of_likeliest", max(diagnosis.probabilities.values()), "1"),
                  row(name, "reduced_chi2", diagnosis.reduced_chi2, "1")]
        print(f"{name}: {diagnosis.verdict}; predicted {np.round(predicted, 3)}, measured {measured.round(3)}, "
              f"networks {np.round(trained, 3)}", flush=True)
    return found


def _trained(x: np.ndarray, y: np.ndarray, labels: np.ndarray, k: int, seeds: int = 5) -> np.ndarray:
    """Accuracy of frozen probes of networks with k outputs: CA, CP x->y, CP y->x; mean over splits of the rows."""
    from phasejax.deep import Experiment, evaluate, train_grid

    n = len(x)
    views = [(view - view.mean(0)) / np.where(view.std(0) > 0, view.std(0), 1) for view in (x, y)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pairs.npz")
        np.savez(path, x=views[0], y=views[1], labels=labels)
        scores = evaluate(train_grid(Experiment(
            data="features", path=str(path), n=n, jitters=(0.0,), noises=(0.0,), encoder="mlp", hidden=(64,),
            embedding=k, projection=k, objectives=("deepcca", "cp", "cp_reverse"), seeds=seeds, probed="both",
            batch=min(128, n // 10), learning_rate=2e-3, max_epochs=300, patience=30,
            probe_sizes=(n - 2 * (n // 10),))))
    return scores.accuracy.isel(probe_size=-1).mean(("jitter", "noise", "seed")).values


def _probed(x: np.ndarray, y: np.ndarray, labels: np.ndarray, k: int, seed: int) -> list[float]:
    """Balanced accuracy of logistic probes on codes of fitted estimators, in the order of `REPRESENTATIONS`."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from phasejax import CrossAlignment, CrossPrediction

    rows, held = map(np.asarray, train_test_split(np.arange(len(x)), test_size=0.5, stratify=labels, random_state=seed))
    # Half of the digits leave some pixels blank: a little shrinkage keeps their variances positive.
    align = CrossAlignment(k, shrinkage=0.01).fit(x[rows], y[rows])
    forward = CrossPrediction(k, shrinkage=0.01).fit(x[rows], y[rows])
    backward = CrossPrediction(k, direction="y_to_x", shrinkage=0.01).fit(x[rows], y[rows])
    codes = [np.asarray(code) for code in (np.hstack(cast(tuple, align.transform(x, y))), forward.transform(x),
                                           backward.transform(x, y)[1], x, y, np.hstack([x, y]))]
    scores = []
    for code in codes:
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)).fit(code[rows], labels[rows])
        scores.append(balanced_accuracy_score(labels[held], probe.predict(code[held])))
    return scores
