"""The probes of `python -m benchmarks decision_truth`: what codes and raw views tell of labels of held-out rows."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from benchmarks.decision_networks import KS

TRAINING, VALIDATION = 0.6, 0.15
_PENALTIES = (0.01, 0.1, 1.0)


def split_rows(labels: np.ndarray, kind: str, seed: int) -> tuple[Any, Any, Any]:
    """Rows for training, for validation and for the score; classes are spread over them alike."""
    from sklearn.model_selection import train_test_split

    def cut(rows, share):
        return train_test_split(rows, test_size=share, random_state=seed,
                                stratify=labels[rows] if kind == "class" else None)

    rest, scored = cut(np.arange(len(labels)), 1 - TRAINING - VALIDATION)
    trained, validated = cut(rest, VALIDATION / (TRAINING + VALIDATION))
    return trained, validated, scored


class Probed(NamedTuple):
    """One split of a pair with codes to be probed.

    Args:
        codes: representation and bottleneck to codes of all rows, shape (n, any).
        labels: of all rows.
        kind: "class" or "real".
        rows: for fitting, for the choice of a penalty and of CA's loss, and for the score.
    """

    codes: Mapping[tuple[str, int], np.ndarray]
    labels: np.ndarray
    kind: str
    rows: tuple[np.ndarray, np.ndarray, np.ndarray]


def probe(given: Probed) -> dict[tuple[str, int], tuple[float, float]]:
    """Score on the validation rows and on the scored rows, of every representation."""
    import warnings

    warnings.simplefilter("ignore")
    return {name: _probe(np.asarray(code, np.float64), given) for name, code in given.codes.items()}


def _probe(code, given):
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.metrics import balanced_accuracy_score, log_loss, r2_score

    fitted, chosen, scored = given.rows
    scale = code[fitted].std(0)
    code = (code - code[fitted].mean(0)) / np.where(scale > 1e-6 * max(scale.max(), 1e-12), scale, np.inf)
    labels = given.labels
    if not np.isfinite(code).all():
        return float("nan"), float("nan")
    if given.kind == "real":
        ridge = RidgeCV(np.logspace(-2, 4, 13)).fit(code[fitted], labels[fitted])
        on_chosen, on_scored = (float(r2_score(labels[rows], ridge.predict(code[rows]))) for rows in (chosen, scored))
        return on_chosen, on_scored
    fits = [LogisticRegression(C=c, max_iter=300).fit(code[fitted], labels[fitted]) for c in _PENALTIES]
    losses = [log_loss(labels[chosen], fit.predict_proba(code[chosen]), labels=fit.classes_) for fit in fits]
    best = fits[int(np.argmin(losses))]
    on_chosen, on_scored = (float(balanced_accuracy_score(labels[rows], best.predict(code[rows])))
                            for rows in (chosen, scored))
    return on_chosen, on_scored


def raw_views(x, y, trained):
    """The views whole, side by side, and by their first principal components."""
    found = {("x", 0): x, ("y", 0): y, ("x and y", 0): np.hstack([x, y])}
    for name, view in (("x at k", x), ("y at k", y)):
        rows = view - view[trained].mean(0)
        directions = np.linalg.svd(rows[trained], full_matrices=False)[2]
        found |= {(name, k): rows @ directions[:k].T for k in KS}
    return found


def coded(codes, task, n):
    """Codes of one task by representation and bottleneck, of the n rows that there are."""
    found = {}
    for i, k in enumerate(KS):
        z = {name: {view: values[task, i, :n, :k] for view, values in by.items()} for name, by in codes.items()}
        for loss in ("deepcca", "vicreg"):
            found |= {(f"CA {loss}", k): np.hstack([z[loss]["x"], z[loss]["y"]]),
                      (f"CA of x {loss}", k): z[loss]["x"], (f"CA of y {loss}", k): z[loss]["y"]}
        found |= {("CP both", k): np.hstack([z["cp"]["x"], z["cp_reverse"]["y"]]), ("CP x->y", k): z["cp"]["x"],
                  ("CP y->x", k): z["cp_reverse"]["y"], ("joint", k): z["joint"]["x"]}
    return found
