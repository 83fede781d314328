"""Does the diagnosis name the right regime: calibrated, published ("spectral") and naive, on models with known answers.

Cells are off the boundary: |log Delta| > 0.15 for CA and for CP. The naive column is the plug-in: what the label
directions and the other directions have on average in the sample's spectra, without correction for n. A million rows in
memory maps are diagnosed in a process of its own. Real data follow, with no known regime: the predicted ranking of the
six representations against held-out probes of fitted estimators, and of the three objectives against small trained
networks.
"""

import json
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

import jax
import numpy as np

from benchmarks.report import Row, row
from phasejax import Regime, SpikedModel, __version__, diagnose
from phasejax._core.atomic_files import written_whole
from phasejax.io import encode_labels
from phasejax.theory import delta_ca, delta_cp, delta_cp_reverse

_K, _MARGIN = 3, 0.15
# Rows and columns of the larger view: ten rows a column, and two and a half.
_SHAPES = ((400, 40), (100, 40))
_KINDS = ("homogeneous", "heterogeneous")
_NOISES = ("Gaussian", "t5")
_LABELS = ("spanning", "scalar", "classes")


def run(cells: int = 30, seeds: int = 5, shapes=_SHAPES, folder: Path | None = None) -> list[Row]:
    """One row of the table for each kind of model, shape, noise and labels; then timing and real data.

    What is done is kept in the folder, so that a run that was killed goes on.
    """
    parts = {f"{kind}-{n}-{d}-{noise}-{labels}": (_accuracy, kind, n, d, noise, labels, cells, seeds)
             for kind, (n, d), noise, labels in product(_KINDS, shapes, _NOISES, _LABELS)}
    parts |= {"timing": (_timing,), "large": (_large,), "real": (_real_data,)}
    found, settings = [], [__version__, cells, seeds]
    for number, (name, (measure, *arguments)) in enumerate(parts.items(), start=1):
        kept = None if folder is None else folder / f"{name}.json"
        saved = json.loads(kept.read_text()) if kept is not None and kept.exists() else {}
        if saved.get("settings") != settings:
            saved = {"settings": settings, "rows": measure(*arguments)}
            if kept is not None:
                folder.mkdir(parents=True, exist_ok=True)
                with written_whole(kept) as unfinished:
                    unfinished.write_text(json.dumps(saved))
        found += saved["rows"]
        print(f"diagnosis: {number} of {len(parts)} parts done", file=sys.stderr, flush=True)
    return found


def _accuracy(kind, n, d, noise, labels, cells, seeds):
    right, spectral, naive, stated, covered, seconds = [], [], [], [], [], []
    for number, (model, truth) in enumerate(_off_boundary(kind, d, cells)):
        regime = Regime.from_code(int(truth[0] > 0) + 2 * int(truth[1] > 0))
        for seed in range(seeds):
            x, y, t, label_kind = _data(np.random.default_rng([number, seed]), model, n, noise, labels)
            start = time.perf_counter()
            calibrated = diagnose(x, y, t, k=_K, label_kind=label_kind, predicted_scores=False, seed=seed)
            seconds.append(time.perf_counter() - start)
            right.append(calibrated.likeliest is regime)
            if calibrated.regime is not None:
                stated.append(calibrated.regime is regime)
            intervals = [calibrated.estimates[name] for name in ("delta_ca", "delta_cp", "delta_cp_reverse")]
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


def _off_boundary(kind, d, count):
    """(model, log ratios) of cells spread evenly over those off the boundary."""
    cells = []
    with jax.enable_x64(True):
        for kappa, nu in product(np.linspace(0.4, 3, 9), np.linspace(0.1, 0.95, 8)):
            model = _model(kind, kappa, nu, d)
            truth = [float(np.log(ratio(model))) for ratio in (delta_ca, delta_cp, delta_cp_reverse)]
            if min(abs(truth[0]), abs(truth[1])) > _MARGIN:
                cells.append((model, truth))
    return [cells[i] for i in np.linspace(0, len(cells) - 1, count).round().astype(int)]


def _model(kind, kappa, nu, d):
    noise = {"gamma_x": 1.0, "gamma_y": 0.05, "nuisance_x": 1.0, "nuisance_y": 5.0}
    if kind == "homogeneous":
        return SpikedModel.homogeneous(kappa, nu, k=_K, d=d, **noise)
    # Decaying signals, two fifths of the nuisance correlated, and fewer columns in y.
    d_y = round(0.7 * d)
    correlated = np.arange(d_y - _K) < round(0.4 * (d_y - _K))
    return SpikedModel.geometric(kappa, np.where(correlated, nu, 0.0), decay=0.8, k=_K, d=d, d_y=d_y, **noise)


def _data(rng, model, n, noise, labels):
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


def _naive(x, y, labels, label_kind):
    """Mean squared canonical correlation, and mean squared value of A, of the label directions and of the rest."""
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


