"""Heads on RNA and proteins of 800 blood cells, beside the same protocol written plainly in PyTorch and scikit-learn.

Both train five objectives with the same number of seeds, sizes, split and early stopping, and score cell types by a
logistic probe (the supervised head by itself), balanced accuracy on test rows. Ours are timed in a first call, with
compilation, and in a second one; less those of a call that trains for one epoch and scores as much, and over the number
of trainings, its seconds are those of a training.
"""

import time
import warnings
from typing import Any

import numpy as np

from benchmarks.report import Row, row
from phasejax.datasets import load_pbmc_cite
from phasejax.deep import TrainedHeads, train_heads

OBJECTIVES = ("CA VICReg", "CA InfoNCE", "CP x->y", "CP y->x", "supervised x and y")
_SIZES: dict[str, Any] = {"bottleneck": 16, "epochs": 200, "patience": 30, "batch": 64}
_WIDTH = 128


def run(seeds: int = 5) -> list[Row]:
    """Scores, seconds and epochs of both, and what batches leak.

    Args:
        seeds: trainings of each objective.
    """
    cells, rows = load_pbmc_cite(), []
    options = {"nuisance": {"batch": cells.batch}, "seeds": seeds, "widths": (_WIDTH,), **_SIZES,
               "objectives": (*OBJECTIVES[:-1], "supervised"), "probes": ("logistic",)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seconds, processor, calls = [], [], []
        for number in range(4):
            start, used = time.perf_counter(), time.process_time()
            calls.append(train_heads(cells.x, cells.y, {"cell type": cells.labels},
                                     **options | ({"epochs": 1} if number > 1 else {})))
            seconds.append(time.perf_counter() - start)
            processor.append(time.process_time() - used)
    found = calls[1]
    trainings = seeds * len(found.trained)
    taken = seconds[1] - seconds[3], processor[1] - processor[3]
    rows += [row("phasejax", "first call, with compilation and probes", seconds[0], "s"),
             row("phasejax", "second call, with probes", seconds[1], "s"),
             row("phasejax", "one epoch, with probes", seconds[3], "s"),
             row("phasejax", "a training", taken[0] / trainings, "s"),
             row("phasejax", "processor time of a training", taken[1] / trainings, "s")]
    plain = _by_torch(found, seeds)
    for name in OBJECTIVES:
        ours = found.score(name, probe="head" if name.startswith("supervised") else None)
        rows += [row(f"phasejax {name}", "balanced accuracy", ours.value, "1"),
                 row(f"phasejax {name}", "low", ours.low, "1"), row(f"phasejax {name}", "high", ours.high, "1")]
        if plain is not None:
            scores, times, used, epochs = zip(*plain[name], strict=True)
            rows += [row(f"PyTorch {name}", "balanced accuracy", np.mean(scores), "1"),
                     row(f"PyTorch {name}", "a training", np.mean(times), "s"),
                     row(f"PyTorch {name}", "processor time of a training", np.mean(used), "s"),
                     row(f"PyTorch {name}", "epochs", np.mean(epochs), "1"),
                     row(f"{name}", "difference within the interval", ours.low <= np.mean(scores) <= ours.high, "1")]
        if not name.startswith("supervised"):
            rows.append(row(f"phasejax {name}", "leakage of the batch", found.score(name, "batch").value, "1"))
    if plain is not None:
        for place, what, ours in ((1, "seconds", taken[0]), (2, "processor time", taken[1])):
            mean = np.mean([one[place] for name in OBJECTIVES for one in plain[name]])
            rows.append(row("PyTorch over phasejax", f"{what} of a training", mean / (ours / trainings), "1"))
    return rows


def _by_torch(found: TrainedHeads, seeds: int) -> dict[str, list[tuple[float, float, float, int]]] | None:
    """Score, seconds, processor time and epochs of each seed, by objective; None where PyTorch is not installed."""
    try:
        from benchmarks.torch_heads import probed, train
    except ImportError:
        return None
    import torch  # pyright: ignore[reportMissingImports]  # optional
    from sklearn.metrics import balanced_accuracy_score

    torch.set_num_threads(1)  # small products are slower on several
    data, (target, *_) = found.data, found.data.targets
    views = [np.float32((view - centre) * scale) for view, (centre, scale) in
             zip((data.x, data.y), (found.heads.units["x"], found.heads.units["y"]), strict=True)]
    parts = {part: (views[0][data.rows(part)], views[1][data.rows(part)], target.values[data.rows(part)].astype(int))
             for part in ("train", "validation", "test")}
    labels = {part: of[2] for part, of in parts.items()}
    results = {}
    for name in OBJECTIVES:
        results[name] = []
        for seed in range(seeds):
            used = time.process_time()
            features, seconds, epochs = train(name, parts, hidden=_WIDTH, seed=seed, classes=len(target.classes),
                                              **_SIZES)
            used = time.process_time() - used
            score = balanced_accuracy_score(labels["test"], features["test"]) if name.startswith("supervised") else \
                probed(features, labels)
            results[name].append((float(score), seconds, used, epochs))
    return results