def _timing(n=10_000, d=200):
    model = _model("homogeneous", 2.0, 0.5, d)
    x, y, t, kind = _data(np.random.default_rng(0), model, n, "Gaussian", "scalar")
    case, seconds = f"timing, n = {n}, d = {d}, one label", []
    for _ in range(2):
        start = time.perf_counter()
        diagnose(x, y, t, k=_K, label_kind=kind)
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
from phasejax.tables import open_table
start = time.perf_counter()
x, y = (open_table(f"{sys.argv[1]}/{name}.npy") for name in "xy")
found = diagnose(x, y, np.load(f"{sys.argv[1]}/labels.npy"), k=3, label_kind="real")
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "peak": peak_memory(), "regime": found.likeliest.value,
                  "low": found.estimates["delta_ca"].low, "high": found.estimates["delta_ca"].high}))
"""


def _large(n=1_000_000, d=512, block=50_000):
    """Two memory maps of float32, written here and diagnosed in a process of its own."""
    model, rng = _model("homogeneous", 2.0, 0.5, d), np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        files = [np.lib.format.open_memmap(Path(folder, f"{name}.npy"), "w+", np.float32, (n, d)) for name in "xy"]
        labels = np.empty(n)
        for start in range(0, n, block):
            rows = slice(start, min(start + block, n))
            x, y, labels[rows], _ = _data(rng, model, rows.stop - start, "Gaussian", "scalar")
            for file, view in zip(files, (x, y), strict=True):
                file[rows] = view
        del files
        np.save(Path(folder, "labels.npy"), labels)
        done = subprocess.run([sys.executable, "-c", _LARGE, folder], cwd=Path(__file__).parents[1],
                              capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    with jax.enable_x64(True):
        truth = float(delta_ca(model))
    case = f"large, n = {n}, d = {d}, memory maps"
    print(f"{case}: {found}, true Delta_CA {truth:.4f}", flush=True)
    return [row(case, "time", found["seconds"], "s"), row(case, "peak_memory", found["peak"] / 1e9, "GB"),
            row(case, "covered_ca", found["low"] <= truth <= found["high"], "1")]


def _real_data(splits: int = 20):
    """Spearman correlation of predicted scores and of probes fitted to halves of the rows, scored on the others."""
    from scipy.stats import spearmanr
    from sklearn.datasets import load_breast_cancer, load_wine

    from phasejax.datasets import load_digit_halves

    cancer, wine = load_breast_cancer(), load_wine()
    sets = {"digit halves": tuple(load_digit_halves()),
            "breast cancer, means and worsts": (cancer.data[:, :10], cancer.data[:, 20:], cancer.target),
            "wine, two parts": (wine.data[:, :6], wine.data[:, 6:], wine.target)}
    found = []
    for name, (x, y, labels) in sets.items():
        diagnosis = diagnose(x, y, labels)
        predicted = [score.value for score in diagnosis.predicted_scores.scores]
        measured = np.mean([_probed(x, y, labels, diagnosis.k, seed) for seed in range(splits)], axis=0)
        trained = _trained(x, y, labels, diagnosis.k)
        found += [row(name, "rank_correlation", spearmanr(predicted, measured).statistic, "1"),
                  row(name, "rank_correlation_networks", spearmanr(predicted[:3], trained).statistic, "1"),
                  row(name, "same_best_networks", np.argmax(predicted[:3]) == np.argmax(trained), "1"),
                  row(name, "probability_of_likeliest", max(diagnosis.probabilities.values()), "1"),
                  row(name, "reduced_chi2", diagnosis.reduced_chi2, "1")]
        print(f"{name}: {diagnosis.verdict}; predicted {np.round(predicted, 3)}, measured {measured.round(3)}, "
              f"networks {np.round(trained, 3)}", flush=True)
    return found


def _trained(x, y, labels, k, seeds=5):
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


def _probed(x, y, labels, k, seed):
    """Balanced accuracy of logistic probes on codes of fitted estimators, in the order of `REPRESENTATIONS`."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from phasejax import CrossAlignment, CrossPrediction

    rows, held = train_test_split(np.arange(len(x)), test_size=0.5, stratify=labels, random_state=seed)
    # Half of the digits leave some pixels blank: a little shrinkage keeps their variances positive.
    align = CrossAlignment(k, shrinkage=0.01).fit(x[rows], y[rows])
    forward = CrossPrediction(k, shrinkage=0.01).fit(x[rows], y[rows])
    backward = CrossPrediction(k, direction="y_to_x", shrinkage=0.01).fit(x[rows], y[rows])
    codes = (np.hstack(align.transform(x, y)), forward.transform(x), backward.transform(x, y)[1],
             x, y, np.hstack([x, y]))
    scores = []
    for code in codes:
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)).fit(code[rows], labels[rows])
        scores.append(balanced_accuracy_score(labels[held], probe.predict(code[held])))
    return scores
